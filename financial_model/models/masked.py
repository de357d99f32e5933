"""Pre-training without labels: patches of a window are hidden, and the encoder has to fill them in from the others (MAE, PatchTST).

In: windows x [B, T, F] and a backbone that reads patches. Out: how wrong the hidden bars were filled in, per window; and the backbone's weights
under their own names. It knows no panel, no label and no loop. Nothing of it remains in a forecaster: a mask never reaches a forecast.

Patches overlap, so a hidden patch shares bars with its neighbours. Only bars that lie in no visible patch are hidden from the stem, and only
they are scored: copying a shared bar would be no skill.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from financial_model.config import PATCH, PATCH_OVERLAP
from financial_model.models.forecaster import AUXILIARY
from financial_model.models.registry import Backbone
from financial_model.models.stem import cut, patches_of

ERROR = "error"
STRIDE = PATCH - PATCH_OVERLAP


class MaskedPatches(nn.Module):
    """A backbone between a stem whose output is partly covered by one learned token and a linear layer back to bars."""

    covers: Tensor

    def __init__(self, backbone: Backbone, *, inputs: int, context_length: int, size: int, share: float, balance: float) -> None:
        super().__init__()
        self.stem, self.backbone, self.balance = cast(nn.Module, backbone.embed), backbone, balance
        backbone.embed = nn.Identity()
        self.token = nn.Parameter(torch.zeros(size))
        self.decode = nn.Linear(size, PATCH * inputs)
        self.patches = patches_of(context_length)
        self.hidden = min(max(1, round(share * self.patches)), self.patches - 1)
        """Patches hidden in each window."""
        self.padding = PATCH + (self.patches - 1) * STRIDE - context_length
        begin = torch.arange(self.patches)[:, None] * STRIDE
        bar = torch.arange(self.padding + context_length)
        self.register_buffer("covers", ((bar >= begin) & (bar < begin + PATCH)).float(), persistent=False)

    def forward(self, x: Tensor, condition: Tensor | None = None, ranks: Tensor | None = None, date: Tensor | None = None) -> dict[str, Tensor]:
        """``{"error": [B]}`` under a mask drawn anew, and while training the backbone's own loss. Only the windows are looked at."""
        return self.reconstruct(x, self.draw(len(x), device=x.device))

    def draw(self, windows: int, *, device: torch.device | None = None, generator: torch.Generator | None = None) -> Tensor:
        """bool [windows, patches], True where hidden; equally many in every window."""
        chosen = torch.rand(windows, self.patches, device=device, generator=generator).topk(self.hidden, dim=1).indices
        return torch.zeros(windows, self.patches, dtype=torch.bool, device=device).scatter_(1, chosen, True)

    def reconstruct(self, x: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """As :meth:`forward`, under a given mask."""
        seen = x * self.visible(mask)[:, self.padding:, None]
        covered = torch.where(mask.unsqueeze(-1), self.token, self.stem(seen))
        encoded, balance = self._encode(covered)
        outputs = {ERROR: self.error(self.decode(encoded), x, mask)}
        if balance is not None and self.training:
            outputs[AUXILIARY] = self.balance * balance
        return outputs

    def error(self, guess: Tensor, x: Tensor, mask: Tensor) -> Tensor:
        """Mean squared distance [B] of ``guess`` [B, patches, PATCH * F] (or broadcast to it) from the hidden bars of x."""
        hidden = ~self.visible(mask)
        hidden[:, :self.padding] = False
        scored = (hidden.unfold(1, PATCH, STRIDE) & mask.unsqueeze(-1)).float()
        distance = (guess.float() - cut(x)).square().unflatten(-1, (PATCH, -1)).mean(-1)
        return (scored * distance).sum((1, 2)) / scored.sum((1, 2))

    def visible(self, mask: Tensor) -> Tensor:
        """bool [B, padding + T]: bars that lie in a visible patch."""
        return (~mask).float() @ self.covers > 0

    def encoder_state(self) -> dict[str, Tensor]:
        """The weights of the backbone under the names they have in a forecaster."""
        stem = {f"embed.{name}": tensor for name, tensor in self.stem.state_dict().items()}
        return {**self.backbone.state_dict(), **stem}

    def _encode(self, covered: Tensor) -> tuple[Tensor, Tensor | None]:
        found = cast(Callable[[Tensor], Tensor | tuple[Tensor, Tensor]], self.backbone.encode)(covered)
        return found if isinstance(found, tuple) else (found, None)
