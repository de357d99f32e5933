"""A form made from the configuration: every control, its words, its range and its problems come from ``config.fields()``.

In: the names of the settings a form shows and the values it fixes. Out: controls, and from their values one checked ``RunConfig``.
It knows no data, no runs and no layout beyond rows and accordions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from financial_model import config as settings
from financial_model.config import PRESETS, FieldSpec, Problem, RunConfig
from financial_model.errors import ConfigError
from financial_model.text import has, translate
from financial_model.ui.text import View, Words, escape, problem_text

SECTIONS = (
    ("universe", ("symbols", "max_symbols", "start", "end")),
    ("inputs", ("groups", "normalisation", "context", "context_length", "context_low", "context_high")),
    ("label", ("target", "horizon", "entry", "up", "down", "class_horizon")),
    ("split", ("train", "validation", "train_end", "validation_end")),
    ("model", ("head", "hidden", "layers", "heads", "dropout")),
    ("transfer", ("method", "init_from", "lora_rank", "lora_alpha", "distill_temperature", "distill_weight", "preference_beta", "mask_share")),
    ("training", ("batch_size", "windows_per_epoch", "learning_rate", "schedule", "patience", "seed", "seeds")),
)
"""Accordions below the essentials, in order; every setting that is listed nowhere stands in a last one."""


YEARS = ("1", "3", "5", "all")
"""Presets of a first date."""


def years_before(last: str, years: str) -> str:
    """The date so many years before ``last`` (YYYY-MM-DD); nothing for all of them, or without a date."""
    if years == "all" or not last:
        return ""
    day = "28" if last[5:] == "02-29" else last[8:10]
    return f"{int(last[:4]) - int(years):04d}-{last[5:7]}-{day}"


def span(words: Words, elem_id: str) -> Any:
    """The control for it."""
    return words(gr.Radio, {"label": "ui.form.span", "choices": [(f"ui.form.years.{years}", years) for years in YEARS]}, value="all", elem_id=elem_id)


RUN = "init_from"
"""The setting that names a run; whoever uses the form fills its list."""
MATRIX = "cost_matrix"
"""The setting that is a square of numbers, rows what happened and columns what was predicted."""
ARROWS = ("↑", "→", "↓")
"""The classes as any language writes them, in the order of config.CLASSES."""


DATES = ("start", "end", "train_start", "train_end", "validation_end")
"""Settings that are a date."""
WIDE = 100_000
"""A range that ends beyond this only keeps out nonsense: it is no help to name it."""


NAMED = ("method.distill", "method.lora", "method.preference", "method.pretrain", "backbone.tsf", "backbone.moe_transformer")
"""Choices that the help of other settings speaks of."""


def help_text(spec: FieldSpec, language: str) -> str:
    """What a setting does, with the range of a number; in Chinese with the words the lists have for their choices."""
    text = translate(f"form.{spec.name}.help", language)
    if language == "zh":
        own = [f"ui.term.{spec.name}.{choice}" for choice in spec.choices or ()]
        for key in (*own, *(f"ui.term.{name}" for name in NAMED)):
            choice = key.rpartition(".")[2]
            if has(key):
                text = re.sub(rf" ?(?<![A-Za-z_]){re.escape(choice)}(?![A-Za-z_]) ?", translate(key, language), text)
    if spec.kind in (int, float) and spec.low is not None and spec.high is not None and spec.high <= WIDE:
        text += translate("ui.form.range", language, low=f"{spec.low:g}", high=f"{spec.high:g}")
    return text


def control(words: Words, spec: FieldSpec, value: Any, *, elem_id: str = "", placeholder: str = "") -> Any:
    """The component for one setting: a box to tick, a list, a number, or a line of text.

    Gradio is not told the range of a number: beyond it, it would refuse the whole event and say nothing. The configuration has a sentence for it.
    """
    text: dict[str, Any] = {"label": f"form.{spec.name}.label", "info": lambda language: help_text(spec, language)}
    if placeholder:
        text["placeholder"] = placeholder
    if spec.name == RUN:
        return words(gr.Dropdown, text, choices=[], value=value, allow_custom_value=True, min_width=150, elem_id=elem_id)
    if spec.name == MATRIX:
        return words(
            gr.Dataframe,
            {"label": "ui.form.cost_matrix"},
            headers=["", *ARROWS],
            value=written(spec, value),
            datatype=["str", *["number"] * len(ARROWS)],
            row_count=(len(ARROWS), "fixed"),
            column_count=(len(ARROWS) + 1, "fixed"),
            static_columns=[0],
            type="array",
            min_width=280,
            elem_id=elem_id,
            buttons=[],
        )
    if spec.choices:
        text["choices"] = [(f"ui.term.{spec.name}.{choice}", choice) for choice in spec.choices]
        many = spec.kind is tuple
        return words(gr.Dropdown, text, value=list(value) if many else value, multiselect=many, filterable=many, min_width=150, elem_id=elem_id)
    if spec.kind is bool:
        return words(gr.Checkbox, text, value=value, min_width=150, elem_id=elem_id)
    if spec.kind in (int, float):
        return words(
            gr.Number,
            text,
            value=value,
            precision=0 if spec.kind is int else None,
            step=spec.step or (1 if spec.kind is int else None),
            min_width=130,
            elem_id=elem_id,
        )
    return words(gr.Textbox, text, value=written(spec, value), max_lines=1, min_width=150, elem_id=elem_id)


def written(spec: FieldSpec, value: Any) -> Any:
    """A value as its control shows it: a square of costs as rows, what is written as one line of text joined by commas."""
    if spec.kind is not tuple:
        return value
    if spec.name == MATRIX:
        size = len(ARROWS)
        return [[arrow, *value[place * size : (place + 1) * size]] for place, arrow in enumerate(ARROWS)] if len(value) == size**2 else None
    return list(value) if spec.choices else ", ".join(map(str, value))


class Form:
    """Controls for some settings; the others keep the value given in ``fixed`` or their default."""

    def __init__(
        self,
        words: Words,
        *,
        name: str = "form",
        essentials: Sequence[Sequence[str]],
        fixed: Mapping[str, Any],
        preset: str = "quick",
        values: Mapping[str, Any] | None = None,
    ) -> None:
        self.fixed = dict(fixed)
        self.controls: dict[str, Any] = {}
        self._words, self._name = words, name
        self._specs = {spec.name: spec for spec in settings.fields()}
        self._start = {**settings.flatten(settings.build(preset=preset)), **(values or {})}
        hidden = set(self.fixed)
        self.preset = words(
            gr.Radio,
            {"label": "ui.form.preset", "info": "ui.form.preset_info", "choices": [(f"ui.term.preset.{name}", name) for name in PRESETS]},
            value=preset,
            elem_id=f"{name}-preset",
        )
        self.preset_effect = gr.HTML(elem_id=f"{name}-preset-effect")
        self.span: Any = None
        """Presets of the first date, where the form has one."""
        with gr.Group():
            for row in essentials:
                self._row([name for name in row if name not in hidden])
        taken = {name for row in essentials for name in row} | hidden
        for section, names in SECTIONS:
            self._accordion(section, [name for name in names if name not in taken])
            taken |= set(names)
        self._accordion("advanced", [name for name in self._specs if name not in taken])
        self.names = tuple(self.controls)
        self.inputs = [self.controls[name] for name in self.names]

    def _row(self, names: Sequence[str]) -> None:
        with gr.Row(equal_height=True):
            for name in names:
                placeholder = "ui.form.symbols_placeholder" if name == "symbols" else "ui.form.date" if name in DATES else ""
                self.controls[name] = control(
                    self._words, self._specs[name], self._start[name], placeholder=placeholder, elem_id=f"{self._name}-set-{name}"
                )

    def _accordion(self, section: str, names: Sequence[str]) -> None:
        if not names:
            return
        with self._words(gr.Accordion, {"label": f"ui.form.{section}"}, open=False), gr.Group():
            if "start" in names:
                self.span = span(self._words, f"{self._name}-span")
            for place in range(0, len(names), 2):
                self._row(names[place : place + 2])

    # ------------------------------------------------------------ reading it
    def values(self, given: Sequence[Any]) -> dict[str, Any]:
        """Field name -> value; an emptied number falls back to its default instead of an error about None."""
        flat = dict(self.fixed)
        for name, value in zip(self.names, given, strict=True):
            flat[name] = self._specs[name].default if value is None else _cells(value) if name == MATRIX else value
        return flat

    def config(self, given: Sequence[Any], **overrides: Any) -> RunConfig:
        return settings.build({**self.values(given), **overrides})

    def shown(self, name: str, value: Any) -> Any:
        """A setting's value as the control of this form takes it."""
        return written(self._specs[name], value)

    def preset_updates(self, preset: str) -> list[Any]:
        """One update per control: every setting that any preset touches takes the value of ``preset``."""
        touched = {name for values in PRESETS.values() for name in values}
        flat = settings.flatten(settings.build(preset=preset))
        return [gr.update(value=flat[name]) if name in touched else gr.skip() for name in self.names]


