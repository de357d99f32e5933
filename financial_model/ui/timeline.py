"""The split by date as a picture: train | purge | validation | purge | test, as long as they are, with dates and counts.

In: a split as ``Split.describe`` gives it, counts of windows where they are known, a view. Out: HTML. It knows no data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from financial_model.ui.text import View, count, escape

PARTS = ("train", "validation", "test")
LETTER = 0.02
"""Share of the bar that a Latin letter takes. A name that does not fit its part is left out: its colour stands beside the name below."""


def timeline(view: View, split: Mapping[str, Any], windows: Mapping[str, int] | None = None) -> str:
    """``windows``: part -> about how many; nothing for a split that is not known."""
    if not all(split.get(part) for part in PARTS):
        return ""
    purge, embargo = int(split.get("purge", 0)), int(split.get("embargo", 0))
    bars, lines = [], []
    whole = sum(int(split[part]["sessions"]) for part in PARTS)
    for part in PARTS:
        found = split[part]
        sessions = int(found["sessions"])
        name = view.word(f"ui.split.{part}")
        letters = sum(1 + (letter > "\u2e80") for letter in name)
        label = escape(name) if sessions >= LETTER * letters * whole else ""
        bars.append(f'<span class="{part}" style="flex-grow:{max(sessions - purge, 1)}">{label}</span>')
        if part != "test":
            gap = view.word("ui.split.purge", sessions=purge + embargo)
            bars.append(f'<span class="purge" style="flex-grow:{max(purge + embargo, 1)}" title="{escape(gap)}"></span>')
        counts = view.word("ui.split.sessions", sessions=count(sessions))
        if windows and part in windows:
            counts += " · " + view.word("ui.split.windows", windows=count(windows[part]))
        lines.append(
            f'<div><i class="{part}"></i><b>{escape(name)}</b><span>{escape(found["first"])} – {escape(found["last"])}</span>'
            f"<small>{escape(counts)}</small></div>"
        )
    purged = f'<p class="k-lead">{escape(view.word("ui.split.purged", sessions=purge))}</p>' if purge else ""
    described = escape(view.word("ui.split.title"))
    return f'<div class="k-split" role="img" aria-label="{described}"><div class="bar">{"".join(bars)}</div>{"".join(lines)}{purged}</div>'
