"""The TDX source against a server on loopback that speaks the wire format to the real client library, faults included."""

import dataclasses
import re
import socket
import struct
import threading

import numpy as np
import pytest

from financial_model.errors import DataError, SourceError
from financial_model.market.adjustment import ExRights, backward_factors
from financial_model.market.download import plan_download, run_download
from financial_model.market.sources import tdx_wire
from financial_model.market.sources.base import Query
from financial_model.market.sources.session_end import last_complete_day
from financial_model.market.sources.tdx import INTERVALS, TdxSource, book_value, volume_unit
from financial_model.market.sources.tdx_hosts import PROBES, HostPool, TdxSettings
from financial_model.market.sources.tdx_industry import industry_of, parse_industries
from financial_model.market.sources.tdx_wire import Finance, TdxConnection
from financial_model.market.store import Store
from tests.fakes.tdx import REFUSAL, Faults, TdxServer, varint
from tests.fakes.tdx_market import MINUTES, SH, SZ, intraday, make_market
from tests.market.truth import days_of, shares_of


@pytest.fixture(scope="module")
def market():
    return make_market(12, 1700, last=str(last_complete_day("CN")))  # a session that is running now is not delivered


def settings(*servers: TdxServer, **changes) -> TdxSettings:
    quick = TdxSettings(hosts=tuple(f"127.0.0.1:{server.port}" for server in servers), timeout=0.4, pause=0.0, patience=3.0, attempts=6)
    return dataclasses.replace(quick, **changes)


def source(*servers: TdxServer, **changes) -> TdxSource:
    return TdxSource(settings=settings(*servers, **changes))


def same_bars(reply, listing) -> bool:
    frame = reply.bars
    if len(frame) != len(listing.date):
        return False
    prices = np.rint(frame[["open", "close", "high", "low"]].to_numpy() * 1000).astype(int)
    return bool((prices == listing.prices).all() and np.array_equal(frame["volume"], listing.volume.astype(np.float64) * 100))


# ---------------------------------------------------------------- the wire
@pytest.mark.parametrize("value", [0, 1, -1, 63, 64, -64, 8191, 8192, -123456, 3_000_000])
def test_the_price_code_reads_back(value):
    assert tdx_wire._varint(varint(value), 0) == (value, len(varint(value)))


def test_small_volumes_survive():
    """pytdx decodes 1 as 32768.5; the field is a plain float."""
    body = struct.pack("<H", 1) + struct.pack("<I", 20260105) + varint(10000) + varint(0) + varint(0) + varint(0) + struct.pack("<ff", 1.0, 1000.0)
    assert tdx_wire.parse_bars(body, 9, 0)["volume"][0] == 1.0


def test_a_reply_that_is_longer_or_shorter_than_its_bars_is_refused():
    body = struct.pack("<H", 1) + struct.pack("<I", 20260105) + varint(10000) * 4 + struct.pack("<ff", 1.0, 1000.0)
    for wrong in (body + b"\0", body[:-1], struct.pack("<H", 5)):
        with pytest.raises(tdx_wire._Protocol):
            tdx_wire.parse_bars(wrong, 9, 0)


def test_a_minute_of_zeros_is_a_halt_and_half_of_them_is_nonsense():
    stamp, nothing = struct.pack("<I", 20260105), struct.pack("<ff", 0.0, 0.0)
    halted = struct.pack("<H", 1) + stamp + varint(0) * 4 + nothing
    assert tdx_wire.parse_bars(halted, 9, 0)["close"].tolist() == [0.0]
    for wrong in (stamp + varint(0) + varint(10) + varint(10) + varint(0) + nothing, stamp + varint(0) * 4 + struct.pack("<ff", 7.0, 70.0)):
        with pytest.raises(tdx_wire._Protocol):
            tdx_wire.parse_bars(struct.pack("<H", 1) + wrong, 9, 0)


class Replies(TdxConnection):
    """A connection that answers out of a list."""

    def __init__(self, *bodies):
        super().__init__("host", 1)
        self.bodies = list(bodies)

    def _ask(self, command, *arguments):
        return self.bodies.pop(0)


def listed(*codes: str) -> bytes:
    return struct.pack("<H", len(codes)) + b"".join(struct.pack("<6sH8s4sBI4s", code.encode(), 100, b"name", b"", 2, 0, b"") for code in codes)


