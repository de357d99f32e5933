"""The page itself: what stands at the top and bottom, the six tabs, the switches, and how it is served.

In: a workspace. Out: a running page on a free port of this machine. Importing it loads gradio but never torch: jobs load that when they run.
"""

from __future__ import annotations

import os

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # before gradio looks

import errno  # noqa: E402
import logging  # noqa: E402
import socket  # noqa: E402
from dataclasses import dataclass  # noqa: E402
from typing import Any  # noqa: E402

import gradio as gr  # noqa: E402
from starlette.middleware import Middleware  # noqa: E402

from financial_model import extensions
from financial_model.errors import ConfigError, system_reason  # noqa: E402
from financial_model.paths import Workspace  # noqa: E402
from financial_model.serving import apart, doors  # noqa: E402
from financial_model.serving.access import open_to  # noqa: E402
from financial_model.serving.api.failures import LastResort  # noqa: E402
from financial_model.serving.beside import Beside  # noqa: E402
from financial_model.ui import borrowed, components, endpoints, machine, places, sessions, theme, uploads  # noqa: E402
from financial_model.ui.page import STRAIGHT, Page, Preferences, Services, Snapshot  # noqa: E402
from financial_model.ui.tabs import basic, conditional, data, inference, runs, universe  # noqa: E402
from financial_model.ui.text import View, Words, escape  # noqa: E402

logger = logging.getLogger(__name__)

TICK_SECONDS = 2.0
PORTS = 20
"""How many ports from the wished one on are tried."""
SESSIONS = 1000
"""Pages whose states are kept at most; of more, the one unused for longest is forgotten."""
CACHE = (3600, 86_400)
"""Every hour, prepared downloads and uploads older than a day are deleted."""
STORAGE_KEY, STORAGE_SECRET = "kairos-preferences", "kairos-preferences-v1"
"""Fixed, so that what the browser remembers survives a restart of the server. It hides nothing: a language is no secret."""
TABS = (data, universe, basic, conditional, inference, runs)


@dataclass(frozen=True)
class Served:
    """A page that is being served."""

    demo: gr.Blocks
    app: Any
    """The FastAPI application; REST and MCP are on it."""
    url: str
    port: int
    services: Services

    def close(self) -> None:
        self.demo.close()
        self.services.close()


def build(workspace: Workspace, services: Services | None = None, *, language: str | None = None) -> gr.Blocks:
    """The whole page. ``language`` is what visitors see who have not chosen one; without it their browser decides."""
    services = services or Services(workspace)
    words = Words(language or "en")
    with sessions.LightBlocks(title="Kairos", fill_width=True, delete_cache=CACHE) as demo:
        preferences = gr.BrowserState({"language": "", "colours": ""}, storage_key=STORAGE_KEY, secret=STORAGE_SECRET)
        page = Page(services=services, words=words, preferences=preferences, forced_language=language)
        timer = gr.Timer(TICK_SECONDS)
        page.open(tab.__name__.rpartition(".")[2] for tab in TABS)
        with gr.Row(elem_id="k-top"):
            words(gr.HTML, {"value": "ui.brand"}, elem_id="k-brand", html_template=_brand())
            spoken = gr.Radio(
                [("中文", "zh"), ("English", "en")],
                value=words.language,
                show_label=False,
                container=False,
                interactive=True,
                elem_id="k-language",
                elem_classes=["k-switch"],
            )
            colours = words(
                gr.Radio,
                {"choices": [("ui.colours.red_up", "red_up"), ("ui.colours.green_up", "green_up")]},
                value="green_up",
                show_label=False,
                container=False,
                elem_id="k-colours",
                elem_classes=["k-switch"],
            )
            scheme = words(gr.Button, {"value": "ui.theme"}, elem_id="k-theme", size="sm")
        status = gr.HTML(elem_id="k-status")
        page.live("status", [status], lambda snapshot: _status_version(page, snapshot), lambda view, snapshot: [_status(page, view, snapshot)])
        page.trouble.render()
        with gr.Tabs(elem_id="k-tabs", overflow_behavior="wrap"):
            for tab in TABS:
                tab.build(page)
        endpoints.offer(services.abilities, language or "en")
        words(gr.HTML, {"value": "ui.disclaimer"}, html_template='<div class="k-foot">${value}</div>')
        _connect_switches(demo, page, spoken, colours, scheme)
        page.connect(timer.tick, demo.load, preferences.change)
    return demo


def _brand() -> str:
    return f'<div class="k-brand">{theme.logo()}<div><b>Kairos</b><span>${{value}}</span></div></div>'


def _status_version(page: Page, snapshot: Snapshot) -> Any:
    jobs = tuple((job["id"], job["state"], job["stage"], job["done"]) for job in snapshot.active_jobs())
    facts = machine.describe(page.services.workspace.data_dir)
    coarse = tuple(value if isinstance(value, str) else round(value / 2e8) for value in facts.values())  # a megabyte more or less is no news
    return jobs, coarse, snapshot.market.get("stocks"), snapshot.market.get("last")


