"""Routes that record something, and routes for the status of the records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, Literal, TypeAlias

from fastapi import Path, Query, Response
from pydantic import BaseModel

from ledger.ids import Identity, SubjectKind
from ledger.products import FindProduct
from ledger.provenance import open_reader
from ledger.records import Record
from ledger.store import Store
from ledger.store.outbox import Outbox, QueuedRecord
from services.access import Principal, Scope
from services.access.rules import Rule
from services.gateway.http import example_values as examples
from services.gateway.http.authentication import CurrentPrincipal
from services.gateway.http.errors import NoSignerError
from services.gateway.http.idempotency import Idempotent
from services.gateway.http.paging import Paging
from services.gateway.http.responses import (
    MAX_SEQUENCE,
    PROBLEMS_400_404,
    IfNoneMatch,
    Number,
    Subject,
    reply,
    reply_with_etag,
)
from services.gateway.http.route_table import RouteTable
from services.gateway.http.routes import Routes
from services.gateway.recording.attempts import Attempt
from services.gateway.recording.bodies import body_of
from services.gateway.recording.build_records import Builder
from services.gateway.recording.name_endpoints import add_names
from services.gateway.recording.recorder import Recorder
from services.gateway.recording.repository import RecordingRepository, RecordingRow, describe_subjects
from services.gateway.recording.views import RecordStatus, Refusal, build_record_status
from services.gateway.recording.writes import WRITES, Write

__all__ = ["add_recording"]

_ABOUT = (
    "The record is made for the company that runs the gateway and signed with its key. 202 means that it is stored and "
    "will be sent, even after a crash. Poll `Location` for its status. If the ledger rejects the record, `refusal` "
    "there contains the contract's error."
)
Proposal = Annotated[
    int,
    Path(
        alias="id",
        ge=0,
        le=MAX_SEQUENCE,
        description="Sequence of the proposal; 0 when none could be made.",
        examples=[412],
    ),
]
RecordNumber = Annotated[
    int, Path(alias="id", ge=1, le=2**31 - 1, description="`id` of the record's status.", examples=[17])
]
_Name: TypeAlias = Callable[[int, SubjectKind, str], Identity]
_State: TypeAlias = Literal[
    "queued", "paused", "blocked", "nonced", "signed", "sent", "mined", "final", "failed", "cancelled"
]


def add_recording(
    table: RouteTable, store: Store, recorder: Recorder | None, find_product: FindProduct, *, captured: bool = False
) -> None:
    """Adds the routes. If `recorder` is None, the company has no key here and writes answer 503.

    Specifications of products that `find_product` knows are checked before an order is placed or revised. `captured`:
    whether a node captures the company's streams, so that nothing else may be added to them.
    """
    routes = Routes(table, "recording", PROBLEMS_400_404)
    service = _RecordingService(store, recorder, find_product, captured=captured)
    for write in WRITES:
        _add_write(routes, service, write)
    _add_statuses(routes, service)
    add_names(table, store, recorder)


class _RecordingService:
    """Queues records and reports their status."""

    def __init__(self, store: Store, recorder: Recorder | None, find_product: FindProduct, *, captured: bool) -> None:
        self._captured = captured
        self._store, self._recorder, self._outbox = store, recorder, Outbox(store)
        self._find_product = find_product

    def take(
        self, write: Write, attempt: Attempt, asked: Mapping[str, Any], body: BaseModel, caller: Principal
    ) -> Response:
        """Queues a record and returns 202 with the location of its status. Idempotent under the attempt's token."""
        if self._recorder is None:
            raise NoSignerError("this gateway has no key for recording", hint="ask its operator to set gateway_signer")
        # Looked up first: after a crash the response may be lost although the record was queued.
        found = self._recorder.find(attempt.key) or self._queue(self._recorder, write, attempt, asked, body, caller)
        answer = reply(self._status(found), 202)
        answer.headers["Location"] = f"/v1/records/{found.id}"
        return answer

    def _queue(
        self,
        recorder: Recorder,
        write: Write,
        attempt: Attempt,
        asked: Mapping[str, Any],
        body: BaseModel,
        caller: Principal,
    ) -> QueuedRecord:
        # Part of the hash that becomes the subject, so it must be the participant for whom the key signs.
        creator = recorder.participant(caller.participant)
        made = partial(self._build, write, attempt, asked, body, creator)
        if recorder.has_adopted():
            # The record may be on the ledger already, from before the database was restored from a backup.
            builder, record = made(recorder.name_again)
            row = _recording(attempt, caller, builder)
            found = recorder.claim(row, record, builder.keep, unique=builder.is_unique)
            if found is not None:
                return found
        builder, record = made(recorder.name)
        return recorder.queue(_recording(attempt, caller, builder), record, builder.keep)

    def _build(
        self, write: Write, attempt: Attempt, asked: Mapping[str, Any], body: BaseModel, creator: int, name: _Name
    ) -> tuple[Builder, Record]:
        members = body.model_dump()
        # Built before the write transaction, which should be short. If the index is behind, the contract decides.
        with open_reader(self._store) as reader:
            if write.verify is not None:
                write.verify(reader, members, self._find_product)
            salts = attempt.salts(self._store)
            about = {**members, **asked, "creator": creator, "salt": salts, "captured": self._captured}
            given = {} if write.find is None else write.find(reader, about)
            named = None if write.names is None else partial(name, creator, write.names)
            builder = Builder(reader.rows, named, salts)
            return builder, builder.build(write.kind, members, given)

    def status(self, number: int) -> RecordStatus:
        """The status of one record. Raises NotFoundError if the record is unknown."""
        return self._status(self._outbox.record(number))

    def statuses(self, after: int | None, limit: int, state: str | None) -> tuple[list[RecordStatus], int | None]:
        """The statuses of a page of records, newest first, and where the next page starts."""
        found = self._outbox.page(after, limit + 1, state)
        shown = found[:limit]
        return [self._status(one) for one in shown], shown[-1].id if len(found) > limit else None

    def _status(self, record: QueuedRecord) -> RecordStatus:
        with self._store.reading() as connection:
            return build_record_status(record, RecordingRepository(connection).get(record.idempotency_key))