def test_a_list_ends_with_its_last_page_whatever_the_count_said(monkeypatch):
    monkeypatch.setattr(tdx_wire, "_LISTED", 2)
    pages = (listed("600000", "600001"), listed("600002"))
    assert [len(Replies(total, *pages).securities(SH)) for total in (3, 1)] == [3, 3]
    for bodies in ((5, *pages, listed()), (3, pages[0], b""), (3, pages[0][:-1])):
        with pytest.raises(SourceError):
            Replies(*bodies).securities(SH)


def test_events_and_reports_that_cannot_be_are_refused():
    def events(date: int, cash: float) -> bytes:
        row = struct.pack("<B6sBIBffff", SH, b"600519", 0, date, 1, cash, 0, 0, 0)
        return struct.pack("<HB6sH", 1, SH, b"600519", 1) + row

    def report(updated: int, book: float) -> bytes:
        return struct.pack("<HB6sfHHII30f", 1, SH, b"600519", 80.0, 1, 1, updated, 20010827, *[100.0] * 15, 500.0, *[0.0] * 12, book, 0.0)

    assert Replies(events(20240103, 5.0)).events(SH, "600519")[0].values[0] == 5.0
    assert Replies(b"\0\0").events(SH, "600519") is None
    found = Replies(report(20240401, 0.5)).finance(SH, "600519")
    assert (found.total_shares, found.float_shares, found.net_assets, found.book_per_share) == (1e6, 8e5, 5e5, 0.5)
    for body in (events(20240230, 5.0), events(0, 5.0), events(20240103, float("nan")), b"\5\0", b""):
        with pytest.raises(SourceError):
            Replies(body).events(SH, "600519")
    for body in (report(20241301, 0.5), report(20240401, float("inf"))):
        with pytest.raises(SourceError):
            Replies(body).finance(SH, "600519")


def test_whatever_goes_wrong_closes_the_socket(market, monkeypatch):
    def broken(*_):
        raise RuntimeError("a bug")

    with TdxServer(market) as server:
        connection = TdxConnection("127.0.0.1", server.port)
        connection.bars(SH, "600519", 0, 5)
        monkeypatch.setattr(tdx_wire, "parse_bars", broken)
        with pytest.raises(RuntimeError):
            connection.bars(SH, "600519", 0, 5)
        assert connection._client is None


# ---------------------------------------------------------------- the source
def test_every_share_arrives_whole_with_its_events_and_unit(market):
    with TdxServer(market) as server:
        line = source(server).connect()
        for listing in market.listings.values():
            if listing.code[:3] in ("600", "000", "688") and not listing.is_index:
                symbol = f"{listing.code}.{'SH' if listing.market == SH else 'SZ'}"
                reply = line.fetch(symbol, start="1990-01-01")
                assert same_bars(reply, listing), symbol
                assert len(reply.events) == sum(event.category == 1 for event in listing.events)
        line.close()


def test_the_index_uses_its_own_record(market):
    with TdxServer(market) as server:
        reply = source(server).connect().fetch("000300.SH", start="1990-01-01")
        listing = market.listings[SH, "000300"]
        assert len(reply.bars) == len(listing.date)
        assert np.allclose(reply.bars["close"] * 1000, listing.prices[:, 1])


def test_listings_are_shares_only_and_do_not_depend_on_the_count(market):
    with TdxServer(market) as server:
        tdx = source(server)
        everything = [entry.symbol for entry in tdx.listings(Query(count=0, indices=False))]
        assert everything and all(symbol[:3] in ("600", "601", "603", "688", "000", "002", "300") for symbol in everything)
        assert not {"000001.SH", "399001.SZ"} & set(everything)
        assert [entry.symbol for entry in tdx.listings(Query(count=5, indices=False))] == everything[:5]
        assert tdx.listings(Query(count=5))[0].symbol == "000300.SH"


def test_beijing_comes_only_when_asked_for(market):
    with TdxServer(market) as server:
        tdx = source(server)
        assert not any(entry.symbol.endswith(".BJ") for entry in tdx.listings(Query(count=0)))
        assert [entry.symbol for entry in tdx.listings(Query(count=0, boards=("bse",), indices=False))] == ["920002.BJ"]
        assert len(tdx.connect().fetch("920002.BJ", start="1990-01-01").bars) == 500


