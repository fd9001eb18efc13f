"""Capture jobs: validate a partner's EPCIS events, then store them and all that follows in one transaction.

Validation and hashing take place outside the transaction. Events are deduplicated for each sender separately, so that a
response never reveals what another participant sent.
"""

from __future__ import annotations

import enum
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, cast

import msgspec

from millmark.ledger.canonical import Json, canonical_json, sha256
from millmark.ledger.event_json import write_canonical
from millmark.ledger.evidence import SALT_BYTES, LeafKind, build_leaf_data_of
from millmark.ledger.merkle import leaf_hash
from millmark.ledger.store import Book, Connection, Store
from millmark.services.interop.epcis.capture import Status, Validation, build_entry, plain_fields, validate_events
from millmark.services.interop.epcis.documents import PROFILE, Document
from millmark.services.interop.epcis.mapping import Known, Proposal, names_of, propose
from millmark.services.interop.epcis.repository import EpcisCaptureRow, EpcisEventRow, EpcisRepository, EpcisTermRow
from millmark.services.interop.epcis.tree import event_id_of

_STREAM_TAG: Final = b"millmark.epcis-stream.v1\0"
ROLLED_BACK: Final = "rolled-back"
"""Status of a valid event that was not stored because of an invalid one in the same job."""


class Behaviour(enum.StrEnum):
    """Effect of an invalid event on the valid ones of a job (EPCIS 2.0, GS1-Capture-Error-Behaviour)."""

    ROLLBACK = "rollback"
    PROCEED = "proceed"


Finder = Callable[[set[str]], Known]
"""Looks up which of the given canonical identifiers the sender can use."""


class Recording(Protocol):
    """Queues the records that events propose."""

    def find(self, keys: Collection[str]) -> Mapping[str, list[int]]:
        """Outbox ids of the records queued earlier for events, by the events' deduplication keys."""

    def record(self, connection: Connection, key: str, proposal: Proposal) -> list[int]:
        """Queues the records proposed for one event, in the transaction that stores it; returns their outbox ids."""


@dataclass(frozen=True, slots=True)
class Sender:
    """The sender of a capture job, with the lookups and the recording that apply to it."""

    participant: int
    """0 for the operator of a gateway that is open on the loopback."""
    find_known: Finder
    recording: Recording | None = None
    """None if events are only stored as evidence."""


@dataclass(slots=True)
class _Event:
    """One event of a job, with everything that is computed before the transaction."""

    validation: Validation
    status: str
    reasons: list[tuple[str, str]] = field(default_factory=list)
    event_id: str = ""
    salt: bytes = b""
    entry: bytes = b""
    leaf: bytes = b""
    proposal: Proposal | None = None
    index: int = -1
    recorded: Sequence[int] = ()
    """Outbox ids of its records."""

    @property
    def value(self) -> Mapping[str, Json]:
        return cast("Mapping[str, Json]", self.validation.event.value)


def stream_of(participant: int) -> bytes:
    """The evidence stream that holds a sender's events: one append-only log per participant."""
    return sha256(_STREAM_TAG + participant.to_bytes(4, "big"))


def run_capture_job(
    store: Store, document: Document, sender: Sender, behaviour: Behaviour, *, now_ms: int
) -> EpcisCaptureRow:
    """Validates every event, and stores the accepted ones with evidence, terms and queued records, and the job itself.

    One transaction: on return all of it is on disk; on StoreError nothing is.
    """
    events = [_prepare(one) for one in validate_events(document)]
    _propose(events, sender)
    # Everything slow is done by now: the transaction below holds the database's write lock.
    before = {} if sender.recording is None else sender.recording.find([one.validation.key for one in events])
    with store.transaction() as connection:
        repository = EpcisRepository(connection)
        _compare(repository, events, sender.participant)
        failed = any(one.status == Status.REJECTED for one in events)
        if failed and behaviour is Behaviour.ROLLBACK:
            events = [_rolled_back(one) for one in events]
        elif sender.recording is not None:
            _record(connection, events, sender.recording, before)
        number, call = repository.next_numbers()
        id_ = secrets.token_hex(12)
        stream = stream_of(sender.participant)
        accepted = [one for one in events if one.status == Status.ACCEPTED]
        _keep(Book(connection), stream, accepted)
        rows = [_row(one, number + n, sender.participant, stream, id_, now_ms) for n, one in enumerate(accepted)]
        repository.add(rows, _terms(accepted, number))
        outcome = msgspec.json.encode([_outcome(one) for one in events]).decode()
        row = EpcisCaptureRow(id_, call, sender.participant, now_ms, now_ms, behaviour, not failed, outcome)
        repository.add_capture(row)
    return row


