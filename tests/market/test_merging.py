"""New bars onto stored ones."""

import numpy as np
import pandas as pd
import pytest

from financial_model.market.adjustment import ExRights
from financial_model.market.merging import OVERLAP, differs, finished, merged
from tests.market.builders import bars


def test_an_overlap_that_agrees_is_joined_and_stored_rows_stay():
    whole = bars(40)
    old, new = whole.iloc[:30], whole.iloc[30 - OVERLAP :].reset_index(drop=True)
    assert not differs(old, new)
    pd.testing.assert_frame_equal(merged(old, new).drop(columns="factor", errors="ignore"), whole)
    assert merged(None, whole).equals(whole)


@pytest.mark.parametrize(
    "change",
    [
        lambda new: new.assign(close=new["close"] * 1.001, high=new["high"] * 1.01), lambda new: new.assign(volume=new["volume"] / 100),
        lambda new: new.drop(index=2), lambda new: new.iloc[OVERLAP:],
    ],
)  # fmt: skip
def test_a_restated_past_is_noticed(change):
    whole = bars(40)
    new = change(whole.iloc[30 - OVERLAP :].reset_index(drop=True))
    assert differs(whole.iloc[:30], new)


def test_the_factor_comes_from_events_over_the_whole_history():
    frame = bars(20)
    day = frame["date"][10].to_datetime64().astype("datetime64[D]")
    table = finished(frame.copy(), [ExRights(date=day, bonus=1.0)], {}, {})
    assert (table["factor"][:10] == 1).all() and np.allclose(table["factor"][10:], 2)


def test_shares_and_book_are_known_from_their_day_on():
    frame = bars(20)
    days = frame["date"].dt.strftime("%Y-%m-%d")
    facts = {"shares": [(days[5], 200.0, 100.0), ("2019-01-01", 100.0, 50.0)], "book": [("2019-12-31", days[8], 3.5)]}
    table = finished(frame.copy(), None, facts, {})
    assert table["total_shares"].tolist() == [100.0] * 5 + [200.0] * 15
    assert table["float_shares"][4] == 50 and table["book_per_share"].isna().sum() == 8 and table["book_per_share"][8] == 3.5


def test_facts_delivered_earlier_are_used_again():
    stored = {"shares": pd.DataFrame({"date": ["2019-01-01"], "total_shares": [7.0], "float_shares": [6.0]})}
    table = finished(bars(5), None, {"shares": None, "book": None}, stored)
    assert (table["total_shares"] == 7).all() and "book_per_share" not in table
