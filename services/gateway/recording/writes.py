"""The route of each act: its rule, its request body, and what of the record the path and the index supply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel

from millmark.ledger import records
from millmark.ledger.ids import SubjectKind
from millmark.ledger.records import Record
from millmark.services.access import ANY_ROLE, Scope
from millmark.services.access.rules import MAX_BODY_BYTES, Rule
from millmark.services.acts import ACTS, About, Act, Body
from millmark.services.gateway.recording import bodies, build_records


@dataclass(frozen=True, slots=True)
class Found:
    """What a route looks up beside what its body says."""

    find: build_records.Find | None = None
    """Looks up the fields `given`."""
    given: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    """Members of the body that are not fields of the record (millmark.services.gateway.recording.bodies). `find` reads
    them."""
    verify: build_records.Verify | None = None
    """Checks the body before a record is built from it."""
    about: str = ""
    """What it checks, for the API's documentation."""


@dataclass(frozen=True, slots=True)
class Write:
    """An act and its route."""

    act: Act
    found: Found

    @property
    def operation(self) -> str:
        return self.act.name

    @property
    def path(self) -> str:
        return self.act.path

    @property
    def names(self) -> SubjectKind | None:
        """Kind of the thing that the record creates and names."""
        return self.act.names

    @property
    def kind(self) -> type[Record]:
        found: type[Record] = getattr(records, self.act.kind)
        return found

    @property
    def example(self) -> Body:
        return self.act.body_example

    @property
    def body(self) -> type[BaseModel]:
        """The model of its request bodies."""
        called = self.operation[0].upper() + self.operation[1:]
        return bodies.body_of(self.kind, self.found.given, self.found.asks, called)  # type: ignore[arg-type]  # mypy judges the class by its instances' hash

    @property
    def rule(self) -> Rule:
        """The permission rule: only the company that runs the gateway may record."""
        most, roles = self.act.body_bytes or MAX_BODY_BYTES, self.act.roles or ANY_ROLE
        return Rule(Scope.RECORDING, roles, owner=True, cost=4, body_bytes=most)


_BY_THING: Mapping[About, Found] = {
    About.NOTHING: Found(),
    About.ORDER: Found(build_records.subject("order"), ("order",)),
    About.LOT: Found(build_records.subject("lot"), ("lot",)),
    About.ASSIGNMENT: Found(build_records.find_assigned, ("order", "operation", "assignment")),
    About.MACHINE: Found(build_records.number("machine"), ("machine",)),
    About.MODEL: Found(build_records.number("model"), ("model",)),
}
"""What follows from the thing in a path."""
_TERMS = (
    build_records.verify_terms,
    "If `terms.claims` has the specification of a product (`specification.product` is its digest), and the product is "
    "in `terms.claims.product` or known to the gateway, it is refused (400, `specification-refused`) unless all "
    "options are allowed, all constraints hold, the operations are those of the product's route, and a quantity is "
    "agreed.",
)
_PARENT = Found(build_records.subject("parent"), ("parent",))
_READ = ("stream", "size", "root")
_BY_ACT: Mapping[str, Found] = {
    "placeOrder": Found(None, (), (), *_TERMS),
    "proposeRevision": Found(build_records.subject("order"), ("order",), (), *_TERMS),
    "acceptRevision": Found(build_records.find_proposal, ("order", "terms", "proposal")),
    "endOrder": Found(build_records.find_end, ("order", "proposal")),
    "finishAssignment": Found(build_records.find_finished, ("order", "operation", "assignment"), ("event",)),
    "readRegister": Found(build_records.find_register, _READ, ("moment", "register_wh", "quantity", "reset", "stream")),
    "answerSetpoint": Found(build_records.find_setpoint_answer, _READ, ("answer", "reason_text")),
    "allocateLot": _BY_THING[About.ORDER],
    "packLots": _PARENT,
    "unpackLots": _PARENT,
    "returnLot": Found(build_records.find_returned, ("lot", "to", "identifier_hash")),
    "issueCertificate": Found(build_records.find_measured, (), ("event",)),
    "revokeCertificate": Found(build_records.find_certified, ("lots", "certificate")),
    "demandOpening": Found(build_records.find_certified, ("lot", "ground", "certificate")),
    "openCertificate": Found(
        build_records.find_demanded, ("certificate", "key", "issued", "inference", "measured"), ("publish_window",)
    ),
    "anchor": Found(build_records.subject("stream"), ("stream",)),
    "note": Found(build_records.find_grounds, ("subjects", "grounds"), ("subjects",)),
}
"""What acts look up that need something else."""


def _find(act: Act) -> Found:
    return _BY_ACT.get(act.name) or _BY_THING[act.about if "{" in act.path else About.NOTHING]


WRITES: tuple[Write, ...] = tuple(Write(act, _find(act)) for act in ACTS.values())
