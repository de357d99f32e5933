"""The tables of the head multi's further answers, for the report, the page and the command line.

In: ``tasks`` of an evaluation's result. Out: titles, columns and rows as text. It computes no figure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from financial_model.evaluation.report_words import Words
from financial_model.evaluation.tasks import FIGURES


def task_tables(tasks: Mapping[str, Any] | None, words: Words) -> list[dict[str, Any]]:
    """One table a task: the model, then what costs nothing to say; under each of these, model minus it with its interval."""
    return [_table(name, entry, words) for name, entry in (tasks or {}).items()]


def _table(task: str, entry: Mapping[str, Any], words: Words) -> dict[str, Any]:
    columns = [name for name in FIGURES if any(source.get(name) is not None for source in (entry, *entry["baselines"].values()))]
    rows = [{"name": words("model"), "model": True, "cells": words.cells(columns, entry)}]
    for name, other in entry["baselines"].items():
        naive, minus = words.term("naive", name), words.cells(columns, other["difference"])
        rows += [{"name": naive, "model": False, "cells": words.cells(columns, other)},
                 {"name": words("task_difference", name=naive), "model": False, "cells": minus}]
    return {"title": words.term("task", task), "columns": [words.term("metric", name) for name in columns], "rows": rows}
