"""Event data in the ABI's one canonical form (Solidity ABI specification, "Formal Specification of the Encoding").

`abi.encode` writes each dynamic part right behind the one before it; a reader that follows offsets also takes other
forms, of which a forger could make many. Here an offset is only compared with where the part must be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias, cast

__all__ = ["ArrayOf", "Fields", "MalformedError", "Struct", "Type", "decode"]

_WORD = 32


@dataclass(frozen=True, slots=True)
class Struct:
    """Named members."""

    members: tuple[tuple[str, Type], ...]


@dataclass(frozen=True, slots=True)
class ArrayOf:
    """A dynamic array; its items are never dynamic themselves in what the contracts log."""

    item: Type


Type: TypeAlias = "str | Struct | ArrayOf"
"""A string is an elementary type: uintN, bytesN, bool or address."""
_Value: TypeAlias = "int | bytes | Fields | tuple[_Value, ...]"


class MalformedError(ValueError):
    """Bytes that `abi.encode` does not give for the type."""


@dataclass(frozen=True, slots=True)
class Fields:
    """Decoded members; each getter is for names whose type the layout fixes."""

    values: dict[str, _Value]

    def number(self, name: str) -> int:
        return cast(int, self.values[name])

    def raw(self, name: str) -> bytes:
        return cast(bytes, self.values[name])

    def subject(self, name: str) -> bytes | None:
        """32 bytes; None when all are zero."""
        value = self.raw(name)
        return value if any(value) else None

    def struct(self, name: str) -> Fields:
        return cast(Fields, self.values[name])

    def structs(self, name: str) -> tuple[Fields, ...]:
        return cast("tuple[Fields, ...]", self.values[name])

    def raws(self, name: str) -> tuple[bytes, ...]:
        return cast("tuple[bytes, ...]", self.values[name])


def decode(layout: Struct, data: bytes) -> Fields:
    """The values of an event's data. Raises MalformedError for any other bytes than `abi.encode` gives."""
    values, end = _members(layout, data, 0)
    if end != len(data):
        raise MalformedError(f"{len(data)} bytes, not {end}")
    return values


def static_words(kind: Type) -> int | None:
    """How many words a type takes; None when that depends on the value."""
    if isinstance(kind, str):
        return 1
    if isinstance(kind, ArrayOf):
        return None
    sizes = [static_words(member) for _, member in kind.members]
    return None if None in sizes else sum(cast("list[int]", sizes))


def _members(layout: Struct, data: bytes, base: int) -> tuple[Fields, int]:
    """The members whose heads begin at `base`, and where the last one ends."""
    at = base
    end = base + sum(_WORD * (static_words(kind) or 1) for _, kind in layout.members)
    values: dict[str, _Value] = {}
    for name, kind in layout.members:
        if static_words(kind) is None:
            if _number(data, at, 256) != end - base:
                raise MalformedError(f"{name} does not begin where it must")
            values[name], end = _dynamic(kind, data, end)
            at += _WORD
        else:
            values[name], at = _static(kind, data, at)
    return Fields(values), end


def _dynamic(kind: Type, data: bytes, at: int) -> tuple[_Value, int]:
    if isinstance(kind, Struct):
        return _members(kind, data, at)
    item = cast(ArrayOf, kind).item
    length = _number(data, at, 256)
    at += _WORD
    if length > len(data) // _WORD:
        raise MalformedError("an array is longer than the data")
    items = []
    for _ in range(length):
        value, at = _static(item, data, at)
        items.append(value)
    return tuple(items), at


def _static(kind: Type, data: bytes, at: int) -> tuple[_Value, int]:
    if isinstance(kind, Struct):
        values: dict[str, _Value] = {}
        for name, member in kind.members:
            values[name], at = _static(member, data, at)
        return Fields(values), at
    return _elementary(cast(str, kind), data, at), at + _WORD


def _elementary(kind: str, data: bytes, at: int) -> int | bytes:
    if kind.startswith("uint"):
        return _number(data, at, int(kind[4:]))
    if kind == "bool":
        return bool(_number(data, at, 1))
    if kind == "address":
        return _number(data, at, 160).to_bytes(20, "big")
    size = int(kind[5:])
    word = _word(data, at)
    if any(word[size:]):
        raise MalformedError(f"{kind} is not padded with zeros")
    return word[:size]


def _number(data: bytes, at: int, bits: int) -> int:
    number = int.from_bytes(_word(data, at), "big")
    if number >> bits:
        raise MalformedError(f"{number:#x} does not fit into {bits} bits")
    return number


def _word(data: bytes, at: int) -> bytes:
    word = data[at : at + _WORD]
    if len(word) != _WORD:
        raise MalformedError("the data end too early")
    return word
