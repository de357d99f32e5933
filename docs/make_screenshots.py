"""Pictures of every tab in both languages for the README and the guide: ``python docs/make_screenshots.py``.

In: nothing; a demo market, two trained models and a browser are made on the way. Out: ``docs/images/<tab>-<language>.png``, of the inference tab one
picture a view, and the pool on a phone in the dark.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from financial_model import config  # noqa: E402
from financial_model.paths import Workspace  # noqa: E402
from financial_model.text import translate  # noqa: E402
from tests.e2e import browser  # noqa: E402

logger = logging.getLogger("screenshots")

IMAGES = ROOT / "docs" / "images"
SIZE, PHONE = {"width": 1360, "height": 940}, {"width": 390, "height": 844}
LOCALES = {"en": "en-US", "zh": "zh-CN"}
TABS = ("data", "universe", "basic", "conditional", "inference", "runs")
LIMIT = 160_000
"""Bytes of one picture: a README should open quickly."""
COLOURS = 256
WAIT = 90_000


def prepare(workspace: Workspace) -> None:
    """A market with a signal in it, and one model of each kind."""
    from financial_model.market.sources.demo import write_demo
    from financial_model.market.store import Store
    from financial_model.serving.experiment import run_training

    write_demo(Store(workspace.data_dir), stocks=160, years=6)
    common: dict[str, Any] = {"epochs": 4, "evaluations_per_epoch": 3, "windows_per_epoch": 60_000}
    for name, settings in {"basic": {"backbone": "lstm"}, "conditional": {"backbone": "cnn_lstm", "condition": "concat"}}.items():
        run = run_training(workspace, config.build({"name": name, **settings, **common}, preset="quick"))
        logger.info("%s: %s", run.id, run.state)


def take(page: Any, language: str) -> None:
    """One picture per tab, each once what it shows has come."""
    for tab in TABS:
        page.get_by_role("tab", name=translate(f"ui.tab.{tab}", language), exact=True).click()
        if tab == "universe":
            page.locator("#universe-treemap .js-plotly-plot").wait_for(timeout=WAIT)
        if tab in ("basic", "conditional"):
            page.locator(f"#{tab}-curve svg").first.wait_for(timeout=WAIT)
            page.locator(f"#{tab}-result table").first.wait_for(timeout=WAIT)
        if tab == "inference":
            page.wait_for_function("() => document.querySelector('#stock-symbol input')?.value", timeout=WAIT)
            page.locator("#stock-ask").click()
            page.locator("#stock-plot .js-plotly-plot").wait_for(timeout=WAIT)
        save(page, f"{tab}-{language}")
        if tab == "inference":
            take_views(page, language)


def take_views(page: Any, language: str) -> None:
    """The pool and what the test said."""
    for view, ask, shown in (("pool", "#pool-ask", "#pool-table"), ("evaluation", "", "#evaluation-ic .js-plotly-plot")):
        page.get_by_role("tab", name=translate(f"ui.inference.{view}", language), exact=True).click()
        if ask:
            page.locator(ask).click()
        page.locator(shown).wait_for(timeout=WAIT)
        page.mouse.wheel(0, 440 if ask else 0)
        save(page, f"{view}-{language}")


def save(page: Any, name: str) -> None:
    """The page as it is, in as many colours as it needs."""
    from PIL import Image

    page.wait_for_timeout(2500)
    path = IMAGES / f"{name}.png"
    page.screenshot(path=path)
    Image.open(path).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    if path.stat().st_size > LIMIT:
        logger.warning("%s is larger than %d kB", path.name, LIMIT // 1000)


def take_phone(chromium: Any, address: str, language: str) -> None:
    """The ranked pool as a phone shows it at night."""
    page = chromium.new_context(locale=LOCALES[language], viewport=PHONE, color_scheme="dark").new_page()
    page.goto(f"{address}/#inference/pool")
    page.locator("#pool-table").wait_for(timeout=WAIT)
    page.locator("#pool-table").scroll_into_view_if_needed()
    save(page, f"phone-{language}")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="keep the market and the models here and use them again")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    path = browser.chromium()
    if path is None:
        logger.error("no Chromium is installed; name one with KAIROS_CHROMIUM")
        return 2
    from playwright.sync_api import sync_playwright

    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        workspace = Workspace(data_dir=folder / "data", checkpoint_dir=folder / "checkpoints")
        if not workspace.checkpoint_dir.is_dir():
            prepare(workspace)
        with browser.server(folder) as address, sync_playwright() as driver:
            chromium = driver.chromium.launch(executable_path=path, args=list(browser.ARGUMENTS))
            for language, locale in LOCALES.items():
                page = chromium.new_context(locale=locale, viewport=SIZE).new_page()
                page.goto(address)
                page.get_by_role("tab", name=translate("ui.tab.data", language), exact=True).wait_for(timeout=WAIT)
                page.locator("#data-card .k-card").wait_for(timeout=WAIT)
                take(page, language)
                take_phone(chromium, address, language)
            chromium.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
