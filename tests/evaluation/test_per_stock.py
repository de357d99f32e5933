"""The usual table per stock, and what stands beside it."""

import numpy as np
import pytest

from financial_model.config import LabelConfig
from financial_model.evaluation.per_stock import ALL, per_stock
from financial_model.evaluation.per_stock_report import cells, headings, render
from tests.evaluation.builders import all_ends, make_panel, predict_from

LABEL = LabelConfig(horizon=5)


@pytest.fixture(scope="module")
def rising():
    """(panel, ends): a market that rises, in which saying up is right more often than not."""
    panel = make_panel(names=3, days=300, seed=8, drift=0.004)
    return panel, all_ends(panel)


@pytest.fixture(scope="module")
def rows(rising):
    panel, ends = rising
    bullish = predict_from(np.full(len(ends), 0.01) + 1e-4 * np.random.default_rng(0).standard_normal(len(ends)), ends)
    return per_stock(bullish, {"zero": predict_from(np.zeros(len(ends)), ends)}, panel, LABEL, 20, draws=200)


def outcome(panel, ends, horizon=5):
    return 100 * np.expm1(panel.prices[ends + horizon, 0] - panel.prices[ends, 0])


def test_every_stock_has_a_row_and_all_of_them_one(rising, rows):
    panel, ends = rising
    assert [row["symbol"] for row in rows] == [*panel.symbols, ALL]
    assert sum(row["rows"] for row in rows[:-1]) == rows[-1]["rows"] == len(ends)


def test_the_figures_are_those_of_their_formulas(rising, rows):
    panel, ends = rising
    own = ends[panel.symbol_index(ends) == 0]
    actual = outcome(panel, own)
    assert rows[0]["baselines"]["zero"]["mae"] == pytest.approx(np.abs(actual).mean())
    assert rows[0]["baselines"]["zero"]["rmse"] ** 2 == pytest.approx((actual**2).mean())
    assert rows[0]["mse"] == pytest.approx(rows[0]["rmse"] ** 2)
    assert rows[0]["base_rate"] == pytest.approx(max((actual > 0).mean(), (actual < 0).mean()))


def test_always_saying_up_reaches_the_base_rate_and_not_a_hair_more(rows):
    for row in rows:
        assert row["direction"] > 0.55, "it reads like skill"
        assert row["direction"] == pytest.approx(row["base_rate"]) and row["direction_edge"] == pytest.approx(0)


def test_the_difference_to_no_change_is_paired(rows):
    for row in rows:
        zero = row["baselines"]["zero"]
        assert zero["difference"] == pytest.approx(row["mae"] - zero["mae"]) and zero["difference_interval"][0] <= zero["difference"]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_is_whole_and_needs_no_network(rows, language):
    split = {"test": {"first": "2024-01-01", "last": "2024-06-01"}}
    answer = {"run": "<b>quick</b>", "rows": rows, "split": split, "horizon": 5, "synthetic": True, "tickers": {"AAPL": "600001.SH"}, "verdict": []}
    text = render(answer, language)
    assert "<b>quick" not in text and "http" not in text.replace("http://www.w3.org/2000/svg", "") and "AAPL" in text
    assert text.count("<svg") == 4, "one for the direction, one per stock"
    assert all(len(cells(row, language)) == len(headings(language)) for row in rows)
