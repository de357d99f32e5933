"""The baostock source against a server on loopback that its own client understands too, faults included."""

import sys
import time

import numpy as np
import pytest

pytest.importorskip("baostock", reason="the optional package baostock is not installed")

from financial_model.errors import ConfigError, RateLimitError, SourceError  # noqa: E402
from financial_model.market.download import download  # noqa: E402
from financial_model.market.sources.baostock import BaostockSource, industry  # noqa: E402
from financial_model.market.sources.base import Query  # noqa: E402
from financial_model.market.store import Store  # noqa: E402
from tests.fakes.baostock import BaostockServer, Faults, make_market  # noqa: E402


@pytest.fixture(scope="module")
def market():
    return make_market(6, 300)


def source(server, **options) -> BaostockSource:
    return BaostockSource(server=f"127.0.0.1:{server.port}", **{"timeout": 0.5, **options})


def symbol_of(code: str) -> str:
    return f"{code[3:]}.{code[:2].upper()}"


def test_the_server_is_one_the_real_client_understands(market, monkeypatch, capsys):
    import baostock
    import baostock.common.contants as constants

    with BaostockServer(market) as server:
        monkeypatch.setattr(constants, "BAOSTOCK_SERVER_IP", "127.0.0.1")
        monkeypatch.setattr(constants, "BAOSTOCK_SERVER_PORT", server.port)
        assert baostock.login().error_code == "0"
        bars = baostock.query_history_k_data_plus("sh.600000", "date,code,close,isST", start_date="2000-01-01", frequency="d", adjustflag="3")
        rows = []
        while bars.error_code == "0" and bars.next():
            rows.append(bars.get_row_data())
        truth = market.stocks["sh.600000"].rows
        assert bars.fields == ["date", "code", "close", "isST"] and [row[2] for row in rows] == [day["close"] for day in truth.values()]
        known = baostock.query_adjust_factor("sh.600000", start_date="1990-01-01")
        assert known.fields[3] == "backAdjustFactor" and len(known.data) == len(market.stocks["sh.600000"].factors)
        basic = baostock.query_stock_basic()
        assert basic.fields == ["code", "code_name", "ipoDate", "outDate", "type", "status"] and len(basic.data) == len(market.stocks)
        baostock.logout()


def test_bars_arrive_raw_with_the_facts_of_each_day(market):
    with BaostockServer(market) as server:
        line = source(server).connect()
        for code, truth in market.stocks.items():
            if code in ("sh.000300", "sh.900901"):
                continue
            bars = line.fetch(symbol_of(code), start="1990-01-01").bars
            rows = list(truth.rows.values())
            assert bars["date"].dt.strftime("%Y-%m-%d").tolist() == [row["date"] for row in rows]
            assert bars["close"].tolist() == [float(row["close"]) for row in rows]
            assert bars["volume"].tolist() == [float(row["volume"] or 0) for row in rows]
            assert bars["is_st"].tolist() == [float(row["isST"]) for row in rows]
            assert bars["pb"].tolist() == [float(row["pbMRQ"]) for row in rows]
        line.close()


def test_returns_across_ex_days_are_the_exchanges_also_inside_a_suspension(market):
    """The exchange's return of a day is close over its reference price; a halted stock's ex-day shows on the day it trades again."""
    with BaostockServer(market) as server:
        for code in ("sh.600000", "sh.600002"):
            bars = source(server).connect().fetch(symbol_of(code), start="1990-01-01").bars
            adjusted = (bars["close"] * bars["factor"]).to_numpy()
            rows = list(market.stocks[code].rows.values())
            expected = [float(row["close"]) / float(row["preclose"]) - 1 for row in rows][1:]
            assert np.abs(adjusted[1:] / adjusted[:-1] - 1 - expected).max() < 1e-5, code
            assert bars["factor"].iloc[-1] == market.stocks[code].factors[-1][1]


def test_delisted_stocks_are_listed_and_b_shares_and_indices_are_not(market):
    with BaostockServer(market) as server:
        found = {entry.symbol: entry for entry in source(server).listings(Query(count=0, indices=False))}
        assert sorted(found) == sorted(symbol_of(code) for code in market.stocks if code not in ("sh.000300", "sh.900901"))
        assert found["000001.SZ"].until == market.stocks["sz.000001"].delisted and found["600000.SH"].until == ""
        assert "000003.SZ" not in {entry.symbol for entry in source(server).listings(Query(count=0, exclude_st=True))}


