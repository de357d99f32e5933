"""Sessions of both exchanges, and which are missing from a series."""

import numpy as np
import pandas as pd
import pytest

from financial_model.errors import DataError
from financial_model.market.calendar import exchange, missing_sessions, sessions


def test_sessions_are_inclusive_and_know_holidays():
    days = sessions("XSHG", "2024-02-05", "2024-02-20")
    assert [str(day) for day in days] == ["2024-02-05", "2024-02-06", "2024-02-07", "2024-02-08", "2024-02-19", "2024-02-20"]
    assert "2024-07-04" not in {str(day) for day in sessions("XNYS", "2024-07-01", "2024-07-05")}
    assert str(sessions("XSHG")[0]) == "1990-12-19"


def test_an_unknown_calendar_is_refused():
    with pytest.raises(DataError, match="XLON"):
        sessions("XLON")


def test_each_symbol_has_its_exchange():
    assert [exchange(code) for code in ("600519", "920001.BJ", "AAPL", "^GSPC")] == ["XSHG", "XSHG", "XNYS", "XNYS"]


def test_missing_sessions_between_first_and_last():
    days = sessions("XSHG", "2024-03-01", "2024-03-29")
    gone = np.delete(days, [3, 4])
    assert list(missing_sessions(gone, "XSHG")) == list(days[3:5])
    assert len(missing_sessions(days[:0], "XSHG")) == 0


@pytest.mark.real
def test_the_calendar_agrees_with_fifteen_years_of_the_index(real_data):
    held = pd.read_csv(real_data / "a_share_index" / "000001.SH.csv", parse_dates=["date"])["date"].to_numpy().astype("datetime64[D]")
    assert list(held) == list(sessions("XSHG", str(held[0]), str(held[-1])))
