"""Download: bars from a network source, as a job that the rest of the data tab follows.

In: the page. Out: a form inside the data tab. What a source gives and how it is asked is the market layer's.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import gradio as gr

from financial_model.market.sources.base import Query
from financial_model.market.symbols import parse_symbol
from financial_model.serving.market import plan_download, survey_hosts
from financial_model.ui import data_view, forms
from financial_model.ui.page import Page
from financial_model.ui.text import View

SOURCES = ("tdx", "yahoo")
FIRST = Query().start
PACKETS = ("", "12", "1")
"""Which of the three set-up packets TDX hosts are sent; empty: the usual ones."""
BOARDS = ("main", "chinext", "star", "bse")


def build(page: Page) -> None:
    """The form. ``symbols`` win over the number of stocks and the boards."""
    words = page.words
    words(gr.HTML, {"value": "ui.download.lead"}, html_template='<p class="k-lead">${value}</p>')
    with gr.Group():
        source = words(
            gr.Radio,
            {"label": "ui.download.source", "info": "ui.download.source_info", "choices": [(f"ui.download.{name}", name) for name in SOURCES]},
            value="tdx",
            elem_id="download-source",
        )
        symbols = words(gr.Textbox, {"label": "ui.download.symbols", "info": "ui.download.symbols_info"}, elem_id="download-symbols")
        count = words(
            gr.Slider,
            {"label": "ui.download.count", "info": "ui.download.count_info"},
            minimum=0,
            maximum=6000,
            step=10,
            value=100,
            elem_id="download-count",
        )
        boards = words(
            gr.CheckboxGroup,
            {"label": "ui.download.boards", "choices": [(f"ui.term.board.{name}", name) for name in BOARDS]},
            value=["main", "chinext", "star"],
        )
        exclude_st = words(gr.Checkbox, {"label": "ui.download.exclude_st", "info": "ui.download.exclude_st_info"}, value=False)
    with gr.Group():
        span = forms.span(words, "download-span")
        with gr.Row():
            start = words(gr.Textbox, {"label": "ui.download.start", "info": "ui.download.start_info"}, value=FIRST, elem_id="download-start")
            server = words(gr.Textbox, {"label": "ui.download.server", "info": "ui.download.server_info"}, elem_id="download-server")
            packets = words(
                gr.Dropdown,
                {
                    "label": "ui.download.packets",
                    "info": "ui.download.packets_info",
                    "choices": [(f"ui.packets.{sent or 'all'}", sent) for sent in PACKETS],
                },
                value="",
                elem_id="download-packets",
            )
        words(gr.HTML, {"value": "ui.download.adjustment"}, html_template='<p class="k-lead">${value}</p>')
    with gr.Row():
        begin = words(gr.Button, {"value": "ui.download.begin"}, variant="primary", elem_id="download-begin")
        ask = words(gr.Button, {"value": "ui.plan.ask"}, elem_id="download-ask")
        retry = words(gr.Button, {"value": "ui.download.retry"}, elem_id="download-retry")
    survey = words(gr.Button, {"value": "ui.hosts.ask"}, size="sm", elem_id="download-hosts")
    planned = gr.HTML(elem_id="download-plan")

    def wishes(source: str, symbols: str, count: float, boards: list[str], exclude_st: bool, start: str) -> dict[str, Any]:
        page.services.store.check_source(source)
        wanted = [str(parse_symbol(text)) for text in re.split(r"[\s,，;；]+", symbols.strip()) if text]
        return {
            "source": source,
            "symbols": wanted,
            "count": int(count),
            "start": start.strip(),
            "boards": tuple(boards) if source == "tdx" else (),
            "exclude_st": exclude_st,
        }

    def own(source: str, server: str, packets: str) -> dict[str, str]:
        """The options of a source that are set."""
        given = {"server": server.strip(), "packets": packets if source == "tdx" else ""}
        return {name: value for name, value in given.items() if value}

    def submit(again: bool, *given: Any) -> str:
        *form, server, packets = given
        page.services.jobs.submit("download", **wishes(*form), retry=again, **own(form[0], server, packets))
        return ""

    def plan(view: View, *given: Any) -> str:
        *form, server, packets = given
        options = own(form[0], server, packets)
        return data_view.download_plan(view, plan_download(page.services.workspace, **wishes(*form), options=options))

    def download(view: View, *given: Any) -> str:
        return submit(False, *given)

    def retry_failed(view: View, *given: Any) -> str:
        return submit(True, *given)

    def hosts(view: View, source: str, server: str, packets: str) -> str:
        return data_view.hosts(view, survey_hosts(source, options=own(source, server, packets)))

    def since(view: View, years: str) -> str:
        return forms.years_before(date.today().isoformat(), years) or FIRST

    form = [source, symbols, count, boards, exclude_st, start, server, packets]
    page.on_and_refresh(begin.click, download, form, [planned], trigger_mode="once")
    page.on_and_refresh(retry.click, retry_failed, form, [planned], trigger_mode="once")
    page.on(survey.click, hosts, [source, server, packets], [planned], trigger_mode="once", show_progress="minimal")
    page.on(span.input, since, [span], [start])
    page.on(ask.click, plan, form, [planned], trigger_mode="once", show_progress="minimal")
