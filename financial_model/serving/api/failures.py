"""How REST says no: ``{"error": key, "message": sentence, "id": number}``, in the language of ``Accept-Language``.

In: what a route raised. Out: a JSON answer with a fitting status. An unexpected error is logged under its number; its traceback stays here.
"""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from financial_model.errors import (
    BusyError,
    CheckpointError,
    ConfigError,
    DataError,
    JobError,
    KairosError,
    NotFoundError,
    RateLimitError,
    SourceError,
    StorageError,
)
from financial_model.serving.api.asking import language_of
from financial_model.serving.failures import error_id
from financial_model.serving.faults import told
from financial_model.text import has, translate

logger = logging.getLogger(__name__)

STATUS: tuple[tuple[type[KairosError], int], ...] = (
    (NotFoundError, 404), (ConfigError, 400), (JobError, 409), (BusyError, 429), (RateLimitError, 503), (SourceError, 502), (StorageError, 507),
    (CheckpointError, 422), (DataError, 422), (KairosError, 400),
)


class Failure(BaseModel):
    """Why a request was not done."""

    error: str
    """Key of the sentence: stable, for programs."""
    message: str
    id: str
    """Number of an unexpected error in the log; empty otherwise."""


def status_of(error: KairosError) -> int:
    return next(status for kind, status in STATUS if isinstance(error, kind))


def install(app: FastAPI) -> None:
    """Every way out of a route that is no answer."""

    @app.exception_handler(KairosError)
    async def known(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, KairosError)
        seconds = error.fields.get("seconds") if isinstance(error, BusyError) else None
        sentence = request.app.state.abilities.told(error.message(_language(request)))
        return _said(status_of(error), error.key, sentence, headers={"Retry-After": str(seconds)} if seconds else None)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        language = _language(request)
        return _said(422, "api.invalid", translate("api.invalid", language, details=told(error.errors(), language, 1)))

    @app.exception_handler(HTTPException)
    async def routed(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        key, language = {404: "api.no_route", 405: "api.no_method"}.get(error.status_code, "api.invalid"), _language(request)
        details = told([{"type": "json_invalid", "loc": ("body",), "msg": ""}], language) if error.status_code == 400 else error.detail
        sentence = translate(key, language, path=request.url.path[:120], method=request.method, details=details)
        return _said(error.status_code, key, sentence, headers=error.headers)

    app.add_middleware(LastResort)


def _language(request: Request) -> str:
    return language_of(request.headers.get("accept-language", ""))


def _said(status: int, key: str, message: str, number: str = "", headers: Any = None) -> JSONResponse:
    return JSONResponse(Failure(error=key if has(key) else "api.invalid", message=message, id=number).model_dump(), status, headers)


class LastResort:
    """Whatever reaches this is a bug: it is logged once, and the client gets its number."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except ClientDisconnect:
            logger.info("the sender of %r hung up", scope.get("path", ""))
        except Exception as error:
            if started and isinstance(error.__cause__, HTTPException):  # a stream that ends with a refusal: of a page that is no longer known, say
                logger.info("%r: %s", scope.get("path", ""), error.__cause__.detail)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                return
            number = error_id(error)
            logger.exception("an unexpected error in %r (error %s)", scope.get("path", ""), number)
            if started or scope["type"] != "http":
                raise
            language = language_of(Headers(scope=scope).get("accept-language", ""))
            await _said(500, "api.unexpected", translate("api.unexpected", language, id=number), number)(scope, receive, send)
