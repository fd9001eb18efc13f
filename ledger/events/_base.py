"""What all events have in common, and what follows from the declaration of each: topic, signature, JSON form."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, ClassVar, TypeAlias, cast

from ledger.canonical import Json, keccak256, to_hex
from ledger.events._layout import ArrayOf, Struct, Type, Word, abi_type, once, paths_to, struct_of
from ledger.records import Checked, Contract, Names

__all__ = ["Event", "Leaf", "LedgerEvent", "RegistryEvent", "header_of", "signature_of", "topic_of"]

_Form: TypeAlias = "Callable[[Any], Json]"


@dataclass(frozen=True, slots=True)
class Leaf:
    """An entry of a stream of evidence."""

    stream: bytes
    index: int
    hash: bytes


class Event(Checked):
    """One event of a contract that records: what it says beside its header, which is in `Recorded`.

    A declaration lists the event's own fields in the order of the ABI, each with its type; the type says what the field
    names. A name that Python keeps for itself ends in an underscore.
    """

    __slots__ = ()
    contract: ClassVar[Contract]
    in_histories: ClassVar[bool]
    """Whether the record enters the histories of orders or lots, so that a bundle can hold it."""
    sealable: ClassVar[bool] = False
    """Whether a bundle may withhold it: in the history of a lot that was used up, it changes nothing about what was
    made of the lot before or after."""

    @property
    def kind(self) -> str:
        return type(self).__name__

    @property
    def topic(self) -> bytes:
        return topic_of(type(self))

    def numbers(self, what: Names) -> tuple[int, ...]:
        """The participants, machines, models ... that it names by number."""
        return tuple(cast("int", one) for one in self._values(what) if one)

    def subjects(self, what: Names) -> tuple[bytes, ...]:
        """The orders, lots or streams that it names."""
        return tuple(one for one in cast("Iterator[bytes]", self._values(what)) if any(one))

    def roots(self) -> tuple[bytes, ...]:
        """The claims roots that it carries, in the order of its data; zero where it has no document."""
        return tuple(cast("Iterator[bytes]", self._values(Names.CLAIMS)))

    def needs(self, subject: bytes, histories: Sequence[bytes]) -> Iterator[bytes]:  # noqa: ARG002  # for those who do
        """The histories without which nobody can judge this record in the history of `subject`. `histories` are those
        that it entered, in its own order."""
        return iter(())

    def leaf(self) -> Leaf | None:
        """The evidence that it rests on."""
        return None

    def to_json(self) -> dict[str, Json]:
        """Its fields by name, sorted; numbers and enumerations as numbers, bytes as 0x-hex."""
        return _json_of(type(self))(self)

    def _values(self, what: Names) -> Iterator[object]:
        for path in paths_to(type(self), what):
            yield from _find(self, path)


class RegistryEvent(Event):
    __slots__ = ()
    contract = Contract.REGISTRY
    in_histories = False


class LedgerEvent(Event):
    __slots__ = ()
    contract = Contract.LEDGER
    in_histories = True


_KEY = ("key", Word("address", 20))
_HISTORIES = ("histories", ArrayOf(Word("bytes32", 32)))
_TOPICS = ("uint40", "uint32", "bytes32")
"""Indexed parameters of every event: sequence, participant, subject."""


def header_of(kind: type[Event]) -> tuple[tuple[str, Type], ...]:
    """What stands in the data before the event's own fields."""
    return (_KEY,) if kind.contract is Contract.REGISTRY else (_KEY, _HISTORIES)


@once
def signature_of(kind: type[Event]) -> str:
    """As in Solidity, enumerations as uint8."""
    data = (abi_type(member) for _, member in (*header_of(kind), *struct_of(kind).members))
    return f"{kind.__name__}({','.join((*_TOPICS, *data))})"


@once
def topic_of(kind: type[Event]) -> bytes:
    """Topic 0: what the links of histories call the kind."""
    return keccak256(signature_of(kind).encode())


def _find(value: Any, path: tuple[str, ...]) -> Iterator[object]:
    for place, name in enumerate(path, 1):
        value = getattr(value, name)
        if isinstance(value, tuple):
            for item in value:
                yield from _find(item, path[place:])
            return
    yield value


@once
def _json_of(kind: type) -> Callable[[object], dict[str, Json]]:
    members = sorted((name.rstrip("_"), attrgetter(name), _form(member)) for name, member in struct_of(kind).members)

    def to_json(value: object) -> dict[str, Json]:
        return {name: form(read(value)) for name, read, form in members}

    return to_json


def _form(kind: Type) -> _Form:
    if isinstance(kind, Struct):
        return _json_of(kind.kind)
    if isinstance(kind, ArrayOf):
        form = _form(kind.item)
        return lambda items: [form(item) for item in items]
    if kind.abi == "bool":
        return bool
    return int if kind.abi.startswith("uint") else to_hex
