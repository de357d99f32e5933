"""Every doubtful place is found where it was planted, and a clean market has none."""

import csv
import io

import numpy as np
import pandas as pd
import pytest

from financial_model.market.calendar import sessions
from financial_model.market.integrity import check_integrity
from financial_model.market.store import Store


def frame(days: int = 60, *, end: str = "2025-06-30", seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    close = np.round(20 * np.exp(np.cumsum(rng.normal(0, 0.01, days))), 2)
    volume = rng.integers(100_000, 900_000, days).astype(float)
    return pd.DataFrame({"date": sessions("XSHG", end=end)[-days:], "open": close, "high": close + 0.1, "low": close - 0.1, "close": close,
                         "volume": volume, "amount": volume * close})


@pytest.fixture
def store(workspace) -> Store:
    store = Store(workspace.data_dir)
    store.write_bars("600000.SH", frame(), source="files")
    return store


def row(store: Store, symbol: str):
    return next(entry for entry in check_integrity(store).symbols if entry.symbol == symbol)


def kinds(store: Store, symbol: str) -> set[str]:
    return {entry.kind for entry in check_integrity(store).findings if entry.symbol == symbol}


def test_clean_bars_have_no_findings(store):
    report = check_integrity(store)
    assert report.findings == []
    assert report.totals()["doubtful"] == 0 and report.totals()["rows"] == 60


def test_a_gap_is_counted_in_sessions_and_dated(store):
    bars = frame(seed=2)
    store.write_bars("600001.SH", bars.drop(index=range(20, 27)), source="files")
    entry = row(store, "600001.SH")
    assert (entry.missing_sessions, entry.longest_gap) == (7, 7)
    gap = next(found for found in check_integrity(store).findings if found.symbol == "600001.SH")
    assert (gap.kind, gap.date, gap.value) == ("gap", str(bars["date"].iloc[20].date()), 7.0)


def test_a_suspended_day_is_not_a_day_without_volume(store):
    bars = frame(seed=3)
    bars.loc[10, ["open", "high", "low", "close"]] = bars.loc[9, "close"]
    bars.loc[10, ["volume", "amount"]] = 0.0
    bars.loc[30, ["volume", "amount"]] = 0.0
    store.write_bars("600002.SH", bars, source="files")
    entry = row(store, "600002.SH")
    assert (entry.suspended, entry.zero_volume) == (1, 1)


def test_a_move_beyond_the_limit_of_its_board_is_found_and_an_ex_day_is_not(store):
    jump = frame(seed=4)
    jump.loc[40:, ["open", "high", "low", "close"]] *= 1.15
    store.write_bars("600003.SH", jump, source="files")
    store.write_bars("300003.SZ", jump, source="files")
    ex_day = jump.assign(factor=np.where(np.arange(60) >= 40, 1 / 1.15, 1.0))
    store.write_bars("600004.SH", ex_day, source="files")
    assert row(store, "600003.SH").limit == 1 and "limit" in kinds(store, "600003.SH")
    assert row(store, "300003.SZ").limit == 0, "ChiNext may move 20 %"
    assert row(store, "600004.SH").limit == 0, "the reference price is adjusted on an ex-day"


def test_a_repeated_day_and_a_volume_in_lots_are_suspect(store):
    bars = frame(seed=5)
    bars.loc[21, bars.columns[1:]] = bars.loc[20, bars.columns[1:]].to_numpy()
    store.write_bars("600005.SH", bars, source="files")
    assert row(store, "600005.SH").repeated == 1
    store.write_bars("600006.SH", frame(seed=6).assign(amount=lambda table: table["volume"] * 100 * table["close"]), source="files")
    assert row(store, "600006.SH").unit == 1


def test_a_unit_that_changes_half_way_is_dated_and_one_odd_amount_is_not_a_unit(store):
    bars = frame(seed=8)
    store.write_bars("600008.SH", bars.assign(volume=bars["volume"] / np.where(np.arange(60) >= 50, 100, 1)), source="files")
    store.write_bars("600009.SH", bars.assign(amount=bars["amount"] * np.where(np.arange(60) == 50, 100, 1)), source="files")
    store.write_bars("600010.SH", bars.assign(volume=bars["volume"] / 100).drop(columns="amount"), source="files")
    found = next(entry for entry in check_integrity(store).findings if entry.symbol == "600008.SH")
    assert (found.kind, found.date) == ("unit", str(bars["date"].iloc[50].date())) and found.value == pytest.approx(100)
    assert [row(store, symbol).unit for symbol in ("600009.SH", "600010.SH")] == [0, 0], "without an amount nothing can be said"


def test_the_limit_is_that_of_the_day(store):
    """ChiNext: 10 % until 21 August 2020, 20 % from the 24th."""
    for symbol, end in (("300004.SZ", "2020-08-21"), ("300005.SZ", "2020-08-24")):
        bars = frame(end=end, seed=9)
        bars.loc[59, ["open", "high", "low", "close"]] = bars.loc[58, ["open", "high", "low", "close"]] * 1.15
        store.write_bars(symbol, bars, source="files")
    assert (row(store, "300004.SZ").limit, row(store, "300005.SZ").limit) == (1, 0)
    limit = next(entry for entry in check_integrity(store).findings if entry.symbol == "300004.SZ" and entry.kind == "limit")
    assert limit.date == "2020-08-21" and limit.value == pytest.approx(0.15, abs=0.001)


def test_every_kind_is_counted_per_symbol_and_in_total(store):
    bars = frame(seed=10).drop(index=range(20, 27)).reset_index(drop=True)
    bars.loc[30, ["volume", "amount"]] = 0.0
    store.write_bars("600011.SH", bars, source="files")
    report = check_integrity(store)
    totals, entry = report.totals(), row(store, "600011.SH")
    assert (totals["symbols"], totals["doubtful"], totals["rows"]) == (2, 1, 113)
    assert (totals["missing_sessions"], totals["zero_volume"]) == (entry.missing_sessions, entry.zero_volume) == (7, 1)


def test_a_symbol_left_behind_is_named(store):
    store.write_bars("600007.SH", frame(end="2025-05-30", seed=7), source="files")
    assert row(store, "600007.SH").behind > 10
    assert row(store, "600000.SH").behind == 0


def test_the_table_opens_in_a_spreadsheet(store):
    raw = check_integrity(store).to_csv()
    assert raw.startswith(b"\xef\xbb\xbf")
    assert next(csv.DictReader(io.StringIO(raw.decode("utf-8-sig"))))["symbol"] == "600000.SH"
