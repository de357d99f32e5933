"""Group ``time``: facts of the calendar, known before the bar exists. Nothing here asks when the next bar comes."""

from __future__ import annotations

import numpy as np

from financial_model.features.registry import feature
from financial_model.features.series import Series

DAY = 86_400


def _facts(bars: Series) -> dict[str, np.ndarray]:
    """Figures of every calendar day from the first bar's to the last one's, worked out once a day and not once a bar."""
    def compute() -> dict[str, np.ndarray]:
        number = bars.time // DAY
        first, last = (int(number.min()), int(number.max())) if len(number) else (0, 0)
        days = np.arange(first, last + 1).astype("datetime64[D]")
        months = days.astype("datetime64[M]")
        start, following = months.astype("datetime64[D]"), (months + 1).astype("datetime64[D]")
        month = months.astype(np.int64) % 12
        place = (days - start).astype(np.int64) / ((following - start).astype(np.int64) - 1.0)
        weekday = (days.astype(np.int64) + 3) % 7  # Monday 0
        return {
            "row": number - first, "place": place, "quarter": (month % 3 + place) / 3.0,
            "weekday_sin": np.sin(2.0 * np.pi * weekday / 5.0), "weekday_cos": np.cos(2.0 * np.pi * weekday / 5.0),
            "month_sin": np.sin(2.0 * np.pi * month / 12.0), "month_cos": np.cos(2.0 * np.pi * month / 12.0),
            "first": (np.busday_offset(start, 0, roll="forward") == days).astype(np.float64),
            "last": (np.busday_offset(following, -1, roll="forward") == days).astype(np.float64),
        }
    return bars.once("calendar", compute)


def _on(bars: Series, fact: str) -> np.ndarray:
    facts = _facts(bars)
    return facts[fact][facts["row"]]


@feature("weekday_sin", "time", help_en="day of the week, sine over a five-day week", help_zh="星期几（五日一周的正弦）")
def weekday_sin(bars: Series) -> np.ndarray:
    return _on(bars, "weekday_sin")


@feature("weekday_cos", "time", help_en="day of the week, cosine over a five-day week", help_zh="星期几（五日一周的余弦）")
def weekday_cos(bars: Series) -> np.ndarray:
    return _on(bars, "weekday_cos")


@feature("month_sin", "time", help_en="month of the year, sine", help_zh="月份（正弦）")
def month_sin(bars: Series) -> np.ndarray:
    return _on(bars, "month_sin")


@feature("month_cos", "time", help_en="month of the year, cosine", help_zh="月份（余弦）")
def month_cos(bars: Series) -> np.ndarray:
    return _on(bars, "month_cos")


@feature("quarter_place", "time", help_en="place in the quarter, -0.5 at its start, 0.5 at its end", help_zh="季度内的位置，季初 -0.5，季末 0.5")
def quarter_place(bars: Series) -> np.ndarray:
    return _on(bars, "quarter") - 0.5


@feature("month_place", "time", help_en="place in the month, -0.5 on its first day, 0.5 on its last", help_zh="月内的位置，首日 -0.5，末日 0.5")
def month_place(bars: Series) -> np.ndarray:
    return _on(bars, "place") - 0.5


@feature("month_start", "time", help_en="1 on the first weekday of the calendar month", help_zh="当月第一个工作日为 1")
def month_start(bars: Series) -> np.ndarray:
    return _on(bars, "first")


@feature("month_end", "time", help_en="1 on the last weekday of the calendar month", help_zh="当月最后一个工作日为 1")
def month_end(bars: Series) -> np.ndarray:
    return _on(bars, "last")


@feature("day_share", "time", help_en="time of day, -0.5 at midnight, 0 at noon; constant for daily bars",
         help_zh="一天中的时刻，零点 -0.5，正午 0；日线恒定")
def day_share(bars: Series) -> np.ndarray:
    return bars.time % DAY / DAY - 0.5
