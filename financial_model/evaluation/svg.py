"""Small charts as SVG text, for a report that must open anywhere without a network.

In: numbers and texts. Out: one ``<svg>`` element; every text is escaped, colours come from the page's own CSS classes ``c0`` .. ``c5``.
It knows no metric and no language.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

Number = float | None
WIDTH, LEFT, RIGHT, TOP, BOTTOM = 1000, 62, 14, 12, 28
MAX_POINTS = 600


@dataclass(frozen=True, slots=True)
class Line:
    """One series; None breaks it."""

    name: str
    x: Sequence[float]
    y: Sequence[Number]
    style: int = 0
    """Number of the colour class"""
    kind: str = "line"
    """line, dots or bars"""

    def points(self) -> list[tuple[float, float] | None]:
        """One point per x, None where it is unknown."""
        return [(x, y) if y is not None and math.isfinite(x) and math.isfinite(y) else None for x, y in zip(self.x, self.y, strict=True)]


@dataclass(frozen=True, slots=True)
class Level:
    """A horizontal line with a name."""

    name: str
    y: float
    style: int = 5


def number(value: float) -> str:
    """Three significant digits for an axis."""
    return f"{value:.3g}"


def percent(value: float) -> str:
    return f"{100 * value:.3g} %"


def date(value: float) -> str:
    return datetime.fromtimestamp(int(value), UTC).strftime("%Y-%m-%d")


def chart(lines: Sequence[Line], *, levels: Sequence[Level] = (), height: int = 240, x_format: Callable[[float], str] = number,
          y_format: Callable[[float], str] = number, label: str = "", square: bool = False) -> str:
    """Lines, dots and bars over one pair of axes, with a legend; an empty text when there is nothing to draw."""
    lines = [_thinned(line) for line in lines]
    points = [point for line in lines for point in line.points() if point]
    if not points:
        return ""
    xs = [x for x, _ in points]
    ys = [*(y for _, y in points), *(level.y for level in levels), *(0.0 for line in lines if line.kind == "bars")]
    width = height + 60 if square else WIDTH
    frame = _Frame(min(xs), max(xs), *_padded(min(ys), max(ys)), width, height)
    parts = [frame.axes(x_format, y_format), *(frame.draw(line) for line in lines), *(frame.level(level, y_format) for level in levels)]
    named = [(line.name, line.style) for line in lines if line.name] + [(level.name, level.style) for level in levels if level.name]
    rows = _legend(named, width - LEFT)
    for place, row in enumerate(rows):
        names = "".join(f'<tspan class="t{style}" dx="{14 if i else 0}">● {escape(name)}</tspan>' for i, (name, style) in enumerate(row))
        parts.append(f'<text x="{LEFT}" y="{height + 16 + 18 * place}" class="legend">{names}</text>')
    return _svg(width, height + (6 + 18 * len(rows) if rows else 0), "".join(parts), label)


def _legend(named: Sequence[tuple[str, int]], width: int) -> list[list[tuple[str, int]]]:
    """Names in rows that fit ``width`` pixels; letters outside ASCII count as wide ones."""
    rows: list[list[tuple[str, int]]] = []
    room = 0
    for name, style in named:
        needed = 30 + sum(7 if letter.isascii() else 13 for letter in name)
        if not rows or needed > room:
            rows.append([])
            room = width
        rows[-1].append((name, style))
        room -= needed
    return rows


def whiskers(rows: Sequence[tuple[str, float, Sequence[float] | None, int]], *, middle: float = 0.0, label: str = "",
             value_format: Callable[[float], str] = number) -> str:
    """One horizontal interval per row (name, value, interval or None, colour), around a vertical line at ``middle``."""
    if not rows:
        return ""
    ends = [middle, *(row[1] for row in rows), *(end for row in rows if row[2] for end in row[2])]
    low, high = _padded(min(ends), max(ends))
    left, step = 190, 26
    height = step * len(rows) + 30

    def place(value: float) -> float:
        return left + (value - low) / (high - low) * (WIDTH - left - 30)

    parts = [f'<line class="zero" x1="{place(middle):.1f}" x2="{place(middle):.1f}" y1="4" y2="{height - 24}"/>']
    for i, (name, value, interval, style) in enumerate(rows):
        y = step * i + 18
        text = value_format(value) + (f"  [{value_format(interval[0])}, {value_format(interval[1])}]" if interval else "")
        parts.append(f'<text x="{left - 10}" y="{y + 4}" class="tick" text-anchor="end">{escape(name)}</text>')
        if interval:
            parts.append(f'<line class="c{style}" stroke-width="3" x1="{place(interval[0]):.1f}" x2="{place(interval[1]):.1f}" y1="{y}" y2="{y}"/>')
        parts.append(f'<circle class="f{style}" cx="{place(value):.1f}" cy="{y}" r="4.5"><title>{escape(name)}: {escape(text)}</title></circle>')
    for tick in ticks(low, high, 6):
        parts.append(f'<text x="{place(tick):.1f}" y="{height - 8}" class="tick" text-anchor="middle">{escape(value_format(tick))}</text>')
    return _svg(WIDTH, height, "".join(parts), label)


def timeline(parts: Sequence[tuple[str, float, float, int]], label: str = "", span: tuple[float, float] | None = None) -> str:
    """Named stretches of time (name, first, last, colour) on one bar, their dates on pointing at them; ``span``: the time the bar stands for."""
    if not parts:
        return ""
    start, end = span or (min(part[1] for part in parts), max(part[2] for part in parts))
    scale = (WIDTH - 20) / max(end - start, 1)
    drawn = []
    for name, first, last, style in parts:
        x, width = 10 + (first - start) * scale, max((last - first) * scale, 3)
        drawn.append(f'<rect class="f{style}" x="{x:.1f}" y="6" width="{width:.1f}" height="26" rx="4"><title>{escape(name)} {date(first)} – '
                     f'{date(last)}</title></rect>')
        if width > 60:
            drawn.append(f'<text x="{x + width / 2:.1f}" y="24" class="on" text-anchor="middle">{escape(name)}</text>')
    return _svg(WIDTH, 40, "".join(drawn), label)


class _Frame:
    """Data coordinates to pixels."""

    def __init__(self, x_low: float, x_high: float, y_low: float, y_high: float, width: int, height: int) -> None:
        self.x_low, self.y_low, self.y_high = x_low, y_low, y_high
        self.x_high = x_high if x_high > x_low else x_low + 1
        self.width, self.height = width, height

    def x(self, value: float) -> float:
        return LEFT + (value - self.x_low) / (self.x_high - self.x_low) * (self.width - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return self.height - BOTTOM - (value - self.y_low) / (self.y_high - self.y_low) * (self.height - TOP - BOTTOM)

    def axes(self, x_format: Callable[[float], str], y_format: Callable[[float], str]) -> str:
        parts = []
        for tick in ticks(self.y_low, self.y_high, 5):
            y = self.y(tick)
            style = "zero" if abs(tick) < 1e-12 else "grid"
            parts.append(f'<line class="{style}" x1="{LEFT}" x2="{self.width - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
                         f'<text x="{LEFT - 8}" y="{y + 4:.1f}" class="tick" text-anchor="end">{escape(y_format(tick))}</text>')
        count, span = max(2, (self.width - LEFT) // 130), self.x_high - self.x_low
        count = int(span) + 1 if span == int(span) < count else count  # a few whole steps: each has its mark, none has two
        for i in range(count):
            value = self.x_low + (self.x_high - self.x_low) * i / (count - 1)
            anchor = "start" if i == 0 else "end" if i == count - 1 else "middle"
            parts.append(f'<text x="{self.x(value):.1f}" y="{self.height - 8}" class="tick" text-anchor="{anchor}">{escape(x_format(value))}</text>')
        return "".join(parts)

    def draw(self, line: Line) -> str:
        known = [(self.x(point[0]), self.y(point[1])) if point else None for point in line.points()]
        if line.kind == "dots":
            return "".join(f'<circle class="f{line.style}" cx="{p[0]:.1f}" cy="{p[1]:.1f}" r="4"/>' for p in known if p)
        if line.kind == "bars":
            base = self.y(0.0)
            path = "".join(f"M{p[0]:.1f} {base:.1f}V{p[1]:.1f}" for p in known if p)
            return f'<path class="c{line.style} bars" d="{path}"/>'
        pieces, pen = [], False
        for point in known:
            if point:
                pieces.append(f"{'L' if pen else 'M'}{point[0]:.1f} {point[1]:.1f}")
            pen = point is not None
        return f'<path class="c{line.style}" d="{"".join(pieces)}"/>'

    def level(self, level: Level, y_format: Callable[[float], str]) -> str:
        y = self.y(level.y)
        return (f'<line class="c{level.style} dashed" x1="{LEFT}" x2="{self.width - RIGHT}" y1="{y:.1f}" y2="{y:.1f}">'
                f'<title>{escape(level.name)} {escape(y_format(level.y))}</title></line>')


def _svg(width: int, height: int, body: str, label: str) -> str:
    return (f'<svg viewBox="0 0 {width} {height}" width="{width}" role="img" aria-label="{escape(label, quote=True)}" '
            f'xmlns="http://www.w3.org/2000/svg">{body}</svg>')


def _padded(low: float, high: float) -> tuple[float, float]:
    room = 0.06 * (high - low) or max(abs(high), 1e-6) * 0.1
    return low - room, high + room


def ticks(low: float, high: float, count: int) -> list[float]:
    """Round numbers between two ends, about ``count`` of them."""
    raw = (high - low) / max(count, 1)
    size = 10 ** math.floor(math.log10(raw))
    step = size * next(m for m in (1, 2, 2.5, 5, 10) if m * size >= raw * 0.999)
    first = math.ceil(low / step)
    return [round(i * step, 12) for i in range(first, math.floor(high / step) + 1)]


def _thinned(line: Line) -> Line:
    """At most so many points; bars keep their extremes by averaging nothing, so they are only strided."""
    step = -(-len(line.x) // MAX_POINTS)
    return line if step <= 1 else Line(line.name, list(line.x)[::step], list(line.y)[::step], line.style, line.kind)
