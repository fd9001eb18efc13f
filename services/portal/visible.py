"""The page on what the consortium sees: ledger/VISIBLE.md, rendered in each language.

catalogue/visible.zh.json contains the translations, keyed by the English text. If a line of VISIBLE.md changes, its key
is missing there, which raises KeyError.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources

from fastapi import Request
from markupsafe import Markup, escape
from starlette.responses import Response

from millmark.services.portal.language import Language
from millmark.services.portal.pages import Pages
from millmark.services.portal.routes import ANYBODY, PageRoute

__all__ = ["Section", "Table", "Visible", "parse_sections", "texts_of", "translate"]

_CODE = re.compile(r"(`[^`]+`(, )?)+")
"""A cell that contains only names from the contracts, which are not translated."""
_CODED = Markup('<code translate="no">{}</code>')  # a constant; `format` escapes


@dataclass(frozen=True, slots=True)
class Table:
    """A table; `name` is the event that it describes, or empty."""

    name: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """The content under a heading, up to the next one."""

    level: int
    title: str
    paragraphs: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()


@dataclass(frozen=True, slots=True)
class Visible:
    """The page. It is public, because it does not depend on any company's data."""

    pages: Pages

    def routes(self) -> tuple[PageRoute, ...]:
        return (PageRoute("/portal/visible", self.show, ANYBODY),)

    def show(self, request: Request) -> Response:
        language = self.pages.catalogue(request).language
        first, *others = _read(language)
        return self.pages.render(request, "visible.html", first=first, sections=others, spans=_spans)


def parse_sections(text: str) -> list[Section]:
    """Parses the document's headings, paragraphs and tables. A line in bold is the name of the table that follows."""
    found: list[Section] = []
    name = ""
    for block in re.split(r"\n{2,}", text.strip()):
        if heading := re.fullmatch(r"(#+) (.+)", block):
            found.append(Section(len(heading[1]), heading[2]))
        elif bold := re.fullmatch(r"\*\*(\w+)\*\*", block):
            name = bold[1]
        elif block.startswith("|") or name:
            found[-1] = replace(found[-1], tables=(*found[-1].tables, _table(name, block)))
            name = ""
        else:
            found[-1] = replace(found[-1], paragraphs=(*found[-1].paragraphs, " ".join(block.split())))
    return found


def texts_of(sections: list[Section]) -> Iterator[str]:
    """All texts to translate, including the names of events."""
    for section in sections:
        yield from (section.title, *section.paragraphs)
        for table in section.tables:
            yield from (name for name in (table.name,) if name)
            yield from (cell for row in (table.head, *table.rows) for cell in row if not _CODE.fullmatch(cell))


def translate(sections: list[Section], words: Mapping[str, str]) -> list[Section]:
    """Translates the page. Raises KeyError for a text without translation. The names of events are kept in front of
    their translation."""

    def cells(row: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(cell if _CODE.fullmatch(cell) else words[cell] for cell in row)

    def table(one: Table) -> Table:
        name = f"{one.name} {words[one.name]}" if one.name else ""
        return Table(name, cells(one.head), tuple(cells(row) for row in one.rows))

    return [
        Section(
            section.level,
            words[section.title],
            tuple(words[one] for one in section.paragraphs),
            tuple(table(one) for one in section.tables),
        )
        for section in sections
    ]


@cache
def _read(language: Language) -> list[Section]:
    # Cached for the life of the process, since the file is part of the program.
    sections = parse_sections((resources.files("millmark.ledger") / "VISIBLE.md").read_text("utf-8"))
    if language is Language.EN:
        return sections
    words = resources.files("millmark.services.portal") / "catalogue" / f"visible.{language}.json"
    return translate(sections, json.loads(words.read_text("utf-8")))


def _table(name: str, block: str) -> Table:
    """A block without table lines, for an event without fields, yields a table without rows."""
    rows = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in block.splitlines() if "|" in line]
    return Table(name, rows[0] if rows else (), tuple(rows[2:]))


def _spans(text: str) -> Markup:
    """Text with the parts between backticks marked up as code."""
    parts = [_CODED.format(part) if place % 2 else escape(part) for place, part in enumerate(text.split("`"))]
    return Markup("").join(parts)