def test_a_line_of_the_list_that_is_no_code_of_six_digits_is_passed_over(market):
    strange = dataclasses.replace(market.listings[SH, "600519"], code="H30533")
    with TdxServer(dataclasses.replace(market, listings={**market.listings, (SH, "H30533"): strange})) as server:
        found = [entry.symbol for entry in source(server).listings(Query(count=0, indices=False))]
    assert sorted(found) == sorted(f"{entry.code}.{'SH' if entry.market == SH else 'SZ'}" for entry in shares_of(market))


@pytest.mark.parametrize("interval", ["1m", "5m", "15m", "30m", "60m"])
def test_minute_bars_end_when_they_end_and_halted_minutes_are_none(market, interval):
    listing = market.listings[SH, "600519"]
    listing = dataclasses.replace(listing, volume=np.where(np.arange(len(listing.date)) == len(listing.date) - 3, 0, listing.volume))
    truth = intraday(listing, MINUTES[INTERVALS[interval]])
    kept = truth.volume > 0
    with TdxServer(dataclasses.replace(market, listings={**market.listings, listing.key: listing})) as server:
        bars = TdxSource(settings=settings(server), interval=interval).connect().fetch("600519.SH", start="1990-01-01").bars
    expected = [f"{day // 10000}-{day // 100 % 100:02d}-{day % 100:02d}T{minute // 60:02d}:{minute % 60:02d}" for day, minute in
                zip(truth.date[kept].tolist(), truth.minute[kept].tolist(), strict=True)]
    assert np.array_equal(bars["date"].to_numpy(), np.array(expected, "datetime64[s]"))
    assert np.array_equal(np.rint(bars[["open", "close", "high", "low"]].to_numpy() * 1000).astype(int), truth.prices[kept])
    assert np.array_equal(bars["volume"], truth.volume[kept]), "minutes come in shares, not in lots"


def test_share_counts_are_dated_and_the_book_value_is_that_of_the_report(market):
    listing = market.listings[SH, "600519"]
    with TdxServer(market) as server:
        reply = source(server).connect().fetch("600519.SH", start="1990-01-01")
    step, reported = str(days_of(listing)[150]), str(days_of(listing)[-1])
    assert reply.shares == [(step, 1e9, 8e8), (reported, listing.total_shares, listing.float_shares)]
    assert reply.book == [(reported, reported, listing.book_per_share)]


def test_a_book_value_its_own_report_contradicts_is_unknown():
    good = Finance(total_shares=1e9, float_shares=8e8, net_assets=6e9, book_per_share=5.0, updated=20260331, listed=20010827)
    assert book_value(good) == [("2026-03-31", "2026-03-31", 5.0)] and book_value(dataclasses.replace(good, net_assets=0.0)) is not None
    for change in ({"net_assets": 6e10}, {"net_assets": -6e9}, {"book_per_share": -1.0}, {"updated": 0}):
        assert book_value(dataclasses.replace(good, **change)) is None


def test_a_host_without_a_word_on_events_is_believed_when_it_says_so_again_and_again(market, monkeypatch):
    asked = []

    def nothing(self, number, raw, entry):
        asked.append(raw)
        return struct.pack("<H", 0)

    monkeypatch.setattr(TdxServer, "_events", nothing)
    with TdxServer(market) as server:
        reply = source(server).connect().fetch("600519.SH", start="1990-01-01")
    assert len(reply.bars) == len(market.listings[SH, "600519"].date) and reply.events == [] and len(asked) > 2


def test_bars_of_another_index_are_not_taken_and_a_host_without_reports_of_indices_will_do(market, monkeypatch):
    with TdxServer(market, Faults(on={"wrong_code"})) as server, pytest.raises(SourceError):
        source(server, attempts=2, patience=0.3, aside=0.1).connect().fetch("000300.SH", start="1990-01-01")
    real = TdxServer._finance
    monkeypatch.setattr(TdxServer, "_finance", lambda self, number, raw, entry: None if entry and entry.is_index else real(self, number, raw, entry))
    with TdxServer(market) as server:
        server.faults.delay = 0.0
        assert len(source(server).connect().fetch("000300.SH", start="1990-01-01").bars) == len(market.listings[SH, "000300"].date)


