"""What this installation has to offer: models with their sizes, settings with their words, features.

In: a language. Out: plain JSON data for the command line and the REST interface. It knows no data and no run.
"""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

from financial_model import config as settings
from financial_model.text import has, translate

TYPICAL_INPUTS = 30
"""Features a model is counted with when its size is shown."""
_COUNTING = threading.Lock()
"""Whoever asks while the models are counted for the first time waits, instead of counting them once more."""


@cache
def models() -> dict[str, Any]:
    """Every backbone with its number of parameters for each way to condition it, the presets and the objectives."""
    with _COUNTING:
        entries = [{"name": name, "shape": shape, "parameters": dict(_counts(name))} for name, shape in settings.BACKBONE_SHAPES.items()]
    return {"models": entries, "inputs": TYPICAL_INPUTS, "presets": settings.PRESETS, "objectives": settings.OBJECTIVES}


@cache
def _counts(backbone: str) -> dict[str, int]:
    """Parameters by condition; all of them are built for it, which takes seconds."""
    from financial_model.models.forecaster import build_forecaster, parameters

    counts = {}
    for mode in settings.CONDITION_MODES:
        chosen = settings.build({"backbone": backbone, "condition": mode}, base=settings.RunConfig())
        model = build_forecaster(chosen.model, head=chosen.head(), inputs=TYPICAL_INPUTS, context_length=chosen.features.context_length,
                                 horizon=chosen.label.horizon)
        counts[mode] = parameters(model)
    return counts


def features() -> dict[str, Any]:
    """Every feature with its group and a line of explanation in both languages."""
    from financial_model.features import registry

    return {"features": registry.describe(), "groups": list(settings.FEATURE_GROUPS)}


def options(language: str = "en") -> list[dict[str, Any]]:
    """Every setting of a run: name, section, kind, default, choices, range, and its words."""
    return [
        {"name": entry.name, "section": entry.section, "kind": entry.kind.__name__, "default": entry.default, "choices": entry.choices,
         "low": entry.low, "high": entry.high, "flag": f"--{entry.flag}", "label": _word(entry.name, "label", language),
         "help": _word(entry.name, "help", language)}
        for entry in settings.fields()
    ]


def _word(name: str, part: str, language: str) -> str:
    key = f"form.{name}.{part}"
    return translate(key, language) if has(key) else name
