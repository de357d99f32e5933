"""One browser for all tests that need it; they skip, and say why, where there is none."""

import pytest

from tests.e2e import browser as machine


@pytest.fixture(scope="session")
def chromium():
    path = machine.chromium()
    if path is None:
        pytest.skip("no Chromium is installed (Debian: apt install chromium; or name one with KAIROS_CHROMIUM)")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (requirements-dev.txt)")
    with playwright.sync_playwright() as driver:
        instance = driver.chromium.launch(executable_path=path, args=list(machine.ARGUMENTS))
        yield instance
        instance.close()


@pytest.fixture(scope="session")
def address(tmp_path_factory):
    with machine.server(tmp_path_factory.mktemp("served")) as url:
        yield url
