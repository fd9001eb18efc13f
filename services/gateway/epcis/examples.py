"""Answers of the EPCIS routes for the documentation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ledger.store.epcis_rows import EpcisCaptureRow
from services.gateway.epcis.answers import describe_capture, query_document
from services.gateway.epcis.schemas import QUERY_EXAMPLE
from services.gateway.recording.views import RecordFate
from services.interop.epcis.event_hash import PROFILE
from services.interop.epcis.event_queries import CONTEXT

__all__ = ["build_epcis_examples"]

_HASH = "ni:///sha-256;36abb3a2c0a726de32ac4beafd6b8bc4ba0b1d2de244490312e5cbec7b5ddece?ver=CBV2.0"
_ID = "urn:uuid:374d95fc-9457-4a51-bd6a-0bba133845a8"
_TAKEN_MS = 1_772_443_801_000
_EVENT = {
    "@context": [CONTEXT],
    "type": "ObjectEvent",
    "eventID": _ID,
    "eventTime": "2026-03-02T09:30:00.000+00:00",
    "eventTimeZoneOffset": "+00:00",
    "recordTime": "2026-03-02T09:30:01.000Z",
    "epcList": ["https://id.gs1.org/01/09506000013459/21/A0001"],
    "action": "OBSERVE",
    "bizStep": "inspecting",
}
_ACCEPTED = {
    "event": "/epcisBody/eventList/0",
    "status": "accepted",
    "eventID": _ID,
    "hash": _HASH,
    "profile": PROFILE,
    "evidence": {"index": 17, "leaf_hash": "3c" * 32},
    "records": [],
    "evidence_only": ["an observation: evidence of where things were, no change of state"],
}
_RECORDED = {
    **_ACCEPTED,
    "records": [{"kind": "ReceiveLot", "identifier_hash": "0x" + "5a" * 32, "quantity": 1, "unit": "0x483837"}],
    "recorded": [{"id": 17}],
    "evidence_only": [],
}
_FATE = RecordFate(17, "ReceiveLot", "ledger", "final", True, 412, (), None, None, None)
_FAULT = {"pointer": "/epcisBody/eventList/1/bizStep", "reason": "'transforming' is neither a standard value nor a URI"}
_REJECTED = {"event": "/epcisBody/eventList/1", "status": "rejected", "reasons": [_FAULT]}


def build_epcis_examples() -> dict[str, dict[str, Any]]:
    """One answer or more for each operation, by operation id and name."""
    document = query_document([_EVENT])
    document["creationDate"] = "2026-03-02T09:31:00.000Z"
    found = {**query_document([_EVENT], QUERY_EXAMPLE["name"]), "creationDate": document["creationDate"]}
    recorded = _job("rollback", success=True, events=[_RECORDED])
    jobs = {"proceed": _job("proceed", success=False), "good": _job("rollback", success=True), "recorded": recorded}
    return {
        "captureEvents": jobs,
        "listCaptureJobs": {"one": [jobs["good"]]},
        "getCaptureJob": jobs,
        "addEvent": {"taken": {"eventID": _ID}},
        "findEvents": {"one": document},
        "findEventsOfEpc": {"one": document},
        "getEvent": {"event": document},
        "addQuery": {"shipped": QUERY_EXAMPLE},
        "listQueries": {"one": [QUERY_EXAMPLE]},
        "getQuery": {"shipped": QUERY_EXAMPLE},
        "deleteQuery": {},
        "findEventsOfQuery": {"one": found},
    }


def _job(behaviour: str, *, success: bool, events: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    outcome = json.dumps(list(events) or ([_ACCEPTED] if success else [_ACCEPTED, _REJECTED]))
    row = EpcisCaptureRow("9f1c" * 6, 1, 5, _TAKEN_MS, _TAKEN_MS, behaviour, success, outcome)
    return describe_capture(row, {_FATE.id: _FATE})
