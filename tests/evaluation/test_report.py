"""The report: one file, nothing fetched, every text escaped, in both languages."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from financial_model.evaluation import performance, svg
from financial_model.evaluation.backtest import run_backtest
from financial_model.evaluation.evaluate import evaluate
from financial_model.evaluation.report import render_report, write_report
from tests.evaluation.builders import all_ends, config, make_panel, noise_prediction, predict_from
from tests.evaluation.test_performance import noise_market

SPLIT = {"train": {"first": "2020-01-01", "last": "2020-06-30", "sessions": 120},
         "validation": {"first": "2020-07-01", "last": "2020-08-31", "sessions": 40},
         "test": {"first": "2020-09-01", "last": "2020-12-31", "sessions": 80}, "purge": 5, "embargo": 0}
CURVES = {"series": {"train/loss": {"step": [0, 10, 20], "value": [1.0, 0.9, 0.8]}, "validation/loss": {"step": [10, 20], "value": [0.95, 0.94]}},
          "baselines": {"zero": {"loss": 0.97}}, "best": None}
EVIL = "<script>alert(1)</script>\"'&"


class Reader(HTMLParser):
    """Tags, what they would fetch, and the text a person sees."""

    def __init__(self):
        super().__init__()
        self.tags, self.fetched, self.text, self.open = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.fetched += [value for name, value in attrs if name in ("src", "href", "data", "action", "poster") and value]
        if tag not in ("meta", "br", "rect", "circle", "line", "path", "link", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_data(self, data):
        self.text.append(data)


def read(html):
    reader = Reader()
    reader.feed(html)
    return reader


@pytest.fixture(scope="module")
def result():
    panel = make_panel(names=30, days=260, synthetic=False)
    ends = all_ends(panel)
    baselines = {"zero": predict_from(np.zeros(len(ends)), ends), "ridge": noise_prediction(panel, ends, seed=4),
                 EVIL: noise_prediction(panel, ends, seed=5)}
    return evaluate(noise_prediction(panel, ends, spread=0.02), panel, config(), baselines, draws=100)


@pytest.fixture(scope="module")
def backtest():
    market, rng = noise_market(days=200, names=20)
    return performance.summarize(run_backtest(market, rng.standard_normal(market.open.shape)), market, draws=100)


@pytest.fixture(scope="module")
def page(result, backtest):
    return render_report(result, name=f"run {EVIL}", config=config(), split=SPLIT, curves=CURVES, backtest=backtest, null=result,
                         data={"stocks": 30, "rows": 7800, "first": "2020-01-01", "last": "2020-12-31", "fingerprint": EVIL, "market": "000300.SH"},
                         recalibration={"rows": [{"name": "coverage_80", "before": 0.7, "after": 0.79}]}, created="2026-11-21")


def test_nothing_is_fetched_and_nothing_runs(page):
    reader = read(page)
    assert "script" not in reader.tags and "link" not in reader.tags and "img" not in reader.tags and "iframe" not in reader.tags
    assert reader.fetched == []
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)", page)
    assert len(page) < 400_000


def test_every_text_is_escaped(page):
    assert "<script" not in page and "&lt;script&gt;" in page
    assert EVIL in "".join(read(page).text)


def test_the_page_is_well_formed(page):
    assert read(page).open == []


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_a_stranger_needs_is_there(result, backtest, language):
    from financial_model.evaluation.verdict import sentences
    from financial_model.text import translate
    html = render_report(result, name="run", language=language, config=config(), split=SPLIT, curves=CURVES, backtest=backtest)
    text = "".join(read(html).text)
    for sentence in sentences(result["verdict"], language):
        assert sentence in text
    for key in ("comparison", "daily_ic", "groups", "calibration", "data", "settings", "null_absent", "survivors", "disclaimer"):
        assert translate(f"evaluation.report.{key}", language) in text
    assert f'lang="{language}"' in html
    assert "context_length" in text and "2020-07-01" in text


def test_synthetic_data_carry_a_banner_and_real_data_the_survivors_sentence(result):
    html = render_report(result, name="run")
    assert 'class="banner"' not in html and "Survivors only" in html
    synthetic = {**result, "sample": {**result["sample"], "synthetic": True}}
    assert 'class="banner"' in render_report(synthetic, name="run")


def test_what_the_null_market_left_undefined_is_a_dash_and_never_zero(result):
    text = render_report(result, name="r", null={**result, "rank_ic": None, "rank_ic_interval": None, "direction": None})
    assert "RankIC – [–] and direction – against a base rate" in text
    importance = {"rank_ic": None, "dates": 80, "rows": []}
    assert "RankIC – with everything" in render_report(result, name="r", importance=importance)


def test_a_bare_result_makes_a_report_too():
    panel = make_panel(names=3, days=60)
    ends = all_ends(panel)
    html = render_report(evaluate(predict_from(np.zeros(len(ends)), ends), panel, config(), {}), name="bare")
    assert "it has learned nothing" in html
    assert not {"None", "nan"} & set(re.findall(r"\w+", " ".join(read(html).text)))


def test_the_file_is_written_whole(tmp_path, result):
    path = write_report(tmp_path / "deep" / "report.html", result, name="run")
    assert path.read_text("utf-8").endswith("</html>\n") or path.read_text("utf-8").endswith("</html>")
    assert [entry.name for entry in path.parent.iterdir()] == ["report.html"]


def test_a_short_axis_of_whole_days_names_each_day_once():
    drawing = svg.chart([svg.Line("", [1, 2, 3, 4, 5], [0.05, 0.03, 0.02, 0.01, 0.0])], x_format="day {:.0f}".format)
    assert re.findall(r">day (\d)<", drawing) == ["1", "2", "3", "4", "5"]


def test_groups_stand_beside_the_best_baselines_and_the_backtest_shows_its_intervals(result, page):
    text = " ".join(read(page).text)
    assert "RankIC: Ridge regression" in text and "RankIC: Zero return" not in text, "a constant has no correlation to stand beside"
    entry = next(iter(result["groups"]["industry"].values()))
    assert entry["baselines"]["ridge"] is not None and "zero" not in entry["baselines"]
    by_horizon = render_report(result, name="r").split("By days ahead", 1)[-1].split("</table>", 1)[0]
    assert "Ridge regression" in by_horizon and all(0 < abs(entry["baselines"]["ridge"]) < 1 for entry in result["horizons"].values())
    assert result["horizons"]["5"]["baselines"]["ridge"] == pytest.approx(result["baselines"]["ridge"]["rank_ic"])
    assert "Over equal weight a year" in text and "Over the index a year" in text
    details = render_report(result, name="r").split("All figures", 1)[-1].split("</table>", 1)[0]
    assert "Best 5 % found" in details and "<th>Ridge regression</th>" in details
    sharpe = re.search(r"<td>Sharpe ratio</td><td>[-\d.]+<small>[-\d.]+ … [-\d.]+</small></td>", page)
    assert sharpe, "the Sharpe ratio has its interval"


def test_charts_break_at_unknown_points_and_thin_long_series():
    drawing = svg.chart([svg.Line("a & b", range(6), [1.0, None, 2.0, float("nan"), 3.0, 2.5])])
    assert drawing.count("M") >= 3 and "a &amp; b" in drawing
    assert svg.chart([svg.Line("", range(3), [None, None, None])]) == ""
    assert svg.chart([svg.Line("", range(10_000), [float(i) for i in range(10_000)])]).count("L") < 700
    assert svg.chart([svg.Line("", [1.0], [5.0])])  # a single point, no spread


def test_a_long_legend_takes_as_many_rows_as_it_needs():
    names = [f"a baseline with a name {number}" for number in range(9)]
    drawing = svg.chart([svg.Line("loss", [0, 1], [1.0, 2.0])], levels=[svg.Level(name, 1.5) for name in names])
    rows = re.findall(r'<text x="\d+" y="(\d+)" class="legend">(.*?)</text>', drawing)
    assert len(rows) >= 3 and all(name in drawing for name in names)
    assert all(len(re.sub("<.*?>", "", text)) < 120 for _, text in rows) and int(re.search(r'viewBox="0 0 \d+ (\d+)"', drawing)[1]) > int(rows[-1][0])


def test_axis_ticks_are_round():
    assert svg.ticks(0.0, 1.0, 5) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert svg.ticks(-0.034, 0.051, 5) == [-0.02, 0.0, 0.02, 0.04]


def test_a_walk_forward_shows_its_folds_and_no_second_timeline(result):
    def split(first, last):
        return {name: {"first": first, "last": last, "sessions": 9} for name in ("train", "validation", "test")}

    folds = [{"split": split("2020-01-01", "2020-06-01"), "metrics": {"rank_ic": 0.0421, "ic": None}}, {"split": split("2020-06-02", "2020-12-01"),
                                                                                                     "metrics": {}}]
    folds[0]["metrics"] |= {"rank_ic_interval": [-0.011, 0.093], "baselines": {"ridge": 0.0377}}
    text = render_report(result, name="walk", folds=folds)
    assert "-0.011 … 0.093" in text and "0.038" in text
    assert "Walk-forward: 2 trainings" in text and "0.042" in text and "2020-06-02 … 2020-12-01" in text
    assert "Walk-forward" not in render_report(result, name="plain")


def test_the_forecast_as_a_factor_and_what_it_lives_on(result):
    found = {"rank_ic": 0.051, "dates": 80, "rows": [{"name": "rank", "drop": 0.04, "interval": [0.02, 0.06], "chance": 0.01},
                                                     {"name": "time", "drop": 0.0, "interval": None, "chance": 0.01}]}
    text = render_report(result, name="factor", importance=found)
    assert "5 minus 1" in text and "without all three" in text and "RankIC by day ahead" in text
    assert "What the forecast lives on" in text and "80 validation dates" in text
    assert "五组" in render_report(result, name="factor", language="zh", importance=found)
    why = {"why": {"key": "evaluation.tear.few_names", "fields": {"names": 4.0, "needed": 10}}}
    assert "Dates hold 4 names" in render_report({**result, "tear_sheet": why}, name="few")