def _status(page: Page, view: View, snapshot: Snapshot) -> str:
    return components.status_bar(view, machine.describe(page.services.workspace.data_dir), snapshot.market, snapshot.active_jobs())


def _connect_switches(demo: gr.Blocks, page: Page, spoken: gr.Radio, colours: gr.Radio, scheme: gr.Button) -> None:
    """Language, colours of rise and fall, light and dark. The browser remembers; the server only translates."""
    words, shown = page.words, gr.State(page.words.language)
    bell = gr.Number(0, visible="hidden")

    def enter(request: gr.Request, preferences: Preferences, current: str, rung: float) -> dict[Any, Any]:
        view = page.view(preferences, request)
        switches: dict[Any, Any] = {spoken: view.language, colours: _colour_update(view)}
        return switches if view.language == current else switches | {bell: rung + 1}

    def relabel(request: gr.Request, preferences: Preferences) -> dict[Any, Any]:
        view = page.view(preferences, request)
        return {shown: view.language, **words.updates(view.language, others)}

    inside = {part for tab in page.tabs.values() for part in tab.words}  # a tab's own words follow when it is looked at
    others = [part for part in words.components if part not in inside and part is not colours]
    gr.on([demo.load, page.preferences.change], enter, [page.preferences, shown, bell], [spoken, colours, bell], **STRAIGHT)
    bell.change(relabel, page.preferences, [shown, *others], **STRAIGHT)
    spoken.input(None, [page.preferences, spoken], page.preferences, js="(kept, language) => ({...kept, language})", api_visibility="undocumented")
    colours.input(None, [page.preferences, colours], page.preferences, js="(kept, colours) => ({...kept, colours})", api_visibility="undocumented")
    page.preferences.change(None, page.preferences, js=theme.REMEMBER_LANGUAGE, api_visibility="undocumented")
    demo.load(None, js=theme.KEEP_SCHEME, api_visibility="undocumented")
    scheme.click(None, js=theme.TOGGLE_SCHEME, api_visibility="undocumented")


def _colour_update(view: View) -> dict[str, Any]:
    return gr.update(choices=[(view.word(f"ui.colours.{name}"), name) for name in ("red_up", "green_up")], value=view.colours)


def launch(
    host: str = "127.0.0.1", port: int = 7860, *, workspace: Workspace | None = None, auth: tuple[str, str] | None = None, language: str | None = None
) -> Served:
    """Serve the page and return at once. A taken port gives way to the next free one; another machine may come in only with a password.

    Raises ``ConfigError`` when ``host`` is not this machine and ``auth`` is missing, or when no port is free.
    """
    open_to(host, auth)
    extensions.load()
    workspace = workspace or Workspace()
    services = Services(workspace, tasks=apart.TASKS, answering=Beside(workspace))
    demo = build(services.workspace, services, language=language)
    options: dict[str, Any] = {
        "server_name": host,
        "auth": auth,
        "prevent_thread_lock": True,
        "quiet": True,
        "show_error": False,
        "share": False,
        "inbrowser": False,
        "theme": theme.theme(),
        "css": f"{theme.sentences()}\n{places.style()}",
        "css_paths": [theme.ASSETS / "kairos.css"],
        "head": theme.head(language or "en", language) + borrowed.script(),
        "favicon_path": theme.ASSETS / "kairos.svg",
        "footer_links": [],
        "max_file_size": uploads.LIMIT,
        "ssr_mode": False,
        "enable_monitoring": False,
        "run_history": False,
        "mcp_server": False,  # our own is beside the page
        "state_session_capacity": SESSIONS,
        "_frontend": False,  # no second look at the page: one that is not drawn within three seconds on a busy machine would end the start
        "app_kwargs": {
            "lifespan": lambda app: doors.opened(sessions.lightened(app), services.abilities, auth, language or "en"),
            "middleware": [Middleware(LastResort)],  # what goes wrong in Gradio's own routes is told by a number, too
        },
    }
    for candidate in range(port, port + PORTS):
        if not _free(host, candidate):
            continue
        try:
            app, url, _ = demo.launch(server_port=candidate, **options)
        except OSError as error:  # somebody was faster between the look and the bind
            logger.info("port %d was taken meanwhile (%s)", candidate, error)
            continue
        return Served(demo=demo, app=app, url=url.rstrip("/"), port=candidate, services=services)
    services.close()
    raise ConfigError("ui.launch.no_port", first=port, last=port + PORTS - 1)


def _free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        if os.name != "nt":  # on Windows the option would allow two owners of one port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise ConfigError("ui.launch.bad_host", host=escape(host), reason=system_reason(error)) from error
    return True
