"""Conditional training: one model that knows industry, style and market regime, or one model for one industry.

In: the page. Out: the tab: the form of basic training plus the conditions, how many stocks fall into each, and a warning where they are few.
"""

from __future__ import annotations

from financial_model.serving.runs import RunInfo
from financial_model.ui.page import Page
from financial_model.ui.starting import TrainingForm
from financial_model.ui.tabs import frame

ESSENTIALS = (("name", "backbone"), ("condition", "industry"), ("objective", "horizon"), ("context_length", "epochs"))


def belongs(run: RunInfo) -> bool:
    return run.config.get("model", {}).get("condition", "none") != "none"


def build(page: Page) -> None:
    with frame.training_tab(page, "conditional", belongs) as panel:
        TrainingForm(
            page, panel, "conditional", essentials=ESSENTIALS, fixed={}, values={"backbone": "cnn_lstm", "condition": "concat", "name": "conditional"}
        )
