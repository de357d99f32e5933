"""From bar files to a panel: built once, found again, built anew when anything it was made from changes."""

import errno
import os
import shutil
import signal
import threading
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from financial_model import config as settings
from financial_model.datasets import build as building
from financial_model.datasets import unfinished
from financial_model.datasets.build import Plan, clean, prepare
from financial_model.datasets.panel import build_panel, open_panel
from financial_model.errors import DataError, NotFoundError, Stopped, StorageError
from financial_model.features import blocks
from financial_model.market.store import Store

CONFIG = settings.build({"groups": "return,volatility", "min_history": 60})


def quietly(*_):
    """A progress nobody looks at."""


def bars(days, seed):
    random = np.random.default_rng(seed)
    dates = pd.bdate_range("2019-01-01", periods=150)[150 - days:]
    close = 20 * np.exp(random.normal(0, 0.02, days).cumsum())
    start = close * np.exp(random.normal(0, 0.005, days))
    return pd.DataFrame({"date": dates, "open": start, "high": np.maximum(start, close) * 1.01, "low": np.minimum(start, close) * 0.99,
                         "close": close, "volume": 1e6})


@pytest.fixture
def market(workspace):
    """Three stocks of 150, 120 and 90 days."""
    store = Store(workspace.data_dir)
    for i, days in enumerate((150, 120, 90)):
        store.write_bars(f"60000{i}.SH", bars(days, i), source="files")
    store.set_industries({"600000.SH": "finance", "600001.SH": "energy"}, source="test", as_of="2020-01-01")
    return workspace


def with_universe(**limits):
    return replace(CONFIG, universe=replace(CONFIG.universe, **limits))


def test_built_in_a_child_and_found_again(market):
    steps = []
    path = build_panel(market, CONFIG, progress=lambda stage, done, total: steps.append((stage, done, total)))
    panel = open_panel(path)
    assert panel.symbols == ("600000.SH", "600001.SH", "600002.SH") and panel.rows == 360 and not panel.synthetic
    assert {stage for stage, _, _ in steps} == {"panel"} and steps[-1][1:] == (100, 100)
    assert [done for _, done, _ in steps] == sorted(done for _, done, _ in steps)
    assert panel.facts["first"] == "2019-01-01" and path.name == panel.fingerprint
    steps.clear()
    written = (path / "values.npy").stat().st_mtime_ns
    assert build_panel(market, CONFIG, progress=lambda *step: steps.append(step)) == path
    assert not steps and (path / "values.npy").stat().st_mtime_ns == written, "nothing was computed"


def test_a_users_error_crosses_the_process(market):
    with pytest.raises(DataError, match="not a date"):
        build_panel(market, with_universe(start="soon"))
    assert not [path for path in market.panels.iterdir() if path.is_dir()]


def test_stop_leaves_nothing_behind(market):
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        build_panel(market, CONFIG, stop=stop)
    assert [path.name for path in market.panels.iterdir()] == ["hashes.json"]


def test_a_cut_short_panel_is_built_again(market):
    path = prepare(market, CONFIG, quietly)
    (path / "values.npy").write_bytes((path / "values.npy").read_bytes()[:-100])
    with pytest.raises(DataError):
        open_panel(path)
    assert prepare(market, CONFIG, quietly) == path and open_panel(path).rows == 360


class TestFingerprint:
    @pytest.fixture
    def before(self, market):
        return Plan(market, CONFIG).fingerprint

    def after(self, market, config=CONFIG):
        return Plan(market, config).fingerprint

    def test_is_stable(self, market, before):
        assert self.after(market) == before
        for path in market.data_dir.rglob("*.csv"):
            os.utime(path)
        assert self.after(market) == before

    def test_follows_a_bar(self, market, before):
        path = market.data_dir / "training_data" / "600001.SH.csv"
        lines = path.read_text().splitlines()
        path.write_text("\n".join([*lines[:-1], lines[-1].replace("1000000", "1000001")]) + "\n")
        assert self.after(market) != before

    def test_follows_an_industry(self, market, before):
        Store(market.data_dir).set_industries({"600001.SH": "utilities"}, source="test", as_of="2020-01-02")
        assert self.after(market) != before

    @pytest.mark.parametrize("limits", [{"symbols": ("600000.SH",)}, {"industry": "finance"}, {"start": "2019-03-01"}, {"max_symbols": 2}])
    def test_follows_the_choice_of_stocks_and_dates(self, market, before, limits):
        assert self.after(market, with_universe(**limits)) != before

    def test_follows_the_features(self, market, before):
        assert self.after(market, settings.build({"groups": "return"}, base=CONFIG)) != before

    def test_follows_the_code(self, market, before, monkeypatch):
        monkeypatch.setattr(building.fingerprint, "code_hash", lambda files: "another version")
        assert self.after(market) != before

    def test_does_not_follow_what_a_panel_does_not_hold(self, market, before):
        other = settings.build({"context_length": 20, "horizon": 3, "backbone": "lstm", "seed": 7, "name": "x"}, base=CONFIG)
        assert self.after(market, other) == before
        Store(market.data_dir).write_bars("600009.SH", bars(30, 9), source="files")  # too short to be chosen
        assert self.after(market) == before


