"""The service behind the EPCIS capture routes.

A capture job is complete when the response is sent: nothing is acknowledged before it is on disk. Events that are sent
again are duplicates, so a caller that received no response can simply repeat its request.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

from starlette.exceptions import HTTPException

from millmark.ledger.canonical import Json
from millmark.ledger.errors import InputError
from millmark.ledger.store import Store
from millmark.services.access import Principal
from millmark.services.gateway.epcis.answers import describe_capture, recorded_of
from millmark.services.gateway.epcis.known_names import find_known
from millmark.services.gateway.epcis.negotiation import MAX_EVENTS, PREFIX
from millmark.services.gateway.epcis.recording import EventRecording, find_record_statuses, open_recording
from millmark.services.gateway.epcis.search import number_of, open_event_queries
from millmark.services.gateway.http.errors import BusyError
from millmark.services.gateway.recording import Recorder
from millmark.services.interop.epcis.capture import Behaviour, Sender, Status, parse_capture, run_capture_job
from millmark.services.interop.epcis.documents import Document
from millmark.services.interop.epcis.event_queries import EventQueries
from millmark.services.interop.epcis.repository import EpcisCaptureRow
from millmark.services.serving.bounded_work import BoundedWork

CAPTURE = f"{PREFIX}/capture"
_WAITING = 16
"""Captures that may wait."""


class CaptureService:
    """Captures events for a principal, and reads the events and jobs that it may see."""

    def __init__(self, store: Store, recorder: Recorder | None, clock_ms: Callable[[], int]) -> None:
        self._store, self._recorder, self._clock_ms = store, recorder, clock_ms
        self._work = BoundedWork(at_once=1, waiting=_WAITING)
        """One capture at a time: validation is limited by the processor, and the database has only one writer, so more
        threads would only wait longer."""

    def event_queries(self, principal: Principal) -> EventQueries:
        return open_event_queries(self._store, principal)

    def capture(self, principal: Principal, behaviour: Behaviour, record: bool, body: bytes) -> dict[str, Json]:
        """Captures the events of a document, and returns the capture job. Raises InputError if the body is not a
        document, HTTPException 413 for too many events, BusyError, and ForbiddenError, NoSignerError or NoNameKeyError
        if recording is requested but not possible."""
        recording = open_recording(self._recorder, principal) if record else None
        return self._describe(self._capture_document(principal, behaviour, parse_capture(body), recording))

    def job(self, principal: Principal, id_: str) -> dict[str, Json]:
        """A capture job. Raises NotFoundError if it is unknown or belongs to another participant."""
        return self._describe(self.event_queries(principal).capture(id_))

    def _describe(self, row: EpcisCaptureRow) -> dict[str, Json]:
        return describe_capture(row, find_record_statuses(self._store, recorded_of(row)))

    def _capture_document(
        self, principal: Principal, behaviour: Behaviour, document: Document, recording: EventRecording | None = None
    ) -> EpcisCaptureRow:
        if len(document.events) > MAX_EVENTS:
            raise HTTPException(413)
        name = None if recording is None else recording.name
        find = partial(find_known, self._store, viewer=principal.viewer, name=name)
        sender = Sender(number_of(principal), find, recording)
        with self._work.take() as mine:
            if not mine:
                raise BusyError("too many captures are waiting", retry_after_s=1)
            row = run_capture_job(self._store, document, sender, behaviour, now_ms=self._clock_ms())
        # Woken after the commit: before it, the recorder would not find the records.
        if recording is not None:
            recording.recorder.wake()
        return row

    def capture_one(self, principal: Principal, body: bytes) -> str:
        """Captures a single event and returns its id. Raises as `capture` does, and HTTPException 409 for a
        duplicate.
        """
        document = parse_capture(body)
        if "epcisBody" in document.value:
            raise InputError("the body is a document, not a single event", hint=f"send documents to {CAPTURE}")
        row = self._capture_document(principal, Behaviour.ROLLBACK, document)
        [event] = json.loads(row.outcome)
        if event["status"] == Status.REJECTED:
            first = event["reasons"][0]
            raise InputError(f"{first['pointer'] or 'the event'}: {first['reason']}", hint="correct the event")
        if event["status"] == Status.DUPLICATE:
            raise HTTPException(409)
        return str(event["eventID"])
