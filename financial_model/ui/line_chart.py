"""A chart of lines that follows something at work: HTML and SVG made on the server, drawn again in place every two seconds.

In: points by series, ranges, words. Out: a string for ``gr.HTML`` made with :data:`POINTING`, which shows the figures under the pointer and opens the
chart on the whole screen. The browser keeps nothing from one drawing to the next, and one drawing serves all visitors. It knows no run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from financial_model.evaluation.svg import ticks
from financial_model.ui.text import escape

Points = tuple[Sequence[float], Sequence[float]]
"""Places on the level axis and the values there, from left to right."""
SIDE = 1000
"""The drawing's own units a side; it is stretched over the place it is given."""
PLAIN = 1e-3, 1e5
"""Between these a number is written out, beyond them with its power of ten."""
LEVEL_DECADES = 0.5
"""A logarithmic axis shorter than this is marked as a level one is."""

POINTING = """
let at = null;
const number = value => {
  const size = Math.abs(value);
  return size && (size < 1e-3 || size >= 1e6) ? value.toExponential(2) : String(+value.toPrecision(4));
};
const nearest = (xs, x) => xs.reduce((best, place, index) => Math.abs(place - x) < Math.abs(xs[best] - x) ? index : best, 0);
const points = path => path.getAttribute('d').slice(1).split('L').map(pair => pair.split(' ').map(Number));
const show = () => {
  const plot = element.querySelector('.k-lines .plot');
  if (!plot) return;
  const tip = plot.querySelector('.tip'), cursor = plot.querySelector('.cursor');
  tip.hidden = cursor.hidden = !at;
  if (!at) return;
  const box = plot.getBoundingClientRect(), x = (at - box.left) / box.width * 1000;
  const [x0, x1, y0, y1] = plot.dataset.range.split(' ').map(Number);
  cursor.style.left = tip.style.left = `${x / 10}%`;
  tip.classList.toggle('left', x > 500);
  const head = document.createElement('b');
  head.textContent = `${plot.dataset.x} ${number(x0 + x / 1000 * (x1 - x0))}`;
  tip.replaceChildren(head, ...[...plot.querySelectorAll('path[data-name]')].flatMap(path => {
    const found = points(path), place = found[nearest(found.map(point => point[0]), x)];
    const level = found.length === 2 && found[0][1] === found[1][1];
    if (!level && Math.abs(place[0] - x) > 60) return [];
    const line = document.createElement('span');
    line.style.setProperty('--line', path.style.stroke);
    const value = y1 - place[1] / 1000 * (y1 - y0);
    line.textContent = `${path.dataset.name}  ${number(plot.dataset.scale === 'log' ? 10 ** value : value)}`;
    return [line];
  }));
};
element.addEventListener('pointermove', event => { at = event.target.closest('.plot') ? event.clientX : null; show(); });
element.addEventListener('pointerleave', () => { at = null; show(); });
element.addEventListener('click', event => {
  if (event.target.closest('button.whole')) document.fullscreenElement ? document.exitFullscreen() : element.requestFullscreen();
});
watch('value', show);
"""
"""Script of the HTML part the chart stands in."""


