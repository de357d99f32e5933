"""What a bar table must satisfy, and the sentence for each way it can fail."""

import numpy as np
import pandas as pd
import pytest

from financial_model.errors import DataError
from financial_model.market.bars import COLUMNS, adjusted, interval, validate
from tests.market.builders import bars


def refused(frame, key, **fields):
    with pytest.raises(DataError) as caught:
        validate(frame, "600519.SH")
    assert caught.value.key == key
    for name, value in fields.items():
        assert caught.value.fields[name] == value
    assert str(caught.value) and caught.value.message("zh") != str(caught.value)
    assert "600519.SH" in str(caught.value)


def test_a_good_table_gets_its_columns_in_order_and_keeps_its_extras():
    frame = bars(5).assign(pb=[1.0, 2.0, np.nan, np.inf, 3.0])[["close", "pb", "date", "open", "high", "low", "volume"]]
    clean = validate(frame, "600519.SH")
    assert list(clean.columns) == [*COLUMNS, "pb"]
    assert clean["amount"].isna().all() and (clean["factor"] == 1).all()
    assert clean["pb"].isna().sum() == 2  # infinite is unknown
    assert clean["date"].dtype == "datetime64[s]"
    pd.testing.assert_series_equal(clean["close"], bars(5)["close"])


def test_texts_that_are_numbers_and_dates_are_read():
    frame = bars(4)
    texts = frame.astype(str).assign(date=frame["date"].dt.strftime("%Y-%m-%d"))
    pd.testing.assert_frame_equal(validate(texts, "x"), validate(frame, "x"))


def test_descending_dates_are_turned_round_and_repetitions_dropped():
    frame = bars(6)
    turned = validate(pd.concat([frame.iloc[::-1], frame.iloc[[2, 2]]]), "x")
    pd.testing.assert_frame_equal(turned, validate(frame, "x"))


def test_one_row_is_a_table():
    assert len(validate(bars(1), "x")) == 1


def test_an_empty_table_is_not():
    refused(bars(3).iloc[:0], "bars.empty")


def test_missing_columns_are_named():
    refused(bars(3).drop(columns=["high", "volume"]), "bars.missing_columns", missing="high, volume")


def test_text_in_a_price_is_refused_with_its_line():
    frame = bars(5).astype({"close": object})
    frame.loc[3, "close"] = "abc"
    refused(frame, "bars.not_a_number", line=5, column="close", value="abc")


def test_a_bad_date_is_refused_with_its_line():
    frame = bars(5)
    texts = frame["date"].dt.strftime("%Y-%m-%d").astype(object)
    texts[2] = "2020-02-30"
    refused(frame.assign(date=texts), "bars.bad_date", line=4, value="2020-02-30")
    texts[2] = "1020-02-03"
    refused(frame.assign(date=texts), "bars.bad_date", line=4)


@pytest.mark.parametrize(
    ("column", "value", "key"),
    [
        ("close", np.nan, "bars.not_finite"),
        ("open", np.inf, "bars.not_finite"),
        ("low", 0.0, "bars.not_positive"),
        ("close", -1.0, "bars.not_positive"),
        ("volume", np.inf, "bars.not_finite"),
        ("volume", np.nan, "bars.not_finite"),
        ("volume", -5.0, "bars.negative_volume"),
        ("amount", -5.0, "bars.negative_volume"),
        ("factor", 0.0, "bars.not_positive"),
    ],
)
def test_impossible_values(column, value, key):
    frame = bars(5).assign(factor=1.0)
    frame.loc[1, column] = value
    refused(frame, key, line=3, column=column)


def test_high_below_low():
    frame = bars(5)
    frame.loc[2, ["high", "low"]] = [9.9, 10.2]
    refused(frame, "bars.high_below_low", line=4)


def test_close_outside_the_range_beyond_rounding():
    frame = bars(5)
    frame.loc[2, "close"] = frame.loc[2, "high"] * 1.01
    refused(frame, "bars.outside_range", line=4)


def test_rounding_of_the_source_widens_the_range():
    frame = bars(5, level=1000)
    frame.loc[2, "close"] = frame.loc[2, "high"] * 1.0005
    frame.loc[3, "open"] = frame.loc[3, "low"] * 0.9995
    clean = validate(frame, "x")
    assert clean["high"][2] == frame["close"][2] and clean["low"][3] == frame["open"][3]


def test_the_same_day_twice_with_different_content():
    frame = pd.concat([bars(5), bars(5).iloc[[2]].assign(close=lambda part: part["open"])], ignore_index=True)
    refused(frame, "bars.duplicate_date", date="2020-01-06", line=4, other=7)


def test_a_suspended_day_without_volume_is_kept_as_zero():
    frame = bars(5)
    frame.loc[2, ["open", "high", "low", "close"]] = 9.99
    frame.loc[2, ["volume", "amount"]] = np.nan
    clean = validate(frame, "x")
    assert clean["volume"][2] == 0 and np.isnan(clean["amount"][2]) and len(clean) == 5


def test_lines_of_the_file_can_be_given():
    frame = bars(5)
    frame.loc[4, "close"] = -1
    with pytest.raises(DataError) as caught:
        validate(frame, "x", lines=[10, 12, 14, 16, 18])
    assert caught.value.fields["line"] == 18


def test_adjusted_prices_are_raw_times_factor():
    frame = validate(bars(4).assign(factor=[1.0, 1.0, 2.0, 2.0]), "x")
    assert (adjusted(frame)["low"] == frame["low"] * frame["factor"]).all()
    assert (adjusted(frame)["volume"] == frame["volume"]).all()


def test_minute_bars_are_bars():
    times = pd.date_range("2024-01-02 09:45", periods=5, freq="15min").as_unit("s")
    clean = validate(bars(5).assign(date=times), "x")
    assert list(clean["date"]) == list(times) and interval(clean["date"]) == 900
    assert interval(bars(30)["date"]) == 86_400 and interval(bars(1)["date"]) == 0
