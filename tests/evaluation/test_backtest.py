"""Every rule of trading on a day computed by hand."""

from dataclasses import replace

import numpy as np
import pytest

from financial_model.config import INDUSTRIES
from financial_model.datasets.splits import seconds
from financial_model.errors import DataError
from financial_model.evaluation.backtest import BacktestSettings, run_backtest
from financial_model.evaluation.costs import Costs
from financial_model.evaluation.market_days import MarketDays, market_days, scores
from financial_model.features.labels import OPENS_AT_LIMIT_DOWN, OPENS_AT_LIMIT_UP, TRADES
from tests.evaluation.builders import DAY, all_ends, make_panel, predict_from

FREE = Costs(commission=0.0, commission_minimum=0.0, slippage=0.0, official=False)
MONDAY = seconds("2024-03-04")


def market(opens, closes=None, *, symbols=("600000.SH", "600001.SH"), factor=None, amount=None, flags=None, index=None):
    """Rows are days, columns stocks."""
    opens = np.asarray(opens, np.float64)
    full = {"factor": 1.0 if factor is None else factor, "amount": np.inf if amount is None else amount, "flags": TRADES if flags is None else flags}
    grids = {name: np.broadcast_to(np.asarray(value), opens.shape).astype(np.uint8 if name == "flags" else np.float64)
             for name, value in full.items()}
    closes = opens if closes is None else np.asarray(closes, np.float64)
    return MarketDays(time=MONDAY + DAY * np.arange(len(opens)), symbols=symbols[: opens.shape[1]], open=opens, close=closes, index=index, **grids)


def scored(*rows):
    return np.array(rows, np.float64)


NONE = (np.nan, np.nan)


def test_a_signal_is_traded_at_the_next_open_never_at_its_own_close():
    days = market([[10, 10], [11, 10], [12, 10]], [[10.5, 10], [11.5, 10], [12.5, 10]])
    result = run_backtest(days, scored((1, 0), NONE, NONE), BacktestSettings(top=1, capital=11_000, costs=FREE))
    (trade,) = result.trades
    assert (trade.day, trade.side, trade.price, trade.shares) == (1, "buy", 11.0, 1000)
    assert result.first == 1
    np.testing.assert_allclose(result.equity, [11_500, 12_500])  # 1000 shares at the closes of the second and third day


def test_costs_of_a_round_trip_by_hand():
    days = market([[10, 5], [10, 5], [12, 5]])
    result = run_backtest(days, scored((1, 0), (0, 1), NONE), BacktestSettings(top=1, capital=100_000))
    buy, sell, second = result.trades
    # 9900 shares x 10: commission 24.75, transfer 0.99, slippage 49.50
    assert buy.shares == 9900 and buy.charge.total == pytest.approx(24.75 + 0.99 + 49.50)
    # 9900 x 12 = 118,800: commission 29.70, stamp 59.40, transfer 1.188, slippage 59.40
    assert sell.charge.total == pytest.approx(29.70 + 59.40 + 1.188 + 59.40)
    cash = 100_000 - 99_000 - buy.charge.total + 118_800 - sell.charge.total
    assert second.stock == 1 and second.shares == int(cash / (5 * 1.00076) / 100) * 100
    assert result.equity[-1] == pytest.approx(cash - second.charge.total)
    assert result.costs == pytest.approx([buy.charge.total, sell.charge.total + second.charge.total])
    assert result.traded == pytest.approx([99_000, 118_800 + second.amount])


def test_gross_returns_give_the_costs_of_the_day_back():
    days = market([[10, 5], [10, 5]])
    result = run_backtest(days, scored((1, 0), NONE), BacktestSettings(top=1, capital=100_000))
    assert result.returns()[0] < 0 and result.gross_returns()[0] == pytest.approx(0.0, abs=1e-12)


def test_no_purchase_at_an_opening_on_the_upper_limit():
    flags = [[TRADES, TRADES], [TRADES | OPENS_AT_LIMIT_UP, TRADES], [TRADES, TRADES]]
    result = run_backtest(market([[10, 10]] * 3, flags=flags), scored((1, 0), (1, 0), NONE), BacktestSettings(top=1, costs=FREE))
    assert [(order.day, order.side, order.reason) for order in result.blocked] == [(1, "buy", "limit")]
    assert [(trade.day, trade.stock) for trade in result.trades] == [(2, 0)]  # tried again the day after; no substitute was bought
    assert result.equity[0] == 1_000_000


