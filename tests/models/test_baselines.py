import pytest

from financial_model import config
from financial_model.errors import ConfigError
from financial_model.models.baselines import BASELINES, baseline_class
from financial_model.models.rules import Baseline


def test_every_baseline_of_a_run_and_those_of_the_literature_are_there():
    assert set(config.BASELINES) <= set(BASELINES)
    assert {"persistence", "momentum_12_1", "moving_average", "lightgbm"} <= set(BASELINES)
    assert all(issubclass(baseline_class(name), Baseline) for name in BASELINES)


def test_an_unknown_baseline_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match="no baseline called “arima”.*zero, train_mean"):
        baseline_class("arima")
