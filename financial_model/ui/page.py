"""What all tabs share: the services behind them, the visitor's view, and the parts that follow the server.

One mechanism serves page load, the two-second timer and the language switch: a live part names a cheap *version* of what it shows, and is drawn
again only when that version is not the one this visitor has seen. Closing or reloading a page therefore loses nothing. A tick looks at the versions
of the tab that is open and, when one has changed, rings that tab's bell; the bell's event draws. (Gradio spends half a millisecond on every output
of an event, skipped or not: one event with all outputs would cost more than the drawing.)
It starts no work by itself and knows no tab.
"""

from __future__ import annotations

import html
import logging
import threading
import time
import uuid
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from typing import Any

import gradio as gr

from financial_model.errors import KairosError
from financial_model.market.store import Store
from financial_model.paths import Workspace
from financial_model.serving.abilities import Abilities
from financial_model.serving.answers import Answering, Answers
from financial_model.serving.jobs import JobService
from financial_model.serving.probe import Prober
from financial_model.serving.runs import ACTIVE, RunInfo, RunStore
from financial_model.serving.tasks import TASKS, Task, questions
from financial_model.ui.components import note
from financial_model.ui.text import View, Words, view_of
from financial_model.ui.theme import READY

logger = logging.getLogger(__name__)

SNAPSHOT_SECONDS = 0.8
"""Visitors who ask within this time share one look at the disk."""


@dataclass(frozen=True)
class Snapshot:
    """Everything live parts are drawn from, taken at one moment."""

    jobs: list[dict[str, Any]]
    """Newest first, as :meth:`JobService.list` gives them."""
    runs: list[RunInfo]
    market: dict[str, Any]

    def active_jobs(self) -> list[dict[str, Any]]:
        return [job for job in self.jobs if job["state"] in ACTIVE]

    def job_of(self, run_id: str) -> dict[str, Any] | None:
        """The training of a run that is going on or was the last; questions to it are other people's."""
        return next((job for job in self.jobs if job["run"] == run_id and job["kind"] in ("train", "resume")), None)

    @property
    def analysis(self) -> dict[str, Any] | None:
        """The last look at the universe, as long as nothing was brought in since."""
        newest = next((job for job in self.jobs if job["kind"] in ("analyze", "download", "import") and job["state"] == "finished"), None)
        if newest is None or newest["kind"] != "analyze":
            return None
        found = newest["result"]
        return found if (found["stocks"], found["rows"]) == (self.market["stocks"], self.market["rows"]) else None

    @property
    def analysis_id(self) -> str:
        """Changes with the analysis; empty while there is none."""
        return str((self.analysis_job or {}).get("id", "")) if self.analysis is not None else ""

    @property
    def analysis_job(self) -> dict[str, Any] | None:
        """The newest look that is being taken, or failed."""
        return next((job for job in self.jobs if job["kind"] == "analyze"), None)

    def run(self, run_id: str | None) -> RunInfo | None:
        return next((run for run in self.runs if run.id == run_id), None)


class Services:
    """The server's side of the page: one object per process, shared by every visitor."""

    def __init__(self, workspace: Workspace, tasks: Mapping[str, Task] = TASKS, answering: Answering | None = None) -> None:
        self.workspace = workspace
        self.answering = answering or Answers(workspace)
        """Who forecasts; loaded models are kept from one question to the next."""
        self.jobs = JobService(workspace, {**tasks, **questions(self.answering)})
        self.runs: RunStore = self.jobs.runs
        self.store = Store(workspace.data_dir)
        self.prober = Prober(workspace)
        self._lock = threading.Lock()
        self._taken = -SNAPSHOT_SECONDS
        self._snapshot: Snapshot | None = None

    @cached_property
    def abilities(self) -> Abilities:
        """What REST, MCP and gradio_client ask for; the same jobs, and the same models loaded."""
        return Abilities(self.workspace, self.jobs, self.answering)

    def close(self) -> None:
        self.jobs.close()
        self.answering.close()

    def names(self) -> dict[str, str]:
        """Symbol -> name of everything in the store, the nameless included."""
        return {**dict.fromkeys(self.store.symbols()["symbol"], ""), **self.store.names()}

    def look_at_universe(self) -> None:
        """Queue an analysis unless the last one still holds or one is under way."""
        snapshot = self.snapshot(fresh=True)
        job = snapshot.analysis_job
        if snapshot.market["stocks"] and snapshot.analysis is None and (job is None or job["state"] not in ("queued", "preparing", "running")):
            self.jobs.submit("analyze")

    def find(self, text: str, limit: int) -> Any:
        """Rows of the store's symbol table that ``text`` could mean (all of them without a text), at most ``limit``."""
        from financial_model.market.symbols import search

        table = self.store.symbols()
        if text and text.strip():
            found = search(text, dict(zip(table["symbol"], table["name"].fillna(""), strict=True)), limit)
            table = table.set_index("symbol", drop=False).loc[found]
        return table.head(limit)

    def expire(self) -> None:
        """Something was changed: the next snapshot must see it."""
        with self._lock:
            self._snapshot = None

    def snapshot(self, *, fresh: bool = False) -> Snapshot:
        with self._lock:
            if fresh or self._snapshot is None or time.monotonic() - self._taken > SNAPSHOT_SECONDS:
                self._snapshot = Snapshot(jobs=self.jobs.list(), runs=self.runs.list(), market=self.store.summary())
                self._taken = time.monotonic()
            return self._snapshot


