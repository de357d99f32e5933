"""The pieces of a run: what stands beside the model is measured as the model is."""

import numpy as np

from financial_model.datasets.targets import label_returns, label_spread
from financial_model.serving.pieces import rivals
from tests.serving.test_importance import piece  # noqa: F401


def test_the_fan_of_a_baseline_comes_from_the_windows_the_models_comes_from(piece):  # noqa: F811
    """Training windows are older, and to ridge and LightGBM they are known: a fan from there would lose to any that was measured later."""
    model, panel = piece
    label = model.config.label
    zero = rivals([model], panel, ["zero"], progress=lambda *_: None, stop=None)["zero"]
    seen = label_returns(panel, model.validation, label) / label_spread(panel, model.validation, label.horizon)
    quantiles = np.quantile(seen, model.config.model.quantile_levels, axis=0).T
    np.testing.assert_allclose(zero.quantiles, quantiles * label_spread(panel, model.test, label.horizon)[..., None], rtol=1e-4, atol=1e-7)
