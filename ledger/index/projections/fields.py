"""An event's fields, with the type that the contract gives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from ledger.errors import IndexHaltedError
from ledger.records import Value

Fields = Mapping[str, Value]
ZERO = bytes(32)


def number(fields: Fields, name: str) -> int:
    value = fields.get(name)
    return value if isinstance(value, int) else _refuse(name, value)


def raw(fields: Fields, name: str) -> bytes:
    value = fields.get(name)
    return value if isinstance(value, bytes) else _refuse(name, value)


def subject(fields: Fields, name: str) -> bytes | None:
    """A subject; None when it is all zero."""
    value = raw(fields, name)
    return None if value == ZERO else value


def struct(fields: Fields, name: str) -> Fields:
    value = fields.get(name)
    return value if isinstance(value, Mapping) else _refuse(name, value)


def structs(fields: Fields, name: str) -> list[Fields]:
    value = fields.get(name)
    if not isinstance(value, tuple):
        _refuse(name, value)
    return [item if isinstance(item, Mapping) else _refuse(name, item) for item in value]


def _refuse(name: str, value: object) -> NoReturn:
    raise IndexHaltedError(
        f"a record's field {name} cannot be {value!r}", hint="use the version that belongs to the contracts"
    )
