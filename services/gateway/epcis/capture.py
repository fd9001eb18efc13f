"""The service behind the EPCIS capture routes.

A capture job is complete when the response is sent: nothing is acknowledged before it is on disk. Events that are sent
again are duplicates, so a caller that received no response can simply repeat its request.

Before it: what the events name, and the records that they propose.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache, partial

from starlette.exceptions import HTTPException

from millmark.ledger.canonical import Json
from millmark.ledger.claims import parse_claims
from millmark.ledger.errors import IdentifierError, InputError
from millmark.ledger.ids import Identity, SubjectKind, canonical_identifier, identifier_hash
from millmark.ledger.provenance.reader import Named, find_items
from millmark.ledger.records import Item, LotState, ReceiveLot, Record, TransformLots
from millmark.ledger.store import Book, Connection, Lineage, Rows, Store, outbox_records
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.rows import LotRow, ParticipantRow
from millmark.services.access import ForbiddenError, Principal, Scope
from millmark.services.directory import DirectoryEntry, DirectoryRepository
from millmark.services.gateway.epcis import search
from millmark.services.gateway.http.problems import BusyError, NoSignerError
from millmark.services.gateway.recording import Recorder
from millmark.services.gateway.recording.repository import RecordingRepository, RecordingRow, describe_subjects
from millmark.services.gateway.recording.service import build_record_status
from millmark.services.interop.epcis.capture import Behaviour, Sender, Status, parse_capture, run_capture_job
from millmark.services.interop.epcis.documents import Document
from millmark.services.interop.epcis.event_queries import EventQueries
from millmark.services.interop.epcis.mapping import Known, Proposal
from millmark.services.interop.epcis.repository import EpcisCaptureRow
from millmark.services.serving.requests import BoundedWork
from millmark.services.views import RecordStatus

# Resolves what captured events name: lots by identifier, and companies by their party GLN.

_MAX_READ = 512
"""Entries of the cache of GLNs by claims document. Captures involve the same few companies again and again."""
_PARTY = "https://id.gs1.org/417/"
_NO_ORDER = bytes(32)
_REFUSED = (outbox_records.OutboxState.FAILED, outbox_records.OutboxState.CANCELLED)
_PART = 300


def find_known(
    store: Store, names: set[str], viewer: int | None, name: Callable[[str], Identity] | None = None
) -> Known:
    """Resolves names for a viewer (None sees everything).

    Identifiers that lots already have are returned only to the company that runs the gateway, since only it names new
    lots: to others they would disclose lots that are not visible to them. With `name`, which names new lots of the
    company whose records are made, lots whose records are still on their way to the ledger are included: records that
    use them are sent after those."""
    lots = find_items(store, names, viewer)
    if not names:
        return Known()
    with store.reading() as connection:
        named = Named(Rows(connection), Lineage(connection), None)
        taken = named.lots(names) if viewer is None else ()
    if name is not None:
        # Indexed lots win over pending ones of the same name.
        lots = {**_pending_lots(store, set(taken) - lots.keys()), **lots}
    # Others than this company would learn what is packed in a lot that they see.
    contents = _contents(store, [item.lot for item in lots.values()]) if viewer is None else {}
    offers, returnable = _standing(store, [item.lot for item in lots.values()])
    return Known(lots, find_parties(store), contents, offers, returnable, frozenset(taken), name)


def _standing(store: Store, lots: Collection[bytes]) -> tuple[dict[bytes, int], dict[bytes, tuple[int, bytes]]]:
    """The offers of those of the lots that are offered; maker and identifier hash of those that are quarantined."""
    with store.reading() as connection:
        rows, book = list(Rows(connection).among(LotRow, "subject", lots)), Book(connection)
        offers = {row.subject: row.offer for row in rows if row.state in (LotState.OFFERED, LotState.RETURNING)}
        apart = [book.identity(row.subject) for row in rows if row.state == LotState.QUARANTINED]
    names = [one for one in apart if one is not None]
    return offers, {one.subject: (one.creator, identifier_hash(one.salt, one.identifier)) for one in names}


def _contents(store: Store, lots: Collection[bytes]) -> dict[bytes, tuple[Item, ...]]:
    """What is packed directly in each of these lots, and in what is packed in them."""
    found: dict[bytes, tuple[Item, ...]] = {}
    with store.reading() as connection:
        rows, layer = Rows(connection), set(lots)
        while layer:  # ends: each lot is read once
            inner = [row for row in rows.among(LotRow, "parent", layer) if row.parent is not None]
            found.update((parent, ()) for parent in layer)
            for row in inner:
                if row.parent is not None:
                    found[row.parent] += (Item(row.subject, row.order or _NO_ORDER),)
            layer = {row.subject for row in inner} - found.keys()
    return {parent: items for parent, items in found.items() if items}


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
    """Participants by canonical identifier: the GLN in the directory or in the claims of a company's admission, and
    names that are identifiers. An identifier that two companies share is left out."""
    found: dict[str, set[int]] = {}
    with store.reading() as connection:
        book, rows = Book(connection), Rows(connection).find(ParticipantRow)
        listed = {entry.participant: f"{_PARTY}{entry.gln}" for entry in _with_gln(connection)}
        names, documents = book.names(), book.documents(row.claims_root for row in rows)
        for row in rows:
            for said in (names.get(row.number), listed.get(row.number), _gln(documents.get(row.claims_root))):
                if said is not None and (name := _canonical(said)) is not None:
                    found.setdefault(name, set()).add(row.number)
    # If two companies claim the same GLN, neither gets it: nobody here can tell who is right.
    return {name: numbers.pop() for name, numbers in found.items() if len(numbers) == 1}


def _with_gln(connection: Connection) -> list[DirectoryEntry]:
    return [entry for entry in DirectoryRepository(connection).entries() if entry.gln is not None]


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


# Records proposed by captured events.
#
# The records are queued in the transaction that stores the events, so a crash leaves both or neither. Their idempotency
# keys are derived from the events, so a repeated event is recorded once. Identifiers, salts and claims are stored in
# the private book, as for every record that the gateway makes.


@dataclass(frozen=True, slots=True)
class EventRecording:
    """Queues the records that one company's events propose."""

    recorder: Recorder
    creator: int
    """The company that records."""
    caller: int
    """The company, or 0 for the operator of a gateway that is open on loopback."""

    def find(self, keys: Collection[str]) -> dict[str, list[int]]:
        """Outbox ids of the records that were queued for events before, by the events' keys, in order."""
        first = self.recorder.find_all([self._key(key, 0) for key in sorted(set(keys))])
        return {key: self._ids(key) for key in keys if self._key(key, 0) in first}

    def record(self, connection: Connection, key: str, proposal: Proposal) -> list[int]:
        """Queues the records that one event proposes. Returns their outbox ids."""
        book, named = Book(connection), {}
        for identity in proposal.names.values():
            book.add_identity(identity)
            named[identifier_hash(identity.salt, identity.identifier)] = identity.subject
        if proposal.claims is not None:
            book.put_document(proposal.claims.root, json.dumps(proposal.claims.to_json()))
        ids = []
        for place, record in enumerate(proposal.records):
            subjects = describe_subjects([named[one] for one in _made(record)])
            row = RecordingRow(self._key(key, place), self.caller, subjects)
            ids.append(self.recorder.queue_in(connection, row, record))
        return ids

    def name(self, identifier: str) -> Identity:
        """The identity of a new lot of the company. Raises NoNameKeyError without its name keys."""
        return self.recorder.name(self.creator, SubjectKind.LOT, identifier)

    def _key(self, event: str, place: int) -> str:
        return f"epcis:{self.creator}:{event}:{place}"

    def _ids(self, event: str) -> list[int]:
        # The records of an event are numbered without gaps and queued in one transaction: a part with room is the last.
        found: list[int] = []
        while True:
            keys = [self._key(event, place) for place in range(len(found), len(found) + _PART)]
            records = self.recorder.find_all(keys)
            found += [records[key].id for key in keys if key in records]
            if len(records) < _PART:
                return found