def test_an_opening_on_the_lower_limit_can_be_bought_but_not_sold():
    flags = [[TRADES, TRADES], [TRADES | OPENS_AT_LIMIT_DOWN, TRADES], [TRADES | OPENS_AT_LIMIT_DOWN, TRADES], [TRADES, TRADES]]
    result = run_backtest(market([[10, 10]] * 4, flags=flags), scored((1, 0), (0, 1), (0, 1), NONE), BacktestSettings(top=1, costs=FREE))
    assert [(order.day, order.side, order.stock, order.reason) for order in result.blocked if order.side == "sell"] == [(2, "sell", 0, "limit")]
    assert [(trade.day, trade.side, trade.stock) for trade in result.trades] == [(1, "buy", 0), (3, "sell", 0), (3, "buy", 1)]


def test_a_suspended_stock_is_neither_bought_nor_sold_and_keeps_its_price():
    flags = [[TRADES, TRADES], [TRADES, 0], [0, TRADES], [TRADES, TRADES]]
    prices = np.array([[10, 10], [10, 10], [np.nan, 10], [8, 10]])
    result = run_backtest(market(prices, flags=flags), scored((2, 3), (2, np.nan), (0, 1), NONE), BacktestSettings(top=2, capital=20_000, costs=FREE))
    assert (1, 1, "buy", "suspended") in [(o.day, o.stock, o.side, o.reason) for o in result.blocked]
    assert result.equity[1] == 20_000  # the missing bar is valued at its last price
    single = run_backtest(market(prices, flags=flags), scored((1, np.nan), (0, 1), (0, 1), NONE), BacktestSettings(top=1, capital=10_000, costs=FREE))
    assert [(o.day, o.side, o.reason) for o in single.blocked if o.stock == 0] == [(2, "sell", "suspended")]
    assert [(t.day, t.side, t.stock, t.price) for t in single.trades][1] == (3, "sell", 0, 8.0)


def test_nothing_is_sold_on_the_day_it_was_bought():
    days = market([[10, 10]] * 4)
    result = run_backtest(days, scored((1, 0), (0, 1), (1, 0), NONE), BacktestSettings(top=1, costs=FREE))
    bought = {trade.stock: trade.day for trade in result.trades if trade.side == "buy"}
    assert all(trade.day > bought[trade.stock] or trade.day == 2 for trade in result.trades if trade.side == "sell")
    from financial_model.evaluation.backtest import Book  # the rule itself, on an order that daily decisions never give
    book = Book(days, BacktestSettings(top=1, costs=FREE))
    book.open(1)
    book._buy(0, 1, 5_000.0)
    book._sell(0, 1)
    assert [(order.side, order.reason) for order in book.blocked] == [("sell", "t_plus_1")]
    american = Book(market([[10, 10]] * 4, symbols=("AAPL", "MSFT")), BacktestSettings(top=1, costs=FREE))
    american.open(1)
    american._buy(0, 1, 5_000.0)
    american._sell(0, 1)
    assert not american.blocked and american.cash == 1_000_000


def test_purchases_are_whole_lots_and_too_little_cash_buys_nothing():
    result = run_backtest(market([[33.0, 10]] * 2), scored((1, np.nan), NONE), BacktestSettings(top=1, capital=10_000, costs=FREE))
    assert result.trades[0].shares == 300  # 303 could be paid for
    star = run_backtest(market([[33.0, 10]] * 2, symbols=("688001.SH", "600000.SH")), scored((1, np.nan), NONE),
                        BacktestSettings(top=1, capital=10_000, costs=FREE))
    assert star.trades[0].shares == 303
    poor = run_backtest(market([[333.0, 10]] * 2), scored((1, np.nan), NONE), BacktestSettings(top=1, capital=10_000, costs=FREE))
    assert not poor.trades and poor.blocked[0].reason == "cash"


def test_an_order_is_capped_by_a_share_of_the_days_amount():
    amount = [[1e9, 1e9], [200_000.0, 1e9], [1e9, 1e9]]
    result = run_backtest(market([[10, 10]] * 3, amount=amount), scored((1, 0), NONE, NONE), BacktestSettings(top=1, costs=FREE, volume_share=0.1))
    assert result.trades[0].shares == 2000 and result.trades[0].partial  # a tenth of 200,000 at a price of 10


