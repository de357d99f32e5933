"""A run that learns to fill in hidden patches instead of forecasting: the same loop, files, curve, stop and resume, another question.

In: what a session takes. Out: checkpoints that hold an encoder, marked as such, so that a forecast is never asked of them. The validation hides
the same bars in every evaluation; its base line is the mean of the training windows. The test part is never read, and labels are never used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from financial_model.errors import Stopped
from financial_model.models.masked import ERROR, MaskedPatches
from financial_model.models.registry import Backbone, build_backbone
from financial_model.training.base import ENCODER
from financial_model.training.session import Session
from financial_model.training.step import autocast

if TYPE_CHECKING:
    from collections.abc import Iterator

    from financial_model.datasets.batches import Batch
    from financial_model.objectives import Objective

CONSTANT_BATCHES = 50
"""Training batches whose mean is the constant answer."""


class PretrainSession(Session):
    """Everything a pre-training holds in memory."""

    def build(self) -> nn.Module:
        model, features = self.config.model, self.config.features
        return MaskedPatches(
            self._encoder(), inputs=len(self.panel.feature_names), context_length=features.context_length, size=model.shape()["hidden"],
            share=self.config.transfer.mask_share, balance=model.balance)

    def _encoder(self) -> Backbone:
        model = self.config.model
        return build_backbone(model.backbone, len(self.panel.feature_names), self.config.features.context_length, model)

    def _start(self) -> tuple[None, None]:
        """An encoder has no line."""
        return None, None

    def truth(self) -> Objective:
        return _mean_error

    # ------------------------------------------------------------ evaluations
    def validate(self) -> tuple[float, dict[str, Any], dict[str, Any]]:
        model, total = self._masked(), 0.0
        model.eval()
        try:
            with torch.inference_mode(), autocast(self.device, self.precision):
                for batch, mask in self._questions():
                    total += float(model.reconstruct(batch.x, mask)[ERROR].sum())
        finally:
            model.train()
        return total / self.validation.windows, {}, {}

    def measure_constants(self) -> None:
        """What the mean of each feature over training windows loses on the hidden bars."""
        model = self._masked()
        mean, bars = torch.zeros(len(self.panel.feature_names), device=self.device), 0
        for number, batch in enumerate(self.loader):
            if number == CONSTANT_BATCHES:
                break
            mean += batch.x.sum((0, 1))
            bars += batch.x[..., 0].numel()
        guess = (mean / bars).repeat(model.decode.out_features // len(mean))
        total = sum(float(model.error(guess, batch.x, mask).sum()) for batch, mask in self._questions())
        self.progress.baselines = {"constant": total / self.validation.windows}
        self.reporter.constants(self.progress.baselines)

    def _questions(self) -> Iterator[tuple[Batch, Tensor]]:
        """The validation batches, each with the mask it always has. Raises ``Stopped`` on ``stop``."""
        generator = torch.Generator().manual_seed(self.config.training.seed)
        for batch in self.validation:
            if self.stop is not None and self.stop.is_set():
                raise Stopped
            yield batch, self._masked().draw(len(batch), generator=generator).to(self.device)

    def _masked(self) -> MaskedPatches:
        return cast(MaskedPatches, self.model)

    # ------------------------------------------------------------ files
    def product(self) -> nn.Module:
        encoder = self._encoder()
        encoder.load_state_dict(self._masked().encoder_state())
        return encoder

    def header(self) -> dict[str, Any]:
        return {**super().header(), "kind": ENCODER}


def _mean_error(outputs: Mapping[str, Tensor], z: Tensor, label: Tensor, date: Tensor | None = None, /) -> Tensor:
    return outputs[ERROR].mean()
