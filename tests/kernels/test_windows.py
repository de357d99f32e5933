"""The window kernels equal their specification, and keep their digits where naive arithmetic loses them."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from financial_model.kernels import reference, windows

MODES = reference.MODES
ERROR = 5e-6  # against float64, in units of the window's own spread


def adversarial(name: str, rows: int = 1500) -> np.ndarray:
    random = np.random.default_rng(5)
    shapes = {
        "high level, tiny spread": lambda: 3000 + 0.05 * random.standard_normal((rows, 6)),
        "mixed scales": lambda: random.standard_normal((rows, 12)).cumsum(0) * 10.0 ** np.arange(-6, 6),
        "level ten thousand": lambda: 1e4 + random.standard_normal((rows, 5)).cumsum(0),
        "jump at the end": lambda: np.where(np.arange(rows)[:, None] % 60 == 59, 1e4, random.standard_normal((rows, 3))),
        "prices": lambda: 20 * np.exp(0.02 * random.standard_normal((rows, 31)).cumsum(0)),
    }
    return shapes[name]().astype(np.float32)


CASES = ("high level, tiny spread", "mixed scales", "level ten thousand", "jump at the end", "prices")


def ends_for(values, length, count=40):
    ends = np.random.default_rng(6).integers(length - 1, len(values), count)
    ends[:2] = length - 1, len(values) - 1
    return ends


def exact(values, ends, length, mode, **options):
    """The specification in float64."""
    options = {name: torch.from_numpy(np.asarray(value, np.float64)) if isinstance(value, np.ndarray) else value for name, value in options.items()}
    return reference.gather_windows(torch.from_numpy(values).double(), torch.from_numpy(ends), length, mode, **options)


def table_of(values):
    return {"center": values.mean(0), "scale": (1 / (values.std(0) + 1e-3)).astype(np.float32)}


@pytest.mark.parametrize("length", [1, 2, 33, 60, 500])
@pytest.mark.parametrize("name", CASES)
def test_zscore_is_as_good_as_float64(name, length):
    values = adversarial(name)
    ends = ends_for(values, length)
    x, center, scale = windows.gather_windows(values, ends, length, "zscore")
    expected, expected_center, expected_scale = exact(values, ends, length, "zscore")
    assert (x - expected).abs().max() < ERROR
    assert ((center - expected_center).abs() <= 1e-5 * (expected_center.abs() + 1 / expected_scale)).all()  # float32 holds no more of a level
    torch.testing.assert_close(scale.double(), expected_scale, rtol=1e-5, atol=0)


@pytest.mark.parametrize("length", [1, 60, 333])
@pytest.mark.parametrize("name", CASES)
def test_table_and_last_close_are_rounded_once_or_twice(name, length):
    values = adversarial(name)
    ends = ends_for(values, length)
    for mode, options in (("table", table_of(values)), ("last_close", {"close": 2}), ("last_close", {"close": -1}),
                          ("last_close", {"close": -1, "scale": table_of(values)["scale"]})):
        results = windows.gather_windows(values, ends, length, mode, **options)
        for got, wanted in zip(results, exact(values, ends, length, mode, **options), strict=True):
            torch.testing.assert_close(got.double(), wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("level", [0.0, 3000.0, 12345.678, 1e-4])
@pytest.mark.parametrize("length", [5, 60, 500])
def test_a_flat_window_is_exactly_zero(level, length):
    values = np.full((length, 7), level, np.float32)
    x, _, _ = windows.gather_windows(values, np.array([length - 1]), length, "zscore")
    assert (x == 0).all()


def test_one_flat_column_does_not_touch_the_others():
    values = adversarial("prices")[:, :4].copy()
    values[:, 1] = 3000
    x, _, _ = windows.gather_windows(values, np.array([200]), 60, "zscore")
    assert (x[0, :, 1] == 0).all() and (x[0, :, [0, 2, 3]].std(0) > 0.5).all()


@pytest.mark.parametrize("mode", MODES)
def test_clip_limits_and_changes_nothing_else(mode):
    values = adversarial("jump at the end")
    ends, options = ends_for(values, 60), table_of(values) if mode == "table" else {}
    options |= {"close": 1}
    free, _, _ = windows.gather_windows(values, ends, 60, mode, **options)
    limited, _, _ = windows.gather_windows(values, ends, 60, mode, clip=1.5, **options)
    assert free.abs().max() > 1.5, "the case must need a limit"
    torch.testing.assert_close(limited, free.clamp(-1.5, 1.5), rtol=0, atol=0)


def test_a_window_depends_on_its_own_rows_alone():
    values = adversarial("prices")
    ends = np.array([100, 200, 300])
    before, _, _ = windows.gather_windows(values, ends, 50, "zscore")
    values[201:251] = 1e6  # between the second window and the third
    after, _, _ = windows.gather_windows(values, ends, 50, "zscore")
    assert torch.equal(before, after)


@pytest.mark.parametrize("mode", MODES)
def test_threads_change_nothing(mode):
    values = np.random.default_rng(0).standard_normal((5000, 12)).astype(np.float32)
    options = table_of(values) if mode == "table" else {}
    ends = ends_for(values, 250, 300)  # large enough to be shared out
    one = windows.gather_windows(values, ends, 250, mode, threads=1, **options)
    three = windows.gather_windows(values, ends, 250, mode, threads=3, **options)
    assert all(torch.equal(a, b) for a, b in zip(one, three, strict=True))


def test_buffers_are_used_and_read_only_maps_are_accepted(tmp_path):
    values = adversarial("prices")
    np.save(tmp_path / "values.npy", values)
    mapped = np.load(tmp_path / "values.npy", mmap_mode="r")
    out = windows.buffers(3, 20, 31)
    result = windows.gather_windows(mapped, np.array([30, 40, 50]), 20, "zscore", out=out)
    assert all(a is b for a, b in zip(result, out, strict=True))
    fresh = windows.gather_windows(torch.from_numpy(values), torch.tensor([30, 40, 50]), 20, "zscore")
    assert torch.equal(fresh[0], out[0])


@pytest.mark.parametrize("ends", [[18], [100], [-1]])
def test_a_window_outside_the_panel_is_refused(ends):
    with pytest.raises(ValueError, match="leave the panel"):
        windows.gather_windows(np.zeros((100, 2), np.float32), np.array(ends), 20, "zscore")


def test_unknown_mode_and_missing_table_are_refused():
    values = np.zeros((100, 2), np.float32)
    with pytest.raises(ValueError, match="unknown mode"):
        windows.gather_windows(values, np.array([50]), 20, "minmax")
    with pytest.raises(ValueError, match="center and scale"):
        windows.gather_windows(values, np.array([50]), 20, "table")


def test_no_window_gives_empty_buffers():
    x, center, scale = windows.gather_windows(np.zeros((100, 2), np.float32), np.empty(0, np.int64), 20, "zscore")
    assert x.shape == (0, 20, 2) and center.shape == scale.shape == (0, 2)


def test_a_float64_tensor_goes_through_the_reference():
    values = torch.from_numpy(adversarial("prices")).double()
    x, _, _ = windows.gather_windows(values, torch.tensor([99]), 60, "zscore")
    assert x.dtype == torch.float64


def test_a_fresh_process_compiles_nothing():
    """The first call of a second process finds every kernel on disk."""
    code = ("import numpy as np; from financial_model.kernels import windows, windows_cpu as c; v = np.ones((99, 3), np.float32); e = np.array([50]);"
            "[windows.gather_windows(v, e, 9, m, center=v[0], scale=v[0]) for m in ('table', 'zscore', 'last_close')];"
            "print(sum(sum(f.stats.cache_misses.values()) for f in (c._table, c._zscore, c._last_close)))")
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.strip() == "0"
