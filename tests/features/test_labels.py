"""What is asked, computed by hand: five bars of one stock, then the named labels."""

import numpy as np
import pytest

from financial_model.config import CLASSES
from financial_model.errors import ConfigError
from financial_model.features import labels, registry

CLOSE = np.log([10.0, 11.0, 12.1, 11.0, 13.2, 6.6])
OPEN = np.log([10.0, 10.5, 11.0, 12.0, 11.0, 13.0])
ENDS = np.array([0, 1])


def test_entry_at_the_close_counts_from_the_windows_last_bar():
    returns = labels.log_returns(CLOSE, CLOSE, ENDS, 3)
    np.testing.assert_allclose(np.exp(returns), [[1.1, 1.21, 1.1], [1.1, 1.0, 1.2]])


def test_entry_at_the_next_open_is_bought_a_bar_later_and_sold_h_closes_after_that():
    """Bought at 10.5 on the bar after the window; the first close it can be sold at (T+1) is the one after."""
    returns = labels.log_returns(OPEN, CLOSE, ENDS, 3, entry="next_open")
    np.testing.assert_allclose(np.exp(returns), [[12.1 / 10.5, 11 / 10.5, 13.2 / 10.5], [11 / 11, 13.2 / 11, 6.6 / 11]])


def test_entry_at_the_next_close():
    returns = labels.log_returns(CLOSE, CLOSE, ENDS, 2, entry="next_close")
    np.testing.assert_allclose(np.exp(returns), [[1.1, 1.0], [11 / 12.1, 13.2 / 12.1]])


@pytest.mark.parametrize(("entry", "bars"), [("close", 5), ("next_open", 6), ("next_close", 6)])
def test_the_last_bar_a_label_reads(entry, bars):
    assert labels.last_bar(5, entry) == bars


def test_a_label_is_asked_at_every_horizon_and_of_several_columns_the_last_counts():
    future = labels.Future(log_close=CLOSE, log_open=OPEN, ends=ENDS, horizon=3)
    np.testing.assert_allclose(labels.label_path("log_return", future), labels.log_returns(CLOSE, CLOSE, ENDS, 3))
    path = labels.label_path("future_volatility", future)
    np.testing.assert_allclose(path, np.stack([labels.future_volatility(CLOSE, ENDS, days) for days in (1, 2, 3)], axis=1))


@pytest.mark.parametrize("entry", ["close", "next_open"])
def test_a_label_that_reads_beyond_its_horizon_or_another_stock_is_found(monkeypatch, entry):
    """Two stocks of ten bars; honest labels may look back, and at the bars the horizon gives them."""
    prices = np.random.default_rng(0).normal(3, 0.1, 20)
    future = labels.Future(log_close=prices, log_open=prices, ends=np.array([4, 13]), horizon=3, entry=entry)
    reach = labels.last_bar(3, entry)

    def tried(function):
        monkeypatch.setitem(labels._LABELS, "tried", labels.Label(name="tried", help_en="", help_zh="", function=function))
        return labels.reads_beyond("tried", future, np.array([0, 10]))

    assert not tried(lambda given: given.log_close[given.ends + reach] - given.log_close[given.ends - 3])
    assert tried(lambda given: given.log_close[given.ends + reach + 1])
    assert tried(lambda given: np.array([given.log_close[end:].min() for end in given.ends])), "the end of the data is later than the horizon"
    assert tried(lambda given: given.log_close[given.ends] - given.log_close[0]), "the first bar may be another stock's"


def test_an_unknown_entry_is_refused():
    with pytest.raises(ConfigError, match="tomorrow"):
        labels.entry_wait("tomorrow")


def test_returns_do_not_depend_on_the_scale_of_prices():
    np.testing.assert_allclose(labels.log_returns(CLOSE + np.log(7), CLOSE + np.log(7), ENDS, 3), labels.log_returns(CLOSE, CLOSE, ENDS, 3))


def test_classes_by_simple_return_with_the_thresholds_included():
    simple = np.array([0.031, 0.029, 0.0, -0.019, -0.021, 0.5])
    log = np.log1p(simple)[:, None] * np.array([0.0, 0.0, 1.0])
    assert [CLASSES[i] for i in labels.classes(log, 0.03, -0.02, 3)] == ["up", "flat", "flat", "flat", "down", "up"]
    at_the_edge = np.log1p(np.array([[0.03], [-0.02]]))
    assert [CLASSES[i] for i in labels.classes(at_the_edge, 0.03, -0.02, 1)] == ["up", "down"]


