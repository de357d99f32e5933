"""Importance by swapping inputs among the stocks of a date: what carries the forecast is found, what does not stays inside chance."""

import numpy as np
import pytest

from financial_model.evaluation.importance import group_importance, partners

DAYS, NAMES = 120, 50


@pytest.fixture(scope="module")
def market():
    """Two inputs a and b; the outcome follows a alone; the forecast uses both."""
    rng = np.random.default_rng(4)
    day = np.repeat(np.arange(DAYS), NAMES)
    a, b = rng.standard_normal((2, len(day)))
    actual = 0.2 * a + rng.standard_normal(len(day)) + rng.standard_normal(DAYS)[day]
    return day, a, b, actual


def test_partners_are_other_rows_of_the_same_date_each_once():
    day = np.array([3, 0, 3, 0, 3, 1, 0])
    found = partners(day)
    assert sorted(found) == list(range(7)) and (day[found] == day).all()
    alone = np.array([False, False, False, False, False, True, False])
    assert (found[alone] == np.flatnonzero(alone)).all() and (found[~alone] != np.flatnonzero(~alone)).all()
    assert len(partners(np.zeros(0, np.int64))) == 0


def test_the_group_that_carries_the_forecast_is_found_and_the_idle_one_is_not(market):
    day, a, b, actual = market
    other = partners(day)
    found = group_importance(a + 0.3 * b, {"idle": a + 0.3 * b[other], "carrier": a[other] + 0.3 * b}, actual, day, block=10)
    assert [row["name"] for row in found["rows"]] == ["carrier", "idle"] and found["dates"] == DAYS
    carrier, idle = found["rows"]
    assert carrier["drop"] > 0.1 > carrier["chance"] and carrier["interval"][0] > 0
    assert carrier["drop"] == pytest.approx(found["rank_ic"], abs=0.05)
    assert idle["drop"] < carrier["chance"] or idle["drop"] < 0.02


def test_a_group_that_is_not_read_loses_exactly_nothing(market):
    day, a, _, actual = market
    (row,) = group_importance(a, {"unread": a.copy()}, actual, day, block=10)["rows"]
    assert row["drop"] == 0 and row["chance"] == 0 and row["interval"] == [0.0, 0.0]


def test_on_outcomes_that_nothing_foretells_every_group_stays_inside_chance(market):
    day, a, b, _ = market
    noise = np.random.default_rng(9).standard_normal(len(day))
    other = partners(day)
    found = group_importance(a + b, {"a": a[other] + b, "b": a + b[other]}, noise, day, block=10)
    assert all(row["drop"] < 2 * row["chance"] for row in found["rows"])


def test_few_dates_give_no_interval(market):
    day, a, b, actual = market
    rows = day < 20
    found = group_importance(a[rows], {"a": b[rows]}, actual[rows], day[rows], block=10, shuffles=5)
    assert found["rows"][0]["interval"] is None
