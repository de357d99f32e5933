"""Before a start: what will be trained, what is still measured, the split as a picture, and each problem at its field."""

from dataclasses import replace

from financial_model import config as settings
from financial_model.config import Problem
from financial_model.errors import KairosError
from financial_model.serving.outline import Outline
from financial_model.serving.probe import Probe
from financial_model.ui import before
from financial_model.ui.timeline import timeline
from tests.ui.builders import CHINESE, ENGLISH

SPLIT = {
    "train": {"first": "2019-12-27", "last": "2024-10-23", "sessions": 1166},
    "validation": {"first": "2024-10-24", "last": "2025-05-30", "sessions": 146},
    "test": {"first": "2025-06-03", "last": "2025-12-31", "sessions": 146},
    "purge": 5,
    "embargo": 0,
}
OUTLINE = Outline(
    stocks=160,
    inputs=71,
    split=SPLIT,
    windows={"train": 151_388, "validation": 22_560, "test": 22_560},
    per_epoch=30_000,
    evaluation=15_000,
    steps=472,
    batch=(256, 30, 71),
    evaluations=12,
    panel_bytes=80_000_000,
)


def test_the_card_says_how_large_how_long_and_how_the_dates_are_split():
    html = before.card(ENGLISH, OUTLINE, Probe(parameters=70_664, step_seconds=0.1, forecast_seconds=0.05, memory=20_000_000))
    for text in ("70,664", "256 × 30 × 71", "472", "100 MB", "2019-12-27", "about 151,388 windows"):
        assert text in html
    assert before.seconds(OUTLINE, Probe(parameters=1, step_seconds=0.1, forecast_seconds=0.05)) == 472 * 0.1 + 12 * 59 * 0.05


def test_what_is_not_measured_yet_says_so_and_what_cannot_be_says_why():
    assert before.card(ENGLISH, OUTLINE, None).count("measuring") == 3
    counted = before.card(ENGLISH, OUTLINE, Probe(parameters=70_664))
    assert "70,664" in counted and counted.count("measuring") == 2
    failed = before.card(CHINESE, OUTLINE, KairosError("serving.probe_failed"))
    assert "无法测量" in failed and "测量中" not in failed


def test_the_timeline_is_as_long_as_its_parts_and_leaves_room_for_the_purges():
    html = timeline(CHINESE, SPLIT)
    assert html.count('class="purge"') == 2 and "flex-grow:1161" in html and "flex-grow:141" in html and "训练" in html
    assert ">验证</span>" in html and ">Validation</span>" not in timeline(ENGLISH, SPLIT), "no name is cut in half"
    assert timeline(CHINESE, {}) == "", "a split that is not known is not drawn"


def test_a_problem_stands_at_its_field_and_cannot_leave_the_style_sheet():
    problem = Problem(field="heads", key="config.wrong_type", values={"name": "</style>", "value": '"', "kind": "x"})
    style = before.field_marks("basic", [problem], ENGLISH)
    assert "#basic-set-heads::after" in style and style.count("</style>") == 1


def test_every_preset_says_what_it_sets():
    assert "3" in before.preset_line(ENGLISH, "quick") and "40" in before.preset_line(CHINESE, "thorough")
    assert all(before.preset_line(view, name) for view in (ENGLISH, CHINESE) for name in settings.PRESETS)


def test_an_automatic_context_shows_what_it_follows_from():
    echo = [0.0] * 6 + [0.4] + [0.01] * 13
    found = {"context_length": 20, "last": 7, "band": 0.05, "bars": 1536, "stocks": 1, "returns": echo, "absolute": [0.02] * 20, "outside": 1,
             "low": 20, "high": 100}
    html = before.card(ENGLISH, replace(OUTLINE, context=found), None)
    assert "<svg" in html and "Lag 7 is the last" in html and "a context of 20" in html
    assert "of the noise of one stock about 2 would" in html, "one of forty is what chance gives"
    assert "滞后 7 阶" in before.card(CHINESE, replace(OUTLINE, context=found), None)
    certain = before.card(ENGLISH, replace(OUTLINE, context={**found, "stocks": 9}), None)
    assert "noise" not in certain and "<svg" not in before.card(ENGLISH, OUTLINE, None)
