"""Builds and queues the records that are requested of this gateway, over HTTP or by a person's form, and reports their
status."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from fastapi import Response
from pydantic import BaseModel

from millmark.ledger import ids, provenance
from millmark.ledger.products import FindProduct
from millmark.ledger.provenance.answers import moment
from millmark.ledger.records import Record
from millmark.ledger.store import Connection, Registry, Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import QueuedRecord
from millmark.services.access import Principal
from millmark.services.gateway.http.middleware import IdempotencyStore, KeyedRequest
from millmark.services.gateway.http.problems import InFlightError, KeyReusedError, NoSignerError
from millmark.services.gateway.recording.build_records import Builder
from millmark.services.gateway.recording.recorder import Attempt, Recorder
from millmark.services.gateway.recording.repository import RecordingRepository, RecordingRow, describe_subjects
from millmark.services.gateway.recording.writes import WRITES, Write
from millmark.services.portal.acting.things import FormUsedError, Preview, Wish
from millmark.services.views import RecordStatus, Refusal


def build_record_status(record: QueuedRecord, row: RecordingRow | None) -> RecordStatus:
    return RecordStatus(
        id=record.id,
        kind=record.kind,
        contract=record.contract,
        state=record.state.value,
        done=record.state.value in ("final", "failed", "cancelled"),
        sequence=record.sequence,
        subjects=() if row is None else tuple(bytes.fromhex(one[2:]) for one in json.loads(row.subjects)),
        refusal=_refusal(record),
        queued_at=moment(int(record.queued_at_s)),
        changed_at=moment(int(record.changed_at_s)),
    )


def _refusal(record: QueuedRecord) -> Refusal | None:
    if record.error_name is None:
        return None
    return Refusal(record.error_name, json.loads(record.error_values or "{}"), record.error or "")


_Name: TypeAlias = Callable[[int, ids.SubjectKind, str], ids.Identity]


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
        with provenance.open_reader(self.store) as reader:
            if write.found.verify is not None:
                write.found.verify(reader, members, self._find_product)
            salts = wanted.attempt.salts(self.store)
            about = {**members, **wanted.asked, "creator": creator, "salt": salts}
            about |= {"captured": self._captured, "again": again}
            given = {} if write.found.find is None else write.found.find(reader, about)
            named = None if write.names is None else partial(name, creator, write.names)
            builder = Builder(reader.rows, named, salts)
            return builder.build(write.kind, members, given), builder

    def _status(self, record: QueuedRecord) -> RecordStatus:
        with self.store.reading() as connection:
            return build_record_status(record, RecordingRepository(connection).get(record.idempotency_key))


def _recording(wanted: Wanted, builder: Builder) -> RecordingRow:
    subjects = describe_subjects([one.subject for one in builder.identities])
    return RecordingRow(wanted.attempt.key, wanted.caller.participant or 0, subjects)


# Records that people ask for with the portal's forms: by the same service as the API's, idempotent like those.

_BY_OPERATION: Mapping[str, Write] = {write.operation: write for write in WRITES}
_TRIES, _PAUSE_S = 100, 0.05
"""How long a form that is sent twice at once waits for its first sending."""


class GatewayFormRecorder:
    """Implements millmark.services.portal.acting.things.FormRecorder."""

    def __init__(self, service: RecordingService, idempotency: IdempotencyStore) -> None:
        self._service, self._idempotency = service, idempotency

    def may(self, principal: Principal, operation: str) -> bool:
        return self._service.recorder is not None and _BY_OPERATION[operation].rule.is_met_by(principal)

    def body(self, operation: str) -> type[BaseModel]:
        return _BY_OPERATION[operation].body

    def parameters(self, operation: str) -> tuple[str, ...]:
        return tuple(name for name in ("subject", "id") if f"{{{name}}}" in _BY_OPERATION[operation].path)

    def company(self, principal: Principal) -> int | None:
        return principal.participant if principal.participant is not None else self._service.company()

    def preview(self, wish: Wish, principal: Principal) -> Preview:
        record, builder = self._service.preview(_wanted(wish, _key(wish, principal), principal))
        identifiers = tuple(one.identifier for one in builder.identities)
        return Preview(record, identifiers, tuple(one.document for one in builder.documents))

    def find(self, wish: Wish, principal: Principal) -> int | None:
        asked = _key(wish, principal)
        found = self._service.find(Attempt(asked.token, asked.seed))
        return None if found is None else found.id

    def used(self, operation: str, key: str, principal: Principal) -> int | None:
        answer = self._idempotency.find(principal.participant or 0, _route(operation), key)
        return None if answer is None else _number(answer)

    def record(self, wish: Wish, principal: Principal) -> int:
        asked = _key(wish, principal)

        def take(_: str) -> Response:
            status = self._service.record(_wanted(wish, asked, principal))
            return Response(status_code=303, headers={"Location": f"/portal/records/{status.id}"})

        try:
            answer = self._respond(asked, take)
        except KeyReusedError as error:
            raise FormUsedError("the form was sent before, with other entries", hint="open the form again") from error
        return _number(answer)

    def seal(self, key: str, principal: Principal, write: Callable[[Connection], Record]) -> int:
        name = hashlib.sha256(f"{principal.participant or 0}\n{key}".encode()).hexdigest()
        return self._service.seal(f"form:{name}", principal, write).id

    def status(self, number: int) -> RecordStatus:
        return self._service.status(number)

    def _respond(self, asked: KeyedRequest, take: Callable[[str], Response]) -> Response:
        for _ in range(_TRIES):
            try:
                return self._idempotency.respond(asked, take)
            except InFlightError:
                # Somebody pressed the button twice: the browser shows the second answer, which has to be the first's.
                time.sleep(_PAUSE_S)
        return self._idempotency.respond(asked, take)


def _wanted(wish: Wish, asked: KeyedRequest, principal: Principal) -> Wanted:
    attempt = Attempt(asked.token, asked.seed)
    return Wanted(_BY_OPERATION[wish.operation], attempt, wish.asked, wish.body, principal)


def _route(operation: str) -> str:
    """Under which answers are kept; no route of the API has such a name."""
    return f"form {operation}"


def _number(answer: Response) -> int:
    return int(answer.headers["location"].rpartition("/")[2])


def _key(wish: Wish, principal: Principal) -> KeyedRequest:
    parameters = "&".join(f"{name}={value}" for name, value in sorted(wish.asked.items()))
    digest = hashlib.sha256(f"{parameters}\n{wish.body.model_dump_json()}".encode()).digest()
    return KeyedRequest(principal.participant or 0, _route(wish.operation), wish.key, digest)
