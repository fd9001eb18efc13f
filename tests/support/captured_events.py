"""One event of each kind that is captured, and the things that they name."""

from __future__ import annotations

import json
from typing import Any

from millmark.ledger.canonical import sha256
from millmark.ledger.ids import Identity, SubjectKind
from millmark.services.interop.epcis.capture import parse_capture, validate_events

__all__ = [
    "ADD",
    "CONTEXT",
    "MAKE",
    "MELT",
    "OTHER",
    "PACK",
    "PALLET",
    "PART",
    "PARTY",
    "SENSE",
    "SHIP",
    "TRADE",
    "WHEN",
    "document",
    "faults",
    "name_lot",
]

CONTEXT: Any = ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld", {"ex": "https://ns.example.com/"}]
PART = "urn:epc:id:sgtin:4012345.011111.987"
OTHER = "urn:epc:id:sgtin:4012345.011111.988"
PALLET = "urn:epc:id:sscc:4012345.0000000111"
MELT = "urn:epc:class:lgtin:4012345.012345.998877"
PARTY = "urn:epc:id:pgln:4012345.00000"
WHEN = {"eventTime": "2020-03-04T11:00:30+01:00", "eventTimeZoneOffset": "+01:00"}
ADD: dict[str, Any] = {**WHEN, "type": "ObjectEvent", "epcList": [PART], "action": "ADD", "bizStep": "commissioning"}
SHIP: dict[str, Any] = {
    **ADD,
    "action": "OBSERVE",
    "bizStep": "shipping",
    "destinationList": [{"type": "possessing_party", "destination": PARTY}],
}
MAKE: dict[str, Any] = {
    "type": "TransformationEvent",
    **WHEN,
    "inputQuantityList": [{"epcClass": MELT, "quantity": 12.5, "uom": "KGM"}],
    "outputEPCList": [PART, OTHER],
}
PACK: dict[str, Any] = {
    "type": "AggregationEvent",
    **WHEN,
    "parentID": PALLET,
    "childEPCs": [OTHER, PART],
    "action": "ADD",
}
SENSE: dict[str, Any] = {
    **WHEN,
    "type": "ObjectEvent",
    "epcList": [PART],
    "action": "OBSERVE",
    "sensorElementList": [{"sensorReport": [{"type": "Temperature", "value": 20.5, "uom": "CEL"}]}],
}
TRADE: dict[str, Any] = {
    **WHEN,
    "type": "TransactionEvent",
    "bizTransactionList": [{"type": "po", "bizTransaction": "urn:epc:id:gdti:0614141.00001.1618034"}],
    "epcList": [PART],
    "action": "ADD",
}


def document(*events: Any, **members: Any) -> bytes:
    shell = {"@context": CONTEXT, "type": "EPCISDocument", "schemaVersion": "2.0", "creationDate": WHEN["eventTime"]}
    return json.dumps(shell | {"epcisBody": {"eventList": list(events)}} | members).encode()


def faults(*events: Any) -> list[tuple[str, str]]:
    return [fault for one in validate_events(parse_capture(document(*events))) for fault in one.faults]


def name_lot(identifier: str) -> Identity:
    return Identity(SubjectKind.LOT, 7, identifier, sha256(identifier.encode()))
