"""A forecaster with everything around it inside: raw feature windows in, log returns out, in torch operations alone.

In: a :class:`LoadedForecaster`. Out: a module that a compiler or another runtime can take whole. It must give what ``predict_panel`` gives;
``portable.py`` compares the two whenever it writes a file. It knows no panel, no file and no format.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from financial_model.config import CONDITION_SIZES, FIGURES, RANKS
from financial_model.kernels import reference
from financial_model.models.decode import expected_from_classes, expected_from_quantiles

if TYPE_CHECKING:
    from financial_model.serving.forecaster import LoadedForecaster


class RawForecaster(nn.Module):
    """Normalisation, model, units and quantiles in one.

    In: values ``[B, context_length, F]`` float32 as the features are computed, condition ``[B, 6]`` int64, ranks ``[B, 4]`` float32 and
    volatility ``[B]`` float32 (trailing deviation of daily log returns). Out, as a tuple in the order of ``outputs``: expected ``[B, H]`` and
    quantiles ``[B, H, Q]`` in cumulative log return, probabilities ``[B, 3]``, expected_volatility and expected_momentum ``[B]``; all
    but the first where the model has them.
    Where the model's stocks see each other (``cross_section``), the B windows of a call are the stocks of one date.
    """

    center: Tensor | None
    scale: Tensor | None
    root_days: Tensor
    label_scale: Tensor
    residual: Tensor | None
    score_scale: Tensor
    level_weights: Tensor
    class_weights: Tensor

    def __init__(self, loaded: LoadedForecaster) -> None:
        super().__init__()
        header, config = loaded.header, loaded.config
        self.model, self.horizon, self.head = loaded.model, loaded.horizon, header["head"]
        self.window = loaded.context_length, len(loaded.features)
        kind, table, extras = config.features.normalisation, header["table"], header["extras"]
        self.mode, self.clip = kind if kind in ("zscore", "last_close") else "table", config.features.clip
        self.one_date = config.model.cross_section
        self.fixed_unit = config.label.unit in ("return", "rank")
        scale = None if table is None else table["scale"]
        self._constant("center", None if table is None else table["center"])
        self._constant("scale", np.ones(len(loaded.features)) if scale is None and self.mode == "last_close" else scale)
        self._constant("root_days", np.sqrt(np.arange(1, self.horizon + 1)))
        self._constant("label_scale", header["label_scale"])
        self._constant("residual", extras.get("residual_quantiles"))
        self._constant("score_scale", extras.get("scale", np.ones(self.horizon)))
        # both ways to an expected return are linear: what they do to unit vectors says all about them
        self._constant("level_weights", expected_from_quantiles(loaded.levels, np.eye(len(loaded.levels))))
        self._constant("class_weights", expected_from_classes(np.eye(3), extras.get("class_means"), self.horizon))
        quantiles = self.head == "quantile" or self.residual is not None
        self.outputs = ("expected", *(("quantiles",) if quantiles else ()), *(("probabilities",) if self.head in ("classes", "multi") else ()),
                        *(f"expected_{name}" for name in FIGURES if self.head == "multi"))

    def _constant(self, name: str, values: Any) -> None:
        self.register_buffer(name, None if values is None else torch.tensor(np.asarray(values, np.float32)), persistent=False)

    def forward(self, values: Tensor, condition: Tensor, ranks: Tensor, volatility: Tensor) -> tuple[Tensor, ...]:
        x, _, _ = reference.normalise(values, self.mode, center=self.center, scale=self.scale, clip=self.clip, close=-1)
        date = torch.zeros_like(condition[:, 0]) if self.one_date else None
        said = self.model(x, condition, ranks, date)
        spread = volatility[:, None] * self.root_days
        unit = self.label_scale.expand_as(spread) if self.fixed_unit else spread
        if self.head == "quantile":
            quantiles = said["quantiles"] * unit[..., None]
            return quantiles @ self.level_weights, quantiles
        last = [said["logits"].softmax(-1)] if "logits" in said else []
        expected = (said["point"] * self.score_scale if "point" in said else last[0] @ self.class_weights) * unit
        if self.head == "multi":
            last += [volatility * said["volatility"].exp(), said["momentum"]]
        around = [] if self.residual is None else [expected[..., None] + self.residual * spread[..., None]]
        return (expected, *around, *last)

    def example(self, count: int, seed: int = 0) -> tuple[Tensor, ...]:
        """Inputs of the right shape: random windows, any classes."""
        random = torch.Generator().manual_seed(seed)
        values = torch.randn(count, *self.window, generator=random)
        condition = torch.stack([torch.randint(0, size, (count,), generator=random) for size in CONDITION_SIZES], dim=1)
        ranks = torch.rand(count, len(RANKS), generator=random) - 0.5
        return values, condition, ranks, 0.01 + 0.03 * torch.rand(count, generator=random)
