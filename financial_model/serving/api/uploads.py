"""REST of files that are sent: upload, look, plan. An upload is named by its id; importing and forecasting it are jobs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, status

from financial_model.serving.api.asking import Able, Answer, Language
from financial_model.serving.api.bodies import Reading
from financial_model.serving.intake import ROWS

router = APIRouter(tags=["uploads"])
Id = Annotated[str, Path(description="id of an upload", max_length=40)]
Name = Annotated[str, Query(max_length=200, description="for example 600519.csv: says the kind")]
BODY = {"requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}}


@router.post("/uploads", status_code=status.HTTP_201_CREATED, openapi_extra=BODY)
async def upload(able: Able, request: Request, name: Name) -> Answer:
    """The bytes of a CSV, XLSX, Parquet or ZIP of them, at most 500 MB; kept for an hour after it was last asked for. Nothing is imported yet."""
    return await able.intake.received.take(name, request.stream())


@router.get("/uploads/{upload}/preview")
def preview(able: Able, upload: Id, rows: Annotated[int, Query(ge=1, le=ROWS)] = 20) -> Answer:
    """Its first rows, as they stand in it. Up to 50 MB."""
    with able.gate.enter():
        return able.intake.preview(upload, rows)


@router.post("/uploads/{upload}/plan")
def plan(able: Able, language: Language, upload: Id, asked: Reading) -> Answer:
    """How it would be imported: symbols, rows, which column means what, units, what would be refused and why. Nothing is stored."""
    with able.gate.enter():
        return able.intake.plan(upload, **asked.model_dump(), language=language)
