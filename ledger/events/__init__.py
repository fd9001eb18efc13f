"""Events: how the contracts log records. Every kind is declared once, in the module of its family.

A declaration is a frozen dataclass with the event's name and fields, in the order of the ABI, in snake case. A field's
type states what the field refers to: a participant, a machine, a lot, a claims document. Everything else is derived:
signature and topic, the layout of the data, the JSON form, the claims roots of a record, and what a bundle must prove
beside it. A test compares the declarations with the ABI in the contracts' artefacts. EVENTS.md lists what else a new
kind needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

from millmark.ledger.events import certificates, lots, orders, registry
from millmark.ledger.events._base import (
    ArrayOf,
    Event,
    Header,
    Leaf,
    LedgerEvent,
    PackedOf,
    Recorded,
    RegistryEvent,
    Struct,
    Type,
    Word,
    abi_type,
    decode,
    header_of,
    once,
    signature_of,
    struct_of,
    topic_of,
    unsafe_builder,
)
from millmark.ledger.records import Contract

__all__ = [
    "EVENTS",
    "HISTORY_EVENTS",
    "ArrayOf",
    "Event",
    "Header",
    "Leaf",
    "LedgerEvent",
    "PackedOf",
    "Recorded",
    "RegistryEvent",
    "Struct",
    "Type",
    "Word",
    "abi_type",
    "decode",
    "find_event",
    "header_of",
    "once",
    "signature_of",
    "struct_of",
    "topic_of",
    "unsafe_builder",
]

_FAMILIES = (orders, lots, certificates, registry)


def _declared(family: ModuleType) -> Iterator[type[Event]]:
    for found in vars(family).values():
        # The families also import the base classes, which are not kinds.
        if isinstance(found, type) and issubclass(found, Event) and found.__module__ == family.__name__:
            yield found


EVENTS: tuple[type[Event], ...] = tuple(kind for family in _FAMILIES for kind in _declared(family))
"""All kinds of events, of both contracts."""
HISTORY_EVENTS: dict[str, type[Event]] = {kind.__name__: kind for kind in EVENTS if kind.in_histories}
"""The kinds that histories can contain, by name."""
_BY_NAME = {(kind.contract, kind.__name__): kind for kind in EVENTS}
_BY_TOPIC = {(kind.contract, topic_of(kind)): kind for kind in EVENTS}


def find_event(contract: Contract, name: str | bytes) -> type[Event] | None:
    """The declaration of a contract's event, by its name or its topic 0; None if it is unknown."""
    return _BY_NAME.get((contract, name)) if isinstance(name, str) else _BY_TOPIC.get((contract, name))
