"""The base class of events, and what is derived from a declaration: layout of the data, topic, signature, JSON form."""

from __future__ import annotations

import dataclasses
import enum
import functools
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from millmark.ledger.canonical import Json, keccak256, to_hex
from millmark.ledger.errors import RecordError
from millmark.ledger.records import Checked, Contract, Names, Packed

# The ABI types of an event's data, derived from the annotations of its declaration, once per class.

P = typing.ParamSpec("P")
T = typing.TypeVar("T")
_ADDRESS_BYTES = 20


@dataclass(frozen=True, slots=True)
class Word:
    """An elementary type, which takes 32 bytes in the data."""

    abi: str
    """uintN, bytesN, bool or address."""
    size: int
    """Number of bits of a number, of bytes otherwise."""
    enumeration: type[enum.IntEnum] | None = None
    """The enumeration of which a uint8 is a value."""
    names: Names | None = None
    """The kind of thing to which the value refers."""


@dataclass(frozen=True, slots=True)
class Struct:
    """A struct."""

    kind: type
    """The dataclass with its members."""
    members: tuple[tuple[str, Type], ...]


@dataclass(frozen=True, slots=True)
class ArrayOf:
    """A dynamic array. Its items are of fixed size, as in all events of the contracts."""

    item: Type


@dataclass(frozen=True, slots=True)
class PackedOf:
    """A list of structs in one word, see `Packed`. Here, and in JSON, it is a list."""

    item: Struct
    most: int
    abi: str = "uint256"

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of bits of each member of an item."""
        return tuple(typing.cast(Word, member).size for _, member in self.item.members)


Type: typing.TypeAlias = "Word | Struct | ArrayOf | PackedOf"


def once(function: Callable[P, T]) -> Callable[P, T]:
    """Cache a function of a class: functools.cache with a type that mypy accepts. mypy wrongly treats a class as
    unhashable if its instances are."""
    return typing.cast("Callable[P, T]", functools.cache(function))


@once
def struct_of(kind: type) -> Struct:
    """The struct of a dataclass, from its annotations."""
    hints = typing.get_type_hints(kind, include_extras=True)
    return Struct(kind, tuple((field.name, _type_of(hints[field.name])) for field in dataclasses.fields(kind)))


def _type_of(hint: typing.Any) -> Type:
    if typing.get_origin(hint) is typing.Annotated:
        base, size, *names = typing.get_args(hint)
        if isinstance(size, Packed):
            return PackedOf(struct_of(typing.get_args(base)[0]), size.most)
        of_bytes = "address" if size == _ADDRESS_BYTES else f"bytes{size}"
        return Word(f"uint{size}" if base is int else of_bytes, size, names=names[0] if names else None)
    if typing.get_origin(hint) is tuple:
        return ArrayOf(_type_of(typing.get_args(hint)[0]))
    if hint is bool:
        return Word("bool", 1)
    return Word("uint8", 8, enumeration=hint) if issubclass(hint, enum.IntEnum) else struct_of(hint)


def abi_type(kind: Type) -> str:
    """The type's name in a signature, enumerations as uint8."""
    if isinstance(kind, (Word, PackedOf)):
        return kind.abi
    if isinstance(kind, ArrayOf):
        return abi_type(kind.item) + "[]"
    return "(" + ",".join(abi_type(member) for _, member in kind.members) + ")"


@once
def paths_to(kind: type, what: Names) -> tuple[tuple[str, ...], ...]:
    """The paths of a declaration's fields that refer to things of one kind, in the order of the data. A path through an
    array stands for each of its items."""
    return tuple(_paths(struct_of(kind), what))


def has_array(kind: Type, path: tuple[str, ...]) -> bool:
    """Whether a path leads through an array."""
    for name in path:
        if isinstance(kind, (ArrayOf, PackedOf)):
            return True
        kind = next(member for own, member in typing.cast(Struct, kind).members if own == name)
    return isinstance(kind, (ArrayOf, PackedOf))


def _paths(kind: Type, what: Names) -> Iterator[tuple[str, ...]]:
    if isinstance(kind, Word):
        if kind.names is what:
            yield ()
    elif isinstance(kind, (ArrayOf, PackedOf)):
        yield from _paths(kind.item, what)
    else:
        for name, member in kind.members:
            for path in _paths(member, what):
                yield (name, *path)


