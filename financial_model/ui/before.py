"""What stands beside the form before a start: how large the model is, what a batch looks like, how long it will take, how the dates are split.

In: an outline of the run, what is known of its shape, a view. Out: HTML. It measures nothing (``serving/outline.py``, ``serving/probe.py``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from financial_model.config import PRESETS, Problem
from financial_model.errors import KairosError
from financial_model.evaluation.memory import memory_section
from financial_model.serving.outline import Outline
from financial_model.serving.probe import Probe
from financial_model.ui import components
from financial_model.ui.text import DASH, View, count, duration, escape, problem_text, size
from financial_model.ui.timeline import timeline


def card(view: View, found: Outline, probe: Probe | KairosError | None) -> str:
    """Tiles and the split; what is still being measured says so."""
    if isinstance(probe, KairosError):
        failed, probe = components.note(probe.message(view.language), "warn"), None
        wait = DASH
    else:
        failed, wait = "", view.word("ui.before.measuring")
    timed = probe is not None and probe.whole
    figures = components.tiles(
        [
            (view.word("ui.before.parameters"), count(probe.parameters) if probe else wait, ""),
            (view.word("ui.before.batch"), " × ".join(map(count, found.batch)), view.word("ui.before.batch_info")),
            (view.word("ui.before.steps"), count(found.steps), view.word("ui.before.per_epoch", windows=count(found.per_epoch))),
            (view.word("ui.before.time"), f"≈ {duration(seconds(found, probe))}" if probe and timed else wait, view.word("ui.before.time_info")),
            (view.word("ui.before.memory"), f"≈ {size(memory(found, probe))}" if probe and timed else wait, view.word("ui.before.memory_info")),
            (view.word("ui.data.stocks"), count(found.stocks), view.word("ui.before.inputs", count=found.inputs)),
        ]
    )
    title = f'<b class="k-title">{escape(view.word("ui.before.title"))}</b>'
    below = timeline(view, found.split, found.windows) + lags(view, found.context)
    return f'<div class="k-card">{title}<div style="height:8px"></div>{figures}{failed}{below}</div>'


def lags(view: View, found: Mapping[str, Any] | None) -> str:
    """How long returns remember, and the context length that follows; nothing for a length that was set."""
    section = memory_section(found, view.language)
    if not section:
        return ""
    said = "".join(f"<p>{escape(sentence)}</p>" for sentence in section["sentences"])
    return f'<div class="k-plot"><b>{escape(section["title"])}</b>{section["svg"]}{said}</div>'


def seconds(found: Outline, probe: Probe) -> float:
    """Of the training itself: steps, and the evaluations in between."""
    batches = -(-found.evaluation // max(found.batch[0], 1))
    return found.steps * (probe.step_seconds or 0) + found.evaluations * batches * (probe.forecast_seconds or 0)


def memory(found: Outline, probe: Probe) -> float:
    """Bytes: the panel and what a step needs."""
    return found.panel_bytes + (probe.memory or 0)


def preset_line(view: View, preset: str) -> str:
    """What a preset sets, so that choosing one is no secret."""
    values = PRESETS[preset]
    chips = "".join(components.badge(f"{view.word(f'form.{name}.label')} {value:,}") for name, value in values.items())
    return f'<div class="k-chips">{chips or components.badge(view.word("ui.form.preset_default"))}</div>'


def field_marks(form: str, problems: list[Problem], view: View) -> str:
    """A style sheet that sets each problem's sentence under its field: wherever the field stands, without drawing it again."""
    rules = []
    for problem in problems:
        tone = "--k-amber" if problem.warning else "--k-red"
        text = json.dumps(problem_text(problem, view), ensure_ascii=False).replace("<", "\\3c ").replace("\\n", " ")
        block = f"#{form}-set-{problem.field}"
        rules.append(f"{block} {{ box-shadow: inset 3px 0 0 var({tone}) !important; }}")
        rules.append(
            f"{block}::after {{ content: {text}; color: var({tone}); display: block; font-size: 12px; line-height: 1.45; padding-top: 4px; }}"
        )
    return f"<style>{''.join(rules)}</style>" if rules else ""
