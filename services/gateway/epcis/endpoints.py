"""Routes of captured EPCIS events: they read headers and parameters, and return documents."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Path, Request, Response
from starlette.concurrency import run_in_threadpool

from millmark.ledger.canonical import Json
from millmark.ledger.store import Store
from millmark.services.access import Scope
from millmark.services.access.rules import PUBLIC, Rule
from millmark.services.acts import HOLDERS
from millmark.services.gateway.epcis import schemas, search
from millmark.services.gateway.epcis.capture import CAPTURE, CaptureService, parse_record
from millmark.services.gateway.http.authentication import CurrentPrincipal
from millmark.services.gateway.http.route_table import Examples, Route, RouteTable
from millmark.services.gateway.http.routes import PROBLEMS_422, Routes
from millmark.services.gateway.recording import Recorder
from millmark.services.interop.epcis import documents, repository
from millmark.services.views import RecordStatus

EVENTS = f"{search.PREFIX}/events"
_SEND = Rule(Scope.CAPTURE, HOLDERS)
_FIND = Rule(Scope.PROVENANCE, cost=4, by_name=True)

JobId = Annotated[
    str, Path(pattern="^[0-9a-f]{24}$", description="Id of a capture job, from its Location.", examples=["9f1c" * 6])
]
EventId = Annotated[
    str,
    Path(
        min_length=1,
        max_length=1024,
        description="Id of an event, percent-encoded.",
        examples=["urn:uuid:374d95fc-9457-4a51-bd6a"],
    ),
]


_HASH = "ni:///sha-256;36abb3a2c0a726de32ac4beafd6b8bc4ba0b1d2de244490312e5cbec7b5ddece?ver=CBV2.0"
_ID = schemas.EXAMPLE_EVENT["eventID"]
_TAKEN_MS = 1_772_443_801_000
_ACCEPTED = {
    "event": "/epcisBody/eventList/0",
    "status": "accepted",
    "eventID": _ID,
    "hash": _HASH,
    "profile": documents.PROFILE,
    "evidence": {"index": 17, "leaf_hash": "3c" * 32},
    "records": [],
    "evidence_only": ["https://id.gs1.org/01/09506000013459/21/A0001: no lot with that identifier is known here"],
}
_RECORDED = {
    **_ACCEPTED,
    "records": [{"kind": "ReceiveLot", "identifier_hash": "0x" + "5a" * 32, "quantity": 1, "unit": "0x483837"}],
    "recorded": [{"id": 17}],
    "evidence_only": [],
}
_RECORD_STATUS = RecordStatus(17, "ReceiveLot", "ledger", "final", True, 412, (), None, None, None)
_FAULT = {"pointer": "/epcisBody/eventList/1/bizStep", "reason": "'transforming' is neither a standard value nor a URI"}
_REJECTED = {"event": "/epcisBody/eventList/1", "status": "rejected", "reasons": [_FAULT]}


def _found() -> dict[str, Json]:
    return {**search.query_document([schemas.EXAMPLE_EVENT]), "creationDate": schemas.EXAMPLE_TIME}


def _job(behaviour: str, *, success: bool, events: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    outcome = json.dumps(list(events) or ([_ACCEPTED] if success else [_ACCEPTED, _REJECTED]))
    row = repository.EpcisCaptureRow("9f1c" * 6, 1, 5, _TAKEN_MS, _TAKEN_MS, behaviour, success, outcome)
    return search.describe_capture(row, {_RECORD_STATUS.id: _RECORD_STATUS})


_JOBS: Examples = {
    "proceed": partial(_job, "proceed", success=False),
    "good": partial(_job, "rollback", success=True),
    "recorded": partial(_job, "rollback", success=True, events=[_RECORDED]),
}


def add_epcis(
    table: RouteTable,
    store: Store,
    recorder: Recorder | None = None,
    clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
) -> None:
    """Adds the routes. Without a recorder, events are stored as evidence only."""
    routes, service = Routes(table, "epcis", PROBLEMS_422), CaptureService(store, recorder, clock_ms)
    _add_capture(routes, service)
    _add_jobs(routes, service)
    _add_events(routes, service)
    _add_event(routes, service)
    _add_discovery(table)


def _add_discovery(table: RouteTable) -> None:
    """Adds OPTIONS for each path that has a route. Has to run after all other routes of EPCIS were added."""
    for path in dict.fromkeys(route.path for route in table if route.path.startswith(f"{search.PREFIX}/")):
        more = search.CAPTURE_HEADERS if path == CAPTURE else {}
        table.add(Route("OPTIONS", path, PUBLIC), partial(_discover, table.allowed_methods(path), more))


async def _discover(allowed: str, more: Mapping[str, str]) -> Response:
    return Response(status_code=204, headers={"Allow": allowed, **search.DISCOVERY, **more})


def _add_capture(routes: Routes, service: CaptureService) -> None:
    @routes.post(
        CAPTURE,
        "captureEvents",
        "Capture EPCIS events",
        rule=Rule(Scope.CAPTURE, HOLDERS, cost=4, body_bytes=search.MAX_BYTES),
        examples=_JOBS,
        **schemas.describe(
            schemas.JOB,
            413,
            415,
            done=202,
            requestBody=schemas.DOCUMENT_BODY,
            parameters=schemas.CAPTURE_PARAMETERS,
        ),
    )
    async def capture(request: Request, principal: CurrentPrincipal) -> Response:
        """Each event is judged separately: accepted, duplicate (same event hash; not an error), or rejected with
        reasons.

        With `GS1-Capture-Error-Behaviour: rollback` (default), one rejected event causes all to be discarded; with
        `proceed` the others are stored. The response is the capture job, which is already complete.

        With `record=true`, the resulting records are also made for the company that runs the gateway, and signed with
        its key. `GET` the job for the state of each, up to `final`, or `failed` with the contract's error. A repeated
        event is never recorded twice, but is recorded now if it was only evidence before."""
        search.verify_media_type(request.headers)
        search.verify_acceptable(request.headers)
        behaviour, body = search.parse_behaviour(request.headers), await request.body()
        record = parse_record(request.query_params.get("record"))
        job = await run_in_threadpool(service.capture, principal, behaviour, record, body)
        return search.reply_json(job, 202, Location=f"{CAPTURE}/{job['captureID']}")


def _add_jobs(routes: Routes, service: CaptureService) -> None:
    @routes.get(
        CAPTURE,
        "List capture jobs",
        "Capture jobs",
        rule=_SEND,
        examples={"one": lambda: [_JOBS["good"]()]},
        **schemas.describe(schemas.JOBS, parameters=schemas.PAGE_PARAMETERS),
    )
    def captures(request: Request, principal: CurrentPrincipal) -> Response:
        """Returns the caller's capture jobs, newest first."""
        search.verify_acceptable(request.headers)
        parsed = search.read_query(request, {"perPage", "nextPageToken"})
        after = search.read_token(request, principal, parsed)
        # One more than a page, to find out whether there is a next one.
        rows = service.event_queries(principal).captures(after[0] if after else None, parsed.per_page + 1)
        last = (rows[parsed.per_page - 1].number, 0) if len(rows) > parsed.per_page else None
        jobs: list[Json] = [search.describe_capture(row) for row in rows[: parsed.per_page]]
        return search.reply_json(jobs, 200, **search.link_to_next(request, principal, last))

    @routes.get(
        CAPTURE + "/{id}",
        "getCaptureJob",
        "Get a capture job",
        rule=_SEND,
        examples=_JOBS,
        **schemas.describe(schemas.JOB, 404),
    )
    def capture_job(request: Request, principal: CurrentPrincipal, id: JobId) -> Response:
        """Returns the outcome of each event, and the states of the resulting records."""
        search.verify_acceptable(request.headers)
        return search.reply_json(service.job(principal, id), 200)


