"""The start page and its settings, rendered once for everybody who would be sent the same.

In: requests for them. Out: what the application behind answered the first time, also as gzip. Gradio makes both anew for every visitor, which takes
70 ms of its event loop, and sends them uncompressed. It knows no page; the guard stands in front of it.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PATHS = frozenset({"/", "/config"})
DECIDES = ("host", "x-forwarded-host", "x-forwarded-proto", "x-gradio-server")
"""Headers from which Gradio works out the address that stands in the page."""
KEPT = 16
"""Pages kept: a stranger who invents host names fills no memory."""


@dataclass(frozen=True)
class Page:
    """An answer with status 200, as it was and compressed."""

    headers: list[tuple[bytes, bytes]]
    body: bytes
    packed: bytes


class StartPage:
    """ASGI middleware that answers for the application behind it where it knows the answer.

    ``user`` names who asks, by the request's headers; another user, or nobody, is another page. Questions with a query go through.
    """

    def __init__(self, app: ASGIApp, user: Callable[[Headers], str]) -> None:
        self.app, self._user = app, user
        self._pages: dict[tuple[str, ...], Page] = {}
        self._rendering = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD") or scope["path"] not in PATHS or scope.get("query_string"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        key = (scope["path"], scope["scheme"], self._user(headers), *(headers.get(name, "") for name in DECIDES))
        async with self._rendering:
            messages = [] if key in self._pages else await self._asked({**scope, "method": "GET"}, receive)
            page = self._pages.get(key) or _page(messages)
            if page is not None and key not in self._pages:
                while len(self._pages) >= KEPT:
                    del self._pages[next(iter(self._pages))]
                self._pages[key] = page
        for message in messages if page is None else _answer(page, "gzip" in headers.get("accept-encoding", "")):
            await send(message)

    async def _asked(self, scope: Scope, receive: Receive) -> list[Message]:
        messages: list[Message] = []

        async def collect(message: Message) -> None:
            messages.append(message)

        await self.app(scope, receive, collect)
        return messages


def _page(messages: list[Message]) -> Page | None:
    """What may be kept: a plain 200 that sets no cookie."""
    start = next((message for message in messages if message["type"] == "http.response.start"), None)
    if start is None or start["status"] != 200 or {"set-cookie", "content-encoding"} & set(Headers(raw=start["headers"])):
        return None
    body = b"".join(message.get("body", b"") for message in messages if message["type"] == "http.response.body")
    return Page(list(start["headers"]), body, gzip.compress(body, 6, mtime=0))


def _answer(page: Page, packed: bool) -> tuple[Message, Message]:
    start: Message = {"type": "http.response.start", "status": 200, "headers": list(page.headers)}
    headers, body = MutableHeaders(scope=start), page.packed if packed else page.body
    headers["content-length"] = str(len(body))
    headers.add_vary_header("Accept-Encoding")
    if packed:
        headers["content-encoding"] = "gzip"
    return start, {"type": "http.response.body", "body": body}
