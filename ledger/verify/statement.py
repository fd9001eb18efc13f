"""Statements: everything that a report says, one by one. See STATEMENTS.md.

Terminal, JSON, passport and portal are made from the list of statements and from nothing else.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime

from millmark.ledger.canonical import to_hex
from millmark.ledger.verify.words.english import STATEMENTS

__all__ = ["SECTIONS", "Kind", "Section", "Statement", "plain", "say"]


class Kind(enum.Enum):
    """What a statement is."""

    PROVED = "proved"
    """It is so, whoever made the bundle: what it says was recorded, was recorded."""
    ATTENTION = "attention"
    """As above, and a reader must not overlook it."""
    NOT_PROVED = "not_proved"
    """A reader might believe it to be proved, and it is not."""


class Section(enum.Enum):
    """Where a statement belongs, in the order of the list."""

    HEAD = "head"
    """Block, checkpoint and trust file."""
    PART = "part"
    """A part's verdict, its history, and how it stands: part by part."""
    ATTENTION = "attention"
    ORIGIN = "origin"
    """Who made, split, assembled or received the parts and the lots that they came from, and on which machines."""
    DISCLOSED = "disclosed"
    """What the sender chose to show."""
    PROVED = "proved"
    """What else is proved, about the bundle as a whole."""
    NOT_PROVED = "not_proved"


SECTIONS: Mapping[str, Section] = {code: Section(name) for name, codes in STATEMENTS.items() for code in codes}
"""The section of each code. Events of lots that the parts came from are in ORIGIN."""
_KINDS = {Section.ATTENTION: Kind.ATTENTION, Section.NOT_PROVED: Kind.NOT_PROVED}


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence of a report, as data. `wording` puts it into words."""

    code: str
    subject: bytes | None
    """The order or lot that it is about, 32 bytes; None if it is about several, or the bundle."""
    records: tuple[int, ...]
    """Sequences of the records that it rests on; empty if it rests on state, or on all records."""
    values: Mapping[str, object] = field(hash=False)
    """By name: numbers, bytes, times, enumerations, the classes in `values`, and tuples of these."""
    section: Section

    @property
    def kind(self) -> Kind:
        return _KINDS.get(self.section, Kind.PROVED)

    def __str__(self) -> str:
        """The English text."""
        from millmark.ledger.verify.wording import words_of  # noqa: PLC0415 - it needs this module

        return words_of("en").text(self)

    def to_json(self) -> dict[str, object]:
        """Convert to JSON types, with the English text. Names are in snake case, bytes 0x-hex, times RFC 3339 in UTC,
        enumerations as words."""
        return {
            "kind": self.kind.value,
            "section": self.section.value,
            "code": self.code,
            "subject": plain(self.subject),
            "records": list(self.records),
            "values": plain(self.values),
            "text": str(self),
        }


def say(code: str, subject: bytes | None = None, records: tuple[int, ...] = (), **values: object) -> Statement:
    """Make a statement."""
    return Statement(code, subject, records, values, SECTIONS[code])


def plain(value: object) -> object:
    """Convert a value to JSON types."""
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, bytes):
        return to_hex(value)
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, enum.Enum):
        return value.name.lower()
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
