"""Pieces of HTML: complete, in the visitor's language, with everything from outside escaped."""

from datetime import datetime
from pathlib import Path

from financial_model.serving.runs import RunInfo
from financial_model.ui import components
from financial_model.ui.stock import stock_head, stock_table
from tests.ui.builders import CHINESE, ENGLISH, forecast, metrics


def job(**changes):
    return {
        "id": "1",
        "kind": "train",
        "run": "r_20240101_000000",
        "state": "running",
        "stage": "train",
        "done": 30.0,
        "total": 120.0,
        "eta": 65.0,
        "position": 0,
        "message": "",
        "message_key": "",
        "message_fields": {},
        "result": None,
        **changes,
    }


def run(state="running", **changes):
    return RunInfo(
        id="r_20240101_000000", name="r", path=Path("."), state=state, created=datetime.now().isoformat(), updated="", config={}, **changes
    )


def test_the_model_never_stands_alone():
    table = components.metric_table(ENGLISH, metrics())
    for word in ("This model", "Zero return", "Ridge regression", "Perfect (truth)", "[0.020, 0.080]", "50.5 %"):
        assert word in table
    assert "本模型" in components.metric_table(CHINESE, metrics()) and "岭回归" in components.metric_table(CHINESE, metrics())


def test_an_unknown_figure_is_a_dash_and_an_unknown_metric_no_row():
    table = components.metric_table(ENGLISH, metrics())
    assert "–" in table and "Pinball" not in table


def test_sentences_name_baselines_in_the_readers_words_and_the_rest_can_be_unfolded():
    items = [
        {"key": "evaluation.verdict.baseline_rank_ic_above", "level": "good", "fields": {"name": "ridge", "value": 0.01, "low": 0.001, "high": 0.02}}
    ] * 3
    shown = components.verdict(CHINESE, items)
    assert "岭回归" in shown and "ridge" not in shown and "k-note good" in shown and "<details" in shown
    assert "<details" not in components.verdict(CHINESE, items[:1]) and components.verdict(CHINESE, []) == ""


def test_progress_shows_stage_share_and_time_left():
    card = components.progress(ENGLISH, job(), run())
    assert "25%" in card and "1:05" in card and card.count('class="done"') == 2 and 'class="now"' in card
    assert "Number 2 in the queue" in components.progress(ENGLISH, job(state="queued", position=2, total=0), run("queued"))


def test_a_download_counts_its_symbols_with_rate_and_time_left():
    card = components.progress(ENGLISH, job(kind="download", stage="download", done=1250.0, total=5000.0, rate=27.25, eta=137.0), None)
    assert "1,250 of 5,000, 27.2 a second · about 2:17 left" in card and "25%" in card
    assert "Working" in card and "Training" not in card, "a download trains nothing"
    counted = components.progress(CHINESE, job(kind="import", done=1250.0, total=5000.0, rate=27.25, eta=None), None)
    assert "1,250/5,000" in counted and "·" not in counted
    assert "a second" not in components.progress(ENGLISH, job(kind="download", rate=0.0, eta=None), None)


def test_a_failed_run_says_why():
    card = components.progress(ENGLISH, None, run("failed", message_key="runs.failed_unexpectedly", message_fields={"id": "ab12"}))
    assert "ab12" in card and "k-note bad" in card


def test_the_status_bar_names_what_runs_and_what_waits():
    machine = {"device": "CPU × 2", "memory_used": 2e9, "memory_total": 8e9, "disk_free": 5e9}
    bar = components.status_bar(ENGLISH, machine, {"stocks": 3, "last": "2024-05-31", "synthetic": True}, [job(), job(state="queued")])
    for word in ("CPU × 2", "2.0 GB / 8.0 GB", "2024-05-31", "Synthetic data", "r_20240101_000000", "1 waiting"):
        assert word in bar
    assert "Nothing is running" in components.status_bar(ENGLISH, machine, {"stocks": 0}, [])


def test_an_empty_place_says_what_to_do_next():
    assert "Press" in components.empty(ENGLISH, "ui.train.empty").replace("press", "Press") and "点击" in components.empty(CHINESE, "ui.train.empty")


def test_names_from_files_cannot_become_markup():
    found = forecast()
    found["name"] = "<img src=x onerror=alert(1)>"
    assert "<img" not in stock_head(ENGLISH, found)
    card = components.progress(ENGLISH, None, run("failed", message_key="runs.unknown", message_fields={"run": "<b>", "known": "-"}))
    assert "<b>”" not in card


def test_a_forecast_is_read_with_its_odds_ranges_and_warnings():
    found = forecast(known=2)
    head, table = stock_head(CHINESE, found), stock_table(CHINESE, found)
    assert "涨 21%  ·  平 25%  ·  跌 54%" in head and "合成数据" in head and "k-red-up" in head
    assert table.count("<tr>") == 6 and all(f"{band} %" in table for band in (50, 80, 95))