def test_each_worker_has_its_own_connection_and_there_are_four_at_most(workspace, monkeypatch):
    used = {}
    real = TdxConnection._ask

    def recorded(self, command, *arguments):
        used.setdefault(self, set()).add(threading.get_ident())
        return real(self, command, *arguments)

    monkeypatch.setattr(TdxConnection, "_ask", recorded)
    store = Store(workspace.data_dir)
    with TdxServer(make_market(20, 60, noise=0)) as server:
        tdx = source(server)
        plan = plan_download(store, tdx, Query(count=0))
        used.clear()
        assert len(run_download(store, tdx, plan, workers=64).stored) == 21
    workers = {thread for threads in used.values() for thread in threads} - {threading.get_ident()}
    assert 2 <= len(workers) <= 4 and all(len(threads) == 1 for threads in used.values())


def test_an_update_asks_only_for_what_is_missing(market):
    with TdxServer(market) as server:
        line = source(server).connect()
        listing = market.listings[SH, "600519"]
        since = f"{listing.date[-10] // 10000}-{listing.date[-10] // 100 % 100:02d}-{listing.date[-10] % 100:02d}"
        line.fetch("600519.SH", start="1990-01-01", since=since)
        before = server.requests
        reply = line.fetch("600519.SH", start="1990-01-01", since=since)
        assert len(reply.bars) == 10
        assert server.requests - before <= 4


def test_a_code_without_data_is_empty_not_an_error(market):
    with TdxServer(market) as server:
        assert source(server).connect().fetch("600999.SH", start="1990-01-01").bars is None


def test_industries_are_mapped_to_ours(market):
    with TdxServer(market) as server:
        tdx = source(server)
        known = tdx.industries(["600519.SH", "000001.SZ"])
        assert {industry for industry, _ in known.values()} <= {"finance", "consumer", "technology", "healthcare", "industrial", "materials",
                                                               "energy", "utilities", "real_estate", "telecom", "other"}
    assert [industry_of(code) for code in ("X2102", "X5010", "X3001", "X1201", "X4102", "X7777")] == [
        "consumer", "finance", "industrial", "consumer", "telecom", "other"]
    with pytest.raises(SourceError):
        parse_industries(b"1|600519|T|||X7777")


def test_every_group_of_codes_has_its_industry():
    groups = {
        "energy": "10 11", "materials": "12 13 14 15", "consumer": "20 21 22 23 24 25 26 60", "healthcare": "27", "industrial": "30 31 32 52 61 63",
        "technology": "40 41 42", "telecom": "43", "finance": "50 51", "real_estate": "53", "utilities": "62", "other": "99 77"}
    assert {code: industry_of(f"X{code}99") for codes in groups.values() for code in codes.split()} == {
        code: industry for industry, codes in groups.items() for code in codes.split()}
    exceptions = {"X1201": "consumer", "X2301": "materials", "X2302": "materials", "X2505": "industrial", "X4102": "telecom", "X6006": "industrial"}
    assert {code: industry_of(code) for code in exceptions} == exceptions


def test_volume_unit_is_checked_on_arrival():
    bars = np.zeros(3, dtype=[("volume", "f8"), ("amount", "f8"), ("close", "f8")])
    bars["volume"], bars["close"] = 10, 5
    for ratio, unit in ((100, 100.0), (1, 1.0)):
        bars["amount"] = 50 * ratio
        assert volume_unit(bars, "600519.SH") == unit
    bars["amount"] = 50 * 10
    with pytest.raises(DataError):
        volume_unit(bars, "600519.SH")


# ---------------------------------------------------------------- faults
@pytest.mark.parametrize("fault", ["drop", "mute", "late", "split", "empty", "short", "wrong_code", "wrong_id", "truncated", "garbage"])
def test_a_fault_now_and_then_costs_time_but_never_a_wrong_bar(market, fault):
    with TdxServer(market, Faults(on={fault}, share=0.25, delay=0.5)) as server:
        line = source(server, attempts=12, patience=20.0, aside=0.2).connect()
        for market_number, code, suffix in ((SH, "600519", "SH"), (SZ, "000001", "SZ")):
            assert same_bars(line.fetch(f"{code}.{suffix}", start="1990-01-01"), market.listings[market_number, code])


