"""What is recovered of a known truth: the oracle gives all of it, noise none, and where nothing is planted there is nothing to recover."""

import numpy as np
import pytest

from financial_model.evaluation import truth
from tests.evaluation.builders import all_ends, config, make_panel, noise_prediction, predict_from


def market(planted=0.2, seed=0, names=40, days=260, shrink=0.5, noise=0.0):
    """A market, and the oracle with ``noise`` beside it as the model; a rival that knows nothing."""
    panel = make_panel(names, days, seed, planted=planted)
    ends = all_ends(panel, horizon=1)
    known = panel.oracle[ends, 0] if panel.oracle is not None else np.zeros(len(ends), np.float32)
    model = shrink * known + noise * np.random.default_rng(seed + 7).standard_normal(len(ends))
    forecasts = {"model": predict_from(model, ends, 1), "ridge": noise_prediction(panel, ends, 1, seed=seed + 1)}
    return truth.measure(forecasts, panel, config(1, class_horizon=1))


def test_the_oracle_recovers_all_of_itself_whatever_its_scale():
    row = truth.compare([market()])
    assert row["recovery"] == pytest.approx(1.0) and row["ic"] == pytest.approx(row["oracle_ic"])
    assert row["oracle_ic"] == pytest.approx(0.2 * 0.02 / np.hypot(0.02, 0.0), abs=0.02)
    assert row["rivals"]["ridge"]["recovery"] == pytest.approx(0.0, abs=0.1)


def test_a_forecast_with_noise_recovers_the_share_that_its_correlation_with_the_truth_says():
    """Truth with a spread of .004, noise as large as the halved truth: correlation with it 1 / sqrt 2."""
    row = truth.compare([market(seed=s, noise=0.5 * 0.02 * 0.2) for s in range(3)])
    assert row["recovery"] == pytest.approx(1 / np.sqrt(2), abs=0.06)
    assert row["recovery_interval"][0] < 1 / np.sqrt(2) < row["recovery_interval"][1]


def test_the_difference_to_a_rival_is_paired_and_its_interval_stays_above_zero():
    entry = truth.compare([market()])["rivals"]["ridge"]
    assert entry["difference"] == pytest.approx(0.2, abs=0.03) and entry["difference_interval"][0] > 0


def test_where_nothing_is_planted_there_is_nothing_to_recover_and_the_interval_includes_zero():
    row = truth.compare([market(planted=0.0, shrink=0.0, noise=1.0, seed=seed) for seed in range(4)])
    assert "recovery" not in row and row["ic_interval"][0] <= 0 <= row["ic_interval"][1]
    assert row["outside"] <= 1 and row["markets"] == 4


def test_markets_are_pooled_by_their_dates():
    short, long = market(days=120, seed=1), market(days=300, seed=2)
    row = truth.compare([short, long])
    assert row["dates"] == short.dates + long.dates
    singly = [truth.compare([part]) for part in (short, long)]
    weighted = sum(entry["ic"] * entry["dates"] for entry in singly) / row["dates"]
    assert row["ic"] == pytest.approx(weighted)
    low, high = row["ic_interval"]
    assert all(high - low < entry["ic_interval"][1] - entry["ic_interval"][0] for entry in singly)


def test_a_single_market_that_excludes_zero_is_counted():
    assert truth.compare([market(), market(planted=1e-9, shrink=0.0, noise=1.0)])["outside"] == 1


def test_too_few_dates_give_no_interval():
    row = truth.compare([market(days=30)])
    assert row["ic_interval"] is None and row["rivals"]["ridge"]["difference_interval"] is None and row["outside"] == 0


def test_a_constant_forecast_has_no_ic_and_no_recovery():
    row = truth.compare([market(shrink=0.0)])
    assert row["ic"] is None and row["recovery"] is None and row["rivals"]["ridge"]["difference"] is None
