"""Taking EPCIS events in from partners: judged outside of any transaction, all that counts written in one.

An event belongs to the participant that sent it, and so do its duplicates: nobody learns from an answer what somebody
else sent.
"""

from __future__ import annotations

import enum
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, cast

import msgspec

from ledger.canonical import Json, canonical_json, sha256
from ledger.event_json import write_canonical
from ledger.evidence import SALT_BYTES, build_leaf_data_of
from ledger.merkle import leaf_hash
from ledger.store import Book, Connection, Store
from services.interop.epcis.capture import Judgement, Status, build_entry, judge, plain_fields
from services.interop.epcis.documents import Document
from services.interop.epcis.event_hash import PROFILE
from services.interop.epcis.mapping import Known, Proposal, names_of, propose
from services.interop.epcis.repository import EpcisRepository
from services.interop.epcis.tables import EpcisCaptureRow, EpcisEventRow, EpcisTermRow
from services.interop.epcis.terms import event_id_of

__all__ = ["Behaviour", "Recording", "Sender", "stream_of", "take_in"]

_STREAM_TAG: Final = b"millmark.epcis-stream.v1\0"
ROLLED_BACK: Final = "rolled-back"
"""Status of a good event that was not kept because of a bad one in the same call."""


class Behaviour(enum.StrEnum):
    """What one bad event does to the others (EPCIS 2.0, GS1-Capture-Error-Behaviour)."""

    ROLLBACK = "rollback"
    PROCEED = "proceed"


Finder = Callable[[set[str]], Known]
"""From canonical identifiers to what there is of those names for the sender."""


class Recording(Protocol):
    """Has recorded what events propose."""

    def find(self, keys: Collection[str]) -> Mapping[str, list[int]]:
        """Outbox ids of what was recorded for events before, by their keys."""

    def record(self, connection: Connection, key: str, proposal: Proposal) -> list[int]:
        """Queues what one event proposes, within the transaction that keeps the event."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends events in."""

    participant: int
    """0 for whoever runs a gateway that is open on the loopback."""
    find_known: Finder
    recording: Recording | None = None
    """None where events are evidence alone."""


@dataclass(slots=True)
class _Event:
    """One event on its way in, with all that can be made of it without the database."""

    judgement: Judgement
    status: str
    reasons: list[tuple[str, str]] = field(default_factory=list)
    event_id: str = ""
    salt: bytes = b""
    entry: bytes = b""
    leaf: bytes = b""
    proposal: Proposal | None = None
    index: int = -1
    recorded: Sequence[int] = ()
    """Outbox ids."""

    @property
    def value(self) -> Mapping[str, Json]:
        return cast("Mapping[str, Json]", self.judgement.event.value)


def stream_of(participant: int) -> bytes:
    """Under which the events of a participant are kept as evidence: one append-only log for each sender."""
    return sha256(_STREAM_TAG + participant.to_bytes(4, "big"))


def take_in(store: Store, document: Document, sender: Sender, behaviour: Behaviour, *, now_ms: int) -> EpcisCaptureRow:
    """Judges every event, and keeps what is to be kept, with its evidence, its terms, the records that are asked for
    and the call itself: all of it on disk when this returns, or none. Raises StoreError."""
    events = [_prepare(one) for one in judge(document)]
    _propose(events, sender)
    before = {} if sender.recording is None else sender.recording.find([one.judgement.key for one in events])
    with store.transaction() as connection:
        desk = EpcisRepository(connection)
        _compare(desk, events, sender.participant)
        failed = any(one.status == Status.REJECTED for one in events)
        if failed and behaviour is Behaviour.ROLLBACK:
            events = [_rolled_back(one) for one in events]
        elif sender.recording is not None:
            _record(connection, events, sender.recording, before)
        number, call = desk.next_numbers()
        id_ = secrets.token_hex(12)
        stream = stream_of(sender.participant)
        accepted = [one for one in events if one.status == Status.ACCEPTED]
        _keep(Book(connection), stream, accepted)
        rows = [_row(one, number + n, sender.participant, stream, id_, now_ms) for n, one in enumerate(accepted)]
        desk.add(rows, _terms(accepted, number))
        outcome = msgspec.json.encode([_outcome(one) for one in events]).decode()
        row = EpcisCaptureRow(id_, call, sender.participant, now_ms, now_ms, behaviour, not failed, outcome)
        desk.add_capture(row)
    return row


