"""The browser tests share one JupyterLab and one Chromium, over a copy of the notebooks."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext

from tests.browser.lab import Lab, browse, find_chromium, open_lab, serve

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
NO_BROWSER = (
    "no Chromium found: install it (Debian: apt-get install chromium; elsewhere Chrome will do),"
    " or name the program in WORKBENCH_CHROMIUM"
)


@pytest.fixture(scope="session")
def chromium() -> str:
    found = find_chromium()
    if found is None and os.environ.get("CI"):
        pytest.fail(NO_BROWSER)
    if found is None:
        pytest.skip(NO_BROWSER)
    return found


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[BrowserContext]:
    with browse(chromium) as context:
        yield context


@pytest.fixture(scope="session")
def lab(browser: BrowserContext, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    private = tmp_path_factory.mktemp("jupyter")
    folder = tmp_path_factory.mktemp("lab") / "notebooks"
    shutil.copytree(NOTEBOOKS, folder, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    with serve(folder, private) as server, open_lab(server, browser) as lab:
        yield lab
