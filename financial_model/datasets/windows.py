"""Which windows exist: the rows on which one may end.

In: a panel and a range of time. Out: row numbers, ascending. A window is nothing but its last row; nothing is copied here.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from financial_model.datasets.panel import Panel
from financial_model.datasets.splits import label_bars


def window_ends(panel: Panel, first_time: int, last_time: int, context_length: int, horizon: int, *, entry: str = "close",
                labelled: bool = True) -> NDArray[np.int64]:
    """End rows e (int64, ascending) with ``first_time <= time[e] <= last_time`` whose ``context_length`` rows are valid and of one stock.

    Rows before ``first_time`` may serve as inputs. ``labelled``: the last bar of the label (``label_bars`` rows after e) exists and is not
    after ``last_time``, so that no label leaves the part.
    """
    ahead = label_bars(horizon, entry) if labelled else 0
    return _ends(panel.offsets, panel.time, panel.valid, first_time, last_time, context_length, ahead)


@numba.njit(cache=True, nogil=True)
def _ends(offsets, time, valid, first_time, last_time, context_length, ahead):
    found = np.empty(time.shape[0], np.int64)
    count = 0
    for stock in range(offsets.shape[0] - 1):
        run = 0
        stop = offsets[stock + 1]
        for row in range(offsets[stock], stop):
            run = run + 1 if valid[row] else 0
            if run < context_length or time[row] < first_time or time[row] > last_time:
                continue
            label_end = row + ahead
            if label_end < stop and time[label_end] <= last_time:
                found[count] = row
                count += 1
    return found[:count].copy()
