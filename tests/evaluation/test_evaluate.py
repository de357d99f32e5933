"""The whole judgement: the promised names, honest verdicts on noise and on a planted signal, JSON without NaN."""

import json
import math

import numpy as np
import pytest

from financial_model.errors import DataError
from financial_model.evaluation.evaluate import HEADLINE, evaluate, quick_score
from financial_model.evaluation.verdict import sentences
from tests.evaluation.builders import all_ends, config, make_panel, noise_prediction, predict_from

HORIZON = 5


@pytest.fixture(scope="module")
def noise():
    panel = make_panel(names=40, days=330, seed=1, synthetic=False)
    ends = all_ends(panel)
    baselines = {"zero": predict_from(np.zeros(len(ends)), ends), "other": noise_prediction(panel, ends, seed=9)}
    return evaluate(noise_prediction(panel, ends, spread=0.02), panel, config(), baselines, draws=300)


@pytest.fixture(scope="module")
def planted():
    panel = make_panel(names=60, days=330, seed=2, planted=0.3)
    ends = all_ends(panel, horizon=1)
    prediction = predict_from(0.006 * panel.values[ends, 0], ends, 1, spread=0.0225)
    return evaluate(prediction, panel, config(horizon=1), {"noise": noise_prediction(panel, ends, 1)}, draws=300)


def keys(result):
    return [item["key"].rsplit(".", 1)[1] for item in result["verdict"]]


def test_every_promised_name_is_there_for_the_model_and_each_baseline(noise):
    for figures in (noise, *noise["baselines"].values()):
        for name in HEADLINE:
            assert name in figures and f"{name}_interval" in figures
    for entry in noise["baselines"].values():
        assert {"rank_ic", "direction", "mae_percent"} <= set(entry["difference"])


def test_the_result_is_json_without_nan(noise, planted):
    for result in (noise, planted):
        assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_noise_is_reported_as_no_evidence(noise):
    low, high = noise["rank_ic_interval"]
    assert low < 0 < high
    assert noise["direction_edge_interval"][0] < 0
    assert "rank_ic_around" in keys(noise)
    assert "the interval includes zero, no evidence of skill" in " ".join(sentences(noise["verdict"]))
    assert "没有证据" in " ".join(sentences(noise["verdict"], "zh"))


def test_real_data_always_carry_the_survivors_sentence_and_synthetic_ones_their_own(noise, planted):
    assert keys(noise)[-1] == "survivors" and "oracle_ic" not in noise
    assert keys(planted)[-1] == "synthetic"


def test_the_zero_baseline_has_no_correlation_and_no_direction_but_an_error(noise):
    zero = noise["baselines"]["zero"]
    assert zero["ic"] is None and zero["rank_ic"] is None and zero["icir"] is None and zero["direction"] is None
    assert zero["difference"]["rank_ic"] == {"value": None, "interval": None}
    assert zero["mae_percent"] > 0
    assert zero["difference"]["mae_percent"]["value"] == pytest.approx(noise["mae_percent"] - zero["mae_percent"])


def test_a_planted_signal_is_found_with_its_oracle_ic(planted):
    assert planted["oracle_ic"] == pytest.approx(0.3 * 0.02 / 0.02, abs=0.03)  # the market factor is common and drops out per date
    assert planted["recovery"] == pytest.approx(1.0, abs=0.01)
    assert planted["ic_interval"][0] > 0.2 and planted["ic_t"] > 10
    assert "rank_ic_above" in keys(planted) and "baseline_rank_ic_above" in keys(planted)
    assert planted["baselines"]["noise"]["difference"]["ic"]["interval"][0] > 0


def test_shorter_horizons_stand_beside_the_headline(noise):
    assert list(noise["horizons"]) == ["1", "2", "3", "5"]
    assert noise["horizons"]["5"]["rank_ic"] == noise["rank_ic"]
    assert noise["horizons"]["1"]["mae_percent"] < noise["horizons"]["5"]["mae_percent"]


