"""The formula language: what is read and refused, what it computes against pandas, that it cannot see the future, and the preset written in it."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from financial_model import config as settings
from financial_model.errors import ConfigError
from financial_model.features import registry
from financial_model.features.causality import truncate
from financial_model.features.formula import Call, Column, Number, parse
from financial_model.features.formula_check import lookback
from financial_model.features.formula_functions import FUNCTIONS, SIGNS
from financial_model.features.indicators import alpha
from tests.features.builders import random_market

NESTED = ("rank(mean(rank(returns), 5) * rank(delta(log(volume), 1)))", "mean(rank(close / mean(close, 10)), 3) - 0.5 * rsi_14",
          "if(rank_return_5 > 0 and not (returns > 0), ts_rank(volume, 10), -std(returns, 5))", "rank(close / ref(close, 5)) ^ 2")


@pytest.fixture(scope="module")
def market():
    return random_market(symbols=8, rows=200, seed=4)


def column(market, text):
    return registry.compute(market, registry.names([], [text]), workers=1)[:, 0]


def frames(market):
    """One frame of adjusted columns per symbol."""
    for s in range(len(market.symbols)):
        rows = slice(int(market.offsets[s]), int(market.offsets[s + 1]))
        yield rows, pd.DataFrame({name: getattr(market, name)[rows] * market.factor[rows] for name in ("open", "high", "low", "close")} | {
            "volume": market.volume[rows] / market.factor[rows]})


# ---------------------------------------------------------------- reading
@pytest.mark.parametrize(("text", "tree"), [
    ("1 + 2 * 3", Call("+", (Number(1.0), Call("*", (Number(2.0), Number(3.0)))))),
    ("2 ^ 3 ^ 2", Call("^", (Number(2.0), Call("^", (Number(3.0), Number(2.0)))))),
    ("8 - 4 - 2", Call("-", (Call("-", (Number(8.0), Number(4.0))), Number(2.0)))),
    ("-close ^ 2", Call("negative", (Call("^", (Column("close"), Number(2.0))),))),
    ("not close > open or low < high", Call("or", (Call("not", (Call(">", (Column("close"), Column("open"))),)),
                                                 Call("<", (Column("low"), Column("high")))))),
    ("mean(close, 5)", Call("mean", (Column("close"), Number(5.0)))), ("1.5e-2", Number(0.015)), ("(((close)))", Column("close")),
])
def test_signs_bind_as_in_mathematics(text, tree):
    assert parse(text) == tree


def terms():
    between = [sign for sign, entry in SIGNS.items() if entry.values == 2]
    leaf = st.sampled_from([Column(name) for name in ("open", "close", "volume", "returns")]) | st.integers(0, 9).map(lambda n: Number(float(n)))

    def grown(inner):
        return st.one_of(
            st.builds(lambda sign, a, b: Call(sign, (a, b)), st.sampled_from(between), inner, inner),
            st.builds(lambda name, a: Call(name, (a,)), st.sampled_from(["negative", "not", "abs", "log", "rank"]), inner),
            st.builds(lambda name, a, n: Call(name, (a, Number(float(n)))), st.sampled_from(["mean", "ref", "ts_rank"]), inner,
                      st.integers(2, 60)))
    return st.recursive(leaf, grown, max_leaves=12)


def normal(node):
    """A negative number and the negative of a number are the same formula."""
    if not isinstance(node, Call):
        return node
    arguments = tuple(normal(argument) for argument in node.arguments)
    if node.name == "negative" and isinstance(arguments[0], Number):
        return Number(-arguments[0].value)
    return Call(node.name, arguments)


@given(terms())
def test_the_canonical_writing_reads_back_as_the_same_formula(tree):
    text = str(normal(tree))
    try:
        assert normal(parse(text)) == normal(tree)
        assert str(parse(text)) == text
    except ConfigError as error:
        assert error.key == "formula.chained" or "--" in text, text


@pytest.mark.parametrize(("text", "key"), [
    ("", "formula.expected"), ("mean(close, 5", "formula.expected"), ("close +", "formula.expected"), ("close open", "formula.expected"),
    ("mean(close 5)", "formula.expected"), ("close $ 2", "formula.character"), ("close[1]", "formula.character"), ("'x'", "formula.character"),
    ("__import__(1)", "formula.unknown_function"), ("exec(close)", "formula.unknown_function"), ("future", "formula.unknown_column"),
    ("mean(close)", "formula.arguments"), ("rank(close, 5)", "formula.arguments"), ("ref(close, -1)", "formula.future"),
    ("delay(close, 0 - 1)", "formula.window"), ("mean(close, 2.5)", "formula.window"), ("mean(close, 0)", "formula.window"),
    ("mean(close, 5000)", "formula.window"), ("mean(close, volume)", "formula.window"), ("quantile(close, 5, 2)", "formula.share"),
    ("1 < 2 < 3", "formula.chained"), ("(" * 200 + "close" + ")" * 200, "formula.too_deep"), ("close + " * 900 + "close", "formula.too_long"),
])
def test_what_cannot_be_read_is_refused_with_its_place(text, key):
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert caught.value.key == key and caught.value.message("zh") != str(caught.value)


@pytest.mark.parametrize(("text", "key"), [
    ("close", "formula.level"), ("mean(volume, 5)", "formula.level"), ("close > 5", "formula.level"), ("log(close)", "formula.level"),
    ("log(-close)", "formula.no_value"), ("close / 0", "formula.constant"), ("1 + 1", "formula.constant"), ("close / close", "formula.constant"),
    ("mean(mean(mean(returns, 1000), 1000), 1000)", "formula.memory")])
def test_what_is_unfit_to_be_an_input_is_refused(text, key):
    with pytest.raises(ConfigError) as caught:
        registry.names([], [text])
    assert caught.value.key == key


@given(st.text(alphabet="abcdelmnorstu0123456789.+-*/^<>=!(), '\"[]{}:;%@_\\\n", max_size=60))
def test_any_text_is_a_formula_or_one_clear_error(text):
    try:
        parse(text)
    except ConfigError as error:
        assert str(error) and error.key.startswith("formula.")


# ---------------------------------------------------------------- computing
def over_six(values, figure):
    return values.rolling(6).apply(lambda w: figure(np.arange(6), w), raw=True)


PANDAS = {
    "ref(close, 3) / close": lambda f: f.close.shift(3) / f.close, "delta(log(close), 2)": lambda f: np.log(f.close).diff(2),
    "mean(close, 5) / close": lambda f: f.close.rolling(5).mean() / f.close,
    "sum(close, 4) / open": lambda f: f.close.rolling(4).sum() / f.open,
    "std(close, 10) / close": lambda f: f.close.rolling(10).std() / f.close, "max(high, 7) / close": lambda f: f.high.rolling(7).max() / f.close,
    "min(low, 7) / close": lambda f: f.low.rolling(7).min() / f.close,
    "quantile(close, 10, 0.8) / close": lambda f: f.close.rolling(10).quantile(0.8) / f.close,
    "ts_rank(close, 10)": lambda f: (f.close.rolling(10).rank() - 1) / 9, "corr(close, open, 10)": lambda f: f.close.rolling(10).corr(f.open),
    "slope(close, 6) / close": lambda f: over_six(f.close, lambda days, w: np.polyfit(days, w, 1)[0]) / f.close,
    "residual(close, 6) / close": lambda f: over_six(f.close, lambda days, w: w[-1] - np.polyval(np.polyfit(days, w, 1), 5)) / f.close,
    "rsquare(close, 6)": lambda f: over_six(f.close, lambda days, w: np.corrcoef(days, w)[0, 1] ** 2 if w.std() > 0 else 0.0),
    "skew(close / open, 10)": lambda f: (f.close / f.open).rolling(10).skew(),
    "kurt(close / open, 10)": lambda f: (f.close / f.open).rolling(10).kurt(),
    "mean(returns > 0, 5)": lambda f: (np.log(f.close).diff() > 0).where(f.close.shift(1).notna()).astype(float).rolling(5).mean(),
    "if(close > open, close / open, -1)": lambda f: (f.close / f.open).where(f.close > f.open, -1.0),
    "larger(close, open) / smaller(close, open)": lambda f: np.maximum(f.close, f.open) / np.minimum(f.close, f.open),
    "abs(close / open - 1) * sign(close - open)": lambda f: f.close / f.open - 1,
    "bars_since_max(high, 5) + bars_since_min(low, 5) / 10": lambda f: f.high.rolling(5).apply(lambda w: 4 - (4 - np.argmax(w[::-1])), raw=True)
    + f.low.rolling(5).apply(lambda w: np.argmin(w[::-1]), raw=True) / 10,
    "(close > open) + (close == open) * 2 + (close != open and not close > open) * 4": lambda f: (
        (f.close > f.open) * 1.0 + (f.close == f.open) * 2.0 + (f.close < f.open) * 4.0),
}


@pytest.mark.parametrize("text", PANDAS)
def test_every_function_agrees_with_pandas(market, text):
    found = column(market, text)
    for rows, frame in frames(market):
        wanted = PANDAS[text](frame).to_numpy(np.float64)
        known = np.isfinite(wanted) & np.isfinite(found[rows])
        assert known.sum() > 0.8 * len(wanted)
        np.testing.assert_allclose(found[rows][known], wanted[known], rtol=2e-4, atol=2e-5)


def test_every_function_is_tried_here_or_in_the_preset():
    texts = " ".join([*PANDAS, *alpha.formulas().values(), *NESTED, "ema(close, 5) delay(close, 1)"])
    assert all(f"{name}(" in texts for name in FUNCTIONS)


def test_ranks_compare_the_stocks_of_a_date_inside_a_formula_too(market):
    returns = column(market, "returns")
    outer, nested = column(market, "rank(returns)"), column(market, "mean(rank(returns), 2)")
    for time in np.unique(market.time)[100:104]:
        rows = np.flatnonzero(market.time == time)
        place = pd.Series(returns[rows]).rank()
        np.testing.assert_allclose(outer[rows], (place - 0.5) / len(rows) - 0.5, atol=1e-6)
    rows = slice(int(market.offsets[2]) + 1, int(market.offsets[3]))
    np.testing.assert_allclose(nested[rows][1:], (outer[rows][1:] + outer[rows][:-1]) / 2, atol=1e-6)


def test_a_registered_feature_may_stand_in_a_formula(market):
    known = registry.compute(market, ["rsi_14", "rank_return_5"], workers=1)
    found = column(market, "rsi_14 + rank_return_5")
    finite = np.isfinite(found)
    assert finite.mean() > 0.8
    np.testing.assert_allclose(found[finite], known.sum(axis=1)[finite], atol=1e-5)


@pytest.mark.parametrize("text", NESTED)
def test_taking_the_later_bars_away_changes_no_bit_of_a_formula(market, text):
    known = column(market, text)
    for share in (0.4, 0.7, 0.95):
        last = int(np.quantile(np.unique(market.time), share, method="lower"))
        then = column(truncate(market, last), text)
        np.testing.assert_array_equal(then, known[market.time <= last])


def test_the_lookback_bounds_what_a_value_depends_on():
    assert lookback(parse("mean(ref(close, 5), 10) / close")) >= 15 and lookback(parse("rank(close)")) < 5


# ---------------------------------------------------------------- the preset and the settings
def test_the_preset_has_158_factors_each_a_formula_that_is_fit_to_be_an_input(market):
    formulas = alpha.formulas()
    assert len(formulas) == 158 and registry.names(["alpha"]) == tuple(formulas)
    registry.names([], list(formulas.values())[::9])
    values = registry.compute(market, tuple(formulas), workers=1)
    assert np.isfinite(values[market.time >= np.unique(market.time)[130]]).all()
    assert {registry.get(name).help_en for name in formulas} == set(formulas.values())


def test_the_preset_by_hand(market):
    rows, frame = next(iter(frames(market)))
    known = {name: column(market, text)[rows] for name, text in alpha.formulas().items() if name in ("alpha_kup2", "alpha_rsv_10", "alpha_sump_5")}
    change = frame.close.diff()
    wanted = {"alpha_kup2": (frame.high - np.maximum(frame.open, frame.close)) / (frame.high - frame.low),
              "alpha_rsv_10": (frame.close - frame.low.rolling(10).min()) / (frame.high.rolling(10).max() - frame.low.rolling(10).min()),
              "alpha_sump_5": change.clip(lower=0).rolling(5).sum() / change.abs().rolling(5).sum()}
    for name, values in wanted.items():
        good = np.isfinite(values.to_numpy())
        np.testing.assert_allclose(known[name][good], values.to_numpy()[good], rtol=1e-4, atol=1e-5)


def test_formulas_are_a_setting_and_their_commas_stay_inside():
    config = settings.build({"formulas": "rank(mean(close, 5) / close - 1), corr(close, volume, 20)", "groups": ""})
    assert config.features.formulas == ("rank(mean(close, 5) / close - 1)", "corr(close, volume, 20)")
    assert not [problem for problem in settings.problems(config) if problem.field == "groups"]
    assert settings.build(settings.flatten(config), base=settings.RunConfig()) == config


def test_the_same_formula_twice_is_one_column():
    assert registry.names(["return"], ["rank(close/open)", "rank( close / open )"])[-1] == "rank(close / open)"
    assert len(registry.names([], ["rank(close/open)", "rank( close / open )"])) == 1


def test_an_unknown_plain_name_is_still_an_unknown_feature():
    with pytest.raises(ConfigError, match="no feature called"):
        registry.get("nonsense")


def test_a_bare_column_and_a_bare_feature_are_formulas_too(market):
    np.testing.assert_array_equal(column(market, "rsi_14"), registry.compute(market, ["rsi_14"], workers=1)[:, 0])
    assert np.isfinite(column(market, "returns")).mean() > 0.9
