"""From a ranking to the orders of the next session, on a real run: they agree with the backtest on that day, and every refusal has its reason."""

import numpy as np
import pytest

from financial_model.errors import ConfigError, DataError
from financial_model.evaluation.backtest import BacktestSettings, Book, Position
from financial_model.evaluation.market_days import market_days
from financial_model.market.packing import pack
from financial_model.market.store import Store
from financial_model.serving.export import csv_bytes
from financial_model.serving.holdings import parse_holdings
from financial_model.serving.orders import order_table, orders
from financial_model.serving.plausibility import is_st
from financial_model.serving.predictor import Predictor
from tests.serving.builders import SYMBOLS, bars, trading_days

SETTINGS = BacktestSettings(top=3, drop=2)


@pytest.fixture(scope="module")
def predictor(finished):
    return Predictor(finished[0])


def held(*lines):
    return parse_holdings("symbol,shares,bought\n" + "\n".join(lines))


def test_the_list_for_tomorrow(finished, predictor):
    found = orders(finished[0], "finished", capital=300_000, settings=SETTINGS, predictor=predictor, today="2024-06-30")
    assert (found["as_of"], found["trade_date"]) == ("2024-06-28", "2024-07-01")
    best = predictor.rank("finished", 3)["symbol"].tolist()
    assert [order["symbol"] for order in found["orders"]] == best and {order["side"] for order in found["orders"]} == {"buy"}
    assert found["cash_before"] == 300_000 and found["cash_after"] >= 0
    assert found["cash_after"] == pytest.approx(300_000 - found["bought"] - found["costs"])
    for order in found["orders"]:
        assert order["shares"] % 100 == 0 or order["symbol"] == "688981.SH"
        assert order["limit_low"] < order["price"] < order["limit_high"]
        assert order["charge"]["commission"] >= 5 and order["charge"]["stamp"] == 0
    assert not any(note["key"] == "orders.note_past" for note in found["notes"])


def test_orders_and_backtest_agree_on_a_day(copied):
    """The next session opens at the last closes, as orders assume: then the backtest trades exactly what was ordered."""
    store, days = Store(copied.data_dir), trading_days(301, "2024-07-01")
    for seed, symbol in enumerate(SYMBOLS):
        frame = store.read_bars(symbol)
        last = frame.iloc[-1]
        nothing = {"date": days[-1], "open": last["close"], "high": last["close"] * 1.01, "low": last["close"] * 0.99, "close": last["close"],
                   "volume": 2_000_000.0 + seed}
        frame.loc[len(frame)] = {**last.to_dict(), **nothing, "amount": np.nan}
        store.write_bars(symbol, frame, source="files")
    predictor = Predictor(copied)
    ranking = predictor.rank("finished", 0, "2024-06-28")
    lines = [f"{ranking['symbol'].iloc[-1]},700,", f"{ranking['symbol'].iloc[0]},1250,", f"{ranking['symbol'].iloc[5]},333,"]
    settings = BacktestSettings(top=4, drop=2, volume_share=0.0)
    found = orders(copied, "finished", held(*lines), cash=150_000, settings=settings, as_of="2024-06-28", predictor=predictor)

    grid = market_days(pack(store, list(ranking["symbol"]), start="2024-06-24"))
    day = len(grid.time) - 1
    book = Book(grid, settings)
    book.cash = 150_000.0
    for place, shares in ((-1, 700.0), (0, 1250.0), (5, 333.0)):
        stock = grid.symbols.index(ranking["symbol"].iloc[place])
        book.held[stock] = Position(shares=shares, bought=-5, factor=float(grid.factor[day - 1, stock]))
    book.open(day)
    book.follow(ranking.set_index("symbol")["expected_return"].loc[list(grid.symbols)].to_numpy(), day)
    traded = [(trade.side, grid.symbols[trade.stock], trade.shares, pytest.approx(trade.amount)) for trade in book.trades]
    assert traded == [(order["side"], order["symbol"], order["shares"], order["amount"]) for order in found["orders"]] and len(traded) >= 4
    assert {order["side"] for order in found["orders"]} == {"buy", "sell"} and found["cash_after"] == pytest.approx(book.cash)


