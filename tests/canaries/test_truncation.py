"""Nothing may know the future: every feature, style and regime at bar t is the same, bit for bit, whatever comes after t.

This one property catches centred averages, whole-sample scaling, styles carried back and smoothed regimes.
"""

import numpy as np
import pytest

from financial_model.features import registry
from financial_model.features.causality import looks_ahead, truncate
from financial_model.features.regime import regime
from financial_model.features.style import style
from financial_model.features.universe import conditions
from tests.features.builders import pack, random_market, weekdays

ALL = registry.names(registry.FEATURE_GROUPS)


@pytest.fixture(scope="module")
def market():
    return random_market(symbols=8, rows=320)


@pytest.fixture(scope="module")
def known(market):
    return registry.compute(market, ALL, workers=1)


def noise_after(bars, last_time: int):
    """The same bars up to ``last_time`` and nonsense after it, on the same dates."""
    generator = np.random.default_rng(99)
    late = bars.time > last_time
    close = np.where(late, generator.uniform(1, 500, len(bars.time)), bars.close)
    columns = {}
    for s, symbol in enumerate(bars.symbols):
        rows = slice(int(bars.offsets[s]), int(bars.offsets[s + 1]))
        after = late[rows]
        columns[symbol] = {"time": bars.time[rows], "close": close[rows], "factor": np.where(after, 3.0, bars.factor[rows]),
                           **{name: np.where(after, close[rows] * scale, getattr(bars, name)[rows])
                              for name, scale in (("open", 0.9), ("high", 1.3), ("low", 0.5), ("volume", 777.0), ("amount", 5.0))},
                           **{name: np.where(after, generator.uniform(1, 9, after.size), values[rows])
                              for name, values in bars.extra.items() if name != "tradable"}}
    market_close = np.where(bars.market_time > last_time, generator.uniform(1, 500, len(bars.market_time)), bars.market_close)
    return pack(columns, market=(bars.market_time, market_close), industries=bars.industries)


def assert_identical(then, now, names=ALL):
    """Equal to the last bit, NaN at the same places; a failure names the features."""
    different = [name for column, name in enumerate(names) if not np.array_equal(then[:, column], now[:, column], equal_nan=True)]
    assert not different, different


@pytest.mark.parametrize("share", [0.1, 0.33, 0.35, 0.5, 0.51, 0.77, 0.99])
def test_taking_the_later_bars_away_changes_no_feature(market, known, share):
    last = int(np.quantile(np.unique(market.time), share, method="lower"))
    then = registry.compute(truncate(market, last), ALL, workers=1)
    assert_identical(then, known[market.time <= last])


@pytest.mark.parametrize("share", [0.34, 0.62, 0.9])
def test_replacing_the_later_bars_by_noise_changes_no_feature(market, known, share):
    last = int(np.quantile(np.unique(market.time), share, method="lower"))
    noisy = registry.compute(noise_after(market, last), ALL, workers=1)
    past = market.time <= last
    assert_identical(noisy[past], known[past])
    assert not np.array_equal(noisy[~past], known[~past], equal_nan=True)


def test_one_more_bar_changes_no_feature(market, known):
    times = np.unique(market.time)
    for last in times[200:206]:
        then = registry.compute(truncate(market, int(last)), ALL, workers=1)
        assert_identical(then, known[market.time <= last])


def test_other_stocks_do_not_touch_a_stock_except_through_ranks_and_the_market(market, known):
    """A feature of one stock alone is the same as in the universe, for every feature that is not cross-sectional by its nature."""
    own = tuple(name for name in ALL if not registry.get(name).cross_section and registry.get(name).group != "market"
                and not name.startswith("industry_return_"))
    alone = registry.compute(truncate(market, int(market.time.max()), symbols=[3]), own, workers=1)
    rows = slice(int(market.offsets[3]), int(market.offsets[4]))
    columns = [ALL.index(name) for name in own]
    assert_identical(alone, known[rows][:, columns], own)


def test_threads_and_blocks_change_no_bit(market, known, monkeypatch):
    from financial_model.features import blocks

    monkeypatch.setattr(blocks, "BLOCK_ROWS", 100)
    assert_identical(registry.compute(market, ALL, workers=2), known)


def test_style_and_conditions_of_a_date_need_no_later_date():
    bars = random_market(symbols=60, rows=300, seed=5)
    industries = dict.fromkeys(bars.symbols, "finance")
    labels, ranks = style(bars)
    codes, _ = conditions(bars, industries)
    assert len(np.unique(labels)) > 4, "styles are known, so the comparison means something"
    for share in (0.6, 0.8, 0.95):
        last = int(np.quantile(np.unique(bars.time), share, method="lower"))
        past, cut = bars.time <= last, truncate(bars, last)
        then_labels, then_ranks = style(cut)
        np.testing.assert_array_equal(then_labels, labels[past])
        np.testing.assert_array_equal(then_ranks, ranks[past])
        np.testing.assert_array_equal(conditions(cut, industries)[0], codes[past])


def test_regime_of_a_day_needs_no_later_day():
    generator = np.random.default_rng(3)
    spread = np.where(np.arange(1500) // 250 % 2, 0.025, 0.008)
    close = 1000 * np.exp(np.cumsum(generator.normal(2e-4, spread)))
    whole = regime(close)
    assert len(np.unique(whole)) >= 4
    for n in (130, 252, 400, 757, 1100, 1499):
        np.testing.assert_array_equal(regime(close[:n]), whole[:n])


# ---------------------------------------------------------------- the detector itself
def probe(function, *, cross_section=False):
    return registry.Feature(name="probe", group="technical", help_en="", help_zh="", cross_section=cross_section, optional=False, function=function)


@pytest.mark.parametrize(("leak", "function"), [
    ("centred moving average", lambda bars: np.convolve(bars.close, np.ones(5) / 5, "same") / bars.close),
    ("price min-max scaled over the whole sample", lambda bars: (bars.close - bars.close.min()) / np.ptp(bars.close)),
    ("log price z-scored over the whole sample", lambda bars: (bars.log_close - bars.log_close.mean()) / bars.log_close.std()),
    ("tomorrow's return", lambda bars: np.append(bars.log_return[1:], 0.0)),
    ("days until the history ends", lambda bars: (bars.time.max() - bars.time) / 1e7),
])
def test_a_feature_that_looks_ahead_is_found(market, leak, function):
    assert looks_ahead(market, [probe(function)]) == ("probe",), leak


def test_an_honest_feature_is_not_accused(market):
    assert looks_ahead(market, [probe(lambda bars: bars.close / bars.mean("close", 10) - 1)]) == ()


def test_a_single_short_symbol_can_be_checked():
    bars = pack({"600000.SH": {"time": weekdays(3), "close": np.array([10.0, 11.0, 12.0])}})
    assert looks_ahead(bars, [probe(lambda bars: bars.log_close)]) == ()
