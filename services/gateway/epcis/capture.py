"""Taking captured events in: what stands behind the EPCIS routes.

A capture job is done when it is answered: nothing is acknowledged that is not on disk. Sent again, the same events are
duplicates, so that a caller who got no answer may simply send them again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

from starlette.exceptions import HTTPException

from ledger.canonical import Json
from ledger.errors import InputError
from ledger.store import Store
from services.access import Principal
from services.gateway.epcis.answers import describe_capture, recorded_of
from services.gateway.epcis.known_names import find_known
from services.gateway.epcis.negotiation import MOST_EVENTS
from services.gateway.epcis.problems import PREFIX
from services.gateway.epcis.recording import EventRecording, find_record_statuses, open_recording
from services.gateway.epcis.search import number_of, open_event_queries
from services.gateway.http.errors import BusyError
from services.gateway.recording import Recorder
from services.interop.epcis.capture import Status, parse_capture
from services.interop.epcis.capture_jobs import Behaviour, Sender, run_capture_job
from services.interop.epcis.documents import Document
from services.interop.epcis.event_queries import EventQueries
from services.interop.epcis.tables import EpcisCaptureRow
from services.serving.bounded_work import BoundedWork

__all__ = ["CAPTURE", "CaptureService"]

CAPTURE = f"{PREFIX}/capture"
_WAITING = 16
"""Batches that may wait for their turn."""


class CaptureService:
    """Takes events in, in the name of a principal; reads what a principal may see."""

    def __init__(self, store: Store, recorder: Recorder | None, clock_ms: Callable[[], int]) -> None:
        self._store, self._recorder, self._clock_ms = store, recorder, clock_ms
        self._work = BoundedWork(at_once=1, waiting=_WAITING)
        """One batch at a time: it is the processor's work, and waiting for the database's one writer takes longer than
        it needs to."""

    def library(self, principal: Principal) -> EventQueries:
        return open_event_queries(self._store, principal)

    def take(self, principal: Principal, behaviour: Behaviour, record: bool, body: bytes) -> dict[str, Json]:
        """The capture job. Raises InputError for a body that is not a document, HTTPException 413 for too many events,
        BusyError, and ForbiddenError or NoSignerError where nothing can be recorded."""
        recording = open_recording(self._recorder, principal) if record else None
        return self._describe(self._take_document(principal, behaviour, parse_capture(body), recording))

    def job(self, principal: Principal, id_: str) -> dict[str, Json]:
        """Raises NotFoundError."""
        return self._describe(self.library(principal).capture(id_))

    def _describe(self, row: EpcisCaptureRow) -> dict[str, Json]:
        return describe_capture(row, find_record_statuses(self._store, recorded_of(row)))

    def _take_document(
        self, principal: Principal, behaviour: Behaviour, document: Document, recording: EventRecording | None = None
    ) -> EpcisCaptureRow:
        if len(document.events) > MOST_EVENTS:
            raise HTTPException(413)
        creator = None if recording is None else recording.creator
        find = partial(find_known, self._store, viewer=principal.viewer, creator=creator)
        sender = Sender(number_of(principal), find, recording)
        with self._work.take() as mine:
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