Preferences = dict[str, str] | None
"""What the browser remembers: language, colours."""


@dataclass(frozen=True)
class Live:
    """A part of the page that follows the server."""

    name: str
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    version: Callable[..., Hashable]
    """(snapshot, *inputs) -> what it shows, cheaply; drawn again when this or the view changes."""
    draw: Callable[..., Sequence[Any]]
    """(view, snapshot, *inputs) -> one value per output."""


BUTTONS = """element.addEventListener('click', event => {
  const button = event.target.closest('button[data-act]');
  if (button) { button.disabled = true; trigger('click', {...button.dataset}); }
});"""
"""Script of an HTML part whose content has buttons of its own; see :meth:`Page.on_button`."""
FIRST_TAB = "data"
OPENED = """(...given) => {
  const tab = document.querySelector('#k-tabs > .tab-wrapper button[role=tab][aria-selected=true]')?.id.match(/^tab-(\\w+)-button$/);
  if (tab) given[3] = tab[1];
  return given;
}"""
"""Script of a tick: its fourth value is the tab that is open (:attr:`Page.opened`)."""
MEMORY, GIVEN, SPOKEN = "memory", "given", "spoken"
Memory = dict[Any, Any]
"""Part -> version a visitor has seen; (SPOKEN, tab) -> the language its words are in."""
STRAIGHT: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "undocumented", "queue": False}
"""For events that answer within milliseconds: Gradio's queue looks for answers only every 50."""


@dataclass(frozen=True)
class TabParts:
    """The live parts of one tab, and what rings when they must be drawn."""

    name: str
    tab: Any
    bell: gr.Number
    tongue: gr.Number
    """Rings when its words must be said in another language."""
    trouble: gr.HTML
    """Where it is said that a part could not be drawn."""
    words: list[Any] = field(default_factory=list)
    """Components whose words are the tab's own."""
    parts: list[Live] = field(default_factory=list)


