"""The EPCIS event hash: a name for an event that does not depend on how it is written (CBV 2.0 section 8.9).

The event's fields are joined to one string, the pre-hash, in an order that the standard gives; its SHA-256 is the name,
as a `ni` URI (RFC 6920). The text of CBV 2.0 leaves room; the profile named here is the reading of the reference
implementation of July 2026 (github.com/RalphTro/epcis-event-hash-generator, its version "CBV2.0"). A later reading is
another profile under another name: what was hashed under one is never hashed anew under another.

Not hashed: recordTime, eventID, errorDeclaration, certificationInfo and comments. So a correction has the hash of what
it corrects, and adding a certificate to an event does not change its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple, TypeAlias

from ledger.canonical import sha256
from services.interop.epcis.tree import LINKED, Node

__all__ = ["PROFILE", "build_prehash", "event_hash", "hash_of"]

PROFILE: Final = "CBV2.0/2026-07"
"""Name of the rules below, kept beside every hash."""

_Order: TypeAlias = "Mapping[str, _Order]"
"""Names of fields in their order, each with the order of what is in it."""


def _plain(names: str) -> dict[str, _Order]:
    return {name: {} for name in names.split()}


_QUANTITIES: _Order = {"quantityElement": _plain("epcClass quantity uom")}
_METADATA = _plain("time startTime endTime deviceID deviceMetadata rawData dataProcessingMethod bizRules")
_REPORT = _plain(
    "type exception deviceID deviceMetadata rawData dataProcessingMethod time microorganism chemicalSubstance value "
    "component stringValue booleanValue hexBinaryValue uriValue minValue maxValue meanValue sDev percRank percValue "
    "uom coordinateReferenceSystem"
)
_ORDER: _Order = {
    **_plain("eventTime eventTimeZoneOffset"),
    "epcList": _plain("epc"),
    "parentID": {},
    "inputEPCList": _plain("epc"),
    "childEPCs": _plain("epc"),
    "quantityList": _QUANTITIES,
    "childQuantityList": _QUANTITIES,
    "inputQuantityList": _QUANTITIES,
    "outputEPCList": _plain("epc"),
    "outputQuantityList": _QUANTITIES,
    **_plain("action transformationID bizStep disposition"),
    "persistentDisposition": _plain("set unset"),
    "readPoint": _plain("id"),
    "bizLocation": _plain("id"),
    "bizTransactionList": {"bizTransaction": _plain("type")},
    "sourceList": {"source": _plain("type")},
    "destinationList": {"destination": _plain("type")},
    "sensorElementList": {"sensorElement": {"sensorMetadata": _METADATA, "sensorReport": _REPORT}},
}
_UNNAMED: Final = {"sensorElementList"}
"""Lists whose own name is not part of the pre-hash in this profile."""
_NOT_HASHED: Final = {"type", "recordTime", "eventID", "errorDeclaration", "certificationInfo", "ilmd"}
"""Of an event's own fields; ilmd has its place between the standard fields and the extensions."""


def event_hash(event: Node) -> str:
    """`ni:///sha-256;HEX?ver=CBV2.0` of an event, by PROFILE."""
    return hash_of(build_prehash(event))


def hash_of(prehash: str) -> str:
    """The event hash that belongs to a pre-hash."""
    return f"ni:///sha-256;{sha256(prehash.encode()).hex()}?ver=CBV2.0"


def build_prehash(event: Node) -> str:
    """The string under the hash: standard fields, ilmd, extensions within standard fields, extensions of the event."""
    standard, extensions, remainders, own = _inside(event.children, _ORDER)
    return "".join(
        (
            "eventType=" + event.name,
            standard,
            _free(node for node in own if node.name == "ilmd"),
            extensions,
            _free([*(node for node in own if node.name not in _NOT_HASHED), *remainders]),
        )
    )


class _Field(NamedTuple):
    """What one standard field gives to the pre-hash."""

    standard: str
    extensions: str
    """Extensions that stand in it, under its name."""
    remainder: Node | None
    """What stands in it and is neither standard nor an extension, with the field around it. The profile counts it among
    the event's own extensions, where a list has its name."""


def _inside(children: Iterable[Node], order: _Order) -> tuple[str, str, list[Node], list[Node]]:
    """Of some fields: the standard ones, of one name by text; extensions in them; remainders; what has no order."""
    fields: dict[str, list[_Field]] = {}
    own = []
    for child in children:
        inner = order.get(child.name)
        if inner is None:
            own.append(child)
        else:
            fields.setdefault(child.name, []).append(_field(child, inner))
    ordered = [fields[name] for name in order if name in fields]
    standard = "".join(text for group in ordered for text in sorted(field.standard for field in group))
    extensions = "".join(field.extensions for group in ordered for field in group)
    remainders = [field.remainder for group in ordered for field in group if field.remainder is not None]
    return standard, extensions, remainders, own


def _field(node: Node, order: _Order) -> _Field:
    value = "=" + node.text if node.text else ""
    if not node.children:
        return _Field(node.name + value if value or node.name in LINKED else "", "", None)
    standard, inner, remainders, own = _inside(node.children, order)
    shown = "" if node.name in _UNNAMED else node.name
    inner += _free(child for child in own if _is_extension(child))
    remainders.extend(child for child in own if not _is_extension(child))
    if node.name in LINKED:
        standard += node.name + value  # the type first
    elif standard or value:
        standard = shown + value + standard
    remainder = Node(node.name, node.text, remainders) if remainders else None
    return _Field(standard, shown + inner if inner else "", remainder)


def _is_extension(node: Node) -> bool:
    """As the profile recognises them: by a namespace that ends in a slash."""
    return node.name.startswith("{") and "/}" in node.name


def _free(nodes: Iterable[Node]) -> str:
    """Fields in no order of their own: sorted as they will stand there, inner ones first."""
    return "".join(sorted(node.name + ("=" + node.text if node.text else "") + _free(node.children) for node in nodes))