def test_a_large_position_is_sold_in_parts():
    amount = [[1e9, 1e9], [1e9, 1e9], [200_000.0, 1e9], [1e9, 1e9]]
    result = run_backtest(market([[10, 10]] * 4, amount=amount), scored((1, np.nan), (np.nan, 1), (np.nan, 1), NONE),
                          BacktestSettings(top=1, capital=100_000, costs=FREE, volume_share=0.1))
    sells = [(trade.day, trade.shares, trade.partial) for trade in result.trades if trade.side == "sell"]
    assert sells == [(2, 2000.0, True), (3, 8000.0, False)]


def test_a_thin_day_blocks_the_order():
    amount = [[1e9, 1e9], [500.0, 1e9]]
    result = run_backtest(market([[10, 10]] * 2, amount=amount), scored((1, np.nan), NONE), BacktestSettings(top=1, costs=FREE))
    assert not result.trades and result.blocked[0].reason == "lot"


def test_an_ex_day_changes_shares_not_value_and_the_odd_remainder_is_sold_whole():
    # ten shares become thirteen: the price falls from 13 to 10, the factor grows by 1.3
    days = market([[13, 5], [13, 5], [10, 5], [10, 5]], factor=[[1, 1], [1, 1], [1.3, 1], [1.3, 1]])
    result = run_backtest(days, scored((1, np.nan), NONE, (np.nan, 1), NONE), BacktestSettings(top=1, capital=1_400, costs=FREE))
    np.testing.assert_allclose(result.equity, 1_400)
    sold = [trade for trade in result.trades if trade.side == "sell"]
    assert sold[0].shares == pytest.approx(130.0)


def test_decisions_are_spaced_and_holdings_have_a_minimum_age():
    days, flip = market([[10, 10]] * 8), scored(*[(1, 0), (0, 1)] * 4)
    spaced = run_backtest(days, flip, BacktestSettings(top=1, every=2, costs=FREE))
    assert [trade.day for trade in spaced.trades] == [1]  # days 0, 2, 4, 6 all say the same
    patient = run_backtest(days, flip, BacktestSettings(top=1, minimum_holding=3, costs=FREE))
    assert [(trade.day, trade.side) for trade in patient.trades] == [(1, "buy"), (4, "sell"), (4, "buy"), (7, "sell"), (7, "buy")]


def test_money_is_split_evenly_and_never_borrowed():
    rng = np.random.default_rng(0)
    opens = 10 * np.exp(np.cumsum(0.02 * rng.standard_normal((60, 2)), axis=0))
    result = run_backtest(market(opens), rng.standard_normal((60, 2)), BacktestSettings(top=2, drop=1, capital=50_000))
    first = [trade.amount for trade in result.trades[:2]]
    assert max(first) <= 25_000
    assert (result.invested <= 1 + 1e-9).all()


def test_no_signal_is_an_error():
    with pytest.raises(DataError, match="nothing to trade"):
        run_backtest(market([[10, 10]] * 2), scored(NONE, (1, 0)))


def test_a_longer_period_changes_no_earlier_day():
    rng = np.random.default_rng(1)
    opens, signal = 10 * np.exp(np.cumsum(0.02 * rng.standard_normal((80, 2)), axis=0)), rng.standard_normal((80, 2))
    whole = run_backtest(market(opens), signal, BacktestSettings(top=1))
    half = run_backtest(market(opens[:40]), signal[:40], BacktestSettings(top=1))
    np.testing.assert_array_equal(whole.equity[: len(half.equity)], half.equity)


class Bars:
    """Two stocks packed end to end, the second listed a day later; in 2022 only the first day of a listing had no limit of ten per cent."""

    symbols = ("600000.SH", "600001.SH")
    offsets = np.array([0, 4, 7])
    time = seconds("2022-03-07") + DAY * np.array([0, 1, 2, 3, 1, 2, 3])
    open = np.array([10.0, 11.0, 11.0, 11.0, 5.0, 5.0, 5.0])
    high = low = close = np.array([10.0, 11.0, 11.0, 11.0, 5.0, 5.0, 5.0])
    volume = np.array([1e4, 1e4, 1e4, 0.0, 1e4, 1e4, 1e4])
    amount = np.array([np.nan, 1.2e5, 1.2e5, 0.0, 5e4, 5e4, 5e4])
    factor = np.ones(7)
    extra: dict = {}
    market_time = seconds("2022-03-07") + DAY * np.arange(4)
    market_close = np.array([100.0, 101.0, 102.0, 103.0])
    market_name = "000300.SH"


