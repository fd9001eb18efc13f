"""The service behind the EPCIS capture routes.

A capture job is complete when the response is sent: nothing is acknowledged before it is on disk. Events that are sent
again are duplicates, so a caller that received no response can simply repeat its request. What the events name is
resolved first: lots by identifier, and companies by their party GLN.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from functools import lru_cache, partial

from starlette.exceptions import HTTPException

from ledger.canonical import Json
from ledger.claims import parse_claims
from ledger.errors import IdentifierError, InputError
from ledger.ids import canonical_identifier
from ledger.provenance.labels import Named, find_items
from ledger.records import Item, ReceiveLot
from ledger.store import Book, Lineage, Rows, Store
from ledger.store.outbox import Outbox, OutboxState
from ledger.store.rows import ParticipantRow
from services.access import Principal
from services.gateway.epcis.answers import describe_capture, recorded_of
from services.gateway.epcis.negotiation import MAX_EVENTS, PREFIX
from services.gateway.epcis.recording import EventRecording, find_record_statuses, open_recording
from services.gateway.epcis.search import number_of, open_event_queries
from services.gateway.http.errors import BusyError
from services.gateway.recording import Recorder
from services.gateway.recording.recorder import describe_subjects
from services.gateway.recording.repository import RecordingRepository
from services.interop.epcis.capture import Status, parse_capture
from services.interop.epcis.capture_jobs import Behaviour, Sender, run_capture_job
from services.interop.epcis.documents import Document
from services.interop.epcis.event_queries import EventQueries
from services.interop.epcis.mapping import Known
from services.interop.epcis.repository import EpcisCaptureRow
from services.serving.bounded_work import BoundedWork

__all__ = ["CAPTURE", "CaptureService", "find_parties"]

_MAX_READ = 512
"""Entries of the cache of GLNs by claims document. Captures involve the same few companies again and again."""
_PARTY = "https://id.gs1.org/417/"
_NO_ORDER = bytes(32)
_REFUSED = (OutboxState.FAILED, OutboxState.CANCELLED)
_PART = 300


def find_known(store: Store, names: set[str], viewer: int | None, creator: int | None = None) -> Known:
    """Resolves names for a viewer (None sees everything).

    Identifiers that are taken are returned only to the company that runs the gateway, which alone names new lots: to
    others they would disclose invisible lots. With a `creator`, for which records are made, lots whose records are
    still on their way to the ledger are included: records that use them are sent after those.
    """
    lots = find_items(store, names, viewer)
    if not names:
        return Known()
    with store.reading() as connection:
        named = Named(Rows(connection), Lineage(connection), None)
        taken = named.lots(names) if viewer is None else ()
    if creator is not None:
        # Indexed lots win over pending ones of the same name.
        lots = {**_pending_lots(store, set(taken) - lots.keys()), **lots}
    return Known(lots, find_parties(store), frozenset(taken), creator)


def _pending_lots(store: Store, names: Collection[str]) -> dict[str, Item]:
    """Lots without an order that a pending record of this gateway creates, by name. Excludes records that were refused,
    records that create several lots, and names that several pending lots share."""
    if not names:
        return {}
    with store.reading() as connection:
        named = Named(Rows(connection), Lineage(connection), None).lots(names)
        single = {describe_subjects(lots): (name, lots[0]) for name, lots in named.items() if len(lots) == 1}
        asked = {row.key: single[row.subjects] for row in RecordingRepository(connection).naming(single)}
    outbox, found, keys = Outbox(store), {}, list(asked)
    for start in range(0, len(keys), _PART):
        for key, record in outbox.find(keys[start : start + _PART]).items():
            # A received lot has no order. A lot from another kind of record may have one, known once it is indexed.
            if record.kind == ReceiveLot.__name__ and record.state not in _REFUSED:
                name, lot = asked[key]
                found[name] = Item(lot, _NO_ORDER)
    return found


def find_parties(store: Store) -> dict[str, int]:
    """Participants by canonical identifier: the GLN (`gln`) in the claims of a company's admission, and names that are
    identifiers. An identifier that two companies share is left out."""
    found: dict[str, set[int]] = {}
    with store.reading() as connection:
        book, rows = Book(connection), Rows(connection).find(ParticipantRow)
        names, documents = book.names(), book.documents(row.claims_root for row in rows)
        for row in rows:
            for said in (names.get(row.number), _gln(documents.get(row.claims_root))):
                if said is not None and (name := _canonical(said)) is not None:
                    found.setdefault(name, set()).add(row.number)
    # If two companies claim the same GLN, neither gets it: nobody here can tell who is right.
    return {name: numbers.pop() for name, numbers in found.items() if len(numbers) == 1}


@lru_cache(maxsize=_MAX_READ)
def _gln(kept: str | None) -> str | None:
    document = None if kept is None else parse_claims(json.loads(kept)).document
    gln = document.get("gln") if isinstance(document, dict) else None
    return f"{_PARTY}{gln}" if isinstance(gln, str) else None


def _canonical(text: str) -> str | None:
    try:
        return canonical_identifier(text)
    except IdentifierError:
        return None


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
        """Returns the capture job. Raises InputError if the body is not a document, HTTPException 413 for too many
        events, BusyError, and ForbiddenError or NoSignerError if recording is requested but not possible."""
        recording = open_recording(self._recorder, principal) if record else None
        return self._describe(self._capture_document(principal, behaviour, parse_capture(body), recording))

    def job(self, principal: Principal, id_: str) -> dict[str, Json]:
        """Raises NotFoundError for an unknown job, and for one of another participant."""
        return self._describe(self.event_queries(principal).capture(id_))

    def _describe(self, row: EpcisCaptureRow) -> dict[str, Json]:
        return describe_capture(row, find_record_statuses(self._store, recorded_of(row)))

    def _capture_document(
        self, principal: Principal, behaviour: Behaviour, document: Document, recording: EventRecording | None = None
    ) -> EpcisCaptureRow:
        if len(document.events) > MAX_EVENTS:
            raise HTTPException(413)
        creator = None if recording is None else recording.creator
        find = partial(find_known, self._store, viewer=principal.viewer, creator=creator)
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
        """Captures a single event and returns its id. Raises as `capture`, and HTTPException 409 for a duplicate."""
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
