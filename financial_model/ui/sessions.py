"""What the server keeps of every visitor, and what an answer costs: Gradio's own machinery, without what this page does not use.

Gradio keeps for every open page a second copy of the settings of all its components, for links that lead back to a moment ("deep links", which
this page does not offer): with eight hundred components 60 ms of the event loop and a copy of all of them for every page that is loaded. It keeps the
pages that were closed, too; it makes a new component of every output of an event, also of one that is skipped; and its queue counts every event, in a
table of ten thousand that is summed up anew after each. And it sends every single value of an event to another thread and back, to turn what a
browser says into what a handler is given: on a machine that trains, sixteen times to stand in line for the processor instead of once. In: Gradio's
page and application before the first request. Out: the same, lighter. It knows none of our pages.
"""

from __future__ import annotations

import copy
import sys
from collections import ChainMap
from collections.abc import Callable
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import anyio
import gradio as gr
from gradio import blocks as engine
from gradio.block_function import BlockFunction
from gradio.blocks import Block, Blocks, BlocksConfig, convert_component_dict_to_list
from gradio.queueing import Queue
from gradio.state_holder import SessionState, StateHolder

QUEUE_SECONDS = 0.02
"""How often Gradio's queue looks for an event that waits. Its own millisecond costs a twentieth of a core day and night, whether anybody is there
or not, and stops a training in this process as often."""
PROGRESS_SECONDS = 0.5
"""How often it looks for progress to report: no event here reports any through Gradio, whose own hundredth of a second keeps the server busy
for nothing."""
CLOSED = 20
"""Closed pages whose states are kept, for a computer that slept: it comes back under the same name."""
GONE, FORGOTTEN = timedelta(minutes=2), timedelta(hours=1)
"""A page whose connection has ended counts as closed when it is not heard of for so long; whatever is not heard of for longer is forgotten."""


SIMPLE = (gr.HTML, gr.Textbox, gr.Number, gr.Slider, gr.Radio, gr.Checkbox, gr.Dropdown, gr.BrowserState, gr.Button, gr.Accordion, gr.Row)
"""Components whose values are handed on within microseconds; tables, figures and files still have a thread for it."""


class _Threads:
    """``anyio.to_thread`` as Gradio's events see it: values of simple components are turned on the spot."""

    def __getattr__(self, name: str) -> Any:
        return getattr(anyio.to_thread, name)

    @staticmethod
    async def run_sync(function: Callable[..., Any], *values: Any, **options: Any) -> Any:
        if getattr(function, "__name__", "") in ("preprocess", "postprocess") and type(getattr(function, "__self__", None)) in SIMPLE:
            return function(*values)
        return await anyio.to_thread.run_sync(function, *values, **options)


class _Anyio:
    """``anyio``, but for that."""

    to_thread = _Threads()

    def __getattr__(self, name: str) -> Any:
        return getattr(anyio, name)


class LightBlocks(gr.Blocks):
    """Gradio's page, that spends nothing on the outputs an event leaves alone."""

    async def postprocess_data(self, block_fn: BlockFunction, predictions: list[Any] | dict[Any, Any], state: SessionState | None) -> list[Any]:
        if not (isinstance(predictions, dict) and predictions and all(isinstance(key, Block) for key in predictions)):
            return await super().postprocess_data(block_fn, predictions, state)
        values = convert_component_dict_to_list(list(block_fn.outputs), predictions)
        values = values if len(block_fn.outputs) > 1 else [values]  # Gradio unpacks a single one
        told = [place for place, value in enumerate(values) if not (isinstance(value, dict) and value == gr.skip())]  # a value may be a table
        answer: list[Any] = [None if output.stateful else gr.skip() for output in block_fn.outputs]
        if told:
            less = copy.copy(block_fn)
            less.outputs = [block_fn.outputs[place] for place in told]
            chosen = [values[place] for place in told]
            for place, value in zip(told, await super().postprocess_data(less, chosen if len(told) > 1 else chosen[0], state), strict=True):
                answer[place] = value
        return answer


class Session(SessionState):
    """Gradio's session, which holds what differs from the page as it was built and nothing else."""

    def __init__(self, blocks: Blocks) -> None:
        built = blocks.default_config
        own = BlocksConfig(built.root_block)
        own.blocks, own.fns, own.fn_id = ChainMap({}, built.blocks), built.fns, built.fn_id  # type: ignore[assignment]
        super().__init__(SimpleNamespace(default_config=SimpleNamespace(blocks={}), blocks=()))  # type: ignore[arg-type]
        self.blocks_config = own

    def __setitem__(self, key: int, value: Any) -> None:
        super().__setitem__(key, value)
        self.config_values.clear()

    def _update_config(self, key: int) -> None:
        """Nothing is copied, so nothing has to be kept up."""

    def _update_value_in_config(self, key: int, value: Any) -> None:
        """As above."""


class Sessions(StateHolder):
    """Every page that is open, and the last few that were."""

    def __getitem__(self, session_id: str) -> SessionState:
        if session_id not in self.session_data:
            self.session_data[session_id] = Session(self.blocks)
            self._forget(datetime.now())
        return super().__getitem__(session_id)

    def _forget(self, now: datetime) -> None:
        """Drop the pages that nobody will come back to; the first are those that were not heard of for longest."""
        queue = self.blocks._queue
        with self.lock:
            quiet = {name: now - self.time_last_used.get(name, now) for name in self.session_data}
            closed = [name for name, session in self.session_data.items() if session.is_closed and quiet[name] > GONE]
            for name in {*closed[:-CLOSED], *(name for name, passed in quiet.items() if passed > FORGOTTEN)}:
                for kept in (self.session_data, self.time_last_used, queue.pending_messages_per_session, queue.pending_event_ids_session):
                    kept.pop(name, None)


def lightened(app: Any) -> Any:
    """``app`` (a Gradio ``App`` that was given its page and has answered nobody yet) with light sessions and a queue that lets others work."""
    blocks: Blocks = app.get_blocks()
    engine.anyio = _Anyio()  # type: ignore[assignment]
    app.state_holder = Sessions()
    app.state_holder.set_blocks(blocks)
    _quieten(blocks._queue)
    return app


def _quieten(queue: Queue) -> None:
    queue.sleep_when_free = QUEUE_SECONDS
    queue.progress_update_sleep_when_free = PROGRESS_SECONDS
    queue.ANALYTICS_MAX_EVENTS = 1
    queue.ANAYLTICS_CACHE_FREQUENCY = sys.maxsize  # the name is Gradio's: after how many events the table is summed up
