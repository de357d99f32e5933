"""A comparison ranks what was measured, pairs every model with the best baseline, and knows how often luck was asked."""

from html.parser import HTMLParser

import numpy as np
import pytest

from financial_model.evaluation.comparison import RANKABLE, compare
from financial_model.evaluation.comparison_report import clock, count, flat_rows, headings, render_comparison, row_name, text_cells
from financial_model.evaluation.evaluate import evaluate
from tests.evaluation.builders import all_ends, config, make_panel, predict_from


@pytest.fixture(scope="module")
def market():
    """A planted market with a strong, a weak and a useless forecast of it, judged beside two baselines."""
    panel = make_panel(names=40, days=260, planted=0.15, seed=4)
    ends = all_ends(panel)
    truth, noise = panel.oracle[ends, 4], np.random.default_rng(0).standard_normal(len(ends)) * 0.01
    baselines = {"zero": predict_from(np.zeros(len(ends)), ends), "ridge": predict_from(truth + 3 * noise, ends)}

    def judged(expected):
        return evaluate(predict_from(expected, ends), panel, config(), baselines, draws=200)

    return {"strong": judged(truth), "weak": judged(truth + noise), "useless": judged(noise)}


def members(market):
    return [{"name": name, "model": "gru", "run": f"{name}_1", "parameters": 1234, "seconds": 61.0, "returns": None, "context_length": 20,
             "result": result} for name, result in market.items()]


def finished(table):
    """With what serving adds."""
    split = {part: {"first": "2024-01-01", "last": "2024-02-01"} for part in ("train", "validation", "test")}
    data = {"stocks": 40, "rows": 1000, "first": "2024-01-01", "last": "2024-12-01", "market": "000300.SH"}
    return {**table, "id": "compare_20240101_000000", "created": "2024-01-01T00:00:00", "split": {**split, "purge": 5, "embargo": 0}, "data": data,
            "synthetic": True, "fingerprint": "abc", "bar_seconds": 86_400, "failed": {}}


def test_models_baselines_and_constant_answers_stand_in_one_order(market):
    table = compare(members(market), "rank_ic", 3)
    assert [row["name"] for row in table["rows"] if row["kind"] == "model"] == ["strong", "weak", "useless"]
    assert {row["name"] for row in table["rows"] if row["kind"] == "baseline"} == {"zero", "ridge"}
    assert {row["name"] for row in table["rows"] if row["kind"] == "constant"} == {"up", "flat", "down"}
    values = [row["metrics"]["rank_ic"] for row in table["rows"] if row["place"]]
    assert values == sorted(values, reverse=True) and table["rows"][0]["place"] == 1
    assert all(row["place"] is None for row in table["rows"] if row["metrics"].get("rank_ic") is None), "what is undefined has no place"


def test_an_error_is_ranked_the_other_way_round(market):
    values = [row["metrics"]["mae_percent"] for row in compare(members(market), "mae_percent")["rows"] if row["place"]]
    assert values == sorted(values)


@pytest.mark.parametrize("metric", sorted(set(RANKABLE) - {"time_ic", "time_rank_ic", "pinball"}))
def test_every_figure_that_can_rank_is_paired_with_the_best_baseline(market, metric):
    table = compare(members(market), metric)
    baselines = {row["name"]: row["metrics"][metric] for row in table["rows"] if row["kind"] == "baseline" and row["place"]}
    best = (max if RANKABLE[metric] > 0 else min)(baselines, key=baselines.get)
    assert baselines[table["best_baseline"]] == baselines[best]
    for row in table["rows"]:
        if row["kind"] == "model" and row["place"]:
            paired = row["difference"][metric]
            assert paired["value"] == pytest.approx(row["metrics"][metric] - baselines[table["best_baseline"]])
            assert paired["interval"][0] <= paired["value"] <= paired["interval"][1]


def test_a_lead_beyond_its_interval_is_called_one_and_noise_is_not(market):
    keys = [item["key"] for item in compare(members(market), "rank_ic")["verdict"]]
    assert "compare.verdict.ahead" in keys
    only = compare([member for member in members(market) if member["name"] == "useless"], "rank_ic")
    assert "compare.verdict.behind" in [item["key"] for item in only["verdict"]]


def test_luck_grows_with_the_number_of_trials(market):
    few, many = (compare(members(market), "rank_ic", trials)["luck"] for trials in (2, 200))
    assert 0 < few["by_luck"] < many["by_luck"] and few["lead"] == many["lead"] > 0
    assert compare(members(market), "rank_ic", 1)["luck"]["by_luck"] == 0


def test_a_few_stocks_are_ranked_along_time_and_it_says_so():
    panel = make_panel(names=2, days=260, seed=6)
    ends = all_ends(panel)
    rng = np.random.default_rng(1)
    baselines = {"ridge": predict_from(0.01 * rng.standard_normal(len(ends)), ends)}
    results = [evaluate(predict_from(0.01 * rng.standard_normal(len(ends)), ends), panel, config(), baselines, draws=100) for _ in range(2)]
    table = compare([{**member, "result": result} for member, result in zip(members({"a": 0, "b": 0}), results, strict=True)], "rank_ic")
    assert table["rank_by"] == "time_rank_ic" and table["asked"] == "rank_ic"
    assert table["verdict"][0]["key"] == "compare.verdict.other_metric"
    assert all(row["effective"] > 10 for row in table["rows"] if row["kind"] == "model"), "the effective sample is known for a few stocks too"


def test_a_constant_answer_is_judged_on_direction_as_well(market):
    constants = market["strong"]["constant_classes"]
    assert constants["up"]["direction"] + constants["down"]["direction"] == pytest.approx(1)
    assert constants["flat"]["direction"] is None
    assert max(constants["up"]["direction"], constants["down"]["direction"]) == pytest.approx(market["strong"]["direction_base_rate"])


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.addresses, self.tags = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href")]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_needs_no_network_and_no_script(market, language):
    table = finished(compare(members(market), "rank_ic", 5))
    table["rows"][0]["name"] = "<script>alert(1)</script>"
    text = render_comparison(table, language)
    page = Page()
    page.feed(text)
    assert not page.addresses and "script" not in page.tags and text.count("<svg") >= 3
    for row in table["rows"][1:]:
        assert row_name(row, language) in text


def test_a_spreadsheet_gets_every_figure_with_its_interval(market):
    table = finished(compare(members(market), "rank_ic"))
    columns, rows = flat_rows(table)
    assert len(rows) == len(table["rows"]) and all(len(row) == len(columns) for row in rows)
    first = dict(zip(columns, rows[0], strict=True))
    assert first["rank_ic_low"] < first["rank_ic"] < first["rank_ic_high"] and first["parameters"] == 1234


def test_the_short_table_has_a_cell_under_every_heading(market):
    table = finished(compare(members(market), "rank_ic"))
    for row in table["rows"]:
        assert len(text_cells(row, table, "en")) + 1 == len(headings(table, "en"))


def test_figures_read_as_people_write_them():
    assert (count(4_950_000), count(117_619), count(751), count(None)) == ("5.0 M", "118 K", "751", "")
    assert (clock(61.4), clock(3_725), clock(None)) == ("1:01", "1:02:05", "")
