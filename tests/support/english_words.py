"""English that a reader of a Chinese page would come upon."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html.parser import HTMLParser

__all__ = ["find_english"]

_UNSEEN = ("script", "style", "head", "template")
_AS_IT_IS = ("code", "pre", "kbd")
"""What is to be typed, or was."""
_SHAPES = ("path", "rect", "circle", "line", "polyline", "use")
_EMPTY = ("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr")
_SAID = ("aria-label", "alt", "title", "placeholder", "data-label")
_COMMAND = re.compile(r"\bmillmark(?: [a-z-]+)+")
_MAIL = re.compile(r"\S+@\S+|\S*(?:://|/)\S*|\S+:\S+")
_WORD = r"\b[A-Za-z]['’a-z]*\b"
_RUN = re.compile(rf"{_WORD}(?:(?:[ ,;:()]+|\. ){_WORD})+")


class _Reader(HTMLParser):
    """Collects what a reader sees or hears. `marked`: what the page itself says is English."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.marked: list[str] = []
        self._stack: list[tuple[str, bool, bool]] = []
        """Tag, whether nothing in it counts, whether it is said to be English."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        hidden, english = self._within()
        folded = tag == "details" and "technical" in (named.get("class") or "").split()
        hidden = hidden or folded or tag in _UNSEEN or tag in _AS_IT_IS
        # The other language's own name stands on every page, for whoever looks for it.
        english = english or (named.get("lang") == "en" and "hreflang" not in named and not hidden)
        if not hidden:
            self.seen += [named[name] or "" for name in _SAID if named.get(name)]
        if tag not in _EMPTY + _SHAPES:
            self._stack.append((tag, hidden, english))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Shapes: they have no text."""

    def handle_endtag(self, tag: str) -> None:
        while self._stack and self._stack.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        hidden, english = self._within()
        if english and data.strip():
            self.marked.append(data.strip())
        elif not hidden:
            self.seen.append(data)

    def _within(self) -> tuple[bool, bool]:
        return (self._stack[-1][1], self._stack[-1][2]) if self._stack else (False, False)


def find_english(page: str, names: Iterable[str] = ()) -> list[str]:
    """What is said in English: whatever is marked so, and two or more Latin words in a row that are neither a command,
    an address, nor one of `names`, which are the things and people of a test. Technical details that a page folds away,
    and says to be in English, do not count."""
    reader = _Reader()
    reader.feed(page)
    found = list(reader.marked)
    for text in reader.seen:
        for name in names:
            text = text.replace(name, "·")
        rest = _COMMAND.sub("·", _MAIL.sub("·", text))
        found += [run[0] for run in _RUN.finditer(rest)]
    return found
