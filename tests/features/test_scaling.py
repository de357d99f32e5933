"""Tables fitted on training rows: x' = (x - center) * scale."""

import numpy as np
import pytest

from financial_model.errors import ConfigError, DataError
from financial_model.features import scaling
from financial_model.features.scaling import apply_table, fit_table


@pytest.fixture
def values():
    generator = np.random.default_rng(0)
    return np.stack([generator.normal(3, 2, 5000), generator.standard_t(2, 5000), np.full(5000, 7.7), (np.arange(5000) % 20 == 0) * 1.0],
                    axis=1).astype(np.float32)


ROWS = np.arange(1000, 4000)


def test_robust_is_median_and_quartile_distance(values):
    center, scale = fit_table(values, ROWS, "robust")
    assert center.dtype == scale.dtype == np.float32
    train = values[ROWS].astype(np.float64)
    for column in (0, 1):
        low, middle, high = np.quantile(train[:, column], [0.25, 0.5, 0.75])
        assert center[column] == pytest.approx(middle, rel=1e-6)
        assert scale[column] == pytest.approx(1.349 / (high - low), rel=1e-6)
    assert apply_table(train, center, scale)[:, 0].std() == pytest.approx(1, rel=0.05), "a normal column gets deviation one"


def test_standard_is_mean_and_deviation(values):
    center, scale = fit_table(values, ROWS, "standard")
    np.testing.assert_allclose(center[:2], values[ROWS].astype(np.float64).mean(0)[:2], rtol=1e-5)
    np.testing.assert_allclose(1 / scale[:2], values[ROWS].astype(np.float64).std(0)[:2], rtol=1e-5)


def test_minmax_maps_the_training_range_to_one(values):
    scaled = apply_table(values[ROWS], *fit_table(values, ROWS, "minmax"))
    np.testing.assert_allclose(scaled[:, :2].min(0), -1, atol=1e-5)
    np.testing.assert_allclose(scaled[:, :2].max(0), 1, atol=1e-5)


@pytest.mark.parametrize("kind", scaling.KINDS)
def test_a_constant_column_reads_zero_everywhere(values, kind):
    center, scale = fit_table(values, ROWS, kind)
    assert scale[2] == 0
    assert (apply_table(values, center, scale)[:, 2] == 0).all()


def test_a_rare_flag_is_scaled_by_its_deviation_not_by_its_empty_quartiles(values):
    center, scale = fit_table(values, ROWS, "robust")
    scaled = apply_table(values[ROWS], center, scale)[:, 3]
    assert scaled.std() == pytest.approx(1, rel=1e-4) and scaled.mean() == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("kind", scaling.KINDS)
def test_only_training_rows_count(values, kind):
    changed = values.copy()
    changed[:1000], changed[4000:] = 1e9, np.nan
    for one, other in zip(fit_table(values, ROWS, kind), fit_table(changed, ROWS, kind), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", scaling.KINDS)
def test_unknown_values_are_left_out_and_an_unknown_column_reads_zero(values, kind):
    holed = values.copy()
    holed[::2, 0], holed[:, 1] = np.nan, np.nan
    center, scale = fit_table(holed, ROWS, kind)
    expected = fit_table(values, ROWS[1::2], kind)
    assert center[0] == pytest.approx(expected[0][0], rel=1e-6) and scale[0] == pytest.approx(expected[1][0], rel=1e-6)
    assert center[1] == scale[1] == 0


def test_pieces_and_samples_change_nothing_that_matters(values, monkeypatch):
    whole = fit_table(values, ROWS, "standard")
    monkeypatch.setattr(scaling, "_CHUNK", 77)
    for one, other in zip(whole, fit_table(values, ROWS, "standard"), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    exact = fit_table(values, ROWS, "robust")
    monkeypatch.setattr(scaling, "SAMPLE", 1500)
    sampled = fit_table(values, ROWS, "robust")
    assert sampled[1][0] == pytest.approx(exact[1][0], rel=0.1)


def test_clipping_limits_both_sides():
    assert apply_table(np.array([[-100.0, 0.5, 100.0]]), np.zeros(3), np.ones(3), 5.0).tolist() == [[-5.0, 0.5, 5.0]]


def test_bad_requests_are_one_clear_sentence(values):
    with pytest.raises(ConfigError, match="zscore"):
        fit_table(values, ROWS, "zscore")
    with pytest.raises(DataError, match="training"):
        fit_table(values, np.array([], dtype=np.int64), "robust")
