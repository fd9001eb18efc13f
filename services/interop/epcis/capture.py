"""Capture of EPCIS events: validates each, drops duplicates, stores the others as evidence, and proposes records.

Each event by itself is accepted, a duplicate, or rejected. Two events are duplicates if they have the same event hash
and the same error declaration, or none: an error declaration has the hash of the event that it corrects.
"""

from __future__ import annotations

import enum
import fcntl
import json
import os
import secrets
from collections.abc import Callable, Collection, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final, Protocol, cast

import msgspec

from millmark.ledger.canonical import Json, canonical_json, sha256
from millmark.ledger.errors import InputError, MillmarkError
from millmark.ledger.event_json import write_canonical
from millmark.ledger.evidence import SALT_BYTES, EvidenceEntry, EvidenceLog, LeafKind, build_leaf_data_of
from millmark.ledger.merkle import leaf_hash
from millmark.ledger.records import Record
from millmark.ledger.store import Book, Connection, Store
from millmark.services.interop.epcis.documents import PROFILE, Document, Event, is_xml, parse_document
from millmark.services.interop.epcis.mapping import Known, Proposal, names_of, propose
from millmark.services.interop.epcis.repository import EpcisCaptureRow, EpcisEventRow, EpcisRepository, EpcisTermRow
from millmark.services.interop.epcis.schema import Fault, document_faults, event_faults
from millmark.services.interop.epcis.tree import event_id_of, millis_of

# A stream's evidence log in a local file: one JSON line per entry, with its salt and data stored along with it.
#
# The file contains salts and measured data, so it is as confidential as the private book.
#
# Entries are acknowledged after `fsync`. An incomplete last line is left by a crash; it was never acknowledged, and the
# next writer removes it. An advisory lock on the file admits one writer at a time.


class EvidenceFile:
    """An open evidence log, in memory and on disk."""

    def __init__(self, file: BinaryIO, log: EvidenceLog) -> None:
        self._file = file
        self.log = log

    def append(self, entries: Sequence[tuple[Json, Json]]) -> list[EvidenceEntry]:
        """Appends pairs of an entry and the data stored along with it, which is not evidence. They are on disk on
        return.

        Raises CanonicalError, and then appends nothing."""
        # Encoded before anything is appended, so that an entry without canonical form leaves memory and file alone.
        texts = [(canonical_json(entry), canonical_json(beside)) for entry, beside in entries]
        added = [self.log.append(entry) for entry, _ in entries]
        lines = [
            b'{"beside":%b,"entry":%b,"salt":"%b"}\n' % (beside, entry, one.salt.hex().encode())
            for one, (entry, beside) in zip(added, texts, strict=True)
        ]
        self._file.write(b"".join(lines))
        self._file.flush()
        os.fsync(self._file.fileno())
        return added


@contextmanager
def open_evidence_file(path: Path) -> Iterator[EvidenceFile]:
    """Opens the log at `path`, creating it with mode 0600 if needed. Waits while another process holds its lock.

    Raises InputError if it cannot be opened or holds something else."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise InputError(f"cannot open {path}: {error.strerror}", hint="name a file that you may write") from None
    with os.fdopen(descriptor, "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield EvidenceFile(file, _read(file, path))


def _read(file: BinaryIO, path: Path) -> EvidenceLog:
    data = file.read()
    end = data.rfind(b"\n") + 1
    log = EvidenceLog()
    for number, line in enumerate(data[:end].splitlines(), start=1):
        try:
            found = json.loads(line)
            log.append(found["entry"], bytes.fromhex(found["salt"]))
        except (ValueError, TypeError, KeyError, MillmarkError):
            raise InputError(f"{path} line {number} is not an evidence entry", hint="name another file") from None
    # Only now that every complete line was read as an entry: a file of another kind must not be cut.
    if end < len(data):
        file.truncate(end)
    file.seek(end)
    return log


_KIND = "epcis-event"


class Status(enum.StrEnum):
    """Outcome of the validation of one event."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Validation:
    """Result of validating one event."""

    event: Event
    status: Status
    hash: str | None
    """The event hash; None for a rejected event."""
    key: str
    """Deduplication key; empty for a rejected event."""
    faults: tuple[Fault, ...]
    """Faults of a rejected event, with JSON pointers relative to the document."""
    terms: Sequence[tuple[str, str]] = ()
    """Fields and values by which queries find the event; empty for a rejected event."""
    time_ms: int = 0
    """The event time, as Unix time in milliseconds."""


@dataclass(frozen=True, slots=True)
class Captured:
    """Outcome of the capture of one event."""

    validation: Validation
    entry: EvidenceEntry | None = None
    """The evidence entry of an accepted event."""
    proposal: Proposal | None = None

    def to_json(self) -> dict[str, object]:
        """One line of output. Salts are left out; the log has them, next to the entry."""
        said: dict[str, object] = {"event": self.validation.event.pointer, "status": str(self.validation.status)}
        if self.validation.hash is not None:
            said |= {"hash": self.validation.hash, "profile": PROFILE}
        if self.validation.faults:
            said["reasons"] = [{"pointer": pointer, "reason": reason} for pointer, reason in self.validation.faults]
        if self.entry is not None:
            said["evidence"] = {"index": self.entry.index, "leaf_hash": self.entry.leaf_hash.hex()}
        if self.proposal is not None:
            said["records"] = [{"kind": type(one).__name__, **plain_fields(one)} for one in self.proposal.records]
            said["evidence_only"] = list(self.proposal.evidence_only)
        return said


