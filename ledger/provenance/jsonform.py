"""Converts dataclasses to JSON, by the same rules for every answer."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from functools import cache
from operator import attrgetter
from types import NoneType
from typing import Any, TypeAlias, get_args, get_origin, get_type_hints

import msgspec

from millmark.ledger.canonical import to_hex
from millmark.ledger.events import Event

_LATEST_S = 253_402_300_799
"""9999-12-31T23:59:59Z, the latest time in RFC 3339; contracts can have later ones."""
_Form: TypeAlias = "Callable[[Any], object]"


class Printable:
    """Base class of answers."""

    __slots__ = ()

    def to_json(self) -> dict[str, object]:
        """Convert to JSON types: snake-case names, bytes as 0x-hex, times as RFC 3339 in UTC, enumerations as words."""
        names, read, forms = _plan(type(self))  # type: ignore[arg-type]  # mypy judges the class by its instances' hash
        found = dict(zip(names, read(self), strict=True))
        for name, form in forms:
            value = found[name]
            if value is not None:
                found[name] = form(value)
        return found

    def encode(self) -> bytes:
        """The JSON text of `to_json`, in UTF-8."""
        return msgspec.json.encode(self.to_json())


def moment(seconds: int) -> datetime | None:
    """Convert a contract's time; None for 0, which means "never". Times after 9999 become the last second of 9999."""
    return datetime.fromtimestamp(min(seconds, _LATEST_S), UTC) if seconds else None


@cache
def _plan(
    answer: type,
) -> tuple[tuple[str, ...], Callable[[object], tuple[object, ...]], tuple[tuple[str, _Form], ...]]:
    """The JSON names of a class's members, a function that reads them, and the conversions of those that need one."""
    # Once per class: reading the type hints for each answer would take longer than converting it.
    hints = get_type_hints(answer)
    members = [field.name for field in fields(answer)]
    names = tuple(member.rstrip("_") for member in members)
    read = attrgetter(*members)
    forms = ((name, _form(hints[member])) for name, member in zip(names, members, strict=True))
    found = tuple((name, form) for name, form in forms if form is not None)
    # attrgetter of one name returns the value itself, not a tuple.
    return names, read if len(names) > 1 else lambda value: (read(value),), found


def _form(hint: Any) -> _Form | None:
    """The conversion of a type's values (except None) to JSON types; None if they are JSON types already."""
    kinds = [kind for kind in get_args(hint) if kind not in (NoneType, Ellipsis)]
    if get_origin(hint) is tuple and len(kinds) == 1:
        form = _form(kinds[0])
        return list if form is None else lambda items: [form(item) for item in items]
    kind = kinds[0] if len(kinds) == 1 else hint
    if not isinstance(kind, type):
        return _plain
    if issubclass(kind, Printable | Event):
        return kind.to_json
    if issubclass(kind, enum.Enum):
        return {value: value.name.lower() for value in kind}.__getitem__
    return None if kind in (str, int, bool) else _FORMS.get(kind, _plain)


def _plain(value: Any) -> object:
    """Convert a value whose type is not known in advance."""
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    form = None if value is None else _form(type(value))
    return value if form in (None, _plain) else form(value)


_FORMS: dict[object, _Form] = {
    bytes: to_hex,
    # All times are UTC, so the offset that isoformat appends may be written Z.
    datetime: lambda value: value.isoformat(timespec="seconds")[:19] + "Z",
}
