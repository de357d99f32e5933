"""The download job over any source: complete symbols or a reason, never half a truth, and it goes on where it stopped."""

import os
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from financial_model.cli.main import run
from financial_model.errors import ConfigError, DataError, NotFoundError, RateLimitError, SourceError, Stopped, StorageError
from financial_model.market.adjustment import ExRights
from financial_model.market.download import IN_A_ROW, download, open_for, plan_download, run_download
from financial_model.market.sources import base
from financial_model.market.sources.base import Capabilities, Listing, Query, Reply, open_source, sources
from financial_model.market.store import Store
from tests.market.builders import bars

DAYS = 60


class FakeSource:
    """A source that knows ``symbols`` up to day ``until`` and misbehaves as told, symbol by symbol."""

    name = "fake"
    bar_seconds = 86_400
    capabilities = Capabilities(connections=3, industries=True, seconds_per_symbol=0.1)

    def __init__(self, symbols=("600519.SH", "000001.SZ", "600000.SH"), until=DAYS):
        self.symbols, self.until = list(symbols), until
        self.trouble, self.asked, self.open, self.labelled = {}, [], 0, []
        self.replies = {}
        self.lock = threading.Lock()
        self.restated = 1.0

    def listings(self, query):
        names = query.symbols or tuple(self.symbols)[: query.count or None]
        return [Listing(symbol=symbol, name=f"name {symbol}") for symbol in names]

    def connect(self):
        with self.lock:
            self.open += 1
        return FakeLine(self)

    def industries(self, symbols):
        self.labelled += [symbol for symbol in symbols]
        return {symbol: ("finance", "银行") for symbol in symbols}

    def names(self, symbols):
        return {symbol: f"listed {symbol}" for symbol in symbols}

    def history(self, symbol):
        frame = bars(DAYS, seed=sum(symbol.encode()))
        for column in ("open", "high", "low", "close"):
            frame[column] *= self.restated
        return frame.iloc[: self.until]


class FakeLine:
    def __init__(self, source):
        self.source, self.broken = source, False

    def fetch(self, symbol, *, start, since=""):
        assert not self.broken, "a line was used again after it failed"
        with self.source.lock:
            self.source.asked.append((symbol, since))
            trouble = self.source.trouble.get(symbol)
            if isinstance(trouble, list):
                trouble = trouble.pop(0) if trouble else None
        if isinstance(trouble, Exception):
            self.broken = isinstance(trouble, SourceError)
            raise trouble
        if trouble == "empty":
            return Reply(bars=None)
        frame = self.source.history(symbol)
        frame = frame[frame["date"] >= pd.Timestamp(since or start)].reset_index(drop=True)
        event = ExRights(date=np.datetime64("2020-02-03"), cash=0.5)
        said = {"name": f"name {symbol}", **self.source.replies}
        return Reply(bars=frame, events=[event], shares=[("2019-01-01", 1e9, 5e8)], **said)

    def close(self):
        with self.source.lock:
            self.source.open -= 1


@pytest.fixture
def store(workspace):
    return Store(workspace.data_dir)


def go(store, source, query=None, **options):
    return run_download(store, source, plan_download(store, source, query or Query(count=0), retry=options.pop("retry", False)), **options)


def test_everything_that_can_be_had_is_stored_complete(store):
    source = FakeSource()
    report = go(store, source)
    assert sorted(report.stored) == sorted(source.symbols) and not report.failed and report.rows == 3 * DAYS and source.open == 0
    stored = store.read_bars("600519")
    assert stored["close"].tolist() == source.history("600519.SH")["close"].tolist()
    assert stored["factor"].iloc[-1] > 1 and (stored["total_shares"] == 1e9).all()
    assert store.facts("events", "600519")["cash"].tolist() == [0.5]
    assert store.names()["600519.SH"] == "name 600519.SH" and store.industries()["600519.SH"] == "finance"
    assert (store.data_dir / "metadata.json").is_file() and store.symbols()["source"].unique().tolist() == ["fake"]