def test_start_drops_rows_but_not_the_history_of_their_features(market):
    whole = open_panel(prepare(market, CONFIG, quietly))
    part = open_panel(prepare(market, with_universe(start="2019-05-01"), quietly))
    first = np.datetime64("2019-05-01", "s").astype(np.int64)
    assert part.time.min() == first and part.valid[0] == 1, "the indicators were warm already"
    np.testing.assert_array_equal(part.values, whole.values[whole.time >= first])
    np.testing.assert_array_equal(part.volatility, whole.volatility[whole.time >= first])


def test_end_gives_the_same_rows_as_the_whole_history(market):
    """Truncation, through the whole pipeline: what a row holds does not depend on later bars."""
    config = settings.build({"groups": "price,return,volatility,volume,rank"}, base=CONFIG)
    whole = open_panel(prepare(market, config, quietly))
    part = open_panel(prepare(market, replace(config, universe=replace(config.universe, end="2019-06-14", min_history=20)), quietly))
    last = np.datetime64("2019-06-14", "s").astype(np.int64)
    for name in ("values", "volatility", "conditions", "ranks", "valid", "tradable", "prices"):
        np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[whole.time <= last], err_msg=name)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a copy of this process")
class TestAKilledBuild:
    """Blocks of one stock each, and every finished part on the list at once."""

    CONFIG = settings.build({"groups": "price,volatility,rank"}, base=CONFIG)
    PARTS = 6 + 2 + 6  # features, ranks, the last touch

    @pytest.fixture(autouse=True)
    def small_parts(self, market, monkeypatch):
        for i in range(3, 6):
            Store(market.data_dir).write_bars(f"60000{i}.SH", bars(140, i), source="files")
        monkeypatch.setattr(blocks, "BLOCK_ROWS", 50)
        monkeypatch.setattr(unfinished, "_EVERY", 0)
        monkeypatch.setattr(unfinished, "_SHARE", 0)
        monkeypatch.setattr(blocks, "date_parts", lambda groups: [(0, 70), (70, len(groups))])

    @pytest.fixture
    def done(self, monkeypatch):
        """Numbers of the parts that are computed in this process."""
        found, add = [], unfinished.Unfinished.add
        monkeypatch.setattr(unfinished.Unfinished, "add", lambda self, part: (found.append(part), add(self, part)))
        return found

    def killed(self, market, steps):
        """A build that dies at its step of that number, two of which come before the first part."""
        pid = os.fork()
        if not pid:
            left = [steps]

            def progress(*_):
                left[0] -= 1
                if not left[0]:
                    os.kill(os.getpid(), signal.SIGKILL)

            try:
                prepare(market, self.CONFIG, progress)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL

    def whole(self, market, folder):
        """The arrays of the panel as built at one go elsewhere."""
        copied = replace(market, data_dir=shutil.copytree(market.data_dir, folder, ignore=shutil.ignore_patterns("panels")))
        path = prepare(copied, self.CONFIG, quietly)
        return {file.name: np.load(file) for file in path.glob("*.npy")}

    def same(self, path, arrays):
        assert set(arrays) == {file.name for file in path.glob("*.npy")}
        for name, array in arrays.items():
            np.testing.assert_array_equal(np.load(path / name), array, err_msg=name)

    @pytest.mark.parametrize("parts", [4, 7, 10, PARTS])
    def test_goes_on_where_it_was(self, market, tmp_path, done, parts):
        self.killed(market, 2 + parts)
        path = prepare(market, self.CONFIG, quietly)
        assert done == list(range(parts, self.PARTS))
        self.same(path, self.whole(market, tmp_path / "whole"))
        assert sorted(file.name for file in market.panels.iterdir()) == sorted(["hashes.json", path.name])

    def test_is_not_gone_on_with_when_a_bar_has_changed(self, market, tmp_path, done):
        self.killed(market, 12)
        Store(market.data_dir).write_bars("600004.SH", bars(140, 77), source="files")
        path = prepare(market, self.CONFIG, quietly)
        assert len(done) == self.PARTS
        self.same(path, self.whole(market, tmp_path / "whole"))
        assert not list(market.panels.glob(".*.part")), "what was begun with the old bars is gone"

    def test_two_at_once_do_not_share_one_table(self, market, tmp_path, done):
        self.killed(market, 6)
        plan = Plan(market, self.CONFIG)
        with unfinished.Unfinished(plan.folder, "another builder", 3, 2, 1) as other:
            other.values[:] = 7
            path = prepare(market, self.CONFIG, quietly)
            assert (other.values == 7).all() and len(done) == self.PARTS
        self.same(path, self.whole(market, tmp_path / "whole"))

    def test_no_room_is_said_before_anything_is_computed(self, market, monkeypatch):
        def full(*_):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(unfinished.os, "posix_fallocate", full)
        with pytest.raises(StorageError, match="disk is full"):
            prepare(market, self.CONFIG, quietly)
        assert not list(market.panels.glob(".*"))


