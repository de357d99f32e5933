"""Which run, or whose settings, are meant: the lists a visitor chooses from, and what his choice stands for now.

In: the runs of a snapshot, the id a visitor chose. Out: labels, choices, one run, one configuration. Every run is resolved against the server's own
list.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from financial_model import config as settings
from financial_model.config import PRESETS, RunConfig
from financial_model.errors import ConfigError
from financial_model.serving.days import parse_date
from financial_model.serving.runs import RunInfo, RunStore
from financial_model.ui.page import Snapshot
from financial_model.ui.text import View


def setting(run: RunInfo, section: str, name: str) -> Any:
    """One setting of a run as it stands in its file: for lists and ticks, where checking a whole configuration each time would be slow."""
    return run.config.get(section, {}).get(name, "")


def run_label(run: RunInfo, view: View) -> str:
    """How a run is listed: name, model, when it began, how it stands."""
    model = view.term("backbone", setting(run, "model", "backbone"))
    return f"{run.name}  ·  {model}  ·  {run.created[:16].replace('T', ' ')}  ·  {view.term('state', run.state)}"


def run_choices(runs: Sequence[RunInfo], view: View) -> list[tuple[str, str]]:
    return [(run_label(run, view), run.id) for run in runs]


def pick(runs: Sequence[RunInfo], wanted: str | None) -> RunInfo | None:
    """The run a visitor chose while it exists, else the one at work, else the newest that waits, else the newest."""
    fits = (lambda run: run.id == wanted, lambda run: run.active and run.state != "queued", lambda run: run.active, lambda run: True)
    return next((run for fit in fits for run in runs if fit(run)), None)


def forecasts(run: RunInfo) -> bool:
    """Whether its checkpoints forecast; those of a pre-training are only a beginning."""
    return setting(run, "transfer", "method") != "pretrain"


def usable(snapshot: Snapshot) -> list[RunInfo]:
    """Runs that can be asked: they have a checkpoint that forecasts, and nobody is writing it."""
    return [run for run in snapshot.runs if run.checkpoints and not run.active and forecasts(run)]


def asked(snapshot: Snapshot, wanted: str | None) -> RunInfo:
    """The run a question goes to; ``ConfigError`` while there is none."""
    run = pick(usable(snapshot), wanted)
    if run is None:
        raise ConfigError("ui.inference.no_run")
    return run


def within(view: View, label: str, value: float, low: float, high: float) -> float:
    """``value`` of the number field that the catalogue calls ``label``; ``ConfigError`` outside its range.

    The fields carry no range of their own: Gradio refuses the whole event for a number outside it and says nothing.
    """
    if not low <= value <= high:
        raise ConfigError("config.out_of_range", name=view.word(label), value=f"{value:g}", low=f"{low:g}", high=f"{high:g}")
    return value


def checked_date(text: str | None) -> str | None:
    """A date as written, checked before anybody works for it; ``None`` for nothing, ``ConfigError`` for what is none."""
    written = (text or "").strip()
    return str(parse_date(written)) if written else None


# ---------------------------------------------------------------- settings like those of a preset or of a run
FIRST_PRESET = "quick"


def settings_choices(runs: Sequence[RunInfo], view: View) -> list[tuple[str, str]]:
    """The presets, then ``runs``."""
    return [*((view.term("preset", name), name) for name in PRESETS), *run_choices(runs, view)]


def settings_chosen(runs: Sequence[RunInfo], like: str | None) -> str | None:
    """What stays chosen in a list of :func:`settings_choices`."""
    return like if like in PRESETS or like in {run.id for run in runs} else FIRST_PRESET


def settings_like(store: RunStore, like: str | None, name: str) -> RunConfig:
    """The settings of the preset or run a visitor chose, under another ``name``."""
    if like in PRESETS or not like:
        return settings.build({"name": name}, preset=like or FIRST_PRESET)
    return settings.build({"name": name}, base=store.info(like).run_config())
