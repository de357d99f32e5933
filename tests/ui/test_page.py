"""Live parts: drawn when they changed for this visitor, silent otherwise, each on its own when one breaks."""

from contextlib import contextmanager

import gradio as gr
import pytest

from financial_model.errors import ConfigError, DataError
from financial_model.ui.page import MEMORY, SPOKEN, Page, Services
from financial_model.ui.text import View, Words
from tests.ui.builders import CHINESE, ENGLISH


@pytest.fixture
def page(workspace):
    services = Services(workspace)
    with gr.Blocks():
        yield Page(services=services, words=Words("en"), preferences=gr.BrowserState({}))
    services.jobs.close()


def part(page, name="part", version=lambda snapshot: 1, draw=lambda view, snapshot: ["drawn"], inputs=()):
    target = gr.HTML()
    page.live(name, [target], version, draw, inputs)
    return target


@contextmanager
def tab(page, name):
    with gr.Tabs(), gr.Tab() as opened, page.building(name, opened):
        yield page.tabs[name]


def test_a_part_is_drawn_once_per_version(page):
    state = {"version": 1}
    target = part(page, version=lambda snapshot: state["version"])
    first = page.draw(page.frame, ENGLISH, {}, {})
    assert first[target] == "drawn"
    again = page.draw(page.frame, ENGLISH, first[MEMORY], {})
    assert target not in again
    state["version"] = 2
    assert target in page.draw(page.frame, ENGLISH, again[MEMORY], {})


def test_a_new_visitor_and_a_reload_see_everything(page):
    target = part(page)
    seen = page.draw(page.frame, ENGLISH, {}, {})[MEMORY]
    assert target in page.draw(page.frame, ENGLISH, {}, {}) and target not in page.draw(page.frame, ENGLISH, seen, {})


def test_another_language_or_colour_draws_everything_again(page):
    target = part(page)
    seen = page.draw(page.frame, ENGLISH, {}, {})[MEMORY]
    assert target in page.draw(page.frame, CHINESE, seen, {}) and target in page.draw(page.frame, View("en", "red_up"), seen, {})


def test_a_tab_says_its_words_anew_when_it_is_looked_at_in_another_language(page):
    with tab(page, "data") as data:
        inside = page.words(gr.Button, {"value": "ui.data.demo_create"})
    outside = page.words(gr.Button, {"value": "ui.theme"})
    assert data.words == [inside] and set(page.words.updates("zh", {inside})) == {inside} and outside in page.words.updates("zh")
    assert page.speak(data, ENGLISH, {}) == {}, "as it was built"
    first, again = page.speak(data, CHINESE, {}), page.speak(data, CHINESE, {})
    assert set(first) == {data.tongue} and set(again) == {data.tongue} and again != first, "until it is heard; a bell with the same value is not"
    said = {(SPOKEN, "data"): "zh"}
    assert page.speak(data, CHINESE, said) == {} and set(page.speak(data, ENGLISH, said)) == {data.tongue}
    assert data.bell in page.tick(CHINESE, {}, {}, "data", {}), "a ring that was lost is made up for"
    assert data.bell not in page.tick(CHINESE, {}, said, "data", {})


def test_a_tick_rings_for_the_open_tab_only_and_draws_nothing_in_it(page):
    with tab(page, "data") as data:
        target = part(page, "on data")
    with tab(page, "runs") as runs:
        part(page, "on runs")
    ticked = page.tick(ENGLISH, {}, {}, "data", {})
    assert ticked[data.bell] and runs.bell not in ticked and target not in ticked
    drawn = page.draw(data.parts, ENGLISH, {}, {})
    assert drawn[target] == "drawn"
    quiet = page.tick(ENGLISH, ticked[page.seen_frame], drawn[MEMORY], "data", {})
    assert data.bell not in quiet, "nothing has changed since"
    assert runs.bell in page.tick(ENGLISH, ticked[page.seen_frame], drawn[MEMORY], "runs", {})


def test_a_part_rings_while_it_is_unknown_what_stands_beside_it_and_when_that_changes(page):
    beside = gr.Textbox()
    with tab(page, "data") as data:
        part(page, "on data", version=lambda snapshot, text: text, draw=lambda view, snapshot, text: [text], inputs=[beside])
    seen = page.draw(data.parts, ENGLISH, {}, {beside: "a"})[MEMORY]
    assert data.bell in page.tick(ENGLISH, {}, seen, "data", {})
    assert data.bell not in page.tick(ENGLISH, {}, seen, "data", {beside: "a"})
    assert data.bell in page.tick(ENGLISH, {}, seen, "data", {beside: "b"})


