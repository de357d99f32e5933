"""The whole job against a TDX server with each fault switched on: no wrong row is stored, the job ends by itself, what can be had is complete,
and the rest carries a reason."""

import dataclasses

import pytest

from financial_model.errors import SourceError
from financial_model.market.download import plan_download, run_download
from financial_model.market.sources.base import Query
from financial_model.market.sources.tdx import TdxSource
from financial_model.market.sources.tdx_hosts import TdxSettings
from financial_model.market.store import Store
from tests.fakes.tdx import Faults, TdxServer
from tests.fakes.tdx_market import make_market
from tests.market.truth import difference, shares_of, symbol_of

FAULTS = ("drop", "mute", "late", "split", "empty", "short", "refuse", "wrong_code", "wrong_id", "truncated", "garbage", "stale")
QUICK = TdxSettings(timeout=0.4, pause=0.0, patience=2.0, attempts=3, aside=0.05)
SICK = "603002"


@pytest.fixture(scope="module")
def market():
    found = make_market(6, 260, noise=1)
    assert SICK in {entry.code for entry in shares_of(found)}
    return found


def source(server, **changes) -> TdxSource:
    return TdxSource(settings=dataclasses.replace(QUICK, hosts=(f"127.0.0.1:{server.port}",), **changes))


def wrong(store: Store, market) -> dict[str, str]:
    """Symbol -> what is wrong with its stored bars; symbols that are not stored are left out."""
    stored = [entry for entry in shares_of(market) if store.has(symbol_of(entry))]
    return {symbol_of(entry): found for entry in stored if (found := difference(store, entry))}


def run(store: Store, tdx: TdxSource, **query):
    return run_download(store, tdx, plan_download(store, tdx, Query(count=0, indices=False, **query)))


@pytest.mark.parametrize("fault", FAULTS)
def test_one_sick_symbol_costs_the_others_nothing(market, workspace, fault):
    store, sick = Store(workspace.data_dir), f"{SICK}.SH"
    with TdxServer(market, Faults(on={fault} - {"stale"}, codes={SICK}, delay=0.6)) as server:
        report = run(store, source(server))
    healthy = {symbol_of(entry) for entry in shares_of(market)} - {sick}
    assert wrong(store, market) == {} and healthy <= set(report.stored)
    if fault in ("split", "stale"):  # a header in two pieces is no fault for us; staleness concerns the host, not one symbol
        assert sick in report.stored
    elif fault == "empty":  # a healthy host says that it has nothing: remembered, with the reason
        assert report.empty == [sick] and store.symbols("all", status="empty")["symbol"].tolist() == [sick]
    else:
        assert [entry.symbol for entry in report.failed] == [sick] and report.failed[0].message("zh") != report.failed[0].message("en")
        assert store.symbols("all", status="failed")["symbol"].tolist() == [sick] and report.halted is None


@pytest.mark.parametrize("fault", sorted(set(FAULTS) - {"stale", "refuse"}))
def test_a_fault_now_and_then_leaves_everything_complete(market, workspace, fault):
    store = Store(workspace.data_dir)
    with TdxServer(market, Faults(on={fault}, share=0.15, delay=0.6)) as server:
        tdx = source(server, attempts=10, patience=20.0)
        report = run(store, tdx)
    assert wrong(store, market) == {} and report.failed == [] and report.empty == []
    assert sorted(report.stored) == sorted(map(symbol_of, shares_of(market)))
    assert len(store.industries()) == len(report.stored) and all(len(store.facts("book", symbol)) for symbol in report.stored)


@pytest.mark.parametrize("fault", sorted(set(FAULTS) - {"split"}))
def test_a_server_with_nothing_but_the_fault_gives_reasons_and_no_row(market, workspace, fault):
    store = Store(workspace.data_dir)
    symbols = tuple(map(symbol_of, shares_of(market)))
    with TdxServer(market, Faults(on={fault}, delay=0.6)) as server:
        if fault != "wrong_code":  # whose bars they are shows only with each symbol
            with pytest.raises(SourceError):
                plan_download(store, source(server, patience=0.1, attempts=1), Query(count=0))
        report = run(store, source(server, patience=0.1, attempts=1), symbols=symbols)
        assert report.stored == [] and report.empty == [] and len(store.symbols("all")) == 0
        assert sorted(entry.symbol for entry in report.failed) == sorted(symbols)
        assert all(str(server.port) in entry.message() for entry in report.failed)
    with TdxServer(market) as healed:
        again = source(healed)
        report = run_download(store, again, plan_download(store, again, Query(), retry=True))
    assert sorted(report.stored) == sorted(symbols) and wrong(store, market) == {}
