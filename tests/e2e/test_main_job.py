"""The main job as a person does it, in a real browser: demo market, training, reload, stop, resume, download, forecast, other language.

One long story on purpose: each step needs what the one before has left behind, as it would for a person.
"""

from __future__ import annotations

import re

import pytest

from financial_model.training.checkpoint import read_header
from financial_model.ui import borrowed
from tests.e2e.browser import Watcher, downloaded, walk

pytestmark = pytest.mark.browser
SECOND = 1000
SLOW = 90 * SECOND
POINTS = (
    """id => [...document.querySelectorAll(`#${id} svg path`)].reduce((sum, path) => sum + (path.getAttribute('d') || '').split('L').length - 1, 0)"""
)

TRAINED = "() => document.querySelector('#basic-curve path[data-name=训练]').getAttribute('d')"
STRAY = """words => [...document.querySelectorAll("[aria-label], [title], [placeholder], [data-title]")]
  .flatMap(part => ["aria-label", "title", "placeholder", "data-title"].map(name => part.getAttribute(name)).filter(Boolean))
  .filter(text => words.some(([before, after]) => after === undefined ? text === before : text.startsWith(before) && text.endsWith(after)))"""


class Person:
    """What someone does with the page, in words of the page."""

    def __init__(self, page) -> None:
        page.set_default_timeout(SLOW)  # a machine may be busy
        self.page = page

    def open(self, address: str) -> None:
        self.page.goto(address)
        self.ready()

    def ready(self) -> None:
        self.page.get_by_role("tab").first.wait_for(timeout=SLOW)
        self.page.locator("#k-status .k-status").wait_for(timeout=SLOW)

    def tab(self, name: str) -> None:
        self.page.get_by_role("tab", name=name, exact=True).click()

    def fill(self, box: str, value: object) -> None:
        field = self.page.locator(f"#{box} input[type=number]").first
        field.fill(str(value))
        field.press("Enter")

    def press(self, button: str) -> None:
        self.page.locator(f"#{button}:not([disabled])").click(timeout=SLOW)

    def see(self, place: str, text: str, timeout: float = SLOW) -> None:
        self.page.locator(f"#{place}").get_by_text(re.compile(text)).locator("visible=true").first.wait_for(timeout=timeout)

    def points(self, chart: str = "basic-curve") -> int:
        return int(self.page.evaluate(POINTS, chart))

    def none_stray(self, column: int) -> None:
        """No name of Gradio's and Plotly's own controls stands on the page in English (0) or Chinese (1)."""
        self.until(f"words => !({STRAY})(words).length", [pair[column].split("{name}") for pair in borrowed.words()])

    def until(self, condition: str, argument: object = None) -> None:
        self.page.wait_for_function(condition, arg=argument, timeout=SLOW)


@pytest.fixture(scope="module")
def visit(chromium, address):
    context = chromium.new_context(locale="zh-CN", viewport={"width": 1360, "height": 900}, accept_downloads=True)
    page = context.new_page()
    watcher = Watcher(page, address)
    yield Person(page), watcher
    context.close()


