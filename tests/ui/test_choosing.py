"""Settings like those of a preset or of a run."""

from financial_model import config as settings
from financial_model.config import PRESETS
from financial_model.serving.runs import RunStore
from financial_model.ui.choosing import settings_choices, settings_chosen, settings_like
from tests.serving.builders import tiny
from tests.ui.builders import CHINESE, ENGLISH


def test_a_list_has_the_presets_then_the_runs_and_keeps_what_is_still_there(tmp_path):
    run = RunStore(tmp_path).create(tiny("base"))
    assert [value for _, value in settings_choices([run], ENGLISH)] == [*PRESETS, run.id]
    assert dict(settings_choices([], ENGLISH)) != dict(settings_choices([], CHINESE))
    kept = [settings_chosen([run], like) for like in (run.id, "standard", "deleted", None)]
    assert kept == [run.id, "standard", "quick", "quick"]


def test_the_settings_are_those_of_the_choice_under_the_name_asked_for(tmp_path):
    store = RunStore(tmp_path)
    run = store.create(tiny("base", hidden=24))
    assert settings_like(store, run.id, "sweep") == tiny("sweep", hidden=24)
    assert settings_like(store, None, "sweep") == settings.build({"name": "sweep"}, preset="quick")
    assert settings_like(store, "standard", "sweep") == settings.build({"name": "sweep"}, preset="standard")
