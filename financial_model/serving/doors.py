"""The doors for programs beside the page: REST and MCP hung onto the application that serves it, and the guard in front of all of them.

In: the application Gradio made, the abilities, user and password. Out: the same application with more routes. It builds no page.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from financial_model.serving import api
from financial_model.serving.abilities import Abilities
from financial_model.serving.access import Guard, Sessions


@asynccontextmanager
async def opened(app: Any, abilities: Abilities, credentials: tuple[str, str] | None) -> AsyncIterator[None]:
    """To be entered while ``app`` (a Gradio ``App``) starts, before its first request; what MCP keeps running ends with it."""
    sessions = Sessions()
    app.tokens = sessions  # Gradio's own logins end, too
    app.mount(api.PREFIX, api.build(abilities, (lambda: sessions.open(credentials[0])) if credentials else None))
    app.middleware_stack = Guard(app.middleware_stack, sessions=sessions, credentials=credentials, cookies=lambda: _cookies(app))
    yield


def _cookies(app: Any) -> tuple[str, ...]:
    """The names under which Gradio gives a browser its login."""
    return f"access-token-{app.cookie_id}", f"access-token-unsecure-{app.cookie_id}"
