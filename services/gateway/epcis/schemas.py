"""JSON schemas of the EPCIS routes for the OpenAPI document: bodies, parameters, responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypedDict

from millmark.services.gateway.http.example_values import IDENTIFIER
from millmark.services.gateway.http.routes import PROBLEM, Problems
from millmark.services.interop.epcis.event_queries import CONTEXT, MAX_CHARACTERS, PARAMETERS

_Schema = dict[str, Any]
_TEXT: Final[_Schema] = {"type": "string"}
_TIME: Final[_Schema] = {"type": "string", "format": "date-time"}


def _object(described: str, members: dict[str, _Schema], optional: tuple[str, ...] = ()) -> _Schema:
    required = [name for name in members if name not in optional]
    return {"type": "object", "description": described, "properties": members, "required": required}


def _list(item: _Schema) -> _Schema:
    return {"type": "array", "items": item}


_RECORDED = _object(
    "A record. Lists of jobs contain only its id.",
    {
        "id": {"type": "integer"},
        "kind": _TEXT,
        "state": _TEXT,
        "done": {"type": "boolean"},
        "sequence": {"type": "integer"},
        "refusal": _object(
            "Why the ledger rejected it.", {"name": _TEXT, "values": {"type": "object"}, "detail": _TEXT}
        ),
    },
    ("kind", "state", "done", "sequence", "refusal"),
)
_OUTCOME = _object(
    "The outcome for one event.",
    {
        "event": {**_TEXT, "description": "JSON pointer to the event in the document (RFC 6901)."},
        "status": {"enum": ["accepted", "duplicate", "rejected", "rolled-back"]},
        "eventID": _TEXT,
        "hash": {**_TEXT, "description": "Event hash (CBV 2.0)."},
        "profile": {**_TEXT, "description": "Name of the profile with which the hash was computed."},
        "reasons": _list(_object("A fault.", {"pointer": _TEXT, "reason": _TEXT})),
        "evidence": _object(
            "Its entry in the sender's evidence log.", {"index": {"type": "integer"}, "leaf_hash": _TEXT}
        ),
        "records": {
            **_list({"type": "object"}),
            "description": "Ledger records that the event implies. Those that were requested are in `recorded`.",
        },
        "recorded": {
            **_list(_RECORDED),
            "description": "With `record=true`: the records made for this event, with their states. See "
            "`/v1/records/ID` for more.",
        },
        "evidence_only": {**_list(_TEXT), "description": "Parts of the event that imply no record, and why."},
    },
    ("eventID", "hash", "profile", "reasons", "evidence", "records", "recorded", "evidence_only"),
)
JOB: Final = _object(
    "A capture job.",
    {
        "captureID": _TEXT,
        "createdAt": _TIME,
        "finishedAt": _TIME,
        "running": {"const": False},
        "success": {"type": "boolean"},
        "captureErrorBehaviour": {"enum": ["rollback", "proceed"]},
        "errors": _list(
            _object("A fault.", {"type": _TEXT, "title": _TEXT, "status": {"type": "integer"}, "detail": _TEXT})
        ),
        "events": _list(_OUTCOME),
    },
)
JOBS: Final = _list(JOB)
EVENT_ID: Final = _object("The event's id.", {"eventID": _TEXT})
DOCUMENT: Final = _object(
    "An EPCISQueryDocument.",
    {
        "@context": _list({}),
        "type": {"const": "EPCISQueryDocument"},
        "schemaVersion": _TEXT,
        "creationDate": _TIME,
        "epcisBody": {"type": "object"},
    },
)
_PARAMETERS: Final = {
    "eventType": "Types of event.",
    **dict.fromkeys(
        (name for name in PARAMETERS if name.startswith("MATCH_")),
        "EPC URNs and Digital Links in any spelling, or patterns `urn:epc:idpat:SCHEME:...*`.",
    ),
    "GE_eventTime": "At or after this time.",
    "LT_eventTime": "Before this time.",
    "GE_recordTime": "Captured at or after this time.",
    "LT_recordTime": "Captured before this time.",
    "orderBy": "`eventTime` (default) or `recordTime`.",
    "orderDirection": "`DESC` (default) or `ASC`.",
    "eventCountLimit": "Return at most this many events, without paging.",
    "maxEventCount": "Refuse the query if more than this many events match.",
    "perPage": "Maximum number of events per page; default 30, at most 200.",
    "nextPageToken": "From the Link header of the previous page.",
    "EXISTS_errorDeclaration": "`true`: only error declarations.",
}
_EXAMPLES: Final = {
    "eventType": "ObjectEvent",
    "EQ_action": "OBSERVE",
    "EQ_bizStep": "shipping|receiving",
    "EQ_disposition": "in_transit",
    "MATCH_epc": "urn:epc:id:sgtin:9506000.001345.A0001",
    "orderBy": "eventTime",
    "orderDirection": "ASC",
    "perPage": "50",
    "eventCountLimit": "10",
    "maxEventCount": "100",
    "EXISTS_errorDeclaration": "true",
}


EXAMPLE_EVENT: Final[dict[str, Any]] = {
    "@context": [CONTEXT],
    "type": "ObjectEvent",
    "eventID": "urn:uuid:374d95fc-9457-4a51-bd6a-0bba133845a8",
    "eventTime": "2026-03-02T09:30:00.000+00:00",
    "eventTimeZoneOffset": "+00:00",
    "recordTime": "2026-03-02T09:30:01.000Z",
    "epcList": [IDENTIFIER],
    "action": "OBSERVE",
    "bizStep": "inspecting",
}
EXAMPLE_TIME: Final = "2026-03-02T09:31:00.000Z"
_PLACE: Final = "urn:epc:id:sgln:9506000.00001.0"


def _parameter(name: str) -> _Schema:
    kind = "number" if name in ("perPage", "eventCountLimit", "maxEventCount") else "text"
    schema: _Schema = {"type": "string", "minLength": 1, "maxLength": MAX_CHARACTERS}
    if kind == "number":
        schema = {"type": "string", "pattern": "^[1-9][0-9]{0,8}$"}
    example = "2026-03-02T09:30:00Z" if name.endswith("Time") else _EXAMPLES.get(name, _PLACE)
    described = _PARAMETERS.get(name, f"As in SimpleEventQuery of EPCIS 2.0: {name.replace('_', ' ', 1)}.")
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": described,
        "schema": {**schema, "examples": [example]},
    }


_BEHAVIOUR: Final = {
    "name": "GS1-Capture-Error-Behaviour",
    "in": "header",
    "required": False,
    "description": "`rollback` (default): all events or none. `proceed`: valid events are stored.",
    "schema": {"type": "string", "enum": ["rollback", "proceed"], "examples": ["proceed"]},
}
_RECORD: Final = {
    "name": "record",
    "in": "query",
    "required": False,
    "description": "`true`: also make the resulting records. Only for the company that runs the gateway, with the "
    "scope `recording`. By default events are stored as evidence only.",
    "schema": {"type": "string", "enum": ["true", "false"], "examples": ["false"]},
}


def _body(described: str) -> _Schema:
    schema = {"type": "object", "description": described}
    return {
        "required": True,
        "content": {media: {"schema": schema} for media in ("application/json", "application/ld+json")},
    }


class Described(TypedDict):
    """Members of a route's row (millmark.services.gateway.http.routes.Options)."""

    status_code: int
    responses: Problems
    response_model: None
    openapi_extra: Mapping[str, Any] | None


def describe(schema: _Schema, *failures: int, done: int = 200, **extra: Any) -> Described:
    """Documents a route that returns JSON of this schema with the status `done`, or one of the failures. `extra` is
    added to the OpenAPI operation."""
    responses: Problems = {
        done: {"content": {"application/json": {"schema": schema}}},
        **dict.fromkeys((400, 406, *failures), PROBLEM),
        "default": PROBLEM,
    }
    return {"status_code": done, "responses": responses, "response_model": None, "openapi_extra": extra or None}


QUERY_PARAMETERS: Final = [_parameter(name) for name in PARAMETERS]
PAGE_PARAMETERS: Final = [_parameter(name) for name in ("perPage", "nextPageToken")]
CAPTURE_PARAMETERS: Final = [_BEHAVIOUR, _RECORD]
DOCUMENT_BODY: Final = _body("An EPCISDocument, an EPCISQueryDocument or one event; at most 1,000 events and 4 MiB.")
EVENT_BODY: Final = _body("One event, with an @context.")
