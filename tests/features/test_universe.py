"""The summary of a universe against a small market whose figures are known."""

import json

import numpy as np
import pytest

from financial_model.config import CONDITIONS, INDUSTRIES
from financial_model.errors import DataError
from financial_model.features import overview
from financial_model.features.universe import analyze, conditions, summarize
from financial_model.text import LANGUAGES, translate
from tests.features.builders import pack, random_market, walk, weekdays


def summary(bars, industries=None, *, start="", synthetic=False, names=None):
    codes, _ = conditions(bars, industries or {})
    seconds = int(np.datetime64(start, "s").astype(np.int64)) if start else 0
    return summarize(overview.Stretch(bars=bars, codes=codes, start=seconds), names or {}, synthetic=synthetic)


@pytest.fixture(scope="module")
def small():
    """Two industries; A doubles, B halves, C rises by a tenth; C has three times the market value of A and misses ten days."""
    n = 100
    time = weekdays(n)
    here = np.delete(np.arange(n), np.arange(40, 50))
    return pack({
        "600000.SH": {"time": time, "close": 10 * 2 ** (np.arange(n) / (n - 1)), "total_shares": np.full(n, 1e6)},
        "600001.SH": {"time": time, "close": 10 * 0.5 ** (np.arange(n) / (n - 1)), "total_shares": np.full(n, 4e6)},
        "600002.SH": {"time": time[here], "close": 10 * 1.1 ** (here / (n - 1)), "total_shares": np.full(len(here), 60 / 11 * 1e6)},
    })


INDUSTRY = {"600000.SH": "finance", "600001.SH": "energy", "600002.SH": "finance"}


def test_counts_and_dates(small):
    result = summary(small, INDUSTRY)
    assert (result.stocks, result.rows, result.sessions) == (3, 290, 100)
    assert (result.first, result.last) == ("2018-01-01", "2018-05-18")
    assert result.coverage["stocks"] == [3] * 40 + [2] * 10 + [3] * 50


def test_stock_figures_by_hand(small):
    table = {row["symbol"]: row for row in summary(small, INDUSTRY, names={"600000.SH": "甲"}).table}
    assert [table[s]["change"] for s in INDUSTRY] == pytest.approx([1.0, -0.5, 0.1], abs=1e-5)
    assert [table[s]["weight"] for s in INDUSTRY] == pytest.approx([2e7, 2e7, 6e7])
    assert table["600000.SH"]["name"] == "甲" and table["600000.SH"]["industry"] == "finance"
    assert table["600000.SH"]["annual_volatility"] == pytest.approx(0, abs=1e-6), "a steady rise does not swing"
    assert table["600000.SH"]["change_month"] == pytest.approx(2 ** (21 / 99) - 1, abs=1e-5)
    assert [table[s]["missing"] for s in INDUSTRY] == pytest.approx([0, 0, 0.1])


def test_industries_add_up(small):
    result = summary(small, INDUSTRY)
    assert result.weight == "market_value"
    assert [(row["industry"], row["stocks"]) for row in result.industries] == [("finance", 2), ("energy", 1)]
    assert [row["share"] for row in result.industries] == pytest.approx([0.8, 0.2])
    assert result.industries[0]["change"] == pytest.approx((2e7 * 1.0 + 6e7 * 0.1) / 8e7, abs=1e-5)


def test_the_start_cuts_the_figures_but_not_the_history_of_styles():
    bars = random_market(symbols=60, rows=300, seed=9)
    late = str(np.datetime64(int(bars.time.max()) - 30 * 86_400, "s").astype("datetime64[D]"))
    result = summary(bars, start=late)
    assert result.first >= late and result.sessions < 30
    assert result.counts["momentum"]["unknown"] < 60, "twelve months before the start are used"
    row = result.table[0]
    rows = slice(int(bars.offsets[0]), int(bars.offsets[1]))
    close = (bars.close * bars.factor)[rows][bars.time[rows] >= np.datetime64(late, "s").astype(np.int64)]
    assert row["change"] == pytest.approx(close[-1] / close[0] - 1, abs=1e-5)
    assert row["rows"] == len(close)


def test_missing_sessions_by_month(small):
    missing = summary(small, INDUSTRY).missing
    assert missing["symbols"][0] == "600002.SH"
    days = weekdays(100).astype("datetime64[s]").astype("datetime64[M]").astype(str)
    expected = [np.isin(np.flatnonzero(days == month), np.arange(40, 50)).mean() for month in missing["months"]]
    assert missing["share"][0] == pytest.approx(expected, abs=1e-4)
    assert missing["share"][1] == [0.0] * len(missing["months"])


def test_a_month_before_the_listing_is_not_missing():
    time = weekdays(100)
    late = pack({"600000.SH": {"time": time, "close": np.full(100, 1.0)}, "600001.SH": {"time": time[70:], "close": np.full(30, 1.0)}})
    missing = summary(late).missing
    row = missing["share"][missing["symbols"].index("600001.SH")]
    assert row[0] is None and row[-1] == 0


def test_what_moves_alike_stands_together():
    """Two groups, mixed up, one pair unknown: each group ends up as one block."""
    group = np.array([0, 1, 0, 1, 1, 0])
    matrix = np.where(group[:, None] == group, 0.8, 0.1)
    np.fill_diagonal(matrix, 1.0)
    matrix[0, 2] = matrix[2, 0] = np.nan
    order = overview.clustered(matrix)
    assert sorted(order) == list(range(6)) and np.abs(np.diff(group[order])).sum() == 1
    assert overview.clustered(np.ones((2, 2))).tolist() == [0, 1]


