"""A comparison as one HTML file, as rows of text for a terminal or a page, and as a flat table for a spreadsheet.

In: the table of ``comparison.compare`` with the facts ``serving/compare.py`` adds. Out: text. It computes no figure; the words stand in the
catalogue.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from financial_model.datasets.splits import PARTS, iso, seconds
from financial_model.evaluation.comparison import FIGURES, RANKABLE
from financial_model.evaluation.report_words import Words, template
from financial_model.evaluation.svg import timeline, whiskers
from financial_model.paths import atomic_write
from financial_model.text import has, translate

Row = Mapping[str, Any]
SHORT = ("ic", "rank_ic", "time_rank_ic", "direction", "direction_base_rate", "balanced_accuracy", "macro_f1", "mae_percent")
"""Figures of the short table; those that no row has are left out."""
CORRELATIONS = ("ic", "rank_ic", "icir", "time_ic", "time_rank_ic")
"""Figures of which 0 means nothing; the others are drawn around the best baseline."""
RETURNS = ("total_return", "benchmark_return", "sharpe", "max_drawdown", "turnover", "break_even_cost", "deflated_sharpe")
SHARES = ("total_return", "benchmark_return", "max_drawdown", "turnover", "deflated_sharpe")
DASH = "–"


def write_comparison(path: Path, table: Mapping[str, Any], language: str = "en") -> Path:
    """:func:`render_comparison` into a file, atomically. ``StorageError`` when it cannot be written."""
    atomic_write(path, render_comparison(table, language))
    return path


def render_comparison(table: Mapping[str, Any], language: str = "en") -> str:
    """The page as text: opens without a network, style and figures inside, no script, every text escaped."""
    words = Words(language)
    earned = [row for row in table["rows"] if row.get("returns")]
    return template("comparison.html").render(
        name=table["id"], language=language, created=table["created"], synthetic=table["synthetic"], words=words,
        t=lambda key, **fields: translate(f"compare.report.{key}", language, **fields), metric=words.term("metric", table["rank_by"]),
        verdict=[{"level": item["level"], "text": text} for item, text in zip(table["verdict"], sentences(table, language), strict=True)],
        columns=headings(table, language), failed=failures(table, language), charts=_charts(table, words, language),
        rows=[{"name": row_name(row, language), "model": row["kind"] == "model", "cells": _cells(row, table, words)} for row in table["rows"]],
        returns={"columns": [translate(f"compare.returns.{name}", language) for name in RETURNS], "help": returns_help(table, language),
                 "rows": [{"name": row_name(row, language), "cells": returns_cells(row)} for row in earned]},
        timeline=_timeline(table, words), basis=_basis(table, language))


def sentences(table: Mapping[str, Any], language: str) -> list[str]:
    """What the table says, names of metrics and baselines in the reader's words."""
    words = Words(language)

    def named(fields: Mapping[str, Any]) -> dict[str, Any]:
        kinds = {"metric": "metric", "asked": "metric", "baseline": "baseline"}
        return {name: words.term(kinds[name], value) if name in kinds else value for name, value in fields.items()}

    return [translate(item["key"], language, **named(item["fields"])) for item in table["verdict"]]


def failures(table: Mapping[str, Any], language: str) -> list[str]:
    """One sentence for each member that could not be trained."""
    return [translate("compare.failed", language, model=model, reason={"key": entry["key"], "fields": entry["fields"]})
            for model, entry in table["failed"].items()]


def row_name(row: Row, language: str) -> str:
    """The reader's word for a model, a baseline or a constant answer."""
    if row["kind"] == "constant":
        key = f"ui.term.class.{row['name']}"
        return translate("compare.always", language, name=translate(key, language) if has(key) else row["name"])
    if row["kind"] == "baseline":
        return translate("compare.baseline", language, name=Words(language).term("baseline", row["name"]))
    return str(row["name"])


# ---------------------------------------------------------------- the short table
def shown(table: Mapping[str, Any]) -> list[str]:
    """Figures that at least one row has; the one the table is ranked by is always among them."""
    names = [name for name in dict.fromkeys((*SHORT, table["rank_by"])) if any(row["metrics"].get(name) is not None for row in table["rows"])]
    return names if table["rank_by"] in names else [*names, table["rank_by"]]


