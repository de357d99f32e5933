"""Save a form by name and load it again: a name, a list, three buttons; the files are the server's (``serving/forms.py``).

In: the page, the form's controls, what turns their values into settings. Out: components. Both training tabs see the same list.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from financial_model import config as settings
from financial_model.errors import ConfigError
from financial_model.serving.forms import FormStore
from financial_model.ui import forms
from financial_model.ui.page import Page, Snapshot
from financial_model.ui.text import View, escape


class SavedForms:
    """The row below a form."""

    def __init__(self, page: Page, name: str, form: forms.Form) -> None:
        self.page, self.form = page, form
        self.store = FormStore(page.services.workspace)
        words = page.words
        with words(gr.Accordion, {"label": "ui.saved.title"}, open=False):
            with gr.Row(equal_height=True):
                self.picker = words(
                    gr.Dropdown, {"label": "ui.saved.pick"}, choices=[], value=None, filterable=False, min_width=170, elem_id=f"{name}-saved"
                )
                self.name = words(gr.Textbox, {"label": "ui.saved.name"}, max_lines=1, min_width=170, elem_id=f"{name}-form-name")
            with gr.Row():
                load = words(gr.Button, {"value": "ui.saved.load"}, size="sm", min_width=80, elem_id=f"{name}-form-load")
                save = words(gr.Button, {"value": "ui.saved.save"}, size="sm", min_width=80, elem_id=f"{name}-form-save")
                delete = words(gr.Button, {"value": "ui.saved.delete"}, size="sm", min_width=80, elem_id=f"{name}-form-delete")
            refused = gr.HTML(elem_id=f"{name}-form-refused")
        page.live(f"{name}.saved", [self.picker], lambda snapshot, wanted: (self.store.version, wanted), self._draw, [self.picker])
        page.on_and_refresh(save.click, self._save, [self.name, *form.inputs], [self.picker, self.name], trigger_mode="once", beside=refused)
        page.on(load.click, self._load, [self.picker], form.inputs, beside=refused)
        page.on_and_refresh(delete.click, self._delete, [self.picker], [self.picker], beside=refused)

    def _choices(self) -> list[tuple[str, str]]:
        return [(f"{form.name}  ·  {form.saved[:16].replace('T', ' ')}", form.id) for form in self.store.list()]

    def _draw(self, view: View, snapshot: Snapshot, wanted: str | None) -> list[Any]:
        choices = self._choices()
        ids = [form_id for _, form_id in choices]
        return [gr.update(choices=choices, value=wanted if wanted in ids else ids[0] if ids else None)]

    def _save(self, view: View, name: str, *given: Any) -> list[Any]:
        saved = self.store.save(name or "", self.form.values(given))
        gr.Info(view.word("ui.saved.saved", name=escape(saved.name)))
        return [gr.update(choices=self._choices(), value=saved.id), ""]

    def _load(self, view: View, wanted: str | None) -> list[Any]:
        if not wanted:
            raise ConfigError("ui.saved.which")
        saved = self.store.get(wanted)
        gr.Info(view.word("ui.saved.loaded", name=escape(saved.name)))
        return updates(self.form, saved.values)

    def _delete(self, view: View, wanted: str | None) -> Any:
        if not wanted:
            raise ConfigError("ui.saved.which")
        self.store.delete(wanted)
        return gr.update(choices=self._choices(), value=None)


def updates(form: forms.Form, values: Mapping[str, Any]) -> list[Any]:
    """One update per control: what was saved and is still a valid setting; a setting that is gone or no longer fits keeps what the form shows."""
    found: list[Any] = []
    for name in form.names:
        if name not in values:
            found.append(gr.skip())
            continue
        try:
            value = settings.convert(settings.spec(name), values[name])
        except ConfigError:
            found.append(gr.skip())
            continue
        found.append(gr.update(value=form.shown(name, value)))
    return found
