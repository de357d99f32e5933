"""Who may come in: one gate in front of everything the server answers, page, REST and MCP alike.

In: HTTP requests. Out: the same, or a refusal as JSON. Four questions in order: is this the address we answer to (DNS rebinding), does the browser
come from our own page (cross-site requests), does he come too often, has he logged in. It knows no route but by its prefix, and no page.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import re
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from financial_model.errors import ConfigError
from financial_model.text import spoken, translate

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
SESSION_SECONDS = 12 * 3600.0
"""A login that is not used for so long has ended."""
SESSIONS = 1000
BODY_LIMIT = 1_000_000
"""Bytes of a request to REST or MCP: settings and names, never files."""
PAGE_LIMIT = 20_000_000
"""Bytes of what the page sends with an event: what stands in its fields, at most a table of holdings. Files go another way."""
FILES, FILE_LIMIT = "/api/v1/uploads", 500_000_000
"""Where programs send files, and how many bytes one may have."""
PROGRAMS = ("/api/v1", "/mcp")
"""Where programs come in; a login is asked for here. Gradio asks for it at its own doors, and ``GRADIO`` makes sure of that."""
GRADIO = "/gradio_api/"
LOGIN = "/login"
UPLOAD = f"{GRADIO}upload"
"""Here files come in; Gradio counts their bytes as they arrive."""
BEFORE_LOGIN = frozenset({f"{GRADIO}{name}" for name in ("startup-events", "app_id", "user", "login_check", "token", "theme.css")})
"""What the login form and the start of the server need."""
CLOSED = tuple(f"{GRADIO}{name}" for name in ("vibe-", "undo-vibe-", "proxy=", "process_recording", "dev/", "run-history", "runs", "profiling",
                                              "deep_link", "stream/", "custom_component/")) + ("/pwa_icon/", "/openapi.json")
"""Gradio's conveniences for developers and for hosted pages, and its own description of itself; nothing here uses them."""
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([\w.-]*?\w)\.?)(?::\d{1,5})?")
USER, PASSWORD = "KAIROS_USER", "KAIROS_PASSWORD"
"""Environment variables for the login: unlike an argument they do not stand in the list of processes."""
HARDENING = {"X-Content-Type-Options": "nosniff", "X-Frame-Options": "SAMEORIGIN", "Referrer-Policy": "same-origin"}


def credentials(text: str | None) -> tuple[str, str] | None:
    """User and password from ``USER:PASS``, without it from the environment; ``None`` when neither names them.

    Raises ``ConfigError`` when one half is missing, so that nobody believes in a password that is not there.
    """
    if text:
        user, _, password = text.partition(":")
        if not (user and password):
            raise ConfigError("access.bad_auth")
        return user, password
    user, password = os.environ.get(USER, ""), os.environ.get(PASSWORD, "")
    if not user and not password:
        return None
    if not user or not password or ":" in user:
        raise ConfigError("access.bad_environment", user=USER, password=PASSWORD)
    return user, password


def open_to(host: str, auth: tuple[str, str] | None) -> None:
    """Raises ``ConfigError`` where ``host`` lets other machines in and nobody would have to log in."""
    if host not in LOOPBACK and auth is None:
        raise ConfigError("ui.launch.auth_needed", host=host)


