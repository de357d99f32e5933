"""Scores come when the truth has come, from the bars themselves; late and first publications are kept apart."""

from datetime import UTC, datetime

import numpy as np
import pytest

from financial_model.market.store import Store
from financial_model.serving.journal import Journal
from financial_model.serving.journal_publish import publish
from financial_model.serving.journal_score import journal_list, score
from financial_model.serving.predictor import Predictor
from tests.serving.builders import SYMBOLS, trading_days

EVENING = datetime(2024, 6, 28, 12, 0, tzinfo=UTC)


def extend(workspace, count, change=0.01):
    """``count`` more sessions after 2024-06-28; each stock moves by its own step a day."""
    store, days = Store(workspace.data_dir), trading_days(20, "2024-07-12")
    days = days[days > np.datetime64("2024-06-28")][:count]
    for number, symbol in enumerate(SYMBOLS):
        frame = store.read_bars(symbol)
        for day in days:
            close = frame["close"].iloc[-1] * (1 + change * (number - 3.5) / 3.5)
            frame.loc[len(frame)] = {**frame.iloc[-1].to_dict(), "date": day, "open": close, "high": close * 1.001, "low": close * 0.999,
                                     "close": close, "volume": 2_000_000.0 + number, "amount": np.nan}
        store.write_bars(symbol, frame, source="files")
    return store


@pytest.fixture
def published(copied):
    publish(copied, "finished", predictor=Predictor(copied), now=EVENING)
    return copied


def test_a_forecast_waits_until_its_last_day(published):
    assert score(published)["entries"][0]["state"] == "waiting"
    extend(published, 2)
    found = score(published)
    assert found["entries"][0]["state"] == "waiting" and found["groups"][0]["track"] is None and found["groups"][0]["waiting"] == 1


def test_a_score_by_hand(published):
    store = extend(published, 9)
    found = score(published)
    entry, figures = found["entries"][0], Journal(published).figures(Journal(published).entries()[0])
    assert entry["state"] == "scored" and entry["known"] == 8
    actual = []
    for symbol in figures["symbols"]:
        table = store.read_bars(symbol)
        at = int(np.flatnonzero(table["date"] == "2024-06-28")[0])
        actual.append(np.log(table["close"][at + 3] / table["close"][at]))
    predicted, actual = np.array(figures["expected"]), np.array(actual)
    assert entry["direction"] == np.mean((predicted > 0) == (actual > 0))
    assert entry["mae_percent"] == pytest.approx(100 * np.abs(np.expm1(predicted) - np.expm1(actual)).mean())
    assert entry["coverage_80"] == np.mean((actual >= figures["low_80"]) & (actual <= figures["high_80"]))
    (group,) = found["groups"]
    assert group["track"]["mae_percent"] == pytest.approx(entry["mae_percent"]) and not group["late"]
    assert group["track"]["baselines"]["zero"]["mae_percent"] == pytest.approx(100 * np.abs(np.expm1(actual)).mean())
    assert group["track"]["rank_ic_interval"] is None and group["track"]["notes"][0]["key"] == "journal.few_dates"


def test_a_paper_portfolio_follows_what_was_published(published):
    extend(published, 6)
    group = score(published)["groups"][0]
    best = Predictor(published).rank("finished", 1, "2024-06-28")["symbol"].iloc[0]
    trades = group["paper"]["trades"]
    assert [(trade["date"], trade["symbol"], trade["side"]) for trade in trades] == [("2024-07-01", best, "buy")]
    assert len(group["paper"]["series"]["net"]) == 6 and "equal_weight" in group["paper"]


def test_late_forecasts_are_scored_apart(published):
    publish(published, "finished", as_of="2024-06-20", now=EVENING)
    extend(published, 5)
    found = score(published)
    assert [(group["late"], group["published"]) for group in found["groups"]] == [(False, 1), (True, 1)]


def test_the_first_publication_counts(published):
    publish(published, "finished", days=2, now=EVENING)  # another horizon is another forecast
    store = extend(published, 4)
    publish(published, "finished", as_of="2024-06-28", now=EVENING)  # the same date on newer data: a second try
    states = {entry["number"]: entry["state"] for entry in score(published)["entries"]}
    assert states == {1: "scored", 2: "scored", 3: "repeated"} and store.has(SYMBOLS[0])


def test_bars_that_were_changed_since_are_not_compared(published):
    store = extend(published, 5)
    frame = store.read_bars(SYMBOLS[0])
    for column in ("open", "high", "low", "close"):
        frame[column] *= 2
    store.write_bars(SYMBOLS[0], frame, source="files")
    assert score(published)["entries"][0]["known"] == 7


def test_a_stock_of_its_own_and_a_journal_without_data(published, tmp_path):
    publish(published, "finished", symbol="600519", now=EVENING)
    extend(published, 5)
    groups = score(published)["groups"]
    assert [(group["kind"], group["paper"] is None) for group in groups] == [("pool", False), ("stock", True)]
    assert len(journal_list(published)["entries"]) == 2 and journal_list(published, "other")["entries"] == []
    from financial_model.paths import Workspace
    moved = Workspace(data_dir=tmp_path / "elsewhere", checkpoint_dir=published.checkpoint_dir)
    assert {entry["state"] for entry in score(moved)["entries"]} == {"waiting"}
