"""Terms of an event: the fields and values by which queries find it, normalised as for the event hash.

Normalisation makes equivalent spellings equal: EPC URN and Digital Link of a key, bare word and URI of a step, times in
different zones.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from typing import Final

from millmark.ledger.canonical import Json
from millmark.services.interop.epcis.tree import Node
from millmark.services.interop.epcis.values import canonical_time
from millmark.services.interop.epcis.vocabulary import CBV

_SCALARS: Final = frozenset({"action", "bizStep", "disposition", "parentID", "transformationID"})
EPC_LISTS: Final[Mapping[str, str]] = {
    "epcList": "epc",
    "childEPCs": "epc",
    "inputEPCList": "inputEPC",
    "outputEPCList": "outputEPC",
}
CLASS_LISTS: Final[Mapping[str, str]] = {
    "quantityList": "epcClass",
    "childQuantityList": "epcClass",
    "inputQuantityList": "inputEPCClass",
    "outputQuantityList": "outputEPCClass",
}
LINKED_LISTS: Final[Mapping[str, str]] = {
    "bizTransactionList": "bizTransaction",
    "sourceList": "source",
    "destinationList": "destination",
}
THINGS: Final = ("epc", "parentID", "inputEPC", "outputEPC")
"""Fields that name individual things."""
CLASSES: Final = ("epcClass", "inputEPCClass", "outputEPCClass")
"""Fields that name lots and kinds of things."""


def build_terms(tree: Node) -> list[tuple[str, str]]:
    """Pairs of field and value of a valid event; a pair may occur twice."""
    return [("type", tree.name), *(term for node in tree.children for term in _of(node))]


def _of(node: Node) -> Iterator[tuple[str, str]]:
    name = node.name
    if name in _SCALARS:
        yield name, node.text
    elif name in EPC_LISTS:
        yield from ((EPC_LISTS[name], child.text) for child in node.children)
    elif name in CLASS_LISTS:
        parts = (one for each in node.children for one in each.children)
        yield from ((CLASS_LISTS[name], one.text) for one in parts if one.name == "epcClass")
    elif name in ("readPoint", "bizLocation"):
        yield from ((name, child.text) for child in node.children if child.name == "id")
    elif name == "persistentDisposition":
        yield from ((f"{name}_{child.name}", child.text) for child in node.children)
    elif name in LINKED_LISTS:
        for each in node.children:
            kinds = [child.text for child in each.children] or [""]  # the type of a business transaction is optional
            yield f"{LINKED_LISTS[name]}_{kinds[0]}", each.text
    elif name == "errorDeclaration":
        yield name, "true"
        for one in node.children:
            if one.name in ("reason", "correctiveEventIDs"):
                yield f"{name}_{one.name}", one.text.removeprefix(CBV + "ER-")


def event_id_of(event: Mapping[str, Json], event_hash: str) -> str:
    """The event's `eventID`, or else its hash, which the standard allows as an id (CBV 2.0 section 8.9)."""
    found = event.get("eventID")
    return found if isinstance(found, str) else event_hash


def millis_of(time: str) -> int:
    """Unix time in milliseconds; a leap second counts as the second before it. Raises ValueError if the time does not
    exist."""
    text = canonical_time(time)
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        moment = datetime.datetime.fromisoformat(canonical_time(time.replace(":60", ":59")))
    return int((moment - _EPOCH) / _MILLISECOND)


_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MILLISECOND: Final = datetime.timedelta(milliseconds=1)
