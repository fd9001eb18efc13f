"""Pictures of the pages that browser tests look at, for people to look at: kept where PICTURES names a folder, as
`scripts/screenshots --all` has it. Without it, nothing is done."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Page

__all__ = ["FOLDER", "WIDTHS", "keep_pictures"]

FOLDER = "PICTURES"
"""Of the environment."""
WIDTHS = (390, 1280)
_HEIGHT = 844
_MOST_NAME = 90


def keep_pictures(page: Page) -> None:
    """The whole page as it is now, at each width. What a form was answered with cannot be loaded again, so the window
    is made wider and narrower around it."""
    folder = os.environ.get(FOLDER)
    size = page.viewport_size
    if not folder or size is None:
        return
    language = page.locator("html").get_attribute("lang") or "en"
    dark = "-dark" if page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") else ""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": _HEIGHT})
        file = Path(folder) / f"{language}-{width}{dark}" / f"{_name(page)}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=file, full_page=True, type="jpeg", quality=70, animations="disabled")
        with (Path(folder) / "pages.jsonl").open("a") as log:
            line = {"path": urlsplit(page.url).path, "language": language, "width": width, "file": str(file)}
            log.write(json.dumps(line) + "\n")
    page.set_viewport_size(size)


def _name(page: Page) -> str:
    """The page's address without what differs from run to run, and its heading, which tells its states apart."""
    parts = urlsplit(page.url)
    path = re.sub(r"[0-9a-f]{64}", "x", parts.path).strip("/") or "home"
    asked = "-".join(sorted(one.partition("=")[0] for one in parts.query.split("&") if one and "lang=" not in one))
    state = page.locator("h1").first.inner_text() if page.locator("h1").count() else ""
    heading = re.sub(r"\W+", "-", state)[:24]
    return re.sub(r"[^\w-]+", "_", f"{path}_{asked}_{heading}")[:_MOST_NAME]
