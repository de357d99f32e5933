"""Conditional training: one model that knows industry, style and market regime, or one model for one industry.

In: the page. Out: the tab: the form of basic training plus the conditions, how many stocks fall into each, and a warning where they are few.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from financial_model import config as settings
from financial_model.errors import ConfigError
from financial_model.serving import bases
from financial_model.serving.runs import RunInfo
from financial_model.ui import universe_view
from financial_model.ui.choosing import setting
from financial_model.ui.page import Page, Snapshot
from financial_model.ui.starting import TrainingForm
from financial_model.ui.tabs import frame
from financial_model.ui.text import View, escape
from financial_model.ui.training import TrainingPanel

ESSENTIALS = (("name", "backbone"), ("condition", "industry"), ("objective", "horizon"), ("context_length", "epochs"))
VALUES = {"backbone": "cnn_lstm", "condition": "concat", "name": "conditional"}


def belongs(run: RunInfo) -> bool:
    return setting(run, "model", "condition") != "none"


def build(page: Page) -> None:
    with frame.training_tab(page, "conditional", belongs) as panel:
        with page.words(gr.Accordion, {"label": "ui.conditional.cells"}, open=True):
            cells = gr.HTML(elem_id="conditional-cells")
        TrainingForm(page, panel, "conditional", essentials=ESSENTIALS, fixed={}, values=VALUES)
        ablate = page.words(gr.Button, {"value": "ui.conditional.ablation"}, size="sm", elem_id="conditional-ablation")
        page.on_and_refresh(ablate.click, lambda view, wanted: _without(page, panel, view, wanted), [panel.picker], trigger_mode="once")
        page.live("conditional.cells", [cells], _version, _draw)
        page.on_and_refresh(panel.tab.select, lambda view: page.services.look_at_universe())


def _without(page: Page, panel: TrainingPanel, view: View, wanted: str | None) -> None:
    """Queue the run that is shown once more, without its conditions: what they are worth is the difference."""
    services = page.services
    run = panel.shown(services.snapshot(fresh=True), wanted)
    if run is None:
        raise ConfigError("ui.conditional.no_run")
    config = settings.build({"condition": "none", "name": f"{run.name[:30]}_none"}, base=run.run_config())
    bases.check(config, services.runs)
    job = services.jobs.submit("train", config=config)
    gr.Info(view.word("ui.conditional.ablation_queued", run=job.run_id, base=run.id))


def _version(snapshot: Snapshot) -> Any:
    return snapshot.market["stocks"], snapshot.analysis_id


def _draw(view: View, snapshot: Snapshot) -> list[Any]:
    if snapshot.analysis is not None:
        return [universe_view.cells(view, snapshot.analysis)]
    key = "ui.conditional.counting" if snapshot.market["stocks"] else "ui.train.no_data"
    return [f'<p class="k-lead">{escape(view.word(key))}</p>']