def _recording(attempt: Attempt, caller: Principal, builder: Builder) -> RecordingRow:
    subjects = describe_subjects([one.subject for one in builder.identities])
    return RecordingRow(attempt.key, caller.participant or 0, subjects)


def _add_write(routes: Routes, service: _RecordingService, write: Write) -> None:
    body = body_of(write.kind, write.given, write.asks, write.called)  # type: ignore[arg-type]  # mypy judges the class by its instances' hash
    declare = routes.post(
        write.path,
        write.operation,
        write.summary,
        RecordStatus,
        rule=write.rule,
        examples={"queued": partial(_status, "queued")},
        body_example=write.example,
        description=" ".join(filter(None, (_docstring(write.kind), write.about, _ABOUT))),
        status_code=202,
    )
    declare(_endpoint(service, write, body))


def _docstring(kind: type) -> str:
    """The class's docstring, if any. `dataclass` sets the signature as docstring of a class that has none."""
    text = kind.__doc__ or ""
    return "" if text.startswith(f"{kind.__name__}(") else text.strip()


def _endpoint(service: _RecordingService, write: Write, body_model: type[BaseModel]) -> Callable[..., Response]:
    """The endpoint function, with the parameters that are in the path."""

    def plain(principal: CurrentPrincipal, idempotent: Idempotent, body: BaseModel) -> Response:
        return idempotent.respond(
            lambda token: service.take(write, Attempt(token, idempotent.seed), {}, body, principal)
        )

    def on_subject(principal: CurrentPrincipal, idempotent: Idempotent, subject: Subject, body: BaseModel) -> Response:
        return idempotent.respond(
            lambda token: service.take(write, Attempt(token, idempotent.seed), {"subject": subject}, body, principal)
        )

    def on_number(principal: CurrentPrincipal, idempotent: Idempotent, number: Number, body: BaseModel) -> Response:
        return idempotent.respond(
            lambda token: service.take(write, Attempt(token, idempotent.seed), {"id": number}, body, principal)
        )

    def on_both(
        principal: CurrentPrincipal, idempotent: Idempotent, subject: Subject, number: Proposal, body: BaseModel
    ) -> Response:
        asked = {"subject": subject, "id": number}
        return idempotent.respond(
            lambda token: service.take(write, Attempt(token, idempotent.seed), asked, body, principal)
        )

    chosen: dict[tuple[bool, bool], Callable[..., Response]] = {
        (False, False): plain,
        (True, False): on_subject,
        (False, True): on_number,
        (True, True): on_both,
    }
    endpoint = chosen["{subject}" in write.path, "{id}" in write.path]
    # FastAPI reads the body's model from the annotations. The functions above are new in every call, so none is shared.
    endpoint.__annotations__["body"] = body_model
    return endpoint


def _add_statuses(routes: Routes, service: _RecordingService) -> None:
    @routes.page(
        "/v1/records",
        "listRecords",
        "List the company's records with their status",
        RecordStatus,
        rule=Rule(Scope.RECORDING, owner=True, cost=4),
        examples={"last": lambda: {"items": [_status("sent").to_json()], "next": None}},
    )
    def list_records(
        paging: Paging,
        state: Annotated[_State | None, Query(description="Only records in this state.", examples=["failed"])] = None,
    ) -> Response:
        """Returns the newest records first, including those that commands and nodes queued in the same database."""
        found, last = service.statuses(paging.number, paging.limit, state)
        return paging.answer(found, None if last is None else (last,))

    @routes.one(
        "/v1/records/{id}",
        "getRecord",
        "Get the status of a record",
        RecordStatus,
        rule=Rule(Scope.RECORDING, owner=True),
        examples={"final": partial(_status, "final"), "failed": partial(_status, "failed")},
    )
    def get_record(number: RecordNumber, if_none_match: IfNoneMatch = None) -> Response:
        """Returns the state of the record, from `queued` to `final`, or `failed` with the contract's error."""
        return reply_with_etag(service.status(number), if_none_match)


def _status(state: str) -> RecordStatus:
    refusal = Refusal(
        "LotOverConsumed", {"lot": "0x" + examples.LOT.hex(), "held": 1, "asked": 2}, "LotOverConsumed(held=1, asked=2)"
    )
    return RecordStatus(
        id=17,
        kind="ReceiveLot",
        contract="ledger",
        state=state,
        done=state in ("final", "failed"),
        sequence=641 if state == "final" else None,
        subjects=(examples.LOT,),
        refusal=refusal if state == "failed" else None,
        queued_at=examples.NOW,
        changed_at=examples.NOW,
    )