def parse_capture(data: bytes) -> Document:
    """Parses a document whose events can then be validated one by one. Raises InputError, naming the first fault of the
    document around its events."""
    # An evidence entry is canonical JSON, and an XML event has no defined form in it.
    if is_xml(data):
        raise InputError("capture accepts EPCIS 2.0 as JSON-LD, not as XML", hint="convert the document")
    document = parse_document(data)
    if faults := document_faults(document.value):
        pointer, reason = faults[0]
        raise InputError(f"not an EPCIS 2.0 document: {pointer or 'its root'}: {reason}", hint="correct the document")
    return document


def validate_events(document: Document, kept: Container[str] = frozenset()) -> list[Validation]:
    """Validates every event; `kept` holds the deduplication keys of stored events. Writes nothing."""
    seen: set[str] = set()
    return [_validate(event, kept, seen) for event in document.events]


def _validate(event: Event, kept: Container[str], seen: set[str]) -> Validation:
    faults = event_faults(event.value)
    if faults or not isinstance(event.value, dict):
        return Validation(event, Status.REJECTED, None, "", tuple((event.pointer + at, why) for at, why in faults))
    # The schema's date-time format admits times that no calendar has.
    try:
        time_ms = millis_of(str(event.value["eventTime"]))
    except ValueError:
        fault = (f"{event.pointer}/eventTime", "the time does not exist")
        return Validation(event, Status.REJECTED, None, "", (fault,))
    found, terms = event.read()
    key = _key(found, event.value)
    status = Status.DUPLICATE if key in seen or key in kept else Status.ACCEPTED
    seen.add(key)  # the second of two equal events in one document is a duplicate, too
    return Validation(event, status, found, key, (), terms, time_ms)


def _key(event_hash: str, event: Mapping[str, Json]) -> str:
    # The event hash does not cover the declaration: by the hash alone, a correction would be a duplicate.
    declared = event.get("errorDeclaration")
    return event_hash if declared is None else f"{event_hash}#{sha256(canonical_json(declared)).hex()}"


def capture(document: Document, file: EvidenceFile, known: Known | None = None) -> list[Captured]:
    """Validates every event and appends the accepted ones to the log, in their order; they are on disk on return.

    Each event is stored with the salts and claims of the records proposed for it."""
    validations = validate_events(document, _kept(file))
    proposals = [_proposal(one, known or Known()) for one in validations if one.status is Status.ACCEPTED]
    accepted = [one for one in validations if one.status is Status.ACCEPTED]
    entries = file.append([(build_entry(one), two.to_json()) for one, two in zip(accepted, proposals, strict=True)])
    kept = iter(zip(entries, proposals, strict=True))
    return [Captured(one, *next(kept)) if one.status is Status.ACCEPTED else Captured(one) for one in validations]


def build_entry(validation: Validation) -> Json:
    """The evidence entry of an accepted event."""
    return {
        "kind": _KIND,
        "profile": PROFILE,
        "hash": validation.hash,
        "namespaces": dict(validation.event.namespaces),
        "event": validation.event.value,
    }


def _kept(file: EvidenceFile) -> set[str]:
    keys = set()
    for kept in file.log.entries:
        entry = kept.entry
        if isinstance(entry, dict) and entry.get("kind") == _KIND and isinstance(entry["event"], dict):
            keys.add(_key(str(entry["hash"]), entry["event"]))
    return keys


def _proposal(validation: Validation, known: Known) -> Proposal:
    return propose(cast("Mapping[str, Json]", validation.event.value), str(validation.hash), known)


def plain_fields(record: Record) -> dict[str, object]:
    """The fields of a record, in JSON types."""
    return {one.name: _plain(getattr(record, one.name)) for one in fields(record)}  # type: ignore[arg-type]  # records are dataclasses


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    return value


def none_rejected(captured: Sequence[Captured]) -> bool:
    """Tells whether no event was rejected."""
    return all(one.validation.status is not Status.REJECTED for one in captured)


# Capture jobs: validate a partner's EPCIS events, then store them and all that follows in one transaction.
#
# Validation and hashing take place outside the transaction. Events are deduplicated for each sender separately, so that
# a response never reveals what another participant sent.

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

    One transaction: on return all of it is on disk; on StoreError nothing is."""
    events = [_prepare(one) for one in validate_events(document)]
    _propose(events, sender)
    # Everything slow is done by now: the transaction below holds the database's write lock.
    before = {} if sender.recording is None else sender.recording.find([one.validation.key for one in events])
    with store.transaction() as connection:
        repository = EpcisRepository(connection)
        _compare(repository, events, sender.participant)
        failed = any(one.status == Status.REJECTED for one in events)
        if failed and behaviour is Behaviour.ROLLBACK:
            events = [replace(one, status=ROLLED_BACK) if one.status == Status.ACCEPTED else one for one in events]
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
