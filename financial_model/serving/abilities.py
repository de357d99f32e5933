"""What Kairos can be asked from outside the page, once: REST, MCP and gradio_client are three doors to the methods here.

In: a workspace, its job service, a language. Out: plain JSON data. A run is named by id or name, a job by id, a stock by code or name; nothing here
takes a path. It knows no protocol; a ``KairosError`` passes through for the door to say.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from financial_model import __version__
from financial_model import config as settings
from financial_model.errors import BusyError, ConfigError, JobError, KairosError, NotFoundError
from financial_model.market.lookup import stored_symbol
from financial_model.market.store import Store
from financial_model.serving import bases, watch
from financial_model.serving.answers import Answering, Answers
from financial_model.serving.days import parse_date
from financial_model.serving.experiment import require_data
from financial_model.serving.holdings import COLUMNS
from financial_model.serving.intake import Intake, file_name
from financial_model.serving.jobs import DONE, JobService
from financial_model.serving.market import check_download, check_symbols
from financial_model.serving.studies import Studies
from financial_model.text import translate
from financial_model.training.plain import plain

if TYPE_CHECKING:
    from financial_model.paths import Workspace
    from financial_model.serving.runs import RunInfo

logger = logging.getLogger(__name__)

PAGE, MOST = 100, 6000
"""Entries of a list when none are asked for, and at most."""
BARS = 5000
AT_ONCE, WAITING = 2, 8
"""Forecasts and rankings under way at once, and how many may wait; whoever comes after that is told to come back."""
RETRY_SECONDS = 5
ANALYSIS_SECONDS = 60.0
"""How long a caller waits for a look at the universe before he gets the job instead."""
SUBMITTABLE = ("train", "resume", "evaluate", "backtest", "download", "analyze", "integrity", "watch")
"""Kinds of jobs that can be started from outside: all that take no path."""
_BULKY = ("table", "missing", "correlation", "coverage", "regimes")
"""Parts of an analysis that grow with the market; left out of its digest."""


class Gate:
    """Lets ``at_once`` in, ``waiting`` stand in line, and turns the others away with ``BusyError``."""

    def __init__(self, at_once: int = AT_ONCE, waiting: int = WAITING) -> None:
        self._room = threading.BoundedSemaphore(at_once + waiting)
        self._inside = threading.BoundedSemaphore(at_once)

    @contextmanager
    def enter(self) -> Iterator[None]:
        if not self._room.acquire(blocking=False):
            raise BusyError("api.busy", seconds=RETRY_SECONDS)
        try:
            with self._inside:
                yield
        finally:
            self._room.release()


class Abilities:
    """Everything that can be asked for. One per process; safe to use from many threads."""

    def __init__(self, workspace: Workspace, jobs: JobService, answering: Answering | None = None) -> None:
        self.workspace, self.jobs = workspace, jobs
        self.answering = answering or Answers(workspace)
        self.runs, self.store = jobs.runs, Store(workspace.data_dir)
        self.studies, self.intake = Studies(workspace, jobs), Intake(workspace, jobs)
        self.gate = Gate()

    def _ask(self, kind: str, **question: Any) -> Any:
        with self.gate.enter():
            return self.answering.ask(kind, **question)

    def told(self, sentence: str) -> str:
        """A sentence as it leaves this machine: our folders by their own names, for where they lie is nobody's business."""
        for folder in (self.workspace.data_dir, self.workspace.checkpoint_dir):
            for path in {str(folder.resolve()), str(folder)}:
                sentence = sentence.replace(path, folder.name)
        return sentence

    def run(self, info: RunInfo, language: str = "en") -> dict[str, Any]:
        """A run as programs see it."""
        return plain({**info.to_json(language), "message": self.told(info.message(language))})

    def health(self) -> dict[str, Any]:
        """Version, what the store holds, and how much work is under way."""
        active = [job for job in self.jobs.list() if job["state"] not in DONE]
        return plain({"status": "ok", "version": __version__, "market": self.store.summary(), "runs": len(self.runs.list()),
                      "active_jobs": len(active)})

    # ------------------------------------------------------------ the market
    def list_symbols(self, query: str = "", limit: int = PAGE, offset: int = 0) -> dict[str, Any]:
        """Stored stocks in order of their code, or those that ``query`` (a code, a name, pinyin initials) could mean, best first."""
        from financial_model.market.symbols import search

        _within("limit", limit, 1, MOST)
        _within("offset", offset, 0, 10**9)
        table = self.store.symbols()
        if query.strip():
            names = dict(zip(table["symbol"], table["name"].fillna(""), strict=True))
            table = table.set_index("symbol", drop=False).loc[search(query.strip()[:80], names, offset + limit)]
        industries = self.store.industries()
        columns = ["symbol", "name", "board", "source", "rows", "first", "last"]
        rows = table.iloc[offset:offset + limit][columns].to_dict("records")
        return plain({"total": len(table), "offset": offset,
                      "symbols": [{**row, "industry": industries.get(row["symbol"], "unknown")} for row in rows]})

    def bars(self, symbol: str, start: str = "", end: str = "", limit: int = 500) -> dict[str, Any]:
        """The last ``limit`` stored bars of a stock between two dates: raw prices, shares, backward factor."""
        _within("limit", limit, 1, BARS)
        code = stored_symbol(self.store, symbol[:80])
        table = self.store.read_bars(code)
        if start:
            table = table[table["date"] >= parse_date(start)]
        if end:
            table = table[table["date"] < parse_date(end) + 1]
        table = table.tail(limit).assign(date=lambda rows: rows["date"].astype("datetime64[s]").astype(str))
        return {"symbol": code, "name": self.store.names().get(code, ""), "prices": "raw", "bars": plain(table.to_dict("records"))}

    def analyze_universe(self, full: bool = False, language: str = "en") -> dict[str, Any]:
        """Counts by industry, style and regime, the market's regime today, warnings. ``full``: also every stock, regimes by date, correlations.

        The last look is taken as long as it holds; otherwise a new one is made. ``{"job": ..., "state": ...}`` when it takes long: ask again.
        """
        found = self._last_analysis()
        if found is None:
            require_data(self.workspace)
            under_way = next((job for job in self.jobs.list() if job["kind"] == "analyze" and job["state"] not in DONE), None)
            job = under_way["id"] if under_way else self.jobs.submit("analyze").id
            with self.gate.enter():
                ended = self.jobs.wait(job, ANALYSIS_SECONDS)
            if ended["state"] not in DONE:
                return {"job": job, "state": ended["state"]}
            found = _result(ended)
        ribbon = found["regimes"]
        last = ribbon["regime"][-1] if ribbon["regime"] else len(ribbon["names"])
        regime = ribbon["names"][last] if last < len(ribbon["names"]) else "unknown"
        warnings = [translate(note["key"], language, **note["fields"]) for note in found["warnings"]]
        kept = {name: value for name, value in found.items() if full or name not in _BULKY}
        return plain({**kept, "regime": regime, "warnings": warnings})

    def _last_analysis(self) -> dict[str, Any] | None:
        """The newest finished look, unless bars came in since."""
        market = self.store.summary()
        kinds = ("analyze", "download", "import")
        newest = next((job for job in self.jobs.list() if job["kind"] in kinds and job["state"] == "finished"), None)
        held = newest["result"] if newest is not None and newest["kind"] == "analyze" else None
        return held if held is not None and (held["stocks"], held["rows"]) == (market["stocks"], market["rows"]) else None

    # ------------------------------------------------------------ forecasts
    def newest_run(self) -> str:
        """The newest run that can forecast. ``NotFoundError`` while there is none."""
        found = next((run.id for run in self.runs.list() if run.checkpoints and not run.active), None)
        if found is None:
            raise NotFoundError("api.no_model")
        return found

    def predict(self, run: str, symbol: str, as_of: str = "", days: int = 0, checkpoint: str = "", language: str = "en") -> dict[str, Any]:
        """The days after ``as_of`` (default: the newest bar) for one stock: median, ranges, chances, and what a reader must know first."""
        _within("days", days, 0, settings.MAX_HORIZON)
        found = self._ask("forecast", run=run[:80], symbol=symbol[:80], as_of=as_of or None, days=days or None, checkpoint=checkpoint)
        kept = {name: value for name, value in found.items() if name not in ("history", "class_line")}
        return plain({**kept, "notes": _said(found["notes"], language)})

    def rank(self, run: str, top: int = 20, as_of: str = "", min_gain: float | None = None, industry: str = "", checkpoint: str = "",
             language: str = "en") -> dict[str, Any]:
        """The stock pool of a run, best expected return first, at most ``top``; ``min_gain`` is a simple return (0.02 is 2 %)."""
        _within("top", top, 1, MOST)
        table = self._ask("rank", run=run[:80], top=top, as_of=as_of or None, min_gain=min_gain, industry=industry or None, checkpoint=checkpoint)
        facts = table.attrs
        return plain({"run": self.runs.get(run).id, "as_of": facts["as_of"], "days": facts["days"], "considered": facts["considered"],
                      "stocks": table.to_dict("records"), "notes": _said(facts["notes"], language)})

    # ------------------------------------------------------------ what follows a forecast
    def orders(self, run: str, holdings: Sequence[Mapping[str, Any]] = (), capital: float | None = None, cash: float | None = None, as_of: str = "",
               rules: Mapping[str, float] | None = None) -> dict[str, Any]:
        """The orders for the next session (see ``orders.orders``); ``holdings`` are records of symbol, shares, cost, bought."""
        held = [[entry.get(column) for column in COLUMNS] for entry in holdings]
        return self._ask("orders", run=run, holdings=held, capital=capital, cash=cash, settings=dict(rules or {}), as_of=as_of or None)

    def journal(self, run: str = "") -> dict[str, Any]:
        """Published forecasts, newest first, and whether their chain is whole."""
        from financial_model.serving.journal_score import journal_list

        return journal_list(self.workspace, run)

    def journal_score(self, run: str = "") -> dict[str, Any]:
        """Published forecasts against what came."""
        return self._ask("score", run=run)

    def publish(self, run: str, symbol: str = "", as_of: str = "", days: int = 0) -> dict[str, Any]:
        """Publish a forecast of one stock, or of the whole pool; it can never be changed."""
        return self._ask("publish", run=run, symbol=symbol, as_of=as_of or None, days=days or None)

    # ------------------------------------------------------------ work
    def start_training(self, values: Mapping[str, Any] | None = None, preset: str = "quick", language: str = "en") -> dict[str, Any]:
        """Queue a training: settings by name over a preset. The run is there at once; its job tells how far it is."""
        config = bases.begin_with(dict(values or {}), self.runs, preset=preset)
        bases.check(config, self.runs)
        require_data(self.workspace)
        check_symbols(config.universe.symbols)
        job = self.jobs.submit("train", config=config)
        warnings = [translate(problem.key, language, **problem.values) for problem in bases.problems(config, self.runs)]
        return {**self.job_status(job.id, language), "warnings": warnings}

    def submit(self, kind: str, language: str = "en", **parameters: Any) -> dict[str, Any]:
        """Queue a job of another kind; parameters as in ``tasks.py``."""
        if kind not in SUBMITTABLE or kind == "train":
            raise ConfigError("config.not_a_choice", name="kind", value=kind[:40], choices=", ".join(SUBMITTABLE))
        if kind == "download":
            check_download(self.workspace, **parameters)
        elif kind == "integrity":
            check_symbols(parameters.get("symbols", ()))
        elif kind == "watch":
            watch.check(self.workspace, parameters.get("seconds", watch.EVERY))
        return self.job_status(self.jobs.submit(kind, **parameters).id, language)

    def list_jobs(self, language: str = "en") -> list[dict[str, Any]]:
        """All remembered jobs, newest first, without their results."""
        return [self._status(job) for job in self.jobs.list(language)]

    def job_status(self, job: str, language: str = "en", result: bool = False) -> dict[str, Any]:
        """How far a job is. The id of a run is taken, too, and answered from disk when no job of this process belongs to it."""
        try:
            found = self.jobs.snapshot(job, language)
        except NotFoundError:
            of_run = [entry for entry in self.jobs.list(language) if _belongs(entry, job)]
            if not of_run:
                return self._status_on_disk(job, language)
            found = of_run[0]
        answer = self._status(found)
        if found["run"] and found["kind"] in ("train", "resume"):
            answer["metrics"] = self._metrics(found["run"])
            if found["result"]:  # its sentence is of the language in which nobody asked
                found["result"] = {**found["result"], "message": answer["message"]}
        return {**answer, "result": _plain_result(found["result"])} if result else answer

    def _status(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """A job without its result and the fields of its sentence."""
        kept = {name: value for name, value in job.items() if name not in ("result", "message_fields")}
        return plain({**kept, "message": self.told(job["message"])})

    def _metrics(self, run: str) -> dict[str, Any]:
        try:
            return plain(self.runs.info(run).metrics)
        except KairosError as error:  # deleted meanwhile
            logger.info("%s", error)
            return {}

    def _status_on_disk(self, run: str, language: str) -> dict[str, Any]:
        info = self.runs.get(run)
        return plain({"id": "", "kind": "train", "run": info.id, "state": info.state, "stage": "", "done": 0, "total": 0, "eta": None,
                      "created": info.created, "ended": "" if info.active else info.updated, "message": self.told(info.message(language)),
                      "error_id": "", "metrics": info.metrics})

    def stop_job(self, job: str, language: str = "en") -> dict[str, Any]:
        """Ask a job (or the job of a run) to stop; what it has is kept and can be resumed."""
        known = {entry["id"] for entry in self.jobs.list()}
        chosen = job if job in known else next((entry["id"] for entry in self.jobs.list() if _belongs(entry, job)), job)
        self.jobs.stop(chosen)
        try:
            return self.job_status(chosen, language)
        except NotFoundError:  # a training that never began leaves nothing behind
            return {"id": chosen, "state": "stopped"}


def _within(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ConfigError("config.out_of_range", name=name, value=value, low=low, high=high)


def _belongs(job: Mapping[str, Any], run: str) -> bool:
    """Whether the id of a run means this job: not one that merely keeps its ranking current."""
    return job["run"] == run and job["kind"] != "watch"


def _said(notes: list[dict[str, Any]], language: str) -> list[str]:
    return [translate(note["key"], language, **note["fields"]) for note in notes]


def _result(job: Mapping[str, Any]) -> Any:
    """What a job brought; its failure as the error it was."""
    if job["state"] != "finished":
        raise JobError(job["message_key"], **job["message_fields"])
    return job["result"]


def _plain_result(result: Any) -> Any:
    """A job's result as JSON data; a table becomes its rows, and a file is called by its own name: where it lies here is nobody's business."""
    if hasattr(result, "to_dict"):
        times = {name: result[name].astype(str) for name, kind in result.dtypes.items() if kind.kind == "M"}
        return plain(result.assign(**times).to_dict("records"))
    if isinstance(result, Mapping):
        return {str(name): file_name(value) if name == "file" and isinstance(value, str) else _plain_result(value) for name, value in result.items()}
    if isinstance(result, list | tuple):
        return [_plain_result(value) for value in result]
    return plain(result)
