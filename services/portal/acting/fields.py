"""What a person fills in: fields of a form, and the members of an API body that follow from them."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from millmark.services.portal.acting.things import Filled, Scene

__all__ = ["Body", "EntryError", "Field", "FieldKind", "Filled", "Option", "set_member"]

Body: TypeAlias = "dict[str, Any]"
"""The JSON form of an API body, or a part of it."""
_NUMBER = re.compile(r"[0-9]{1,16}")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?")


class EntryError(ValueError):
    """An entry cannot be used; `key` is that of the catalogue's text, in which `values` stand."""

    def __init__(self, key: str, **values: object) -> None:
        self.key, self.values = key, values
        super().__init__(key)


class FieldKind(enum.Enum):
    TEXT = "text"
    """One line."""
    LONG = "long"
    """Several lines."""
    NUMBER = "number"
    """A whole number, of the field's `least` or more."""
    MOMENT = "moment"
    """A date and time, UTC."""
    CHOICE = "choice"
    """One of the options."""
    MANY = "many"
    """Any number of the options."""
    TICK = "tick"
    """Yes or no."""
    HIDDEN = "hidden"
    """Sent along, for what the link of the form says; shown in the summary only as the record has it."""


@dataclass(frozen=True, slots=True)
class Option:
    """One of several values to choose from."""

    value: str
    text: str = ""
    """Shown as it is, such as the name of a thing."""
    key: str = ""
    """Catalogue key, instead of `text`."""
    values: Mapping[str, object] = field(default_factory=dict)
    """Values of the key's placeholders."""
    chosen: bool = False
    """Whether it is chosen in a form that nobody has filled in."""


Options: TypeAlias = "Callable[[Scene], Sequence[Option]]"


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a form. Its label is `act.field.NAME` of the catalogue, its hint `act.field.NAME.hint` if there is
    one."""

    name: str
    kind: FieldKind = FieldKind.TEXT
    member: str = ""
    """Member of the body, dotted if nested; by default `name`. A document's text is a member of the document:
    `claims.note`."""
    required: bool = True
    options: Options | None = None
    numeric: bool = False
    """Whether the options' values are numbers in the body."""
    initial: Callable[[Scene], str] | None = None
    """What a form has that nobody has filled in."""
    least: int = 0
    """The least that a number can be."""
    label: str = ""
    """Name by which the catalogue has the label, if not that of the field."""

    @property
    def target(self) -> str:
        return self.member or self.name

    @property
    def is_written(self) -> bool:
        """Whether it is part of a document of which the ledger has the fingerprint alone."""
        return self.target.partition(".")[0] in ("claims", "reason", "report")

    @property
    def word(self) -> str:
        """Catalogue key of the label."""
        return f"act.field.{self.label or self.name}"

    def parse(self, values: Sequence[str]) -> object:
        """The member's value; None for what was left out. Raises EntryError."""
        if self.kind is FieldKind.TICK:
            return bool(values)
        given = [one.strip() for one in values if one.strip()]
        if not given:
            if self.required:
                raise EntryError("entry.missing")
            return None
        if self.kind is FieldKind.MANY:
            return [self._one(one) for one in given]
        return self._one(given[0])

    def _one(self, text: str) -> object:
        if self.kind is FieldKind.NUMBER or self.numeric:
            if not _NUMBER.fullmatch(text):
                raise EntryError("entry.number")
            if int(text) < self.least:
                raise EntryError("entry.least", ge=self.least)
            return int(text)
        if self.kind is FieldKind.MOMENT:
            if not _MOMENT.fullmatch(text):
                raise EntryError("entry.moment")
            return f"{text[:16]}:{text[17:] or '00'}Z"
        # Forms send lines with CR LF.
        return text.replace("\r\n", "\n")


def set_member(body: Body, path: str, value: object) -> None:
    """Sets a member; those above it become objects."""
    *above, name = path.split(".")
    for part in above:
        body = body.setdefault(part, {})
    body[name] = value
