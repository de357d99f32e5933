"""A ranking that keeps itself current: asks after the close, once, and never in a tight loop."""

import threading
from datetime import datetime

import numpy as np
import pytest

from financial_model.errors import ConfigError, SourceError
from financial_model.market.store import Store
from financial_model.serving import watch as module
from financial_model.serving.watch import last_closed, watch
from tests.serving.builders import bars, trading_days, workspace_in


@pytest.mark.parametrize(("name", "now", "session"), [
    ("XSHG", "2024-06-12T07:29+00:00", "2024-06-11"),   # 15:29 in Shanghai: closed, not yet settled
    ("XSHG", "2024-06-12T07:31+00:00", "2024-06-12"),
    ("XSHG", "2024-06-10T12:00+00:00", "2024-06-07"),   # Dragon Boat holiday, a Monday
    ("XNYS", "2024-06-12T20:29+00:00", "2024-06-11"),
    ("XNYS", "2024-06-13T01:00+00:00", "2024-06-12"),   # still the evening of the 12th in New York
    ("XNYS", "2024-06-15T12:00+00:00", "2024-06-14"),
])
def test_a_session_counts_half_an_hour_after_its_close(name, now, session):
    assert last_closed(name, datetime.fromisoformat(now)) == np.datetime64(session)


class Rounds(threading.Event):
    """Waits no time, and is set after so many looks."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.left = count

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None and timeout >= 60
        self.left -= 1
        return self.left < 0


@pytest.fixture
def workspace(tmp_path):
    workspace = workspace_in(tmp_path)
    days = trading_days(30)
    Store(workspace.data_dir).write_bars("600519.SH", bars(1, days), source="tdx")
    return workspace


def looked(workspace, monkeypatch, answers, rounds, now="2030-01-02T00:00+00:00"):
    """(times the ranking was made, what was told, times the source was asked)"""
    made, told, asked = [], [], []

    def download(*_, **__):
        asked.append(1)
        answer = answers[min(len(asked), len(answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return {"stored": answer}

    monkeypatch.setattr(module, "download", download)
    watch(workspace, 3600, lambda: made.append(1), stop=Rounds(rounds), tell=lambda key, **_: told.append(key),
          clock=lambda: datetime.fromisoformat(now))
    return len(made), told, len(asked)


def test_new_bars_bring_a_new_ranking_and_a_failure_another_try(workspace, monkeypatch):
    answers = [SourceError("tdx.unreachable", host="127.0.0.1:7709", reason="refused"), [], ["600519.SH"]]
    assert looked(workspace, monkeypatch, answers, 3) == (2, ["watch.failed", "watch.nothing_new", "watch.updated"], 3)


def test_nothing_is_asked_while_no_session_has_closed_since(workspace, monkeypatch):
    last = str(Store(workspace.data_dir).symbols()["last"].iloc[0])[:10]
    assert looked(workspace, monkeypatch, [[]], 4, now=f"{last}T23:00+00:00") == (1, [], 0)


def test_a_minute_is_the_shortest_time_and_files_do_not_grow(workspace, tmp_path):
    with pytest.raises(ConfigError, match="too often"):
        watch(workspace, 5, list, stop=threading.Event(), tell=print)
    other = workspace_in(tmp_path / "other")
    Store(other.data_dir).write_bars("600519.SH", bars(1, trading_days(30)), source="files")
    with pytest.raises(ConfigError, match="cannot be asked"):
        watch(other, 3600, list, stop=threading.Event(), tell=print)