def _add_events(routes: Routes, service: CaptureService) -> None:
    @routes.post(
        EVENTS,
        "addEvent",
        "Capture one EPCIS event",
        rule=_SEND,
        examples={"taken": lambda: {"eventID": _ID}},
        **schemas.describe(schemas.EVENT_ID, 409, 413, 415, done=201, requestBody=schemas.EVENT_BODY),
    )
    async def add_event(request: Request, principal: CurrentPrincipal) -> Response:
        """Captures a single event, with its own `@context`. 409 if it was captured before."""
        search.verify_media_type(request.headers)
        search.verify_acceptable(request.headers)
        event_id = await run_in_threadpool(service.capture_one, principal, await request.body())
        return search.reply_json({"eventID": event_id}, 201, Location=f"{EVENTS}/{quote(event_id, safe='')}")

    @routes.get(
        EVENTS,
        "findEvents",
        "Find EPCIS events",
        rule=_FIND,
        examples={"one": _found},
        **schemas.describe(schemas.DOCUMENT, 413, parameters=schemas.QUERY_PARAMETERS),
    )
    def events(request: Request, principal: CurrentPrincipal) -> Response:
        """Returns the events visible to the caller, latest first. Values in a parameter are separated by `|`. Keys,
        steps and places match in every spelling. Unlisted parameters are refused. A page may be short or empty although
        more events follow: rely on the Link header."""
        return search.find_events(request, principal, service.event_queries(principal))


def _add_event(routes: Routes, service: CaptureService) -> None:
    @routes.get(
        EVENTS + "/{id:path}",
        "getEvent",
        "Get an EPCIS event",
        rule=Rule(Scope.PROVENANCE),
        examples={"event": _found},
        **schemas.describe(schemas.DOCUMENT, 404),
    )
    def event(request: Request, principal: CurrentPrincipal, id: EventId) -> Response:
        """An event that was captured without an id has its event hash as id. If several events have the id, such as an
        event and its error declaration, the last is returned; `EQ_eventID` finds all."""
        search.verify_acceptable(request.headers)
        return search.reply_json(search.query_document([service.event_queries(principal).event(id)]), 200)
