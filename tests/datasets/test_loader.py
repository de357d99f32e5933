"""Batches: right contents, right order, the same on every way to them."""

import numpy as np
import pytest
import torch

from financial_model import config as settings
from financial_model.datasets import batches, targets
from financial_model.datasets.loader import WindowLoader
from financial_model.datasets.windows import window_ends
from financial_model.errors import DataError
from financial_model.kernels import reference
from tests.datasets.builders import DAY, FIRST, make_bars, make_panel

CONFIG = settings.build({"context_length": 10, "normalisation": "zscore", "horizon": 3, "clip": 2.0})
FIELDS = ("x", "condition", "ranks", "y", "z", "label", "unit", "end", "date")


@pytest.fixture
def panel(tmp_path):
    torch.set_num_threads(1)
    return make_panel(tmp_path, make_bars((80, 50, 65)))


@pytest.fixture
def ends(panel):
    return window_ends(panel, FIRST, FIRST + 1000 * DAY, 10, 3)


def loader(panel, ends, config=CONFIG, table=None, **options):
    return WindowLoader(panel, ends, config, table, **{"batch_size": 16, "shuffle": True, "seed": 1, **options})


def copies(batches_):
    """Batches reuse their tensors; keep what was in them."""
    return [{name: getattr(batch, name).clone() for name in FIELDS} for batch in batches_]


def order(loader_):
    return torch.cat([batch.end.clone() for batch in loader_]).tolist()


def assert_same(left, right):
    assert len(left) == len(right)
    for one, two in zip(left, right, strict=True):
        for name in FIELDS:
            assert torch.equal(one[name].nan_to_num(7), two[name].nan_to_num(7)), name


class TestShares:
    @pytest.mark.parametrize("count, limit", [(2, 0), (3, 35), (4, 18)])  # 35 and 18: last batches of 3 and of 2 windows
    def test_the_shares_of_all_processes_are_the_batch(self, panel, ends, count, limit):
        whole = loader(panel, ends, limit=limit)
        shares = [loader(panel, ends, limit=limit, share=(rank, count)) for rank in range(count)]
        for number, (batch, *parts) in enumerate(zip(whole, *shares, strict=True)):
            own = [share.own(number) for share in shares]
            assert sum(own) == len(batch) and max(own) - min(own) <= 1
            assert torch.cat([part.end[:windows] for part, windows in zip(parts, own, strict=True)]).tolist() == batch.end.tolist()
            assert all(len(part) == max(1, windows) for part, windows in zip(parts, own, strict=True)), "nobody is without work"


class TestContents:
    def test_every_window_once_with_its_own_rows(self, panel, ends):
        seen = []
        for batch in loader(panel, ends):
            values = torch.from_numpy(panel.values.copy()).double()
            expected, _, _ = reference.gather_windows(values, batch.end, 10, "zscore", clip=2.0)
            torch.testing.assert_close(batch.x.double(), expected, rtol=0, atol=5e-6)
            seen += batch.end.tolist()
        assert sorted(seen) == ends.tolist() and seen != ends.tolist()

    def test_labels_units_and_facts_belong_to_the_row(self, panel, ends):
        for batch in loader(panel, ends):
            rows = batch.end.numpy()
            y = targets.label_returns(panel, rows, CONFIG.label)
            np.testing.assert_array_equal(batch.y, y)
            np.testing.assert_array_equal(batch.label, targets.label_classes(y, CONFIG.label))
            np.testing.assert_array_equal(batch.unit, targets.label_unit(panel, rows, CONFIG.label))
            np.testing.assert_array_equal(batch.condition, panel.conditions[rows])
            np.testing.assert_array_equal(batch.ranks, panel.ranks[rows])
            np.testing.assert_array_equal(batch.date, panel.time[rows])
            assert batch.condition.dtype == batch.label.dtype == batch.end.dtype == torch.int64

    def test_unlabelled_batches_say_so(self, panel):
        last = np.array([79, 129, 194])
        (batch,) = loader(panel, last, labelled=False)
        assert batch.y.isnan().all() and (batch.label == batches.UNKNOWN_LABEL).all() and not batch.unit.isnan().any()

    def test_unit_return_is_the_same_for_every_window(self, panel, ends):
        config = settings.build({"unit": "return"}, base=CONFIG)
        scale = np.array([0.1, 0.2, 0.3], np.float32)
        for batch in loader(panel, ends, config, label_scale=scale):
            assert (batch.unit == torch.from_numpy(scale)).all()
        with pytest.raises(ValueError, match="label_scale"):
            loader(panel, ends, config)

    @pytest.mark.parametrize("normalisation", ["robust", "standard", "minmax", "last_close"])
    def test_tables(self, panel, ends, normalisation):
        config = settings.build({"normalisation": normalisation, "clip": 0}, base=CONFIG)
        center, scale = np.array([1, 2, 3], np.float32), np.array([2, 1, 0], np.float32)
        (batch,) = loader(panel, ends[:1], config, (center, scale))
        rows = panel.values[ends[0] - 9:ends[0] + 1]
        middle = rows[-1] if normalisation == "last_close" else center
        np.testing.assert_allclose(batch.x[0], (rows - middle) * scale, rtol=1e-6)

    def test_a_fitted_normalisation_without_its_table_is_a_mistake(self, panel, ends):
        with pytest.raises(ValueError, match="table"):
            loader(panel, ends, settings.build({"normalisation": "robust"}, base=CONFIG))

    def test_no_window_is_an_error_with_a_way_out(self, panel):
        with pytest.raises(DataError, match="shorter context"):
            loader(panel, np.empty(0, np.int64))


