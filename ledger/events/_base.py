"""The base class of events, and what is derived from each declaration: topic, signature, JSON form."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar, cast

from millmark.ledger.canonical import Json, keccak256, to_hex
from millmark.ledger.events._layout import (
    ArrayOf,
    PackedOf,
    Struct,
    Type,
    Word,
    abi_type,
    has_array,
    once,
    paths_to,
    struct_of,
)
from millmark.ledger.records import Checked, Contract, Names

_Form: TypeAlias = "Callable[[Any], Json]"


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
    contract: ClassVar[Contract]
    in_histories: ClassVar[bool]
    """Whether the record enters histories of orders or lots, so that bundles can contain it."""
    withholdable: ClassVar[bool] = False
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
        zeros.
        """
        return tuple(cast("int", one) for one in self._values(what) if one)

    def subjects(self, what: Names) -> tuple[bytes, ...]:
        """Subjects of the orders, lots or streams that the event names, without zeros."""
        return tuple(one for one in cast("Iterator[bytes]", self._values(what)) if any(one))

    def roots(self) -> tuple[bytes, ...]:
        """The event's claims roots, in the order of the data; zero bytes where there is no document."""
        # Zeros stay, because a bundle refers to a document by its position.
        readers = _readers_of_roots(type(self))
        if readers is not None:
            return tuple([read(self) for read in readers])
        return tuple(cast("Iterator[bytes]", self._values(Names.CLAIMS)))

    def needs(self, subject: bytes, histories: Sequence[bytes]) -> Iterator[bytes]:  # noqa: ARG002  # for overrides
        """The other histories that are needed to judge this record in the history of `subject`.

        `histories` are the subjects whose histories the record entered, in the order in which the record lists them.
        """
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


def _find(value: Any, path: tuple[str, ...]) -> Iterator[object]:
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


E = TypeVar("E", bound=Event, covariant=True)


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
class Recorded(Generic[E]):
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