@pytest.mark.parametrize("fault", ["drop", "mute", "empty", "short", "wrong_code", "wrong_id", "truncated", "garbage", "stale", "refuse"])
def test_a_fault_that_never_ends_is_an_error_with_its_reason_never_data(market, fault):
    with TdxServer(market, Faults(on={fault}, delay=0.3)) as server, pytest.raises(SourceError) as caught:
        source(server, timeout=0.2, patience=0.5, attempts=3, aside=0.2).connect().fetch("600519.SH", start="1990-01-01")
    assert f"127.0.0.1:{server.port}" in str(caught.value)


def test_the_hosts_own_words_of_refusal_reach_the_user(market):
    with TdxServer(market, Faults(on={"refuse"})) as server, pytest.raises(SourceError) as caught:
        source(server, patience=0.3).connect().fetch("600519.SH", start="1990-01-01")
    assert REFUSAL in str(caught.value)


def test_where_no_host_is_reachable_each_has_its_reason_in_the_readers_language():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        closed = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(SourceError) as caught:
            HostPool(TdxSettings(hosts=(closed, "nowhere.invalid:7709"), timeout=0.5, patience=0.0, failures=1)).acquire()
    assert f"{closed}: the connection was refused; nowhere.invalid:7709: " in str(caught.value)
    told = caught.value.message("zh").replace(closed, "").replace("nowhere.invalid:7709", "").replace("--server", "")
    assert "连接被拒绝" in told and not re.search("[A-Za-z]", told.replace("TDX", "")), told


def test_the_third_packet_can_be_left_out(market):
    with TdxServer(market) as server:
        tdx = TdxSource(server=f"127.0.0.1:{server.port}", packets="1")
        assert tdx.settings.packets == (1,)
        assert len(tdx.connect().fetch("600519.SH", start="1990-01-01").bars)


def test_a_bad_host_is_passed_over_for_a_good_one(market):
    with TdxServer(market, Faults(on={"stale"})) as old, TdxServer(market) as good:
        line = source(old, good).connect()
        assert same_bars(line.fetch("600519.SH", start="1990-01-01"), market.listings[SH, "600519"])
        assert line._connection.address.endswith(str(good.port))


def test_a_host_that_fails_twice_is_put_aside_for_the_next(market):
    sick = next(entry for entry in shares_of(market) if entry.key not in PROBES and entry.market == SH)
    with TdxServer(market, Faults(on={"drop"}, codes={sick.code})) as failing, TdxServer(market) as good:
        line = source(failing, good, failures=2).connect()
        assert same_bars(line.fetch("000001.SZ", start="1990-01-01"), market.listings[SZ, "000001"])
        assert line._connection.address.endswith(str(failing.port)), "the first of the list, as long as it answers"
        assert same_bars(line.fetch(f"{sick.code}.SH", start="1990-01-01"), sick)
        assert line._connection.address.endswith(str(good.port))


def test_a_connection_pauses_after_every_answer(market, monkeypatch):
    pauses = []
    monkeypatch.setattr("financial_model.market.sources.tdx.time.sleep", pauses.append)
    with TdxServer(market) as server:
        line = TdxSource(server=f"127.0.0.1:{server.port}", pause=0.4).connect()
        for _ in range(20):
            line.ask(lambda connection: connection.bars(SH, "600519", 0, 5))
    assert len(pauses) == 20 and min(pauses) >= 0.2 and max(pauses) <= 0.6 and len(set(pauses)) > 1


def test_a_survey_says_of_every_host_how_soon_it_answers_or_why_not(market):
    with TdxServer(market, Faults(on={"stale"})) as old, TdxServer(market) as good:
        stale, fresh = HostPool(settings(old, good)).survey()
    assert fresh["address"].endswith(str(good.port)) and 0 < fresh["seconds"] < 5 and fresh["error"] is None
    assert stale["seconds"] is None and stale["error"].key == "tdx.not_fresh"


def test_a_socket_is_never_used_again_after_a_failure(market):
    """A late reply must not become the next question's answer."""
    with TdxServer(market, Faults(on={"late"}, first=1, delay=0.6)) as server:
        connection = TdxConnection("127.0.0.1", server.port, timeout=0.3)
        with pytest.raises(SourceError):
            connection.bars(SH, "600519", 0, 5)
        assert connection._client is None
        bars = connection.bars(SZ, "000001", 0, 5)
        assert np.array_equal(np.rint(bars["close"] * 1000), market.listings[SZ, "000001"].prices[-5:, 1])


