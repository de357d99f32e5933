"""Where a training starts from, on its form: the list of runs to choose from, and the settings that a choice brings along.

In: the page, a form with the settings ``method`` and ``init_from``, the panel whose runs belong here. Out: controls that follow both. A base is
chosen by run id and looked up among the server's own runs; what does not fit is said by ``serving/bases.py``.
"""

from __future__ import annotations

from typing import Any

import gradio as gr

from financial_model.config import ATTENTION_BACKBONES
from financial_model.serving import bases
from financial_model.serving.runs import RunInfo
from financial_model.ui.choosing import forecasts, run_choices
from financial_model.ui.forms import Form
from financial_model.ui.page import Page, Snapshot
from financial_model.ui.text import View
from financial_model.ui.training import TrainingPanel


class Origin:
    """The two controls, wired."""

    def __init__(self, page: Page, panel: TrainingPanel, name: str, form: Form) -> None:
        self.page, self.panel, self.form = page, panel, form
        self.base, self.method = form.controls["init_from"], form.controls["method"]
        page.live(f"{name}.bases", [self.base], self._version, self._draw)
        page.on([self.base.input, self.method.input], self._take_over, [self.base, self.method, form.controls["backbone"]], form.inputs)

    def _bases(self, snapshot: Snapshot) -> list[RunInfo]:
        """Runs of this tab with a checkpoint, and encoders, which any tab can go on from."""
        return [run for run in snapshot.runs if run.checkpoints and not run.active and (self.panel.belongs(run) or not forecasts(run))]

    def _version(self, snapshot: Snapshot) -> Any:
        return tuple((run.id, run.state) for run in self._bases(snapshot))

    def _draw(self, view: View, snapshot: Snapshot) -> list[Any]:
        return [gr.update(choices=[(view.word("ui.transfer.fresh"), ""), *run_choices(self._bases(snapshot), view)])]

    def _take_over(self, view: View, base: str | None, method: str, backbone: str) -> list[Any]:
        """What the chosen checkpoint asks for, put into the form, so that whoever changes it afterwards is told."""
        taken: dict[str, Any] = {}
        if method == "pretrain":
            taken = {"patches": True, "backbone": backbone if backbone in ATTENTION_BACKBONES else "transformer"}
        elif base:
            taken = bases.brought_along(self.page.services.runs, base, method)
        return [gr.update(value=self.form.shown(name, taken[name])) if name in taken else gr.skip() for name in self.form.names]
