"""Builds EPCIS events and documents, and sends them to a gateway or queries them."""

from __future__ import annotations

from typing import Any

import httpx

from millmark.services.gateway.epcis.capture import CAPTURE
from millmark.services.gateway.epcis.endpoints import EVENTS
from millmark.services.interop.epcis.event_queries import CONTEXT
from millmark.services.interop.epcis.schema import document_faults, event_faults
from tests.support.gateway_client import Caller

Json = dict[str, Any]
THING = "urn:epc:id:sgtin:9506000.013435.A1"
LINK = "https://id.gs1.org/01/09506000134352/21/A1"


def event(number: int = 1, **fields: Any) -> Json:
    """An ObjectEvent. `fields` replaces members; None removes one."""
    found = {
        "type": "ObjectEvent",
        "eventID": f"urn:uuid:00000000-0000-4000-8000-{number:012d}",
        "eventTime": f"2026-03-02T09:{number % 60:02}:00.000+01:00",
        "eventTimeZoneOffset": "+01:00",
        "epcList": [THING],
        "action": "OBSERVE",
        "bizStep": "inspecting",
        **fields,
    }
    return {name: value for name, value in found.items() if value is not None}


def document(*events: object, **fields: Any) -> Json:
    """An EPCIS document with these events. `fields` replaces members."""
    return {
        "@context": [CONTEXT, {"example": "https://example.com/ns/"}],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": "2026-03-02T09:30:00Z",
        "epcisBody": {"eventList": list(events)},
        **fields,
    }


def capture(caller: Caller, body: object, **headers: str) -> Json:
    """Posts a document, which must be accepted, and returns the capture job."""
    answer = caller.ask(CAPTURE, "POST", body, **headers)
    assert answer.status_code == 202, answer.text
    found: Json = answer.json()
    return found


def statuses(job: Json) -> list[str]:
    """The status of each event of a capture job."""
    return [one["status"] for one in job["events"]]


def found(answer: httpx.Response) -> list[Json]:
    """The events of a query's answer, which must be valid EPCIS."""
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert document_faults(body) == []
    events: list[Json] = body["epcisBody"]["queryResults"]["resultsBody"]["eventList"]
    assert [event_faults(one) for one in events] == [[]] * len(events)
    return events


def find(caller: Caller, query: str = "") -> list[str]:
    """Runs a query; returns the last two characters of each event id."""
    return [one["eventID"][-2:] for one in found(caller.ask(f"{EVENTS}?{query}"))]


PARTY = "urn:epc:id:pgln:9506000.00001"
WORLD = [
    event(1, readPoint={"id": "urn:epc:id:sgln:9506000.00001.5"}, disposition="in_transit", bizStep="shipping"),
    event(2, action="ADD", bizStep="commissioning", epcList=[], quantityList=[
        {"epcClass": "urn:epc:class:lgtin:9506000.013435.L7", "quantity": 3, "uom": "KGM"}]),
    event(3, bizLocation={"id": "https://id.gs1.org/414/9506000000015"}, sourceList=[
        {"type": "owning_party", "source": PARTY}], persistentDisposition={"set": ["damaged"]}),
    {
        **event(4, epcList=None, action=None, bizStep=None),
        "type": "TransformationEvent",
        "transformationID": "urn:epc:id:gdti:9506000.00001.T1",
        "inputEPCList": ["urn:epc:id:sgtin:9506000.013435.IN"],
        "outputEPCList": ["urn:epc:id:sgtin:9506000.013435.OUT"],
    },
    {**event(5, epcList=None), "type": "AggregationEvent", "parentID": "urn:epc:id:sscc:9506000.0000000001",
     "childEPCs": [THING]},
    event(6, errorDeclaration={"declarationTime": "2026-03-03T00:00:00Z", "reason": "incorrect_data"},
          bizTransactionList=[{"type": "po", "bizTransaction": "urn:epcglobal:cbv:bt:9506000000005:PO-7"}]),
]  # fmt: skip
