"""Words of the page: every choice has one in both languages, components follow the language, figures read well."""

import ast
import re
from pathlib import Path

import gradio as gr
import pytest

from financial_model import config
from financial_model.config import BASELINES, CONDITIONS, PRESETS
from financial_model.serving.runs import STATES
from financial_model.text import catalogue, has, translate
from financial_model.ui import text
from financial_model.ui.text import View, Words, preferred_language, view_of

FOLDER = Path(text.__file__).parent


# ---------------------------------------------------------------- which language, which colours
@pytest.mark.parametrize(
    ("stored", "accept", "forced", "expected"),
    [
        ("", "zh-CN,zh;q=0.9,en;q=0.8", None, "zh"),
        ("", "en-US,en;q=0.9", None, "en"),
        ("", "zh", None, "zh"),
        ("", "fr-FR,zh;q=0.5", None, "zh"),
        ("", "fr-FR", None, "en"),
        ("en", "zh-CN", None, "en"),
        ("", "en-US", "zh", "zh"),
        ("en", "zh", "zh", "en"),
        ("nonsense", "zh", None, "zh"),
        ("", "", None, "en"),
    ],
)
def test_the_language_is_the_chosen_one_else_the_servers_else_the_browsers(stored, accept, forced, expected):
    assert preferred_language(stored, accept, forced) == expected


def test_colours_follow_the_language_until_they_are_chosen():
    assert view_of(None, "zh") == View("zh", "red_up") and view_of({}, "en") == View("en", "green_up")
    assert view_of({"language": "zh", "colours": "green_up"}) == View("zh", "green_up")


# ---------------------------------------------------------------- components
def test_one_loop_changes_the_language_of_everything():
    words = Words("en")
    with gr.Blocks():
        button = words(gr.Button, {"value": "ui.train.start"})
        choice = words(
            gr.Dropdown, {"label": "form.entry.label", "choices": [("ui.term.entry.close", "close"), ("no.such.key", "other")]}, value="close"
        )
    assert button.value == "Start training" and choice.choices == [("Last close", "close"), ("other", "other")]
    updates = words.updates("zh")
    assert updates[button]["value"] == "开始训练"
    assert updates[choice]["choices"][0] == ("当日收盘", "close") and updates[choice]["label"] == translate("form.entry.label", "zh")
    assert "value" not in updates[choice], "a language switch must not touch what a visitor has entered"


def test_controls_are_enabled_even_when_no_event_writes_to_them():
    with gr.Blocks():
        assert Words("en")(gr.Textbox, {"label": "form.name.label"}).interactive is True


# ---------------------------------------------------------------- no text outside the catalogue
def test_every_choice_of_the_form_has_words():
    missing = [
        f"ui.term.{spec.name}.{choice}" for spec in config.fields() for choice in spec.choices or () if not has(f"ui.term.{spec.name}.{choice}")
    ]
    assert not missing


def test_every_name_of_the_field_has_words():
    wanted = [f"ui.term.{kind}.{name}" for kind, names in CONDITIONS.items() for name in (*names, "unknown")]
    wanted += [f"ui.term.state.{state}" for state in STATES] + [f"ui.term.preset.{name}" for name in PRESETS]
    wanted += [f"ui.term.baseline.{name}" for name in BASELINES] + [f"ui.term.dimension.{name}" for name in CONDITIONS]
    assert not [key for key in wanted if not has(key)]


def literals(path: Path):
    """String constants of a module that are neither docstrings nor keys, with their line."""
    tree = ast.parse(path.read_text("utf-8"))
    documented = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documented:
            yield node.lineno, node.value


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py")), ids=lambda path: str(path.relative_to(FOLDER)))
def test_no_sentence_stands_in_the_code(path):
    """Everything a visitor reads comes from the catalogue, so that it changes with the language."""
    allowed = {"中文", "English", "Kairos"}
    for line, value in literals(path):
        words = re.sub(r"<[^>]*>|\{[^}]*\}|\$\{|&\w+;", " ", value)
        assert value in allowed or not re.search(r"[\u4e00-\u9fff]", words), f"{path.name}:{line}: {value!r}"


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py")), ids=lambda path: str(path.relative_to(FOLDER)))
def test_visible_properties_are_never_literals(path):
    visible = {"label", "info", "placeholder", "title", "x_title", "y_title", "name"}
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and getattr(node.func.value, "id", "") in ("gr", "go"):
            for keyword in node.keywords:
                if keyword.arg in visible and isinstance(keyword.value, ast.Constant) and isinstance(keyword.value.value, str):
                    assert not re.search(r"[a-z]{2,}", keyword.value.value) or keyword.value.value == "Kairos", (
                        f"{path.name}:{node.lineno}: {keyword.value.value!r}"
                    )


def used_keys():
    for path in sorted(FOLDER.rglob("*.py")):
        for line, value in literals(path):
            if re.fullmatch(r"ui\.[a-z_]+(\.[a-z_0-9]+)+", value):
                yield f"{path.name}:{line}", value


def test_every_key_that_is_named_exists():
    keys = set(catalogue())
    prefixes = {".".join(key.split(".")[:n]) for key in keys for n in range(2, key.count(".") + 1)}
    missing = [where for where, key in used_keys() if key not in keys and key not in prefixes]
    assert not missing


# ---------------------------------------------------------------- figures for readers
def test_figures_read_well_and_unknown_ones_are_a_dash():
    assert text.number(1234.5, 1) == "1,234.5" and text.number(None) == text.number(float("nan")) == "–"
    assert text.percent(0.2134) == "21.3 %" and text.percent(0.02, 1, signed=True) == "+2.0 %" and text.percent(None) == "–"
    assert text.interval([0.1, 0.25]) == "[0.100, 0.250]" and text.interval([0.49, 0.53], 1, as_percent=True) == "[49.0, 53.0]"
    assert text.interval(None) == text.interval([None, 1]) == ""
    assert [text.size(value) for value in (0, 999, 1500, 2_340_000, 123_456_789_000)] == ["0 B", "999 B", "1.5 kB", "2.3 MB", "123 GB"]
    assert [text.duration(value) for value in (7, 65, 3725, None, -1)] == ["7 s", "1:05", "1:02:05", "–", "–"]


def test_what_comes_from_outside_is_escaped():
    assert text.escape("<script>") == "&lt;script&gt;"
