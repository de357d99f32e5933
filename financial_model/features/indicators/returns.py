"""Group ``return``: log returns over the last bars."""

from __future__ import annotations

import numpy as np

from financial_model.features.registry import feature
from financial_model.features.series import Series


@feature("return_{n}", "return", over=(1, 2, 3, 5, 10, 20, 60), help_en="log return over {n} bars", help_zh="{n} 日对数收益")
def log_return(bars: Series, n: int) -> np.ndarray:
    return bars.change("log_close", n)