def test_the_class_is_decided_at_its_own_horizon():
    rise_then_fall = np.log1p(np.array([[0.05, 0.10, -0.05]]))
    assert CLASSES[labels.classes(rise_then_fall, 0.03, -0.02, 2)[0]] == "up"
    assert CLASSES[labels.classes(rise_then_fall, 0.03, -0.02, 3)[0]] == "down"


def test_future_momentum_is_the_mean_over_the_root_mean_square():
    steps = np.diff(CLOSE)
    by_hand = [steps[:3].mean() / np.sqrt((steps[:3] ** 2).mean()), steps[1:4].mean() / np.sqrt((steps[1:4] ** 2).mean())]
    np.testing.assert_allclose(labels.future_momentum(CLOSE, ENDS, 3), by_hand)
    np.testing.assert_allclose(labels.future_momentum(CLOSE, ENDS[:1], 3, entry="next_open"), by_hand[1:])
    even, flat = np.arange(5) * 0.01, np.zeros(5)
    assert labels.future_momentum(even, ENDS[:1], 4) == pytest.approx(1) and labels.future_momentum(-even, ENDS[:1], 4) == pytest.approx(-1)
    assert labels.future_momentum(flat, ENDS[:1], 4) == 0, "a price that never moves has none"


def test_future_volatility_is_the_root_mean_square_of_the_bars_to_come():
    steps = np.diff(CLOSE)
    expected = [np.sqrt(np.mean(steps[0:3] ** 2)), np.sqrt(np.mean(steps[1:4] ** 2))]
    np.testing.assert_allclose(labels.future_volatility(CLOSE, ENDS, 3), expected)
    np.testing.assert_allclose(labels.future_volatility(CLOSE, ENDS[:1], 3, entry="next_open"), expected[1:])


def test_blocked_entries_are_flagged():
    trades, up, down = labels.TRADES, labels.OPENS_AT_LIMIT_UP, labels.OPENS_AT_LIMIT_DOWN
    tradable = np.array([trades, trades | up, 0, trades | down, trades], np.uint8)
    ends = np.arange(4)
    assert labels.blocked_entries(tradable, ends, "next_open").tolist() == [True, True, False, False]  # limit-up, suspended, limit-down can be bought
    assert labels.blocked_entries(tradable, ends, "next_close").tolist() == [False, True, False, False]
    assert labels.blocked_entries(tradable, ends, "close").tolist() == [False, False, True, False]


# ---------------------------------------------------------------- labels by name
@pytest.fixture
def future():
    return labels.Future(log_close=CLOSE, log_open=OPEN, ends=ENDS, horizon=3, entry="next_open")


def test_built_in_labels_are_the_functions_above(future):
    np.testing.assert_array_equal(labels.compute_label("log_return", future), labels.log_returns(OPEN, CLOSE, ENDS, 3, entry="next_open"))
    np.testing.assert_array_equal(labels.compute_label("future_volatility", future), labels.future_volatility(CLOSE, ENDS, 3, entry="next_open"))


def test_one_decorated_function_is_a_label(future, monkeypatch, own_choices):
    monkeypatch.setattr(labels, "_LABELS", {})

    @labels.label("worst_close", help_en="lowest log return within the horizon", help_zh="期内最低的对数收益")
    def worst_close(ahead):
        return ahead.returns().min(axis=1)

    np.testing.assert_allclose(labels.compute_label("worst_close", future), np.log([11 / 10.5, 0.6]))
    assert labels.labels()["worst_close"].help_zh


def test_a_label_can_never_be_an_input():
    assert not set(labels.labels()) & set(registry.features())
    with pytest.raises(ConfigError, match="return_5"):
        labels.label("return_5", help_en="x", help_zh="甲")(lambda ahead: ahead.returns()[:, 0])
    with pytest.raises(ConfigError, match="future_volatility"):
        registry.get("future_volatility")


def test_an_unknown_label_is_refused_with_the_names_there_are(future):
    with pytest.raises(ConfigError, match="future_volatility"):
        labels.compute_label("nothing", future)
