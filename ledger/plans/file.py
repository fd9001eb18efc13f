"""Plan files: everything that a reader of the offers needs to check a plan; and the part that an owner is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from millmark.ledger.canonical import MAX_SAFE_INTEGER, canonical_json, parse_json
from millmark.ledger.errors import CanonicalError, PlanError
from millmark.ledger.plans import form
from millmark.ledger.plans import plan as plans
from millmark.ledger.plans.call import MAX_KINDS, Call, Capability, Objective
from millmark.ledger.plans.form import LEFT_OUT, Between, Called, Form, Hash, Id
from millmark.ledger.plans.offer import OpenedOffer

PLAN_FILE_FORMAT = "millmark.plan-file"
PART_FORMAT = "millmark.plan-part"
MAX_PLAN_FILE_BYTES = 256 * 2**20
_MAX_DEPTH = 12


@dataclass(frozen=True, slots=True)
class Machine(Form):
    """A machine as the ledger has it: its owner, and the capability that it declares."""

    WHAT = "a machine"
    machine: Annotated[Id, Called("number")]
    owner: Id
    capability: tuple[Capability, ...]

    def verify(self) -> None:
        form.check_count(self.capability, "kinds of a capability", 0, MAX_KINDS)


@dataclass(frozen=True, slots=True)
class PlanFile(Form):
    """A plan with all that it was made from."""

    WHAT, FORMAT = "a plan file", PLAN_FILE_FORMAT
    call: Call
    objective: Objective
    machines: tuple[Machine, ...]
    """Machines of the offers, ascending: whoever has the ledger compares them with it."""
    offers: tuple[OpenedOffer, ...]
    """Offers and withdrawals as they were received, in any order."""
    plan: plans.Plan | None = None
    """None before one was made."""
    before: plans.Plan | None = None
    """The plan that it replaces."""

    def verify(self) -> None:
        form.check_ascending([item.machine for item in self.machines], "the machines of a plan file")

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        return canonical_json(self.to_json())


def parse_plan_file(data: bytes) -> PlanFile:
    """Parse a plan file; its JSON need not be canonical, but what it names by hash is hashed in canonical form. Raises
    PlanError."""
    try:
        value = parse_json(data, max_bytes=MAX_PLAN_FILE_BYTES, max_depth=_MAX_DEPTH)
    except CanonicalError as error:
        raise PlanError(f"the plan file is unusable: {error.cause}", hint=error.hint) from None
    return PlanFile.parse(value)


@dataclass(frozen=True, slots=True)
class PlanPart(Form):
    """What an owner or carrier is given of a plan: its own rows and legs, the list of offers, the slot prices."""

    WHAT, FORMAT = "a plan's part", PART_FORMAT
    plan: Hash
    """Digest of the whole plan."""
    call: Hash
    """Digest of the call."""
    participant: Id
    """Whom the part is for."""
    offers: tuple[Hash, ...]
    dropped: Annotated[tuple[Hash, ...], Called("dropped offers")]
    tie: Annotated[Hash, Called("tie hash")]
    rows: tuple[plans.Row, ...]
    """Those of its machines."""
    legs: tuple[plans.Leg, ...]
    """Those that start at it, end at it or are carried by it."""
    total: Annotated[int, Between(0, MAX_SAFE_INTEGER)]
    """Cost of the whole plan, in the call's unit."""
    bound: plans.Bound
    before: Annotated[Hash | None, Called("the plan before")] = None
    cause: plans.Cause | None = None
    reworked: Annotated[tuple[plans.Row, ...], Called("reworked rows"), LEFT_OUT] = ()
    """Those of its machines that were carried out, and whose operation is done again."""
    spent: Annotated[int, Called("the amount spent in a plan's part"), LEFT_OUT] = 0
    """The part of `total` that all reworked rows of the plan cost."""

    def verify(self) -> None:
        for name, ids in (("offers", self.offers), ("dropped offers", self.dropped)):
            form.check_ascending(ids, f"the {name} of a plan's part")
        form.check_ascending([row.key for row in self.rows], "the rows of a plan's part")
        form.check_ascending([leg.key for leg in self.legs], "the legs of a plan's part")
        form.check_range(self.spent, "the amount spent in a plan's part", 0, self.total)
        if self.before is None and (self.reworked or self.spent):
            raise PlanError("a part of a plan without one before reworks rows")
        if sum(row.price for row in self.reworked) > self.spent:
            raise PlanError("the reworked rows of a plan's part cost more than all reworked rows of the plan")


def build_part(plan: plans.Plan, participant: int) -> PlanPart:
    """Return what `participant` is given of `plan`."""
    return PlanPart(
        plan=plan.digest,
        call=plan.call,
        participant=participant,
        offers=plan.offers,
        dropped=plan.dropped,
        tie=plan.tie,
        rows=tuple(row for row in plan.rows if row.owner == participant),
        legs=tuple(leg for leg in plan.legs if participant in (leg.origin, leg.destination, leg.carrier)),
        total=plan.cost.total,
        bound=plan.bound,
        before=plan.before,
        cause=plan.cause,
        reworked=tuple(row for row in plan.reworked if row.owner == participant),
        spent=plan.cost.spent,
    )
