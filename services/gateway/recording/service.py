"""Builds and queues the records that are requested of this gateway, over HTTP or by a person's form, and reports their
status."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from pydantic import BaseModel

from millmark.ledger.ids import Identity, SubjectKind
from millmark.ledger.products import FindProduct
from millmark.ledger.provenance import open_reader
from millmark.ledger.records import Record
from millmark.ledger.store import Connection, Registry, Store
from millmark.ledger.store.outbox import Outbox, QueuedRecord
from millmark.services.access import Principal
from millmark.services.gateway.http.errors import NoSignerError
from millmark.services.gateway.recording.attempts import Attempt
from millmark.services.gateway.recording.build_records import Builder
from millmark.services.gateway.recording.recorder import Recorder
from millmark.services.gateway.recording.repository import RecordingRepository, RecordingRow, describe_subjects
from millmark.services.gateway.recording.views import RecordStatus, build_record_status
from millmark.services.gateway.recording.writes import Write

__all__ = ["RecordingService", "Wanted"]

_Name: TypeAlias = Callable[[int, SubjectKind, str], Identity]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A record that somebody asks for."""

    write: Write
    attempt: Attempt
    asked: Mapping[str, Any]
    """The parameters of the path."""
    body: BaseModel
    caller: Principal


class RecordingService:
    """`recorder` is None if the company has no key here. Specifications of products that `find_product` knows are
    checked before an order is placed or revised. `captured`: whether a node captures the company's streams, so that
    nothing else may be added to them."""

    def __init__(self, store: Store, recorder: Recorder | None, find_product: FindProduct, *, captured: bool) -> None:
        self.store, self.recorder = store, recorder
        self._captured, self._find_product, self._outbox = captured, find_product, Outbox(store)

    def record(self, wanted: Wanted) -> RecordStatus:
        """Queues a record. Idempotent under the attempt's token. Raises NoSignerError without a key, and InputError,
        NotFoundError or a subclass for what cannot be recorded as it was asked for."""
        recorder = self._need()
        # Looked up first: after a crash the response may be lost although the record was queued.
        return self._status(recorder.find(wanted.attempt.key) or self._queue(recorder, wanted))

    def seal(self, key: str, caller: Principal, write: Callable[[Connection], Record]) -> RecordStatus:
        """Queues the record that `write` returns, in the transaction in which that writes what the record is about.
        Idempotent under the key, of the outbox. Raises NoSignerError, OutboxOlderError or TryLaterError before
        anything is written, and what `write` raises."""
        recorder = self._need()
        found = recorder.find(key)
        if found is None:
            recorder.participant(caller.participant)
            found = recorder.queue_with(RecordingRow(key, caller.participant or 0, describe_subjects([])), write)
        return self._status(found)

    def find(self, attempt: Attempt) -> RecordStatus | None:
        """The status of the record that an earlier attempt queued, if any."""
        found = None if self.recorder is None else self.recorder.find(attempt.key)
        return None if found is None else self._status(found)

    def preview(self, wanted: Wanted) -> tuple[Record, Builder]:
        """What `record` would queue, and what the book would keep for it; nothing is changed. Raises as `record`."""
        recorder = self._need()
        return self._build(wanted, recorder.participant(wanted.caller.participant), recorder.name)

    def company(self) -> int | None:
        """The participant for which the gateway's key signs, by the index; None without a key or participant."""
        if self.recorder is None:
            return None
        with self.store.reading() as connection:
            found = Registry(connection).participant_of(self.recorder.key)
        return None if found is None else found.number

    def status(self, number: int) -> RecordStatus:
        """The status of one record. Raises NotFoundError if the record is unknown."""
        return self._status(self._outbox.record(number))

    def statuses(self, after: int | None, limit: int, state: str | None) -> tuple[list[RecordStatus], int | None]:
        """The statuses of a page of records, newest first, and where the next page starts."""
        found = self._outbox.page(after, limit + 1, state)
        shown = found[:limit]
        return [self._status(one) for one in shown], shown[-1].id if len(found) > limit else None

    def _need(self) -> Recorder:
        if self.recorder is None:
            raise NoSignerError("this gateway has no key for recording", hint="ask its operator to set gateway_signer")
        return self.recorder

    def _queue(self, recorder: Recorder, wanted: Wanted) -> QueuedRecord:
        # Part of the hash that becomes the subject, so it must be the participant for whom the key signs.
        creator = recorder.participant(wanted.caller.participant)
        if recorder.has_adopted():
            # The record may be on the ledger already, from before the database was restored from a backup.
            record, builder = self._build(wanted, creator, recorder.name_again, again=True)
            row = _recording(wanted, builder)
            found = recorder.claim(row, record, builder.keep, unique=builder.is_unique)
            if found is not None:
                return found
        record, builder = self._build(wanted, creator, recorder.name)
        return recorder.queue(_recording(wanted, builder), record, builder.keep)

    def _build(self, wanted: Wanted, creator: int, name: _Name, *, again: bool = False) -> tuple[Record, Builder]:
        """`again`: to look for it among the records on the ledger, not to queue it."""
        write, members = wanted.write, wanted.body.model_dump()
        # Built before the write transaction, which should be short. If the index is behind, the contract decides.
        with open_reader(self.store) as reader:
            if write.verify is not None:
                write.verify(reader, members, self._find_product)
            salts = wanted.attempt.salts(self.store)
            about = {**members, **wanted.asked, "creator": creator, "salt": salts}
            about |= {"captured": self._captured, "again": again}
            given = {} if write.find is None else write.find(reader, about)
            named = None if write.names is None else partial(name, creator, write.names)
            builder = Builder(reader.rows, named, salts)
            return builder.build(write.kind, members, given), builder

    def _status(self, record: QueuedRecord) -> RecordStatus:
        with self.store.reading() as connection:
            return build_record_status(record, RecordingRepository(connection).get(record.idempotency_key))


def _recording(wanted: Wanted, builder: Builder) -> RecordingRow:
    subjects = describe_subjects([one.subject for one in builder.identities])
    return RecordingRow(wanted.attempt.key, wanted.caller.participant or 0, subjects)
