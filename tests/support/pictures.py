"""Pictures of the pages that browser tests look at, for people to look at: kept where PICTURES names a folder, as
`scripts/screenshots --all` has it. Without it, nothing is done."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from itertools import product
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Page

from millmark.ledger.verify.statements import LANGUAGES
from tests.support.portal_pages import EVENTS, PAGES

__all__ = ["FOLDER", "NO_PAGES", "WIDTHS", "find_missing", "keep_pictures"]

FOLDER = "PICTURES"
"""Of the environment."""
WIDTHS = (390, 1280)
NO_PAGES = {
    "/.well-known/gs1resolver": "JSON",
    "/portal/assets/{tag}/{name}": "styles, scripts and pictures",
    EVENTS: "a stream",
    "/portal/recall.csv": "a file",
    "/portal/recall.zip": "a file",
    "/portal/documents/{id}/{version}": "a file",
    "/portal/sign-in/account": "leads to the provider",
    "/check/{name:path}": "the files of /check",
}
"""Routes of PAGES that show no page, and what they are."""
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


def find_missing(taken: Iterable[Mapping[str, object]]) -> list[str]:
    """The pages, with language and width, of which nothing was taken: `taken` are the lines of pages.jsonl."""
    have: set[tuple[str, object, object]] = set()
    for one in taken:
        fitting = [path for path in _PATTERNS if _PATTERNS[path].fullmatch(str(one["path"]).rstrip("/") or "/")]
        # A path without parameters comes before one with them.
        for path in sorted(fitting, key=lambda path: path.count("{"))[:1]:
            have.add((path, one["language"], one["width"]))
    wanted = product(_PATTERNS, LANGUAGES, WIDTHS)
    return [f"{path} {language} {width}" for path, language, width in wanted if (path, language, width) not in have]


def _pattern(route: str) -> re.Pattern[str]:
    parts = {"gs1key": "(?:01|00|8006)", "path": ".*"}
    return re.compile(re.sub(r"\{\w+(?::(\w+))?\}", lambda found: parts.get(found[1], "[^/]+"), route))


_PATTERNS = {path: _pattern(path) for method, path in PAGES if method == "GET" and path not in NO_PAGES}


def _name(page: Page) -> str:
    """The page's address without what differs from run to run, and its heading, which tells its states apart."""
    parts = urlsplit(page.url)
    path = re.sub(r"[0-9a-f]{64}", "x", parts.path).strip("/") or "home"
    asked = "-".join(sorted(one.partition("=")[0] for one in parts.query.split("&") if one and "lang=" not in one))
    state = page.locator("h1").first.inner_text() if page.locator("h1").count() else ""
    heading = re.sub(r"\W+", "-", state)[:24]
    return re.sub(r"[^\w-]+", "_", f"{path}_{asked}_{heading}")[:_MOST_NAME]
