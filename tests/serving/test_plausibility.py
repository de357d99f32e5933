"""Second looks: an old model, an input the training hardly knew, a path that cannot happen."""

import dataclasses

import numpy as np
import pytest

from financial_model.datasets.panel import open_panel
from financial_model.datasets.splits import seconds
from financial_model.market.store import Store
from financial_model.serving import plausibility
from financial_model.serving.experiment import evaluate_run
from financial_model.serving.predictor import Predictor
from financial_model.training.checkpoint import read_header, update_header
from tests.serving.builders import bars, trading_days

SPLIT = {"split": {"train": {"last": "2023-01-05"}, "test": {"last": "2024-06-28"}}}


@pytest.fixture(scope="module")
def panel(market):
    return open_panel(next(path for path in market.panels.iterdir() if (path / "panel.json").is_file()))


@pytest.mark.parametrize(("as_of", "sessions", "state"), [
    ("2024-06-28", 0, "fresh"), ("2024-07-01", 1, "fresh"), ("2024-10-08", 66, "ageing"), ("2025-12-01", 345, "expired"), ("2020-01-02", 0, "within"),
])
def test_age_counts_sessions_of_the_exchange(as_of, sessions, state):
    found = plausibility.age(SPLIT, as_of)
    assert found["state"] == state and abs(found["sessions"] - sessions) <= 3 and found["trained_to"] == "2023-01-05"
    assert [note["key"] for note in plausibility.age_notes(found)] == ([] if state in ("fresh", "within") else [f"plausibility.{state}"])


def test_a_header_without_dates_has_no_age():
    assert plausibility.age_line(plausibility.age(SPLIT, "2024-06-28")) and not plausibility.age_line(plausibility.age(SPLIT, "2020-01-02"))
    assert plausibility.age({}, "2024-06-28") is None and plausibility.age_notes(None) == []


def test_training_rows_are_usual_and_a_strange_one_is_not(panel):
    header = {"extras": {"inputs": plausibility.describe_inputs(panel, seconds("2024-03-01"))}}
    rows = np.flatnonzero((panel.valid > 0) & (panel.time <= seconds("2024-03-01")))
    found = plausibility.compare_inputs(header, panel, rows)
    assert found.unusual.mean() < 0.02 and found.distance.max() < 3
    values = np.array(panel.values)
    values[rows[5], 0] = 50.0  # a return of 5000 %
    values[rows[6]] *= 30
    strange = plausibility.compare_inputs(header, dataclasses.replace(panel, values=values), rows[5:7])
    assert strange.unusual.all() and panel.feature_names[0] in strange.names(0)
    (note,) = plausibility.input_notes(plausibility.compare_inputs(header, dataclasses.replace(panel, values=values), rows[5:6]))
    assert note["key"] == "plausibility.unlike" and panel.feature_names[0] in note["fields"]["features"]
    assert plausibility.input_notes(strange)[0]["fields"] == {"count": 2, "total": 2}


def test_a_checkpoint_that_does_not_know_its_inputs_is_not_asked(panel):
    assert plausibility.compare_inputs({"extras": {}}, panel, np.array([0])) is None and plausibility.input_notes(None) == []


def test_a_finished_run_knows_what_its_inputs_looked_like(finished):
    header = read_header(Predictor(finished[0]).runs.checkpoint("finished"))
    known = header["extras"]["inputs"]
    assert len(known["center"]) == len(header["features"]) and known["limit"] > 0 and known["rows"] > 0


@pytest.mark.parametrize(("symbol", "st", "change", "key"), [
    ("600000.SH", False, 0.09, None), ("600000.SH", False, 0.11, "path_impossible"), ("600000.SH", True, 0.06, "path_impossible"),
    ("300750.SZ", False, 0.11, None), ("300750.SZ", False, -0.25, "path_impossible"), ("AAPL", False, 0.9, None),
])
def test_a_path_beyond_the_limits_of_its_board_is_named(symbol, st, change, key):
    expected = np.log1p([change, change])
    found = plausibility.path_notes(symbol, ["2024-07-01", "2024-07-02"], expected, expected, expected, st=st)
    assert [note["key"] for note in found] == ([] if key is None else [f"plausibility.{key}"])
    assert not found or found[0]["fields"]["day"] == 1


def test_a_band_beyond_the_limits_is_told_apart_from_the_path():
    (note,) = plausibility.path_notes("600000.SH", ["2024-07-01", "2024-07-02"], [0.0, 0.0], [-0.09, -0.3], [0.09, 0.1])
    assert note == {"key": "plausibility.band_impossible", "fields": {"day": 2, "date": "2024-07-02"}}


def test_forecast_and_ranking_carry_the_doubts(copied):
    predictor = Predictor(copied)
    path = predictor.runs.checkpoint("finished")
    table = predictor.rank("finished", 0)
    assert table["unusual"].dtype == bool and not table["impossible"].any() and table.attrs["age"]["state"] == "fresh"
    header = read_header(path)
    inputs = header["extras"]["inputs"]
    update_header(path, {"extras": {**header["extras"], "inputs": {**inputs, "limit": inputs["limit"] / 1000}},
                         "split": {**header["split"], "test": {**header["split"]["test"], "last": "2024-03-01"}}})
    again = predictor.rank("finished", 0)
    assert again["unusual"].all() and {"plausibility.pool_unlike", "plausibility.ageing"} <= {note["key"] for note in again.attrs["notes"]}
    found = predictor.forecast("finished", "600519.SH")
    assert "plausibility.unlike" in [note["key"] for note in found["notes"]] and found["age"]["sessions"] > 60


def test_another_series_for_the_market_than_in_the_training_is_said(copied):
    """Regimes, styles and market inputs of every date change with it, and no other figure would show it."""
    def said():
        return [note["key"] for note in Predictor(copied).rank("finished", 1).attrs["notes"]]

    store, path = Store(copied.data_dir), Predictor(copied).runs.checkpoint("finished")
    assert "plausibility.market_other" not in said()
    store.write_bars("000300.SH", bars(99, trading_days(300)), source="files")
    assert "plausibility.market_other" in said()
    assert "plausibility.market_other" in [item["key"] for item in evaluate_run(copied, "finished")["result"]["verdict"]]
    update_header(path, {"data": {**read_header(path)["data"], "market": "000300.SH"}})
    assert "plausibility.market_other" not in said()
    store.write_bars("000300.SH", bars(99, trading_days(300))[:-1], source="files")  # one day behind the stocks: all of it is passed over
    assert "plausibility.market_lost" in said()
