"""Costs by the date, lots by the board, orders that a given sum pays for."""

import pytest

from financial_model.datasets.splits import seconds
from financial_model.evaluation.costs import BUY, SELL, Costs, affordable, charge, whole_lots

BEFORE, AFTER = seconds("2023-08-25"), seconds("2023-08-28")  # the halving of the stamp duty


def test_a_purchase_pays_commission_transfer_and_slippage_but_no_stamp():
    cost = charge(BUY, 100_000.0, AFTER, "main", Costs())
    assert (cost.commission, cost.stamp, cost.transfer, cost.slippage) == pytest.approx((25.0, 0.0, 1.0, 50.0))
    assert cost.total == pytest.approx(76.0)


def test_the_seller_pays_the_stamp_duty_of_the_day():
    assert charge(SELL, 100_000.0, BEFORE, "main", Costs()).stamp == pytest.approx(100.0)
    assert charge(SELL, 100_000.0, AFTER, "main", Costs()).stamp == pytest.approx(50.0)


def test_the_transfer_fee_was_twice_as_high_before_april_2022():
    assert charge(BUY, 100_000.0, seconds("2022-04-28"), "main", Costs()).transfer == pytest.approx(2.0)


def test_a_small_order_pays_the_minimum_commission():
    assert charge(BUY, 1_000.0, AFTER, "main", Costs()).commission == 5.0
    assert charge(BUY, 0.0, AFTER, "main", Costs()).commission == 0.0


def test_american_shares_pay_slippage_alone_unless_a_commission_is_set():
    assert charge(SELL, 100_000.0, AFTER, "us", Costs()).total == pytest.approx(50.0)
    assert charge(SELL, 100_000.0, AFTER, "us", Costs(us_commission=0.001, us_commission_minimum=1.0)).commission == pytest.approx(100.0)


def test_funds_pay_no_stamp_duty_and_official_fees_can_be_left_out():
    assert charge(SELL, 100_000.0, AFTER, "fund", Costs()).stamp == 0.0
    free = charge(SELL, 100_000.0, AFTER, "main", Costs(official=False))
    assert free.stamp == free.transfer == 0.0


@pytest.mark.parametrize(("board", "shares", "order"), [
    ("main", 99.9, 0), ("main", 100, 100), ("main", 250, 200), ("chinext", 1999, 1900), ("star", 199, 0), ("star", 201.7, 201), ("bse", 99, 0),
    ("bse", 101, 101), ("us", 0.9, 0), ("us", 7.2, 7), ("main", -5, 0)])
def test_lots_by_board(board, shares, order):
    assert whole_lots(shares, board) == order


@pytest.mark.parametrize("board", ["main", "star", "us"])
@pytest.mark.parametrize("cash", [3_000.0, 20_500.0, 123_456.7])
def test_an_affordable_order_leaves_no_debt_and_no_room_for_another_step(board, cash):
    costs, price = Costs(), 10.03
    shares = affordable(cash, price, AFTER, board, costs)
    paid = shares * price + charge(BUY, shares * price, AFTER, board, costs).total
    assert 0 < paid <= cash
    more = (shares + (100 if board == "main" else 1)) * price
    assert more + charge(BUY, more, AFTER, board, costs).total > cash


def test_too_little_cash_buys_nothing():
    assert affordable(1_000.0, 10.03, AFTER, "main", Costs()) == 0
    assert affordable(3.0, 10.03, AFTER, "main", Costs()) == 0