def test_the_main_job(visit, address, tmp_path):
    person, watcher = visit
    page = person.page
    person.open(address)
    page.get_by_role("tab", name="数据下载").wait_for()
    person.see("data-card", "还没有数据")  # an empty page says what to do next
    person.see("data-card", "一键创建演示市场")

    # the demo market, small, with one click
    person.fill("demo-stocks", 40)
    person.fill("demo-years", 2)
    person.press("demo-create")
    person.see("data-card", "合成数据")
    person.see("data-table", "模拟")

    # train, and watch the curve grow
    person.tab("基础训练")
    page.locator("#basic-set-horizon input").fill("999")
    page.locator("#basic-set-epochs input").focus()  # a number counts when its field is left
    person.see("basic-problems", "预测天数 = 999 超出范围 1 到 30")  # said at its field and above the button, before anything begins
    page.locator("#basic-set-horizon input").fill("5")
    page.locator("#basic-set-epochs input").focus()
    person.until("() => !document.querySelector('#basic-problems')?.textContent.trim()")
    page.locator("#basic-set-epochs input").fill("900")  # long enough on any machine: it is stopped by hand
    person.press("basic-start")
    person.until(f"() => ({POINTS})('basic-curve') > 3")
    before = person.points()
    person.until(f"before => ({POINTS})('basic-curve') > before", before)
    person.see("basic-curve", "零收益|训练均值|训练分位数")  # the baseline stands on the same chart

    # reload: everything is there again, and the training did not notice
    grown = person.points()
    with watcher.reload():
        person.ready()
    person.tab("基础训练")
    person.until(f"grown => ({POINTS})('basic-curve') >= grown", grown)

    # stop, go on, stop again
    person.press("basic-stop")
    person.see("basic-progress", "已停止")
    stopped = person.points()
    person.press("basic-resume")
    person.see("basic-progress", "训练中")
    person.until(f"stopped => ({POINTS})('basic-curve') > stopped", stopped)
    person.press("basic-stop")
    person.see("basic-progress", "已停止")

    # another look at the curve, by keyboard; the axis is written in losses, whatever its scale
    page.locator("#basic-scale label", has_text="对数").click()
    person.until("() => document.querySelector('#basic-curve [data-scale=log]')")
    assert all(float(label) > 0 for label in page.locator("#basic-curve i.y").all_inner_texts())
    drawn = page.evaluate(TRAINED)
    page.locator("#basic-smoothing input[type=range]").press("ArrowLeft")
    person.until(f"drawn => ({TRAINED})() !== drawn", drawn)

    # what it is worth: the test is opened, the baselines stand beside the model
    person.tab("推理")
    person.tab("评估")
    person.press("evaluation-ask")
    person.see("evaluation-card", "岭回归")
    person.see("evaluation-card", "RankIC")

    # the checkpoint in one click, and it is ours
    person.tab("模型")
    file = downloaded(page, "#runs-download:not([disabled])")
    path = tmp_path / file.suggested_filename
    file.save_as(path)
    header = read_header(path)
    assert path.name.startswith("basic_") and path.suffix == ".safetensors" and header["config"]["model"]["backbone"] == "lstm"
    assert header["metrics"]["baselines"], "the header carries what the test said"

    # another name, a deletion that is thought better of
    page.locator("#runs-card").wait_for()
    page.get_by_role("button", name="重命名").first.click()
    name = page.locator("#runs-new-name").locator("input, textarea")
    name.fill("../x")
    name.press("Enter")
    person.see("runs-name-refused", "“../x”不可用")
    name.fill("我的")
    name.press("Enter")
    person.see("runs-card", "我的_\\d+")
    assert not page.locator("#runs-name-refused").inner_text().strip()
    person.press("runs-delete")
    person.press("runs-delete-sure")
    person.until("() => !document.querySelector('#runs-card')?.checkVisibility()")
    person.see("runs-empty-trash", "清空回收站：1 个，[\\d.]+ .?B")
    person.press("runs-undo")
    person.see("runs-card", "我的_\\d+")
    page.locator("#runs-empty-trash").wait_for(state="hidden")

    # one stock
    person.tab("推理")
    person.tab("单只股票")
    person.press("stock-ask")
    page.locator("#stock-plot .js-plotly-plot").wait_for(timeout=SLOW)
    person.see("stock-head", "涨 \\d+%.*平 \\d+%.*跌 \\d+%")
    person.see("stock-table", "80 %")

    # the other language: tabs, figures, numbers already on screen, what Gradio names itself; and it sticks
    person.none_stray(0)
    page.locator("#k-language label", has_text="English").click()
    page.get_by_role("tab", name="Inference", exact=True).wait_for(timeout=SLOW)
    person.see("stock-head", "up \\d+%")
    person.none_stray(1)
    person.tab("Data")
    person.tab("Own files")
    person.until("() => document.querySelector('[data-testid=upload-text]')?.textContent.includes('Drop File Here')")  # what Gradio translates itself
    with watcher.reload():
        person.ready()
    person.tab("Runs")
    person.see("runs-card", "Stopped")
    person.until("() => document.documentElement.lang === 'en'")

    assert not watcher.errors
    assert not watcher.strangers, "the page asks nobody but us"


def test_a_second_browser_sees_the_same_even_if_the_event_of_a_tab_s_opening_is_lost(chromium, address, visit):
    context = chromium.new_context(locale="en-US")
    page = context.new_page()
    try:
        Person(page).open(address)
        lost = []
        page.route("**/run/predict*", lambda route: (lost.append(route.request.url), route.abort()))
        Person(page).tab("Basic training")
        page.wait_for_timeout(SECOND)
        page.unroute("**/run/predict*")
        assert lost, "the event of the opening was sent, and did not arrive"
        page.locator("#basic-progress").get_by_text("Stopped", exact=True).wait_for(timeout=SLOW)
        page.wait_for_function(f"() => ({POINTS})('basic-curve') > 3", timeout=SLOW)
        reached = walk(page, 40)
        assert len(reached) > 30 and not [name for name, ring in reached if not ring], "one sees where the keyboard is"
        wanted = ("k-language", "Basic training", "basic-set-name")
        places = [next(number for number, (name, _) in enumerate(reached) if part in name) for part in wanted]
        assert places == sorted(places), "from the top of the page down"
    finally:
        context.close()


def test_on_a_phone_in_the_dark(chromium, address, visit):
    context = chromium.new_context(locale="zh-CN", viewport={"width": 390, "height": 844}, color_scheme="dark")
    page = context.new_page()
    watcher, person = Watcher(page, address), Person(page)
    try:
        page.goto(f"{address}/#inference/pool")  # a link to a tab inside a tab
        page.locator("#pool-watch").wait_for(timeout=SLOW)
        page.locator("#pool-watch").click()
        page.get_by_text("无法向其获取新数据").first.wait_for(timeout=SLOW)  # a synthetic market does not grow, and says so
        for name in ("数据下载", "股票池分析", "基础训练", "多维度训练", "推理", "模型"):
            tab = page.get_by_role("tab", name=name, exact=True)
            box = tab.bounding_box()
            assert box and 0 <= box["x"] and box["x"] + box["width"] <= 390, f"{name} is in reach without a menu"
            tab.click()
            person.until("name => document.querySelector('#k-tabs > .tab-wrapper button[aria-selected=true]')?.textContent === name", name)
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, f"{name} does not scroll sideways"
        assert page.evaluate("document.body.classList.contains('dark')")
        page.locator("#k-theme").click()
        person.until("() => !document.body.classList.contains('dark')")
        with watcher.reload():
            person.ready()
        assert not page.evaluate("document.body.classList.contains('dark')"), "the choice sticks"
        assert page.url.partition("#")[2] == "runs"
        assert not watcher.errors
    finally:
        context.close()
