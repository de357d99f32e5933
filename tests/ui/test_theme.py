"""Words can be read: the colours of text against what they stand on, light and dark (WCAG AA, 4.5 to 1)."""

import re

import pytest

from financial_model.ui import theme
from tests.ui.test_charts import contrast

SHEET = (theme.ASSETS / "kairos.css").read_text("utf-8")
LIGHT, DARK = re.findall(r"\.gradio-container \{(.*?)\}", SHEET, re.S)[:2]
GROUNDS = {"light": ("#ffffff", theme.SLATE.c50), "dark": (theme.SLATE.c900, theme.SLATE.c950)}
"""Card and page."""
WORDS = ("accent", "teal", "red", "green", "amber", "gold")
TINT = 0.13
"""How much of its own colour stands behind the words of a badge."""


def colours(rules: str) -> dict[str, str]:
    return dict(re.findall(r"--k-(\w+): (#[0-9a-f]{6})", rules.replace("#fff;", "#ffffff;")))


def mixed(colour: str, ground: str, share: float) -> str:
    pairs = [(int(colour[place : place + 2], 16), int(ground[place : place + 2], 16)) for place in (1, 3, 5)]
    return "#" + "".join(f"{round(share * above + (1 - share) * below):02x}" for above, below in pairs)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_every_colour_of_words_can_be_read(mode):
    found = colours(LIGHT if mode == "light" else DARK)
    words = {name: found[name] for name in WORDS} | {"quiet": theme.SLATE.c500 if mode == "light" else theme.SLATE.c400}
    for name, colour in words.items():
        for ground in (*GROUNDS[mode], mixed(colour, GROUNDS[mode][0], TINT)):
            assert contrast(colour, ground) >= 4.5, f"{name} {colour} on {ground}"
    for name in ("red", "green", "flat"):
        assert contrast(found["on"], found[name]) >= 4.5, f"{name} below the odds' words"


def test_no_selector_has_a_comma_that_gradio_would_take_it_apart_at():
    assert not re.search(r":(is|where|not|has)\([^()]*,", SHEET)
