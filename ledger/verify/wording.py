"""Puts statements into words of a language.

text = words_of("zh").text(statement)
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module

from millmark.ledger.canonical import to_hex
from millmark.ledger.footprint import PATH
from millmark.ledger.records import NoteKind
from millmark.ledger.verify.printable import printable, quoted
from millmark.ledger.verify.statement import Statement
from millmark.ledger.verify.values import Age, Fields, Model, NamedMachine, Party, Span, Thing, Unit

__all__ = ["LANGUAGES", "Words", "words_of"]

LANGUAGES: Mapping[str, str] = {"en": "english", "zh": "chinese"}
"""The module of each language, by its BCP 47 tag."""
_MAX_LISTED = 10
_SPANS = (("days", 86_400), ("hours", 3600), ("minutes", 60))


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
    module = import_module(f"millmark.ledger.verify.words.{LANGUAGES[language]}")
    return Words(
        {code: text for section in module.STATEMENTS.values() for code, text in section.items()},
        module.TITLES,
        module.PHRASES,
        module.UNITS,
        module.ENUMERATIONS,
    )
