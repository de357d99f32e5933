"""The result of a test on the page: folds of a walk-forward, what recalibration changed, and why a part is missing."""

import pytest

from financial_model.ui import results
from tests.ui.builders import CHINESE, ENGLISH


@pytest.fixture
def found():
    def fold(first, last, rank_ic):
        part = {"first": first, "last": last, "sessions": 9}
        return {
            "split": dict.fromkeys(("train", "validation", "test"), part),
            "metrics": {"ic": 0.05, "rank_ic": rank_ic, "rank_ic_interval": [-0.011, 0.093], "baselines": {"ridge": 0.0377, "zero": None}},
        }

    figures = {"rank_ic": 0.05, "direction": 0.51}
    return {
        "metrics": {**figures, "baselines": {"ridge": {"rank_ic": 0.04}}, "dates": 90, "rows": 900},
        "test_opened": 1,
        "result": {"verdict": [], "baselines": {"ridge": {"rank_ic": 0.04}, "zero": {"rank_ic": None}}},
        "split": {"test": {"first": "2024-01-02", "last": "2024-06-28"}},
        "folds": [fold("2024-01-02", "2024-03-29", 0.0421), fold("2024-04-01", "2024-06-28", -0.0173)],
        "recalibration": {"rows": [{"name": "coverage_80", "before": 0.7, "after": 0.79}]},
        "missing": [{"key": "evaluation.calibration_few_dates", "fields": {"dates": 9, "needed": 20}, "level": "warning"}],
    }


def test_each_fold_stands_with_its_dates_its_interval_and_the_best_baseline(found):
    html = results.card(ENGLISH, found)
    assert "Walk-forward: 2 trainings" in html and "2024-04-01 … 2024-06-28" in html
    assert "0.042" in html and "-0.011 … 0.093" in html and "RankIC: Ridge regression" in html and "0.038" in html
    assert "-0.017" in html and "Zero return" not in html
    assert "RankIC：岭回归" in results.card(CHINESE, found)


def test_what_recalibration_changed_and_what_is_missing_is_said(found):
    html = results.card(ENGLISH, found)
    assert "70.0 %" in html and "79.0 %" in html and "Recalibration" in html
    assert "too few to recalibrate" in html


def test_a_single_training_has_no_folds(found):
    html = results.card(ENGLISH, {**found, "folds": [], "recalibration": None, "missing": []})
    assert "Walk-forward" not in html and "Recalibration" not in html
