"""Named endpoints for ``gradio_client``: the same tools as MCP's, beside the page's own nameless events.

In: the abilities. Out: ``/predict``, ``/rank`` and the others on the Blocks being built. They have no component and draw nothing.
"""

from __future__ import annotations

import gradio as gr

from financial_model.serving import tools
from financial_model.serving.abilities import AT_ONCE, Abilities

FORECASTS = frozenset({"predict", "rank", "analyze_universe"})


def offer(able: Abilities, language: str) -> None:
    """To be called inside ``gr.Blocks``."""
    for function in tools.functions(able, language):
        name = function.__name__
        heavy = {"concurrency_id": "endpoint-forecasts", "concurrency_limit": AT_ONCE} if name in FORECASTS else {"concurrency_limit": None}
        gr.api(tools.telling(function, able, language, _failure), api_name=name, **heavy)


def _failure(sentence: str) -> gr.Error:
    return gr.Error(sentence, print_exception=False)
