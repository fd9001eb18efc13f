"""The EPCIS event hash: an identifier of an event that is independent of its spelling (CBV 2.0 section 8.9).

The event's fields are joined to one string, the pre-hash, in the order of the standard. The identifier is its SHA-256
as a `ni` URI (RFC 6920). The text of CBV 2.0 is ambiguous in places; this profile follows the reference implementation
of July 2026 (github.com/RalphTro/epcis-event-hash-generator, its version "CBV2.0"). Another interpretation would be
another profile with another name: events hashed under one profile are never hashed again under another.

Not hashed: recordTime, eventID, errorDeclaration, certificationInfo and comments. A correction therefore has the hash
of the event that it corrects, and adding a certificate to an event does not change its hash.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple, TypeAlias

from millmark.ledger.canonical import sha256
from millmark.services.interop.epcis.tree import LINKED, Node

PROFILE: Final = "CBV2.0/2026-07"
"""Name of the rules below, stored with every hash."""

_Order: TypeAlias = "Mapping[str, _Order]"
"""Field names in order, each with the order of its own fields."""


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
"""Lists whose name this profile leaves out of the pre-hash."""
_NOT_HASHED: Final = {"type", "recordTime", "eventID", "errorDeclaration", "certificationInfo", "ilmd"}
"""Fields of an event that are not hashed among its extensions. `ilmd` has a place of its own; the others are not hashed
at all."""


def event_hash(event: Node) -> str:
    """The event hash by PROFILE: `ni:///sha-256;HEX?ver=CBV2.0`."""
    return hash_of(build_prehash(event))


def hash_of(prehash: str) -> str:
    """The event hash of a pre-hash."""
    return f"ni:///sha-256;{sha256(prehash.encode()).hex()}?ver=CBV2.0"


def build_prehash(event: Node) -> str:
    """The string that is hashed: standard fields, ilmd, extensions inside standard fields, the event's extensions."""
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
    """Contribution of one standard field to the pre-hash."""

    standard: str
    extensions: str
    """Extensions inside the field, under its name."""
    remainder: Node | None
    """Content that is neither standard nor an extension, wrapped in the field. The profile adds it to the event's own
    extensions, where lists keep their name."""


def _inside(children: Iterable[Node], order: _Order) -> tuple[str, str, list[Node], list[Node]]:
    """Splits fields into four parts: standard fields, sorted by text within one name; extensions inside them; their
    remainders; and fields that `order` does not list."""
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
    """The profile recognises extensions by a namespace that ends in a slash."""
    return node.name.startswith("{") and "/}" in node.name


def _free(nodes: Iterable[Node]) -> str:
    """Fields without a standard order, sorted by their text; inner fields are sorted first."""
    return "".join(sorted(node.name + ("=" + node.text if node.text else "") + _free(node.children) for node in nodes))
