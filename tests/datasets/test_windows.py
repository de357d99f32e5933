"""A window is rows of one stock, all valid, and its label stays inside the part."""

import numpy as np
import pytest

from financial_model.datasets.windows import window_ends
from tests.datasets.builders import DAY, FIRST, make_bars, make_panel, with_values

ALL = (FIRST, FIRST + 1000 * DAY)


def by_definition(panel, first, last, length, ahead):
    """The rule, row by row, without any cleverness."""
    found = []
    for row in range(panel.rows):
        stock = panel.symbol_index(np.array([row]))[0]
        start, stop = panel.offsets[stock], panel.offsets[stock + 1]
        inside = row - length + 1 >= start and first <= panel.time[row] <= last
        if inside and panel.valid[row - length + 1:row + 1].all() and row + ahead < stop and panel.time[row + ahead] <= last:
            found.append(row)
    return np.array(found, np.int64)


@pytest.mark.parametrize("entry", ["close", "next_open"])
@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("length", [1, 7, 30])
def test_equals_the_definition(tmp_path, length, labelled, entry):
    panel = make_panel(tmp_path)
    holes = panel.valid.copy()
    holes[[20, 21, 95, 180]] = 0
    panel = with_values(panel, valid=holes)
    first, last = FIRST + 30 * DAY, FIRST + 70 * DAY
    ahead = (5 + (entry == "next_open")) if labelled else 0
    ends = window_ends(panel, first, last, length, 5, entry=entry, labelled=labelled)
    np.testing.assert_array_equal(ends, by_definition(panel, first, last, length, ahead))
    assert ends.dtype == np.int64 and len(ends) > 10


def test_no_window_crosses_stocks(tmp_path):
    panel = make_panel(tmp_path, warm_up=0)
    ends = window_ends(panel, *ALL, 20, 5)
    for rows in (ends - 19, ends + 5):
        np.testing.assert_array_equal(panel.symbol_index(rows), panel.symbol_index(ends))


def test_warm_up_rows_are_never_inputs(tmp_path):
    panel = make_panel(tmp_path, warm_up=9)
    ends = window_ends(panel, *ALL, 20, 5)
    assert min(ends - 19 - panel.offsets[panel.symbol_index(ends)]) == 9


def test_rows_before_the_part_may_be_inputs(tmp_path):
    panel = make_panel(tmp_path, warm_up=0)
    first = FIRST + 40 * DAY
    assert panel.time[window_ends(panel, first, ALL[1], 20, 5)].min() == first


def test_without_labels_the_last_bar_counts(tmp_path):
    panel = make_panel(tmp_path, make_bars((40,)), warm_up=0)
    assert window_ends(panel, *ALL, 20, 5, labelled=False)[-1] == 39
    assert window_ends(panel, *ALL, 20, 5)[-1] == 34


def test_a_stock_shorter_than_a_window_gives_none(tmp_path):
    panel = make_panel(tmp_path, make_bars((40, 15)), warm_up=0)
    assert window_ends(panel, *ALL, 16, 1, labelled=False).max() < 40
    assert len(window_ends(panel, *ALL, 41, 1)) == 0
