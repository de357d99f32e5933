"""The download form submits what it says, and refuses what cannot be before a job begins."""

import gradio as gr
import pytest

from financial_model.errors import DataError
from financial_model.ui import components
from financial_model.ui.tabs import download
from financial_model.ui.text import View


class Jobs:
    def __init__(self):
        self.submitted = []

    def submit(self, kind, **parameters):
        self.submitted.append((kind, parameters))


class Store:
    def check_source(self, source):
        if source == "forbidden":
            raise DataError("store.synthetic_here", folder="x")


class FakePage:
    """Collects the actions instead of wiring them."""

    def __init__(self):
        self.services = type("Services", (), {"jobs": Jobs(), "store": Store()})()
        self.actions = []

    def words(self, kind, texts, **options):
        return kind(**{key: value for key, value in options.items() if key not in ("value",)}) if kind is not gr.HTML else gr.HTML()

    def on_and_refresh(self, trigger, action, inputs, outputs=(), **options):
        self.actions.append(action)

    on = on_and_refresh


@pytest.fixture
def page():
    fake = FakePage()
    with gr.Blocks():
        download.build(fake)
    return fake


GIVEN = dict(source="tdx", symbols="", count=50, boards=["main"], exclude_st=True, start="2020-01-01", server="", packets="")


def press(page, which, **changes):
    page.actions[which](None, *{**GIVEN, **changes}.values())
    return page.services.jobs.submitted[-1]


def test_what_is_chosen_is_what_is_asked_for(page):
    kind, asked = press(page, 0)
    assert kind == "download"
    assert asked == {"source": "tdx", "symbols": [], "count": 50, "start": "2020-01-01", "boards": ("main",), "exclude_st": True, "retry": False}


def test_symbols_are_read_in_every_spelling_and_a_host_is_passed_on(page):
    _, asked = press(page, 0, symbols=" 600519，sz000001; 300750.SZ ", server=" 127.0.0.1:7709 ")
    assert asked["symbols"] == ["600519.SH", "000001.SZ", "300750.SZ"]
    assert asked["server"] == "127.0.0.1:7709"


def test_set_up_packets_are_a_matter_of_tdx_hosts(page):
    assert press(page, 0, packets="12")[1]["packets"] == "12"
    assert "packets" not in press(page, 0, source="yahoo", packets="12")[1]


def test_a_wrong_symbol_is_refused_before_a_job_begins(page):
    with pytest.raises(DataError):
        press(page, 0, symbols="600519, ../../etc")
    assert page.services.jobs.submitted == []


def test_synthetic_and_real_data_do_not_mix(page):
    with pytest.raises(DataError):
        press(page, 0, source="forbidden")


def test_retry_asks_for_what_failed_and_yahoo_has_no_boards(page):
    assert press(page, 1)[1]["retry"] is True
    assert press(page, 0, source="yahoo")[1]["boards"] == ()


def test_what_failed_is_named_with_its_reason_in_the_visitors_language():
    report = {"source": "tdx", "stored": ["600519.SH"], "rows": 800, "current": 3, "empty": ["600001.SH"],
              "failed": [{"symbol": "000001.SZ", "key": "tdx.volume_unit", "fields": {"symbol": "000001.SZ", "ratio": "10"}}],
              "halted": {"key": "yahoo.rate_limited", "fields": {"symbol": "<b>AAPL</b>"}}}
    for language, word in (("en", "Failed"), ("zh", "失败")):
        shown = components.download_report(View(language=language, colours="red_up"), report)
        assert word in shown and "000001.SZ" in shown and "&lt;b&gt;AAPL" in shown
