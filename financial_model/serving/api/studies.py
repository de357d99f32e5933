"""REST of comparisons and sweeps: the list, one of them with its table. They are started and stopped as jobs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from financial_model.serving.api.asking import Able, Answer, Language

router = APIRouter(tags=["comparisons and sweeps"])
Name = Annotated[str, Path(description="its id, or its name: then the newest of that name", max_length=80)]


@router.get("/comparisons")
def comparisons(able: Able) -> Answer:
    """Every comparison, newest first, and whether a job is at it."""
    return {"comparisons": able.studies.comparisons()}


@router.get("/comparisons/{name}")
def comparison(able: Able, language: Language, name: Name) -> Answer:
    """One comparison; `table` holds every model and run on the same dates, ranked, beside the baselines, once all of them are tested."""
    return able.studies.comparison(name, language)


@router.get("/sweeps")
def sweeps(able: Able) -> Answer:
    """Every sweep, newest first, and whether a job is at it."""
    return {"sweeps": able.studies.searches()}


@router.get("/sweeps/{name}")
def sweep(able: Able, name: Name) -> Answer:
    """One sweep; `table` holds its trials, best first, and the test of the best one once it was opened."""
    return able.studies.searched(name)
