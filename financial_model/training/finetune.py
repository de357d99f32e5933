"""Starting from a checkpoint: which weights are taken over, which of them move, and who is listened to on the way.

In: settings and the file of a checkpoint. Out: a prepared run with the base's tables, a model made ready, an objective with its guide.
What the header says and forbids stands in ``base.py``; this module touches weights. It knows no loop and no run folder.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from financial_model.config import RunConfig
from financial_model.errors import CheckpointError
from financial_model.models.heads import return_readout
from financial_model.models.lora import add_adapters
from financial_model.objectives import Objective
from financial_model.objectives.transfer import REFERENCE, TEACHER, aligned, taught
from financial_model.training.base import check_dates, check_features, is_encoder, lineage
from financial_model.training.checkpoint import load_checkpoint, load_weights, read_header
from financial_model.training.preparation import Preparation, prepare

if TYPE_CHECKING:
    from financial_model.datasets.panel import Panel
    from financial_model.models.ensemble import Ensemble
    from financial_model.models.forecaster import Forecaster
    from financial_model.training.step import Guide


@dataclass
class Start:
    """A checkpoint that a run starts from."""

    config: RunConfig
    path: Path
    header: dict[str, Any]
    notes: list[dict[str, Any]] = field(default_factory=list)
    """What a reader of the result must know: ``[{"key", "fields", "level"}]``."""

    @property
    def lineage(self) -> list[dict[str, Any]]:
        return lineage(self.config, self.header)

    @property
    def gives_weights(self) -> bool:
        """Whether the whole forecaster comes from it; a student is fresh, and an encoder is only a part."""
        return self.config.transfer.method != "distill" and not is_encoder(self.header)

    def take_over(self, prepared: Preparation, panel: Panel) -> Preparation:
        """The run with the base's scaler and unit: its weights learned what a number means from them.

        ``CheckpointError`` when the panel has other features, ``ConfigError`` when the base has seen days of the test.
        """
        check_features(tuple(panel.feature_names), self.header)
        note = check_dates(prepared.split, self.header)
        self.notes = [{**note, "level": "warning"}] if note else []
        table = self.header["table"]
        found = replace(prepared, table=None if table is None else (_float32(table["center"]), _float32(table["scale"])))
        return found if is_encoder(self.header) else replace(found, label_scale=_float32(self.header["label_scale"]))

    def equip(self, model: Forecaster) -> None:
        """Give a fresh model the weights it starts with, and hold still what the method does not move. A student stays fresh."""
        method = self.config.transfer.method
        if method == "distill":
            return
        part = model.backbone if is_encoder(self.header) else model
        part.load_state_dict(load_weights(self.path, part.state_dict()))
        readout = return_readout(model.head)
        if self.gives_weights and model.start is not None and readout is not None:
            _begin_as_it_forecasts(readout, model.start.share)
        if method == "head":
            model.keep_still(child for name, child in model.named_children() if name != "head")
        if method == "lora":
            add_adapters(model, self.config.transfer.lora_rank, self.config.transfer.lora_alpha)
            model.keep_still(module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm))

    def forecaster(self, device: torch.device) -> Forecaster | Ensemble | None:
        """The base as it was, frozen; None when it forecasts nothing yet."""
        return None if is_encoder(self.header) else load_checkpoint(self.path)[0].to(device).requires_grad_(False)

    def guide(self, device: torch.device) -> Guide | None:
        """The frozen model that training listens to: the teacher, or the model as it was at the start."""
        names = {"distill": TEACHER, "preference": REFERENCE}
        name = names.get(self.config.transfer.method)
        if name is None:
            return None
        frozen = self.forecaster(device)
        if frozen is None:
            raise CheckpointError("checkpoint.encoder_only", path=self.path.name)

        known = self.header["extras"].get("scale") if name == TEACHER else None
        scale = torch.tensor(1.0 if known is None else known, device=device)  # scores that only ordered stocks, as returns in units

        def say(*inputs: Tensor) -> dict[str, Tensor]:
            with torch.no_grad():
                outputs = frozen(*inputs)
            return {name + part: output * scale if part == "point" else output for part, output in outputs.items()}

        return say


def _begin_as_it_forecasts(readout: nn.Linear, share: Tensor) -> None:
    """Move the share of the network that counts in a forecast into its last layer: training, which sees all of the network, begins at the very
    forecast of the base."""
    with torch.no_grad():
        readout.weight.mul_(share)
        readout.bias.mul_(share)
        share.fill_(1.0)


def prepared_from(start: Start | None, config: RunConfig, panel: Panel) -> Preparation:
    """Dates, windows and tables of a run, the tables those of its base where it has one."""
    prepared = prepare(config, panel)
    return prepared if start is None else start.take_over(prepared, panel)


def open_start(config: RunConfig, path: Path | None) -> Start | None:
    """What a run starts from, or None for fresh weights. ``ValueError`` when settings and file do not say the same."""
    if bool(config.transfer.init_from) != (path is not None):
        raise ValueError(f"init_from is {config.transfer.init_from!r}, and the checkpoint to start from is {path}")
    return None if path is None else Start(config, path, read_header(path))


def training_objective(config: RunConfig, truth: Objective) -> Objective:
    """What the steps minimise; evaluations always score against the ``truth`` alone."""
    transfer = config.transfer
    if transfer.method == "distill":
        return taught(truth, weight=transfer.distill_weight, temperature=transfer.distill_temperature)
    return aligned(transfer.preference_beta) if transfer.method == "preference" else truth


def _float32(values: Any) -> np.ndarray:
    return np.asarray(values, np.float32)