def lines(
    series: Mapping[str, Points],
    colours: Mapping[str, str],
    *,
    x_range: Sequence[float],
    y_range: Sequence[float],
    x_title: str,
    y_title: str,
    whole: str,
    height: int = 340,
    logarithmic: bool = False,
) -> str:
    """The chart; an empty text where there is no point. ``whole``: what the button to the whole screen is called, ``height`` in pixels.

    What lies beyond the ranges is cut off. A series of one point is drawn as a dot. ``logarithmic``: upwards stand logarithms (base 10); what is
    written beside the axis and under the pointer are the values themselves.
    """
    drawn = {name: points for name, points in series.items() if len(points[0])}
    if not drawn:
        return ""
    x, y = _Axis(*x_range), (_LogAxis if logarithmic else _Axis)(*y_range)
    names = "".join(f'<span style="--line:{colours[name]}">{escape(name)}</span>' for name in drawn)
    below = sorted(drawn, key=lambda name: not _straight(drawn[name]))  # lines to compare with lie under the curves
    paths = "".join(_path(name, colours[name], x, y, drawn[name]) for name in below)
    levels = [(SIDE - y.place(tick), label) for tick, label in y.ticks(5)]
    marks = [(x.place(tick), label) for tick, label in x.ticks(6)]
    grid = "".join(f"M0 {place:.1f}H{SIDE}" for place, _ in levels)
    labels = "".join(f'<i class="y" style="top:{place / 10:.2f}%">{label}</i>' for place, label in levels)
    labels += "".join(f'<i class="x" style="left:{place / 10:.2f}%">{label}</i>' for place, label in marks)
    span = " ".join(f"{end:.10g}" for end in (x.low, x.high, y.low, y.high))
    return (
        f'<div class="k-lines" style="--height:{height}px"><div class="head"><small>{escape(y_title)}</small><div class="names">{names}</div>'
        f'<button type="button" class="whole" aria-label="{escape(whole)}" title="{escape(whole)}">{_CORNERS}</button></div>'
        f'<div class="plot" data-range="{span}" data-scale="{"log" if logarithmic else ""}" data-x="{escape(x_title)}">'
        f'<svg viewBox="0 0 {SIDE} {SIDE}" preserveAspectRatio="none" role="img" aria-label="{escape(y_title)}: {escape(", ".join(drawn))}">'
        f'<path class="grid" d="{grid}"/>{paths}</svg>{labels}<u class="cursor" hidden></u><div class="tip" hidden></div></div>'
        f'<small class="foot">{escape(x_title)}</small></div>'
    )


_CORNERS = '<svg viewBox="0 0 16 16" aria-hidden="true"><path d="M6 2H2V6M10 2H14V6M14 10V14H10M2 10V14H6"/></svg>'


class _Axis:
    """Values to units from 0 at the low end to SIDE at the high one."""

    def __init__(self, low: float, high: float) -> None:
        room = 0.0 if high > low else 0.05 * abs(low) or 0.5
        self.low, self.high = low - room, high + room
        self.scale = SIDE / (self.high - self.low)

    def place(self, value: float) -> float:
        return (value - self.low) * self.scale

    def ticks(self, count: int) -> list[tuple[float, str]]:
        """Round values and how they are written."""
        found = ticks(self.low, self.high, count)
        return list(zip(found, _written(found), strict=True))


class _LogAxis(_Axis):
    """The same for logarithms: its ticks are round values, not round logarithms."""

    def ticks(self, count: int) -> list[tuple[float, str]]:
        width = self.high - self.low
        if width < LEVEL_DECADES:
            found = [tick for tick in ticks(10**self.low, 10**self.high, count) if tick > 0]
            texts = _written(found)
        else:
            every = math.ceil(width / count)
            decades = range(math.floor(self.low), math.floor(self.high) + 1)
            all_ = [step * 10.0**decade for decade in decades if decade % every == 0 for step in ((1, 2, 5) if width <= 2 else (1,))]
            found = [tick for tick in all_ if 10**self.low <= tick <= 10**self.high]
            texts = [f"{tick:g}" for tick in found]
        return [(math.log10(tick), text) for tick, text in zip(found, texts, strict=True)]


def _written(found: Sequence[float]) -> list[str]:
    """Evenly spread values with as many digits as tell them apart."""
    step = found[1] - found[0] if len(found) > 1 else max(map(abs, found), default=1.0) or 1.0
    largest = max(map(abs, found), default=0.0)
    if largest and not PLAIN[0] <= largest < PLAIN[1]:
        return [f"{tick:.3g}" for tick in found]
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    digits += digits > 0 and abs(round(step * 10**digits) - step * 10**digits) > 1e-6
    return [f"{tick + 0.0:.{digits}f}" for tick in found]


def _straight(points: Points) -> bool:
    """Whether it is a level or an upright line."""
    return len(points[0]) == 2 and any(ends[0] == ends[1] for ends in points)


def _path(name: str, colour: str, x: _Axis, y: _Axis, points: Points) -> str:
    pairs = [f"{x.place(across):.1f} {SIDE - y.place(up):.2f}" for across, up in zip(*points, strict=True)]
    way = "L".join(pairs if len(pairs) > 1 else pairs * 2)  # a line to itself is a dot, because its ends are round
    kind = ' class="straight"' if _straight(points) else ""
    return f'<path{kind} data-name="{escape(name)}" style="stroke:{colour}" d="M{way}"/>'
