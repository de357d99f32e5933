"""REST of jobs: start, list, look at, stop. A job lives on the server; whoever started it may go."""

from __future__ import annotations

from fastapi import APIRouter, status

from financial_model.serving.api.asking import Able, Answer, JobId, Language
from financial_model.serving.api.bodies import Compare, Custom, Import, Sweep, Train, Work

router = APIRouter(tags=["jobs"])


@router.post("/jobs", status_code=status.HTTP_202_ACCEPTED)
def start(able: Able, language: Language, work: Work) -> Answer:
    """Queue a training, a comparison, a sweep, a resumption, an evaluation, a download, an import or a forecast of an upload, a look at the
    universe or at the bars, a ranking that keeps itself current; ``id`` is what to ask for."""
    if isinstance(work, Train):
        return able.start_training(work.settings.model_dump(exclude_unset=True), work.preset, language)
    if isinstance(work, Compare | Sweep):
        values = work.settings.model_dump(exclude_unset=True)
        if isinstance(work, Compare):
            job = able.studies.rival(work.models, work.runs, work.rank_by, values, work.preset, work.comparison)
        else:
            job = able.studies.search(work.space, work.count, work.by, work.prune, values, work.preset, work.sweep)
        return able.job_status(job, language)
    if isinstance(work, Import):
        return able.job_status(able.intake.bring(**work.model_dump(exclude={"kind"})), language)
    if isinstance(work, Custom):
        return able.job_status(able.intake.forecast(work.run, work.upload, work.symbol, work.industry or "", work.days), language)
    return able.submit(work.kind, language, **work.model_dump(exclude={"kind"}, exclude_unset=True, exclude_none=True))


@router.get("/jobs")
def listed(able: Able, language: Language) -> Answer:
    """All remembered jobs, newest first."""
    return {"jobs": able.list_jobs(language)}


@router.get("/jobs/{job}")
def detail(able: Able, language: Language, job: JobId, result: bool = False) -> Answer:
    """How far it is; with ``result`` also what it brought. The id of a run is taken, too."""
    return able.job_status(job, language, result)


@router.post("/jobs/{job}/stop")
def stop(able: Able, language: Language, job: JobId) -> Answer:
    """Ask it to stop; what it has is kept and can be resumed."""
    return able.stop_job(job, language)