def test_short_stocks_are_left_out_and_remembered(market):
    path = prepare(market, with_universe(min_history=100), quietly)
    assert open_panel(path).symbols == ("600000.SH", "600001.SH") and open_panel(path).facts["left_out"] == 1
    assert '"600002.SH": "short"' in (path / "sources.json").read_text()


def test_unknown_stocks_and_an_empty_store_are_explained(market, tmp_path):
    with pytest.raises(NotFoundError, match="000001.SZ"):
        build_panel(market, with_universe(symbols=("000001.SZ",)))
    with pytest.raises(DataError, match="no bars yet"):
        build_panel(replace(market, data_dir=tmp_path / "empty"), CONFIG)


def test_data_that_changes_underneath_is_read_again(market, monkeypatch):
    """A download may run at the same time: a panel never holds two states of the market."""
    from financial_model.features import registry

    real, calls = registry.compute, []

    def compute(*arguments, **options):
        calls.append(1)
        if len(calls) == 1:
            Store(market.data_dir).write_bars("600001.SH", bars(120, 77), source="files")
        return real(*arguments, **options)

    monkeypatch.setattr(registry, "compute", compute)
    path = prepare(market, CONFIG, quietly)
    assert len(calls) == 2 and path.name == Plan(market, CONFIG).fingerprint
    close = Store(market.data_dir).read_bars("600001.SH")["close"].to_numpy()
    panel = open_panel(path)
    np.testing.assert_allclose(panel.prices[panel.rows_of("600001.SH"), 2], close)


def test_data_that_never_rests_is_given_up(market, monkeypatch):
    from financial_model.features import registry

    real, calls = registry.compute, []

    def compute(*arguments, **options):
        calls.append(1)
        Store(market.data_dir).write_bars("600001.SH", bars(120, 100 + len(calls)), source="files")
        return real(*arguments, **options)

    monkeypatch.setattr(registry, "compute", compute)
    with pytest.raises(DataError, match="kept changing"):
        prepare(market, CONFIG, quietly)


def test_old_panels_go_first_and_abandoned_ones_too(workspace):
    panels = workspace.panels
    for i in range(12):
        (panels / f"panel{i}").mkdir(parents=True)
        os.utime(panels / f"panel{i}", (1e9 + i, 1e9 + i))
    (panels / ".killed.1.tmp").mkdir()
    os.utime(panels / ".killed.1.tmp", (1e9, 1e9))
    (panels / ".running.2.tmp").mkdir()
    os.utime(panels / ".running.2.tmp", (time.time(), time.time()))
    clean(panels, panels / "panel0")
    left = {path.name for path in panels.iterdir()}
    assert left == {"panel0", ".running.2.tmp", *(f"panel{i}" for i in range(5, 12))}
