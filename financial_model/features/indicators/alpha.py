"""Group ``alpha``: 158 factors of the kind of Qlib's Alpha158 (Yang et al. 2020), written in the formula language.

Shapes of the bar, prices against the close, and 29 figures over 5, 10, 20, 30 and 60 bars. Where the original divides by a volume that can
vanish, the quotient stands the other way round; everything is free of scale.
"""

from __future__ import annotations

from financial_model.features import registry
from financial_model.features.formula_functions import made

WINDOWS = (5, 10, 20, 30, 60)
BAR = {
    "kmid": "(close - open) / open", "klen": "(high - low) / open", "kmid2": "(close - open) / (high - low)",
    "kup": "(high - larger(open, close)) / open", "kup2": "(high - larger(open, close)) / (high - low)",
    "klow": "(smaller(open, close) - low) / open", "klow2": "(smaller(open, close) - low) / (high - low)",
    "ksft": "(2 * close - high - low) / open", "ksft2": "(2 * close - high - low) / (high - low)",
    "open": "open / close - 1", "high": "high / close - 1", "low": "low / close - 1", "vwap": "vwap / close - 1",
}
"""One bar."""
_UP, _DOWN = "larger(delta({x}, 1), 0)", "larger(-delta({x}, 1), 0)"
_GAIN, _LOSS = (f"sum({side}, {{n}}) / sum(abs(delta({{x}}, 1)), {{n}})" for side in (_UP, _DOWN))
ROLLING = {
    "roc": "ref(close, {n}) / close - 1", "ma": "mean(close, {n}) / close - 1", "std": "std(close, {n}) / close",
    "beta": "slope(close, {n}) / close", "rsqr": "rsquare(close, {n})", "resi": "residual(close, {n}) / close",
    "max": "max(high, {n}) / close - 1", "min": "min(low, {n}) / close - 1",
    "qtlu": "quantile(close, {n}, 0.8) / close - 1", "qtld": "quantile(close, {n}, 0.2) / close - 1",
    "rank": "ts_rank(close, {n})", "rsv": "(close - min(low, {n})) / (max(high, {n}) - min(low, {n}))",
    "imax": "bars_since_max(high, {n}) / {n}", "imin": "bars_since_min(low, {n}) / {n}",
    "imxd": "(bars_since_min(low, {n}) - bars_since_max(high, {n})) / {n}",
    "corr": "corr(close, log(volume), {n})", "cord": "corr(returns, delta(log(volume), 1), {n})",
    "cntp": "mean(returns > 0, {n})", "cntn": "mean(returns < 0, {n})", "cntd": "mean(returns > 0, {n}) - mean(returns < 0, {n})",
    "sump": _GAIN.format(x="close", n="{n}"), "sumn": _LOSS.format(x="close", n="{n}"),
    "sumd": f"{_GAIN} - {_LOSS}".format(x="close", n="{n}"),
    "vma": "volume / mean(volume, {n}) - 1", "vstd": "std(volume, {n}) / mean(volume, {n})",
    "wvma": "std(abs(returns) * volume, {n}) / mean(abs(returns) * volume, {n})",
    "vsump": _GAIN.format(x="volume", n="{n}"), "vsumn": _LOSS.format(x="volume", n="{n}"),
    "vsumd": f"{_GAIN} - {_LOSS}".format(x="volume", n="{n}"),
}
"""Over a window of ``{n}`` bars."""


def formulas() -> dict[str, str]:
    """Name -> formula of all of them."""
    over = {f"{name}_{n}": formula.format(n=n) for name, formula in ROLLING.items() for n in WINDOWS}
    return {f"alpha_{name}": formula for name, formula in {**BAR, **over}.items()}


for _name, _formula in formulas().items():
    registry.register(made(_name, _formula, "alpha", help_en=_formula, help_zh=f"公式：{_formula}"))
