"""The pool's filters choose from one ranking, and what they leave is what the table and the CSV hold."""

import numpy as np
import pandas as pd
import pytest

from financial_model.errors import ConfigError, Phrase
from financial_model.ui import pool, watching
from tests.ui.builders import CHINESE, ENGLISH

ALL = {"top": 0, "gain": None, "industry": "all", "styles": (), "tradable": False}


@pytest.fixture
def ranking():
    count = 6
    table = pd.DataFrame(
        {
            "rank": range(1, count + 1),
            "symbol": [f"60000{i}.SH" for i in range(count)],
            "name": [f"股{i}" for i in range(count)],
            "industry": ["finance", "energy"] * 3,
            "size": ["small", "large", "small", "mid", "large", "small"],
            "value": ["unknown"] * count,
            "volatility_class": ["low"] * count,
            "momentum": ["positive", "positive", "negative", "positive", "negative", "negative"],
            "regime": ["bull"] * count,
            "price": [10.0] * count,
            "past_return": [np.nan] + [0.01] * 5,
            "expected_return": np.log1p([0.05, 0.04, 0.03, 0.02, 0.01, -0.01]),
            "p_up": [0.5] * count,
            "low_80": [-0.05] * count,
            "high_80": [0.05] * count,
            "volatility": [0.02] * count,
            "tradable": [True, False, True, True, True, True],
            "suspended": [False] * count,
            "limit_up": [False, True, False, False, False, False],
            "limit_down": [False] * count,
            "unusual": [False] * count,
            "impossible": [False] * count,
            "amount": [1.2e8, np.nan, 56_000.0, 1.0, 2.0, 3.0],
        }
    )
    table.attrs.update(as_of="2024-06-28", days=3, considered=count, notes=[], age=None)
    return table


def ranks(table):
    return list(table["rank"])


def test_without_filters_everything_stays_in_its_order(ranking):
    assert ranks(pool.filtered(ranking, **ALL)) == [1, 2, 3, 4, 5, 6]
    assert ranks(pool.filtered(ranking, **{**ALL, "top": 2})) == [1, 2]


def test_each_filter_takes_what_does_not_pass_and_the_rank_stays_that_of_the_pool(ranking):
    assert ranks(pool.filtered(ranking, **{**ALL, "gain": 0.02})) == [1, 2, 3, 4]
    assert ranks(pool.filtered(ranking, **{**ALL, "industry": "energy", "top": 1})) == [2]
    assert ranks(pool.filtered(ranking, **{**ALL, "tradable": True})) == [1, 3, 4, 5, 6]


def test_labels_of_one_style_are_alternatives_and_two_styles_must_both_fit(ranking):
    assert ranks(pool.filtered(ranking, **{**ALL, "styles": ["size:small", "size:mid"]})) == [1, 3, 4, 6]
    assert ranks(pool.filtered(ranking, **{**ALL, "styles": ["size:small", "momentum:negative"]})) == [3, 6]


def test_rows_speak_the_readers_language_and_a_dash_stands_for_an_unknown_past(ranking):
    shown = pool.rows(CHINESE, pool.filtered(ranking, **ALL))
    past, industry = map(pool.COLUMNS.index, ("past", "industry"))
    assert shown["headers"][past] == "近 3 日" and shown["data"][0][industry] == "金融"
    assert shown["data"][0][past] is None and shown["metadata"]["display_value"][0][past] == "–"
    assert shown["data"][1][-1] == "涨停"


@pytest.mark.parametrize(("text", "share"), [("2", 0.02), (" 1.5 % ", 0.015), ("3％", 0.03), ("", None), (None, None)])
def test_a_gain_is_written_as_people_write_percent(text, share):
    assert pool.least_gain(text) == (share if share is None else pytest.approx(share))


@pytest.mark.parametrize("text", ["much", "nan", "1e999"])
def test_a_gain_that_is_no_number_is_refused(text):
    with pytest.raises(ConfigError):
        pool.least_gain(text)


def test_why_the_table_is_empty_is_said(ranking):
    wanted = {name: value for name, value in ALL.items() if name != "gain"}
    for gain, top, said in (("much", 0, "much"), ("900", 0, str(len(ranking))), ("", -3, "-3")):
        table, note = pool.passing(CHINESE, ranking, gain=gain, **{**wanted, "top": top})
        assert table.empty and table.attrs == ranking.attrs and said in note
    table, note = pool.passing(CHINESE, ranking, gain="", **wanted)
    assert len(table) == len(ranking) and note == ""


def test_what_a_stock_turns_over_is_written_in_the_readers_units(ranking):
    place = pool.COLUMNS.index("amount")
    for view, texts in ((CHINESE, ["1.2 亿", "–", "5.6 万"]), (ENGLISH, ["120.0 m", "–", "56.0 k"])):
        table = pool.rows(view, ranking)
        assert [row[place] for row in table["metadata"]["display_value"]][:3] == texts
        assert [row[place] for row in table["data"]][:3] == [pytest.approx(1.2e8), None, pytest.approx(56_000)], "sorted by size, not by spelling"


def test_a_watch_says_what_came_last_and_what_is_next_and_why_it_ended():
    job = {"state": "running", "until": "2024-06-11T15:30+08:00", "message_key": "watch.updated",
           "message_fields": {"session": "2024-06-07", "stocks": 9}}
    going = watching.line(CHINESE, job)
    assert "2024-06-11 15:30（UTC+08:00）" in going and "已更新 9 只股票" in going
    reason = Phrase("tdx.unreachable", host="<b>", reason="x")
    ended = watching.line(CHINESE, {**job, "state": "failed", "message_key": "watch.not_ranked", "message_fields": {"reason": reason}})
    assert "已停止自动排名" in ended and "<b>" not in ended
    assert watching.line(CHINESE, {**job, "state": "stopped"}) == "", "who stopped it knows"