def test_the_timer_asks_for_nothing_that_stands_in_a_tab_and_draws_what_is_new(page):
    page.open(["data"])
    with tab(page, "data"):
        part(page, "on data", version=lambda snapshot, text: text, draw=lambda view, snapshot, text: [text], inputs=[gr.Textbox()])
    timer = gr.Timer(2)
    page.connect(timer.tick)
    events = gr.context.Context.root_block.fns.values()
    wired = next(event for event in events if (timer._id, "tick") in event.targets)
    drawing = next(event for event in events if (page.tabs["data"].bell._id, "change") in event.targets)
    request = gr.Request()
    asked = (request, None, {}, {}, "data")
    assert len(wired.inputs) == 4 and page.tabs["data"].bell in wired.fn(*asked)
    seen = drawing.fn(request, None, {}, "typed")[page.seen_tabs]
    assert page.tabs["data"].bell not in wired.fn(request, None, {}, seen, "data")
    assert page.tabs["data"].bell in wired.fn(request, {"language": "zh"}, {}, seen, "data")


def test_a_bell_rings_anew_each_time(page):
    with tab(page, "data") as data:
        part(page)
    first = page.tick(ENGLISH, {}, {}, "data", {})
    second = page.tick(ENGLISH, first[page.seen_frame], {}, "data", {})
    overlapping = page.tick(ENGLISH, first[page.seen_frame], {}, "data", {})  # began before the second one's answer had come
    values = [ticked[data.bell] for ticked in (first, second, overlapping)]
    assert len(set(values)) == 3, "the same value twice would be no change to the browser"


def test_one_broken_part_takes_no_other_along_and_is_said_until_it_works_again(page):
    state = {"version": 1}

    def broken(view, snapshot):
        if state["version"] < 2:
            raise ZeroDivisionError("secret")
        return ["repaired"]

    with tab(page, "data") as data:
        part(page, "broken", lambda snapshot: state["version"], broken)
        target = part(page, "whole")
    answer = page.draw(data.parts, ENGLISH, {}, {}, data.trouble)
    assert answer[target] == "drawn" and "error" in answer[data.trouble] and "secret" not in answer[data.trouble]
    assert data.trouble not in page.draw(data.parts, ENGLISH, answer[MEMORY], {}, data.trouble), "said once, not every two seconds"
    state["version"] = 2
    assert page.draw(data.parts, ENGLISH, answer[MEMORY], {}, data.trouble)[data.trouble] == ""


def test_a_store_that_cannot_be_read_is_said_instead_of_failing_every_tick(page, monkeypatch):
    def damaged():
        raise DataError("ui.upload.empty", kinds="csv")

    monkeypatch.setattr(page.services.store, "summary", damaged)
    assert "数据表" in page.tick(CHINESE, {}, {}, "data", {})[page.trouble]


def test_a_users_error_becomes_a_toast_in_his_language(page):
    def refuse(view):
        raise ConfigError("ui.train.no_data")

    with pytest.raises(gr.Error) as caught:
        page._guarded(CHINESE, refuse)
    assert "尚无行情数据" in caught.value.message and caught.value.title == "无法完成"

    def name(view):
        raise ConfigError("ui.symbols.unknown", name="symbols", text="<b>x</b>")

    with pytest.raises(gr.Error, match="&lt;b&gt;x&lt;/b&gt;"):  # a toast reads markup
        page._guarded(CHINESE, name)


def test_a_users_error_is_said_beside_the_field_and_taken_back_when_it_goes_well(page):
    box, said = gr.Textbox(), gr.HTML()

    def keep(view, text):
        if not text:
            raise ConfigError("ui.train.no_data")
        return text.upper()

    page.on(gr.Button().click, keep, [box], [box], beside=said)
    wired = list(gr.context.Context.root_block.fns.values())[-1]
    assert wired.outputs == [box, said]
    refused = wired.fn(gr.Request(), {"language": "zh"}, "")
    assert list(refused) == [said] and "尚无行情数据" in refused[said], "what stands in the field is left alone"
    assert wired.fn(gr.Request(), {}, "name") == {said: "", box: "NAME"}


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
        page.tick(ENGLISH, {}, {}, "data", {})
    assert len(looks) == 1
    page._guarded(ENGLISH, lambda view: None)
    page.tick(ENGLISH, {}, {}, "data", {})
    assert len(looks) == 2
