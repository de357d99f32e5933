"""Comparisons and sweeps: a folder each, listed newest first, found by id or name, with what came of it."""

import logging
from datetime import datetime

import pytest

from financial_model.errors import NotFoundError
from financial_model.serving import folders
from financial_model.serving.compare import COMPARISONS
from financial_model.serving.sweep import SWEEPS
from tests.serving.builders import workspace_in

ASKED = {"rank_by": "rank_ic", "models": ["gru"], "members": {}, "runs": [], "by": "loss", "total": 2, "prune": True, "space": ["hidden=8,16"],
         "config": {}}
each_kind = pytest.mark.parametrize("kind", [COMPARISONS, SWEEPS], ids=lambda kind: kind.folder)


class Clock:
    """Stands still until it is set."""

    def __init__(self):
        self.time = datetime(2024, 6, 28, 15, 0, 0)

    def now(self):
        return self.time


@pytest.fixture
def clock(monkeypatch):
    standing = Clock()
    monkeypatch.setattr(folders, "datetime", standing)
    return standing


@each_kind
def test_the_newest_comes_first_and_is_what_a_name_means(tmp_path, clock, kind):
    workspace = workspace_in(tmp_path)
    assert kind.listed(workspace) == []
    first, second = kind.create(workspace, "my_duel", ASKED), kind.create(workspace, "my_duel", ASKED)
    assert (first.id, second.id) == ("my_duel_20240628_150000", "my_duel_20240628_150000-2")
    clock.time = datetime(2024, 6, 29, 9, 30, 0)
    third, other = kind.create(workspace, "my_duel", ASKED), kind.create(workspace, "a", ASKED)
    assert kind.listed(workspace) == [third, other, second, first]
    assert kind.find(workspace, "my_duel") == third and kind.find(workspace, "a") == other and kind.find(workspace, first.id) == first


@each_kind
@pytest.mark.parametrize("name", ["nothing", "../duel_20240628_150000", "duel_20240628", ""])
def test_what_is_not_there_is_answered_with_what_is(tmp_path, clock, kind, name):
    workspace = workspace_in(tmp_path)
    made = kind.create(workspace, "duel", ASKED)
    with pytest.raises(NotFoundError) as caught:
        kind.find(workspace, name)
    assert caught.value.key == kind.unknown and made.id in str(caught.value) and made.id in caught.value.message("zh")


@each_kind
def test_a_damaged_one_is_named_and_the_others_stay(tmp_path, kind, caplog):
    workspace = workspace_in(tmp_path)
    sound, damaged = kind.create(workspace, "sound", ASKED), kind.create(workspace, "damaged", ASKED)
    (damaged.path / kind.asked).write_text("{}", "utf-8")
    with pytest.raises(NotFoundError) as caught:
        kind.find(workspace, damaged.id)
    assert caught.value.key == kind.unreadable and damaged.id in str(caught.value) and damaged.id in caught.value.message("zh")
    with caplog.at_level(logging.WARNING):
        assert kind.listed(workspace) == [sound]
    assert damaged.id in caplog.text


def test_a_change_keeps_what_another_one_has_changed_meanwhile(tmp_path):
    workspace = workspace_in(tmp_path)
    seen = COMPARISONS.create(workspace, "duel", ASKED)
    COMPARISONS.change(workspace, seen, lambda asked: asked["members"].update(gru="run1"))
    after = COMPARISONS.change(workspace, seen, lambda asked: asked["members"].update(mlp="run2"))
    assert after.members == {"gru": "run1", "mlp": "run2"} and after == COMPARISONS.find(workspace, seen.id)


def test_a_table_comes_back_as_plain_data_and_a_damaged_one_counts_as_none(tmp_path, caplog):
    assert folders.kept_table(tmp_path) is None and not caplog.text
    kept = folders.keep_table(tmp_path, {"value": float("nan"), "rows": (1, 2)})
    assert kept == folders.kept_table(tmp_path) == {"value": None, "rows": [1, 2]}
    (tmp_path / folders.TABLE).write_text("{", "utf-8")
    assert folders.kept_table(tmp_path) is None and folders.TABLE in caplog.text
