"""The whole pipeline on markets whose truth is known: nothing is found where nothing is, and most of what is there is found."""

import pytest
import torch

from financial_model import config
from financial_model.serving import bases
from financial_model.serving.experiment import run_training
from financial_model.serving.judging import stored
from financial_model.serving.runs import RunStore
from tests.canaries.markets import QUICK, evaluation, market, standard_error
from tests.models.builders import ALL_BACKBONES


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def null_market(tmp_path_factory):
    """No signal, no drift: every edge reported here is a leak."""
    return market(tmp_path_factory.mktemp("null"), variant="null", stocks=60)


@pytest.fixture(scope="module")
def planted_market(tmp_path_factory):
    """A linear signal twice as strong as the demo's, so that a small market shows it above the noise."""
    return market(tmp_path_factory.mktemp("planted"), variant="linear", kappa=0.12)


@pytest.fixture
def alone(monkeypatch):
    """The model beside the constants only: what ridge and LightGBM find has a test of its own, and fitting them takes longer than most models do."""
    monkeypatch.setattr(config, "BASELINES", ("persistence", "train_mean"))


@pytest.mark.parametrize("backbone", ALL_BACKBONES)
def test_no_model_finds_anything_where_nothing_is(null_market, alone, backbone):
    result = evaluation(null_market, backbone=backbone, condition="concat", windows_per_epoch=6_000)
    assert abs(result["ic"]) < 3 * standard_error(result, "ic"), "an edge on a random walk is a leak"
    assert abs(result["rank_ic"]) < 3 * standard_error(result, "rank_ic")
    low, high = result["direction_interval"]
    assert low <= result["direction_base_rate"] <= high or result["direction"] < result["direction_base_rate"]
    assert result.get("recovery") is None, "there is nothing to recover"


@pytest.mark.parametrize(
    "settings",
    [
        {"head": "quantile"},
        {"head": "classes"},
        {"head": "multi"},
        {"target": "future_momentum"},
        {"objective": "trend_aware", "mixup": True, "context": "random", "context_low": 8, "context_high": 24},
        {"normalisation": "zscore"},
        {"cross_section": True, "condition": "concat", "seeds": 2},
    ],
    ids=["quantile", "classes", "multi", "another label", "trend_aware with mixup and random context", "zscore", "cross_section"],
)
def test_no_head_objective_scaling_or_company_does_either(null_market, alone, settings):
    result = evaluation(null_market, backbone="gru", windows_per_epoch=6_000, **settings)
    assert abs(result["ic"]) < 3 * standard_error(result, "ic")
    if result.get("tasks"):
        momentum = result["tasks"]["momentum"]
        assert abs(momentum["rank_ic"]) < 3 * standard_error(momentum, "rank_ic"), "the direction of a random walk by another name"


def test_the_baselines_find_nothing_either(null_market):
    result = evaluation(null_market, backbone="mlp")
    assert set(result["baselines"]) == set(config.BASELINES) and {"ridge", "lightgbm"} <= set(config.BASELINES)
    for name, figures in result["baselines"].items():
        if figures["ic"] is not None:
            assert abs(figures["ic"]) < 3 * standard_error(figures, "ic"), name


def test_most_of_a_planted_signal_is_recovered_in_the_quick_setting(planted_market):
    result = evaluation(planted_market, condition="concat")
    assert result["oracle_ic"] > 3 * standard_error(result, "oracle_ic"), "the market has no signal to find: the test would prove nothing"
    assert result["ic"] > 3 * standard_error(result, "ic")
    assert result["recovery"] >= 0.5
    assert 0.72 < result["coverage_80"] < 0.88


def test_pre_training_and_fine_tuning_make_no_skill_out_of_nothing(null_market, alone):
    """Hidden patches, then all weights, then preferences: three looks at the same days, and still nothing."""
    small = {"epochs": 1, "windows_per_epoch": 6_000, "device": "cpu", "precision": "fp32"}
    encoder = {"name": "encoder", "method": "pretrain", "backbone": "transformer", "patches": True, "context_length": 40}
    run_training(null_market, config.build({**QUICK, **small, **encoder}))
    runs = RunStore(null_market.checkpoint_dir)
    for name, method, base in (("tuned", "full", "encoder"), ("ordered", "preference", "tuned")):
        run = run_training(null_market, bases.begin_with({**small, "name": name, "method": method, "init_from": base}, runs))
        result = stored(run)["result"]
        assert abs(result["ic"]) < 3 * standard_error(result, "ic"), f"{method} found an edge on a random walk"
        assert abs(result["rank_ic"]) < 3 * standard_error(result, "rank_ic")
