"""Words that libraries bring along are exchanged; what is exchanged is what they really write."""

from pathlib import Path

import gradio

from financial_model.ui import borrowed

BUNDLES = ("Index-*.js", "core-*.js", "Blocks-*.js", "src-*.js", "PlotlyPlot-*.js", "Upload*.js", "File*.js", "ModifyUpload*.js")
COMPOSED = {"Enter text to filter the table": "Enter text to {name} the table"}
"""Sentences that Gradio puts together from pieces."""


def test_every_borrowed_sentence_is_written_by_the_installed_libraries():
    """One that a new version words differently would stay English on the Chinese page, and nobody would see why."""
    assets = Path(gradio.__file__).parent / "templates" / "frontend" / "assets"
    written = "".join(path.read_text("utf-8", errors="replace") for pattern in BUNDLES for path in assets.glob(pattern))
    assert not [english for english, _ in borrowed.words() if not all(part in written for part in COMPOSED.get(english, english).split("{name}"))]


def test_each_word_can_be_told_from_every_other_in_both_languages():
    for texts in zip(*borrowed.words(), strict=True):
        twice = [text for text in texts if texts.count(text) > 1]
        assert not twice, "the way back would be a guess"