def test_groups_count_their_rows_and_leave_out_empty_names(noise):
    industry = noise["groups"]["industry"]
    assert list(industry) == ["finance", "consumer", "technology"]
    assert sum(entry["rows"] for entry in industry.values()) == noise["sample"]["rows"]
    assert list(noise["groups"]["regime"]) == ["bull", "bear", "sideways", "volatile"]
    assert all(entry["dates"] < noise["sample"]["dates"] for entry in noise["groups"]["regime"].values())


def test_coverage_and_calibration_of_known_intervals(noise):
    assert [row["level"] for row in noise["calibration"]["coverage"]] == [0.5, 0.8, 0.95]
    assert noise["coverage_80"] == pytest.approx(0.8, abs=0.08)  # spread 2 %, true spread 2.2 %, plus noise
    assert 0 <= noise["calibration"]["ece"] < 0.2
    assert sum(row["count"] for row in noise["calibration"]["reliability"]["up"]) == noise["sample"]["rows"]


def test_constant_classes_are_judged_like_a_model(noise):
    assert noise["constant_classes"]["flat"]["balanced_accuracy"] == pytest.approx(1 / 3)
    assert noise["constant_classes"]["down"]["false_rise_rate"] is None
    assert np.sum(noise["confusion"]) == noise["sample"]["rows"]


def test_a_constant_forecast_is_called_one():
    panel = make_panel(names=10, days=150)
    ends = all_ends(panel)
    result = evaluate(predict_from(np.full(len(ends), 0.01), ends), panel, config(), {}, draws=100)
    assert result["ic"] is None and result["rank_ic"] is None and keys(result)[0] == "constant"
    assert result["coverage_80"] is None and result["pinball"] is None  # no quantiles were given
    assert result["direction"] == pytest.approx(result["baselines"].get("up", result)["direction"])


def test_too_few_dates_give_no_interval_and_say_so():
    panel = make_panel(names=10, days=70)
    ends = all_ends(panel)
    result = evaluate(noise_prediction(panel, ends), panel, config(), {})
    assert result["sample"]["dates"] < 80 and result["rank_ic_interval"] is None
    item = result["verdict"][0]
    assert item["key"].endswith("few_dates") and item["fields"]["needed"] == 80


def test_one_stock_is_judged_along_time():
    panel = make_panel(names=1, days=400, synthetic=False)
    ends = all_ends(panel)
    result = evaluate(noise_prediction(panel, ends), panel, config(), {}, draws=200)
    assert result["ic"] is None and abs(result["time_ic"]) < 0.3
    assert result["time_rank_ic_interval"][0] < 0 < result["time_rank_ic_interval"][1]
    assert "time_rank_ic_around" in keys(result)


def test_a_leak_looks_too_good_to_be_true():
    panel = make_panel(names=30, days=150, synthetic=False)
    ends = all_ends(panel)
    future = panel.prices[ends + 5, 0] - panel.prices[ends, 0]
    assert "too_good" in keys(evaluate(predict_from(future, ends), panel, config(), {}, draws=50))


def test_beating_the_oracle_is_a_leak():
    panel = make_panel(names=30, days=250, planted=0.1)
    ends = all_ends(panel)
    future = panel.prices[ends + 5, 0] - panel.prices[ends, 0]
    assert "above_oracle" in keys(evaluate(predict_from(future, ends), panel, config(), {}, draws=50))


def test_trials_and_unbuyable_rows_are_mentioned():
    panel = make_panel(names=20, days=150)
    panel.tradable[panel.time % (5 * 86_400) == 0] = 0
    ends = all_ends(panel)
    result = evaluate(noise_prediction(panel, ends), panel, config(), {}, trials=12, draws=50)
    assert {"trials", "not_buyable"} <= set(keys(result))
    assert result["buyable"]["rows"] < result["sample"]["rows"]


def test_nothing_is_said_about_rows_nobody_could_have_bought():
    panel = make_panel(names=10, days=100)
    panel.tradable[:] = 0
    found = evaluate(noise_prediction(panel, all_ends(panel)), panel, config(), {}, draws=50)
    assert "never_buyable" in keys(found) and "not_buyable" not in keys(found) and found["buyable"] == {"share": 0.0}


