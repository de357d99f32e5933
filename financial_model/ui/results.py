"""What the page shows of a run's test: the table beside the baselines, the verdict, the figures. One place, used by three tabs.

In: a run. Out: its stored test result and the HTML made of it. It opens no test: that is the evaluation job's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from financial_model.evaluation.report import fold_table, walked
from financial_model.evaluation.report_tasks import task_tables
from financial_model.evaluation.report_words import Words, best_baselines
from financial_model.serving.judging import EVALUATION, stored
from financial_model.serving.runs import RunInfo
from financial_model.ui import components
from financial_model.ui.downloads import file_stamp
from financial_model.ui.text import View, count, escape, interval, known, number, percent


def version(run: RunInfo) -> tuple[str, int]:
    """Changes when the test of a run is opened (again)."""
    return run.id, file_stamp(run.path / EVALUATION)


def load(run: RunInfo) -> dict[str, Any] | None:
    """The stored test result: metrics, result (every figure and the verdict), split, test_opened."""
    return stored(run)


def card(view: View, found: dict[str, Any] | None) -> str:
    """The table beside the baselines and what it says."""
    if not found:
        return ""
    title = f'<b class="k-title">{escape(view.word("ui.train.result"))}</b>'
    result = found.get("result", {})
    said = components.verdict(view, [*walked(found.get("folds", ())), *result.get("verdict", [])])
    parts = (
        components.metric_table(view, found["metrics"]),
        tasks(view, found),
        said,
        components.notes(view, found.get("missing", ())),
        folds(view, found),
        members(view, found),
        recalibration(view, found),
        sample_line(view, found),
    )
    return f'<div class="k-card">{title}{"".join(parts)}</div>'


def tasks(view: View, found: dict[str, Any]) -> str:
    """What the head multi says besides, beside naive forecasts; nothing for any other head."""
    said = ""
    for entry in task_tables(found.get("result", {}).get("tasks"), Words(view.language)):
        rows = [
            [escape(row["name"]), *(f"{cell['value']}<small>{escape(cell['interval'])}</small>" for cell in row["cells"])] for row in entry["rows"]
        ]
        said += f"<p><b>{escape(entry['title'])}</b></p>{components.table(['', *map(escape, entry['columns'])], rows)}"
    return said


def members(view: View, found: dict[str, Any]) -> str:
    """What the members of an ensemble scored alone and together on the validation part; nothing where there are none."""
    known = found.get("members")
    if not known:
        return ""
    names = [view.word("evaluation.report.member", number=place, seed=entry["seed"]) for place, entry in enumerate(known["alone"], start=1)]
    named = [*zip(names, known["alone"], strict=True), (view.word("evaluation.report.together", count=len(names)), known["together"])]
    rows = [[escape(name), *(number(entry.get(figure), digits) for figure, digits in (("loss", 4), ("rank_ic", 3)))] for name, entry in named]
    table = components.table(["", view.word("ui.curve.loss"), view.term("metric", "rank_ic")], rows)
    return f'<details class="k-more"><summary>{escape(view.word("evaluation.report.members"))}</summary>{table}</details>'


def folds(view: View, found: dict[str, Any]) -> str:
    """Dates and figures of each walk-forward fold beside the best baselines; nothing for a single training."""
    if not found.get("folds"):
        return ""
    words = Words(view.language)
    known = fold_table(found["folds"], words, best_baselines(found["result"]))
    rows = [[str(row["name"]), *map(escape, row["dates"]), *(_cell(cell) for cell in row["cells"])] for row in known["rows"]]
    return f"<p><b>{escape(words('folds'))}</b></p>{components.table(['', *known['columns']], rows)}"


def recalibration(view: View, found: dict[str, Any]) -> str:
    """What adjusting intervals, probabilities and gates on the validation dates changed on the test dates; nothing where it could not be done."""
    known = (found.get("recalibration") or {}).get("rows", [])
    if not known:
        return ""
    words = Words(view.language)
    rows = [
        [escape(words.term("metric", row["name"])), *(escape(words.figure(row["name"], row[side])) for side in ("before", "after"))] for row in known
    ]
    table = components.table(["", words("before"), words("after")], rows)
    return f'<details class="k-more"><summary>{escape(words("recalibration"))}</summary>{table}</details>'


def _cell(cell: dict[str, str]) -> str:
    return escape(cell["value"]) + (f"<small>{escape(cell['interval'])}</small>" if cell["interval"] else "")


def model_line(view: View, found: dict[str, Any] | None) -> str:
    """A model in a sentence, to stand above whatever it is asked: trained and tested on which dates, and what the test said beside the best rival."""
    if not found:
        return components.note(view.word("ui.result.untested"), "warn")
    split, metrics = found.get("split", {}), found["metrics"]
    best = best_rival(metrics)
    said = [view.word(f"ui.result.{part}", first=split[part]["first"], last=split[part]["last"]) for part in ("train", "test") if split.get(part)]
    if known(metrics.get("rank_ic")):
        said.append(f"{view.term('metric', 'rank_ic')} {number(metrics['rank_ic'])} {interval(metrics.get('rank_ic_interval'))}".strip())
    if best:
        said.append(view.word("ui.result.rival", name=view.term("baseline", best[0]), value=number(best[1])))
    if known(metrics.get("direction")):
        bounds = interval(metrics.get("direction_interval"), 1, as_percent=True)
        said.append(f"{view.term('metric', 'direction')} {percent(metrics['direction'])} {bounds}".strip())
        said.append(view.word("ui.result.base_rate", value=percent(metrics.get("direction_base_rate"))))
    return f'<p class="k-lead k-facts">{"".join(f"<span>{escape(part)}</span>" for part in said)}</p>'


def best_rival(metrics: Mapping[str, Any]) -> tuple[str, float] | None:
    """The baseline with the highest RankIC on the same dates, and that RankIC; nothing where none has one."""
    rivals = [(name, row["rank_ic"]) for name, row in metrics.get("baselines", {}).items() if known(row.get("rank_ic"))]
    return max(rivals, key=lambda rival: rival[1], default=None)


def sample_line(view: View, found: dict[str, Any]) -> str:
    """On what the figures rest, in small print."""
    test = found.get("split", {}).get("test", {})
    if not test:
        return ""
    text = view.word(
        "ui.result.sample",
        first=test.get("first", ""),
        last=test.get("last", ""),
        dates=found["metrics"].get("dates", 0),
        rows=count(found["metrics"].get("rows", 0)),
        opened=found.get("test_opened", 1),
    )
    return f'<p class="k-lead" style="margin-top:8px">{escape(text)}</p>'
