"""Download: bars from a network source, as a job that the rest of the data tab follows.

In: the page. Out: a form inside the data tab. What a source gives and how it is asked is the market layer's.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import gradio as gr

from financial_model.market.sources.base import Query, own_sources
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
    page.words(gr.HTML, {"value": "ui.download.lead"}, html_template='<p class="k-lead">${value}</p>')
    DownloadForm(page)


class DownloadForm:
    """Which stocks, since when and from which host; what to do about it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self._build_stocks()
        self._build_span()
        self._build_acts()
        self._connect()

    def _build_stocks(self) -> None:
        words = self.page.words
        with gr.Group():
            self.source = words(
                gr.Radio,
                {
                    "label": "ui.download.source",
                    "info": "ui.download.source_info",
                    "choices": [(f"ui.download.{name}", name) for name in (*SOURCES, *own_sources())],
                },
                value="tdx",
                elem_id="download-source",
            )
            self.symbols = words(gr.Textbox, {"label": "ui.download.symbols", "info": "ui.download.symbols_info"}, elem_id="download-symbols")
            self.count = words(
                gr.Slider,
                {"label": "ui.download.count", "info": "ui.download.count_info"},
                minimum=0,
                maximum=6000,
                step=10,
                value=100,
                elem_id="download-count",
            )
            self.boards = words(
                gr.CheckboxGroup,
                {"label": "ui.download.boards", "choices": [(f"ui.term.board.{name}", name) for name in BOARDS]},
                value=["main", "chinext", "star"],
            )
            self.exclude_st = words(gr.Checkbox, {"label": "ui.download.exclude_st", "info": "ui.download.exclude_st_info"}, value=False)

    def _build_span(self) -> None:
        words = self.page.words
        with gr.Group():
            self.span = forms.span(words, "download-span")
            with gr.Row():
                self.start = words(
                    gr.Textbox, {"label": "ui.download.start", "info": "ui.download.start_info"}, value=FIRST, elem_id="download-start"
                )
                self.server = words(gr.Textbox, {"label": "ui.download.server", "info": "ui.download.server_info"}, elem_id="download-server")
                self.packets = words(
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

    def _build_acts(self) -> None:
        words = self.page.words
        with gr.Row():
            self.begin = words(gr.Button, {"value": "ui.download.begin"}, variant="primary", elem_id="download-begin")
            self.ask = words(gr.Button, {"value": "ui.plan.ask"}, elem_id="download-ask")
            self.retry = words(gr.Button, {"value": "ui.download.retry"}, elem_id="download-retry")
        self.survey = words(gr.Button, {"value": "ui.hosts.ask"}, size="sm", elem_id="download-hosts")
        self.answer = gr.HTML(elem_id="download-plan")

    def _connect(self) -> None:
        page, answer = self.page, [self.answer]
        form = [self.source, self.symbols, self.count, self.boards, self.exclude_st, self.start, self.server, self.packets]
        page.on_and_refresh(self.begin.click, self._download, form, answer, trigger_mode="once", beside=self.answer)
        page.on_and_refresh(self.retry.click, self._retry, form, answer, trigger_mode="once", beside=self.answer)
        page.on(
            self.survey.click, self._hosts, [self.source, self.server, self.packets], answer, trigger_mode="once", show_progress="minimal",
            beside=self.answer,
        )
        page.on(self.span.input, _since, [self.span], [self.start])
        page.on(self.ask.click, self._plan, form, answer, trigger_mode="once", show_progress="minimal", beside=self.answer)

    # ------------------------------------------------------------ acting
    def _download(self, view: View, *form: Any) -> str:
        return self._submit(False, *form)

    def _retry(self, view: View, *form: Any) -> str:
        return self._submit(True, *form)

    def _submit(self, again: bool, *form: Any) -> str:
        *wanted, server, packets = form
        self.page.services.jobs.submit("download", **self._wishes(*wanted), retry=again, **_options(wanted[0], server, packets))
        return ""

    def _plan(self, view: View, *form: Any) -> str:
        *wanted, server, packets = form
        options = _options(wanted[0], server, packets)
        return data_view.download_plan(view, plan_download(self.page.services.workspace, **self._wishes(*wanted), options=options))

    def _hosts(self, view: View, source: str, server: str, packets: str) -> str:
        return data_view.hosts(view, survey_hosts(source, options=_options(source, server, packets)))

    def _wishes(self, source: str, symbols: str, count: float, boards: list[str], exclude_st: bool, start: str) -> dict[str, Any]:
        self.page.services.store.check_source(source)
        return {
            "source": source,
            "symbols": [str(parse_symbol(text)) for text in re.split(r"[\s,，;；]+", symbols.strip()) if text],
            "count": int(count),
            "start": start.strip(),
            "boards": tuple(boards) if source == "tdx" else (),
            "exclude_st": exclude_st,
        }


def _options(source: str, server: str, packets: str) -> dict[str, str]:
    """The options of a source that are set."""
    given = {"server": server.strip(), "packets": packets if source == "tdx" else ""}
    return {name: value for name, value in given.items() if value}


def _since(view: View, years: str) -> str:
    return forms.years_before(date.today().isoformat(), years) or FIRST
