"""Forms are made from the configuration: nothing is listed twice, nothing is missing, problems are said before the start."""

import gradio as gr
import pytest

from financial_model import config
from financial_model.errors import ConfigError
from financial_model.ui import forms
from financial_model.ui.saving import updates
from financial_model.ui.starting import resolve_symbols
from financial_model.ui.tabs import basic, conditional
from financial_model.ui.text import Words
from tests.ui.builders import CHINESE, ENGLISH


@pytest.fixture
def form():
    with gr.Blocks():
        yield forms.Form(Words("en"), essentials=(("name", "backbone"),), fixed={"condition": "none", "industry": "all"}, values={"backbone": "gru"})


def test_every_setting_is_on_the_form_or_fixed(form):
    assert {*form.names, *form.fixed} == {spec.name for spec in config.fields()}
    assert len(form.names) == len(set(form.names))


def test_a_form_left_alone_is_its_preset(form):
    given = [component.value for component in form.inputs]
    assert form.config(given) == config.build({"backbone": "gru", "condition": "none", "industry": "all"}, preset="quick")


def test_ranges_and_steps_come_from_the_configuration(form):
    epochs, spec = form.controls["epochs"], config.spec("epochs")
    assert (epochs.step, epochs.precision) == (spec.step, 0) and f"{spec.low} to {spec.high}" in epochs.info
    assert epochs.preprocess(10**7) == 10**7, "a number beyond its range is refused with all other settings, by name, not by Gradio"
    assert [value for _, value in form.controls["groups"].choices] == list(config.FEATURE_GROUPS) and form.controls["groups"].multiselect


def test_a_preset_sets_what_presets_set_and_nothing_else(form):
    updates = dict(zip(form.names, form.preset_updates("thorough"), strict=True))
    assert updates["epochs"]["value"] == 40 and updates["hidden"]["value"] == 0
    assert "value" not in updates["backbone"] and "value" not in updates["learning_rate"]


def test_an_emptied_number_is_its_default(form):
    given = [None if name == "epochs" else component.value for name, component in zip(form.names, form.inputs, strict=True)]
    assert form.config(given).training.epochs == config.spec("epochs").default


def test_the_cost_matrix_is_a_small_table_that_begins_with_the_preset(form):
    """What stands in its cells becomes the setting, and a stored matrix its cells; a cell without a number is a problem of this field."""
    spec = config.spec("cost_matrix")
    shown = form.controls["cost_matrix"].value
    assert shown["headers"] == ["", "↑", "→", "↓"] and shown["data"] == [["↑", 0.0, 0.5, 1.0], ["→", 0.5, 0.0, 0.5], ["↓", 2.0, 0.5, 0.0]]

    def with_cell(value):
        table = form.shown("cost_matrix", spec.default)
        table[0][2] = value
        return [table if name == "cost_matrix" else component.value for name, component in zip(form.names, form.inputs, strict=True)]

    edited = form.config(with_cell(7)).training.cost_matrix
    assert edited == (0.0, 7.0, 1.0, *spec.default[3:])
    (update,) = [part for name, part in zip(form.names, updates(form, {"cost_matrix": list(edited)}), strict=True) if name == "cost_matrix"]
    assert update["value"][0] == ["↑", 0.0, 7.0, 1.0]
    for empty in ("", "much"):
        with pytest.raises(ConfigError) as caught:
            form.config(with_cell(empty))
        assert caught.value.fields["name"] == "cost_matrix"


def test_problems_are_said_in_the_visitors_language_errors_first():
    found = config.problems(config.build({"backbone": "transformer", "hidden": 100, "heads": 7, "symbols": "600519", "condition": "film"}))
    shown = forms.problems_box(found, CHINESE)
    assert "注意力头" in shown and shown.index("k-note bad") < shown.index("k-note warn")
    assert forms.problems_box([], ENGLISH) == ""


def test_the_command_names_what_differs_from_the_defaults():
    assert forms.command(config.build()) == "python -m financial_model train"
    line = forms.command(config.build({"backbone": "gru", "groups": ("price", "return"), "causal": True, "name": "两个 词"}))
    assert "--model gru" in line and "--groups price,return" in line and "--causal" in line and "--name '两个 词'" in line


def test_a_command_rebuilds_the_same_configuration():
    wanted = config.build({"backbone": "transformer", "heads": 4, "epochs": 7, "down": -0.05, "skip": False})
    flags = {spec.flag: spec.name for spec in config.fields()}
    words, values = forms.command(wanted).split()[4:], {}
    while words:
        flag = words.pop(0).removeprefix("--")
        if flag in flags and config.spec(flags[flag]).kind is not bool:
            values[flags[flag]] = words.pop(0)
        else:
            values[flags[flag.removeprefix("no-")]] = not flag.startswith("no-")
    assert config.build(values) == wanted


def test_symbols_may_be_codes_names_or_pinyin_in_any_writing():
    names = {"600519.SH": "贵州茅台", "000001.SZ": "平安银行", "AAPL": ""}
    assert resolve_symbols("sh600519, 平安银行，gzmt\naapl", names) == ("600519.SH", "000001.SZ", "AAPL")
    assert resolve_symbols("600519 aapl、平安银行", names) == ("600519.SH", "AAPL", "000001.SZ")
    assert resolve_symbols("ping an", {"X": "Ping An"}) == ("X",)
    with pytest.raises(ConfigError) as caught:
        resolve_symbols("600519, 999", names)
    assert caught.value.key == "ui.symbols.unknown" and caught.value.fields["text"] == "999"


def test_help_names_the_range_and_the_choices_as_the_page_writes_them():
    assert forms.help_text(config.spec("horizon"), "en").endswith("Range 1 to 30.")
    assert "范围 1 至 30" in forms.help_text(config.spec("horizon"), "zh")
    assert forms.help_text(config.spec("distill_weight"), "zh").startswith("知识蒸馏：")
    said = forms.help_text(config.spec("condition"), "zh")
    assert not any(name in said for name in ("none", "concat 为", "film 为"))


@pytest.mark.parametrize(("name", "value"), [("horizon", 999), ("quantile_levels", "a,b")])
def test_a_value_that_is_no_setting_is_a_problem_of_its_field(name, value):
    with pytest.raises(ConfigError) as caught:
        config.build({name: value})
    wrong = forms.misplaced(caught.value, CHINESE)
    assert wrong.field == name and CHINESE.word(f"form.{name}.label") in forms.problems_box([wrong], CHINESE)
    assert "tuple" not in forms.problems_box([wrong], CHINESE)
    assert forms.misplaced(ConfigError("ui.train.no_data"), CHINESE) is None


def test_a_run_belongs_to_exactly_one_training_tab():
    class Run:
        def __init__(self, condition):
            self.config = {"model": {"condition": condition}}

    for condition in config.CONDITION_MODES:
        assert basic.belongs(Run(condition)) != conditional.belongs(Run(condition))


def test_a_saved_form_comes_back_into_its_controls_and_what_no_longer_fits_is_left_alone():
    with gr.Blocks():
        form = forms.Form(Words("en"), name="basic", essentials=(("name", "backbone"),), fixed={})
    found = dict(zip(form.names, updates(form, {"epochs": 7, "groups": ["price"], "symbols": ["600519.SH"], "backbone": "gone"}), strict=True))
    assert found["epochs"]["value"] == 7 and found["groups"]["value"] == ["price"] and found["symbols"]["value"] == "600519.SH"
    assert "value" not in found["backbone"] and "value" not in found["dropout"]
