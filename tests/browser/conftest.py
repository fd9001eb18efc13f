"""A real Chromium, and a real gateway over a real chain for it to visit."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.proofs.first_use import open_chromium
from tests.support.portal_world import PortalWorld, serve_world


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
    with open_chromium() as browser:
        yield browser
