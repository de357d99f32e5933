"""What a record of published forecasts says: a real skill is seen, noise is not, months and promises are compared."""

import numpy as np
import pytest

from financial_model.datasets.splits import seconds
from financial_model.evaluation.tracking import Outcomes, track

DAY = 86_400


def record(skill, dates=160, names=40, seed=0, width=1.2816):
    random = np.random.default_rng(seed)
    time = np.repeat(seconds("2024-01-01") + DAY * np.arange(dates), names)
    predicted = 0.01 * random.standard_normal(dates * names)
    actual = skill * predicted + 0.02 * random.standard_normal(dates * names)
    return Outcomes(time=time, predicted=predicted, actual=actual, low=predicted - 0.02 * width, high=predicted + 0.02 * width,
                    rivals={"reversal_5": 0.01 * random.standard_normal(dates * names)})


def keys(found):
    return [note["key"].removeprefix("journal.") for note in found["notes"]]


def test_skill_is_seen_and_stands_beside_the_naive_rules():
    found = track(record(1.0), 1)
    assert found["dates"] == 160 and found["rows"] == 6400 and found["rank_ic_interval"][0] > 0.3 and keys(found) == ["rank_ic_above"]
    assert found["mae_percent"] < found["baselines"]["zero"]["mae_percent"] and abs(found["baselines"]["reversal_5"]["rank_ic"]) < 0.05
    assert found["coverage_80"] == pytest.approx(0.8, abs=0.02)


def test_noise_is_called_noise_and_a_broken_promise_is_named():
    found = track(record(0.0), 1, {"rank_ic": 0.2})
    assert keys(found)[:2] == ["rank_ic_around", "not_as_promised"] and found["direction_interval"][0] < 0.5 < found["direction_interval"][1]
    assert keys(track(record(-1.0), 1))[0] == "rank_ic_below"


def test_intervals_that_are_too_narrow_are_named():
    assert "coverage_off" in keys(track(record(1.0, width=0.8), 1))


def test_months_show_a_skill_that_fades():
    strong, gone = record(1.0, dates=60), record(0.0, dates=60, seed=2)
    both = Outcomes(time=np.concatenate([strong.time, gone.time + 60 * DAY]), rivals={},
                    **{name: np.concatenate([getattr(strong, name), getattr(gone, name)]) for name in ("predicted", "actual", "low", "high")})
    months = track(both, 1)["months"]
    assert [row["month"] for row in months] == ["2024-01", "2024-02", "2024-03", "2024-04"] and [row["dates"] for row in months] == [31, 29, 31, 29]
    assert months[0]["rank_ic_interval"][0] > 0.2 and months[3]["rank_ic_interval"][0] < 0 < months[3]["rank_ic_interval"][1] + 0.05


def test_a_few_dates_have_no_interval_and_one_stock_no_rank():
    found = track(record(1.0, dates=5), 5)
    assert found["rank_ic_interval"] is None and keys(found) == ["few_dates"] and found["months"][0]["rank_ic_interval"] is None
    single = track(record(1.0, dates=30, names=1), 1)
    assert single["rank_ic"] is None and single["direction"] > 0.5