@pytest.mark.parametrize("seed", range(4))
def test_luck_on_a_handful_of_dates_is_no_alarm_and_a_leak_there_is_one(seed):
    panel = make_panel(names=8, days=35, seed=seed, synthetic=False)
    ends = all_ends(panel)
    lucky = noise_prediction(panel, ends, seed=seed)
    assert "too_good" not in keys(evaluate(lucky, panel, config(), {}, draws=50))
    future = panel.prices[ends + 5, 0] - panel.prices[ends, 0]
    assert "too_good" in keys(evaluate(predict_from(future, ends), panel, config(), {}, draws=50))


def test_class_probabilities_are_taken_as_given():
    panel = make_panel(names=10, days=150)
    ends = all_ends(panel)
    plain = noise_prediction(panel, ends)
    probabilities = np.tile(np.array([0.2, 0.7, 0.1], np.float32), (len(ends), 1))
    result = evaluate(type(plain)(end=plain.end, expected=plain.expected, probabilities=probabilities), panel, config(), {}, draws=50)
    assert result["balanced_accuracy"] == pytest.approx(1 / 3)
    assert result["brier"] > 0 and result["brier_skill"] < 0


def test_quick_score_agrees_with_the_full_judgement():
    panel = make_panel(names=20, days=200, planted=0.2)
    ends = all_ends(panel, horizon=1)
    prediction = predict_from(panel.values[ends, 0], ends, 1)
    full, quick = evaluate(prediction, panel, config(horizon=1), {}, draws=50), quick_score(prediction, panel)
    for name in ("ic", "rank_ic", "icir", "direction", "mae_percent"):
        assert quick[name] == pytest.approx(full[name])
    constant = quick_score(predict_from(np.zeros(len(ends)), ends, 1), panel)
    assert constant["rank_ic"] is None and not any(isinstance(v, float) and math.isnan(v) for v in constant.values())


def test_a_diverged_model_is_refused_and_scores_nothing_while_it_trains():
    panel = make_panel(names=10, days=100)
    ends = all_ends(panel)
    prediction = noise_prediction(panel, ends)
    prediction.expected[7] = np.nan
    with pytest.raises(DataError, match="1 of .* forecasts of “model” are not numbers"):
        evaluate(prediction, panel, config(), {})
    assert set(quick_score(prediction, panel).values()) == {None}


def test_a_baseline_with_fewer_days_ahead_is_refused():
    panel = make_panel(names=10, days=100)
    ends = all_ends(panel)
    with pytest.raises(DataError, match="“short” forecasts 3 days ahead"):
        evaluate(noise_prediction(panel, ends), panel, config(), {"short": noise_prediction(panel, ends, 3)})


def test_rows_without_a_known_truth_are_left_out_of_the_oracle_alone():
    panel = make_panel(names=30, days=150, planted=0.2)
    ends = all_ends(panel, horizon=1)
    whole = evaluate(predict_from(panel.oracle[ends, 0], ends, 1), panel, config(horizon=1), {}, draws=50)
    panel.oracle[ends[::3]] = np.nan
    part = evaluate(predict_from(panel.values[ends, 0], ends, 1), panel, config(horizon=1), {}, draws=50)
    assert part["recovery"] == pytest.approx(1.0) and part["ic"] == pytest.approx(whole["ic"])
    assert part["oracle_ic"] == pytest.approx(whole["oracle_ic"], abs=0.05) and part["oracle_ic"] != whole["oracle_ic"]


def test_the_same_input_gives_the_same_numbers(planted):
    panel = make_panel(names=60, days=330, seed=2, planted=0.3)
    ends = all_ends(panel, horizon=1)
    shuffled = np.random.default_rng(0).permutation(len(ends))
    prediction = predict_from(0.006 * panel.values[ends[shuffled], 0], ends[shuffled], 1, spread=0.0225)
    again = evaluate(prediction, panel, config(horizon=1), {"noise": noise_prediction(panel, ends, 1)}, draws=300)
    assert again == planted
