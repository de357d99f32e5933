"""What the data page says about bars: what would be fetched, how files would be read, what is doubtful in what is stored."""

import numpy as np
import pytest

from financial_model.market.store import Store
from financial_model.paths import Workspace
from financial_model.serving.market import check_integrity, plan_import
from financial_model.ui import charts, data_view, universe_view
from financial_model.ui.tabs import integrity
from financial_model.ui.text import View
from tests.market.builders import bars, csv

VIEWS = (View("en", "green_up"), View("zh", "red_up"))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """Three stocks: one clean, one with a hole and a jump, one whose volume is in lots."""
    workspace = Workspace(data_dir=tmp_path_factory.mktemp("data"))
    store = Store(workspace.data_dir)
    store.write_bars("600000", bars(80), source="files")
    jump = bars(80, seed=1).drop(index=range(20, 30)).reset_index(drop=True)
    for name in ("open", "high", "low", "close"):
        jump.loc[50:, name] = (jump.loc[50:, name] * 1.4).round(2)
    store.write_bars("600519", jump, source="files")
    lots = bars(80, seed=2)
    store.write_bars("000001", lots.assign(volume=lots["volume"] / 100), source="files")
    return workspace


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.language)
def test_every_kind_of_doubt_has_a_total_and_its_stocks_a_row(workspace, view):
    report = check_integrity(workspace)
    head = data_view.integrity_head(view, report, stale=False)
    for name in data_view.COUNTED:
        assert view.word(f"cli.integrity.{name}") in head and view.word(f"ui.integrity.hint.{name}") in head
    assert view.word("ui.integrity.clean") not in head
    table = data_view.integrity_rows(view, report)
    assert {row[0] for row in table["data"]} == {"600519.SH", "000001.SZ"} and len(table["headers"]) == len(table["data"][0])
    by_name = dict(zip(table["headers"], next(row for row in table["data"] if row[0] == "600519.SH"), strict=True))
    assert by_name[view.word("cli.integrity.missing_sessions")] == 10 and by_name[view.word("cli.integrity.limit")] == 1
    said = data_view.integrity_findings(view, report)
    assert view.word("ui.integrity.what.gap", value="10") in said and "+4" in said and "99.98" in said


def test_a_report_older_than_the_newest_bars_says_so(workspace):
    report = check_integrity(workspace)
    assert VIEWS[0].word("ui.integrity.stale") in data_view.integrity_head(VIEWS[0], report, stale=True)
    checked, imported = {"id": "1", "kind": "integrity", "state": "finished"}, {"id": "2", "kind": "import", "state": "finished"}
    snapshot = type("Snapshot", (), {"jobs": [checked]})()
    assert not integrity._stale(snapshot, checked)
    snapshot.jobs = [imported, checked]  # newest first
    assert integrity._stale(snapshot, checked)


def test_a_clean_store_is_called_clean(tmp_path):
    Store(tmp_path).write_bars("600000", bars(80), source="files")
    report = check_integrity(Workspace(data_dir=tmp_path))
    assert VIEWS[0].word("ui.integrity.clean") in data_view.integrity_head(VIEWS[0], report, stale=False)
    assert data_view.integrity_rows(VIEWS[0], report)["data"] == [] and data_view.integrity_findings(VIEWS[0], report) == ""


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.language)
def test_files_are_shown_as_they_would_be_read(tmp_path, view):
    chinese = {"date": "日期", "open": "开盘", "high": "最高", "low": "最低", "close": "收盘", "volume": "成交量", "amount": "成交额"}
    frame = bars(30)
    csv(tmp_path / "600519.csv", frame.assign(volume=frame["volume"] / 100).rename(columns=chinese), encoding="gbk")
    csv(tmp_path / "000001.csv", bars(30).assign(high=0.1))
    shown = data_view.import_plan(view, plan_import(Workspace(data_dir=tmp_path / "data"), [tmp_path]))
    assert "open ← 开盘" in shown and "600519.SH" in shown and view.word("ui.plan.unit_lots") in shown
    assert "000001.csv: " in shown and str(tmp_path) not in shown


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.language)
def test_a_plan_names_stocks_size_and_time(view):
    plan = {"stocks": 0, "new": 0, "update": 0, "current": 12, "empty": 3, "bars": 4000, "bytes": 320_000, "seconds": 75.0}
    shown = data_view.download_plan(view, plan)
    assert view.word("ui.plan.nothing") in shown and "320 kB" in shown and "1:15" in shown
    assert view.word("ui.plan.nothing") not in data_view.download_plan(view, {**plan, "stocks": 2})


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.language)
def test_correlations_are_shown_by_name(view):
    matrix = [[1.0, 0.1, 0.7], [0.1, 1.0, None], [0.7, None, 1.0]]
    stocks = {"600000.SH": "", "600519.SH": "贵州茅台", "000001.SZ": ""}
    summary = {"table": [{"symbol": symbol, "name": name} for symbol, name in stocks.items()],
               "correlation": {"stocks": {"names": list(stocks), "matrix": matrix}, "industries": {"names": ["finance"], "matrix": [[1.0]]}}}
    assert universe_view.correlation(view, summary, "stocks") == (["600000.SH", "贵州茅台 600519.SH", "000001.SZ"], matrix)
    assert universe_view.correlation(view, summary, "industries") == ([view.term("industry", "finance")], [[1.0]])


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.language)
def test_the_table_of_a_universe_is_written_for_people_and_its_file_is_not(view):
    stock = {"symbol": "600519.SH", "name": "贵州茅台", "industry": "consumer", "size": "large", "value": "unknown", "volatility": "low",
             "momentum": "mid", "close": 1523.4, "change_month": 0.0123, "annual_return": -0.2, "annual_volatility": 0.318, "rows": 5230,
             "missing": 0.004, "weight": 2.0}
    other = {**stock, "symbol": "000001.SZ", "annual_return": None, "weight": None}
    table = universe_view.rows(view, {"table": [other, stock]}, 5)
    assert table["metadata"]["display_value"][0][7:] == ["1,523.40", "+1.2 %", "-20.0 %", "31.8 %", "5,230", "0.4 %"]
    assert table["data"][0][7:] == [1523.4, 0.0123, -0.2, 0.318, 5230, 0.004] and table["metadata"]["display_value"][1][9] == "–"
    right = ["right" in style for style in table["metadata"]["styling"][0]]
    assert right == [column >= 7 for column in range(len(universe_view.COLUMNS))] and table["data"][1][9] is None
    assert universe_view.frame({"table": [stock]})["change_month"][0] == 0.0123


def test_candles_end_at_todays_price_whatever_was_adjusted(tmp_path):
    frame = bars(40).assign(factor=np.where(np.arange(40) < 20, 1.0, 2.0))
    store = Store(tmp_path)
    store.write_bars("600000", frame, source="files")
    history = universe_view.history(store, "600000.SH", 30)
    assert len(history["date"]) == 30 and history["close"][-1] == frame["close"].iloc[-1]
    assert history["close"][0] == pytest.approx(frame["close"].iloc[10] / 2, abs=1e-3)
    figure = charts.bars(history, VIEWS[0])
    assert len(figure.data) == 2 and list(figure.layout.xaxis.categoryarray) == history["date"]