def test_correlations_equal_numpy():
    bars = random_market(symbols=60, rows=200, seed=12)
    industries = {symbol: INDUSTRIES[i % 3] for i, symbol in enumerate(bars.symbols)}
    result = summary(bars, industries)
    assert set(result.correlation["industries"]["names"]) == set(INDUSTRIES[:3])
    change = {symbol: dict(zip(bars.time[rows][1:].tolist(), np.diff(np.log((bars.close * bars.factor)[rows])), strict=True))
              for symbol in bars.symbols for rows in [bars.rows(symbol)]}
    one, two = result.correlation["stocks"]["names"][:2]
    shared = sorted(set(change[one]) & set(change[two]))
    expected = np.corrcoef([change[one][t] for t in shared], [change[two][t] for t in shared])[0, 1]
    assert result.correlation["stocks"]["matrix"][0][1] == pytest.approx(expected, abs=1e-4)
    assert all(result.correlation["industries"]["matrix"][i][i] == pytest.approx(1) for i in range(3))


def test_label_counts_cover_every_trading_stock():
    bars = random_market(symbols=60, rows=200, seed=12)
    result = summary(bars, dict.fromkeys(bars.symbols[:50], "finance"))
    assert set(result.counts) == set(CONDITIONS) - {"regime"}
    assert all(sum(labels.values()) == 60 for labels in result.counts.values())
    assert result.counts["industry"]["finance"] == 50 and result.counts["industry"]["unknown"] == 10
    assert {"condition": "size", "label": "mega", "stocks": result.counts["size"]["mega"]} in result.thin


def keys(result):
    return {warning["key"] for warning in result.warnings}


def test_warnings_in_plain_words(small):
    result = summary(small, INDUSTRY)
    assert {"universe.survivors_only", "universe.few_stocks", "universe.thin_cells"} <= keys(result)
    assert "universe.other_share" in keys(summary(small, {}))
    assert "universe.synthetic" in keys(summary(small, INDUSTRY, synthetic=True))
    for warning in [*result.warnings, *summary(small, {}, synthetic=True).warnings]:
        for language in LANGUAGES:
            assert translate(warning["key"], language, **warning["fields"])


def test_unknown_sizes_are_said_aloud():
    bars = random_market(symbols=60, rows=100, seed=1, extras=False)
    result = summary(bars)
    assert {"universe.unknown_size", "universe.unknown_value"} <= keys(result)
    assert result.weight == "traded" and all(row["weight"] > 0 for row in result.table)


def test_a_stock_that_stopped_trading_is_counted_but_is_no_survivor():
    generator = np.random.default_rng(0)
    time = weekdays(200)
    bars = pack({"600000.SH": {"time": time, **walk(generator, 200)}, "600001.SH": {"time": time[:100], **walk(generator, 100)}})
    result = summary(bars)
    assert not result.survivors_only and "universe.survivors_only" not in keys(result)
    assert [row["trading"] for row in result.table] == [True, False]
    assert sum(result.counts["size"].values()) == 1


def test_a_few_suspended_stocks_do_not_hide_that_the_delisted_are_missing():
    generator = np.random.default_rng(0)
    time = weekdays(780)

    def market(stopped):
        length = [700 if s < stopped else 780 for s in range(200)]
        return pack({f"{600000 + s}.SH": {"time": time[:n], **walk(generator, n)} for s, n in enumerate(length)})

    few, many = summary(market(2)), summary(market(3))  # three years of half a percent are three of two hundred
    assert few.stopped == 2 and "universe.few_stopped" in keys(few) and not few.survivors_only
    said = next(warning for warning in few.warnings if warning["key"] == "universe.few_stopped")
    assert all("200" in translate(said["key"], language, **said["fields"]) for language in LANGUAGES)
    assert many.stopped == 3 and not {"universe.few_stopped", "universe.survivors_only"} & keys(many)


def test_the_summary_is_plain_json(small):
    text = json.dumps(summary(small, INDUSTRY).to_dict(), allow_nan=False)
    assert json.loads(text)["stocks"] == 3


# ---------------------------------------------------------------- from a store
@pytest.fixture
def store(tmp_path):
    pd = pytest.importorskip("pandas")
    from financial_model.market.store import Store

    store = Store(tmp_path / "data")
    generator = np.random.default_rng(0)
    for s in range(3):
        columns = walk(generator, 60)
        store.write_bars(f"{600000 + s}.SH", pd.DataFrame({"date": weekdays(60).astype("datetime64[s]"), **columns}), source="files")
    store.set_industries({"600000.SH": "energy"}, source="test", as_of="2024-01-01")
    return store


def test_analyze_reads_the_store(store):
    seen = []
    result = analyze(store, progress=lambda done, total: seen.append((done, total)))
    assert result.stocks == 3 and result.rows == 180 and seen[-1][0] == seen[-1][1]
    assert result.table[0]["industry"] == "energy" and result.other_share == pytest.approx(2 / 3, abs=1e-4)
    assert analyze(store, symbols=["600001.SH"], start="2018-02-01").stocks == 1


def test_analyze_says_what_is_wrong(store, tmp_path):
    from financial_model.market.store import Store

    with pytest.raises(DataError, match="no bars yet"):
        analyze(Store(tmp_path / "empty"))
    with pytest.raises(DataError):
        analyze(store, start="2030-01-01")
    with pytest.raises(DataError):
        analyze(store, start="the day before")
