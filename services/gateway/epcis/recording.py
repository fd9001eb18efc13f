"""Records proposed by captured events.

The records are queued in the transaction that stores the events, so a crash leaves both or neither. Their idempotency
keys are derived from the events, so a repeated event is recorded once. Identifiers, salts and claims are stored in the
private book, as for every record that the gateway makes.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from millmark.ledger.errors import InputError
from millmark.ledger.ids import Identity, SubjectKind, identifier_hash
from millmark.ledger.records import ReceiveLot, Record, TransformLots
from millmark.ledger.store import Book, Connection, Store
from millmark.ledger.store.outbox import Outbox
from millmark.services.access import ForbiddenError, Principal, Scope
from millmark.services.gateway.http.errors import NoSignerError
from millmark.services.gateway.recording import Recorder
from millmark.services.gateway.recording.repository import RecordingRow, describe_subjects
from millmark.services.gateway.recording.service import RecordStatus, build_record_status
from millmark.services.interop.epcis.mapping import Proposal

_PART = 300


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
