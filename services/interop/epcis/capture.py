"""Capturing EPCIS events: judge each, drop what is there already, keep the rest as evidence, and say what follows.

An event is accepted, a duplicate or rejected, each for itself. Two events are duplicates when they have the same event
hash and declare the same error, or none: a declaration of error has the hash of the event that it takes back.
"""

from __future__ import annotations

import enum
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import cast

from ledger.canonical import Json, canonical_json, sha256
from ledger.errors import InputError
from ledger.evidence import EvidenceEntry
from ledger.records import Record
from services.interop.epcis.documents import Document, Event, is_xml, parse_document
from services.interop.epcis.event_hash import PROFILE
from services.interop.epcis.log_file import EvidenceFile
from services.interop.epcis.mapping import Known, Proposal, propose
from services.interop.epcis.schema import Fault, document_faults, event_faults
from services.interop.epcis.terms import millis_of

__all__ = [
    "Captured",
    "Judgement",
    "Status",
    "all_kept",
    "build_entry",
    "capture",
    "judge",
    "parse_capture",
    "plain_fields",
]

_KIND = "epcis-event"


class Status(enum.StrEnum):
    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is to become of one event."""

    event: Event
    status: Status
    hash: str | None
    """The event hash; none of a rejected event."""
    key: str
    """By which duplicates are known; empty for a rejected event."""
    faults: tuple[Fault, ...]
    """Pointers are below the document."""
    terms: Sequence[tuple[str, str]] = ()
    """What it can be asked for; nothing of a rejected event."""
    time_ms: int = 0
    """The event's time, in milliseconds since 1970."""


@dataclass(frozen=True, slots=True)
class Captured:
    """What became of one event."""

    judgement: Judgement
    entry: EvidenceEntry | None = None
    """Where it is kept, when it was accepted."""
    proposal: Proposal | None = None

    def to_json(self) -> dict[str, object]:
        """One line of the answer. Salts are left out: they are in the log, beside the entry."""
        said: dict[str, object] = {"event": self.judgement.event.pointer, "status": str(self.judgement.status)}
        if self.judgement.hash is not None:
            said |= {"hash": self.judgement.hash, "profile": PROFILE}
        if self.judgement.faults:
            said["reasons"] = [{"pointer": pointer, "reason": reason} for pointer, reason in self.judgement.faults]
        if self.entry is not None:
            said["evidence"] = {"index": self.entry.index, "leaf_hash": self.entry.leaf_hash.hex()}
        if self.proposal is not None:
            said["records"] = [{"kind": type(one).__name__, **plain_fields(one)} for one in self.proposal.records]
            said["evidence_only"] = list(self.proposal.evidence_only)
        return said


def parse_capture(data: bytes) -> Document:
    """A document whose events can be judged one by one. Raises InputError when it is none, naming the first fault."""
    if is_xml(data):
        raise InputError("capture takes EPCIS 2.0 as JSON-LD, not XML", hint="convert the document")
    document = parse_document(data)
    if faults := document_faults(document.value):
        pointer, reason = faults[0]
        raise InputError(f"the document is no EPCIS 2.0, at {pointer or 'its root'}: {reason}", hint="correct it")
    return document


def judge(document: Document, kept: Container[str] = frozenset()) -> list[Judgement]:
    """Judge every event; `kept` are the keys of what is there already. Nothing is written."""
    seen: set[str] = set()
    return [_judge(event, kept, seen) for event in document.events]


def _judge(event: Event, kept: Container[str], seen: set[str]) -> Judgement:
    faults = event_faults(event.value)
    if faults or not isinstance(event.value, dict):
        return Judgement(event, Status.REJECTED, None, "", tuple((event.pointer + at, why) for at, why in faults))
    try:
        time_ms = millis_of(str(event.value["eventTime"]))
    except ValueError:
        fault = (f"{event.pointer}/eventTime", "there is no such moment")
        return Judgement(event, Status.REJECTED, None, "", (fault,))
    found, terms = event.read()
    key = _key(found, event.value)
    status = Status.DUPLICATE if key in seen or key in kept else Status.ACCEPTED
    seen.add(key)
    return Judgement(event, status, found, key, (), terms, time_ms)


def _key(event_hash: str, event: Mapping[str, Json]) -> str:
    declared = event.get("errorDeclaration")
    return event_hash if declared is None else f"{event_hash}#{sha256(canonical_json(declared)).hex()}"


def capture(document: Document, file: EvidenceFile, known: Known | None = None) -> list[Captured]:
    """Judge every event and keep the accepted ones, in their order, all on disk when this returns.

    Beside an event stand the salts and the claims of the records that are proposed for it.
    """
    judgements = judge(document, _kept(file))
    proposals = [_proposal(one, known or Known()) for one in judgements if one.status is Status.ACCEPTED]
    accepted = [one for one in judgements if one.status is Status.ACCEPTED]
    entries = file.append([(build_entry(one), two.to_json()) for one, two in zip(accepted, proposals, strict=True)])
    kept = iter(zip(entries, proposals, strict=True))
    return [Captured(one, *next(kept)) if one.status is Status.ACCEPTED else Captured(one) for one in judgements]


def build_entry(judgement: Judgement) -> Json:
    """What is evidence of an accepted event."""
    return {
        "kind": _KIND,
        "profile": PROFILE,
        "hash": judgement.hash,
        "namespaces": dict(judgement.event.namespaces),
        "event": judgement.event.value,
    }


def _kept(file: EvidenceFile) -> set[str]:
    keys = set()
    for kept in file.log.entries:
        entry = kept.entry
        if isinstance(entry, dict) and entry.get("kind") == _KIND and isinstance(entry["event"], dict):
            keys.add(_key(str(entry["hash"]), entry["event"]))
    return keys


def _proposal(judgement: Judgement, known: Known) -> Proposal:
    return propose(cast("Mapping[str, Json]", judgement.event.value), str(judgement.hash), known)


def plain_fields(record: Record) -> dict[str, object]:
    """A record as JSON has it."""
    return {one.name: _plain(getattr(record, one.name)) for one in fields(record)}  # type: ignore[arg-type]  # records are dataclasses


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    return value


def all_kept(captured: Sequence[Captured]) -> bool:
    """Tell whether nothing was rejected."""
    return all(one.judgement.status is not Status.REJECTED for one in captured)