def test_bought_on_the_trade_date_is_locked_the_day_before_is_free(finished, predictor):
    worst = predictor.rank("finished", 0)["symbol"].iloc[-1]
    ask = {"cash": 50_000, "settings": BacktestSettings(top=1, drop=1), "predictor": predictor}
    locked = orders(finished[0], "finished", held(f"{worst},500,2024-07-01"), **ask)
    assert [(item["symbol"], item["reason"]) for item in locked["blocked"]] == [(worst, "t_plus_1")]
    free = orders(finished[0], "finished", held(f"{worst},500,2024-06-28"), **ask)
    assert free["orders"][0]["side"] == "sell" and free["orders"][0]["charge"]["stamp"] > 0 and not free["blocked"]
    with pytest.raises(DataError, match="2024-07-02"):
        orders(finished[0], "finished", held(f"{worst},500,2024-07-02"), **ask)


def test_a_suspended_holding_stays_and_says_why(copied):
    store = Store(copied.data_dir)
    frame = bars(2, trading_days(300))
    frame = frame.iloc[:-1]  # no bar on the last session
    store.write_bars(SYMBOLS[2], frame, source="files")
    found = orders(copied, "finished", held(f"{SYMBOLS[2]},300,"), cash=20_000, settings=BacktestSettings(top=1, drop=1))
    (item,) = [item for item in found["blocked"] if item["symbol"] == SYMBOLS[2]]
    assert item["reason"] == "suspended" and item["why"]["key"] == "orders.blocked_suspended" and item["rank"] is None
    assert found["worth"] == pytest.approx(20_000 + 300 * frame["close"].iloc[-1])


def test_holdings_outside_the_model_are_left_alone(finished, predictor):
    found = orders(finished[0], "finished", held("AAPL,10,", f"{SYMBOLS[0]},100,"), cash=10_000, settings=SETTINGS, predictor=predictor)
    assert [item["symbol"] for item in found["outside"]] == ["AAPL"] and any(note["key"] == "orders.note_outside" for note in found["notes"])
    assert "AAPL" not in [order["symbol"] for order in found["orders"]]


@pytest.mark.parametrize(("money", "key"), [
    ({}, "orders.which_money"), ({"capital": 1.0, "cash": 1.0}, "orders.which_money"), ({"capital": -5.0}, "orders.bad_money"),
    ({"cash": float("nan")}, "orders.bad_money"), ({"capital": 100.0}, "orders.capital_below_holdings"),
])
def test_impossible_money_is_refused(finished, predictor, money, key):
    with pytest.raises(ConfigError) as caught:
        orders(finished[0], "finished", held(f"{SYMBOLS[0]},100000,"), predictor=predictor, **money)
    assert caught.value.key == key


def test_too_little_cash_is_said_not_hidden(finished, predictor):
    found = orders(finished[0], "finished", cash=100, settings=SETTINGS, predictor=predictor)
    assert not found["orders"] and {item["reason"] for item in found["blocked"]} == {"cash"}


def test_the_csv_opens_in_excel_and_carries_no_formula(copied):
    Store(copied.data_dir).set_names(dict.fromkeys(SYMBOLS, "=HYPERLINK(1)"))
    found = orders(copied, "finished", cash=300_000, settings=SETTINGS)
    content = csv_bytes(order_table(found, "zh"))
    assert content.startswith(b"\xef\xbb\xbf") and "'=HYPERLINK" in content.decode("utf-8-sig") and ",=HYPERLINK" not in content.decode("utf-8-sig")
    assert len(content.splitlines()) == 1 + len(found["orders"]) + len(found["blocked"])


def test_special_treatment_is_read_off_todays_name():
    assert is_st("*ST 东方") and is_st("ST东方") and is_st("st x") and not is_st("东方ST") and not is_st("")
