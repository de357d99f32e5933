"""Attention across the stocks of one date: what a stock's window says, seen beside the windows of all the others on that day.

In: states [B, size] of windows in any order, the date of each, its industry. Out: states of the same shape. Rows of other dates are masked, so how
stocks are ordered or batched changes nothing, as long as a date is whole; a stock that is missing is simply not there. It knows no time axis: the
backbone has read that before.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from financial_model.config import CONDITION_SIZES, CONDITIONS
from financial_model.kernels.attention import attention

HEADS, HEAD_SIZE = 4, 16
INDUSTRY_SIZE = 16
_INDUSTRY = list(CONDITIONS).index("industry")


class CrossSection(nn.Module):
    """state + what the stock takes from its date: one pre-norm attention on a residual path.

    The path starts a tenth as large as usual, so training begins near the model without it. ``by_industry``: whom a stock looks at may also
    depend on both industries, which is how one industry can follow another.
    """

    def __init__(self, size: int, *, by_industry: bool, dropout: float) -> None:
        super().__init__()
        width, known = HEADS * HEAD_SIZE, INDUSTRY_SIZE if by_industry else 0
        self.norm = nn.LayerNorm(size)
        self.industry = nn.Embedding(CONDITION_SIZES[_INDUSTRY], INDUSTRY_SIZE) if by_industry else None
        self.query_key = nn.Linear(size + known, 2 * width)
        self.value, self.out = nn.Linear(size, width), nn.Linear(width, size)
        self.dropout = nn.Dropout(dropout)
        with torch.no_grad():
            self.out.weight.mul_(0.1)
            self.out.bias.zero_()

    def forward(self, state: Tensor, condition: Tensor, date: Tensor | None) -> Tensor:
        """``condition`` int64 [B, 6], ``date`` int64 [B]. Without dates every stock is alone and sees only itself."""
        normed = self.norm(state)
        value = self.value(normed)
        if date is not None:
            value = self._attend(normed, value, condition, date)
        return state + self.dropout(self.out(value))

    def _attend(self, normed: Tensor, value: Tensor, condition: Tensor, date: Tensor) -> Tensor:
        seen = normed if self.industry is None else torch.cat((normed, self.industry(condition[:, _INDUSTRY]).to(normed.dtype)), dim=1)
        query, key = self.query_key(seen).chunk(2, dim=1)
        found = attention(*(_heads(part) for part in (query, key, value)), mask=date[:, None] == date)
        return found[0].transpose(0, 1).flatten(1)


def _heads(rows: Tensor) -> Tensor:
    """[B, heads x size] -> [1, heads, B, size]: the stocks are the sequence."""
    return rows.view(len(rows), HEADS, HEAD_SIZE).transpose(0, 1)[None]
