"""What axe-core finds on a page that a real browser shows: WCAG 2.0 to 2.2, A and AA, and best practice."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.support.pictures import keep_pictures

__all__ = ["find_violations", "read_axe"]

_FILE = Path(__file__).parents[1] / "browser" / "node_modules" / "axe-core" / "axe.min.js"
_RUN = """async ([where, rules]) => {
  for (const one of document.querySelectorAll(`${where} details`)) one.open = true;
  const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22a', 'wcag22aa', 'best-practice'];
  const runOnly = rules.length ? {type: 'rule', values: rules} : {type: 'tag', values: tags};
  const found = await axe.run(where === 'main' ? document : where, {runOnly, resultTypes: ['violations']});
  return found.violations.map(one => `${one.id}: ${one.nodes.map(node => node.html.slice(0, 160)).join(' | ')}`);
}"""


def read_axe() -> str:
    """The script that puts `axe` into a page. Skips where it is not installed."""
    if not _FILE.exists():
        pytest.skip("the packages of tests/browser are not installed: npm is needed")
    return _FILE.read_text()


def find_violations(page: Page, *rules: str, where: str = "main") -> list[str]:
    """A line for each rule that the page breaks, with the elements that break it; of `rules`, or of all.

    What is folded in `where` (a CSS selector) is opened before. The whole page is measured, but of a menu only itself,
    since it lies over the page when it is open. A page that has no axe gets it: no policy of a page keeps out what the
    browser itself evaluates. Pictures of it are kept, if that is wanted.
    """
    if not page.evaluate("'axe' in window"):
        page.evaluate(read_axe())
    found: list[str] = page.evaluate(_RUN, [where, list(rules)])
    if not rules and where == "main":
        keep_pictures(page)
    return found
