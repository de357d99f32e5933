"""Many symbols end to end, and the market series beside them."""

import numpy as np
import pandas as pd
import pytest

from financial_model.errors import DataError, NotFoundError
from financial_model.market.bars import pack
from financial_model.market.packing import EQUAL_WEIGHT
from financial_model.market.store import Store
from tests.market.builders import bars


@pytest.fixture
def store(workspace):
    store = Store(workspace.data_dir)
    for number, symbol in enumerate(("600000.SH", "600519.SH", "000002.SZ")):
        store.write_bars(symbol, bars(80, seed=number), source="files")
    return store


def test_rows_of_a_symbol_are_its_bars(store):
    packed = pack(store, ["600519.SH", "000002.SZ"])
    assert packed.symbols == ("600519.SH", "000002.SZ") and packed.offsets.tolist() == [0, 80, 160]
    frame = store.read_bars("000002.SZ")
    rows = packed.rows("000002.SZ")
    for column in ("open", "high", "low", "close", "volume", "amount", "factor"):
        np.testing.assert_array_equal(getattr(packed, column)[rows], frame[column])
    np.testing.assert_array_equal(packed.time[rows], frame["date"].to_numpy().astype("datetime64[s]").astype(np.int64))
    assert packed.time.dtype == packed.offsets.dtype == np.int64


def test_adjusted_is_raw_times_factor(workspace):
    store = Store(workspace.data_dir)
    store.write_bars("600519.SH", bars(10).assign(factor=np.repeat([1.0, 2.0], 5)), source="files")
    packed = pack(store, ["600519.SH"])
    np.testing.assert_array_equal(packed.adjusted("high"), packed.high * packed.factor)


def test_a_range_of_dates_is_inclusive_and_leaves_out_who_has_nothing_in_it(store):
    days = bars(80)["date"].dt.strftime("%Y-%m-%d")
    store.write_bars("688981.SH", bars(10, start="2023-01-03"), source="files")
    packed = pack(store, ["600000.SH", "688981.SH"], start=days[10], end=days[19])
    assert packed.symbols == ("600000.SH",) and len(packed.time) == 10
    with pytest.raises(DataError) as caught:
        pack(store, ["600000.SH"], start="2030-01-01")
    assert caught.value.key == "bars.nothing_in_range"
    with pytest.raises(DataError, match="not-a-date"):
        pack(store, ["600000.SH"], start="not-a-date")


def test_extra_columns_are_joined_with_nan_where_absent(store):
    store.write_bars("688981.SH", bars(20).assign(pb=2.5, turnover=np.arange(20.0)), source="files")
    packed = pack(store, ["600000.SH", "688981.SH"])
    assert np.isnan(packed.extra["pb"][packed.rows("600000.SH")]).all()
    assert (packed.extra["turnover"][packed.rows("688981.SH")] == np.arange(20)).all()
    assert set(pack(store, ["600000.SH", "688981.SH"], columns=("pb",)).extra) == {"pb", "tradable"}


def test_suspended_days_are_there_but_not_tradable(workspace):
    store = Store(workspace.data_dir)
    frame = bars(10).assign(trade_status=1.0)
    frame.loc[3, ["volume", "amount"]] = 0.0
    frame.loc[5, "trade_status"] = 0.0
    store.write_bars("600519.SH", frame, source="files")
    tradable = pack(store, ["600519.SH"]).extra["tradable"]
    assert np.flatnonzero(tradable == 0).tolist() == [3, 5]


def test_an_index_that_covers_the_days_is_the_market(store):
    index = bars(130, seed=9, start="2019-11-01", level=3000)
    store.write_bars("000300.SH", index, source="files")
    packed = pack(store, ["600000.SH", "600519.SH"])
    assert packed.market_name == "000300.SH"
    assert packed.market_time[0] < packed.time[0]  # earlier history stays: a regime needs it
    short = pack(store, ["600000.SH"], end="2020-02-28")
    assert short.market_time[-1] <= short.time[-1] + 86_400


def test_an_index_that_ends_early_does_not_stand_for_the_market(store):
    store.write_bars("000300.SH", bars(70, seed=9, level=3000), source="files")
    assert pack(store, ["600000.SH"]).market_name == EQUAL_WEIGHT


def test_the_equal_weight_chain_averages_log_returns_of_stocks_traded_both_days(workspace):
    store = Store(workspace.data_dir)
    first, second = bars(6, seed=1), bars(6, seed=2)
    second.loc[3, "volume"] = 0.0  # no return into or out of a suspended day
    second = second.drop(index=1)  # nor across a day without a row
    for symbol, frame in (("600000.SH", first), ("600519.SH", second)):
        store.write_bars(symbol, frame, source="files")
    packed = pack(store, ["600000.SH", "600519.SH"])
    step = np.log(first["close"]).diff().to_numpy()
    other = np.log(bars(6, seed=2)["close"]).diff().to_numpy()
    expected = [step[1], step[2], step[3], step[4], (step[5] + other[5]) / 2]
    np.testing.assert_allclose(np.diff(np.log(packed.market_close)), expected, atol=1e-12)
    assert packed.market_close[0] == 1000 and packed.market_name == EQUAL_WEIGHT


def test_the_chain_up_to_a_day_does_not_know_what_follows(store):
    whole, part = pack(store, ["600000.SH", "600519.SH"]), pack(store, ["600000.SH", "600519.SH"], end="2020-03-31")
    np.testing.assert_array_equal(part.market_close, whole.market_close[: len(part.market_close)])


def test_unknown_symbols_and_other_mistakes(store):
    with pytest.raises(NotFoundError) as caught:
        pack(store, ["600000.SH", "AAPL"])
    assert "AAPL" in str(caught.value)
    with pytest.raises(DataError):
        pack(store, ["600000.SH"]).rows("AAPL")


def test_bars_of_different_length_do_not_mix(store):
    minutes = pd.date_range("2024-01-02 09:45", periods=30, freq="15min").as_unit("s")
    store.write_bars("688981.SH", bars(30).assign(date=minutes), source="files")
    with pytest.raises(DataError) as caught:
        pack(store, ["600000.SH", "688981.SH"])
    assert caught.value.key == "bars.mixed_intervals" and "15" in str(caught.value)
    assert len(pack(store, ["688981.SH"]).time) == 30


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace("date,open", "date,offen"),
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: text.replace(",1\n", ",x\n", 1),
        lambda text: text.splitlines()[0] + "\n" + "\n".join(reversed(text.splitlines()[1:])) + "\n",
        lambda text: text.replace(",1\n", ",-1\n", 1),
    ],
)
def test_a_file_edited_beyond_repair_is_named(store, damage):
    path = store.bar_path("600519.SH")
    path.write_text(damage(path.read_text()))
    with pytest.raises(DataError) as caught:
        pack(store, ["600000.SH", "600519.SH"])
    assert caught.value.key == "bars.damaged" and "600519.SH" in str(caught.value)
