"""Opening a panel: maps only, the same cost at any size, and nothing damaged gets through."""

import builtins
import json
import mmap
import shutil

import numpy as np
import pytest

from financial_model.datasets import panel as panel_module
from financial_model.datasets.panel import ARRAYS, FORMAT, open_panel
from financial_model.errors import DataError
from tests.datasets.builders import make_bars, make_panel


def test_what_was_written_is_what_is_read(tmp_path):
    bars = make_bars((30, 20), symbols=("600519.SH", "AAPL"))
    panel = make_panel(tmp_path, bars, synthetic=True)
    assert panel.symbols == ("600519.SH", "AAPL") and panel.rows == 50 and panel.synthetic and panel.market == "equal_weight"
    np.testing.assert_array_equal(panel.time, bars.time)
    np.testing.assert_allclose(panel.prices, np.column_stack([np.log(bars.close), np.log(bars.open), bars.close, bars.open]))
    assert panel.rows_of("AAPL") == slice(30, 50)
    np.testing.assert_array_equal(panel.symbol_index(np.array([0, 29, 30, 49])), [0, 0, 1, 1])
    assert panel.oracle is None


def test_an_unknown_stock_is_named(tmp_path):
    with pytest.raises(DataError, match="MSFT"):
        make_panel(tmp_path).rows_of("MSFT")


def test_arrays_are_read_only_maps_and_not_copies(tmp_path):
    panel = make_panel(tmp_path)
    for name in (*ARRAYS, "offsets"):
        array = getattr(panel, name)
        assert not array.flags.writeable, name
        while isinstance(array, np.ndarray):
            array = array.base
        assert isinstance(array if not isinstance(array, memoryview) else array.obj, mmap.mmap), name


def bytes_read(monkeypatch, folder):
    """Bytes that opening reads through files (maps are not read at all)."""
    count = 0
    real = builtins.open

    class Counting:
        def __init__(self, stream):
            self.stream = stream

        def __getattr__(self, name):
            return getattr(self.stream, name)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.stream.close()

        def read(self, size=-1):
            nonlocal count
            data = self.stream.read(size)
            count += len(data)
            return data

    with monkeypatch.context() as patch:
        patch.setattr(panel_module.Path, "open", lambda self, *a, **k: Counting(real(self, *a, **k)))
        patch.setattr(panel_module.Path, "read_text", lambda self, *a, **k: Counting(real(self, encoding="utf-8")).read())
        open_panel(folder)
    return count


def test_opening_costs_the_same_at_any_size(tmp_path, monkeypatch):
    """Bytes read do not grow with rows or stocks: the list of symbols is only read when it is asked for."""
    small = make_panel(tmp_path / "small", make_bars((30,)))
    large = make_panel(tmp_path / "large", make_bars((300,) * 200))
    few, many = bytes_read(monkeypatch, small.path), bytes_read(monkeypatch, large.path)
    assert 0 < few < 4000
    assert many - few < 50, "a few more digits in the header, nothing else"
    assert len(large.symbols) == 200


class TestDamage:
    @pytest.fixture
    def folder(self, tmp_path):
        return make_panel(tmp_path).path

    def refused(self, folder, *words):
        with pytest.raises(DataError) as caught:
            open_panel(folder)
        assert caught.value.key == "panel.damaged" and all(word in str(caught.value) for word in (str(folder), *words))

    @pytest.mark.parametrize("name", [*ARRAYS, "offsets", "market_time", "market_close"])
    def test_a_file_cut_short(self, folder, name):
        path = folder / f"{name}.npy"
        path.write_bytes(path.read_bytes()[:-8])
        self.refused(folder)

    @pytest.mark.parametrize("name", ["values.npy", "offsets.npy", "panel.json"])
    def test_a_file_missing_or_empty(self, folder, name):
        (folder / name).write_bytes(b"")
        self.refused(folder)
        (folder / name).unlink()
        self.refused(folder)

    def test_an_array_of_another_panel(self, folder, tmp_path):
        other = make_panel(tmp_path / "other", make_bars((10, 10)))
        shutil.copy(other.path / "time.npy", folder / "time.npy")
        self.refused(folder, "time is int64(20,), expected int64(195,)")

    def test_text_instead_of_an_array(self, folder):
        (folder / "valid.npy").write_text("not an array" * 100)
        self.refused(folder)

    @pytest.mark.parametrize("content", ["{", "[]", f'{{"format": {FORMAT}}}'])
    def test_a_header_that_says_nothing(self, folder, content):
        (folder / "panel.json").write_text(content)
        self.refused(folder)

    def test_no_folder_at_all(self, folder):
        shutil.rmtree(folder)
        self.refused(folder)

    def test_another_version(self, folder):
        header = json.loads((folder / "panel.json").read_text())
        (folder / "panel.json").write_text(json.dumps({**header, "format": 99}))
        with pytest.raises(DataError) as caught:
            open_panel(folder)
        assert caught.value.key == "panel.other_version"