def headings(table: Mapping[str, Any], language: str) -> list[str]:
    words = Words(language)
    extra = [translate("compare.against", language, name=words.term("baseline", table["best_baseline"]))] if table["best_baseline"] else []
    return [translate("compare.model", language), translate("compare.parameters", language), translate("compare.time", language),
            *(words.term("metric", name) for name in shown(table)), *extra]


def _cells(row: Row, table: Mapping[str, Any], words: Words) -> list[dict[str, str]]:
    """Parameters, time, figures with their intervals, and the paired difference."""
    found = [{"value": count(row.get("parameters")), "interval": ""}, {"value": clock(row.get("seconds")), "interval": ""},
             *words.cells(shown(table), row["metrics"])]
    return found if table["best_baseline"] is None else [*found, {"value": difference(row, table, words, with_interval=False),
                                                                  "interval": difference_interval(row, table, words)}]


def text_cells(row: Row, table: Mapping[str, Any], language: str) -> list[str]:
    """The same for a terminal: the interval of the ranking figure stands with the figure, that of the difference with the difference."""
    words = Words(language)
    cells = [count(row.get("parameters")), clock(row.get("seconds"))]
    for name in shown(table):
        value = words.figure(name, row["metrics"].get(name))
        told = row["kind"] == "model" and name in (table["rank_by"], "direction")
        ends = words.interval(name, row["metrics"].get(f"{name}_interval")) if told else ""
        cells.append(f"{value} [{ends}]" if ends else value)
    return cells if table["best_baseline"] is None else [*cells, difference(row, table, words)]


def difference(row: Row, table: Mapping[str, Any], words: Words, *, with_interval: bool = True) -> str:
    """Model minus the best baseline in the ranking figure; empty for what is no model."""
    paired = (row.get("difference") or {}).get(table["rank_by"])
    if not paired or paired["value"] is None:
        return DASH if row["kind"] == "model" else ""
    text = ("+" if paired["value"] >= 0 else "") + words.figure(table["rank_by"], paired["value"])
    ends = difference_interval(row, table, words)
    return f"{text} [{ends}]" if ends and with_interval else text


def difference_interval(row: Row, table: Mapping[str, Any], words: Words) -> str:
    paired = (row.get("difference") or {}).get(table["rank_by"])
    return words.interval(table["rank_by"], paired["interval"]) if paired else ""


def count(value: Any) -> str:
    """A number of parameters in the unit people use."""
    if not isinstance(value, int | float):
        return ""
    return f"{value / 1e6:.1f} M" if value >= 1e6 else f"{value / 1e3:.0f} K" if value >= 1e3 else str(int(value))


def clock(value: Any) -> str:
    """Seconds as a time."""
    if not isinstance(value, int | float):
        return ""
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


# ---------------------------------------------------------------- what following it would have earned
def returns_cells(row: Row) -> list[str]:
    """The figures of ``RETURNS`` as texts; the cost at which the lead is gone in basis points."""
    earned = row["returns"]
    texts = []
    for name in RETURNS:
        value = earned.get(name)
        if value is None:
            texts.append(DASH)
        elif name in SHARES:
            texts.append(f"{100 * value:.2f} %")
        else:
            texts.append(f"{1e4 * value:.1f} bp" if name == "break_even_cost" else f"{value:.2f}")
    return texts


def returns_help(table: Mapping[str, Any], language: str) -> str:
    """How these returns came about; empty where there are none."""
    earned = next((row["returns"] for row in table["rows"] if row.get("returns")), None)
    if earned is None:
        return ""
    fields = {"bars": earned["bars"], "trials": table["trials"], "year": f"{earned.get('bars_per_year') or 0:,.0f}"}
    return translate(f"compare.returns.help_{earned['way']}", language, **fields)


