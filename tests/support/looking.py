"""Properties of a page that a browser can measure: contrast, names, sizes, codes in pictures."""

from __future__ import annotations

import base64
import functools
from collections.abc import Callable

import numpy as np
import zxingcpp
from playwright.sync_api import Browser, Error, Page

__all__ = ["CONTRAST", "CUT_OFF", "NAMELESS", "SMALL_TARGETS", "looks_again", "read_codes", "run_list"]

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
