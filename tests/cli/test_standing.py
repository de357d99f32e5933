"""What a test said, in a line: no figure without its interval and the best baseline."""

import pytest

from financial_model.cli import standing
from financial_model.cli.output import Output

METRICS = {"rank_ic": 0.0512, "rank_ic_interval": [0.03, 0.0721], "direction": 0.512, "direction_interval": [0.501, 0.523],
           "direction_base_rate": 0.508,
           "baselines": {"zero": {"rank_ic": None}, "ridge": {"rank_ic": 0.047}, "reversal_5": {"rank_ic": 0.02}}}
SPLIT = {"test": {"first": "2024-01-02", "last": "2024-06-28"}}


def test_figures_have_their_interval_and_the_best_baseline_beside_them():
    assert standing.cells(METRICS) == ["0.051 [0.030, 0.072]", "ridge 0.047", "51.2 % [50.1, 52.3]", "50.8 %"]


def test_what_is_unknown_is_a_dash():
    assert standing.cells({}) == ["–"] * 4
    assert standing.cells({"rank_ic": 0.05, "rank_ic_interval": None})[0] == "0.050"


@pytest.mark.parametrize(("language", "word"), [("en", "best baseline ridge 0.047"), ("zh", "最强基线 ridge 0.047")])
def test_a_model_is_introduced_by_its_test(language, word):
    text = standing.tested({"metrics": METRICS, "split": SPLIT}, Output(as_json=False, language=language))
    assert word in text and "2024-06-28" in text and "[0.030, 0.072]" in text


def test_an_untested_model_is_called_one():
    assert "has not been tested" in standing.tested({"metrics": {}, "split": SPLIT}, Output(as_json=False, language="en"))
    assert standing.facts({"metrics": METRICS, "split": SPLIT}) == {"test": SPLIT["test"], "metrics": METRICS}
