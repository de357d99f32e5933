"""Forecasts of a run on the store: one stock with its history and later truth, the pool ranked in one go."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from financial_model.errors import ConfigError, DataError, NotFoundError
from financial_model.market.store import Store
from financial_model.serving.predictor import Predictor, _seen
from tests.serving.builders import SYMBOLS, bars, trading_days


@pytest.fixture(scope="module")
def predictor(finished):
    return Predictor(finished[0])


def keys(found):
    return [note["key"].removeprefix("serving.") for note in found["notes"]]


# ---------------------------------------------------------------- one stock
def test_the_newest_forecast_begins_after_the_newest_bar(predictor):
    found = predictor.forecast("finished", "600519.SH")
    assert found["as_of"] == "2024-06-28" and found["name"] == "贵州茅台" and found["industry"] == "consumer"
    assert [day["date"] for day in found["table"]] == ["2024-07-01", "2024-07-02", "2024-07-03"] == found["fan"]["date"]
    assert found["truth"] == {"date": [], "price": [], "log_return": []} and len(found["history"]["date"]) == 120
    assert found["history"]["close"][-1] == found["price"]
    assert json.loads(json.dumps(found)) == found


def test_bands_enclose_each_other_and_the_median(predictor):
    fan = predictor.forecast("finished", "600519.SH")["fan"]
    for day in range(3):
        edges = [fan["95"]["low"], fan["80"]["low"], fan["50"]["low"], fan["median"], fan["50"]["high"], fan["80"]["high"], fan["95"]["high"]]
        assert [edge[day] for edge in edges] == sorted(edge[day] for edge in edges)


def test_chances_of_the_classes_add_up(predictor):
    found = predictor.forecast("finished", "600519.SH")
    assert sum(found["classes"].values()) == pytest.approx(1) and set(found["class_line"]) == {"up", "flat", "down"}


@pytest.mark.parametrize("writing", ["600519", "sh600519", "SH600519", "600519.SS", "贵州茅台", "茅台", "gzmt"])
def test_a_stock_is_found_in_every_writing(predictor, writing):
    assert predictor.resolve(writing) == "600519.SH"


def test_the_past_is_forecast_as_it_was_and_the_truth_laid_over(predictor, finished):
    found = predictor.forecast("finished", "600519.SH", "2024-06-20")
    table = Store(finished[0].data_dir).read_bars("600519.SH")
    at = int(np.flatnonzero(table["date"] == "2024-06-20")[0])
    assert found["price"] == table["close"][at] and found["history"]["date"][-1] == "2024-06-20"
    assert found["truth"]["price"] == pytest.approx(table["close"][at + 1:at + 4].tolist())
    assert found["truth"]["log_return"] == pytest.approx(np.log(table["close"][at + 1:at + 4] / table["close"][at]).tolist())
    assert [day["date"] for day in found["table"]] == found["truth"]["date"]


def test_between_sessions_the_last_one_counts(predictor):
    assert predictor.forecast("finished", "600519.SH", "2024-06-23")["as_of"] == "2024-06-21"


def test_what_came_later_does_not_change_a_forecast(copied):
    before = Predictor(copied).forecast("finished", "600519.SH", "2024-05-20")["table"]
    store = Store(copied.data_dir)
    for symbol in SYMBOLS:
        table = store.read_bars(symbol)
        later = table["date"] > "2024-05-20"
        table.loc[later, ["open", "high", "low", "close"]] *= 2
        store.write_bars(symbol, table, source="files")
    assert Predictor(copied).forecast("finished", "600519.SH", "2024-05-20")["table"] == before


def test_a_split_after_the_date_is_no_jump(copied):
    store = Store(copied.data_dir)
    plain = Predictor(copied).forecast("finished", "600519.SH", "2024-06-20")
    table = store.read_bars("600519.SH")
    later = table["date"] > "2024-06-24"
    table.loc[later, ["open", "high", "low", "close"]] /= 2
    table.loc[later, "factor"] *= 2
    store.write_bars("600519.SH", table, source="files")
    split = Predictor(copied).forecast("finished", "600519.SH", "2024-06-20")
    assert split["truth"]["price"] == pytest.approx(plain["truth"]["price"]) and split["price"] == plain["price"]


def test_dates_the_model_has_seen_are_marked(predictor, finished):
    assert "note_in_train" in keys(predictor.forecast("finished", "600519.SH", "2024-01-10"))
    assert "note_in_validation" in keys(predictor.forecast("finished", "600519.SH", "2024-04-22"))
    assert keys(predictor.forecast("finished", "600519.SH")) == []
    assert keys(predictor.forecast("finished", "600519.SH", "2030-01-01")) == ["note_earlier"], "the newest bar is older than the date asked for"


def test_a_stock_behind_the_others_says_so(copied):
    store = Store(copied.data_dir)
    store.write_bars("600519.SH", store.read_bars("600519.SH").iloc[:-4], source="files")
    predictor = Predictor(copied)
    (note,) = [note for note in predictor.forecast("finished", "600519.SH")["notes"] if note["key"] == "serving.note_behind"]
    assert note["fields"] == {"as_of": "2024-06-24", "newest": "2024-06-28", "sessions": 4}
    assert "note_behind" not in keys(predictor.forecast("finished", "600519.SH", "2024-06-24")) + keys(predictor.forecast("finished", "600000.SH"))


def test_every_day_before_the_test_is_marked():
    split = {"train": {"first": "2021-01-04", "last": "2022-12-23"}, "validation": {"first": "2023-01-03", "last": "2023-06-20"},
             "test": {"first": "2023-06-29", "last": "2023-12-29"}}
    expected = {"2020-06-01": ["note_before_train"], "2021-01-04": ["note_in_train"], "2022-12-28": ["note_in_train"],
                "2023-06-20": ["note_in_validation"], "2023-06-28": ["note_in_validation"], "2023-06-29": [], "2025-01-01": []}
    assert {day: keys({"notes": _seen(split, day)}) for day in expected} == expected


def test_a_forecast_reaches_as_far_as_asked_and_never_further(predictor):
    assert len(predictor.forecast("finished", "600519.SH", days=1)["table"]) == 1
    with pytest.raises(ConfigError, match="trained for 3 days"):
        predictor.forecast("finished", "600519.SH", days=4)


@pytest.mark.parametrize("symbol", ["600001.SH", "nothing", "", "../../etc", "=1+1"])
def test_an_unknown_symbol_is_said(predictor, symbol):
    with pytest.raises(NotFoundError):
        predictor.forecast("finished", symbol)


def test_dates_before_the_history_and_too_early_ones_are_said(predictor):
    with pytest.raises(DataError, match="begins on"):
        predictor.forecast("finished", "600519.SH", "2010-01-04")
    with pytest.raises(DataError, match="needs 8 bars"):
        predictor.forecast("finished", "600519.SH", "2023-04-10")
    with pytest.raises(ConfigError, match="YYYY-MM-DD"):
        predictor.forecast("finished", "600519.SH", "last week")


def test_another_checkpoint_of_the_run_can_be_asked(predictor):
    first, second = (predictor.forecast("finished", "600519.SH", checkpoint=kind)["table"] for kind in ("epoch1", "epoch2"))
    assert first != second
    with pytest.raises(NotFoundError):
        predictor.forecast("finished", "600519.SH", checkpoint="../final")


def test_a_stock_too_young_for_the_universe_is_compared_with_it_and_says_so(copied):
    store = Store(copied.data_dir)
    store.write_bars("600887.SH", bars(77, trading_days(100)), source="files")
    store.write_bars("600900.SH", bars(78, trading_days(300)), source="files")
    young, old = (Predictor(copied).forecast("finished", symbol) for symbol in ("600887.SH", "600900.SH"))
    assert "note_outside_universe" in keys(young) and "note_outside_universe" not in keys(old)
    assert all(day["prices"]["q0.025"] < day["price"] < day["prices"]["q0.975"] for day in young["table"])


def test_new_bars_are_seen_at_once(copied):
    predictor = Predictor(copied)
    assert predictor.forecast("finished", "600519.SH")["as_of"] == "2024-06-28"
    for seed, symbol in enumerate(SYMBOLS):
        Store(copied.data_dir).write_bars(symbol, bars(seed, trading_days(301, "2024-07-01")), source="files")
    assert predictor.forecast("finished", "600519.SH")["as_of"] == "2024-07-01"


# ---------------------------------------------------------------- the pool
def test_the_pool_is_ranked_by_expected_return(predictor):
    table = predictor.rank("finished")
    assert set(table["symbol"]) == set(SYMBOLS) and table["rank"].tolist() == list(range(1, 9))
    assert table["expected_return"].is_monotonic_decreasing
    assert table.attrs["as_of"] == "2024-06-28" and table.attrs["considered"] == 8
    assert {"name", "industry", "size", "value", "momentum", "regime", "price", "p_up", "volatility", "tradable"} <= set(table.columns)
    for symbol, amount in zip(table["symbol"], table["amount"], strict=True):
        last = predictor._store().read_bars(symbol).iloc[-20:]
        assert amount == pytest.approx(last["amount"].fillna(last["close"] * last["volume"]).mean(), rel=1e-6), "money traded a bar"


def test_each_stock_is_ranked_with_the_forecast_it_gets_alone(predictor):
    table = predictor.rank("finished").set_index("symbol")
    for symbol in SYMBOLS[:3]:
        alone = predictor.forecast("finished", symbol)["table"][-1]
        assert table.loc[symbol, "expected_return"] == pytest.approx(alone["expected_return"], abs=1e-6)
        assert table.loc[symbol, "p_up"] == pytest.approx(alone["p_up"], abs=1e-5)


def test_the_filters_filter_and_top_cuts_after_them(predictor):
    whole = predictor.rank("finished", 0)
    finance = predictor.rank("finished", 2, industry="finance")
    assert finance["symbol"].tolist() == whole[whole["industry"] == "finance"]["symbol"].tolist()[:2]
    least = float(np.expm1(whole["expected_return"]).iloc[2])
    assert len(predictor.rank("finished", min_gain=least)) == 3


def test_an_empty_pool_says_why(predictor):
    with pytest.raises(DataError, match="None of the 8"):
        predictor.rank("finished", min_gain=0.9)
    with pytest.raises(DataError, match="needs|none has 8 bars"):
        predictor.rank("finished", as_of="2023-04-10")
    with pytest.raises(ConfigError, match="industry"):
        predictor.rank("finished", industry="shoes")
    with pytest.raises(DataError, match="begins on"):
        predictor.rank("finished", as_of="2001-01-01")


def test_limits_and_suspensions_are_flagged(copied):
    store = Store(copied.data_dir)
    for symbol, change, volume in ((SYMBOLS[0], 1.1, 1e6), (SYMBOLS[1], 0.9, 1e6), (SYMBOLS[2], 1.0, 0.0)):
        table = store.read_bars(symbol)
        last, before = table.index[-1], float(table["close"].iloc[-2])
        price = math.floor(before * change * 100 + 0.5) / 100
        table.loc[last, ["open", "high", "low", "close", "volume"]] = [price, price, price, price, volume]
        store.write_bars(symbol, table, source="files")
    table = Predictor(copied).rank("finished", 0).set_index("symbol")
    assert table.loc[SYMBOLS[0], ["limit_up", "limit_down", "tradable"]].tolist() == [True, False, False]
    assert table.loc[SYMBOLS[1], ["limit_up", "limit_down", "tradable"]].tolist() == [False, True, True]
    assert table.loc[SYMBOLS[2], ["suspended", "tradable"]].tolist() == [True, False]
    assert not table.loc[list(SYMBOLS[3:]), ["limit_up", "limit_down", "suspended"]].to_numpy().any()


def test_the_pool_becomes_a_file_for_excel(copied, tmp_path):
    store = Store(copied.data_dir)
    store.set_names({SYMBOLS[0]: '=HYPERLINK("http://x")'})
    predictor = Predictor(copied)
    path = predictor.to_csv(predictor.rank("finished"), tmp_path / "pool.csv")
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    table = pd.read_csv(path, encoding="utf-8-sig")
    assert len(table) == 8 and table["name"].str.startswith("'=").sum() == 1


def test_ranking_can_be_stopped(predictor):
    import threading

    from financial_model.errors import Stopped

    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        predictor.rank("finished", stop=stop)
