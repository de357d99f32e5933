"""The left half of both training tabs: the form, what is wrong with it, what the run will be, the same as a command, and the start.

In: the page, the panel that will show the run, the settings of the tab. Out: a submitted job. The training itself is the job service's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from financial_model import config as settings
from financial_model.config import RunConfig
from financial_model.errors import ConfigError, KairosError
from financial_model.market import symbols
from financial_model.serving import bases
from financial_model.serving.outline import outline
from financial_model.ui import before, forms
from financial_model.ui.choosing import run_choices
from financial_model.ui.components import note
from financial_model.ui.feature_list import FeatureList
from financial_model.ui.origin import Origin
from financial_model.ui.page import Page, Snapshot
from financial_model.ui.saving import SavedForms
from financial_model.ui.text import View
from financial_model.ui.training import TrainingPanel


def resolve_symbols(text: str, names: Mapping[str, str]) -> tuple[str, ...]:
    """Codes, names or pinyin initials, separated by commas or blanks, as symbols of the store; ``ConfigError`` names what was not found.

    A name may hold a blank: what stands between two commas is taken apart only where it means nothing as a whole.
    """
    found: list[str] = []
    for part in filter(None, map(str.strip, re.split("[,，、;；\n]", text))):
        whole = symbols.search(part, names, limit=1)
        for word in [part] if whole else part.split():
            matches = whole or symbols.search(word, names, limit=1)
            if not matches:
                raise ConfigError("ui.symbols.unknown", name="symbols", text=word[:40])
            found.append(matches[0])
    return tuple(dict.fromkeys(found))


Asked = dict[str, Any]
"""What the card before the start is about: ``flat`` settings and the ``key`` of their shape."""


class TrainingForm:
    """Presets, essentials, accordions, what the run will be, problems, command, saved forms, start."""

    def __init__(
        self, page: Page, panel: TrainingPanel, name: str, *, essentials: Sequence[Sequence[str]], fixed: Mapping[str, Any], values: Mapping[str, Any]
    ) -> None:
        self.page, self.panel, self.name = page, panel, name
        self.form = form = forms.Form(page.words, name=name, essentials=essentials, fixed=fixed, values=values)
        self.asked = gr.State(None)
        self.problems = gr.HTML(elem_id=f"{name}-problems")
        self.start = page.words(gr.Button, {"value": "ui.train.start"}, variant="primary", elem_id=f"{name}-start")
        self.before = gr.HTML(elem_id=f"{name}-before")
        SavedForms(page, name, form)
        self.origin = Origin(page, panel, name, form)
        FeatureList(page, name, form)
        with page.words(gr.Accordion, {"label": "ui.form.command"}, open=False):
            self.command = gr.Textbox(
                show_label=False, interactive=False, lines=2, buttons=["copy"], elem_classes=["k-command"], elem_id=f"{name}-command"
            )
        page.on(form.preset.input, lambda view, preset: form.preset_updates(preset), [form.preset], form.inputs)
        page.on(
            [page.preferences.change, form.preset.change], lambda view, preset: before.preset_line(view, preset), [form.preset], [form.preset_effect]
        )
        if form.span is not None:
            page.on(form.span.input, self._span, [form.span], [form.controls["start"]])
        page.on(
            [page.preferences.change, *(control.change for control in form.inputs)],
            self._look,
            form.inputs,
            [self.problems, self.command, self.before, self.asked],
            trigger_mode="always_last",
            queue=False,
        )
        page.live(f"{name}.before", [self.before], self._version, self._draw, [self.asked])
        page.on_and_refresh(self.start.click, self._submit, form.inputs, [panel.picker], trigger_mode="once")

    def config(self, given: Sequence[Any]) -> RunConfig:
        """The form as a configuration, symbols looked up in the store."""
        flat = self.form.values(given)
        text = flat.get("symbols", "")
        if isinstance(text, str) and text.strip():
            flat["symbols"] = resolve_symbols(text, self.page.services.names())
        return settings.build(flat)

    # ------------------------------------------------------------ before the start
    def _look(self, view: View, *given: Any) -> list[Any]:
        try:
            config = self.config(given)
        except ConfigError as error:
            return [self._refusal(view, error), "", "", None]
        found = bases.problems(config, self.page.services.runs)
        flat = settings.flatten(config)
        box = forms.problems_box(found, view) + before.field_marks(self.name, found, view)
        if any(not problem.warning for problem in found):
            return [box, forms.command(config), "", None]
        return [box, forms.command(config), *self._outlined(view, flat)]

    def _refusal(self, view: View, error: ConfigError) -> str:
        """What is no configuration at all, at its field where one is named, and above the button."""
        wrong = forms.misplaced(error, view)
        if wrong is None:
            return note(error.message(view.language), "bad")
        return forms.problems_box([wrong], view) + before.field_marks(self.name, [wrong], view)

    def _outlined(self, view: View, flat: Mapping[str, Any]) -> tuple[str, Asked | None]:
        """The card, and what it is about; nothing while there are no data, one sentence where they do not fit."""
        services = self.page.services
        if not services.snapshot().market.get("stocks"):
            return "", None
        config = settings.build(flat)
        try:
            found = outline(services.store, config)
        except KairosError as error:
            return note(error.message(view.language), "bad"), None
        config = settings.resolve(config, found.stocks, found.batch[1])
        key = services.prober.want(config, found.inputs)
        return before.card(view, found, services.prober.known(key)), {"flat": flat, "key": key}

    def _version(self, snapshot: Snapshot, asked: Asked | None) -> Any:
        known = self.page.services.prober.known(asked["key"]) if asked else None
        return asked and (asked["key"], str(known)), snapshot.market.get("stocks"), snapshot.market.get("rows")

    def _draw(self, view: View, snapshot: Snapshot, asked: Asked | None) -> list[Any]:
        return [self._outlined(view, asked["flat"])[0] if asked else gr.skip()]

    def _span(self, view: View, years: str) -> Any:
        """The first date for so many years up to the newest bar; all of them with no first date."""
        return gr.update(value=forms.years_before(str(self.page.services.snapshot().market.get("last") or "")[:10], years))

    # ------------------------------------------------------------ the start
    def _submit(self, view: View, *given: Any) -> Any:
        try:
            config = self.config(given)
        except ConfigError as error:
            wrong = forms.misplaced(error, view)
            if wrong is None:
                raise
            raise ConfigError(wrong.key, **wrong.values) from error
        services = self.page.services
        bases.check(config, services.runs)
        if not services.store.summary().get("stocks"):
            raise ConfigError("ui.train.no_data")
        job = services.jobs.submit("train", config=config)
        gr.Info(view.word("ui.train.queued", run=job.run_id))
        return gr.update(choices=run_choices(self.panel.runs(services.snapshot(fresh=True)), view), value=job.run_id)
