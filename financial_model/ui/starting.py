"""The left half of both training tabs: the form, what is wrong with it, the same as a command, and the start.

In: the page, the panel that will show the run, the settings of the tab. Out: a submitted job. The training itself is the job service's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from financial_model import config as settings
from financial_model.config import RunConfig
from financial_model.errors import ConfigError
from financial_model.market import symbols
from financial_model.ui import forms
from financial_model.ui.choosing import run_choices
from financial_model.ui.page import Page
from financial_model.ui.text import View
from financial_model.ui.training import TrainingPanel


def resolve_symbols(text: str, names: Mapping[str, str]) -> tuple[str, ...]:
    """Codes, names or pinyin initials, separated by commas or blanks, as symbols of the store; ``ConfigError`` names what was not found."""
    found: list[str] = []
    for part in text.replace("，", ",").replace("、", ",").replace("\n", ",").replace(";", ",").split(","):
        if part.strip():
            matches = symbols.search(part.strip(), names, limit=1)
            if not matches:
                raise ConfigError("ui.symbols.unknown", text=part.strip()[:40])
            found.append(matches[0])
    return tuple(dict.fromkeys(found))


class TrainingForm:
    """Essentials, accordions, problems, command, start."""

    def __init__(
        self, page: Page, panel: TrainingPanel, name: str, *, essentials: Sequence[Sequence[str]], fixed: Mapping[str, Any], values: Mapping[str, Any]
    ) -> None:
        self.page, self.panel, self.name = page, panel, name
        self.form = forms.Form(page.words, name=name, essentials=essentials, fixed=fixed, values=values)
        self.problems = gr.HTML(elem_id=f"{name}-problems")
        self.start = page.words(gr.Button, {"value": "ui.train.start"}, variant="primary", elem_id=f"{name}-start")
        with page.words(gr.Accordion, {"label": "ui.form.command"}, open=False):
            self.command = gr.Textbox(show_label=False, interactive=False, lines=2, buttons=["copy"], elem_classes=["k-command"])
        form = self.form
        page.on(form.preset.input, lambda view, preset: form.preset_updates(preset), [form.preset], form.inputs)
        page.on(
            [page.preferences.change, *(control.change for control in form.inputs)],
            self._look,
            form.inputs,
            [self.problems, self.command],
            trigger_mode="always_last",
            queue=False,
        )
        page.on_and_refresh(self.start.click, self._submit, form.inputs, [panel.picker], trigger_mode="once")

    def config(self, given: Sequence[Any]) -> RunConfig:
        """The form as a configuration, symbols looked up in the store."""
        flat = self.form.values(given)
        text = flat.get("symbols", "")
        if isinstance(text, str) and text.strip():
            flat["symbols"] = resolve_symbols(text, self.page.services.names())
        return settings.build(flat)

    def _look(self, view: View, *given: Any) -> list[Any]:
        try:
            config = self.config(given)
        except ConfigError as error:
            return [forms.error_box(error, view), ""]
        return [forms.problems_box(settings.problems(config), view), forms.command(config)]

    def _submit(self, view: View, *given: Any) -> Any:
        config = self.config(given)
        settings.check(config)
        services = self.page.services
        if not services.store.summary().get("stocks"):
            raise ConfigError("ui.train.no_data")
        job = services.jobs.submit("train", config=config)
        gr.Info(view.word("ui.train.queued", run=job.run_id))
        return gr.update(choices=run_choices(self.panel.runs(services.snapshot(fresh=True)), view), value=job.run_id)
