"""What a run's forecasts live on, measured on its validation dates and kept with it."""

import numpy as np
import pytest

from financial_model.datasets.panel import open_panel
from financial_model.datasets.splits import seconds
from financial_model.serving import importance
from financial_model.serving.experiment import evaluate_run
from financial_model.serving.forecaster import Borrowed
from financial_model.serving.pieces import pieces
from financial_model.serving.runs import RunStore


@pytest.fixture(scope="module")
def piece(finished):
    workspace, run = finished
    panel = open_panel(workspace.panels / evaluate_run(workspace, run.id)["fingerprint"])
    return pieces(run.path / "final.safetensors", panel)[0], panel


def test_every_group_and_the_conditions_have_a_row_and_the_report_shows_them(copied):
    found = importance.importance_run(copied, "finished")
    assert {row["name"] for row in found["rows"]} == {"return", "rank", "condition"}
    assert all(row["chance"] is not None and row["drop"] is not None for row in found["rows"])
    run = RunStore(copied.checkpoint_dir).get("finished")
    assert importance.importance_of(run) == found and "What the forecast lives on" in (run.path / "report.html").read_text("utf-8")
    assert evaluate_run(copied, "finished")["test_opened"] == 1, "the test is not looked at for this"


def test_only_validation_dates_are_used(copied, monkeypatch):
    from financial_model.serving.forecaster import LoadedForecaster

    asked, real = [], LoadedForecaster.predict_panel
    monkeypatch.setattr(LoadedForecaster, "predict_panel", lambda self, panel, ends, **options: asked.append((panel, ends)) or real(
        self, panel, ends, **options))
    found = importance.importance_run(copied, "finished")
    assert len(asked) == 4
    for panel, ends in asked:
        assert seconds(found["first"]) <= panel.time[ends].min() and panel.time[ends].max() <= seconds(found["last"])


def test_borrowed_inputs_change_the_forecast_and_ones_own_do_not(piece):
    model, panel, ends = piece[0].model, piece[1], piece[0].validation[::7]
    own, columns = model.predict_panel(panel, ends).expected, tuple(range(len(model.features)))
    for part in (columns, columns[:1], None):
        np.testing.assert_array_equal(model.predict_panel(panel, ends, borrowed=Borrowed(ends, part)).expected, own)
        assert not np.allclose(model.predict_panel(panel, ends, borrowed=Borrowed(ends[::-1].copy(), part)).expected, own)
    np.testing.assert_array_equal(model.predict_panel(panel, ends).expected, own)


def test_groups_hold_the_columns_of_their_features():
    features = ("return_1", "rank_return_5", "return_5", "rank(close / open)")
    assert importance.input_groups(features, True) == {"return": (0, 2), "rank": (1,), "formula": (3,), "condition": None}
    assert "condition" not in importance.input_groups(features, False)


def test_large_validations_are_thinned_by_whole_dates(monkeypatch):
    monkeypatch.setattr(importance, "MOST", 10)
    time = np.repeat(np.arange(8), 5)
    kept = importance._thinned(np.arange(40), time)
    assert len(kept) == 10 and all((time[kept] == day).sum() == 5 for day in np.unique(time[kept]))
