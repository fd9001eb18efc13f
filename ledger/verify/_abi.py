"""Decodes event data in their canonical encoding (Solidity ABI specification, "Formal Specification of the Encoding").

`abi.encode` writes each dynamic part directly after the previous one. Decoders that follow offsets also accept other
encodings, of which a forger could make many. Here an offset is only compared with the place where the part must be.

The layout is that of the declarations (ledger.events), but the decoder is the verifier's own, so that one bug cannot
affect both a company's index and a partner's verification.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import TypeAlias, TypeVar, cast

from ledger.events import ArrayOf, Event, Struct, Type, Word, header_of, once, struct_of, unsafe_builder

__all__ = ["MalformedError", "decode"]

E = TypeVar("E", bound=Event)
_Value: TypeAlias = "int | bytes | tuple[_Value, ...] | object"
_Members: TypeAlias = "tuple[tuple[str, Type, int | None], ...]"
"""Name, type and number of words (None if dynamic) of each member."""
_WORD = 32


class MalformedError(ValueError):
    """The data are bytes that `abi.encode` returns for no value of the type."""


def decode(kind: type[E], data: bytes) -> tuple[bytes, tuple[bytes, ...], E]:
    """Decode key, histories and event from the data of a record that is in histories.

    Raises MalformedError unless the data are exactly as `abi.encode` writes them. Not established: that a number is a
    value of its enumeration. A number that is not is returned as it is, and replay refuses it.
    """
    values, end = _members(_event_members(kind), data, 0)
    if end != len(data):
        raise MalformedError(f"the data have {len(data)} bytes, not {end}")
    key, histories, *own = values
    return cast(bytes, key), cast("tuple[bytes, ...]", histories), unsafe_builder(kind)(own)


@once
def _event_members(kind: type[Event]) -> _Members:
    return _sized((*header_of(kind), *struct_of(kind).members))


@once
def _struct_members(kind: type) -> _Members:
    return _sized(struct_of(kind).members)


def _sized(members: Iterable[tuple[str, Type]]) -> _Members:
    return tuple((name, kind, static_words(kind)) for name, kind in members)


def static_words(kind: Type) -> int | None:
    """The number of 32-byte words that a value of a type takes; None if that depends on the value."""
    if isinstance(kind, Word):
        return 1
    if isinstance(kind, ArrayOf):
        return None
    sizes = [static_words(member) for _, member in kind.members]
    return None if None in sizes else sum(cast("list[int]", sizes))


def _members(members: _Members, data: bytes, base: int) -> tuple[list[_Value], int]:
    """Decode the members whose heads begin at `base`. Returns their values, and the offset of the last one's end."""
    at = base
    end = base + _WORD * sum([words or 1 for _, _, words in members])
    values: list[_Value] = []
    for name, kind, words in members:
        if words is None:
            if _number(data, at, 256) != end - base:
                raise MalformedError(f"{name} does not begin at the offset that `abi.encode` writes")
            value, end = _dynamic(kind, data, end)
            at += _WORD
        else:
            value, at = _static(kind, data, at)
        values.append(value)
    return values, end


def _dynamic(kind: Type, data: bytes, at: int) -> tuple[_Value, int]:
    if isinstance(kind, Struct):
        values, end = _members(_struct_members(kind.kind), data, at)
        return unsafe_builder(kind.kind)(values), end
    item = cast(ArrayOf, kind).item
    length = _number(data, at, 256)
    at += _WORD
    # Every item has at least one word, so this bounds the loop before a stranger's length is believed.
    if length > len(data) // _WORD:
        raise MalformedError("an array is longer than the data")
    items = []
    for _ in range(length):
        value, at = _static(item, data, at)
        items.append(value)
    return tuple(items), at


def _static(kind: Type, data: bytes, at: int) -> tuple[_Value, int]:
    if isinstance(kind, Struct):
        values: list[_Value] = []
        for _, member in kind.members:
            value, at = _static(member, data, at)
            values.append(value)
        return unsafe_builder(kind.kind)(values), at
    return _elementary(cast(Word, kind), data, at), at + _WORD


def _elementary(kind: Word, data: bytes, at: int) -> int | bytes:
    if kind.abi.startswith("uint"):
        number = _number(data, at, kind.size)
        return number if kind.enumeration is None else _member(kind.enumeration, number)
    if kind.abi == "bool":
        return bool(_number(data, at, 1))
    if kind.abi == "address":
        return _number(data, at, 160).to_bytes(20, "big")
    word = _word(data, at)
    if any(word[kind.size :]):
        raise MalformedError(f"{kind.abi} is not padded with zeros")
    return word[: kind.size]


def _member(enumeration: type[enum.IntEnum], number: int) -> int:
    return enumeration(number) if number in enumeration._value2member_map_ else number


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
