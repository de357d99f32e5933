"""Group ``lag``: one-bar returns and volume ratios of earlier bars, for models that read only the last row."""

from __future__ import annotations

import numpy as np

from financial_model.features.indicators.volume import volume_ratio
from financial_model.features.registry import feature
from financial_model.features.series import Series


@feature("return_lag_{n}", "lag", over=(1, 2, 3, 5, 10), help_en="one-bar log return of {n} bars ago", help_zh="{n} 日前的单日对数收益")
def return_lag(bars: Series, n: int) -> np.ndarray:
    return bars.shift("log_return", n)


@feature("volume_lag_{n}", "lag", over=(1, 2, 3, 5, 10), help_en="volume against its 20-bar mean, {n} bars ago",
         help_zh="{n} 日前的成交量相对 20 日均量")
def volume_lag(bars: Series, n: int) -> np.ndarray:
    return bars.shift(bars.once("volume_ratio_20", lambda: volume_ratio(bars, 20)), n)