def test_an_industry_may_come_with_the_reply_and_is_then_not_asked_for(store):
    source = FakeSource()
    source.replies = {"industry": ("energy", "煤炭")}
    go(store, source)
    assert store.industries()["600519.SH"] == "energy" and store.industry_labels()["600519.SH"] == "煤炭" and source.labelled == []


def test_labels_a_killed_job_left_out_come_with_the_next_one(store):
    source = FakeSource()
    source.industries = lambda symbols: {}  # the job dies before it asks
    go(store, source)
    assert store.industries() == {}
    del source.industries
    go(store, source)
    assert sorted(source.labelled) == sorted(source.symbols) and len(store.industries()) == 3


def test_a_symbol_that_came_without_a_name_gets_the_listed_one(store):
    source = FakeSource(["600519.SH"])
    source.replies = {"name": ""}
    source.listings = lambda query: [Listing(symbol="600519.SH")]
    go(store, source)
    assert store.names() == {"600519.SH": "listed 600519.SH"}


def test_minute_bars_never_replace_daily_ones(store):
    source = FakeSource(until=40)
    go(store, source)
    source.bar_seconds = 300
    with pytest.raises(DataError) as caught:
        plan_download(store, source, Query(count=0))
    assert caught.value.key == "download.other_length" and "1440" in str(caught.value) and "5 minutes" in str(caught.value)


def test_an_unknown_board_is_named(store):
    with pytest.raises(ConfigError) as caught:
        plan_download(store, FakeSource(), Query(boards=("main", "nasdaq")))
    assert "nasdaq" in str(caught.value) and "chinext" in str(caught.value)


def test_stocks_cannot_be_chosen_where_a_market_is_written_whole(store):
    demo = open_source("demo")
    assert plan_download(store, demo, Query(count=7)).stocks == 7
    for chosen in ({"symbols": ("600519.SH",)}, {"boards": ("main",)}, {"exclude_st": True}):
        with pytest.raises(ConfigError) as caught:
            plan_download(store, demo, Query(**chosen))
        assert caught.value.key == "download.whole" and caught.value.fields["names"] == next(iter(chosen))
    with pytest.raises(ConfigError):
        plan_download(store, demo, Query(), retry=True)


def test_what_a_client_keeps_on_disk_stays_in_the_stores_folder(store, monkeypatch):
    class Keeper(FakeSource):
        def __init__(self, *, cache_dir=""):
            super().__init__()
            self.cache_dir = cache_dir

    monkeypatch.setattr("financial_model.market.download.source_class", lambda name: Keeper)
    monkeypatch.setattr("financial_model.market.download.open_source", lambda name, **options: Keeper(**options))
    assert Path(open_for(store, "keeper", {}).cache_dir).is_relative_to(store.data_dir)
    assert open_for(store, "keeper", {"cache_dir": "elsewhere"}).cache_dir == "elsewhere"


def test_the_plan_says_what_is_new_behind_current_and_empty(store):
    source = FakeSource(until=40)
    plan = plan_download(store, source, Query(count=2))
    assert (plan.stocks, plan.new, plan.update) == (2, 2, 0) and plan.bars > 0 and plan.bytes > plan.bars and plan.seconds > 0
    assert plan.to_dict()["items"] == ["600519.SH", "000001.SZ"]
    source.trouble["000001.SZ"] = "empty"
    go(store, source)
    again = plan_download(store, source, Query(count=0))
    assert (again.new, again.update, again.empty) == (0, 2, 1)
    assert {item.action for item in again.items} == {"update"}
    longer = plan_download(store, source, Query(count=0, start="1995-01-01"))
    assert longer.new == 2  # an earlier start needs all of it