def _prepare(judgement: Judgement) -> _Event:
    if judgement.status is Status.REJECTED or judgement.hash is None:
        return _Event(judgement, Status.REJECTED, list(judgement.faults))
    found = _Event(judgement, judgement.status)
    found.event_id = event_id_of(found.value, judgement.hash)
    if judgement.status is Status.ACCEPTED:
        text = write_canonical(build_entry(judgement), judgement.event.plain)
        found.salt, found.entry = secrets.token_bytes(SALT_BYTES), text
        found.leaf = leaf_hash(build_leaf_data_of(found.salt, text))
    return found


def _propose(events: Sequence[_Event], sender: Sender) -> None:
    """What would follow for the ledger from each; lots are looked up once for all."""
    accepted = [one for one in events if one.status == Status.ACCEPTED]
    names = {name for one in accepted for name in names_of(one.value)}
    known = sender.find_known(names)
    for one in accepted:
        one.proposal = propose(one.value, str(one.judgement.hash), known)
        known = known.after(one.proposal)


def _record(
    connection: Connection, events: Sequence[_Event], recording: Recording, before: Mapping[str, Sequence[int]]
) -> None:
    """Also of an event that was evidence alone so far; never a second time of one that was recorded."""
    recorded = dict(before)
    for one in events:
        if one.status == Status.REJECTED:
            continue
        key = one.judgement.key
        if key not in recorded and one.proposal is not None and one.proposal.records:
            recorded[key] = recording.record(connection, key, one.proposal)
        one.recorded = recorded.get(key, ())


def _compare(desk: EpcisRepository, events: Sequence[_Event], participant: int) -> None:
    """With what the sender has sent before. An id is no name of an event: GS1's own documents give one to several."""
    good = [one for one in events if one.status != Status.REJECTED]
    kept = desk.kept(participant, {one.judgement.key for one in good})
    for one in good:
        if one.judgement.key in kept:
            one.status = Status.DUPLICATE


def _rolled_back(event: _Event) -> _Event:
    return replace(event, status=ROLLED_BACK) if event.status == Status.ACCEPTED else event


def _keep(book: Book, stream: bytes, events: Sequence[_Event]) -> None:
    """As evidence, behind what the sender has sent before."""
    start = book.evidence_size(stream)
    for index, one in enumerate(events, start):
        one.index = index
    salts, texts, leaves = ([getattr(one, name) for one in events] for name in ("salt", "entry", "leaf"))
    book.add_evidence_run(stream, start, salts, texts, leaves)


def _row(event: _Event, number: int, participant: int, stream: bytes, capture: str, now_ms: int) -> EpcisEventRow:
    proposal = event.proposal
    return EpcisEventRow(
        number=number,
        participant=participant,
        key=event.judgement.key,
        hash=str(event.judgement.hash),
        event_id=event.event_id,
        event_time_ms=event.judgement.time_ms,
        record_time_ms=now_ms,
        stream=stream,
        index=event.index,
        capture=capture,
        proposal="" if proposal is None or not proposal.records else canonical_json(proposal.to_json()).decode(),
    )


def _terms(events: Sequence[_Event], start: int) -> list[EpcisTermRow]:
    runs: dict[tuple[str, str], EpcisTermRow] = {}
    found = []
    for number, one in enumerate(events, start):
        for term in set(one.judgement.terms):
            run = runs.get(term)
            if run is not None and run.first + run.count == number:
                run.count += 1
            elif "\0" not in term[1]:  # not every database keeps that
                run = runs[term] = EpcisTermRow(*term, number, 1)
                found.append(run)
    return found


def _outcome(event: _Event) -> dict[str, object]:
    """What the sender is told of one event; no salts."""
    said: dict[str, object] = {"event": event.judgement.event.pointer, "status": str(event.status)}
    if event.status != Status.REJECTED:
        said |= {"eventID": event.event_id, "hash": event.judgement.hash, "profile": PROFILE}
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
