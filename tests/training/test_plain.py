"""Whatever a header or an event holds becomes plain JSON."""

import json
import math

import numpy as np
import pytest
import torch

from financial_model.training.plain import plain


def test_numbers_of_numpy_and_torch_become_json():
    value = {"a": np.float32(0.5), "b": np.arange(3), "c": torch.tensor([1.5, 2.0]), "d": (1, "x", None, True), 5: np.int64(7)}
    assert json.loads(json.dumps(plain(value))) == {"a": 0.5, "b": [0, 1, 2], "c": [1.5, 2.0], "d": [1, "x", None, True], "5": 7}


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, np.float64("nan"), torch.tensor(float("inf"))])
def test_a_number_that_is_not_finite_becomes_null(number):
    assert plain({"loss": number}) == {"loss": None}


def test_anything_else_is_refused():
    with pytest.raises(TypeError, match="object"):
        plain({"model": object()})
