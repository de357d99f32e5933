"""Dates ahead are sessions of the exchange, not weekdays; dates typed wrongly are refused."""

import numpy as np
import pytest

from financial_model.errors import ConfigError
from financial_model.serving.days import following, parse_date


def days(*dates):
    return [str(date) for date in dates[0]]


def test_the_spring_festival_is_skipped():
    assert days(following("600519.SH", np.datetime64("2024-02-08"), 2)) == ["2024-02-19", "2024-02-20"]


def test_american_holidays_are_american():
    assert days(following("AAPL", np.datetime64("2024-12-24"), 1)) == ["2024-12-26"]


def test_an_entry_a_day_later_moves_every_day():
    assert days(following("600519.SH", np.datetime64("2024-05-06"), 2, wait=1)) == ["2024-05-08", "2024-05-09"]


def test_beyond_the_published_calendar_weekdays_stand_in():
    ahead = following("600519.SH", np.datetime64("2030-01-04"), 3)
    assert days(ahead) == ["2030-01-07", "2030-01-08", "2030-01-09"]


def test_a_stock_without_a_code_has_weekdays():
    assert days(following("my own index", np.datetime64("2024-05-03"), 1)) == ["2024-05-06"]


@pytest.mark.parametrize("text", ["2024-13-01", "tomorrow", "2024", "2024-02-30", "", "2024-1-1", "20240506", "NaT"])
def test_what_is_no_date_is_refused(text):
    with pytest.raises(ConfigError, match="YYYY-MM-DD"):
        parse_date(text)


def test_a_date_is_a_date():
    assert parse_date(" 2024-05-06 ") == np.datetime64("2024-05-06")
