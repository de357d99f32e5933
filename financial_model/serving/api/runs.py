"""REST of trained models: the list, one run, its name, its events, its test, its files.

A run is resolved from the server's own list, never from a path.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import FileResponse, PlainTextResponse

from financial_model.errors import NotFoundError, Phrase
from financial_model.paths import resolve_inside
from financial_model.serving.api.asking import Able, Answer, Language, RunName
from financial_model.serving.api.bodies import Rename
from financial_model.serving.judging import REPORT, stored
from financial_model.serving.runs import RunInfo
from financial_model.serving.trials import read_backtest
from financial_model.training.plain import plain

router = APIRouter(tags=["runs"])
Kind = Annotated[str, Path(max_length=40, description="best, last, final, stopped or epochN")]
REPORT_HEADERS = {"Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"}


@router.get("/runs")
def listed(able: Able, language: Language, state: Annotated[str, Query(max_length=20)] = "", limit: Annotated[int, Query(ge=1, le=1000)] = 100,
           offset: Annotated[int, Query(ge=0)] = 0) -> Answer:
    """Every run, newest first."""
    found = [run for run in able.runs.list() if not state or run.state == state]
    return {"total": len(found), "offset": offset, "runs": [able.run(run, language) for run in found[offset:offset + limit]]}


@router.get("/runs/{run}")
def detail(able: Able, language: Language, run: RunName) -> Answer:
    """One run with all its settings."""
    info = able.runs.get(run)
    return {**able.run(info, language), "settings": plain(info.config)}


@router.patch("/runs/{run}")
def rename(able: Able, language: Language, run: RunName, asked: Rename) -> Answer:
    """Give it another name; its id keeps the time. Refused while it is at work."""
    return able.run(able.runs.rename(run, asked.name), language)


@router.delete("/runs/{run}")
def delete(able: Able, run: RunName) -> Answer:
    """Into the trash; `POST /runs/{id}/restore` brings it back until `DELETE /trash`. Refused while it is at work."""
    return {"deleted": able.runs.delete(run)}


@router.post("/runs/{run}/restore")
def restore(able: Able, language: Language, run: Annotated[str, Path(description="id of a deleted run", max_length=80)]) -> Answer:
    """Back from the trash."""
    return able.run(able.runs.restore(run), language)


@router.get("/trash")
def trash(able: Able) -> Answer:
    """How many deleted runs the disk still holds, and the bytes they take."""
    count, size = able.runs.trash.held()
    return {"runs": count, "bytes": size}


@router.delete("/trash")
def empty_trash(able: Able) -> Answer:
    """Delete them for good. That they were tried still counts in the tests of other runs."""
    return {"emptied": able.runs.trash.empty()}


@router.get("/runs/{run}/events")
def events(able: Able, run: RunName, offset: Annotated[int, Query(ge=0, le=2**53, description="`next` of the last answer")] = 0) -> Answer:
    """What happened since ``offset``: steps, epochs, baselines, stages. Ask again with ``next``; an event ``resume`` withdraws later steps."""
    found, following = able.runs.events(run, offset)
    return {"events": plain(found), "next": following}


@router.get("/runs/{run}/curves")
def curves(able: Able, run: RunName, points: Annotated[int, Query(ge=10, le=2000)] = 400) -> Answer:
    """The series a chart draws, thinned: losses, learning rate, gradient norm, baselines, the best point."""
    return plain(able.runs.curves(run, points))


@router.get("/runs/{run}/log", response_class=PlainTextResponse)
def log(able: Able, run: RunName, lines: Annotated[int, Query(ge=1, le=2000)] = 200) -> str:
    """The last lines of its log."""
    return able.runs.log_tail(run, lines)


@router.get("/runs/{run}/evaluation")
def evaluation(able: Able, run: RunName) -> Answer:
    """The last test: metrics beside the baselines, every figure, the split, how often the test was opened."""
    info = able.runs.get(run)
    return plain(stored(info) or _missing(info, "evaluation"))


@router.get("/runs/{run}/backtest")
def backtest(able: Able, run: RunName) -> Answer:
    """The last backtest."""
    info = able.runs.get(run)
    return plain(read_backtest(info) or _missing(info, "backtest"))


@router.get("/runs/{run}/report", response_class=FileResponse)
def report(able: Able, run: RunName) -> FileResponse:
    """The report as one HTML file."""
    info = able.runs.get(run)
    if not (info.path / REPORT).is_file():
        _missing(info, "report")
    return FileResponse(resolve_inside(info.path, REPORT), filename=f"{info.id}.{REPORT}", media_type="text/html", headers=REPORT_HEADERS)


@router.get("/runs/{run}/checkpoint", response_class=FileResponse)
def checkpoint(able: Able, run: RunName) -> FileResponse:
    """The checkpoint that forecasts: one safetensors file, all that another machine needs."""
    return _file(able, run, "")


@router.get("/runs/{run}/checkpoints/{kind}", response_class=FileResponse)
def checkpoint_of(able: Able, run: RunName, kind: Kind) -> FileResponse:
    """One particular checkpoint."""
    return _file(able, run, kind)


def _file(able: Able, run: str, kind: str) -> FileResponse:
    path = able.runs.checkpoint(run, kind)
    return FileResponse(path, filename=f"{able.runs.get(run).id}.{path.name}", media_type="application/octet-stream")


def _missing(info: RunInfo, what: str) -> Answer:
    raise NotFoundError("api.no_result", run=info.id, what=Phrase(f"api.what.{what}"))
