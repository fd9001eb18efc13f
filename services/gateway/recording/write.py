"""What the API says of one kind of record: its route, who may call it, and what its body is."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel

from millmark.ledger.ids import SubjectKind
from millmark.ledger.records import Record, Role
from millmark.services.access import Scope
from millmark.services.access.rules import MAX_BODY_BYTES, Rule
from millmark.services.gateway.recording.bodies import body_of
from millmark.services.gateway.recording.build_records import Find
from millmark.services.gateway.recording.example_bodies import Body
from millmark.services.gateway.recording.specifications import Verify

__all__ = ["Write"]


@dataclass(frozen=True, slots=True)
class Write:
    """A kind of record and its route."""

    kind: type[Record]
    path: str
    summary: str
    roles: Role
    """The contract requires one of these roles."""
    example: Body
    """Example of a request body."""
    find: Find | None = None
    """Looks up the fields `given`."""
    given: tuple[str, ...] = ()
    names: SubjectKind | None = None
    """Kind of the thing that the record creates and names."""
    verify: Verify | None = None
    """Checks the body before a record is built from it."""
    about: str = ""
    """What it checks, for the API's documentation."""
    asks: tuple[str, ...] = ()
    """Members of the body that are not fields of the record (millmark.services.gateway.recording.bodies). `find` reads
    them."""
    body_bytes: int = MAX_BODY_BYTES
    called: str = ""
    """Name of the operation, where it is not that of the record."""

    @property
    def operation(self) -> str:
        name = self.called or self.kind.__name__
        return name[0].lower() + name[1:]

    @property
    def body(self) -> type[BaseModel]:
        """The model of its request bodies."""
        return body_of(self.kind, self.given, self.asks, self.called)  # type: ignore[arg-type]  # mypy judges the class by its instances' hash

    @property
    def rule(self) -> Rule:
        """The permission rule: only the company that runs the gateway may record."""
        return Rule(Scope.RECORDING, self.roles, owner=True, cost=4, body_bytes=self.body_bytes)