def test_a_current_symbol_is_not_asked_for(store, monkeypatch):
    source = FakeSource()
    go(store, source)
    last = store.symbols()["last"].max()
    monkeypatch.setattr("financial_model.market.planning.last_complete_day", lambda market: np.datetime64(last, "D"))
    plan = plan_download(store, source, Query(count=0))
    assert plan.items == () and plan.current == 3
    assert run_download(store, source, plan).stored == []


def test_an_update_asks_for_the_end_only_and_keeps_the_past(store):
    source = FakeSource(until=40)
    go(store, source)
    before = store.read_bars("600519")
    source.until, source.asked = DAYS, []
    report = go(store, source)
    assert report.rows == 3 * (DAYS - 40) and all(since > "2020-02" for _, since in source.asked)
    after = store.read_bars("600519")
    pd.testing.assert_frame_equal(after.iloc[:40], before)
    assert after["close"].tolist() == source.history("600519.SH")["close"].tolist()


def test_a_restated_past_is_fetched_again_as_a_whole(store):
    source = FakeSource(until=40)
    go(store, source)
    source.until, source.restated, source.asked = DAYS, 0.5, []
    go(store, source, Query(symbols=("600519.SH",)))
    assert [since for _, since in source.asked] == [source.asked[0][1], ""]
    np.testing.assert_allclose(store.read_bars("600519")["close"], source.history("600519.SH")["close"])


def test_three_outcomes_are_kept_apart(store):
    source = FakeSource(["600519.SH", "000001.SZ", "600000.SH", "600036.SH"])
    source.trouble = {"000001.SZ": "empty", "600000.SH": SourceError("download.no_data"), "600036.SH": DataError("bars.empty", name="600036.SH")}
    report = go(store, source)
    assert (
        report.stored == ["600519.SH"]
        and report.empty == ["000001.SZ"]
        and sorted(entry.symbol for entry in report.failed) == ["600000.SH", "600036.SH"]
    )
    table = store.symbols("all", status="all").set_index("symbol")["status"]
    assert table.to_dict() == {"000001.SZ": "empty", "600000.SH": "failed", "600036.SH": "failed", "600519.SH": "ok"}
    assert [symbol for symbol, _ in source.asked].count("600036.SH") == 1  # bad data is not asked for twice
    assert [symbol for symbol, _ in source.asked].count("600000.SH") == 2  # a bad line is, on a new one
    assert report.to_dict()["failed"][0]["message"]


def test_empty_is_remembered_and_retry_asks_again(store):
    source = FakeSource()
    source.trouble = {"000001.SZ": "empty", "600000.SH": DataError("bars.empty", name="x")}
    go(store, source)
    source.trouble, source.asked = {}, []
    report = go(store, source, retry=True)
    assert sorted(report.stored) == ["000001.SZ", "600000.SH"] and len(source.asked) == 2
    assert store.symbols()["status"].tolist() == ["ok"] * 3


def test_a_line_that_fails_once_is_replaced(store):
    source = FakeSource()
    source.trouble = {"000001.SZ": [SourceError("download.no_data")]}
    report = go(store, source)
    assert len(report.stored) == 3 and not report.failed and source.open == 0


def test_a_failed_update_keeps_the_bars_it_had(store):
    source = FakeSource(until=40)
    go(store, source)
    source.trouble = {"600519.SH": SourceError("download.no_data")}
    report = go(store, source)
    assert [entry.symbol for entry in report.failed] == ["600519.SH"]
    assert len(store.read_bars("600519")) == 40 and store.symbols().set_index("symbol")["status"]["600519.SH"] == "ok"


def test_a_rate_limit_stops_the_job_and_blames_no_symbol(store):
    source = FakeSource([f"{600000 + number}.SH" for number in range(30)])
    source.trouble = {"600005.SH": RateLimitError("download.no_data")}
    report = go(store, source, workers=1)
    assert report.halted.symbol == "600005.SH" and len(report.stored) == 5 and len(source.asked) == 6
    assert len(store.symbols("all", status="failed")) == 0
    source.trouble = {}
    report = go(store, source)
    assert len(report.stored) == 25 and report.current == 5


