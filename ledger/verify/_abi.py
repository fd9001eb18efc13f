"""Decodes event data in their canonical encoding (Solidity ABI specification, "Formal Specification of the Encoding").

`abi.encode` writes each dynamic part directly after the previous one. Decoders that follow offsets also accept other
encodings, of which a forger could make many. Here an offset is only compared with the place where the part must be.

The layout is that of the declarations (millmark.ledger.events), but the decoder is the verifier's own, so that one bug
cannot affect both a company's index and a partner's verification.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import TypeAlias, TypeVar, cast

from millmark.ledger import events

E = TypeVar("E", bound=events.Event)
_Value: TypeAlias = "int | bytes | tuple[_Value, ...] | object"
_Reader: TypeAlias = Callable[[bytes, int], _Value]
"""Reads a value of a static type at an offset, of data that are long enough."""
_Members: TypeAlias = "tuple[int, tuple[tuple[str, events.Type, int, _Reader | None], ...]]"
"""Number of words of the heads; name, type, number of words of the head and reader (None if dynamic) of each member."""
_WORD = 32
_ADDRESS_PADDING = bytes(12)


class MalformedError(ValueError):
    """The data are bytes that `abi.encode` returns for no value of the type."""


def decode(kind: type[E], data: bytes) -> tuple[bytes, tuple[bytes, ...], E]:
    """Decode key, histories and event from the data of a record that is in histories.

    Raises MalformedError unless the data are exactly as `abi.encode` writes them. Not established: that a number is a
    value of its enumeration. A number that is not is returned as it is, and replay refuses it.
    """
    flat = _flat_reader(kind)
    if flat is not None:
        return cast("tuple[bytes, tuple[bytes, ...], E]", flat(data))
    values, end = _read_members(_event_members(kind), data, 0)
    if end != len(data):
        raise MalformedError(f"the data have {len(data)} bytes, not {end}")
    key_, histories_, *own = values
    return cast(bytes, key_), cast("tuple[bytes, ...]", histories_), events.unsafe_builder(kind)(own)


@events.once
def _flat_reader(kind: type[events.Event]) -> Callable[[bytes], tuple[bytes, tuple[bytes, ...], events.Event]] | None:
    """A reader of the data of a kind of which only the histories are dynamic, as of most: thousands are decoded for one
    bundle. None for other kinds."""
    words, ((_, _, _, read_key), (_, _, _, histories), *own) = _event_members(kind)
    if read_key is None or histories is not None or any(read is None for _, _, _, read in own):
        return None
    readers, at = [], 2 * _WORD
    for _, _, size, read in own:
        readers.append((cast(_Reader, read), at))
        at += _WORD * size
    heads = _WORD * words
    offset, first = heads.to_bytes(_WORD, "big"), heads + _WORD
    build = events.unsafe_builder(kind)

    def read_flat(data: bytes) -> tuple[bytes, tuple[bytes, ...], events.Event]:
        _require(data, first)
        if data[_WORD : 2 * _WORD] != offset:
            raise MalformedError("histories does not begin at the offset that `abi.encode` writes")
        end = first + _WORD * int.from_bytes(data[heads:first], "big")
        if end != len(data):
            _require(data, end)
            raise MalformedError(f"the data have {len(data)} bytes, not {end}")
        key = cast(bytes, read_key(data, 0))
        named = tuple([data[place : place + _WORD] for place in range(first, end, _WORD)])
        return key, named, build([read(data, place) for read, place in readers])

    return read_flat


@events.once
def _event_members(kind: type[events.Event]) -> _Members:
    return _prepare((*events.header_of(kind), *events.struct_of(kind).members))


@events.once
def _struct_members(kind: type) -> _Members:
    return _prepare(events.struct_of(kind).members)


def _prepare(members: Iterable[tuple[str, events.Type]]) -> _Members:
    parts = [
        (name, kind, 1, None) if (words := static_words(kind)) is None else (name, kind, words, _reader_of(kind))
        for name, kind in members
    ]
    return sum(words for _, _, words, _ in parts), tuple(parts)


def static_words(kind: events.Type) -> int | None:
    """The number of 32-byte words that a value of a type takes; None if that depends on the value."""
    if isinstance(kind, (events.Word, events.PackedOf)):
        return 1
    if isinstance(kind, events.ArrayOf):
        return None
    sizes = [static_words(member) for _, member in kind.members]
    return None if None in sizes else sum(cast("list[int]", sizes))


def _read_members(members: _Members, data: bytes, base: int) -> tuple[list[_Value], int]:
    """Decode the members whose heads begin at `base`. Returns their values, and the offset of the last one's end."""
    words, parts = members
    at, end = base, base + _WORD * words
    _require(data, end)
    values: list[_Value] = []
    for name, kind, size, read in parts:
        if read is not None:
            values.append(read(data, at))
        else:
            if int.from_bytes(data[at : at + _WORD], "big") != end - base:
                raise MalformedError(f"{name} does not begin at the offset that `abi.encode` writes")
            value, end = _read_dynamic(kind, data, end)
            values.append(value)
        at += _WORD * size
    return values, end


