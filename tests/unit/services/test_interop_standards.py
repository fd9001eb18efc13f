"""EPCIS events by the text of the standard: what it allows, what it forbids, what must hash alike and what must not."""

from __future__ import annotations

import json
from types import EllipsisType
from typing import Any

import pytest

from millmark.ledger.errors import IdentifierError
from millmark.services.interop.digital_link import read_link
from millmark.services.interop.epcis.capture import Status, parse_capture, validate_events
from millmark.services.interop.epcis.documents import hash_events

Json = dict[str, Any]
CTX = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"
EPC = "urn:epc:id:sgtin:9506000.013435.A1"


def ev(**fields: Any) -> Json:
    """An observation with other fields; `...` takes one out."""
    whole = {
        "type": "ObjectEvent",
        "eventTime": "2026-03-02T09:30:00.000+01:00",
        "eventTimeZoneOffset": "+01:00",
        "epcList": [EPC],
        "action": "OBSERVE",
        "bizStep": "inspecting",
        **fields,
    }
    return {name: value for name, value in whole.items() if not isinstance(value, EllipsisType)}


def doc(event: object) -> bytes:
    document = {
        "@context": [CTX, {"example": "https://example.com/ns/"}],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": "2026-03-02T09:30:00Z",
        "epcisBody": {"eventList": [event]},
    }
    return json.dumps(document).encode()


