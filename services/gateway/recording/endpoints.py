"""Routes that have something recorded, and the records' fate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, Literal, TypeAlias

from fastapi import Path, Query, Response
from pydantic import BaseModel

from ledger.provenance import open_reader
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
    PROBLEMS_400_404,
    IfNoneMatch,
    Number,
    Subject,
    reply,
    reply_with_etag,
)
from services.gateway.http.route_table import RouteTable
from services.gateway.http.routes import Routes
from services.gateway.recording.bodies import body_of
from services.gateway.recording.build_records import Builder
from services.gateway.recording.recorder import Recorder, describe_subjects
from services.gateway.recording.repository import RecordingRepository
from services.gateway.recording.tables import RecordingRow
from services.gateway.recording.views import RecordFate, Refusal, build_fate
from services.gateway.recording.writes import WRITES, Write

__all__ = ["add_recording"]

_FIRST = 2**62
_ABOUT = (
    "In the name of the company that runs the gateway, signed with its key. 202: it is kept, and will be sent, also "
    "after a crash; follow `Location` to the end. Whether the ledger takes it is said there: `refusal` has the "
    "contract's own error."
)
RecordNumber = Annotated[
    int, Path(alias="id", ge=1, le=2**31 - 1, description="Of the record, as it was answered.", examples=[17])
]
_State: TypeAlias = Literal[
    "queued", "paused", "blocked", "nonced", "signed", "sent", "mined", "final", "failed", "cancelled"
]


def add_recording(table: RouteTable, store: Store, recorder: Recorder | None) -> None:
    """Without a recorder the company has no key here, and nothing is recorded."""
    routes, service = Routes(table, "recording", PROBLEMS_400_404), _RecordingService(store, recorder)
    for write in WRITES:
        _add_write(routes, service, write)
    _add_fates(routes, service)


class _RecordingService:
    """Queues records, and reports what became of them."""

    def __init__(self, store: Store, recorder: Recorder | None) -> None:
        self._store, self._recorder, self._outbox = store, recorder, Outbox(store)

    def take(self, write: Write, token: str, asked: Mapping[str, Any], body: BaseModel, caller: Principal) -> Response:
        """202 with where to follow it. The same token, the same record."""
        if self._recorder is None:
            raise NoSignerError("this gateway has no key to record with", hint="ask its operator to set gateway_signer")
        key = f"api:{token}"
        found = self._recorder.find(key) or self._queue(self._recorder, write, key, asked, body, caller)
        answer = reply(self._fate(found), 202)
        answer.headers["Location"] = f"/v1/records/{found.id}"
        return answer

    def _queue(
        self,
        recorder: Recorder,
        write: Write,
        key: str,
        asked: Mapping[str, Any],
        body: BaseModel,
        caller: Principal,
    ) -> QueuedRecord:
        creator = recorder.participant(caller.participant)
        members = body.model_dump()
        with open_reader(self._store) as reader:
            given = {} if write.find is None else write.find(reader, {**members, **asked})
            builder = Builder(reader.rows, creator, write.names)
            record = builder.build(write.kind, members, given)
        subjects = describe_subjects([one.subject for one in builder.identities])
        return recorder.queue(RecordingRow(key, caller.participant or 0, subjects), record, builder.keep)

    def fate(self, number: int) -> RecordFate:
        """Raises NotFoundError."""
        return self._fate(self._outbox.record(number))

    def fates(self, after: int | None, limit: int, state: str | None) -> tuple[list[RecordFate], int | None]:
        """The newest first, and where the list goes on."""
        found = self._outbox.page(_FIRST if after is None else after, limit + 1, state)
        shown = found[:limit]
        return [self._fate(one) for one in shown], shown[-1].id if len(found) > limit else None

    def _fate(self, record: QueuedRecord) -> RecordFate:
        with self._store.reading() as connection:
            return build_fate(record, RecordingRepository(connection).get(record.idempotency_key))


def _add_write(routes: Routes, service: _RecordingService, write: Write) -> None:
    body = body_of(write.kind, write.given, write.asks)  # type: ignore[arg-type]  # mypy judges the class by its instances' hash
    declare = routes.post(
        write.path,
        write.operation,
        write.summary,
        RecordFate,
        rule=write.rule,
        examples={"queued": partial(_fate, "queued")},
        body_example=write.example,
        description=f"{write.kind.__doc__ or ''} {_ABOUT}".strip() if _is_told(write.kind) else _ABOUT,
        status_code=202,
    )
    declare(_endpoint(service, write, body))


def _is_told(kind: type) -> bool:
    """A dataclass without a docstring is given its signature as one."""
    return not (kind.__doc__ or "").startswith(f"{kind.__name__}(")


def _endpoint(service: _RecordingService, write: Write, body_model: type[BaseModel]) -> Callable[..., Response]:
    """A function with the parameters that the path has."""

    def plain(principal: CurrentPrincipal, idempotent: Idempotent, body: BaseModel) -> Response:
        return idempotent.respond(lambda token: service.take(write, token, {}, body, principal))

    def on_subject(principal: CurrentPrincipal, idempotent: Idempotent, subject: Subject, body: BaseModel) -> Response:
        return idempotent.respond(lambda token: service.take(write, token, {"subject": subject}, body, principal))

    def on_number(principal: CurrentPrincipal, idempotent: Idempotent, number: Number, body: BaseModel) -> Response:
        return idempotent.respond(lambda token: service.take(write, token, {"id": number}, body, principal))

    def on_both(
        principal: CurrentPrincipal, idempotent: Idempotent, subject: Subject, number: Number, body: BaseModel
    ) -> Response:
        asked = {"subject": subject, "id": number}
        return idempotent.respond(lambda token: service.take(write, token, asked, body, principal))

    chosen: dict[tuple[bool, bool], Callable[..., Response]] = {
        (False, False): plain,
        (True, False): on_subject,
        (False, True): on_number,
        (True, True): on_both,
    }
    endpoint = chosen["{subject}" in write.path, "{id}" in write.path]
    endpoint.__annotations__["body"] = body_model
    return endpoint


def _add_fates(routes: Routes, service: _RecordingService) -> None:
    @routes.page(
        "/v1/records",
        "listRecords",
        "The company's own records on their way to the ledger",
        RecordFate,
        rule=Rule(Scope.RECORDING, owner=True, cost=4),
        examples={"last": lambda: {"items": [_fate("sent").to_json()], "next": None}},
    )
    def list_records(
        paging: Paging,
        state: Annotated[_State | None, Query(description="Only those in it.", examples=["failed"])] = None,
    ) -> Response:
        """The newest first; also those that commands and nodes queued in the same database."""
        found, last = service.fates(paging.number, paging.limit, state)
        return paging.answer(found, None if last is None else (last,))

    @routes.one(
        "/v1/records/{id}",
        "getRecord",
        "What became of a record",
        RecordFate,
        rule=Rule(Scope.RECORDING, owner=True),
        examples={"final": partial(_fate, "final"), "failed": partial(_fate, "failed")},
    )
    def get_record(number: RecordNumber, if_none_match: IfNoneMatch = None) -> Response:
        """From `queued` to `final`, or `failed` with the contract's error."""
        return reply_with_etag(service.fate(number), if_none_match)


def _fate(state: str) -> RecordFate:
    refusal = Refusal(
        "LotOverConsumed", {"lot": "0x" + examples.LOT.hex(), "held": 1, "asked": 2}, "LotOverConsumed(held=1, asked=2)"
    )
    return RecordFate(
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
