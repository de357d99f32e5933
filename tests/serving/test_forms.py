"""Saved forms: by name, by id, atomic, and no text from outside becomes a path."""

import pytest

from financial_model.errors import ConfigError, NotFoundError
from financial_model.serving import forms
from financial_model.serving.forms import FOLDER, FormStore


@pytest.fixture
def store(workspace):
    return FormStore(workspace)


def test_a_form_comes_back_as_it_was_saved(store, workspace):
    saved = store.save("  日常  训练 ", {"epochs": 3, "groups": ["price"], "symbols": ""})
    assert saved.name == "日常 训练" and FormStore(workspace).get(saved.id) == saved


def test_the_same_name_is_written_over_and_another_one_stands_beside(store):
    first = store.save("a", {"epochs": 1})
    store.save("b", {"epochs": 2})
    assert store.save("a", {"epochs": 9}).id == first.id
    assert [(form.name, form.values["epochs"]) for form in store.list()] == [("a", 9), ("b", 2)]


def test_a_deleted_form_is_gone(store):
    before = store.version
    saved = store.save("a", {})
    assert store.version != before
    store.delete(saved.id)
    assert store.list() == [] and store.version == before
    with pytest.raises(NotFoundError):
        store.delete(saved.id)


@pytest.mark.parametrize("name", ["", "   ", "x" * 61, "a\x00b"])
def test_a_name_nobody_can_read_is_refused(store, name):
    with pytest.raises(ConfigError):
        store.save(name, {})


@pytest.mark.parametrize("name", ["../../etc/passwd", "C:\\x", "con", ".hidden", "a/b"])
def test_a_name_is_no_path(store, workspace, name):
    saved = store.save(name, {})
    assert (workspace.checkpoint_dir / FOLDER / f"{saved.id}.json").is_file() and saved.id.isalnum()


@pytest.mark.parametrize("form_id", ["../config", "/etc/passwd", "", "nothing"])
def test_an_id_that_was_not_given_here_is_refused(store, form_id):
    store.save("a", {})
    with pytest.raises(NotFoundError):
        store.get(form_id)


def test_a_damaged_file_does_not_take_the_others_along(store, workspace):
    saved = store.save("a", {})
    (workspace.checkpoint_dir / FOLDER / "broken.json").write_text("{")
    assert store.list() == [saved]


def test_there_is_a_limit(store, monkeypatch):
    monkeypatch.setattr(forms, "LIMIT", 3)
    for number in range(3):
        store.save(f"form {number}", {})
    with pytest.raises(ConfigError):
        store.save("one more", {})
    assert store.save("form 0", {"epochs": 1}).values == {"epochs": 1}, "writing over is always possible"
