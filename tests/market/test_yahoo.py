"""The Yahoo source: the real yfinance client against a server on loopback, faults included."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from yfinance import cache

from financial_model.config import INDUSTRIES
from financial_model.errors import ConfigError, DataError, RateLimitError, SourceError
from financial_model.market.adjustment import backward_factors
from financial_model.market.download import download
from financial_model.market.sources import yahoo
from financial_model.market.sources.base import Query
from financial_model.market.sources.session_end import last_complete_day
from financial_model.market.sources.yahoo import YahooSource
from financial_model.market.store import Store
from tests.fakes.yahoo import Faults, YahooServer, make_market


@pytest.fixture(scope="module")
def market():
    return make_market(["AAPL", "MSFT"], 400)


def source(server, tmp_path) -> YahooSource:
    return YahooSource(server=f"127.0.0.1:{server.port}", cache_dir=str(tmp_path), timeout=1.0)


def test_raw_prices_events_and_facts_arrive(market, tmp_path):
    with YahooServer(market) as server:
        line = source(server, tmp_path).connect()
        for symbol in ("AAPL", "MSFT"):
            truth, reply = market.stocks[symbol], line.fetch(symbol, start="2000-01-01")
            assert np.array_equal(reply.bars["date"].to_numpy().astype("datetime64[D]"), truth.date)
            assert np.allclose(reply.bars[["open", "high", "low", "close"]], truth.raw, rtol=1e-5)
            assert np.allclose(reply.bars["volume"], truth.volume, rtol=1e-5)
            assert len(reply.events) == len(truth.events)
            assert reply.name == f"{symbol} Inc."
            assert reply.shares[0][1] == truth.shares and reply.book[0][2] == truth.book


def test_returns_across_splits_and_dividends_are_exact(market, tmp_path):
    """Adjusted log returns equal Yahoo's own total return to rounding, also on the day of a 4:1 split and of a reverse split."""
    with YahooServer(market) as server:
        for symbol in ("AAPL", "MSFT"):
            truth = market.stocks[symbol]
            reply = source(server, tmp_path).connect().fetch(symbol, start="2000-01-01")
            close = reply.bars["close"].to_numpy()
            factor = backward_factors(truth.date, close, np.ones(len(close), bool), reply.events)
            expected = np.diff(np.log(truth.raw[:, 3]))
            for row, cash, ratio in truth.events:
                expected[row - 1] = np.log(truth.raw[row, 3] * ratio / (truth.raw[row - 1, 3] - cash))
            assert np.abs(np.diff(np.log(close * factor)) - expected).max() < 2e-4


def test_an_update_keeps_only_the_last_bars_but_knows_every_event(market, tmp_path):
    with YahooServer(market) as server:
        since = str(market.stocks["AAPL"].date[-8])
        reply = source(server, tmp_path).connect().fetch("AAPL", start="2000-01-01", since=since)
        assert len(reply.bars) == 8
        assert len(reply.events) == len(market.stocks["AAPL"].events)


def test_sectors_are_mapped(market, tmp_path):
    with YahooServer(market) as server:
        line = source(server, tmp_path).connect()
        found = {symbol: line.fetch(symbol, start="2000-01-01").industry for symbol in ("AAPL", "MSFT")}
        assert found == {"AAPL": ("technology", "Technology"), "MSFT": ("finance", "Financial Services")}
    assert set(yahoo.SECTORS.values()) | {"other"} == set(INDUSTRIES), "every industry of ours but the rest has a sector of theirs"


def test_an_unknown_ticker_is_legitimately_empty(market, tmp_path):
    with YahooServer(market) as server:
        reply = source(server, tmp_path).connect().fetch("NOSUCH", start="2000-01-01")
        assert reply.bars is None and reply.reason == "yahoo.unknown"


@pytest.mark.parametrize("fault", ["server_error", "cut", "hang", "down"])
def test_trouble_is_an_error_never_no_data(market, tmp_path, monkeypatch, fault):
    monkeypatch.setattr(yahoo, "ATTEMPTS", 2)
    with YahooServer(market, Faults(on={fault})) as server, pytest.raises(SourceError) as caught:
        source(server, tmp_path).connect().fetch("AAPL", start="2000-01-01")
    assert not isinstance(caught.value, RateLimitError)
    assert "AAPL" in str(caught.value)


@pytest.mark.parametrize("fault", ["server_error", "cut", "down", "rate_limit"])
def test_trouble_that_passes_is_overcome(market, tmp_path, fault):
    with YahooServer(market, Faults(on={fault}, first=1)) as server:
        assert len(source(server, tmp_path).connect().fetch("AAPL", start="2000-01-01").bars) == 400


