"""How browser tests look at a page: what a browser can measure of it, such as contrast, names, sizes and codes in
pictures, and what axe-core finds; and the languages and widths, in pixels, at which they tell a role's day."""

from __future__ import annotations

import base64
import functools
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zxingcpp
from playwright.sync_api import Browser, Error, Page

from tests.support.pictures import keep_pictures

_LOOKS = 5
"""More often than a record's page still loads itself again once the record is final."""


def looks_again(look: Callable[[Page], None]) -> Callable[[Page], None]:
    """Has `look` begin anew if the page loaded itself again while it was looked at, as a record's page does until the
    index has the record, and once after its script has shown that."""

    @functools.wraps(look)
    def whole(page: Page) -> None:
        for left in reversed(range(_LOOKS)):
            try:
                look(page)
                break
            except Error as error:
                if "Execution context was destroyed" not in str(error) or not left:
                    raise

    return whole


CONTRAST = """() => {
  const channel = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const rgba = text => [...text.match(/[\\d.]+/g).map(Number), 1].slice(0, 4);
  const over = (top, under) => top.slice(0, 3).map((v, i) => v * top[3] + under[i] * (1 - top[3])).concat(1);
  const light = c => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]);
  const behind = node => {
    const layers = [];
    for (let e = node; e; e = e.parentElement) layers.push(rgba(getComputedStyle(e).backgroundColor));
    return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255, 1]);
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement, text = walker.currentNode.textContent.trim();
    if (!text || node.closest('svg') || !node.checkVisibility()) continue;
    const style = getComputedStyle(node), ground = behind(node), ink = over(rgba(style.color), ground);
    const [a, b] = [light(ink), light(ground)].sort((x, y) => y - x);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < (large ? 3 : 4.5)) found.push(`${text.slice(0, 40)} ${ratio.toFixed(2)}`);
  }
  return found;
}"""
"""Texts with less contrast than WCAG 2.2, criterion 1.4.3, requires."""

NAMELESS = """() => [...document.querySelectorAll(
    'a, button, input:not([type=hidden]), textarea, img, [role=region], nav, svg[role]')]
  .filter(e => {
    const by = e.getAttribute('aria-labelledby');
    const named = by ? by.split(' ').map(id => document.getElementById(id)?.textContent).join('') : '';
    const label = e.labels && e.labels.length ? e.labels[0].textContent : '';
    const name = named || e.getAttribute('aria-label') || label || e.textContent || e.getAttribute('alt') || '';
    const decorative = e.tagName === 'IMG' && e.getAttribute('alt') === '' && e.closest('a');
    return !name.trim() && !decorative;
  }).map(e => e.outerHTML.slice(0, 80))"""
"""Elements without a name for screen readers (criteria 1.1.1, 4.1.2)."""

CUT_OFF = """() => [...document.querySelectorAll('.scroll')]
    .filter(one => one.querySelector('.stack') && one.scrollWidth > one.clientWidth + 1)
    .map(one => one.getAttribute('aria-labelledby'))"""
"""Tables that are partly out of view."""
SMALL_TARGETS = """() => [...document.querySelectorAll('nav a, button, .button, input:not([type=hidden])')]
  .filter(e => e.checkVisibility() && !e.closest('.pager'))
  .map(e => [e.textContent.trim(), e.getBoundingClientRect()])
  .filter(([, box]) => box.width < 24 || box.height < 24).map(([text]) => text)"""
"""Targets that are too small to touch (criterion 2.5.8)."""

_PIXELS = """async (source) => {
  const picture = new Image(); picture.src = source; await picture.decode();
  const canvas = Object.assign(document.createElement('canvas'), {width: picture.width, height: picture.height});
  const context = canvas.getContext('2d'); context.drawImage(picture, 0, 0);
  const data = context.getImageData(0, 0, canvas.width, canvas.height).data;
  return [canvas.width, canvas.height, Array.from({length: data.length / 4}, (_, i) => data[4 * i])];
}"""


def run_list(page: Page, script: str) -> list[str]:
    found: list[str] = page.evaluate(script)
    return found


def read_codes(browser: Browser, png: bytes) -> list[str]:
    """Texts of the codes in a picture, as a phone's camera would read them."""
    page = browser.new_page()
    try:
        width, height, reds = page.evaluate(_PIXELS, f"data:image/png;base64,{base64.b64encode(png).decode()}")
    finally:
        page.close()
    pixels = np.array(reds, dtype=np.uint8).reshape(height, width)
    return [code.text for code in zxingcpp.read_barcodes(pixels)]


_AXE = Path(__file__).parents[1] / "browser" / "node_modules" / "axe-core" / "axe.min.js"
_RUN_AXE = """async ([where, rules]) => {
  for (const one of document.querySelectorAll(`${where} details`)) one.open = true;
  const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22a', 'wcag22aa', 'best-practice'];
  const runOnly = rules.length ? {type: 'rule', values: rules} : {type: 'tag', values: tags};
  const found = await axe.run(where === 'main' ? document : where, {runOnly, resultTypes: ['violations']});
  return found.violations.map(one => `${one.id}: ${one.nodes.map(node => node.html.slice(0, 160)).join(' | ')}`);
}"""


def read_axe() -> str:
    """The script that puts `axe` into a page. Skips where it is not installed."""
    if not _AXE.exists():
        pytest.skip("the packages of tests/browser are not installed: npm is needed")
    return _AXE.read_text()


def find_violations(page: Page, *rules: str, where: str = "main") -> list[str]:
    """A line for each rule that the page breaks, with the elements that break it; of `rules`, or of all.

    What is folded in `where` (a CSS selector) is opened before. The whole page is measured, but of a menu only itself,
    since it lies over the page when it is open. A page that has no axe gets it: no policy of a page keeps out what the
    browser itself evaluates. Pictures of it are kept, if that is wanted.
    """
    if not page.evaluate("'axe' in window"):
        page.evaluate(read_axe())
    found: list[str] = page.evaluate(_RUN_AXE, [where, list(rules)])
    if not rules and where == "main":
        keep_pictures(page)
    return found


View = tuple[str, int]
PHONE, DESK = 390, 1280


def choose_views(first: View, second: View) -> list[View]:
    """The first. `scripts/prove stories` sets `MILLMARK_TEST_VIEWS`: to `second`, and to `other` for those of the four
    that are neither."""
    views = [(language, width) for language in ("en", "zh") for width in (PHONE, DESK)]
    match os.environ.get("MILLMARK_TEST_VIEWS"):
        case None:
            return [first]
        case "second":
            return [second]
        case _:
            return [view for view in views if view not in (first, second)]


def name_view(view: View) -> str:
    """The name of a test's parameter, such as `zh-1280`."""
    return f"{view[0]}-{view[1]}"


VIEWS = choose_views(("en", PHONE), ("zh", DESK))
