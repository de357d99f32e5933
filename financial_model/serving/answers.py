"""Questions somebody waits for, and who answers them: forecasts of a run and what follows from them.

In: a kind of question and its particulars as plain data. Out: plain data and tables. ``Answers`` answers in this process and keeps the last models
loaded, so that a second question about one does not pay for loading it. It knows no queue and no page.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from financial_model.paths import Workspace

if TYPE_CHECKING:
    import pandas as pd

    from financial_model.serving.predictor import Predictor

Watching = Mapping[str, Any]
"""``progress(stage, done, total)`` and ``stop``, an event; each may be None."""


def rank(predictor: Predictor, watching: Watching, run: str, **filters: Any) -> pd.DataFrame:
    """The stock pool, best first (``Predictor.rank``)."""
    return predictor.rank(run, **filters, **watching)


def forecast(predictor: Predictor, watching: Watching, run: str, **question: Any) -> dict[str, Any]:
    """One stock (``Predictor.forecast``)."""
    return predictor.forecast(run, **question, **watching)


def custom(predictor: Predictor, watching: Watching, run: str, **question: Any) -> dict[str, Any]:
    """A forecast of a table somebody has uploaded (``custom.forecast_file``)."""
    from financial_model.serving.custom import forecast_file

    return forecast_file(predictor.workspace, run, **question, predictor=predictor, **watching)


def orders(predictor: Predictor, watching: Watching, run: str, *, holdings: Sequence[Sequence[Any]] = (), settings: Mapping[str, Any] | None = None,
           **question: Any) -> dict[str, Any]:
    """The orders for the next session (``orders.orders``); ``holdings`` as rows (``holdings.typed_holdings``), ``settings`` by flat names."""
    from financial_model.serving.backtesting import settings_from
    from financial_model.serving.holdings import typed_holdings
    from financial_model.serving.orders import orders as plan

    held, chosen = typed_holdings(holdings), settings_from(settings or {})
    return plan(predictor.workspace, run, held, settings=chosen, predictor=predictor, **question, **watching)


def publish(predictor: Predictor, watching: Watching, run: str, **question: Any) -> dict[str, Any]:
    """A forecast into the journal: its entry."""
    from financial_model.serving.journal_publish import publish as enter

    return enter(predictor.workspace, run, predictor=predictor, **question, **watching)


def score(predictor: Predictor, watching: Watching, run: str = "") -> dict[str, Any]:
    """What became of published forecasts (``journal_score.score``)."""
    from financial_model.serving.journal_score import score as judge

    return judge(predictor.workspace, run)


ANSWERS: Mapping[str, Callable[..., Any]] = {
    "rank": rank, "forecast": forecast, "custom": custom, "orders": orders, "publish": publish, "score": score}


class Answering(Protocol):
    """Who can be asked: :class:`Answers`, or a process beside this one (``beside.py``)."""

    def ask(self, kind: str, *, progress: Callable[..., None] | None = None, stop: threading.Event | None = None, **question: Any) -> Any: ...

    def close(self) -> None: ...


class Answers:
    """Answers in this process; safe to ask from many threads."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    @cached_property
    def predictor(self) -> Predictor:
        from financial_model.serving.predictor import Predictor

        return Predictor(self.workspace)

    def ask(self, kind: str, *, progress: Callable[..., None] | None = None, stop: threading.Event | None = None, **question: Any) -> Any:
        """What ``ANSWERS[kind]`` says. Raises what it raises."""
        return ANSWERS[kind](self.predictor, {"progress": progress, "stop": stop}, **question)

    def close(self) -> None:
        """Nothing is held that has to be let go."""