@once
def unsafe_builder(kind: type[T]) -> Callable[[Sequence[object]], T]:
    """A function that builds an event or struct from values in the order of its fields, without checking them. The
    caller must have checked them: checking again at construction would take longer than decoding."""
    # `__init__` of a frozen dataclass cannot be used, as it runs `__post_init__`; its slots are set directly instead.
    setters = tuple(vars(kind)[field.name].__set__ for field in dataclasses.fields(kind))  # type: ignore[arg-type]  # one
    new = object.__new__

    def build(values: Sequence[object]) -> T:
        made = new(kind)
        for put, value in zip(setters, values, strict=True):
            put(made, value)
        return made

    return build


_Form: typing.TypeAlias = "Callable[[typing.Any], Json]"


@dataclass(frozen=True, slots=True)
class Leaf:
    """A reference to an entry of a stream of evidence."""

    stream: bytes
    """Subject of the stream."""
    index: int
    hash: bytes
    """Leaf hash, 32 bytes (RFC 9162, section 2.1.1)."""


class Event(Checked):
    """The fields that only this kind of event has. Those that all events have are in `Recorded`.

    A declaration lists the fields in the order of the ABI. A field's type states what the field refers to. A field
    whose name is a keyword of Python ends in an underscore.
    """

    __slots__ = ()
    contract: typing.ClassVar[Contract]
    in_histories: typing.ClassVar[bool]
    """Whether the record enters histories of orders or lots, so that bundles can contain it."""
    withholdable: typing.ClassVar[bool] = False
    """Whether a bundle may withhold it, since it only takes a quantity of a lot, and changes nothing about other lots
    that were made from that lot."""

    @property
    def kind(self) -> str:
        """The event's name."""
        return type(self).__name__

    @property
    def topic(self) -> bytes:
        """Topic 0, 32 bytes."""
        return topic_of(type(self))

    def numbers(self, what: Names) -> tuple[int, ...]:
        """Numbers of the participants, machines, models or other things of one kind that the event names, without
        zeros."""
        return tuple(typing.cast("int", one) for one in self._values(what) if one)

    def subjects(self, what: Names) -> tuple[bytes, ...]:
        """Subjects of the orders, lots or streams that the event names, without zeros."""
        return tuple(one for one in typing.cast("Iterator[bytes]", self._values(what)) if any(one))

    def roots(self) -> tuple[bytes, ...]:
        """The event's claims roots, in the order of the data; zero bytes where there is no document."""
        # Zeros stay, because a bundle refers to a document by its position.
        readers = _readers_of_roots(type(self))
        if readers is not None:
            return tuple([read(self) for read in readers])
        return tuple(typing.cast("Iterator[bytes]", self._values(Names.CLAIMS)))

    def needs(self, subject: bytes, histories: Sequence[bytes]) -> Iterator[bytes]:  # noqa: ARG002  # for overrides
        """The other histories that are needed to judge this record in the history of `subject`. `histories` are the
        subjects whose histories the record entered, in the order in which the record lists them."""
        return iter(())

    def leaf(self) -> Leaf | None:
        """The evidence entry that the event names; None for most kinds."""
        return None

    def to_json(self) -> dict[str, Json]:
        """The event's own fields, sorted by name; numbers and enumerations as numbers, bytes as 0x-hex."""
        return _json_of(type(self))(self)

    def _values(self, what: Names) -> Iterator[object]:
        for path in paths_to(type(self), what):
            yield from _find(self, path)


class RegistryEvent(Event):
    """An event of the registry."""

    __slots__ = ()
    contract = Contract.REGISTRY
    in_histories = False


class LedgerEvent(Event):
    """An event of the ledger."""

    __slots__ = ()
    contract = Contract.LEDGER
    in_histories = True


_KEY = ("key", Word("address", 20))
_HISTORIES = ("histories", ArrayOf(Word("bytes32", 32)))
_TOPICS = ("uint40", "uint32", "bytes32")
"""Indexed parameters of every event: sequence, participant, subject."""


def header_of(kind: type[Event]) -> tuple[tuple[str, Type], ...]:
    """Name and type of the data's fields that all events of the contract have, before the event's own."""
    return (_KEY,) if kind.contract is Contract.REGISTRY else (_KEY, _HISTORIES)


@once
def signature_of(kind: type[Event]) -> str:
    """The signature of the event in Solidity, enumerations as uint8."""
    data = (abi_type(member) for _, member in (*header_of(kind), *struct_of(kind).members))
    return f"{kind.__name__}({','.join((*_TOPICS, *data))})"


@once
def topic_of(kind: type[Event]) -> bytes:
    """Topic 0 of the event, 32 bytes, which also identifies the kind in links of histories."""
    return keccak256(signature_of(kind).encode())