ALLOWED: Json = {
    "plain": ev(),
    "z lower": ev(eventTime="2026-03-02t09:30:00z", eventTimeZoneOffset="+00:00"),
    "no fraction": ev(eventTime="2026-03-02T09:30:00Z"),
    "9 digits": ev(eventTime="2026-03-02T09:30:00.123456789Z"),
    "offset -00:00": ev(eventTimeZoneOffset="-00:00"),
    "offset +14": ev(eventTimeZoneOffset="+14:00"),
    "assoc": {
        "type": "AssociationEvent",
        "eventTime": "2026-03-02T09:30:00Z",
        "eventTimeZoneOffset": "+00:00",
        "parentID": "urn:epc:id:grai:9506000.01234.1",
        "childEPCs": [EPC],
        "action": "ADD",
        "bizStep": "assembling",
    },
    "assoc del": {
        "type": "AssociationEvent",
        "eventTime": "2026-03-02T09:30:00Z",
        "eventTimeZoneOffset": "+00:00",
        "parentID": "urn:epc:id:grai:9506000.01234.1",
        "action": "DELETE",
    },
    "agg del all": {
        "type": "AggregationEvent",
        "eventTime": "2026-03-02T09:30:00Z",
        "eventTimeZoneOffset": "+00:00",
        "parentID": "urn:epc:id:sscc:9506000.0000000001",
        "action": "DELETE",
        "childEPCs": [],
    },
    "trans": {
        "type": "TransactionEvent",
        "eventTime": "2026-03-02T09:30:00Z",
        "eventTimeZoneOffset": "+00:00",
        "bizTransactionList": [{"type": "po", "bizTransaction": "urn:epcglobal:cbv:bt:1:2"}],
        "epcList": [EPC],
        "action": "ADD",
    },
    "transf": {
        "type": "TransformationEvent",
        "eventTime": "2026-03-02T09:30:00Z",
        "eventTimeZoneOffset": "+00:00",
        "inputQuantityList": [{"epcClass": "urn:epc:class:lgtin:9506000.013435.L7", "quantity": 10.5, "uom": "KGM"}],
        "outputEPCList": [EPC],
        "ilmd": {"example:batch": "7"},
    },
    "transf id": {
        "type": "TransformationEvent",
        "eventTime": "2026-03-02T09:30:00Z",
        "eventTimeZoneOffset": "+00:00",
        "transformationID": "urn:epc:id:gdti:9506000.00001.T1",
        "inputEPCList": [EPC],
    },
    "sensor only": ev(
        epcList=...,
        quantityList=...,
        readPoint={"id": "urn:epc:id:sgln:9506000.00001.5"},
        sensorElementList=[
            {
                "sensorMetadata": {"time": "2026-03-02T09:30:00Z", "deviceID": "urn:epc:id:giai:9506000.1"},
                "sensorReport": [
                    {"type": "Temperature", "value": 26.0, "uom": "CEL"},
                    {"type": "gs1:Humidity", "value": 12.1},
                ],
            }
        ],
    ),
    "sensor bool": ev(
        sensorElementList=[{"sensorReport": [{"type": "example:door", "booleanValue": True, "example:x": 1}]}]
    ),
    "persistent": ev(persistentDisposition={"set": ["completeness_inferred"], "unset": ["completeness_verified"]}),
    "error": ev(
        errorDeclaration={
            "declarationTime": "2026-03-03T00:00:00Z",
            "reason": "incorrect_data",
            "correctiveEventIDs": ["urn:uuid:0f1"],
        }
    ),
    "cert": ev(certificationInfo="https://example.com/cert"),
    "certs": ev(certificationInfo=["https://example.com/cert"]),
    "ilmd": ev(
        action="ADD", bizStep="commissioning", ilmd={"example:batch": "7", "example:deep": {"example:a": [1, "2"]}}
    ),
    "ext deep": ev(**{"example:a": {"example:b": {"example:c": [1, {"example:d": None}]}}}),
    "curie step": ev(bizStep="cbv:BizStep-inspecting"),
    "uri step": ev(bizStep="https://ref.gs1.org/cbv/BizStep-inspecting"),
    "own step": ev(bizStep="https://example.com/steps/polish"),
    "dl": ev(epcList=["https://example.com/01/09506000134352/21/A1"]),
    "class": ev(epcList=[], quantityList=[{"epcClass": "https://id.gs1.org/01/09506000134352", "quantity": 200}]),
    "no quantity": ev(quantityList=[{"epcClass": "urn:epc:idpat:sgtin:9506000.013435.*"}]),
    "own type": ev(type="https://example.com/MyEvent"),
    "curie type": ev(type="example:MyEvent"),
    "ctx in event": {"@context": {"x": "https://x.example/"}, **ev(), "x:y": 1},
    "empty epc": ev(epcList=[]),
}
FORBIDDEN: Json = {
    "no time": ev(eventTime=...),
    "no zone": ev(eventTimeZoneOffset=...),
    "naive": ev(eventTime="2026-03-02T09:30:00"),
    "date": ev(eventTime="2026-03-02"),
    "space": ev(eventTime="2026-03-02 09:30:00Z"),
    "month13": ev(eventTime="2026-13-02T09:30:00Z"),
    "feb30": ev(eventTime="2026-02-30T09:30:00Z"),
    "hour24": ev(eventTime="2026-03-02T24:00:00Z"),
    "hour25": ev(eventTime="2026-03-02T25:00:00Z"),
    "us date": ev(eventTime="03-02-2026T09:30:00Z"),
    "offset text": ev(eventTime="2026-03-02T09:30:00+1"),
    "zone +15": ev(eventTimeZoneOffset="+15:00"),
    "zone 14:30": ev(eventTimeZoneOffset="+14:30"),
    "zone Z": ev(eventTimeZoneOffset="Z"),
    "zone 1:00": ev(eventTimeZoneOffset="1:00"),
    "zone min": ev(eventTimeZoneOffset="+01:60"),
    "time num": ev(eventTime=5),
    "no action": ev(action=...),
    "action": ev(action="observe"),
    "action2": ev(action="UPDATE"),
    "step": ev(bizStep="transforming"),
    "step case": ev(bizStep="Inspecting"),
    "step urn": ev(bizStep="urn:epcglobal:cbv:bizstep:inspecting"),
    "disp": ev(disposition="in_transport"),
    "disp list": ev(disposition=["in_transit"]),
    "epc text": ev(epcList=["A1"]),
    "epc num": ev(epcList=[1]),
    "epc str": ev(epcList=EPC),
    "epc dup": ev(epcList=[EPC, EPC]),
    "no what": ev(epcList=...),
    "ext plain": ev(color="red"),
    "typo": ev(epclist=[EPC]),
    "ilmd plain": ev(action="ADD", ilmd={"lot": "1"}),
    "ilmd observe": ev(ilmd={"example:lot": "1"}),
    "readpoint str": ev(readPoint="urn:epc:id:sgln:9506000.00001.5"),
    "readpoint no id": ev(readPoint={}),
    "biz list": ev(bizTransactionList={"type": "po"}),
    "biz no tx": ev(bizTransactionList=[{"type": "po"}]),
    "biz type": ev(bizTransactionList=[{"type": "order", "bizTransaction": "urn:x:y"}]),
    "src no type": ev(sourceList=[{"source": "urn:x:y"}]),
    "src type": ev(sourceList=[{"type": "owner", "source": "urn:x:y"}]),
    "uom": ev(quantityList=[{"epcClass": "urn:epc:class:lgtin:9506000.013435.L7", "quantity": 1, "uom": "kg"}]),
    "quantity str": ev(quantityList=[{"epcClass": "urn:epc:class:lgtin:9506000.013435.L7", "quantity": "1"}]),
    "q no class": ev(quantityList=[{"quantity": 1}]),
    "sensor no report": ev(sensorElementList=[{}]),
    "sensor empty": ev(sensorElementList=[{"sensorReport": []}]),
    "sensor no type": ev(sensorElementList=[{"sensorReport": [{"value": 1}]}]),
    "sensor type": ev(sensorElementList=[{"sensorReport": [{"type": "Warmth", "value": 1}]}]),
    "sensor str": ev(sensorElementList=[{"sensorReport": [{"type": "Temperature", "value": "1"}]}]),
    "sensor hex": ev(sensorElementList=[{"sensorReport": [{"type": "Temperature", "hexBinaryValue": "0x1"}]}]),
    "persist empty": ev(persistentDisposition={}),
    "persist word": ev(persistentDisposition={"set": ["gone"]}),
    "persist str": ev(persistentDisposition={"set": "damaged"}),
    "error no time": ev(errorDeclaration={"reason": "incorrect_data"}),
    "error reason": ev(errorDeclaration={"declarationTime": "2026-03-03T00:00:00Z", "reason": "oops"}),
    "type": ev(type="MyEvent"),
    "type num": ev(type=5),
    "type none": ev(type=None),
    "quantityEvent": ev(type="QuantityEvent"),
    "agg no child": {
        "type": "AggregationEvent",
        "eventTime": "2026-03-02T09:30:00Z",
        "eventTimeZoneOffset": "+00:00",
        "parentID": "urn:epc:id:sscc:9506000.0000000001",
        "action": "ADD",
    },
    "assoc no parent": {
        "type": "AssociationEvent",
        "eventTime": "2026-03-02T09:30:00Z",
        "eventTimeZoneOffset": "+00:00",
        "childEPCs": [EPC],
        "action": "ADD",
    },
    "trans no list": {
        "type": "TransactionEvent",
        "eventTime": "2026-03-02T09:30:00Z",
        "eventTimeZoneOffset": "+00:00",
        "epcList": [EPC],
        "action": "ADD",
    },
    "transf no out": {
        "type": "TransformationEvent",
        "eventTime": "2026-03-02T09:30:00Z",
        "eventTimeZoneOffset": "+00:00",
        "inputEPCList": [EPC],
    },
    "transf action": {
        "type": "TransformationEvent",
        "eventTime": "2026-03-02T09:30:00Z",
        "eventTimeZoneOffset": "+00:00",
        "inputEPCList": [EPC],
        "outputEPCList": [EPC],
        "action": "ADD",
    },
    "null": None,
    "list": [],
    "str": "x",
    "cert": ev(certificationInfo="x y"),
    "eventID": ev(eventID="1"),
    "recordTime": ev(recordTime="yesterday"),
}
ALIKE: Json = {
    "utc": ev(eventTime="2026-03-02T08:30:00Z"),
    "micro": ev(eventTime="2026-03-02T09:30:00.000000+01:00"),
    "id": ev(eventID="urn:uuid:1"),
    "rec": ev(recordTime="2026-03-02T09:31:00Z"),
    "empty": ev(quantityList=[], bizTransactionList=[]),
    "step": ev(bizStep="https://ref.gs1.org/cbv/BizStep-inspecting"),
    "curie": ev(bizStep="cbv:BizStep-inspecting"),
    "dl": ev(epcList=["https://id.gs1.org/01/09506000134352/21/A1"]),
    "dl host": ev(epcList=["https://example.com/x/01/09506000134352/21/A1"]),
    "dl lot": ev(epcList=["https://id.gs1.org/01/09506000134352/10/L/21/A1"]),
    "err": ev(errorDeclaration={"declarationTime": "2026-03-03T00:00:00Z"}),
    "cert": ev(certificationInfo="urn:x:y"),
}
UNLIKE: Json = {
    "zone": ev(eventTimeZoneOffset="+02:00"),
    "milli": ev(eventTime="2026-03-02T09:30:00.001+01:00"),
    "case": ev(epcList=[EPC.replace("A1", "a1")]),
    "ext": ev(**{"example:a": "1"}),
    "ext2": ev(**{"example:a": "2"}),
    "ext ns": ev(**{"other:a": "1"}),
    "digits": ev(**{"example:a": "111100001111000011110000"}),
    "digits2": ev(**{"example:a": "111100001111000011110001"}),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_what_the_standard_allows_is_accepted(name: str) -> None:
    [found] = validate_events(parse_capture(doc(ALLOWED[name])))
    assert (found.status, found.faults) == (Status.ACCEPTED, ())


@pytest.mark.parametrize("name", FORBIDDEN)
def test_what_the_standard_forbids_is_rejected_with_a_reason(name: str) -> None:
    [found] = validate_events(parse_capture(doc(FORBIDDEN[name])))
    assert found.status is Status.REJECTED
    assert all(reason for _, reason in found.faults)
    assert found.faults


@pytest.mark.parametrize("name", ALIKE)
def test_what_says_the_same_hashes_alike(name: str) -> None:
    assert hash_events(doc(ALIKE[name])) == hash_events(doc(ev()))


def test_what_says_something_else_hashes_to_something_else() -> None:
    hashes = {hash_events(doc(event))[0] for event in (ev(), *UNLIKE.values())}
    assert len(hashes) == 1 + len(UNLIKE)


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        ("https://id.gs1.org/gtin/09506000134352", "write /01/ instead of /gtin/"),
        ("https://id.gs1.org/gtin/09506000134352/ser/1", "write /01/ instead of /gtin/"),
        ("https://example.com/SSCC/395060001343521237", "write /00/ instead of /SSCC/"),
        ("https://example.com/x/giai/9506000134352AB", "write /8004/ instead of /giai/"),
        ("https://example.com/AQnYUc1gmg", "compressed"),
        ("https://example.com/01/BCTsxIs-CqCa0IAA/x/ARjRsG_Zqv0hGPlV", "compressed"),
        ("https://example.com/01/09506000134352/", "end it with /AI/value"),
        ("https://example.com/", "end it with /AI/value"),
    ],
)
def test_links_that_are_refused_say_what_they_may_have_been_meant_as(link: str, reason: str) -> None:
    with pytest.raises(IdentifierError) as refused:
        read_link(link)
    assert reason in str(refused.value)
