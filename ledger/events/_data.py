"""Decodes an event's data (Solidity ABI specification, "Formal Specification of the Encoding").

Only the canonical encoding is accepted, as `abi.encode` writes it; decoders that follow offsets also accept others. A
decoder is built once per class, from nested functions. The verifier has its own decoder (millmark.ledger.verify._abi),
so that one bug does not affect both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias, TypeVar, cast

from millmark.ledger.errors import RecordError
from millmark.ledger.events._base import Event, header_of
from millmark.ledger.events._layout import ArrayOf, PackedOf, Struct, Type, Word, once, struct_of, unsafe_builder
from millmark.ledger.records import Contract

E = TypeVar("E", bound=Event)
_Static: TypeAlias = "Callable[[bytes, int], object]"
"""Decodes a value of fixed size at an offset. The data must have been checked to be long enough."""
_Dynamic: TypeAlias = "Callable[[bytes, int], tuple[Any, int]]"
"""Decodes a value of variable size at an offset. Returns the value and the offset of its end."""
_WORD = 32
_HINT = "use the version of Millmark that belongs to these contracts"


def decode(kind: type[E], data: bytes) -> tuple[bytes, tuple[bytes, ...], E]:
    """Decode the signing key, the subjects of the histories that the record entered, and the event.

    Raises RecordError unless `data` are exactly the canonical encoding of such an event.
    """
    values, end = _event_reader(kind)(data, 0)
    if end != len(data):
        raise _malformed(f"they have {len(data)} bytes, not {end}")
    if kind.contract is Contract.REGISTRY:
        return values[0], (), unsafe_builder(kind)(values[1:])
    return values[0], values[1], unsafe_builder(kind)(values[2:])


@once
def _event_reader(kind: type[Event]) -> _Dynamic:
    return _members((*header_of(kind), *struct_of(kind).members))


def _members(members: Iterable[tuple[str, Type]]) -> _Dynamic:
    """A decoder of consecutive members: their heads, then the tails of the dynamic ones."""
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
                # Compared, not followed: overlapping or scattered parts would be another encoding of the same event.
                if int.from_bytes(data[place : place + _WORD], "big") != end - at:
                    raise _malformed("a dynamic part is not at the offset where it must be")
                value, end = dynamic(data, end)
                values.append(value)
        return values, end

    return read


def _words(kind: Type) -> int:
    """Number of words of a type; 0 if that depends on the value."""
    if isinstance(kind, (Word, PackedOf)):
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
        # Before anything is read, so that a length from a stranger cannot make this allocate more than the data have.
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
    if isinstance(kind, PackedOf):
        return _packed(kind)
    held, steps, size = cast(Struct, kind), [], 0
    for _, member in held.members:
        steps.append((size, _static(member)))
        size += _WORD * _words(member)
    make: Callable[[Sequence[object]], object] = unsafe_builder(held.kind)
    return lambda data, at: make([read(data, at + place) for place, read in steps])


def _packed(kind: PackedOf) -> _Static:
    sizes = kind.sizes
    make: Callable[[Sequence[object]], object] = unsafe_builder(kind.item.kind)
    bits = kind.most * sum(sizes)

    def read(data: bytes, at: int) -> tuple[object, ...]:
        word, items = int.from_bytes(data[at : at + _WORD], "big"), []
        if word >> bits:
            raise _malformed(f"a word has more than {kind.most} items")
        while word:
            members = []
            for size in sizes:
                members.append(word & (1 << size) - 1)
                word >>= size
            items.append(make(members))
        return tuple(items)

    return read


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
            raise _malformed(f"{number:#x} is not a value of the enumeration")
        return members[number]

    return read


def _bytes(first: int, end: int) -> _Static:
    """A decoder of the bytes of a word from `first` to `end`. All others must be zero."""
    if end - first == _WORD:  # most members are hashes
        return lambda data, at: data[at : at + _WORD]
    before, behind = bytes(first), bytes(_WORD - end)

    def read(data: bytes, at: int) -> bytes:
        value = data[at + first : at + end]
        if data[at : at + first] != before or data[at + end : at + _WORD] != behind:
            raise _malformed("bytes are not padded with zeros")
        return value

    return read


def _malformed(cause: str) -> RecordError:
    return RecordError(f"the data do not encode an event of this kind: {cause}", hint=_HINT)
