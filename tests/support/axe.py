"""What axe-core finds on a page that a real browser shows: WCAG 2.0 to 2.2, A and AA, and best practice."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page

__all__ = ["find_violations", "read_axe"]

_FILE = Path(__file__).parents[1] / "browser" / "node_modules" / "axe-core" / "axe.min.js"
_RUN = """async (rules) => {
  for (const one of document.querySelectorAll('details')) one.open = true;
  const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22a', 'wcag22aa', 'best-practice'];
  const runOnly = rules.length ? {type: 'rule', values: rules} : {type: 'tag', values: tags};
  const found = await axe.run(document, {runOnly, resultTypes: ['violations']});
  return found.violations.map(one => `${one.id}: ${one.nodes.map(node => node.html.slice(0, 160)).join(' | ')}`);
}"""


def read_axe() -> str:
    """The script that puts `axe` into a page. Skips where it is not installed."""
    if not _FILE.exists():
        pytest.skip("the packages of tests/browser are not installed: npm is needed")
    return _FILE.read_text()


def find_violations(page: Page, *rules: str) -> list[str]:
    """A line for each rule that the page breaks, with the elements that break it; of `rules`, or of all. Everything
    that is folded is opened before. The page's context has axe as its first script, which no policy of a page stops."""
    found: list[str] = page.evaluate(_RUN, list(rules))
    return found
