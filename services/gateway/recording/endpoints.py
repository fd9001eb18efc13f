"""Routes that record something, and routes for the status of the records."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal, TypeAlias

from fastapi import Path, Query, Response
from pydantic import BaseModel

from millmark.ledger.ids import Identity, SubjectKind, identifier_hash
from millmark.ledger.provenance.answers import Printable
from millmark.ledger.store import Book, Store
from millmark.services.access import Principal, Scope
from millmark.services.access.rules import Rule
from millmark.services.gateway.http import example_values as examples
from millmark.services.gateway.http import routes as http
from millmark.services.gateway.http.authentication import CurrentPrincipal
from millmark.services.gateway.http.middleware import Idempotent
from millmark.services.gateway.http.problems import NoSignerError
from millmark.services.gateway.http.route_table import RouteTable
from millmark.services.gateway.recording import bodies, writes
from millmark.services.gateway.recording.recorder import Attempt, Recorder
from millmark.services.gateway.recording.service import RecordingService, Wanted
from millmark.services.serving.requests import WholeNumber
from millmark.services.views import RecordStatus, Refusal

_ABOUT = (
    "The record is made for the company that runs the gateway and signed with its key. 202 means that it is stored and "
    "will be sent, even after a crash. Poll `Location` for its status. If the ledger rejects the record, `refusal` "
    "there contains the contract's error."
)
Proposal = Annotated[
    WholeNumber,
    Path(
        alias="id",
        ge=0,
        le=http.MAX_SEQUENCE,
        description="Sequence of the proposal; 0 when none could be made.",
        examples=[412],
    ),
]
RecordNumber = Annotated[
    WholeNumber, Path(alias="id", ge=1, le=2**31 - 1, description="`id` of the record's status.", examples=[17])
]
_State: TypeAlias = Literal[
    "queued", "paused", "blocked", "nonced", "signed", "sent", "mined", "final", "failed", "cancelled"
]


def add_recording(table: RouteTable, service: RecordingService) -> None:
    """Adds the routes."""
    routes = http.Routes(table, "recording", http.PROBLEMS_400_404)
    for write in writes.WRITES:
        _add_write(routes, service, write)
    _add_statuses(routes, service)
    add_names(table, service.store, service.recorder)


def _add_write(routes: http.Routes, service: RecordingService, write: writes.Write) -> None:
    told = (write.kind.__doc__ or "").strip() if http.has_docstring(write.kind) else ""
    declare = routes.post(
        write.path,
        write.operation,
        write.act.summary,
        RecordStatus,
        rule=write.rule,
        examples={"queued": partial(_status, "queued")},
        body_example=write.example,
        description=" ".join(filter(None, (told, write.found.about, _ABOUT))),
        status_code=202,
    )
    declare(_endpoint(service, write, write.body))


def _endpoint(service: RecordingService, write: writes.Write, body_model: type[BaseModel]) -> Callable[..., Response]:
    """The endpoint function, with the parameters that are in the path."""

    def take(principal: Principal, idempotent: Idempotent, body: BaseModel, **asked: Any) -> Response:
        return idempotent.respond(
            lambda token: _take(service, Wanted(write, Attempt(token, idempotent.seed), asked, body, principal))
        )

    types: dict[str, Any] = {"principal": CurrentPrincipal, "idempotent": Idempotent, "body": body_model}
    in_path = {"subject": http.Subject, "id": Proposal if "{subject}" in write.path else http.Number}
    types |= {name: kind for name, kind in in_path.items() if f"{{{name}}}" in write.path}
    keyword = inspect.Parameter.KEYWORD_ONLY
    # FastAPI reads the types from the signature.
    take.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # as it reads any callable's
        [inspect.Parameter(name, keyword, annotation=kind) for name, kind in types.items()]
    )
    return take


def _take(service: RecordingService, wanted: Wanted) -> Response:
    """Queues a record and returns 202 with the location of its status. Idempotent under the attempt's token."""
    status = service.record(wanted)
    answer = http.reply(status, 202)
    answer.headers["Location"] = f"/v1/records/{status.id}"
    return answer


def _add_statuses(routes: http.Routes, service: RecordingService) -> None:
    @routes.page(
        "/v1/records",
        "listRecords",
        "List the company's records with their status",
        RecordStatus,
        rule=Rule(Scope.RECORDING, owner=True, cost=4),
        examples={"last": lambda: {"items": [_status("sent").to_json()], "next": None}},
    )
    def list_records(
        paging: http.Paging,
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
    def get_record(number: RecordNumber, if_none_match: http.IfNoneMatch = None) -> Response:
        """Returns the state of the record, from `queued` to `final`, or `failed` with the contract's error."""
        return http.reply_with_etag(service.status(number), if_none_match)


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


# The route that names things for programs of the company that do not hold its name key, such as nodes at the edge.


class WantedName(BaseModel):
    """What is to be named."""

    model_config = bodies.BODY

    kind: Literal["order", "lot", "stream", "machine"]
    identifier: bodies.Identifier


@dataclass(frozen=True, slots=True)
class Name(Printable):
    """A name from the company's name key, for a thing that is not on the ledger yet."""

    kind: str
    creator: int
    """Number of the participant that must record it."""
    identifier: str
    """In canonical form."""
    subject: bytes
    identifier_hash: bytes
    """What the record states."""
    salt: bytes
    proofs: tuple[bytes, ...]
    """A name key and a proof under it, 114 bytes each, for every name key of the company."""


def add_names(table: RouteTable, store: Store, recorder: Recorder | None) -> None:
    """Adds the route. If `recorder` is None, it answers 503."""
    routes = http.Routes(table, "recording", http.PROBLEMS_400)

    @routes.post(
        "/v1/names",
        "makeName",
        "Name a thing that the company is going to record",
        Name,
        rule=Rule(Scope.RECORDING, owner=True, cost=4),
        examples={"lot": _example},
        body_example={"kind": "lot", "identifier": "https://id.gs1.org/01/09506000013459/21/A0001"},
    )
    def make_name(principal: CurrentPrincipal, body: WantedName) -> Response:
        """For a program that signs and submits records itself but does not hold the name key. The name is stored in the
        private book. Idempotent: the same identifier has the same name. An identifier that names a recorded or queued
        thing of that kind is refused."""
        if recorder is None:
            raise NoSignerError("this gateway has no key for recording", hint="ask its operator to set gateway_signer")
        creator = recorder.participant(principal.participant)
        identity = recorder.name(creator, SubjectKind[body.kind.upper()], body.identifier)
        with store.transaction() as connection:
            Book(connection).add_identity(identity)
        return http.reply(_build_name(identity))


def _build_name(identity: Identity) -> Name:
    return Name(
        kind=identity.kind.name.lower(),
        creator=identity.creator,
        identifier=identity.identifier,
        subject=identity.subject,
        identifier_hash=identifier_hash(identity.salt, identity.identifier),
        salt=identity.salt,
        proofs=identity.proofs,
    )


def _example() -> Name:
    return _build_name(
        Identity(
            SubjectKind.LOT,
            3,
            "https://id.gs1.org/01/09506000013459/21/A0001",
            b"\x3c" * 32,
            (b"\x02" + b"\x5d" * 113,),
        )
    )
