"""The EPCIS event hash: a name for an event that does not depend on how it is written (CBV 2.0 section 8.9).

The event's fields are joined to one string, the pre-hash, in an order that the standard gives; its SHA-256 is the name,
as a `ni` URI (RFC 6920). The text of CBV 2.0 leaves room; the profile named here is the reading of the reference
implementation of July 2026 (github.com/RalphTro/epcis-event-hash-generator, its version "CBV2.0"). A later reading is
another profile under another name: what was hashed under one is never hashed anew under another.

Not hashed: recordTime, eventID, errorDeclaration, certificationInfo and comments. So a correction has the hash of what
it corrects, and adding a certificate to an event does not change its name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final, TypeAlias

from ledger.canonical import sha256
from services.interop.epcis.tree import LINKED, Node

__all__ = ["PROFILE", "build_prehash", "event_hash"]

PROFILE: Final = "CBV2.0/2026-07"
"""Name of the rules below, kept beside every hash."""

_Order: TypeAlias = "Sequence[tuple[str, _Order]]"


def _plain(names: str) -> _Order:
    return tuple((name, ()) for name in names.split())


_QUANTITIES: _Order = (("quantityElement", _plain("epcClass quantity uom")),)
_METADATA = _plain("time startTime endTime deviceID deviceMetadata rawData dataProcessingMethod bizRules")
_REPORT = _plain(
    "type exception deviceID deviceMetadata rawData dataProcessingMethod time microorganism chemicalSubstance value "
    "component stringValue booleanValue hexBinaryValue uriValue minValue maxValue meanValue sDev percRank percValue "
    "uom coordinateReferenceSystem"
)
_ORDER: _Order = (
    *_plain("eventTime eventTimeZoneOffset"),
    ("epcList", _plain("epc")),
    ("parentID", ()),
    ("inputEPCList", _plain("epc")),
    ("childEPCs", _plain("epc")),
    ("quantityList", _QUANTITIES),
    ("childQuantityList", _QUANTITIES),
    ("inputQuantityList", _QUANTITIES),
    ("outputEPCList", _plain("epc")),
    ("outputQuantityList", _QUANTITIES),
    *_plain("action transformationID bizStep disposition"),
    ("persistentDisposition", _plain("set unset")),
    ("readPoint", _plain("id")),
    ("bizLocation", _plain("id")),
    ("bizTransactionList", (("bizTransaction", _plain("type")),)),
    ("sourceList", (("source", _plain("type")),)),
    ("destinationList", (("destination", _plain("type")),)),
    ("sensorElementList", (("sensorElement", (("sensorMetadata", _METADATA), ("sensorReport", _REPORT))),)),
)
_UNNAMED: Final = {"sensorElementList"}
"""Lists whose own name is not part of the pre-hash in this profile."""
_NOT_HASHED: Final = {"type", "recordTime", "eventID", "errorDeclaration", "certificationInfo", "ilmd"}
"""Of an event's own fields; ilmd has its place between the standard fields and the extensions."""


def event_hash(event: Node) -> str:
    """`ni:///sha-256;HEX?ver=CBV2.0` of an event, by PROFILE."""
    return f"ni:///sha-256;{sha256(build_prehash(event).encode()).hex()}?ver=CBV2.0"


def build_prehash(event: Node) -> str:
    """The string under the hash: standard fields, ilmd, extensions within standard fields, extensions of the event."""
    return "".join(
        (
            "eventType=" + event.name,
            _standard(event.children, _ORDER),
            _free(node for node in event.children if node.name == "ilmd"),
            _inner_extensions(event.children, _ORDER),
            _free([*_unordered(event.children, _ORDER, _NOT_HASHED), *_remainders(event.children, _ORDER)]),
        )
    )


def _standard(children: Sequence[Node], order: _Order) -> str:
    """The fields that the standard orders; of one name, by text."""
    return "".join(
        "".join(sorted(_field(child, inner) for child in children if child.name == name)) for name, inner in order
    )


def _field(node: Node, order: _Order) -> str:
    """One field with what is in it; nothing when there is nothing in it."""
    inside, value = _standard(node.children, order), "=" + node.text if node.text else ""
    if node.name in LINKED:
        return inside + node.name + value  # the type first
    if not inside and not value:
        return ""
    return ("" if node.name in _UNNAMED else node.name) + value + inside


def _inner_extensions(children: Sequence[Node], order: _Order) -> str:
    """Extensions that stand in standard fields, under the names of the fields around them."""
    parts = []
    for name, inner in order:
        for child in children:
            if child.name == name:
                own = [node for node in _unordered(child.children, inner) if _is_extension(node)]
                found = _inner_extensions(child.children, inner) + _free(own)
                if found:
                    parts.append(("" if name in _UNNAMED else name) + found)
    return "".join(parts)


def _remainders(children: Iterable[Node], order: _Order) -> list[Node]:
    """What stands in standard fields and is neither standard nor an extension, with the fields around it.

    The profile counts it among the event's own extensions, where a list has its name.
    """
    inside, remainders = dict(order), []
    for child in children:
        if child.name in inside:
            inner = inside[child.name]
            own = [node for node in _unordered(child.children, inner) if not _is_extension(node)]
            if kept := [*_remainders(child.children, inner), *own]:
                remainders.append(Node(child.name, child.text, kept))
    return remainders


def _is_extension(node: Node) -> bool:
    """As the profile recognises them: by a namespace that ends in a slash."""
    return node.name.startswith("{") and "/}" in node.name


def _unordered(children: Iterable[Node], order: _Order, without: Collection[str] = ()) -> list[Node]:
    known = {name for name, _ in order}.union(without)
    return [child for child in children if child.name not in known]


def _free(nodes: Iterable[Node]) -> str:
    """Fields in no order of their own: sorted as they will stand there, inner ones first."""
    return "".join(sorted(node.name + ("=" + node.text if node.text else "") + _free(node.children) for node in nodes))
