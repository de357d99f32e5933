"""The words that Gradio and Plotly bring along (upload, filter, cell menu, full screen) in the language of the page.

In: the catalogue's tables ``ui.gradio`` and ``ui.plotly``, whose English is what those libraries write. Out: a script for the head of the page.
Gradio takes its language from the browser; the page has a switch of its own, and this makes both one.
"""

from __future__ import annotations

import json

from financial_model.text import LANGUAGES, catalogue
from financial_model.ui.theme import ASSETS

_TABLES = ("ui.gradio.", "ui.plotly.")


def words() -> list[list[str]]:
    """Every such text as a pair, English first."""
    return [[entry[language] for language in LANGUAGES] for key, entry in catalogue().items() if key.startswith(_TABLES)]


def script() -> str:
    """To stand behind what says the language of the ``<html>`` element."""
    return f"<script>{(ASSETS / 'borrowed.js').read_text('utf-8').rstrip()}({json.dumps(words(), ensure_ascii=False)});</script>"
