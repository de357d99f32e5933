"""What a forecaster says: points, quantiles, classes or several of these, in units of ``Batch.unit`` (one unit is a usual move over that many days).

In: a state [B, size]. Out: a dict of float32 tensors. Heads know no backbone and no loss.
"""

from __future__ import annotations

from statistics import NormalDist

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from financial_model.config import CLASSES, FIGURES
from financial_model.errors import ConfigError


def readout(size: int, outputs: int) -> nn.Linear:
    """A linear layer that starts a tenth as large as usual: returns are mostly noise, so a first forecast near zero is nearly right."""
    layer = nn.Linear(size, outputs)
    with torch.no_grad():
        layer.weight.mul_(0.1)
        layer.bias.zero_()
    return layer


class PointHead(nn.Module):
    """``{"point": [B, H]}``"""

    def __init__(self, size: int, horizon: int, levels: tuple[float, ...]) -> None:
        super().__init__()
        self.readout = readout(size, horizon)

    def forward(self, state: Tensor) -> dict[str, Tensor]:
        return {"point": self.readout(state).float()}


class QuantileHead(nn.Module):
    """``{"quantiles": [B, H, Q]}``: the median, and positive steps (softplus) away from it on both sides, so that levels never cross.

    Its biases start at the quantiles of a standard normal: the target is in units of the stock's own volatility, so this is a fair
    forecast before the first step.
    """

    def __init__(self, size: int, horizon: int, levels: tuple[float, ...]) -> None:
        super().__init__()
        if 0.5 not in levels or list(levels) != sorted(set(levels)):
            raise ConfigError("config.quantile_levels", levels=", ".join(map(str, levels)))
        self.horizon, self.levels, self.middle = horizon, levels, levels.index(0.5)
        self.readout = readout(size, horizon * len(levels))
        normal = [NormalDist().inv_cdf(level) for level in levels]
        below = [after - before for before, after in zip(normal[:self.middle], normal[1:], strict=False)]
        above = [after - before for before, after in zip(normal[self.middle:], normal[self.middle + 1:], strict=False)]
        start = torch.tensor(below + [0.0] + above)
        steps = torch.arange(len(levels)) != self.middle
        start[steps] = torch.log(torch.expm1(start[steps]))  # the inverse of softplus
        with torch.no_grad():
            self.readout.bias.copy_(start.repeat(horizon))

    def forward(self, state: Tensor) -> dict[str, Tensor]:
        raw = self.readout(state).float().unflatten(1, (self.horizon, len(self.levels)))
        median = raw[..., self.middle:self.middle + 1]
        below = F.softplus(raw[..., :self.middle]).flip(-1).cumsum(-1).flip(-1)
        above = F.softplus(raw[..., self.middle + 1:]).cumsum(-1)
        return {"quantiles": torch.cat((median - below, median, median + above), dim=-1)}


class ClassHead(nn.Module):
    """``{"logits": [B, 3]}`` for config.CLASSES: up, flat, down."""

    def __init__(self, size: int, horizon: int, levels: tuple[float, ...]) -> None:
        super().__init__()
        self.readout = readout(size, len(CLASSES))

    def forward(self, state: Tensor) -> dict[str, Tensor]:
        return {"logits": self.readout(state).float()}


class MultiHead(nn.Module):
    """``{"logits": [B, 3], "point": [B, H], "volatility": [B], "momentum": [B]}`` from one state.

    ``volatility`` is the logarithm of the volatility within the horizon over the stock's trailing one, so a first forecast says that it stays;
    ``momentum`` is the mean return of a bar within the horizon over the root mean square, -1 to 1 (``features/labels.py``).
    """

    def __init__(self, size: int, horizon: int, levels: tuple[float, ...]) -> None:
        super().__init__()
        self.classes, self.returns = ClassHead(size, horizon, levels), PointHead(size, horizon, levels)
        self.figures = readout(size, len(FIGURES))

    def forward(self, state: Tensor) -> dict[str, Tensor]:
        figures = self.figures(state).float().unbind(1)
        return {**self.classes(state), **self.returns(state), **dict(zip(FIGURES, figures, strict=True))}


Head = PointHead | QuantileHead | ClassHead | MultiHead
_HEADS: dict[str, type[Head]] = {"point": PointHead, "quantile": QuantileHead, "classes": ClassHead, "multi": MultiHead}


def build_head(name: str, size: int, horizon: int, levels: tuple[float, ...]) -> Head:
    """The head ``name`` on states of ``size`` components; ``ConfigError`` for an unknown name (``auto`` is resolved by RunConfig.head)."""
    if name not in _HEADS:
        raise ConfigError("models.unknown_head", name=name, known=", ".join(_HEADS))
    return _HEADS[name](size, horizon, levels)


def return_readout(head: Head) -> nn.Linear | None:
    """The layer that says returns as points; None in a head that says none."""
    point = head.returns if isinstance(head, MultiHead) else head
    return point.readout if isinstance(point, PointHead) else None


def begin_at(head: PointHead | QuantileHead, middle: Tensor) -> None:
    """Let a fresh head begin around ``middle`` [H], in units, instead of zero: what is asked need not be a return."""
    with torch.no_grad():
        if isinstance(head, QuantileHead):
            head.readout.bias.view(head.horizon, -1)[:, head.middle].add_(middle)
        else:
            head.readout.bias.add_(middle)
