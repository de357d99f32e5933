"""What the server keeps of every visitor: the states of his page, and nothing that can be had from the page itself.

Gradio keeps for every open page a second copy of the settings of all its components, for links that lead back to a moment ("deep links", which
this page does not offer): with eight hundred components 60 ms of the event loop and a copy of all of them for every page that is loaded. In: Gradio's
application before its first request. Out: the same, lighter. It knows none of our pages.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from gradio.blocks import Blocks
from gradio.state_holder import SessionState, StateHolder

QUEUE_SECONDS = 0.02
"""How often Gradio's queue looks for an event that waits. Its own millisecond costs a twentieth of a core day and night, whether anybody is there
or not, and stops a training in this process as often."""


class Session(SessionState):
    """Gradio's session without the copy."""

    def __init__(self, blocks: Blocks) -> None:
        super().__init__(SimpleNamespace(default_config=blocks.default_config, blocks=()))  # type: ignore[arg-type]

    def __setitem__(self, key: int, value: Any) -> None:
        super().__setitem__(key, value)
        self.config_values.clear()

    def _update_config(self, key: int) -> None:
        """Nothing is copied, so nothing has to be kept up."""

    def _update_value_in_config(self, key: int, value: Any) -> None:
        """As above."""


class Sessions(StateHolder):
    def __getitem__(self, session_id: str) -> SessionState:
        if session_id not in self.session_data:
            self.session_data[session_id] = Session(self.blocks)
        return super().__getitem__(session_id)


def lightened(app: Any) -> Any:
    """``app`` (a Gradio ``App`` that was given its page and has answered nobody yet) with light sessions and a queue that lets others work."""
    blocks: Blocks = app.get_blocks()
    app.state_holder = Sessions()
    app.state_holder.set_blocks(blocks)
    blocks._queue.sleep_when_free = QUEUE_SECONDS
    return app
