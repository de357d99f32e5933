"""REST of logging in: a token for programs that would rather not send the password every time."""

from __future__ import annotations

from fastapi import APIRouter, Request

from financial_model.errors import NotFoundError
from financial_model.serving.access import SESSION_SECONDS
from financial_model.serving.api.asking import Answer

router = APIRouter(tags=["login"])


@router.post("/token")
def token(request: Request) -> Answer:
    """A token for ``Authorization: Bearer``, given for user and password as Basic authentication; it ends when unused for ``expires_in`` seconds."""
    make = request.app.state.open_session
    if make is None:
        raise NotFoundError("api.no_login")
    return {"access_token": make(), "token_type": "bearer", "expires_in": int(SESSION_SECONDS)}
