import threading

import numpy as np
import pytest
import torch

from financial_model.errors import Stopped
from financial_model.models.decode import expected_from_quantiles
from financial_model.models.prediction import predict
from tests.models.builders import HORIZON, batches, small_model, windows

torch.set_num_threads(1)


def outputs(model, key):
    with torch.no_grad():
        return model(*windows(10))[key].numpy()


def unit():
    return np.concatenate([batch.unit.numpy().copy() for batch in batches()])


def test_quantiles_come_back_in_log_return_and_in_the_order_of_the_loader():
    model = small_model("gru", head="quantile").eval()
    result = predict(model, batches())
    raw = outputs(model, "quantiles")
    assert result.end.tolist() == list(range(100, 110)) and len(result) == 10
    assert np.allclose(result.quantiles, raw * unit()[..., None], atol=1e-6)
    assert np.allclose(result.expected, expected_from_quantiles(model.levels, raw) * unit(), atol=1e-6)
    assert result.levels == model.levels and result.probabilities is None
    chance = result.probability_up()
    assert chance.shape == (10, HORIZON) and ((chance > 0) & (chance < 1)).all()


def test_points_get_their_fan_from_the_residuals_that_training_measured():
    model = small_model("gru").eval()
    residuals = [[-1, -0.5, -0.2, 0, 0.2, 0.5, 1.0]] * HORIZON
    plain, fanned = predict(model, batches()), predict(model, batches(), extras={"residual_quantiles": residuals})
    assert plain.quantiles is None and plain.probability_up() is None and plain.levels == ()
    assert np.allclose(plain.expected, outputs(model, "point") * unit(), atol=1e-7)
    assert np.allclose(fanned.quantiles, (outputs(model, "point")[..., None] + np.array(residuals)) * unit()[..., None], atol=1e-6)
    assert np.array_equal(plain.expected, fanned.expected)


def test_classes_get_their_return_from_the_mean_moves_that_training_measured():
    model = small_model("gru", head="classes").eval()
    means = np.arange(HORIZON * 3).reshape(HORIZON, 3)[:, ::-1]
    result = predict(model, batches(), extras={"class_means": means.tolist()})
    probabilities = torch.from_numpy(outputs(model, "logits")).softmax(-1).numpy()
    assert np.allclose(result.probabilities, probabilities, atol=1e-6) and result.probabilities.dtype == np.float32
    assert np.allclose(result.expected, probabilities @ means.T * unit(), atol=1e-6)


def test_several_tasks_come_back_each_in_its_own_unit():
    model = small_model("gru", head="multi").eval()
    result, spread = predict(model, batches(), extras={"residual_quantiles": [[-1.0] * 3 + [0] + [1.0] * 3] * HORIZON}), unit()
    assert np.allclose(result.expected, outputs(model, "point") * unit(), atol=1e-7), "the return is the point's, not the classes'"
    assert np.allclose(result.volatility, spread[:, 0] * np.exp(outputs(model, "volatility")), atol=1e-7)
    assert np.allclose(result.momentum, outputs(model, "momentum"), atol=1e-7)
    assert result.probabilities.shape == (10, 3) and result.quantiles is not None
    some = result.at(np.array([107, 101]))
    assert np.array_equal(some.volatility, result.volatility[[7, 1]]) and np.array_equal(some.momentum, result.momentum[[7, 1]])


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_of_the_model_is_restored_and_dropout_is_off(training):
    model = small_model("lstm", dropout=0.5).train(training)
    first, second = predict(model, batches()), predict(model, batches())
    assert np.array_equal(first.expected, second.expected)
    assert model.training is training


@pytest.mark.parametrize("head, has_quantiles", [("point", False), ("quantile", True), ("classes", False), ("multi", False)])
def test_no_windows_give_an_empty_prediction(head, has_quantiles):
    result = predict(small_model("mlp", head=head), [])
    assert result.expected.shape == (0, HORIZON) and result.end.dtype == np.int64
    assert (result.quantiles is not None) == has_quantiles


def test_a_stop_is_heard_between_batches():
    stop = threading.Event()

    def one_then_stop():
        for batch in batches():
            yield batch
            stop.set()

    model = small_model("mlp").train()
    with pytest.raises(Stopped):
        predict(model, one_then_stop(), stop=stop)
    assert model.training