# ---------------------------------------------------------------- figures and facts of the page
def _charts(table: Mapping[str, Any], words: Words, language: str) -> list[dict[str, str]]:
    """Every row in the ranking figure, and every model's lead over the best baseline, with intervals."""
    metric, sign = table["rank_by"], RANKABLE[table["rank_by"]]
    colours = {"model": 0, "baseline": 1, "constant": 5}
    rows = [(row_name(row, language), row["metrics"][metric], row["metrics"].get(f"{metric}_interval"), colours[row["kind"]])
            for row in table["rows"] if row["metrics"].get(metric) is not None]
    leads = []
    for row in table["rows"]:
        paired = (row.get("difference") or {}).get(metric)
        if paired and paired["value"] is not None:
            ends = sorted(sign * end for end in paired["interval"]) if paired["interval"] else None
            colour = 5 if ends is None else 2 if ends[0] > 0 else 3 if ends[1] < 0 else 5
            leads.append((str(row["name"]), paired["value"], paired["interval"], colour))
    best = next((row["metrics"][metric] for row in table["rows"] if row["kind"] == "baseline" and row["name"] == table["best_baseline"]), 0.0)
    middle = 0.0 if metric in CORRELATIONS else best
    title = translate("compare.report.chart", language, metric=words.term("metric", metric))
    lead = translate("compare.report.chart_lead", language, metric=words.term("metric", metric),
                     name=words.term("baseline", table["best_baseline"] or ""))
    charts = [{"title": title, "svg": whiskers(rows, middle=middle, label=title, value_format=_digits)},
              {"title": lead, "svg": whiskers(leads, label=lead, value_format=_signed)}]
    return [entry for entry in charts if entry["svg"]]


def _digits(value: float) -> str:
    return f"{value:.3f}"


def _signed(value: float) -> str:
    return f"{value:+.3f}"


def _timeline(table: Mapping[str, Any], words: Words) -> str:
    split = table["split"]
    return timeline([(words(f"part_{name}"), float(seconds(split[name]["first"])), float(seconds(split[name]["last"])), style)
                     for style, name in enumerate(PARTS)], words("timeline"))


def basis(table: Mapping[str, Any], language: str) -> list[tuple[str, str]]:
    """On what all rows rest: data, dates, sample, how often was tried."""
    sample, data, split = table["sample"], table["data"], table["split"]
    effective = [row["effective"] for row in table["rows"] if row.get("effective") is not None]
    found = {
        "data": f"{data['stocks']:,} × {data['rows']:,} · {data['first']} … {data['last']} · {data['market']} · {table['fingerprint'][:12]}",
        "bar": _bar(table.get("bar_seconds"), language),
        "split": " | ".join(f"{split[name]['first']} … {split[name]['last']}" for name in PARTS),
        "purge": translate("compare.purge", language, purge=split["purge"], embargo=split["embargo"]),
        "sample": translate("compare.sample", language, rows=f"{sample['rows']:,}", dates=f"{sample['dates']:,}", symbols=sample["symbols"],
                            first=iso(sample["first"]), last=iso(sample["last"])),
        "effective": f"{min(effective):,.0f} … {max(effective):,.0f}" if effective else None,
        "trials": str(table["trials"]), "oracle": None if table["oracle_ic"] is None else f"{table['oracle_ic']:.4f}",
    }
    return [(translate(f"compare.basis.{name}", language), value) for name, value in found.items() if value is not None]


def _bar(seconds: int | None, language: str) -> str | None:
    if not seconds:
        return None
    return translate("compare.daily", language) if seconds >= 86_400 else translate("compare.minutes", language, n=f"{seconds / 60:g}")


def _basis(table: Mapping[str, Any], language: str) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in basis(table, language)]


# ---------------------------------------------------------------- for a spreadsheet
def flat_rows(table: Mapping[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """(column names, one list per row): every figure with its interval's ends, the paired difference, the returns; names as in every JSON."""
    columns = ["place", "kind", "name", "model", "run", "parameters", "seconds", "context_length"]
    for name in FIGURES:
        columns += [name, f"{name}_low", f"{name}_high"]
    columns += ["best_baseline", "difference", "difference_low", "difference_high", "effective", *(f"returns_{name}" for name in RETURNS)]
    return columns, [_flat(row, table) for row in table["rows"]]


def _flat(row: Row, table: Mapping[str, Any]) -> list[Any]:
    cells: list[Any] = [row.get(name) for name in ("place", "kind", "name", "model", "run", "parameters", "seconds", "context_length")]
    for name in FIGURES:
        cells += [row["metrics"].get(name), *_ends(row["metrics"].get(f"{name}_interval"))]
    paired = (row.get("difference") or {}).get(table["rank_by"]) or {}
    cells += [table["best_baseline"] if paired else None, paired.get("value"), *_ends(paired.get("interval")), row.get("effective")]
    return [*cells, *((row.get("returns") or {}).get(name) for name in RETURNS)]


def _ends(interval: Sequence[float] | None) -> list[float | None]:
    return [None, None] if interval is None else list(interval)
