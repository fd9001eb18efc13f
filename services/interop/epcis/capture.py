"""Capture of EPCIS events: validates each, drops duplicates, stores the others as evidence, and proposes records.

Each event by itself is accepted, a duplicate, or rejected. Two events are duplicates if they have the same event hash
and the same error declaration, or none: an error declaration has the hash of the event that it corrects.
"""

from __future__ import annotations

import enum
import fcntl
import json
import os
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import BinaryIO, cast

from millmark.ledger.canonical import Json, canonical_json, sha256
from millmark.ledger.errors import InputError, MillmarkError
from millmark.ledger.evidence import EvidenceEntry, EvidenceLog
from millmark.ledger.records import Record
from millmark.services.interop.epcis.documents import PROFILE, Document, Event, is_xml, parse_document
from millmark.services.interop.epcis.mapping import Known, Proposal, propose
from millmark.services.interop.epcis.schema import Fault, document_faults, event_faults
from millmark.services.interop.epcis.tree import millis_of

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

        Raises CanonicalError, and then appends nothing.
        """
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

    Raises InputError if it cannot be opened or holds something else.
    """
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

    Each event is stored with the salts and claims of the records proposed for it.
    """
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
