"""The demo market as a store: complete, honest about itself, and its truth is in the printed prices."""

import threading

import numpy as np
import pytest

from financial_model.config import INDUSTRIES
from financial_model.errors import DataError, Stopped
from financial_model.market.bars import pack
from financial_model.market.calendar import sessions
from financial_model.market.download import download, plan_download
from financial_model.market.rules import price_limit, round_half_up
from financial_model.market.sources.base import Query
from financial_model.market.sources.demo import INDEX, MARK, DemoSource, write_demo
from financial_model.market.store import Store
from tests.market.builders import bars


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("demo"))
    store.made = write_demo(store, stocks=60, years=2.5, seed=7)
    return store


def test_the_store_is_complete_and_synthetic_everywhere(demo):
    found = demo.summary()
    assert (found["stocks"], found["synthetic"], found["indices"], found["sources"]) == (60, True, [INDEX], {"demo": 61})
    table = demo.symbols("all")
    assert all(name.startswith(MARK) for name in table["name"]) and table["name"].is_unique
    assert set(table["board"]) <= {"main", "chinext", "index"} and (demo.data_dir / "metadata.json").is_file()
    industries = demo.industries()
    assert set(industries.values()) == set(INDUSTRIES) and len(industries) == 60


def test_bars_are_on_real_sessions_with_shares_and_book(demo):
    days = sessions("XSHG", end="2025-12-31")
    frame = demo.read_bars(demo.symbols()["symbol"][0])
    assert set(frame["date"].to_numpy().astype("datetime64[D]")) <= set(days) and str(frame["date"].iloc[-1])[:10] == str(days[-1])
    assert {"total_shares", "float_shares", "book_per_share"} <= set(frame.columns) and not frame.isna().any().any()
    assert (frame["float_shares"] <= frame["total_shares"]).all()


def test_prices_stay_inside_the_price_limit_and_in_whole_cents(demo):
    for symbol in demo.symbols()["symbol"]:
        frame = demo.read_bars(symbol)
        previous = (frame["close"] * frame["factor"]).shift(1) / frame["factor"]
        limit = price_limit("main", frame["date"].to_numpy())
        assert (frame["high"] <= round_half_up(previous * (1 + limit)) + 0.011)[1:].all()
        assert (frame["low"] >= round_half_up(previous * (1 - limit)) - 0.011)[1:].all()
        assert np.allclose(frame["close"] * 100, np.round(frame["close"] * 100))


def test_some_days_are_suspended_and_some_stocks_are_young(demo):
    packed = pack(demo, list(demo.symbols()["symbol"]))
    idle = packed.extra["tradable"] == 0
    assert 0 < idle.mean() < 0.02 and (packed.high[idle] == packed.low[idle]).all() and (packed.volume[idle] == 0).all()
    lengths = np.diff(packed.offsets)
    assert lengths.max() == round(2.5 * 243) and lengths.min() < lengths.max()
    assert packed.market_name == INDEX


def test_factors_agree_with_the_events(demo):
    count = 0
    for symbol in demo.symbols()["symbol"]:
        frame, events = demo.read_bars(symbol), demo.facts("events", symbol)
        changed = frame.loc[frame["factor"].diff().fillna(0) != 0, "date"]
        assert [str(day)[:10] for day in changed] == events["date"].tolist()
        count += len(events)
    assert count > 60


def test_the_truth_belongs_to_the_printed_prices(demo):
    truth = np.load(demo.truth())
    assert truth["symbols"].tolist() == demo.symbols()["symbol"].tolist() and str(truth["variant"]) == "linear"
    assert float(truth["kappa"]) == demo.made["kappa"] and truth["expected"].dtype == np.float32 and truth["time"].dtype == np.int64
    packed = pack(demo, truth["symbols"].tolist())
    prices = np.full(truth["expected"].shape[:2], np.nan)
    stock = np.repeat(np.arange(len(packed.symbols)), np.diff(packed.offsets))
    prices[np.searchsorted(truth["time"], packed.time), stock] = np.log(packed.adjusted("close"))
    assert (np.isfinite(prices) == np.isfinite(truth["expected"][:, :, 0])).all()
    ic = []
    for day in range(len(prices) - 1):
        known = np.isfinite(prices[day])
        ic.append(np.corrcoef(truth["expected"][day, known, 0], (prices[day + 1] - prices[day])[known])[0, 1])
    assert abs(np.mean(ic) - 0.06) < 3 * np.std(ic) / np.sqrt(len(ic))


def test_the_same_seed_prints_the_same_files(workspace, demo):
    again = Store(workspace.data_dir)
    write_demo(again, stocks=60, years=2.5, seed=7)
    assert again.symbols("all")["hash"].tolist() == demo.symbols("all")["hash"].tolist()
    assert np.array_equal(np.load(again.truth())["expected"], np.load(demo.truth())["expected"], equal_nan=True)


def test_another_market_replaces_the_first(workspace):
    store = Store(workspace.data_dir)
    write_demo(store, stocks=5, years=0.5)
    write_demo(store, variant="null", stocks=3, years=0.5, seed=1)
    assert store.summary()["stocks"] == 3
    truth = np.load(store.truth())
    assert str(truth["variant"]) == "null" and not np.nan_to_num(truth["expected"]).any()


def test_it_never_enters_a_store_with_real_bars(workspace):
    store = Store(workspace.data_dir)
    store.write_bars("600519", bars(30), source="files")
    with pytest.raises(DataError) as caught:
        write_demo(store, stocks=5, years=0.5)
    assert caught.value.key == "store.real_here" and len(store.read_bars("600519")) == 30 and store.truth() is None


def test_a_demo_market_begins_with_the_start_that_is_asked_for(workspace):
    store = Store(workspace.data_dir)
    late = Query(count=3, start="2025-06-01")
    planned = plan_download(store, DemoSource(), late)
    assert download(store, "demo", late).rows <= planned.bars
    assert store.summary()["first"] == "2025-06-03" and store.read_bars("000300.SH")["date"].min() == np.datetime64("2025-06-03")
    assert len(np.load(store.truth())["time"]) == planned.bars // 3
    for wrong, key in (("2025-12-15", "demo.late_start"), ("2025-13-01", "bars.bad_range")):
        for do in (lambda query: plan_download(store, DemoSource(), query), lambda query: download(store, "demo", query)):
            with pytest.raises(DataError) as caught:
                do(Query(count=3, start=wrong))
            assert caught.value.key == key and store.summary()["first"] == "2025-06-03"


@pytest.mark.parametrize("wrong", [{"variant": "magic"}, {"stocks": 1}, {"stocks": 10**6}, {"years": 0}, {"years": 1000}])
def test_impossible_markets_are_refused_and_nothing_is_lost(workspace, wrong):
    store = Store(workspace.data_dir)
    write_demo(store, stocks=3, years=0.5)
    with pytest.raises(DataError):
        write_demo(store, **{"stocks": 3, "years": 0.5, **wrong})
    assert store.summary()["stocks"] == 3


def test_progress_and_stop(workspace):
    store, stop, told = Store(workspace.data_dir), threading.Event(), []

    def progress(stage, done, total):
        told.append((stage, done, total))
        if done == 2:
            stop.set()

    with pytest.raises(Stopped):
        write_demo(store, stocks=5, years=0.5, progress=progress, stop=stop)
    assert told == [("demo", 1, 5), ("demo", 2, 5)] and store.summary()["stocks"] == 0 and store.truth() is None