def test_a_command_whose_job_gave_up_half_way_says_so_by_its_exit_code(workspace, monkeypatch, capsys):
    class Limited(FakeSource):
        limited = True

        def __init__(self, **options):
            super().__init__([f"{600000 + number}.SH" for number in range(8)])
            self.trouble = {"600005.SH": RateLimitError("download.no_data")} if self.limited else {}

    monkeypatch.setitem(base._REGISTER, "fake", Limited)
    command = ["download", "--source", "fake", "--data-dir", str(workspace.data_dir), "--checkpoint-dir", str(workspace.checkpoint_dir)]
    assert run([*command, "--language", "en"]) == 2 and "600005.SH" in capsys.readouterr().out
    monkeypatch.setattr(Limited, "limited", False)
    assert run(command) == 0 and len(Store(workspace.data_dir).symbols("all", status="ok")) == 8


def test_a_source_that_answers_nobody_ends_the_job(store):
    source = FakeSource([f"{600000 + number}.SH" for number in range(100)])
    source.trouble = dict.fromkeys(source.symbols, SourceError("download.no_data"))
    report = go(store, source, workers=1)
    assert report.halted and len(report.failed) == IN_A_ROW and not report.stored


def test_stop_leaves_complete_symbols_and_the_next_run_goes_on(store):
    source = FakeSource([f"{600000 + number}.SH" for number in range(12)])
    stop, seen = threading.Event(), []

    def each(progress):
        seen.append(progress)
        if progress.done == 4:
            stop.set()

    with pytest.raises(Stopped):
        go(store, source, workers=1, each=each, stop=stop)
    assert len(store.symbols()) == 4 and (store.data_dir / "metadata.json").is_file()
    assert (seen[-1].done, seen[-1].total, seen[-1].outcome) == (4, 12, "stored") and seen[-1].rate > 0 and seen[-1].eta > 0
    told = []
    go(store, source, progress=lambda stage, done, total: told.append((stage, done, total)))
    assert len(store.symbols()) == 12 and told[-1] == ("download", 12, 12) and [done for _, done, _ in told] == list(range(1, 13))


def test_bad_bars_from_a_source_are_never_stored(store):
    source = FakeSource(["600519.SH"])
    source.history = lambda symbol: bars(30).assign(high=0.1)
    report = go(store, source)
    assert report.failed[0].key == "bars.high_below_low" and not store.has("600519")


def test_a_full_disk_ends_the_job_with_one_sentence(store, monkeypatch):
    def full(source, target):
        raise OSError(28, "No space left on device")

    source = FakeSource()
    plan = plan_download(store, source, Query(count=0))
    monkeypatch.setattr(os, "replace", full)
    monkeypatch.setattr(Store, "write_metadata", lambda self: None)
    with pytest.raises(StorageError):
        run_download(store, source, plan)
    assert source.open == 0


def test_real_bars_never_enter_a_demo_store(store):
    store.write_bars("600519", bars(10), source="demo")
    with pytest.raises(DataError) as caught:
        plan_download(store, FakeSource(), Query())
    assert caught.value.key == "store.synthetic_here"


def test_a_start_that_is_no_date(store):
    with pytest.raises(DataError):
        plan_download(store, FakeSource(), Query(start="yesterday"))


def test_the_demo_market_is_a_source_like_any_other(store):
    report = download(store, "demo", Query(count=4, options={"years": 0.5, "variant": "null"}))
    assert len(report.stored) == 4 and report.details["variant"] == "null" and report.rows == store.summary()["rows"] and store.synthetic


def test_the_register():
    assert {"demo", "tdx", "yahoo"} <= set(sources())
    with pytest.raises(NotFoundError) as caught:
        open_source("nowhere")
    assert "demo" in str(caught.value)