class Sessions(dict):
    """Login token -> user; an entry that was not used for ``SESSION_SECONDS`` is gone. Gradio keeps its logins in it, REST its tokens."""

    def __init__(self, seconds: float = SESSION_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._seconds, self._clock = seconds, clock
        self._used: dict[str, float] = {}

    def __setitem__(self, token: str, user: str) -> None:
        for old in [known for known, used in list(self._used.items()) if self._clock() - used > self._seconds]:
            self.pop(old, None)
        while len(self) >= SESSIONS:
            self.pop(min(self._used, key=self._used.__getitem__), None)
        super().__setitem__(token, user)
        self._used[token] = self._clock()

    def get(self, token: str | None, default: Any = None) -> Any:
        used = self._used.get(token) if token else None
        if used is None or token is None:
            return default
        if self._clock() - used > self._seconds:
            self.pop(token, None)
            return default
        self._used[token] = self._clock()
        return super().get(token, default)

    def pop(self, token: str, *default: Any) -> Any:
        self._used.pop(token, None)
        return super().pop(token, *default)

    def __delitem__(self, token: str) -> None:
        self._used.pop(token, None)
        super().__delitem__(token)

    def open(self, user: str) -> str:
        """A new token for ``user``."""
        token = secrets.token_urlsafe(32)
        self[token] = user
        return token


@dataclass(frozen=True)
class Rate:
    """At most ``calls`` within ``seconds`` from one address to what ``covers`` says."""

    name: str
    calls: int
    seconds: float
    covers: Callable[[str, str], bool]
    """(method, path)"""


def _begins(*prefixes: str) -> Callable[[str, str], bool]:
    return lambda method, path: path.startswith(prefixes)


NAMED, EVENTS = tuple(f"{GRADIO}{name}/" for name in ("call", "run", "api")), f"{GRADIO}run/predict"
"""Gradio's ways to a named endpoint, and the one of them on which the page itself sends its ticks."""
WORK = tuple(f"/api/v1/{name}" for name in ("jobs", "predict", "rank", "orders", "journal"))
RATES = (
    Rate("login", 20, 60.0, lambda method, path: method == "POST" and path.rstrip("/") in (LOGIN, "/api/v1/token")),
    Rate("work", 60, 60.0, lambda method, path: method == "POST" and path.startswith(WORK)),
    Rate("reading", 60, 60.0, _begins("/api/v1/universe", "/api/v1/journal")),
    Rate("mcp", 240, 60.0, _begins("/mcp")),
    Rate("upload", 60, 60.0, _begins(UPLOAD, FILES)),
    Rate("named", 120, 60.0, lambda method, path: method == "POST" and path.startswith(NAMED) and path.rstrip("/") != EVENTS),
)
FAILED_LOGINS = Rate("failed", 20, 60.0, lambda method, path: False)


class Counter:
    """How often each address came lately."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._calls: dict[tuple[str, str], deque[float]] = {}

    def wait(self, rate: Rate, address: str, *, count: bool = True) -> float:
        """Seconds until this address may come again; 0 lets it in, and counts it."""
        now = self._clock()
        with self._lock:
            if len(self._calls) > 10_000:
                self._calls = {key: calls for key, calls in self._calls.items() if calls and now - calls[-1] < 600}
            calls = self._calls.setdefault((rate.name, address), deque())
            while calls and now - calls[0] >= rate.seconds:
                calls.popleft()
            if len(calls) >= rate.calls:
                return rate.seconds - (now - calls[0])
            if count:
                calls.append(now)
            return 0.0


@dataclass(frozen=True)
class _Refusal:
    status: int
    key: str
    fields: Mapping[str, Any]
    headers: Mapping[str, str]


def _no(status: int, key: str, headers: Mapping[str, str] | None = None, **fields: Any) -> _Refusal:
    return _Refusal(status, key, fields, headers or {})


class Guard:
    """The gate, as ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, *, sessions: Sessions, credentials: tuple[str, str] | None = None,
                 cookies: Callable[[], tuple[str, ...]] = tuple, rates: tuple[Rate, ...] = RATES) -> None:
        self.app, self.sessions, self.credentials = app, sessions, credentials
        self._cookies, self._rates, self._counter = cookies, rates, Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            if scope["type"] == "http":
                await _answer(refusal, headers)(scope, receive, send)
            else:
                await send({"type": "websocket.close", "code": 1008})
            return

        async def hardened(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HARDENING)
            await send(message)

        await self.app(scope, receive, hardened)

    def _refusal(self, scope: Scope, headers: Headers) -> _Refusal | None:
        path, method, host = scope["path"], scope.get("method", "GET"), headers.get("host", "")
        address = scope["client"][0] if scope.get("client") else "-"
        if self.credentials is None and _name(host) not in LOOPBACK:
            return _no(403, "access.host", host=host[:80])
        origin = _foreign(headers, host, navigating=method in ("GET", "HEAD"))
        if origin is not None:
            return _no(403, "access.origin", origin=origin[:80])
        if path.startswith(CLOSED):
            return _no(404, "access.closed")
        if not path.startswith(UPLOAD):
            if "transfer-encoding" in headers:  # a body whose end nobody has announced
                return _no(411, "api.no_length")
            limit = BODY_LIMIT if path.startswith(PROGRAMS) or path.rstrip("/") == LOGIN else PAGE_LIMIT
            limit = FILE_LIMIT if path.rstrip("/") == FILES else limit
            if int(headers.get("content-length") or 0) > limit:
                return _no(413, "api.too_large", limit=limit // 1000)
        for rate in self._rates:
            if rate.covers(method, path) and (wait := self._counter.wait(rate, address)):
                return _late(wait)
        return self._unknown(path, headers, address)

    def _unknown(self, path: str, headers: Headers, address: str) -> _Refusal | None:
        """Refusal of somebody who has not logged in, where that is needed."""
        if self.credentials is None or not path.startswith((*PROGRAMS, GRADIO)) or path.rstrip("/") in BEFORE_LOGIN:
            return None
        if self._session(headers):
            return None
        given = headers.get("authorization", "")
        if given and (wait := self._counter.wait(FAILED_LOGINS, address, count=False)):
            return _late(wait)
        if given and self.allows(given):
            return None
        if given:
            self._counter.wait(FAILED_LOGINS, address)
        return _no(401, "access.login", {"WWW-Authenticate": 'Basic realm="Kairos", charset="UTF-8"'})

    def _session(self, headers: Headers) -> bool:
        known = cookie_parser(headers.get("cookie", ""))
        return any(self.sessions.get(known.get(name)) is not None for name in self._cookies())

    def allows(self, given: str) -> bool:
        """Whether an ``Authorization`` header names our user (Basic) or a living token (Bearer)."""
        scheme, _, value = given.partition(" ")
        if scheme.lower() == "bearer":
            return self.sessions.get(value.strip()) is not None
        if scheme.lower() != "basic" or self.credentials is None:
            return False
        try:
            text = base64.b64decode(value.strip(), validate=True)
        except (binascii.Error, ValueError):
            return False
        return hmac.compare_digest(text, ":".join(self.credentials).encode())


def _name(host: str) -> str:
    """The host of ``host:port``, brackets of an IPv6 address and a closing dot removed; empty for anything else."""
    match = _HOST.fullmatch(host)
    return (match[1] or match[2]).lower() if match else ""


def _foreign(headers: Headers, host: str, *, navigating: bool) -> str | None:
    """The site a browser comes from when it is not ours. Programs send no Origin; following a link to a page is allowed."""
    origin = headers.get("origin")
    if origin is not None:
        ours = {host.lower(), headers.get("x-forwarded-host", host).lower()}
        return None if origin.lower().partition("://")[2] in ours else origin
    site = headers.get("sec-fetch-site", "none")
    link = navigating and headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    return None if link or site in ("none", "same-origin") else site


def _late(wait: float) -> _Refusal:
    seconds = int(wait) + 1
    return _no(429, "api.too_often", {"Retry-After": str(seconds)}, seconds=seconds)


def _answer(refusal: _Refusal, headers: Headers) -> JSONResponse:
    message = translate(refusal.key, spoken(headers.get("accept-language", "")) or "en", **refusal.fields)
    return JSONResponse({"error": refusal.key, "message": message, "id": ""}, refusal.status, {**HARDENING, **refusal.headers})
