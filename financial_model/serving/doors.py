"""The doors for programs beside the page: REST and MCP hung onto the application that serves it, and the guard in front of all of them.

In: the application Gradio made, the abilities, user and password. Out: the same application with more routes. It builds no page.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mcp.server.transport_security import TransportSecuritySettings
from starlette.datastructures import Headers
from starlette.requests import cookie_parser

from financial_model.serving import api, tools
from financial_model.serving.abilities import Abilities
from financial_model.serving.access import Guard, Sessions
from financial_model.serving.start_page import StartPage

GUARDED = TransportSecuritySettings(enable_dns_rebinding_protection=False)
"""Host and origin are looked at by our own guard, for every door alike."""


@asynccontextmanager
async def opened(app: Any, abilities: Abilities, credentials: tuple[str, str] | None, language: str = "en") -> AsyncIterator[None]:
    """To be entered while ``app`` (a Gradio ``App``) starts, before its first request; what MCP keeps running ends with it."""
    sessions = Sessions()
    app.tokens = sessions  # Gradio's own logins end, too
    app.mount(api.PREFIX, api.build(abilities, (lambda: sessions.open(credentials[0])) if credentials else None))
    assistant = tools.server(abilities, language)
    app.router.routes.extend(assistant.streamable_http_app(stateless_http=True, json_response=True, transport_security=GUARDED).routes)
    page = StartPage(app.middleware_stack, lambda headers: _user(headers, app, sessions))
    app.middleware_stack = Guard(page, sessions=sessions, credentials=credentials, cookies=lambda: _cookies(app))
    async with assistant.session_manager.run():
        yield


def _user(headers: Headers, app: Any, sessions: Sessions) -> str:
    """Whom Gradio takes the sender for; empty for nobody."""
    known = cookie_parser(headers.get("cookie", ""))
    return sessions.get(next((known[name] for name in _cookies(app) if known.get(name)), None)) or ""


def _cookies(app: Any) -> tuple[str, ...]:
    """The names under which Gradio gives a browser its login."""
    return f"access-token-{app.cookie_id}", f"access-token-unsecure-{app.cookie_id}"
