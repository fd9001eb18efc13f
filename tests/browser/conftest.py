"""A real Chromium, and a real gateway over a real chain for it to visit."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.support.patience import MAX_S
from tests.support.portal_world import PortalWorld, serve_world

_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortalWorld]:
    """The portal's world, served for one test module."""
    with serve_world(tmp_path_factory.mktemp("portal")) as world:
        yield world


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser per module. While it is open, no other event loop can run in this process."""
    path = shutil.which("chromium")
    if path is None or not Path(path).exists():
        pytest.skip("chromium is not installed")
    expect.set_options(timeout=MAX_S * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_FLAGS, timeout=MAX_S * 1000)
        yield browser
        browser.close()
