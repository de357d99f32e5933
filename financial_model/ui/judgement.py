"""What the test of a model said: beside the baselines, in sentences, in figures.

In: the page and the run picker of the inference tab. Out: components. The test is opened by a job; here its stored result is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import gradio as gr

from financial_model.config import CLASSES, CONDITIONS, RETURN
from financial_model.evaluation.report_words import best_baselines
from financial_model.serving.outcomes import judged_symbols, outcomes
from financial_model.ui import asking, charts, components, results
from financial_model.ui.choosing import asked, pick, setting, usable
from financial_model.ui.page import Page, Snapshot
from financial_model.ui.places import room_for
from financial_model.ui.text import View, count, escape, interval, known, number, percent
from financial_model.ui.timeline import timeline

FIGURES = {"ic": "ic_series", "calibration": "calibration", "scatter": "predicted_actual", "fifths": "five_groups"}
"""Figures that need nothing but the run, in the order in which they stand, and their drawings."""
IC_TINT = 0.15
"""A month with this mean IC has the full colour."""


class EvaluationView:
    """The card with table and verdict, the split, then the figures two by two."""

    def __init__(self, page: Page, picker: gr.Dropdown) -> None:
        self.page, words = page, page.words
        self.ask = words(gr.Button, {"value": "ui.evaluation.ask"}, elem_id="evaluation-ask", elem_classes=["k-act"])
        self.status = gr.HTML()
        self.card = gr.HTML(elem_id="evaluation-card")
        self.plots: dict[str, gr.Plot] = {}
        with gr.Column(visible=False) as self.whole:
            for first in range(0, len(FIGURES), 2):
                with gr.Row():
                    for name, drawing in list(FIGURES.items())[first : first + 2]:
                        with gr.Column(min_width=360):
                            self._title(name)
                            self.plots[name] = room_for(drawing, elem_id=f"evaluation-{name}")
            self.months = gr.HTML(elem_id="evaluation-months")
            with gr.Row():
                with gr.Column(min_width=360):
                    self._title("regimes")
                    self.regimes = room_for("regime_curves", elem_id="evaluation-regimes")
                with gr.Column(min_width=360, visible=False) as self.expert_column:
                    self._title("experts")
                    self.experts = room_for("expert_bars", elem_id="evaluation-experts")
            self._title("outcome")
            self.symbol = words(
                gr.Dropdown,
                {"label": "ui.stock.symbol", "info": "ui.stock.symbol_info"},
                choices=[],
                value=None,
                allow_custom_value=True,
                elem_id="evaluation-symbol",
                elem_classes=["k-narrow"],
            )
            self.outcome = room_for("outcome_lines", elem_id="evaluation-outcome")
            self._title("groups")
            self.dimension = words(
                gr.Radio, {"label": "ui.evaluation.by", "choices": [(f"ui.term.dimension.{name}", name) for name in CONDITIONS]}, value="industry"
            )
            self.by_group = room_for("group_bars", elem_id="evaluation-groups")
            self.group_table = gr.HTML(elem_id="evaluation-group-table")
        self._connect(picker)

    def _title(self, name: str) -> None:
        self.page.words(gr.HTML, {"value": f"ui.evaluation.{name}"}, html_template='<b class="k-title">${value}</b>')

    def _connect(self, picker: gr.Dropdown) -> None:
        page = self.page
        page.on_and_refresh(self.ask.click, self._evaluate, [picker], trigger_mode="once")
        page.live("evaluation.status", [self.status], self._status_version, self._draw_status, [picker])
        page.live(
            "evaluation",
            [self.card, self.whole, self.months, *self.plots.values(), self.regimes, self.expert_column, self.experts, self.symbol],
            lambda snapshot, wanted, symbol: self._version(snapshot, wanted),
            self._draw,
            [picker, self.symbol],
        )
        for name, outputs, draw, choice in (
            ("outcome", [self.outcome], self._draw_outcome, self.symbol),
            ("groups", [self.by_group, self.group_table], self._draw_groups, self.dimension),
        ):
            page.live(f"evaluation.{name}", outputs, lambda snapshot, wanted, by: (self._version(snapshot, wanted), by), draw, [picker, choice])
            page.refresh_on(choice.input)

    def _evaluate(self, view: View, wanted: str | None) -> None:
        services = self.page.services
        asking.ask(services, "evaluate", run=asked(services.snapshot(), wanted).id)

    def _status_version(self, snapshot: Snapshot, wanted: str | None) -> Any:
        return wanted, asking.version(asking.job_of(snapshot, "evaluate", wanted))

    def _draw_status(self, view: View, snapshot: Snapshot, wanted: str | None) -> list[Any]:
        job = asking.job_of(snapshot, "evaluate", wanted)
        if job is None:
            return [""]
        if job["state"] == "finished":
            return [components.notes(view, (job["result"] or {}).get("notes", ()))]
        return [components.progress(view, job, None)]

    def _version(self, snapshot: Snapshot, wanted: str | None) -> Any:
        run = pick(usable(snapshot), wanted)
        return run and results.version(run)

    def _draw(self, view: View, snapshot: Snapshot, wanted: str | None, symbol: str | None) -> list[Any]:
        run = pick(usable(snapshot), wanted)
        found = results.load(run) if run else None
        if run is None or not found:
            return self._without_figures(components.empty(view, "ui.evaluation.empty"))
        result = found["result"]
        if "own_label" in result:  # no return, so none of the figures below
            return self._without_figures(results.card(view, found))
        names, symbols = self.page.services.names(), judged_symbols(run)
        chosen = meant(symbol, symbols, names)
        return [
            results.card(view, found) + f'<div class="k-card">{timeline(view, found["split"])}{confusion(view, result["confusion"])}</div>',
            gr.update(visible=True),
            components.months(view, view.word("ui.evaluation.months"), monthly(result["series"]), compound=False, scale=IC_TINT),
            charts.ic_series(result["series"]["time"], result["series"]["ic"], view),
            charts.calibration(result["calibration"], view),
            charts.predicted_actual(result["scatter"]["predicted"], result["scatter"]["actual"], view),
            charts.five_groups((result.get("tear_sheet") or {}).get("curves") or {}, view),
            charts.regime_curves(result["series"], view),
            gr.update(visible=bool(found.get("experts"))),
            charts.expert_bars(found["experts"], view) if found.get("experts") else gr.skip(),
            gr.update(choices=[(f"{code}  {names.get(code, '')}".strip(), code) for code in symbols], value=chosen),
        ]

    def _without_figures(self, card: str) -> list[Any]:
        hidden = [*self.plots, self.regimes, self.expert_column, self.experts, self.symbol]
        return [card, gr.update(visible=False), "", *(gr.skip() for _ in hidden)]

    def _draw_outcome(self, view: View, snapshot: Snapshot, wanted: str | None, symbol: str | None) -> list[Any]:
        run = pick(usable(snapshot), wanted)
        if run is None or setting(run, "label", "target") not in ("", RETURN):
            return [gr.skip()]
        chosen = meant(symbol, judged_symbols(run), self.page.services.names())
        found = outcomes(run, self.page.services.store, chosen) if chosen else None
        return [gr.update(visible=False) if found is None else gr.update(value=charts.outcome_lines(found, view), visible=True)]

    def _draw_groups(self, view: View, snapshot: Snapshot, wanted: str | None, dimension: str) -> list[Any]:
        run = pick(usable(snapshot), wanted)
        found = results.load(run) if run else None
        if not found:
            return [gr.skip(), ""]
        groups = found["result"].get("groups", {}).get(dimension, {})
        return [charts.group_bars(groups, dimension, view), group_table(view, groups, dimension, best_baselines(found["result"]))]


def meant(text: str | None, symbols: Sequence[str], names: Mapping[str, str]) -> str | None:
    """Which of ``symbols`` a code in any writing, a name or pinyin initials stand for; the first one where they stand for none."""
    from financial_model.market.symbols import search

    if text in symbols or not symbols:
        return text if symbols else None
    found = search((text or "").strip()[:80], {symbol: names.get(symbol, "") for symbol in symbols}, limit=1) if (text or "").strip() else []
    return found[0] if found else symbols[0]


def monthly(series: Mapping[str, Sequence[Any]]) -> dict[str, dict[str, float]]:
    """Year -> month -> mean IC of its dates. ``series``: time (seconds) and ic (None where undefined)."""
    found: dict[str, dict[str, list[float]]] = {}
    for time, value in zip(series["time"], series["ic"], strict=True):
        if known(value):
            day = datetime.fromtimestamp(int(time), UTC)
            found.setdefault(str(day.year), {}).setdefault(str(day.month), []).append(value)
    return {year: {month: sum(values) / len(values) for month, values in months.items()} for year, months in found.items()}


GROUP_FIGURES = ("ic", "rank_ic", "direction", "direction_base_rate", "mae_percent", "coverage_80")


def group_table(view: View, groups: Mapping[str, Mapping[str, Any]], dimension: str, rivals: Sequence[str] = ()) -> str:
    """One row per label of a condition, with the RankIC of the baselines ``rivals`` on the same rows."""
    if not groups:
        return ""
    rows = []
    for name, entry in groups.items():
        bounds = interval(entry.get("rank_ic_interval"))
        rows.append(
            [
                escape(view.term(dimension, name)),
                count(entry.get("names")),
                count(entry.get("rows")),
                number(entry.get("ic")),
                f"{number(entry.get('rank_ic'))}<small>{escape(bounds)}</small>",
                percent(entry.get("direction")),
                percent(entry.get("direction_base_rate")),
                number(entry.get("mae_percent")),
                percent(entry.get("coverage_80")),
                *(number(entry.get("baselines", {}).get(rival)) for rival in rivals),
            ]
        )
    headers = [
        view.term("dimension", dimension),
        view.word("ui.data.stocks"),
        view.word("ui.evaluation.rows"),
        *(view.term("metric", name) for name in GROUP_FIGURES),
        *(view.word("evaluation.report.rival", name=view.term("baseline", rival)) for rival in rivals),
    ]
    return f'<div class="k-card">{components.table(headers, rows)}</div>'


def confusion(view: View, matrix: Sequence[Sequence[int]]) -> str:
    """Rows what happened, columns what was said, with the share of each row."""
    if not matrix or not any(map(sum, matrix)):
        return ""
    rows = []
    for place, line in enumerate(matrix):
        whole = sum(line) or 1
        cells = [
            f'<span class="k-share" style="--share:{value / whole:.2f}">{percent(value / whole, 0)}<small>{count(value)}</small></span>'
            for value in line
        ]
        rows.append([escape(view.term("class", CLASSES[place])), *cells])
    said = [view.word("ui.evaluation.said", name=view.term("class", name)) for name in CLASSES]
    title = f'<b class="k-title">{escape(view.word("ui.evaluation.confusion"))}</b>'
    return f'<div style="height:14px"></div>{title}{components.table([view.word("ui.evaluation.happened"), *said], rows)}'
