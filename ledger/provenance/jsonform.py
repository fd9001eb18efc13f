"""Dataclasses as JSON: one rule for every answer."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from functools import cache

_LATEST_S = 253_402_300_799
"""9999-12-31T23:59:59Z: RFC 3339 has no later year, a contract's clock has."""


_AS_THEY_ARE = (str, int, bool)


class Printable:
    """Base of the views."""

    __slots__ = ()

    def to_json(self) -> dict[str, object]:
        """As JSON's types: snake-case keys, bytes as 0x-hex, times as RFC 3339 in UTC, enumerations as words."""
        return {name: _plain(getattr(self, member)) for name, member in _members(type(self))}  # type: ignore[arg-type]  # mypy judges the class by its instances' hash


def moment(seconds: int) -> datetime | None:
    """A contract's time; None for 0, which says "never". Times past the year 9999 become its last second."""
    return datetime.fromtimestamp(min(seconds, _LATEST_S), UTC) if seconds else None


@cache
def _members(view: type) -> tuple[tuple[str, str], ...]:
    """JSON's names and Python's."""
    return tuple((field.name.rstrip("_"), field.name) for field in fields(view))


def _plain(value: object) -> object:
    if value is None or type(value) in _AS_THEY_ARE:
        return value
    if isinstance(value, Printable):
        return value.to_json()
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, enum.Enum):
        return value.name.lower()
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
