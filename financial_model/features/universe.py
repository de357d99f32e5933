"""The universe as a whole: the three dimensions of every row, and the summary that the page and the command line show.

In: packed bars, industries, a store. Out: condition arrays for the panel, or ``UniverseSummary``. It draws nothing and trains nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from financial_model.config import CONDITIONS
from financial_model.features.industry import industry_codes
from financial_model.features.regime import UNKNOWN as UNKNOWN_REGIME
from financial_model.features.regime import regime
from financial_model.features.series import last_at_or_before
from financial_model.features.style import style


def conditions(bars: Any, industries: Mapping[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """``(int8 [rows, 6], float32 [rows, 4])``: industry, size, value, volatility, momentum, regime as indices into ``CONDITIONS``, and style ranks.

    The index after the last name means unknown. Style and regime are those of the row's own date, known at its close.
    """
    codes = np.empty((len(bars.time), len(CONDITIONS)), dtype=np.int8)
    codes[:, 0] = np.repeat(industry_codes(bars.symbols, industries), np.diff(bars.offsets))
    codes[:, 1:5], ranks = style(bars)
    day = last_at_or_before(bars.time, bars.offsets, bars.market_time)
    daily = np.append(regime(bars.market_close), np.int8(UNKNOWN_REGIME))
    codes[:, 5] = daily[day]  # day -1, before the market's first bar, is the unknown at the end
    return codes, ranks
