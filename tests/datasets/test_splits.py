"""Cuts by date: no label of one part reaches a date of the next, whatever the entry, the horizon or the gaps of a stock."""

import numpy as np
import pytest

from financial_model.config import SplitConfig
from financial_model.datasets.splits import date_split, iso, seconds, walk_forward
from financial_model.datasets.windows import window_ends
from financial_model.errors import DataError
from tests.datasets.builders import DAY, FIRST, make_bars, make_panel

SESSIONS = FIRST + DAY * np.arange(200, dtype=np.int64)
CONFIG = SplitConfig(train=0.6, validation=0.2)


def test_ratios_count_sessions_not_rows():
    many_early_rows = np.concatenate([SESSIONS, np.repeat(SESSIONS[:50], 30)])
    assert date_split(many_early_rows, CONFIG, 5) == date_split(SESSIONS, CONFIG, 5)
    split = date_split(SESSIONS, CONFIG, 5)
    assert split.sessions == (120, 40, 40)
    assert split.train == (SESSIONS[0], SESSIONS[119]) and split.validation[0] == SESSIONS[120] and split.test[1] == SESSIONS[-1]


def test_parts_follow_each_other_and_share_no_session():
    split = date_split(SESSIONS, CONFIG, 5)
    assert split.train[1] < split.validation[0] <= split.validation[1] < split.test[0]


@pytest.mark.parametrize(("entry", "bars"), [("close", 5), ("next_open", 6), ("next_close", 6)])
def test_purge_is_the_label_and_one_more_for_a_later_entry(entry, bars):
    assert date_split(SESSIONS, CONFIG, 5, entry).purge == bars


@pytest.mark.parametrize("entry", ["close", "next_open", "next_close"])
@pytest.mark.parametrize("horizon", [1, 5, 10])
def test_the_last_label_bar_of_a_part_is_its_last_session_and_before_the_next_part(tmp_path, entry, horizon):
    panel = make_panel(tmp_path, make_bars((200, 150)))
    split = date_split(panel.time, CONFIG, horizon, entry)
    for part, following in ((split.train, split.validation), (split.validation, split.test)):
        ends = window_ends(panel, *part, 10, horizon, entry=entry)
        last_label = panel.time[ends + split.purge]
        assert last_label.max() == part[1] < following[0]
        assert panel.time[ends].max() == part[1] - split.purge * DAY, "exactly purge sessions are given up, not more"


def test_a_stock_with_gaps_cannot_smuggle_a_label_into_the_next_part(tmp_path):
    bars = make_bars((200, 200))
    bars.time[200 + 110:] += 30 * DAY  # suspended for thirty days shortly before the boundary
    panel = make_panel(tmp_path, bars)
    split = date_split(panel.time, CONFIG, 5)
    ends = window_ends(panel, *split.train, 10, 5)
    assert panel.time[ends + 5].max() <= split.train[1]
    assert panel.time[ends[ends >= 200]].max() < panel.time[200 + 109], "windows right before the suspension have no label inside the part"


def test_embargo_leaves_sessions_out_after_each_boundary():
    plain, later = date_split(SESSIONS, CONFIG, 5), date_split(SESSIONS, SplitConfig(train=0.6, validation=0.2, embargo=7), 5)
    assert later.train == plain.train
    assert later.validation == (plain.validation[0] + 7 * DAY, plain.validation[1])
    assert later.test == (plain.test[0] + 7 * DAY, plain.test[1])


def test_explicit_dates_are_the_last_of_their_part():
    config = SplitConfig(train_end="2020-03-31", validation_end="2020-05-15")
    split = date_split(SESSIONS, config, 5)
    assert [iso(time) for time in (split.train[1], split.validation[0], split.validation[1], split.test[0])] == [
        "2020-03-31", "2020-04-01", "2020-05-15", "2020-05-16"]


def test_explicit_dates_include_every_bar_of_that_day():
    minutes = np.concatenate([SESSIONS + 36_000, SESSIONS + 54_000])
    split = date_split(minutes, SplitConfig(train_end="2020-03-31", validation_end="2020-05-15"), 5)
    assert iso(split.train[1]) == "2020-03-31 15:00"