def test_a_whole_download_and_its_update(market, workspace):
    store = Store(workspace.data_dir)
    with BaostockServer(market) as server:
        query = Query(count=0, options={"server": f"127.0.0.1:{server.port}", "timeout": 5.0})
        report = download(store, "baostock", query)
        assert len(report.stored) == 7 and report.failed == [] and store.names()["600000.SH"] == "样本 0"
        assert store.industries()["600000.SH"] == "finance" and store.industries()["000001.SZ"] == "consumer"
        before = server.requests
        again = download(store, "baostock", query)
        assert again.current == 7, "a delisted stock is not asked for again and again"
        assert server.requests - before == 1, "only the list"
        store.write_bars("600000", store.read_bars("600000").iloc[:-20], source="baostock", name="样本 0")
        assert download(store, "baostock", query).rows == 20
    adjusted = store.read_bars("600000")["factor"]
    assert adjusted.iloc[-1] == market.stocks["sh.600000"].factors[-1][1] and (np.diff(adjusted) >= 0).all()


def test_more_rows_than_a_page_holds(workspace):
    long = make_market(1, 4100)
    with BaostockServer(long) as server:
        assert len(source(server, timeout=5.0).connect().fetch("600000.SH", start="1990-01-01").bars) == 4100


def test_a_code_they_do_not_have_is_empty(market):
    with BaostockServer(market) as server:
        line = source(server).connect()
        assert line.fetch("600999.SH", start="1990-01-01").bars is None
        assert line.fetch("AAPL", start="1990-01-01").reason == "baostock.not_here"


@pytest.mark.parametrize("fault", ["drop", "mute", "garbage", "cut", "other_code"])
def test_trouble_is_an_error_in_time_and_the_next_question_works(market, fault):
    with BaostockServer(market, Faults(on={fault}, first=1)) as server:
        line = source(server).connect()
        began = time.monotonic()
        with pytest.raises(SourceError) as caught:
            line.fetch("600000.SH", start="1990-01-01")
        assert time.monotonic() - began < 10 and not isinstance(caught.value, RateLimitError)
        assert len(line.fetch("600000.SH", start="1990-01-01").bars) == 300


@pytest.mark.parametrize("fault", ["refuse", "too_many"])
def test_a_refused_login_stops_the_job_with_their_words(market, workspace, fault):
    with BaostockServer(market, Faults(on={fault})) as server:
        with pytest.raises(RateLimitError) as caught:
            source(server).connect().fetch("600000.SH", start="1990-01-01")
        assert any(words in str(caught.value) for words in ("黑名单用户", "账号登陆数达到上限"))
        report = download(Store(workspace.data_dir), "baostock", Query(symbols=("600000", "600002"), options={"server": f"127.0.0.1:{server.port}"}))
        assert report.halted is not None and report.stored == [] and len(report.failed) == 1


def test_an_outdated_package_is_named(market):
    with BaostockServer(market, Faults(on={"expired"})) as server, pytest.raises(SourceError) as caught:
        source(server).connect().fetch("600000.SH", start="1990-01-01")
    assert "pip install --upgrade baostock" in str(caught.value)


def test_a_missing_package_is_a_sentence_not_a_traceback(monkeypatch):
    monkeypatch.setitem(sys.modules, "baostock", None)
    monkeypatch.setitem(sys.modules, "baostock.common.contants", None)
    with pytest.raises(ConfigError) as caught:
        BaostockSource()
    assert "pip install baostock" in str(caught.value) and "pip install baostock" in caught.value.message("zh")


def test_a_server_is_a_host_and_a_port():
    with pytest.raises(ConfigError):
        BaostockSource(server="nonsense")


def test_industries_of_both_classifications():
    labels = ("J66货币金融服务", "C15酒、饮料和精制茶制造业", "C39计算机、通信和其他电子设备", "银行", "K70房地产业", "R86新闻和出版业", "火星", "")
    assert [industry(label) for label in labels] == ["finance", "consumer", "technology", "finance", "real_estate", "telecom", "other", "other"]