def test_an_american_day_by_hand_single_shares_no_limit_and_nothing_but_slippage():
    flags = [[TRADES, TRADES], [TRADES, TRADES], [TRADES, TRADES]]
    days = market([[33.0, 10], [33.0, 10], [66.0, 10]], symbols=("AAPL", "MSFT"), flags=flags)
    result = run_backtest(days, scored((1, np.nan), (np.nan, 1), NONE), BacktestSettings(top=1, capital=1_000))
    buy, sell, _ = result.trades
    assert (buy.shares, buy.charge.total) == (30, pytest.approx(30 * 33 * 0.0005)), "30 x 33 = 990 and 0.50 of slippage; a lot of 100 is not asked"
    assert (sell.shares, sell.price, sell.charge.total) == (30, 66.0, pytest.approx(30 * 66 * 0.0005)), "doubled overnight: no limit stops the sale"


def test_packed_bars_become_a_grid_with_dated_limits():
    days = market_days(Bars())
    assert days.open.shape == (4, 2) and np.isnan(days.open[0, 1]) and not days.st_known
    assert days.amount[0, 0] == pytest.approx(1e5)  # unknown amount: volume times the middle of open and close
    assert days.opens_at_limit(1, 0, "buy") and not days.opens_at_limit(2, 0, "buy")  # 10.00 to 11.00 is ten per cent
    assert not days.trades(3, 0) and not days.trades(0, 1)
    np.testing.assert_allclose(days.index_returns(), [0, 0.01, 102 / 101 - 1, 103 / 102 - 1])
    np.testing.assert_allclose(days.equal_weight(), [0, 0.1, 0, 0], atol=1e-12)
    class NoIndex(Bars):
        market_name = "equal_weight"

    assert market_days(NoIndex()).index_returns() is None, "the mean of the stocks is no index"
    part = market_days(Bars(), first=int(Bars.time[1]), last=int(Bars.time[2]))
    assert len(part.time) == 2 and part.opens_at_limit(0, 0, "buy")  # the limit is known from the day before the cut
    with pytest.raises(DataError, match="No session"):
        market_days(Bars(), first=int(Bars.time[3]) + DAY)


def test_a_stock_back_from_a_suspension_brings_its_whole_step_to_the_equal_weight_universe():
    """As it does to a portfolio that held it: left out, the benchmark would miss every such fall."""
    missing = np.nan
    days = market([[10, 10], [10, missing], [10, missing], [10, 6], [10, 6]], factor=[[1, 1], [1, missing], [1, missing], [1, 1], [1, 1.5]])
    np.testing.assert_allclose(days.equal_weight(), [0, 0, 0, -0.2, 0.25])
    later = market([[10, missing], [10, missing], [10, 4], [10, 5]])
    np.testing.assert_allclose(later.equal_weight(), [0, 0, 0, 0.125])  # a first bar has nothing to be compared with


def test_scores_stand_on_the_day_their_window_ends():
    panel = make_panel(names=3, days=30)
    ends = all_ends(panel, first=10)
    grid = MarketDays(time=panel.time[:30], symbols=("600002.SH", "600000.SH"), open=np.ones((30, 2)), close=np.ones((30, 2)),
                      factor=np.ones((30, 2)), amount=np.ones((30, 2)), flags=np.ones((30, 2), np.uint8))
    matrix = scores(predict_from(ends.astype(float), ends), panel, grid)
    assert matrix[12, 1] == 12 and matrix[12, 0] == 60 + 12
    assert np.isnan(matrix[9]).all() and np.isfinite(matrix).sum() == 2 * len(ends) // 3


def test_an_industry_never_takes_more_places_than_its_share():
    opens = np.full((6, 4), 10.0)
    four = ("600000.SH", "600001.SH", "600002.SH", "600003.SH")
    days = replace(market(opens, symbols=four), industries=(0, 0, 0, 1))
    score = np.tile([4.0, 3.0, 2.0, 1.0], (6, 1))
    bought = {trade.stock for trade in run_backtest(days, score, BacktestSettings(top=2, industry_cap=0.5, costs=FREE)).trades}
    assert bought == {0, 3}
    assert {trade.stock for trade in run_backtest(days, score, BacktestSettings(top=2, costs=FREE)).trades} == {0, 1}
    with pytest.raises(DataError, match="no industry is known"):
        run_backtest(market(opens, symbols=four), score, BacktestSettings(top=2, industry_cap=0.5))


def test_industries_of_the_bars_are_numbered_as_in_the_configuration():
    found = market_days(Bars(), industries={Bars.symbols[0]: "energy"})
    assert found.industries == (INDUSTRIES.index("energy"), INDUSTRIES.index("other")) and market_days(Bars()).industries == ()
