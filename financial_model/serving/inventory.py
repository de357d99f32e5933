"""What this installation has to offer: models with their sizes, settings with their words, features.

In: a language. Out: plain JSON data for the command line and the REST interface. It knows no data and no run.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from financial_model import config as settings
from financial_model.text import has, translate

TYPICAL_INPUTS = 30
"""Features a model is counted with when its size is shown."""


@cache
def models() -> dict[str, Any]:
    """Every backbone with its number of parameters for each way to condition it, the presets and the objectives."""
    from financial_model.models.forecaster import build_forecaster, parameters

    entries: list[dict[str, Any]] = []
    base = settings.RunConfig()
    for backbone in settings.BACKBONE_SHAPES:
        counts = {}
        for mode in settings.CONDITION_MODES:
            chosen = settings.build({"backbone": backbone, "condition": mode}, base=base)
            model = build_forecaster(chosen.model, head=chosen.head(), inputs=TYPICAL_INPUTS, context_length=chosen.features.context_length,
                                     horizon=chosen.label.horizon)
            counts[mode] = parameters(model)
        entries.append({"name": backbone, "shape": settings.BACKBONE_SHAPES[backbone], "parameters": counts})
    return {"models": entries, "inputs": TYPICAL_INPUTS, "presets": settings.PRESETS, "objectives": settings.OBJECTIVES}


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