def test_a_rate_limit_says_stop(market, tmp_path):
    with YahooServer(market, Faults(on={"rate_limit"})) as server, pytest.raises(RateLimitError):
        source(server, tmp_path).connect().fetch("AAPL", start="2000-01-01")


def test_a_rate_limit_halts_the_job_and_the_next_run_goes_on(workspace, monkeypatch):
    store, symbols = Store(workspace.data_dir), ("AAPL", "MSFT", "NVDA", "AMZN", "GOOG", "TSLA")
    wide = make_market(list(symbols), 300)
    monkeypatch.setattr("financial_model.market.planning.last_complete_day", lambda market: wide.stocks["AAPL"].date[-1])
    with YahooServer(wide, Faults(on={"rate_limit"}, after=3)) as server:
        query = Query(symbols=symbols, options={"server": f"127.0.0.1:{server.port}", "timeout": 1.0})
        report = download(store, "yahoo", query)
        assert report.halted is not None and "resume" in report.halted.message("en") and "继续" in report.halted.message("zh")
        stored = len(report.stored)
        assert 0 < stored < len(symbols) and len(store.symbols("all", status="failed")) == 0, "a rate limit is no symbol's fault"
        server.faults.on = set()
        again = download(store, "yahoo", query)
    assert again.halted is None and len(again.stored) == len(symbols) - stored and again.current == stored
    assert store.symbols()["symbol"].tolist() == sorted(symbols) and len(store.industries()) == len(symbols)
    assert store.names()["AAPL"] == "AAPL Inc." and store.read_bars("AAPL")["close"].iloc[-1] == pytest.approx(wide.stocks["AAPL"].raw[-1, 3])
    events = store.facts("events", "AAPL")
    assert len(events) == len(wide.stocks["AAPL"].events) and 3.0 in events["bonus"].tolist(), "dividends and the 4:1 split are stored"
    kept = {manager.get_location() for manager in (cache._TzDBManager, cache._CookieDBManager)}
    assert kept == {str(store.data_dir / ".cache" / "yahoo")}, "the client's time zones and cookie are kept beside the data"


def test_columns_of_nothing_are_refused(market, tmp_path):
    """yfinance answers a failed ticker with NaN columns; here that is never data."""
    with YahooServer(market, Faults(on={"nan"})) as server:
        line = source(server, tmp_path).connect()
        try:
            reply = line.fetch("AAPL", start="2000-01-01")
        except (SourceError, DataError):
            return
        assert reply.bars is None or not len(reply.bars)


def test_a_column_of_nothing_is_refused_and_a_hole_now_and_then_is_left_out():
    days = pd.date_range("2024-01-02", periods=200, freq="B", tz="America/New_York")
    table = pd.DataFrame({name: 100.0 + np.arange(200) for name in ("Open", "High", "Low", "Close")}, index=days).assign(Volume=1e6)
    table.iloc[[7, 90], table.columns.get_loc("Close")] = np.nan
    frame, _ = yahoo.unsplit(table, "AAPL")
    assert len(frame) == 198 and np.isfinite(frame.drop(columns="date").to_numpy()).all()
    for column in ("Close", "Volume"):
        with pytest.raises(DataError) as caught:
            yahoo.unsplit(table.assign(**{column: np.nan}), "AAPL")
        assert caught.value.key == "yahoo.holes" and "200" in str(caught.value)
    with pytest.raises(SourceError):
        yahoo.unsplit(table.drop(columns="Low"), "AAPL")


def test_no_symbols_means_large_caps_and_the_index(market, tmp_path):
    with YahooServer(market) as server:
        found = [entry.symbol for entry in source(server, tmp_path).listings(Query(count=3))]
        assert found == ["^GSPC", "AAPL", "MSFT", "NVDA"]
        with pytest.raises(ConfigError):
            source(server, tmp_path).listings(Query(count=3, boards=("star",)))


def test_a_server_is_a_host_and_a_port(tmp_path):
    with pytest.raises(ConfigError):
        YahooSource(server="nonsense", cache_dir=str(tmp_path))


def test_a_running_session_is_not_a_bar():
    assert last_complete_day("CN", datetime(2026, 11, 20, 6, 0, tzinfo=UTC)) == np.datetime64("2026-11-19")  # 14:00 in Shanghai
    assert last_complete_day("CN", datetime(2026, 11, 20, 8, 0, tzinfo=UTC)) == np.datetime64("2026-11-20")
    assert last_complete_day("US", datetime(2026, 11, 20, 20, 0, tzinfo=UTC)) == np.datetime64("2026-11-19")  # 15:00 in New York
    assert last_complete_day("US", datetime(2026, 11, 20, 22, 0, tzinfo=UTC)) == np.datetime64("2026-11-20")
