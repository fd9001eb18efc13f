"""The EPCIS routes: headers and parameters in, documents out.

A capture job is done when it is answered: nothing is acknowledged that is not on disk. Sent again, the same events are
duplicates, so that a caller who got no answer may simply send them again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from ledger.canonical import Json
from ledger.errors import InputError
from ledger.store import Store
from ledger.store.epcis_rows import EpcisCaptureRow
from services.access import Principal
from services.gateway.epcis import schemas
from services.gateway.epcis.answers import describe_capture, query_document, recorded_of
from services.gateway.epcis.known_names import find_known
from services.gateway.epcis.named_queries import QUERIES, add_queries
from services.gateway.epcis.negotiation import (
    CAPTURE_HEADERS,
    DISCOVERY,
    MOST_EVENTS,
    parse_behaviour,
    verify_acceptable,
    verify_media_type,
)
from services.gateway.epcis.problems import PREFIX
from services.gateway.epcis.recording import EventRecording, find_fates, open_recording, parse_record
from services.gateway.epcis.search import find_events, link_to_next, read_question, read_token, reply_json
from services.gateway.http.authentication import Asking
from services.gateway.http.errors import BusyError
from services.gateway.http.permissions import methods_of
from services.gateway.recording import Recorder
from services.interop.epcis.capture import Status, parse_capture
from services.interop.epcis.capture_jobs import Behaviour, Sender, run_capture_job
from services.interop.epcis.documents import Document
from services.interop.epcis.event_queries import EventQueries
from services.serving.bounded_work import BoundedWork

__all__ = ["build_epcis"]

CAPTURE, EVENTS = f"{PREFIX}/capture", f"{PREFIX}/events"
_WAITING = 16
"""Batches that may wait for their turn."""
_OPERATOR = 0
"""Participant of whoever runs a gateway that is open on the loopback."""

JobId = Annotated[
    str, Path(pattern="^[0-9a-f]{24}$", description="As the Location of the capture says.", examples=["9f1c" * 6])
]
EventId = Annotated[
    str,
    Path(min_length=1, max_length=1024, description="Percent-encoded.", examples=["urn:uuid:374d95fc-9457-4a51-bd6a"]),
]
Epc = Annotated[
    str,
    Path(
        min_length=1,
        max_length=1024,
        description="EPC URN or Digital Link, percent-encoded.",
        examples=["urn:epc:id:sgtin:9506000.001345.A0001"],
    ),
]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def build_epcis(store: Store, recorder: Recorder | None = None, clock_ms: Callable[[], int] = _now_ms) -> APIRouter:
    """The routes over one store; without a recorder events are evidence alone."""
    router, desk = APIRouter(), _Service(store, recorder, clock_ms)
    _add_discovery(router)
    _add_capture(router, desk)
    _add_events(router, desk)
    add_queries(router, store, clock_ms)
    return router


class _Service:
    """What the routes ask for, in the name of a principal."""

    def __init__(self, store: Store, recorder: Recorder | None, clock_ms: Callable[[], int]) -> None:
        self._store, self._recorder, self._clock_ms = store, recorder, clock_ms
        self._turns = BoundedWork(at_once=1, waiting=_WAITING)
        """One batch at a time: it is the processor's work, and waiting for the database's one writer takes longer than
        it needs to."""

    def library(self, principal: Principal) -> EventQueries:
        return EventQueries(self._store, principal.participant or _OPERATOR, principal.viewer)

    def take(self, principal: Principal, behaviour: Behaviour, record: bool, body: bytes) -> dict[str, Json]:
        """The capture job. Raises InputError for a body that is no document, HTTPException 413 for too many events,
        BusyError, and ForbiddenError or NoSignerError where nothing can be recorded."""
        recording = open_recording(self._recorder, principal) if record else None
        return self._describe(self._take_document(principal, behaviour, parse_capture(body), recording))

    def job(self, principal: Principal, id_: str) -> dict[str, Json]:
        """Raises NotFoundError."""
        return self._describe(self.library(principal).capture(id_))

    def _describe(self, row: EpcisCaptureRow) -> dict[str, Json]:
        return describe_capture(row, find_fates(self._store, recorded_of(row)))

    def _take_document(
        self, principal: Principal, behaviour: Behaviour, document: Document, recording: EventRecording | None = None
    ) -> EpcisCaptureRow:
        if len(document.events) > MOST_EVENTS:
            raise HTTPException(413)
        creator = None if recording is None else recording.creator
        find = partial(find_known, self._store, viewer=principal.viewer, creator=creator)
        sender = Sender(principal.participant or _OPERATOR, find, recording)
        with self._turns.take() as mine:
            if not mine:
                raise BusyError("too many captures are waiting", retry_after_s=1)
            row = run_capture_job(self._store, document, sender, behaviour, now_ms=self._clock_ms())
        if recording is not None:
            recording.recorder.wake()
        return row

    def take_one(self, principal: Principal, body: bytes) -> str:
        """The id of one event that is taken in. Raises as `take`, and HTTPException 409 for a duplicate."""
        document = parse_capture(body)
        if "epcisBody" in document.value:
            raise InputError("this takes one event, not a document", hint=f"send documents to {CAPTURE}")
        row = self._take_document(principal, Behaviour.ROLLBACK, document)
        [event] = json.loads(row.outcome)
        if event["status"] == Status.REJECTED:
            first = event["reasons"][0]
            raise InputError(f"{first['pointer'] or 'the event'}: {first['reason']}", hint="correct the event")
        if event["status"] == Status.DUPLICATE:
            raise HTTPException(409)
        return str(event["eventID"])


def _add_discovery(router: APIRouter) -> None:
    things = (EVENTS, EVENTS + "/{id:path}", PREFIX + "/epcs/{epc:path}/events")
    for path in (CAPTURE, CAPTURE + "/{id}", *things, QUERIES, QUERIES + "/{name}", QUERIES + "/{name}/events"):
        more = CAPTURE_HEADERS if path == CAPTURE else {}
        answer = partial(_discover, methods_of(path), more)
        router.add_api_route(path, answer, methods=["OPTIONS"], include_in_schema=False)


async def _discover(allowed: str, more: Mapping[str, str]) -> Response:
    return Response(status_code=204, headers={"Allow": allowed, **DISCOVERY, **more})


def _add_capture(router: APIRouter, desk: _Service) -> None:
    @router.post(CAPTURE, **schemas.CAPTURE)
    async def capture(request: Request, principal: Asking) -> Response:
        """Judges every event by itself: accepted, duplicate (by its hash; that is no error) or rejected, and says why.

        Under `GS1-Capture-Error-Behaviour: rollback`, which is the default, one rejected event keeps all of them out;
        under `proceed` the others stay. The answer is the capture job, which is done.

        With `record=true` the records that follow are made in the name of the company that runs the gateway, signed
        with its key, each by itself: `GET` of the job tells their states, to `final` or to `failed` with the contract's
        error. An event that comes again is recorded once, or now, when it was evidence alone so far."""
        verify_media_type(request.headers)
        verify_acceptable(request.headers)
        behaviour, body = parse_behaviour(request.headers), await request.body()
        record = parse_record(request.query_params.get("record"))
        job = await run_in_threadpool(desk.take, principal, behaviour, record, body)
        return reply_json(job, 202, Location=f"{CAPTURE}/{job['captureID']}")

    @router.get(CAPTURE, **schemas.CAPTURES)
    def captures(request: Request, principal: Asking) -> Response:
        """The newest first; those of the caller."""
        verify_acceptable(request.headers)
        question = read_question(request, {"perPage", "nextPageToken"})
        after = read_token(request, principal, question)
        rows = desk.library(principal).captures(after[0] if after else None, question.per_page + 1)
        last = (rows[question.per_page - 1].number, 0) if len(rows) > question.per_page else None
        jobs: list[Json] = [describe_capture(row) for row in rows[: question.per_page]]
        return reply_json(jobs, 200, **link_to_next(request, principal, last))

    @router.get(CAPTURE + "/{id}", **schemas.CAPTURE_JOB)
    def capture_job(request: Request, principal: Asking, id: JobId) -> Response:
        """What became of each event of one call."""
        verify_acceptable(request.headers)
        return reply_json(desk.job(principal, id), 200)


def _add_events(router: APIRouter, desk: _Service) -> None:
    @router.post(EVENTS, **schemas.NEW_EVENT)
    async def add_event(request: Request, principal: Asking) -> Response:
        """One bare event, with a context of its own. 409 when it was taken in before."""
        verify_media_type(request.headers)
        verify_acceptable(request.headers)
        event_id = await run_in_threadpool(desk.take_one, principal, await request.body())
        return reply_json({"eventID": event_id}, 201, Location=f"{EVENTS}/{quote(event_id, safe='')}")

    @router.get(EVENTS, **schemas.EVENTS)
    def events(request: Request, principal: Asking) -> Response:
        """Those that there are for the caller, the latest first. Lists in parameters are delimited by `|`; keys, steps
        and places are found in every spelling. A parameter that is not listed here is refused. A page may be short, or
        empty, and yet more may follow: the Link says so."""
        return find_events(request, principal, desk.library(principal), read_question(request))

    @router.get(PREFIX + "/epcs/{epc:path}/events", **schemas.EVENTS_OF_EPC)
    def events_of_epc(request: Request, principal: Asking, epc: Epc) -> Response:
        """As with `MATCH_anyEPC`."""
        return find_events(
            request, principal, desk.library(principal), read_question(request, more=[("MATCH_anyEPC", epc)])
        )

    @router.get(EVENTS + "/{id:path}", **schemas.EVENT)
    def event(request: Request, principal: Asking, id: EventId) -> Response:
        """By its id; one that came without has its event hash as id. Of several that came under one id, as an
        event and the declaration of error about it do, the last; `EQ_eventID` finds all."""
        verify_acceptable(request.headers)
        return reply_json(query_document([desk.library(principal).event(id)]), 200)