def _read_dynamic(kind: events.Type, data: bytes, at: int) -> tuple[_Value, int]:
    if isinstance(kind, events.Struct):
        values, end = _read_members(_struct_members(kind.kind), data, at)
        return events.unsafe_builder(kind.kind)(values), end
    size, read = _item_of(cast(events.ArrayOf, kind))
    first = at + _WORD
    _require(data, first)
    # The end is compared before a stranger's length is believed.
    end = first + size * int.from_bytes(data[at:first], "big")
    _require(data, end)
    return tuple([read(data, place) for place in range(first, end, size)]), end


def _require(data: bytes, end: int) -> None:
    if end > len(data):
        raise MalformedError("the data end too early")


@functools.cache
def _item_of(kind: events.ArrayOf) -> tuple[int, _Reader]:
    """Number of bytes, and reader, of an array's item, which is static."""
    return _WORD * cast(int, static_words(kind.item)), _reader_of(kind.item)


def _reader_of(kind: events.Type) -> _Reader:
    if isinstance(kind, events.Word):
        return _number_reader(kind) if kind.abi.startswith(("uint", "bool", "address")) else _bytes_reader(kind)
    if isinstance(kind, events.PackedOf):
        return _packed_reader(kind)
    struct = cast(events.Struct, kind)
    build: Callable[[list[_Value]], object] = events.unsafe_builder(struct.kind)
    readers, at = [], 0
    for _, member in struct.members:
        readers.append((at, _reader_of(member)))
        at += _WORD * cast(int, static_words(member))
    return lambda data, base: build([read(data, base + offset) for offset, read in readers])


def _packed_reader(kind: events.PackedOf) -> _Reader:
    """Reads the items of a packed word by where they lie in its bytes, from its end."""
    build: Callable[[list[_Value]], object] = events.unsafe_builder(kind.item.kind)
    sizes = [size // 8 for size in kind.sizes]
    length = sum(sizes)

    def read(data: bytes, at: int) -> tuple[object, ...]:
        word = data[at : at + _WORD]
        used = len(word.lstrip(b"\0"))
        if used > kind.most * length:
            raise MalformedError(f"more than {kind.most} items are packed in a word")
        items, end = [], _WORD
        while end > _WORD - used:
            values: list[_Value] = []
            for size in sizes:
                values.append(int.from_bytes(word[end - size : end], "big"))
                end -= size
            items.append(build(values))
        return tuple(items)

    return read


def _number_reader(kind: events.Word) -> _Reader:
    if kind.abi == "address":
        return _read_address
    bits = 1 if kind.abi == "bool" else kind.size

    def read(data: bytes, at: int) -> int:
        number = int.from_bytes(data[at : at + _WORD], "big")
        if number >> bits:
            raise MalformedError(f"{number:#x} does not fit into {bits} bits")
        return number

    if kind.abi == "bool":
        return lambda data, at: bool(read(data, at))
    if (enumeration := kind.enumeration) is None:
        return read
    known = {int(one): one for one in enumeration}
    return lambda data, at: known.get(number := read(data, at), number)


def _read_address(data: bytes, at: int) -> bytes:
    word = data[at : at + _WORD]
    if not word.startswith(_ADDRESS_PADDING):
        raise MalformedError(f"{int.from_bytes(word, 'big'):#x} does not fit into 160 bits")
    return word[12:]


def _bytes_reader(kind: events.Word) -> _Reader:
    size, padding = kind.size, bytes(_WORD - kind.size)

    def read(data: bytes, at: int) -> bytes:
        if data[at + size : at + _WORD] != padding:
            raise MalformedError(f"{kind.abi} is not padded with zeros")
        return data[at : at + size]

    return read if padding else lambda data, at: data[at : at + _WORD]