def test_a_host_without_fresh_bars_is_not_good():
    stale = make_market(3, 300, last="2024-06-28")
    with TdxServer(stale) as server, pytest.raises(SourceError) as caught:
        HostPool(settings(server, patience=0.2)).acquire()
    assert "ten sessions" in str(caught.value)


# ---------------------------------------------------------------- factors
def days(*texts: str) -> np.ndarray:
    return np.array(texts, dtype="datetime64[D]")


def test_a_cash_dividend_keeps_the_return():
    dates, close = days("2024-01-02", "2024-01-03", "2024-01-04"), np.array([10.0, 9.5, 9.5])
    factors = backward_factors(dates, close, np.ones(3, bool), [ExRights(date=np.datetime64("2024-01-03"), cash=0.5)])
    assert factors == pytest.approx([1.0, 10 / 9.5, 10 / 9.5])
    assert np.diff(np.log(close * factors)) == pytest.approx([0.0, 0.0])


def test_bonus_and_rights_by_the_exchanges_formula():
    event = ExRights(date=np.datetime64("2024-01-03"), cash=0.2, bonus=0.5, rights=0.3, rights_price=4.0)
    assert event.reference(10.0) == pytest.approx((10 - 0.2 + 0.3 * 4) / 1.8)


def test_returns_are_the_exchanges_to_the_last_digit():
    """Twenty years with an event every 97 days: each return is the close over the reference price, by the published formula, per ten shares."""
    rng = np.random.default_rng(5)
    dates = np.arange("2000-01-01", "2020-01-01", dtype="datetime64[D]")
    close = 10 * np.exp(np.cumsum(rng.normal(0, 0.02, len(dates))))
    rows = np.arange(50, len(dates), 97)
    figures = [(rng.uniform(0, 0.02) * close[row - 1] * 10, rng.integers(0, 8), rng.integers(0, 3), 0.7 * close[row - 1]) for row in rows]
    events = [ExRights(date=dates[row], cash=cash / 10, bonus=bonus / 10, rights=rights / 10, rights_price=price)
              for row, (cash, bonus, rights, price) in zip(rows, figures, strict=True)]
    expected = np.diff(np.log(close))
    for row, (cash, bonus, rights, price) in zip(rows, figures, strict=True):
        expected[row - 1] = np.log(close[row] / ((10 * close[row - 1] - cash + rights * price) / (10 + bonus + rights)))
    factors = backward_factors(dates, close, np.ones(len(dates), bool), events)
    assert np.abs(np.diff(np.log(close) + np.log(factors)) - expected).max() < 1e-13


def test_two_events_inside_one_suspension_compound():
    dates, close = days("2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05"), np.array([10.0, 10.0, 10.0, 4.0])
    traded = np.array([True, False, False, True])
    events = [ExRights(date=np.datetime64("2024-01-03"), bonus=1.0), ExRights(date=np.datetime64("2024-01-04"), cash=1.0)]
    factors = backward_factors(dates, close, traded, events)
    assert factors[-1] == pytest.approx(2.0 * 5.0 / 4.0)
    assert np.log(close[-1] * factors[-1] / close[0]) == pytest.approx(0.0)


def test_events_outside_the_bars_do_not_count():
    dates, close = days("2024-01-02", "2024-01-03"), np.array([10.0, 10.0])
    events = [ExRights(date=np.datetime64("2023-01-02"), cash=1.0), ExRights(date=np.datetime64("2024-01-05"), cash=1.0)]
    assert backward_factors(dates, close, np.ones(2, bool), events) == pytest.approx([1.0, 1.0])


def test_adding_a_bar_or_an_event_never_changes_an_old_factor():
    rng = np.random.default_rng(3)
    dates = np.arange("2020-01-01", "2021-01-01", dtype="datetime64[D]")
    close = 10 * np.exp(np.cumsum(rng.normal(0, 0.02, len(dates))))
    events = [ExRights(date=dates[row], cash=0.1, bonus=0.1) for row in (50, 120, 300)]
    whole = backward_factors(dates, close, np.ones(len(dates), bool), events)
    part = backward_factors(dates[:200], close[:200], np.ones(200, bool), events[:2])
    assert np.array_equal(whole[:200], part)
