"""Group ``time``: facts of the calendar, known before the bar exists. Nothing here asks when the next bar comes."""

from __future__ import annotations

import numpy as np

from financial_model.features.registry import feature
from financial_model.features.series import Series

DAY = 86_400


def dates(bars: Series) -> np.ndarray:
    return bars.once("dates", lambda: (bars.time // DAY).astype("datetime64[D]"))


def _turn(share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.sin(2.0 * np.pi * share), np.cos(2.0 * np.pi * share)


def _weekday(bars: Series) -> np.ndarray:
    """Monday 0 .. Sunday 6."""
    return (dates(bars).astype(np.int64) + 3) % 7


def _month(bars: Series) -> np.ndarray:
    return dates(bars).astype("datetime64[M]").astype(np.int64) % 12


def _month_share(bars: Series) -> np.ndarray:
    """0 on the first calendar day of the month, 1 on the last."""
    start = dates(bars).astype("datetime64[M]")
    length = ((start + 1).astype("datetime64[D]") - start.astype("datetime64[D]")).astype(np.int64)
    return (dates(bars) - start.astype("datetime64[D]")).astype(np.int64) / (length - 1.0)


@feature("weekday_sin", "time", help_en="day of the week, sine over a five-day week", help_zh="星期几（五日一周的正弦）")
def weekday_sin(bars: Series) -> np.ndarray:
    return _turn(_weekday(bars) / 5.0)[0]


@feature("weekday_cos", "time", help_en="day of the week, cosine over a five-day week", help_zh="星期几（五日一周的余弦）")
def weekday_cos(bars: Series) -> np.ndarray:
    return _turn(_weekday(bars) / 5.0)[1]


@feature("month_sin", "time", help_en="month of the year, sine", help_zh="月份（正弦）")
def month_sin(bars: Series) -> np.ndarray:
    return _turn(_month(bars) / 12.0)[0]


@feature("month_cos", "time", help_en="month of the year, cosine", help_zh="月份（余弦）")
def month_cos(bars: Series) -> np.ndarray:
    return _turn(_month(bars) / 12.0)[1]


@feature("quarter_place", "time", help_en="place in the quarter, -0.5 at its start, 0.5 at its end", help_zh="季度内的位置，季初 -0.5，季末 0.5")
def quarter_place(bars: Series) -> np.ndarray:
    return (_month(bars) % 3 + _month_share(bars)) / 3.0 - 0.5


@feature("month_place", "time", help_en="place in the month, -0.5 on its first day, 0.5 on its last", help_zh="月内的位置，首日 -0.5，末日 0.5")
def month_place(bars: Series) -> np.ndarray:
    return _month_share(bars) - 0.5


@feature("month_start", "time", help_en="1 on the first weekday of the calendar month", help_zh="当月第一个工作日为 1")
def month_start(bars: Series) -> np.ndarray:
    start = dates(bars).astype("datetime64[M]").astype("datetime64[D]")
    return (np.busday_offset(start, 0, roll="forward") == dates(bars)).astype(np.float64)


@feature("month_end", "time", help_en="1 on the last weekday of the calendar month", help_zh="当月最后一个工作日为 1")
def month_end(bars: Series) -> np.ndarray:
    following = (dates(bars).astype("datetime64[M]") + 1).astype("datetime64[D]")
    return (np.busday_offset(following, -1, roll="forward") == dates(bars)).astype(np.float64)


@feature("day_share", "time", help_en="time of day, -0.5 at midnight, 0 at noon; constant for daily bars",
         help_zh="一天中的时刻，零点 -0.5，正午 0；日线恒定")
def day_share(bars: Series) -> np.ndarray:
    return bars.time % DAY / DAY - 0.5
