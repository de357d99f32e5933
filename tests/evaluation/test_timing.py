"""Following the sign of a forecast: held when a rise is expected, for the whole horizon, and never before it could be known."""

import numpy as np
import pytest

from financial_model.config import LabelConfig
from financial_model.evaluation.timing import COST, follow
from tests.evaluation.builders import all_ends, make_panel, predict_from


@pytest.fixture(scope="module")
def panel():
    return make_panel(names=2, days=300, seed=3)


def ahead(panel, ends, horizon):
    return panel.prices[ends + horizon, 0] - panel.prices[ends, 0]


def test_a_forecast_that_always_rises_is_holding_less_one_cost(panel):
    ends = all_ends(panel, horizon=1)
    found = follow(predict_from(np.full(len(ends), 0.01), ends, 1), panel, LabelConfig(horizon=1))
    assert found["gross"]["total_return"] == pytest.approx(found["hold"]["total_return"])
    assert found["turnover"] * found["bars"] == pytest.approx(1.0), "bought once"
    assert found["net"]["total_return"] == pytest.approx((1 + found["hold"]["total_return"]) * (1 - COST) - 1, abs=1e-4)


def test_a_forecast_that_never_rises_stays_in_cash(panel):
    ends = all_ends(panel, horizon=1)
    found = follow(predict_from(np.full(len(ends), -0.01), ends, 1), panel, LabelConfig(horizon=1))
    assert found["net"]["total_return"] == 0 and found["turnover"] == 0 and found["break_even_cost"] is None


def test_knowing_tomorrow_earns_every_rise_and_no_fall(panel):
    """The position of a bar earns the next bar's move: an oracle of one bar never loses."""
    ends = all_ends(panel, horizon=1)
    found = follow(predict_from(ahead(panel, ends, 1), ends, 1), panel, LabelConfig(horizon=1))
    assert found["gross"]["max_drawdown"] == 0 and found["gross"]["total_return"] > found["hold"]["total_return"]
    assert found["break_even_cost"] > 0


def test_an_entry_one_bar_later_loses_what_lies_between(panel):
    """What is known of the next bar alone is worth nothing to who may only enter after it."""
    ends = all_ends(panel, horizon=1)
    forecast = predict_from(ahead(panel, ends, 1), ends, 1)
    now, later = (follow(forecast, panel, LabelConfig(horizon=1, entry=entry)) for entry in ("close", "next_close"))
    assert now["gross"]["sharpe"] > 5 > abs(later["gross"]["sharpe"])


def test_each_forecast_is_followed_for_its_horizon_by_an_equal_part(panel):
    ends = all_ends(panel, horizon=5)
    found = follow(predict_from(ahead(panel, ends, 5), ends, 5), panel, LabelConfig(horizon=5))
    assert found["turnover"] <= 1 / 5 + 1e-9, "at most one part in five changes hands on a bar"


def test_a_year_is_measured_on_the_bars_themselves(panel):
    ends = all_ends(panel, horizon=1)
    found = follow(predict_from(np.ones(len(ends)), ends, 1), panel, LabelConfig(horizon=1))
    span = (panel.time.max() - panel.time.min()) / (365.25 * 86_400)
    assert found["bars_per_year"] == pytest.approx((len(np.unique(panel.time)) - 1) / span)


def test_holding_like_everybody_is_no_lead(panel):
    """In a rising market whoever is always invested earns much and leads by nothing."""
    ends = all_ends(panel, horizon=1)
    found = follow(predict_from(np.full(len(ends), 0.01), ends, 1), panel, LabelConfig(horizon=1))
    assert np.count_nonzero(np.abs(found["excess"]) > 1e-9) <= 1, "but for the cost of buying once"
