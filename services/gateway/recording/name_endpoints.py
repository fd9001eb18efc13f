"""The route that names things for programs of the company that do not hold its name key, such as nodes at the edge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fastapi import Response
from pydantic import BaseModel

from millmark.ledger.ids import Identity, SubjectKind, identifier_hash
from millmark.ledger.provenance.answers import Printable
from millmark.ledger.store import Book, Store
from millmark.services.access import Scope
from millmark.services.access.rules import Rule
from millmark.services.gateway.http.authentication import CurrentPrincipal
from millmark.services.gateway.http.errors import NoSignerError
from millmark.services.gateway.http.responses import PROBLEMS_400, reply
from millmark.services.gateway.http.route_table import RouteTable
from millmark.services.gateway.http.routes import Routes
from millmark.services.gateway.recording.bodies import BODY, Identifier
from millmark.services.gateway.recording.recorder import Recorder

__all__ = ["add_names"]


class WantedName(BaseModel):
    """What is to be named."""

    model_config = BODY

    kind: Literal["order", "lot", "stream", "machine"]
    identifier: Identifier


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
    routes = Routes(table, "recording", PROBLEMS_400)

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
        return reply(_build_name(identity))


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
