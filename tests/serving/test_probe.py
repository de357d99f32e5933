"""A model is built and timed once per shape, in a process of its own, and remembered."""

import time

import pytest

from financial_model.models.forecaster import build_forecaster, parameters
from financial_model.serving.probe import Probe, Prober, key_of
from tests.serving.builders import tiny


def wait(prober, key, seconds=90):
    deadline = time.monotonic() + seconds
    while not (isinstance(found := prober.known(key), Probe) and found.whole):
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


def test_the_parameters_are_counted_and_a_step_is_timed_and_remembered(workspace):
    config, prober = tiny(backbone="mlp"), Prober(workspace)
    found = wait(prober, prober.want(config, 7))
    model = build_forecaster(config.model, head=config.head(), inputs=7, context_length=8, horizon=3)
    assert found.parameters == parameters(model) and found.step_seconds > 0 and found.memory >= 16 * found.parameters
    assert Prober(workspace).known(key_of(config, 7)) == found, "the next start of the server knows it"


@pytest.mark.parametrize("change", [{"hidden": 32}, {"context_length": 9}, {"horizon": 2}, {"batch_size": 64}])
def test_what_changes_the_work_changes_the_key(change):
    assert key_of(tiny(**change), 7) != key_of(tiny(), 7)


@pytest.mark.parametrize("change", [{"name": "other"}, {"epochs": 9}, {"learning_rate": 0.1}, {"start": "2020-01-01"}])
def test_what_does_not_change_a_step_is_measured_once(change):
    assert key_of(tiny(**change), 7) == key_of(tiny(), 7)


def test_a_damaged_memory_is_no_error(workspace):
    workspace.panels.mkdir(parents=True)
    (workspace.panels / "probes.json").write_text('{"a": {"parameters"')
    assert Prober(workspace).known("a") is None