def open_recording(recorder: Recorder | None, principal: Principal) -> EventRecording:
    """Prepares the recording of a principal's events. Raises ForbiddenError if it may not record here, and
    NoSignerError if there is no key to sign with."""
    if not principal.owner or Scope.RECORDING not in principal.scopes:
        raise ForbiddenError(
            "only the company that runs the gateway can record, with the scope recording",
            hint="capture without record=true, so that events are stored as evidence only",
        )
    if recorder is None:
        raise NoSignerError("this gateway has no key for recording", hint="ask its operator to set gateway_signer")
    return EventRecording(recorder, recorder.participant(principal.participant), principal.participant or 0)


def parse_record(text: str | None) -> bool:
    """Whether `record` asks for records. Raises InputError unless it is absent, `true` or `false`."""
    if text not in (None, "true", "false"):
        raise InputError("record is neither true nor false", hint="use one of the two, or omit it")
    return text == "true"


def find_record_statuses(store: Store, ids: Iterable[int]) -> dict[int, RecordStatus]:
    """The status of records, by id. Unknown ids are left out."""
    outbox, wanted = Outbox(store), list(ids)
    found = {}
    for start in range(0, len(wanted), _PART):
        for number, record in outbox.among(wanted[start : start + _PART]).items():
            found[number] = build_record_status(record, None)
    return found


def _made(record: Record) -> list[bytes]:
    """Identifier hashes of the lots that a record creates, in its order."""
    if isinstance(record, ReceiveLot):
        return [record.identifier_hash]
    if isinstance(record, TransformLots):
        return [output.identifier_hash for output in record.transformation.outputs]
    return []


CAPTURE = f"{search.PREFIX}/capture"
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
        return search.open_event_queries(self._store, principal)

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
        return search.describe_capture(row, find_record_statuses(self._store, search.recorded_of(row)))

    def _capture_document(
        self, principal: Principal, behaviour: Behaviour, document: Document, recording: EventRecording | None = None
    ) -> EpcisCaptureRow:
        if len(document.events) > search.MAX_EVENTS:
            raise HTTPException(413)
        name = None if recording is None else recording.name
        find = partial(find_known, self._store, viewer=principal.viewer, name=name)
        sender = Sender(search.number_of(principal), find, recording)
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
        duplicate."""
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
