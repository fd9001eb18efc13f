"""Reads an event's data: the one form that `abi.encode` writes (Solidity ABI specification, "Formal Specification of
the Encoding"), and none of the others that a reader which follows offsets would take.

What reads a type is put together once for each class. The verifier has a decoder of its own (ledger.verify._abi), so
that it depends on none of this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias, TypeVar, cast

from ledger.errors import RecordError
from ledger.events._base import Event, header_of
from ledger.events._layout import ArrayOf, Struct, Type, Word, once, struct_of, unsafe_builder
from ledger.records import Contract

__all__ = ["decode"]

E = TypeVar("E", bound=Event)
_Static: TypeAlias = "Callable[[bytes, int], object]"
"""Reads a value of which all words are there."""
_Dynamic: TypeAlias = "Callable[[bytes, int], tuple[Any, int]]"
"""Reads a value that begins at a place, and says where it ends."""
_WORD = 32
_HINT = "use the version that belongs to the contracts"


def decode(kind: type[E], data: bytes) -> tuple[bytes, tuple[bytes, ...], E]:
    """The key that signed, the histories that the record entered, and the event. Raises RecordError for any other bytes
    than such an event logs."""
    values, end = _event_reader(kind)(data, 0)
    if end != len(data):
        raise _malformed(f"{len(data)} bytes, not {end}")
    if kind.contract is Contract.REGISTRY:
        return values[0], (), unsafe_builder(kind)(values[1:])
    return values[0], values[1], unsafe_builder(kind)(values[2:])


@once
def _event_reader(kind: type[Event]) -> _Dynamic:
    return _members((*header_of(kind), *struct_of(kind).members))


def _members(members: Iterable[tuple[str, Type]]) -> _Dynamic:
    """Reads values one behind another, and behind their heads what is dynamic of them."""
    steps: list[tuple[int, _Static | None, _Dynamic | None]] = []
    heads = 0
    for _, member in members:
        words = _words(member)
        steps.append((heads, _static(member) if words else None, None if words else _dynamic(member)))
        heads += _WORD * (words or 1)

    def read(data: bytes, at: int) -> tuple[list[Any], int]:
        end = at + heads
        if end > len(data):
            raise _malformed("the data end too early")
        values: list[Any] = []
        for offset, static, dynamic in steps:
            place = at + offset
            if static is not None:
                values.append(static(data, place))
            elif dynamic is not None:
                if int.from_bytes(data[place : place + _WORD], "big") != end - at:
                    raise _malformed("a part does not begin where it must")
                value, end = dynamic(data, end)
                values.append(value)
        return values, end

    return read


def _words(kind: Type) -> int:
    """How many words a type takes; 0 when that depends on the value."""
    if isinstance(kind, Word):
        return 1
    if isinstance(kind, ArrayOf):
        return 0
    sizes = [_words(member) for _, member in kind.members]
    return sum(sizes) if all(sizes) else 0


def _dynamic(kind: Type) -> _Dynamic:
    if isinstance(kind, Struct):
        return _dynamic_struct(kind)
    item = cast(ArrayOf, kind).item
    read_item, size = _static(item), _WORD * _words(item)

    def read(data: bytes, at: int) -> tuple[tuple[object, ...], int]:
        first = at + _WORD
        end = first + size * int.from_bytes(data[at:first], "big")
        if max(first, end) > len(data):
            raise _malformed("an array is longer than the data")
        return tuple(read_item(data, place) for place in range(first, end, size)), end

    return read


def _dynamic_struct(kind: Struct) -> _Dynamic:
    read_members = _members(kind.members)
    make: Callable[[Sequence[object]], object] = unsafe_builder(kind.kind)

    def read(data: bytes, at: int) -> tuple[object, int]:
        values, end = read_members(data, at)
        return make(values), end

    return read


def _static(kind: Type) -> _Static:
    if isinstance(kind, Word):
        return _word(kind)
    held, steps, size = cast(Struct, kind), [], 0
    for _, member in held.members:
        steps.append((size, _static(member)))
        size += _WORD * _words(member)
    make: Callable[[Sequence[object]], object] = unsafe_builder(held.kind)
    return lambda data, at: make([read(data, at + place) for place, read in steps])


def _word(kind: Word) -> _Static:
    if kind.enumeration is not None:
        return _enumeration({member.value: member for member in kind.enumeration})
    if kind.abi == "bool":
        return _enumeration({0: False, 1: True})
    if kind.abi.startswith("uint"):
        return _number(kind.size)
    if kind.abi == "address":
        return _bytes(_WORD - kind.size, _WORD)
    return _bytes(0, kind.size)


def _number(bits: int) -> _Static:
    above = _WORD - bits // 8
    zeros = bytes(above)

    def read(data: bytes, at: int) -> int:
        if data[at : at + above] != zeros:
            raise _malformed(f"a number does not fit into {bits} bits")
        return int.from_bytes(data[at + above : at + _WORD], "big")

    return read


def _enumeration(members: dict[int, Any]) -> _Static:
    def read(data: bytes, at: int) -> object:
        number = int.from_bytes(data[at : at + _WORD], "big")
        if number not in members:
            raise _malformed(f"{number:#x} names nothing")
        return members[number]

    return read


def _bytes(first: int, end: int) -> _Static:
    """The bytes of a word from `first` to `end`; the others are zero."""
    before, behind = bytes(first), bytes(_WORD - end)

    def read(data: bytes, at: int) -> bytes:
        value = data[at + first : at + end]
        if data[at : at + first] != before or data[at + end : at + _WORD] != behind:
            raise _malformed("a value is not padded with zeros")
        return value

    return read


def _malformed(cause: str) -> RecordError:
    return RecordError(f"not the data of such an event: {cause}", hint=_HINT)