class TestOrder:
    def test_depends_on_seed_and_epoch_alone(self, panel, ends):
        one, two = loader(panel, ends), loader(panel, ends)
        list(one)  # an earlier iteration changes nothing
        torch.manual_seed(99)
        np.random.seed(99)
        assert order(one) == order(two)
        two.set_epoch(1)
        assert order(one) != order(two)
        assert order(one) != order(loader(panel, ends, seed=2))
        two.set_epoch(0)
        assert order(one) == order(two)

    def test_without_shuffle_in_ascending_order(self, panel, ends):
        assert order(loader(panel, ends, shuffle=False)) == ends.tolist()

    @pytest.mark.parametrize("steps", [0, 1, 4, 8])
    def test_skip_equals_going_on(self, panel, ends, steps):
        whole = copies(loader(panel, ends))
        resumed = loader(panel, ends)
        resumed.skip(steps)
        assert_same(copies(resumed), whole[steps:])
        assert_same(copies(resumed), whole), "only the next iteration is shortened"

    def test_last_batch_is_smaller_or_left_out(self, panel, ends):
        rest = len(ends) % 16
        assert rest, "the case must leave a rest"
        kept, dropped = loader(panel, ends), loader(panel, ends, drop_last=True)
        assert [len(batch) for batch in kept] == [16] * (len(ends) // 16) + [rest] and len(kept) == len(ends) // 16 + 1
        assert [len(batch) for batch in dropped] == [16] * (len(ends) // 16) and len(dropped) == len(ends) // 16
        assert [len(batch) for batch in loader(panel, ends, drop_last=True, batch_size=1000)] == [len(ends)], "the only batch is kept"

    @pytest.mark.parametrize("shuffle", [True, False])
    def test_limit_draws_anew_each_epoch_without_repetition(self, panel, ends, shuffle):
        limited = loader(panel, ends, limit=40, shuffle=shuffle)
        assert limited.windows == 40 and len(limited) == 3
        first = order(limited)
        assert len(set(first)) == 40 and set(first) <= set(ends.tolist())
        limited.set_epoch(1)
        assert set(order(limited)) != set(first)
        assert (first == sorted(first)) is not shuffle
        assert sorted(order(loader(panel, ends, limit=10_000))) == ends.tolist(), "a limit beyond what there is means all"

    def test_skip_with_a_limit(self, panel, ends):
        whole = order(loader(panel, ends, limit=40))
        resumed = loader(panel, ends, limit=40)
        resumed.skip(2)
        assert order(resumed) == whole[32:]


class TestPlaces:
    def test_memory_is_one_batch_whatever_the_number_of_batches(self, panel, ends):
        """Buffers are reused: iterating allocates no new inputs."""
        assert len({batch.x.data_ptr() for batch in loader(panel, ends)}) == 1

    @pytest.mark.parametrize("unit", ["volatility", "return"])
    @pytest.mark.parametrize("entry", ["close", "next_open", "next_close"])
    def test_a_panel_on_the_device_gives_the_same_batches(self, panel, ends, entry, unit):
        """The way a GPU goes, on the CPU."""
        config = settings.build({"entry": entry, "unit": unit, "up": 0.01, "down": -0.01}, base=CONFIG)
        ends = window_ends(panel, FIRST, FIRST + 1000 * DAY, 10, 3, entry=entry)
        on_host = loader(panel, ends, config, label_scale=np.array([0.1, 0.2, 0.3], np.float32))
        expected = copies(on_host)
        spec = batches.recipe(panel, config, None, np.array([0.1, 0.2, 0.3], np.float32), True, np.empty(0, np.int64))
        give = batches.DeviceBatches(panel, spec, 16, torch.device("cpu"), on_host.ends).begin(on_host.order())
        got = copies(give(i, min(i + 16, len(ends))) for i in range(0, len(ends), 16))
        for one, two in zip(expected, got, strict=True):
            for name in FIELDS:
                torch.testing.assert_close(one[name], two[name], rtol=1e-6, atol=1e-6)


    @pytest.mark.parametrize("asked", [{"head": "multi"}, {"target": "future_volatility", "unit": "return"}])
    def test_and_they_ask_the_same_of_other_heads_and_labels(self, panel, asked):
        config = settings.build(asked, base=CONFIG)
        ends, scale = window_ends(panel, FIRST, FIRST + 1000 * DAY, 10, 3), np.array([0.1, 0.2, 0.3], np.float32)
        on_host = loader(panel, ends, config, label_scale=scale)
        expected = copies(on_host)
        spec = batches.recipe(panel, config, None, scale, True, ends)
        give = batches.DeviceBatches(panel, spec, 16, torch.device("cpu"), ends).begin(on_host.order())
        got = copies(give(i, min(i + 16, len(ends))) for i in range(0, len(ends), 16))
        for one, two in zip(expected, got, strict=True):
            assert one["z"].shape[1] == (5 if "head" in asked else 3) and one["z"].isfinite().all()
            for name in ("y", "z", "label", "unit"):
                torch.testing.assert_close(one[name], two[name], rtol=1e-6, atol=1e-6)


class TestByDate:
    @pytest.fixture
    def long(self, panel):
        return window_ends(panel, FIRST, FIRST + 1000 * DAY, 10, 3)

    def test_a_batch_holds_all_stocks_of_its_dates_with_their_own_contents(self, panel, long):
        plain = {int(end): x.clone() for batch in loader(panel, long) for end, x in zip(batch.end, batch.x, strict=True)}
        seen, dates = [], []
        for batch in loader(panel, long, by_date=True):
            assert all(torch.equal(plain[int(end)], x) for end, x in zip(batch.end, batch.x, strict=True))
            assert torch.equal(batch.date, torch.from_numpy(panel.time[batch.end]))
            dates.append(set(batch.date.tolist()))
            seen += batch.end.tolist()
        assert sorted(seen) == long.tolist()
        assert sum(map(len, dates)) == len(set().union(*dates))  # no date in two batches

    @pytest.mark.parametrize("epoch", [0, 3])
    def test_skipping_leaves_the_other_batches_as_they_are(self, panel, long, epoch):
        whole, resumed = (loader(panel, long, by_date=True, limit=40) for _ in range(2))
        for each in (whole, resumed):
            each.set_epoch(epoch)
        resumed.skip(2)
        assert_same(copies(whole)[2:], copies(resumed))

    def test_counts_of_batches_are_known_beforehand(self, panel, long):
        for options in ({}, {"by_date": True}, {"by_date": True, "shuffle": False}, {"limit": 30}):
            each = loader(panel, long, **options)
            sizes = [len(batch) for batch in each]
            assert [each.count(step, step + 1) for step in range(len(each))] == sizes
            assert each.count(0, 10**6) == sum(sizes) == each.windows and each.count(len(each), len(each) + 3) == 0


class TestRandomContext:
    CONFIG = settings.build({"context": "random", "context_low": 4}, base=CONFIG)

    @pytest.fixture(params=["host", "device"])
    def varied(self, request, panel, ends, monkeypatch):
        if request.param == "device":
            monkeypatch.setattr("financial_model.datasets.loader.fits", lambda *_: True)
        return lambda **options: loader(panel, ends, self.CONFIG, vary=True, **options)

    def test_a_batch_holds_the_newest_bars_normalised_by_themselves(self, varied, panel):
        seen = set()
        for batch in varied(batch_size=7):
            seen.add(batch.x.shape[1])
            expected, _, _ = reference.gather_windows(torch.from_numpy(panel.values.copy()).double(), batch.end, batch.x.shape[1], "zscore", clip=2.0)
            torch.testing.assert_close(batch.x.double(), expected, rtol=0, atol=5e-6)
            assert batch.x.is_contiguous()
        assert seen <= {4, 6, 7, 8, 10} and len(seen) >= 4

    def test_lengths_depend_on_seed_epoch_and_number_alone(self, varied):
        whole = [varied().length(step) for step in range(8)]
        again = varied()
        assert [again.length(step) for step in range(8)] == whole
        again.set_epoch(1)
        assert [again.length(step) for step in range(8)] != whole
        again.set_epoch(0)
        again.skip(3)
        assert [batch.x.shape[1] for batch in again] == [varied().length(step) for step in range(3, len(again))]

    def test_an_evaluation_sees_whole_windows(self, panel, ends):
        assert {batch.x.shape[1] for batch in loader(panel, ends, self.CONFIG, shuffle=False)} == {10}


def test_a_device_holds_a_panel_once_and_lets_go_of_it_with_its_last_reader(panel, ends, monkeypatch):
    monkeypatch.setattr("financial_model.datasets.loader.fits", lambda panel, device: True)
    place = torch.device("cpu")
    assert not batches.is_held(panel, place)
    training, validation = loader(panel, ends), loader(panel, ends[:20], shuffle=False)
    first, second = (one.source._held.arrays for one in (training, validation))
    assert all(first[name].data_ptr() == second[name].data_ptr() for name in batches.ON_DEVICE) and batches.is_held(panel, place)
    del training, validation, first, second
    assert not batches.is_held(panel, place)


def test_batches_of_dates_with_ever_other_numbers_of_stocks_have_no_usual_size(panel, ends):
    assert loader(panel, ends, by_date=True).usual_size() == 0 and loader(panel, ends).usual_size() == 16
