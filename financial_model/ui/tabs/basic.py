"""Basic training: choose stocks, a model and what it is asked; start; watch the curve.

In: the page. Out: the tab. The form is made from the configuration, the right half follows the server (``training.py``).
"""

from __future__ import annotations

from financial_model.serving.runs import RunInfo
from financial_model.ui.choosing import setting
from financial_model.ui.page import Page
from financial_model.ui.starting import TrainingForm
from financial_model.ui.tabs import frame

ESSENTIALS = (("name", "backbone"), ("objective", "horizon"), ("context_length", "epochs"))


def belongs(run: RunInfo) -> bool:
    return setting(run, "model", "condition") == "none"


def build(page: Page) -> None:
    with frame.training_tab(page, "basic", belongs) as panel:
        TrainingForm(
            page,
            panel,
            "basic",
            essentials=(*ESSENTIALS, ("symbols",)),
            fixed={"condition": "none", "industry": "all"},
            values={"backbone": "lstm", "name": "basic"},
        )
