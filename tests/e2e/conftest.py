"""One browser for all tests of this folder; they skip, and say why, where there is none.

It is closed after them: as long as it lives, nothing else in the process can run an event loop of its own.
"""

import pytest

from tests.e2e import browser as machine


@pytest.fixture(scope="package")
def chromium():
    path = machine.chromium()
    if path is None:
        pytest.skip("no Chromium is installed (Debian: apt install chromium; or name one with KAIROS_CHROMIUM)")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (requirements-dev.txt)")
    with playwright.sync_playwright() as driver:
        instance = driver.chromium.launch(executable_path=path, args=list(machine.ARGUMENTS))
        yield instance
        instance.close()


@pytest.fixture(scope="package")
def address(tmp_path_factory):
    with machine.server(tmp_path_factory.mktemp("served")) as url:
        yield url
