"""Statements: everything that a report says, one by one, and their words in a language. See STATEMENTS.md.

Terminal, JSON, passport and portal are made from the list of statements and from nothing else:
`words_of("zh").text(statement)`.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime
from importlib import import_module

from millmark.ledger.canonical import Json, to_hex
from millmark.ledger.footprint import PATH
from millmark.ledger.records import NoteKind
from millmark.ledger.verify.printable import printable, quoted
from millmark.ledger.verify.words.en import STATEMENTS

# The kinds of value that a statement has, besides numbers, bytes, times, enumerations and tuples of these.


@dataclass(frozen=True, slots=True)
class Party:
    """A participant, with its name in the trust file."""

    participant: int
    name: str | None
    """None if the trust file does not have its name. Participant 0 is the registry's owner."""

    def __str__(self) -> str:
        return f"participant {self.participant} (not in the trust file)" if self.name is None else self.name


@dataclass(frozen=True, slots=True)
class Thing:
    """An order or a lot."""

    subject: bytes
    identifier: str | None
    """None if the bundle does not disclose it."""

    def __str__(self) -> str:
        return self.identifier or to_hex(self.subject)


@dataclass(frozen=True, slots=True)
class NamedMachine:
    machine: int
    identifier: str | None
    """None if the bundle does not disclose it."""


@dataclass(frozen=True, slots=True)
class Model:
    """How a certificate came about: by inference on a model, or by procedure."""

    model: int
    """0 if it is by procedure."""


@dataclass(frozen=True, slots=True)
class Unit:
    code: str
    """Three characters of whoever made the lot, without trailing zero bytes: any that they liked."""


@dataclass(frozen=True, slots=True)
class Age:
    """How long ago something was."""

    seconds: int
    """Negative if it lies ahead."""


@dataclass(frozen=True, slots=True)
class Span:
    """A length of time."""

    seconds: int


@dataclass(frozen=True, slots=True)
class Fields:
    """Disclosed fields of a document: path and value."""

    fields: tuple[tuple[tuple[str | int, ...], Json], ...]


LANGUAGES: Mapping[str, str] = {"en": "English", "zh": "中文"}
"""Each language's own name, by its BCP 47 tag. tests/unit/test_languages.py lists the files that one needs."""
_MAX_LISTED = 10
_SPANS = (("days", 86_400), ("hours", 3600), ("minutes", 60))


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
    """One sentence of a report, as data. `Words` puts it into words."""

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


@dataclass(frozen=True, slots=True)
class Words:
    """The words of one language. A missing code is a bug, and raises KeyError."""

    templates: Mapping[str, str]
    """By code, with the names of the statement's values in braces."""
    titles: Mapping[str, str]
    phrases: Mapping[str, str]
    units: Mapping[str, str]
    enumerations: Mapping[str, str]

    def text(self, statement: Statement) -> str:
        """A statement as one line of text, in which nothing that a stranger wrote can pass for anything else."""
        values = {name: self.value(value) for name, value in statement.values.items()}
        return self.templates[statement.code].format(**values)

    def value(self, value: object) -> str:
        """A value of a statement as text."""
        if isinstance(value, str):
            return printable(value)
        if isinstance(value, bytes):
            return to_hex(value)
        if isinstance(value, enum.Enum):
            return self.member(value)
        if isinstance(value, datetime):
            return f"{value:%Y-%m-%d %H:%M:%S} UTC"
        if isinstance(value, tuple):
            return self.listed(value)
        return self._named(value)

    def member(self, member: enum.Enum) -> str:
        """The word for a member of an enumeration."""
        name = f"{type(member).__name__}.{member.name}"
        return self.enumerations.get(name, member.name.lower().replace("_", " "))

    def listed(self, values: tuple[object, ...]) -> str:
        """The first of several values, and the number of the others. All are in the statement."""
        shown = self.phrases["joiner"].join(map(self.value, values[:_MAX_LISTED])) or self.phrases["nothing"]
        more = len(values) - _MAX_LISTED
        return self.phrases["more"].format(shown=shown, count=more) if more > 0 else shown

    def _named(self, value: object) -> str:
        say = self.phrases
        match value:
            case Party(0, None):
                return say["owner"]
            case Party(number, None):
                return say["participant"].format(number=number)
            case Party(_, name):
                return printable(str(name))
            case Thing(_, identifier):
                return printable(identifier) if identifier else to_hex(value.subject)
            case NamedMachine(number, identifier):
                return say["machine"].format(name=printable(identifier or str(number)))
            case Model(number):
                return say["with_model"].format(number=number) if number else say["by_procedure"]
            case Unit(code):
                return self.unit(code)
            case Age(seconds):
                return self._age(seconds)
            case Span(seconds):
                return self._span(seconds)
            case Fields(fields):
                # A footprint has a hundred fields, and sentences of its own.
                rest = [one for one in fields if one[0][: len(PATH)] != PATH]
                shown = [f"{_path(path)} {quoted(value)}" for path, value in rest]
                if len(rest) < len(fields):
                    shown.append(say["footprint"].format(count=len(fields) - len(rest)))
                return say["joiner"].join(shown) or say["no_field"]
        return str(value)

    def unit(self, code: str) -> str:
        """The symbol of a known unit; any other in quotation marks, since it may look like a number."""
        return self.units.get(code) or self.phrases["unit"].format(code=quoted(code))

    def note_kind(self, number: int) -> str:
        known = number in NoteKind.__members__.values()
        return self.member(NoteKind(number)) if known else self.phrases["note_kind"].format(number=number)

    def _age(self, seconds: int) -> str:
        return self.phrases["ago" if seconds >= 0 else "ahead"].format(span=self._span(abs(seconds)))

    def _span(self, seconds: int) -> str:
        unit, size = next(((unit, size) for unit, size in _SPANS if seconds >= 2 * size), ("seconds", 1))
        return self.phrases[unit].format(number=f"{seconds / size:.0f}")


def _path(path: tuple[str | int, ...]) -> str:
    """Names in quotation marks, so that `a/b` is one name or two."""
    return "/".join(map(quoted, path))


@functools.cache
def words_of(language: str) -> Words:
    """The words of a language in LANGUAGES."""
    module = import_module(f"millmark.ledger.verify.words.{language}")
    return Words(
        {code: text for section in module.STATEMENTS.values() for code, text in section.items()},
        module.TITLES,
        module.PHRASES,
        module.UNITS,
        module.ENUMERATIONS,
    )
