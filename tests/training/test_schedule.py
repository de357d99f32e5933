"""The shape of every schedule, as a table."""

import pytest

from financial_model.config import SCHEDULES, TrainConfig
from financial_model.errors import ConfigError
from financial_model.training.schedule import Schedule


def rates(schedule, total=100, **settings):
    made = Schedule(TrainConfig(schedule=schedule, **{"learning_rate": 1.0, "min_learning_rate": 0.01, "warmup": 0.1, **settings}), total)
    return [made.learning_rate(step) for step in range(total)]


@pytest.mark.parametrize("schedule, step, expected", [
    ("constant", 0, 0.1), ("constant", 4, 0.5), ("constant", 9, 1.0), ("constant", 50, 1.0), ("constant", 99, 1.0),
    ("cosine", 0, 0.1), ("cosine", 9, 1.0), ("cosine", 10, 1.0), ("cosine", 55, 0.505), ("cosine", 99, 0.010302),
    ("onecycle", 0, 0.04), ("onecycle", 15, 0.52), ("onecycle", 30, 1.0), ("onecycle", 65, 0.505), ("onecycle", 99, 0.010498),
    ("plateau", 0, 0.1), ("plateau", 9, 1.0), ("plateau", 99, 1.0),
])
def test_shape(schedule, step, expected):
    assert rates(schedule)[step] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("warmup", [0.0, 0.05, 0.9])
@pytest.mark.parametrize("total", [1, 2, 7, 1000])
def test_no_step_has_the_rate_zero_or_more_than_asked(schedule, warmup, total):
    found = rates(schedule, total, warmup=warmup, min_learning_rate=0.0)
    assert all(0 < rate <= 1.0 for rate in found)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_without_warmup_a_run_starts_at_once(schedule):
    assert rates(schedule, warmup=0.0)[0] == pytest.approx(0.04 if schedule == "onecycle" else 1.0)


def test_a_minimum_above_the_rate_gives_the_rate():
    assert rates("cosine", warmup=0.0, min_learning_rate=5.0) == pytest.approx([1.0] * 100)


def test_plateau_halves_after_evaluations_without_gain_and_stops_at_the_minimum():
    schedule = Schedule(TrainConfig(schedule="plateau", learning_rate=1.0, min_learning_rate=0.2, warmup=0.0, patience=4), 100)
    found = []
    for loss in (1.0, 0.9, 0.95, 0.95, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8):
        schedule.evaluated(loss)
        found.append(schedule.learning_rate(10))
    assert found == [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25, 0.2, 0.2, 0.2]


@pytest.mark.parametrize("schedule", ["constant", "cosine", "onecycle"])
def test_the_others_do_not_listen_to_the_loss(schedule):
    made = Schedule(TrainConfig(schedule=schedule), 100)
    before = made.learning_rate(60)
    for _ in range(20):
        made.evaluated(1.0)
    assert made.learning_rate(60) == before


def test_a_restored_plateau_goes_on_exactly():
    config = TrainConfig(schedule="plateau", patience=4)
    first, second = Schedule(config, 100), Schedule(config, 100)
    for loss in (1.0, 2.0, 2.0, 2.0):
        first.evaluated(loss)
    second.restore(first.state())
    for made in (first, second):
        made.evaluated(2.0)
    assert second.learning_rate(50) == first.learning_rate(50) < config.learning_rate
    assert second.state() == first.state()


def test_an_unknown_schedule_is_refused():
    with pytest.raises(ConfigError, match="cosine"):
        Schedule(TrainConfig(schedule="zigzag"), 10)
