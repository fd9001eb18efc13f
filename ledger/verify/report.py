"""The report of a verified bundle: what it proves, what it does not prove, and at which block."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from millmark.ledger.verify.statements import Kind, Section, Statement, words_of

__all__ = ["Report", "describe", "moment"]

_LATEST_S = 253_402_300_799
"""9999-12-31T23:59:59Z, the latest time in RFC 3339; contracts can have later ones."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a bundle proves. All of it is in the statements."""

    statements: tuple[Statement, ...]
    holds_until: int
    """From this time on, in seconds since 1970, the same bundle may result in another report, or be refused, although
    nothing of it changed: its block is too old, a certificate expired, or the deadline to open one passed."""

    @property
    def attention(self) -> tuple[Statement, ...]:
        return self.of(Kind.ATTENTION)

    @property
    def proved(self) -> tuple[Statement, ...]:
        return self.of(Kind.PROVED)

    @property
    def not_proved(self) -> tuple[Statement, ...]:
        return self.of(Kind.NOT_PROVED)

    def of(self, kind: Kind) -> tuple[Statement, ...]:
        """The statements of a kind, in their order."""
        return tuple(one for one in self.statements if one.kind is kind)

    def within(self, section: Section) -> tuple[Statement, ...]:
        """The statements of a section, in their order."""
        return tuple(one for one in self.statements if one.section is section)

    def to_json(self) -> list[dict[str, object]]:
        """The statements as JSON types."""
        return [one.to_json() for one in self.statements]


def moment(seconds: int) -> datetime:
    """Convert a contract's time. Times after 9999 become the last second of 9999."""
    return datetime.fromtimestamp(min(seconds, _LATEST_S), UTC)


def describe(report: Report, language: str = "en") -> list[str]:
    """The statements as text, line by line, in a language of LANGUAGES."""
    lines: list[str] = []
    for section, statements in itertools.groupby(report.statements, lambda one: one.section):
        lines += _lines(section, statements, language)
    return lines


def _lines(section: Section, statements: Iterator[Statement], language: str) -> Iterator[str]:
    words = words_of(language)
    if section.value in words.titles:
        yield ""
        yield words.titles[section.value]
    indent = "" if section is Section.HEAD else "  " if section is Section.PART else "  - "
    for one in statements:
        if one.code == "part":  # a heading
            yield ""
            yield words.text(one)
        else:
            yield indent + words.text(one)