def _prepare(validation: Validation) -> _Event:
    if validation.status is Status.REJECTED or validation.hash is None:
        return _Event(validation, Status.REJECTED, list(validation.faults))
    found = _Event(validation, validation.status)
    found.event_id = event_id_of(found.value, validation.hash)
    if validation.status is Status.ACCEPTED:
        text = write_canonical(build_entry(validation), validation.event.plain)
        found.salt, found.entry = secrets.token_bytes(SALT_BYTES), text
        found.leaf = leaf_hash(build_leaf_data_of(LeafKind.EVENT, found.salt, text))
    return found


def _propose(events: Sequence[_Event], sender: Sender) -> None:
    """Proposes the records of every accepted event. Lots are looked up once for the whole job."""
    accepted = [one for one in events if one.status == Status.ACCEPTED]
    names = {name for one in accepted for name in names_of(one.value)}
    known = sender.find_known(names)
    for one in accepted:
        one.proposal = propose(one.value, str(one.validation.hash), known)
        known = known.after(one.proposal)


def _record(
    connection: Connection, events: Sequence[_Event], recording: Recording, before: Mapping[str, Sequence[int]]
) -> None:
    """Queues the records of accepted events, and of duplicates that so far were stored as evidence only. Never queues
    records for an event that already has some."""
    # Keyed by event, so that duplicates within the job report the records of their first occurrence.
    recorded = dict(before)
    for one in events:
        if one.status == Status.REJECTED:
            continue
        key = one.validation.key
        if key not in recorded and one.proposal is not None and one.proposal.records:
            recorded[key] = recording.record(connection, key, one.proposal)
        one.recorded = recorded.get(key, ())


def _compare(repository: EpcisRepository, events: Sequence[_Event], participant: int) -> None:
    """Marks the events that the sender has sent before. By key, not by `eventID`: GS1's own documents give several
    events one id."""
    good = [one for one in events if one.status != Status.REJECTED]
    kept = repository.kept(participant, {one.validation.key for one in good})
    for one in good:
        if one.validation.key in kept:
            one.status = Status.DUPLICATE


def _rolled_back(event: _Event) -> _Event:
    return replace(event, status=ROLLED_BACK) if event.status == Status.ACCEPTED else event


def _keep(book: Book, stream: bytes, events: Sequence[_Event]) -> None:
    """Appends the events to the sender's evidence stream."""
    # Read inside the transaction, so that concurrent jobs of one sender cannot give two entries the same index.
    start = book.evidence_size(stream)
    for index, one in enumerate(events, start):
        one.index = index
    salts, texts, leaves = ([getattr(one, name) for one in events] for name in ("salt", "entry", "leaf"))
    book.add_evidence_run(stream, start, salts, texts, leaves, bytes([LeafKind.EVENT]) * len(texts))


def _row(event: _Event, number: int, participant: int, stream: bytes, capture: str, now_ms: int) -> EpcisEventRow:
    proposal = event.proposal
    return EpcisEventRow(
        number=number,
        participant=participant,
        key=event.validation.key,
        hash=str(event.validation.hash),
        event_id=event.event_id,
        event_time_ms=event.validation.time_ms,
        record_time_ms=now_ms,
        stream=stream,
        index=event.index,
        capture=capture,
        proposal="" if proposal is None or not proposal.records else canonical_json(proposal.to_json()).decode(),
    )


def _terms(events: Sequence[_Event], start: int) -> list[EpcisTermRow]:
    # Events of one batch share most terms, so a row covers a run of consecutive events.
    runs: dict[tuple[str, str], EpcisTermRow] = {}
    found = []
    for number, one in enumerate(events, start):
        for term in set(one.validation.terms):
            run = runs.get(term)
            if run is not None and run.first + run.count == number:
                run.count += 1
            elif "\0" not in term[1]:  # PostgreSQL cannot store a zero character in a text
                run = runs[term] = EpcisTermRow(*term, number, 1)
                found.append(run)
    return found


def _outcome(event: _Event) -> dict[str, object]:
    """The outcome of one event as reported to the sender, without salts."""
    said: dict[str, object] = {"event": event.validation.event.pointer, "status": str(event.status)}
    if event.status != Status.REJECTED:
        said |= {"eventID": event.event_id, "hash": event.validation.hash, "profile": PROFILE}
    if event.reasons:
        said["reasons"] = [{"pointer": pointer, "reason": reason} for pointer, reason in event.reasons]
    if event.index >= 0:
        said["evidence"] = {"index": event.index, "leaf_hash": event.leaf.hex()}
    if event.recorded:
        said["recorded"] = [{"id": number} for number in event.recorded]
    if event.proposal is not None and event.status == Status.ACCEPTED:
        said["records"] = [{"kind": type(one).__name__, **plain_fields(one)} for one in event.proposal.records]
        said["evidence_only"] = list(event.proposal.evidence_only)
    return said
