"""Top-k with a drop limit, by hand."""

import numpy as np
import pytest

from financial_model.evaluation.portfolio import exchange

SCORE = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])


def test_an_empty_book_buys_the_best():
    assert exchange(SCORE, [], 3, 1) == ([], [0, 1, 2])


def test_the_worst_held_goes_for_the_best_newcomer_up_to_the_drop_limit():
    assert exchange(SCORE, [3, 4, 5], 3, 1) == ([5], [0])
    assert exchange(SCORE, [3, 4, 5], 3, 2) == ([5, 4], [0, 1])
    assert exchange(SCORE, [3, 4, 5], 3, 0) == ([5, 4, 3], [0, 1, 2])


def test_a_held_stock_that_is_still_among_the_best_stays():
    assert exchange(SCORE, [0, 1, 2], 3, 2) == ([], [])
    assert exchange(SCORE, [0, 1, 5], 3, 2) == ([5], [2])


def test_equal_scores_exchange_nothing():
    assert exchange(np.ones(6), [3, 4, 5], 3, 2) == ([], [])


def test_a_stock_without_a_forecast_ranks_last_and_is_never_bought():
    score = np.array([0.9, np.nan, 0.1, 0.2])
    assert exchange(score, [1, 2], 2, 1) == ([1], [0])
    assert exchange(score, [], 4, 0) == ([], [0, 3, 2])


def test_a_small_universe_is_not_sold_for_nothing():
    assert exchange(SCORE[:3], [0, 1, 2], 3, 2) == ([], [])


def test_a_locked_stock_is_not_sold_and_its_place_not_given_away():
    assert exchange(SCORE, [3, 4, 5], 3, 2, locked=[5]) == ([4], [0])


def test_a_book_that_could_not_sell_is_brought_back_to_size():
    sell, buy = exchange(SCORE, [0, 1, 2, 5], 3, 1)
    assert sell == [5] and buy == []


@pytest.mark.parametrize("drop", [0, 1, 3])
def test_the_book_never_grows_beyond_its_size(drop):
    rng = np.random.default_rng(drop)
    held: list[int] = []
    for _ in range(50):
        score = np.where(rng.random(40) < 0.2, np.nan, rng.standard_normal(40))
        sell, buy = exchange(score, held, 8, drop)
        assert not set(buy) & set(held) and set(sell) <= set(held) and len(sell) <= (drop or 8)
        held = [stock for stock in held if stock not in sell] + buy
        assert len(held) <= 8


# ---------------------------------------------------------------- industry cap
INDUSTRY = (0, 0, 0, 1, 1, 2)


def test_a_full_industry_is_passed_over_for_the_next_best():
    assert exchange(SCORE, [], 3, 0, groups=INDUSTRY, most=1) == ([], [0, 3, 5])
    assert exchange(SCORE, [], 3, 0, groups=INDUSTRY, most=2) == ([], [0, 1, 3])


def test_a_held_stock_counts_for_its_industry_and_a_better_one_of_it_waits():
    assert exchange(SCORE, [2, 4], 2, 1, groups=INDUSTRY, most=1) == ([], []), "0 and 1 are better than 2, but its industry is full"
    assert exchange(SCORE, [2, 5], 2, 1, groups=INDUSTRY, most=1) == ([5], [3])


def test_without_a_cap_nothing_changes():
    assert exchange(SCORE, [3, 4, 5], 3, 2, groups=INDUSTRY) == exchange(SCORE, [3, 4, 5], 3, 2)


def test_no_industry_ever_holds_more_than_its_places():
    rng = np.random.default_rng(3)
    groups, held = rng.integers(0, 4, 40).tolist(), []
    for _ in range(60):
        sell, buy = exchange(rng.standard_normal(40), held, 8, 3, groups=groups, most=3)
        held = [stock for stock in held if stock not in sell] + buy
        assert max(np.bincount([groups[stock] for stock in held])) <= 3 and len(held) <= 8
