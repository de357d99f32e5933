"""Live parts: drawn when they changed for this visitor, silent otherwise, each on its own when one breaks."""

import gradio as gr
import pytest

from financial_model.errors import ConfigError
from financial_model.ui.page import Page, Services
from financial_model.ui.text import View, Words
from tests.ui.builders import CHINESE, ENGLISH


@pytest.fixture
def page(workspace):
    services = Services(workspace)
    with gr.Blocks():
        yield Page(services=services, words=Words("en"), preferences=gr.BrowserState({}), seen=gr.State({}))
    services.jobs.close()


@pytest.fixture
def toasts(monkeypatch):
    said = []
    monkeypatch.setattr(gr, "Warning", lambda text, *_, **__: said.append(text))
    return said


def part(page, name="part", version=lambda snapshot: 1, draw=lambda view, snapshot: ["drawn"], inputs=()):
    with gr.Blocks():
        target = gr.HTML()
    page.live(name, [target], version, draw, inputs)
    return target


def test_a_part_is_drawn_once_per_version(page):
    state = {"version": 1}
    target = part(page, version=lambda snapshot: state["version"])
    first = page.redraw(ENGLISH, {}, {})
    assert first[target] == "drawn"
    again = page.redraw(ENGLISH, first[page.seen], {})
    assert target not in again
    state["version"] = 2
    assert target in page.redraw(ENGLISH, again[page.seen], {})


def test_a_new_visitor_and_a_reload_see_everything(page):
    target = part(page)
    seen = page.redraw(ENGLISH, {}, {})[page.seen]
    assert target in page.redraw(ENGLISH, {}, {}) and target not in page.redraw(ENGLISH, seen, {})


def test_another_language_or_colour_draws_everything_again(page):
    target = part(page)
    seen = page.redraw(ENGLISH, {}, {})[page.seen]
    assert target in page.redraw(CHINESE, seen, {}) and target in page.redraw(View("en", "red_up"), seen, {})


def test_one_broken_part_takes_no_other_along_and_is_said_once(page, toasts):
    def broken(view, snapshot):
        raise ZeroDivisionError

    part(page, "broken", draw=broken)
    target = part(page, "whole")
    answer = page.redraw(ENGLISH, {}, {})
    assert answer[target] == "drawn" and len(toasts) == 1 and "ZeroDivisionError" not in toasts[0]
    page.redraw(ENGLISH, answer[page.seen], {})
    assert len(toasts) == 1


def test_a_users_error_becomes_a_toast_in_his_language(page):
    def refuse(view):
        raise ConfigError("ui.train.no_data")

    with pytest.raises(gr.Error) as caught:
        page._guarded(CHINESE, refuse)
    assert "尚无行情数据" in caught.value.message and caught.value.title == "无法完成"


def test_an_unexpected_error_shows_a_number_not_a_traceback(page, caplog):
    def broken(view):
        raise RuntimeError("secret path /home/someone")

    with pytest.raises(gr.Error) as caught:
        page._guarded(ENGLISH, broken)
    number = caught.value.message.split("error ")[1].split(")")[0]
    assert "secret" not in caught.value.message and number in caplog.text and "secret path" in caplog.text


def test_visitors_share_one_look_at_the_disk_until_something_is_done(page, monkeypatch):
    looks = []
    whole = page.services.store.summary
    monkeypatch.setattr(page.services.store, "summary", lambda: looks.append(1) or whole())
    for _ in range(5):
        page.redraw(ENGLISH, {}, {})
    assert len(looks) == 1
    page._guarded(ENGLISH, lambda view: None)
    page.redraw(ENGLISH, {}, {})
    assert len(looks) == 2