def _find(value: typing.Any, path: tuple[str, ...]) -> Iterator[object]:
    # A path does not say where an array is; from there on, it holds for each item.
    for place, name in enumerate(path, 1):
        value = getattr(value, name)
        if isinstance(value, tuple):
            for item in value:
                yield from _find(item, path[place:])
            return
    yield value


@once
def _readers_of_roots(kind: type[Event]) -> tuple[Callable[[object], bytes], ...] | None:
    """A reader of each claims root; None if some are in arrays. A bundle's verification asks every record."""
    paths = paths_to(kind, Names.CLAIMS)
    if any(has_array(struct_of(kind), path) for path in paths):
        return None
    return tuple(attrgetter(".".join(path)) for path in paths)


@once
def _json_of(kind: type) -> Callable[[object], dict[str, Json]]:
    members = sorted((name.rstrip("_"), attrgetter(name), _form(member)) for name, member in struct_of(kind).members)

    def to_json(value: object) -> dict[str, Json]:
        return {name: form(read(value)) for name, read, form in members}

    return to_json


def _form(kind: Type) -> _Form:
    if isinstance(kind, Struct):
        return _json_of(kind.kind)
    if isinstance(kind, (ArrayOf, PackedOf)):
        form = _form(kind.item)
        return lambda items: [form(item) for item in items]
    if kind.abi == "bool":
        return bool
    return int if kind.abi.startswith("uint") else to_hex


E = typing.TypeVar("E", bound=Event, covariant=True)


@dataclass(frozen=True, slots=True)
class Header:
    """The fields of a block header that link it to its parent, and that show whether it has records."""

    number: int
    hash: bytes
    parent_hash: bytes
    timestamp: int
    """Seconds since 1970."""
    logs_bloom: bytes
    """256 bytes; a contract whose address is not in it logged nothing in the block."""
    receipts_root: bytes
    """32 bytes; commits to all logs of the block."""
    round: int | None = field(default=None, compare=False)
    """Number of rounds that ended without a block before this one was sealed (QBFT); None on other engines. Not hashed,
    so that it is only what this node says."""


@dataclass(frozen=True, slots=True)
class Recorded(typing.Generic[E]):
    """A record as it is on the chain."""

    event: E
    """The fields that only its kind has."""
    sequence: int
    participant: int
    """0 for the registry's owner."""
    subject: bytes
    """32 bytes; in the registry, the number of the participant, machine or model."""
    key: bytes
    """The address that signed, 20 bytes."""
    histories: tuple[bytes, ...]
    """Subjects of the orders and lots whose histories it entered; empty in the registry and for evidence."""
    data: bytes
    """The event's data as logged; histories commit to their keccak256."""
    block_number: int
    block_hash: bytes
    block_time: int
    """Seconds since 1970."""
    transaction_hash: bytes
    log_index: int

    @property
    def contract(self) -> Contract:
        return self.event.contract

    @property
    def kind(self) -> str:
        """Name of the event."""
        return self.event.kind

    @property
    def topic(self) -> bytes:
        """Topic 0 of the event, 32 bytes."""
        return self.event.topic


# Decodes an event's data (Solidity ABI specification, "Formal Specification of the Encoding").
#
# Only the canonical encoding is accepted, as `abi.encode` writes it; decoders that follow offsets also accept others. A
# decoder is built once per class, from nested functions. The verifier has its own decoder
# (millmark.ledger.verify._abi), so that one bug does not affect both.

K = typing.TypeVar("K", bound=Event)
_Static: typing.TypeAlias = "Callable[[bytes, int], object]"
"""Decodes a value of fixed size at an offset. The data must have been checked to be long enough."""
_Dynamic: typing.TypeAlias = "Callable[[bytes, int], tuple[typing.Any, int]]"
"""Decodes a value of variable size at an offset. Returns the value and the offset of its end."""
_WORD = 32
_HINT = "use the version of Millmark that belongs to these contracts"


def decode(kind: type[K], data: bytes) -> tuple[bytes, tuple[bytes, ...], K]:
    """Decode the signing key, the subjects of the histories that the record entered, and the event. Raises RecordError
    unless `data` are exactly the canonical encoding of such an event."""
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

    def read(data: bytes, at: int) -> tuple[list[typing.Any], int]:
        end = at + heads
        if end > len(data):
            raise _malformed("the data end too early")
        values: list[typing.Any] = []
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
    item = typing.cast(ArrayOf, kind).item
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
    held, steps, size = typing.cast(Struct, kind), [], 0
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


def _enumeration(members: dict[int, typing.Any]) -> _Static:
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