@pytest.mark.parametrize(("config", "part"), [
    (SplitConfig(train=0.96 - 0.02, validation=0.02), "validation"),
    (SplitConfig(train_end="2019-01-01", validation_end="2020-05-01"), "train"),
    (SplitConfig(train_end="2020-05-01", validation_end="2030-05-01"), "test"),
])
def test_a_part_without_room_for_a_label_is_refused_in_words(config, part):
    with pytest.raises(DataError) as caught:
        date_split(SESSIONS, config, 5)
    assert caught.value.key == "split.too_short" and str(caught.value.fields["part"]) == part
    assert "at least 6" in str(caught.value)
    assert part not in caught.value.message("zh"), "the part is called by its Chinese name"


def test_a_date_that_is_none_is_refused():
    with pytest.raises(DataError, match="not a date"):
        date_split(SESSIONS, SplitConfig(train_end="soon", validation_end="later"), 5)
    assert seconds("2020-01-01") == FIRST


def test_describe_is_plain_and_dated():
    described = date_split(SESSIONS, CONFIG, 5).describe()
    assert described["train"] == {"first": "2020-01-01", "last": "2020-04-29", "sessions": 120} and described["purge"] == 5


def test_a_first_training_date_leaves_earlier_sessions_out():
    split = date_split(SESSIONS, SplitConfig(train_start="2020-02-01", train_end="2020-03-31", validation_end="2020-05-15"), 5)
    assert (iso(split.train[0]), iso(split.train[1])) == ("2020-02-01", "2020-03-31")
    assert date_split(SESSIONS, SplitConfig(train_start="2020-02-10", train=0.6, validation=0.2), 5).sessions == (96, 32, 32)


class TestWalkForward:
    def splits(self, **options):
        return walk_forward(SESSIONS, SplitConfig(**{"train": 0.4, "validation": 0.1, "walk_forward": "expanding", "folds": 5, **options}), 5)

    def test_the_pieces_are_the_test_part_of_the_plain_split(self):
        splits, plain = self.splits(), date_split(SESSIONS, SplitConfig(train=0.4, validation=0.1), 5)
        assert all(later.test[0] == earlier.test[1] + DAY for earlier, later in zip(splits, splits[1:], strict=False))
        assert (splits[0].test[0], splits[-1].test[1]) == plain.test and splits[0].train == plain.train and splits[0].validation == plain.validation
        assert [split.sessions[2] for split in splits] == [20] * 5

    def test_pieces_that_do_not_divide_evenly_differ_by_one_session(self):
        counts = [split.sessions[2] for split in self.splits(folds=7)]
        assert sum(counts) == 100 and max(counts) - min(counts) == 1

    def test_expanding_keeps_the_first_session_and_rolling_the_length(self):
        assert [split.train[0] for split in self.splits()] == [SESSIONS[0]] * 5
        rolling = self.splits(walk_forward="rolling")
        assert [split.sessions[0] for split in rolling] == [80] * 5
        assert [split.train[0] for split in rolling] == [SESSIONS[i * 20] for i in range(5)]
        assert all(split.sessions[1] == 20 for split in (*rolling, *self.splits()))

    def test_every_piece_comes_after_its_own_training_and_validation_with_the_embargo_between(self):
        for split in self.splits(embargo=3):
            assert split.train[1] + 4 * DAY == split.validation[0] and split.validation[1] + 4 * DAY == split.test[0]

    def test_explicit_dates_are_those_of_the_first_fold(self):
        splits = self.splits(train_end="2020-03-31", validation_end="2020-05-15", folds=2)
        assert iso(splits[0].train[1]) == "2020-03-31" and iso(splits[0].test[0]) == "2020-05-16" and splits[-1].test[1] == SESSIONS[-1]

    @pytest.mark.parametrize("kind", ["expanding", "rolling"])
    def test_a_fold_is_an_ordinary_split_at_explicit_dates(self, kind):
        minutes = np.concatenate([SESSIONS + 36_000, SESSIONS + 54_000])
        for times in (SESSIONS, minutes):
            for split in walk_forward(times, SplitConfig(train=0.4, validation=0.1, walk_forward=kind, folds=4), 5):
                dates = SplitConfig(train_start=iso(split.train[0]), train_end=iso(split.train[1]), validation_end=iso(split.validation[1]))
                same = date_split(times, dates, 5)
                assert (same.train, same.validation, same.test[0]) == (split.train, split.validation, split.test[0])

    def test_too_many_folds_are_refused(self):
        with pytest.raises(DataError, match="17 walk-forward folds"):
            self.splits(folds=17)