@dataclass
class Page:
    """The page while it is being built, and what its handlers hold on to."""

    services: Services
    words: Words
    preferences: gr.BrowserState
    forced_language: str | None = None
    frame: list[Live] = field(default_factory=list)
    """Parts outside the tabs."""
    tabs: dict[str, TabParts] = field(default_factory=dict)
    _bells: dict[str, tuple[gr.Number, gr.Number]] = field(default_factory=dict)
    _rings: Iterator[int] = field(default_factory=lambda: count(1))
    """A value no bell had before: counted for each visitor, two ticks at once would ring with the same one, and the second would not be heard."""
    _building: TabParts | None = None
    _refresh_triggers: list[Any] = field(default_factory=list)
    _acted: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.opened = gr.Textbox(FIRST_TAB, visible="hidden", render=False, elem_id="k-opened")
        """Name of the tab this visitor has open: his browser says it with every tick, so that no event that is lost or late can mislead us."""
        self.seen_frame, self.seen_tabs = gr.State({}), gr.State({})
        """Versions this visitor has seen; two memories, so that a tick and a drawing never overwrite each other."""
        self.trouble = gr.HTML(elem_id="k-trouble", render=False)
        """Where it is said that the server's state cannot be read at all."""

    # ------------------------------------------------------------ building
    def open(self, names: Iterable[str]) -> None:
        """Make what the timer needs in the browser, for tabs of these names. Called first and outside the tabs: what is in a closed tab does not
        exist in the browser, and the browser looks for every component from the top of the page on."""
        self.opened.render()
        self._bells = {name: _bells(name) for name in names}

    def live(
        self, name: str, outputs: Sequence[Any], version: Callable[..., Hashable], draw: Callable[..., Sequence[Any]], inputs: Sequence[Any] = ()
    ) -> None:
        """A part that follows the server; it belongs to the tab being built, if there is one."""
        if self._building is None and inputs:
            raise ValueError(f"{name}: a part outside the tabs cannot depend on what a visitor chooses")
        parts = self._building.parts if self._building else self.frame
        parts.append(Live(name, tuple(inputs), tuple(outputs), version, draw))

    @contextmanager
    def building(self, name: str, tab: Any) -> Iterator[None]:
        """Live parts made inside belong to this tab: they cost nothing while another one is open, and are drawn when it is opened."""
        bell, tongue = self._bells.get(name) or _bells(name, render=False)
        self.tabs[name] = self._building = TabParts(name, tab, bell, tongue, gr.HTML())
        before = len(self.words.components)
        yield
        self._building.words.extend(self.words.components[before:])
        self._building = None

    def on(
        self, triggers: Any, action: Callable[..., Any], inputs: Sequence[Any] = (), outputs: Sequence[Any] = (), *, beside: gr.HTML | None = None,
        **options: Any
    ) -> Any:
        """Wire ``action(view, *inputs)`` to one or more events. A user's error is said in the visitor's language: in ``beside``, a part next to what
        he has just filled in or pressed, or as a toast where there is none."""
        settings = {"show_progress": "hidden", "api_visibility": "undocumented", "concurrency_limit": None, **options}

        def handler(request: gr.Request, preferences: Preferences, *values: Any) -> Any:
            view = self.view(preferences, request)
            return self._guarded(view, action, *values) if beside is None else self._beside(view, action, values, outputs, beside)

        handler.__name__ = getattr(action, "__name__", "handler")
        targets = [*outputs, *([] if beside is None or beside in outputs else [beside])]
        return gr.on(triggers if isinstance(triggers, list) else [triggers], handler, [self.preferences, *inputs], targets, **settings)

    def on_select(self, table: gr.Dataframe, action: Callable[..., Any], outputs: Sequence[Any]) -> None:
        """``action(view, row)`` when a row of a table is chosen; ``row`` holds the cells as shown."""

        def handler(request: gr.Request, event: gr.SelectData, preferences: Preferences) -> Any:
            return self._guarded(self.view(preferences, request), action, list(event.row_value or ()))

        event = table.select(
            handler, [self.preferences], list(outputs), show_progress="hidden", api_visibility="undocumented", concurrency_limit=None
        )
        self._acted.append(event)

    def on_button(self, shown: gr.HTML, action: Callable[..., Any], outputs: Sequence[Any] = ()) -> None:
        """Wire ``action(view, data)`` to the buttons drawn inside an HTML part made with :data:`BUTTONS`; ``data``: their ``data-`` attributes."""

        def handler(request: gr.Request, event: gr.EventData, preferences: Preferences) -> Any:
            return self._guarded(self.view(preferences, request), action, {str(name): str(value) for name, value in event._data.items()})

        event = shown.click(
            handler, [self.preferences], list(outputs), show_progress="hidden", api_visibility="undocumented", concurrency_limit=None, queue=False
        )
        self._acted.append(event)

    def on_and_refresh(
        self, triggers: Any, action: Callable[..., Any], inputs: Sequence[Any] = (), outputs: Sequence[Any] = (), **options: Any
    ) -> Any:
        """Like :meth:`on`, then draw at once whatever the action changed instead of at the next tick."""
        event = self.on(triggers, action, inputs, outputs, **options)
        self._acted.append(event)
        return event

    def refresh_on(self, *triggers: Any) -> None:
        """Draw at once when the visitor changes what is shown."""
        self._refresh_triggers += triggers

    def connect(self, timer: Any, *triggers: Any) -> None:
        """Wire the timer, load and preferences (``triggers``) and whatever asked for a refresh. Called once, when all tabs are built.

        No such event asks the browser for more than it must: to gather what stands in forty components takes it a tenth of a second. What the open
        tab depends on is known from its last drawing. Where a visitor has done something, its bell rings in any case, and the drawing asks for what
        stands in that tab alone.
        """
        for shown in self.tabs.values():
            self._connect_tab(shown)
        inputs = list(dict.fromkeys(item for shown in self.tabs.values() for part in shown.parts for item in part.inputs))
        states = [item for item in inputs if isinstance(item, gr.State)]
        bells = [shown.bell for shown in self.tabs.values()]
        outputs = [self.seen_frame, self.trouble, *(item for part in self.frame for item in part.outputs), *bells]

        def tick(request: gr.Request, preferences: Preferences, frame: Memory, tabs: Memory, opened: str, *values: Any) -> dict[Any, Any]:
            known = tabs.get(GIVEN, {})
            given = {item: known[item._id] for item in inputs if item._id in known} | dict(zip(states, values, strict=True))
            return self.tick(self.view(preferences, request), frame, tabs, opened, given)

        def acted(request: gr.Request, preferences: Preferences, frame: Memory, tabs: Memory, opened: str) -> dict[Any, Any]:
            return self.tick(self.view(preferences, request), frame, tabs, opened, None)

        asked = [self.preferences, self.seen_frame, self.seen_tabs, self.opened]
        wiring: dict[str, Any] = {"outputs": outputs, "js": OPENED, **STRAIGHT}
        gr.on([timer, *triggers], tick, [*asked, *states], trigger_mode="once", **wiring)
        if self._refresh_triggers:
            gr.on(self._refresh_triggers, acted, asked, trigger_mode="always_last", **wiring)
        for event in self._acted:
            event.then(acted, asked, trigger_mode="multiple", **wiring)

    def _connect_tab(self, shown: TabParts) -> None:
        inputs = list(dict.fromkeys(item for part in shown.parts for item in part.inputs))
        outputs = list(dict.fromkeys(item for part in shown.parts for item in part.outputs))

        def draw(request: gr.Request, preferences: Preferences, seen: Memory, *values: Any) -> dict[Any, Any]:
            view, given = self.view(preferences, request), dict(zip(inputs, values, strict=True))
            drawn = self.draw(shown.parts, view, seen, given, shown.trouble)
            memory = drawn.pop(MEMORY)
            memory[GIVEN] = {**memory.get(GIVEN, {}), **{item._id: value for item, value in given.items()}}
            return {self.seen_tabs: memory, **drawn, **self.speak(shown, view, memory)}

        def relabel(request: gr.Request, preferences: Preferences, seen: Memory) -> dict[Any, Any]:
            language = self.view(preferences, request).language
            return {self.seen_tabs: {**(seen or {}), (SPOKEN, shown.name): language}, **self.words.updates(language, set(shown.words))}

        gr.on(
            [shown.bell.change, shown.tab.select],
            draw,
            [self.preferences, self.seen_tabs, *inputs],
            [self.seen_tabs, shown.tongue, shown.trouble, *outputs],
            **STRAIGHT,
            trigger_mode="always_last",
        )
        shown.tongue.change(relabel, [self.preferences, self.seen_tabs], [self.seen_tabs, *shown.words], **STRAIGHT).then(None, js=READY)

    # ------------------------------------------------------------ answering
    def view(self, preferences: Preferences, request: gr.Request | None) -> View:
        accept = request.headers.get("accept-language", "") if request is not None and hasattr(request, "headers") else ""
        return view_of(preferences, accept, self.forced_language)

    def tick(self, view: View, frame: Memory, tabs: Memory, opened: str, given: dict[Any, Any] | None) -> dict[Any, Any]:
        """What has changed outside the tabs, drawn; and the bell of the open tab when something on it has changed, or when nobody knows what a
        visitor has just done there (``given`` is None)."""
        try:
            snapshot = self.services.snapshot()
        except KairosError as error:
            return {self.trouble: note(error.message(view.language), "bad")}
        drawn = self.draw(self.frame, view, frame, {}, self.trouble)
        memory, shown = drawn.pop(MEMORY), self.tabs.get(opened)
        if shown is not None and (given is None or not self._spoken(shown, view, tabs)
                                  or any(self._is_news(part, view, snapshot, tabs, given) for part in shown.parts)):
            drawn[shown.bell] = next(self._rings)
        return {self.seen_frame: memory, **drawn}

    def draw(self, parts: Sequence[Live], view: View, seen: Memory, given: dict[Any, Any], trouble: Any = None) -> dict[Any, Any]:
        """Updates of the parts whose version this visitor has not seen yet; under MEMORY what he has seen then."""
        snapshot = self.services.snapshot()
        memory: Memory = dict(seen or {})
        updates: dict[Any, Any] = {}
        troubles: list[str] = []
        for part in parts:
            version = self._version(part, view, snapshot, given)
            if memory.get(part.name) == version:
                continue
            memory[part.name] = version
            try:
                updates.update(zip(part.outputs, part.draw(view, snapshot, *(given[item] for item in part.inputs)), strict=True))
            except KairosError as error:
                troubles.append(error.message(view.language))
            except Exception:  # one broken part must not take the others along; it is logged and shown
                troubles.append(view.word("ui.error.unexpected", id=_logged(part.name)))
        if trouble is not None and (updates or troubles):
            updates[trouble] = "".join(note(text, "bad") for text in dict.fromkeys(troubles))
        return {MEMORY: memory, **updates}

    def speak(self, shown: TabParts, view: View, memory: Memory) -> dict[Any, Any]:
        """The ring for a tab whose words this visitor has in another language, until they have been said (a ring can be lost). To say all of them
        costs the browser a search through the page for each, and nobody looks at the other tabs."""
        return {} if self._spoken(shown, view, memory) else {shown.tongue: next(self._rings)}

    def _spoken(self, shown: TabParts, view: View, memory: Memory) -> bool:
        return bool(memory.get((SPOKEN, shown.name), self.words.language) == view.language)

    def _is_news(self, part: Live, view: View, snapshot: Snapshot, seen: Memory, given: dict[Any, Any]) -> bool:
        """Whether a part must be drawn; one that never was, so that nobody knows what stands beside it, must."""
        return any(item not in given for item in part.inputs) or self._version(part, view, snapshot, given) != seen.get(part.name)

    @staticmethod
    def _version(part: Live, view: View, snapshot: Snapshot, given: dict[Any, Any]) -> Hashable:
        return view, part.version(snapshot, *(given[item] for item in part.inputs))

    def _guarded(self, view: View, action: Callable[..., Any], *values: Any) -> Any:
        try:
            result = action(view, *values)
            self.services.expire()
            return result
        except KairosError as error:
            raise gr.Error(plain(error.message(view.language)), title=view.word("ui.error.title"), print_exception=False) from error
        except gr.Error:
            raise
        except Exception as error:
            raise gr.Error(
                view.word("ui.error.unexpected", id=_logged(repr(action))), title=view.word("ui.error.title"), print_exception=False
            ) from error

    def _beside(self, view: View, action: Callable[..., Any], values: Sequence[Any], outputs: Sequence[Any], beside: gr.HTML) -> dict[Any, Any]:
        try:
            result = self._guarded(view, action, *values)
        except gr.Error as error:
            if not isinstance(error.__cause__, KairosError):
                raise
            return {beside: f'<div role="alert">{note(error.__cause__.message(view.language), "bad")}</div>'}
        given = [result] if len(outputs) == 1 else list(result or ())
        return {beside: "", **dict(zip(outputs, given, strict=True))}


def _bells(name: str, **options: Any) -> tuple[gr.Number, gr.Number]:
    """What rings for a tab: draw what has changed; say its words in another language."""
    bell, tongue = (gr.Number(0, visible="hidden", elem_id=f"{kind}-{name}", **options) for kind in ("bell", "tongue"))
    return bell, tongue


def plain(text: str) -> str:
    """A sentence for a toast, which reads markup: what a visitor wrote into it stays text."""
    return html.escape(text, quote=False)


def _logged(where: str) -> str:
    """Write the traceback of the exception being handled to the log; its id is what the visitor sees."""
    error_id = uuid.uuid4().hex[:8]
    logger.exception("an unexpected error on the page in %s (error %s)", where, error_id)
    return error_id