def _cells(table: Any) -> list[Any]:
    """The numbers of a square as it comes from its control, row by row."""
    rows = table["data"] if isinstance(table, Mapping) else table
    return [cell for row in rows for cell in row[1:]]


def problems_box(found: Sequence[Problem], view: View) -> str:
    """Errors and warnings before a start, beside the button that would be refused."""
    notes = [
        f'<div class="k-note {"warn" if problem.warning else "bad"}"><b>{escape(view.word(f"form.{problem.field}.label"))}</b>'
        f"<span>{escape(problem_text(problem, view))}</span></div>"
        for problem in sorted(found, key=lambda problem: problem.warning)
    ]
    return "".join(notes)


def misplaced(error: ConfigError, view: View) -> Problem | None:
    """A value that is no setting at all as a problem of the field it stands in, named as the form names it; ``None`` where no field is named."""
    name = str(error.fields.get("name", ""))
    if not (name.isidentifier() and has(f"form.{name}.label")):
        return None
    kind = f"ui.form.kind.{error.fields.get('kind')}"
    values = {**error.fields, "name": view.word(f"form.{name}.label"), **({"kind": view.word(kind)} if has(kind) else {})}
    return Problem(field=name, key=error.key, values=values)


def command(config: RunConfig) -> str:
    """The same run from the command line: only what differs from the defaults is named."""
    parts = ["python -m financial_model train"]
    default = settings.flatten(settings.build())
    flat = settings.flatten(config)
    for spec in settings.fields():
        value = flat[spec.name]
        if value == default[spec.name]:
            continue
        if spec.kind is bool:
            parts.append(f"--{spec.flag}" if value else f"--no-{spec.flag}")
        else:
            shown = ",".join(map(str, value)) if spec.kind is tuple else str(value)
            parts.append(f"--{spec.flag} {shown if shown and ' ' not in shown else repr(shown)}")
    return " ".join(parts)
