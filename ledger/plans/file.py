"""Plan files: everything that a reader of the offers needs to check a plan; and the part that an owner is given."""

from __future__ import annotations

from dataclasses import dataclass

from millmark.ledger.canonical import Json, canonical_json, parse_json, to_hex
from millmark.ledger.errors import CanonicalError, PlanError
from millmark.ledger.plans import call as form
from millmark.ledger.plans import plan as plans
from millmark.ledger.plans.offer import OpenedOffer, parse_opened_offer

PLAN_FILE_FORMAT = "millmark.plan-file"
PART_FORMAT = "millmark.plan-part"
MAX_PLAN_FILE_BYTES = 256 * 2**20
_MAX_DEPTH = 12


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine as the ledger has it: its owner, and the capability that it declares."""

    machine: int
    owner: int
    capability: tuple[form.Capability, ...]

    def __post_init__(self) -> None:
        form.check_range(self.machine, "the number of a machine", 1, form.MAX_ID)
        form.check_range(self.owner, "the owner of a machine", 1, form.MAX_ID)
        form.check_count(self.capability, "kinds of a capability", 0, form.MAX_KINDS)

    def to_json(self) -> dict[str, Json]:
        return {
            "machine": self.machine,
            "owner": self.owner,
            "capability": [kind.to_json() for kind in self.capability],
        }


@dataclass(frozen=True, slots=True)
class PlanFile:
    """A plan with all that it was made from."""

    call: form.Call
    objective: form.Objective
    machines: tuple[Machine, ...]
    """Machines of the offers, ascending: whoever has the ledger compares them with it."""
    offers: tuple[OpenedOffer, ...]
    """Offers and withdrawals as they were received, in any order."""
    plan: plans.Plan | None = None
    """None before one was made."""
    before: plans.Plan | None = None
    """The plan that it replaces."""

    def __post_init__(self) -> None:
        form.check_ascending([item.machine for item in self.machines], "the machines of a plan file")

    def to_json(self) -> dict[str, Json]:
        return {
            "format": PLAN_FILE_FORMAT,
            "version": 1,
            "call": self.call.to_json(),
            "objective": self.objective.to_json(),
            "machines": [item.to_json() for item in self.machines],
            "offers": [item.to_json() for item in self.offers],
            "plan": None if self.plan is None else self.plan.to_json(),
            "before": None if self.before is None else self.before.to_json(),
        }

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
    names = ("call", "objective", "machines", "offers", "plan", "before")
    members = form.read_document(value, "a plan file", PLAN_FILE_FORMAT, names)
    plan, before = members["plan"], members["before"]
    return PlanFile(
        call=form.parse_call(members["call"]),
        objective=form.parse_objective(members["objective"]),
        machines=tuple(
            parse_machine(item) for item in form.read_array(members["machines"], "the machines of a plan file")
        ),
        offers=tuple(
            parse_opened_offer(item) for item in form.read_array(members["offers"], "the offers of a plan file")
        ),
        plan=None if plan is None else plans.parse_plan(plan),
        before=None if before is None else plans.parse_plan(before),
    )


def parse_machine(value: Json) -> Machine:
    """Build a machine from its JSON. Raises PlanError."""
    members = form.read_object(value, "a machine", ("machine", "owner", "capability"))
    return Machine(
        machine=form.read_integer(members["machine"], "the number of a machine"),
        owner=form.read_integer(members["owner"], "the owner of a machine"),
        capability=form.parse_capability(members["capability"]),
    )


@dataclass(frozen=True, slots=True)
class PlanPart:
    """What an owner or carrier is given of a plan: its own rows and legs, the list of offers, the slot prices."""

    plan: bytes
    """Digest of the whole plan, 32 bytes."""
    call: bytes
    """Digest of the call, 32 bytes."""
    participant: int
    """Whom the part is for."""
    offers: tuple[bytes, ...]
    dropped: tuple[bytes, ...]
    tie: bytes
    rows: tuple[plans.Row, ...]
    """Those of its machines."""
    legs: tuple[plans.Leg, ...]
    """Those that start at it, end at it or are carried by it."""
    total: int
    """Cost of the whole plan, in the call's unit."""
    bound: plans.Bound
    before: bytes | None = None
    cause: plans.Cause | None = None
    reworked: tuple[plans.Row, ...] = ()
    """Those of its machines that were carried out, and whose operation is done again."""
    spent: int = 0
    """The part of `total` that all reworked rows of the plan cost."""

    def __post_init__(self) -> None:
        for name, value in (("plan", self.plan), ("call", self.call), ("tie hash", self.tie)):
            form.check_size(value, f"the {name} of a plan's part", 32)
        form.check_range(self.participant, "the participant of a plan's part", 1, form.MAX_ID)
        for name, ids in (("offers", self.offers), ("dropped offers", self.dropped)):
            form.check_ascending(ids, f"the {name} of a plan's part")
        form.check_ascending([row.key for row in self.rows], "the rows of a plan's part")
        form.check_ascending([leg.key for leg in self.legs], "the legs of a plan's part")
        form.check_range(self.total, "the total of a plan's part", 0, 2**53 - 1)
        form.check_range(self.spent, "the amount spent in a plan's part", 0, self.total)
        if self.before is None and (self.reworked or self.spent):
            raise PlanError("a part of a plan without one before reworks rows")
        if sum(row.price for row in self.reworked) > self.spent:
            raise PlanError("the reworked rows of a plan's part cost more than all reworked rows of the plan")

    def to_json(self) -> dict[str, Json]:
        """Without `reworked` and `spent` where there is nothing of that, as in a plan."""
        return {
            "format": PART_FORMAT,
            "version": 1,
            "plan": to_hex(self.plan),
            "call": to_hex(self.call),
            "before": None if self.before is None else to_hex(self.before),
            "cause": None if self.cause is None else self.cause.to_json(),
            "participant": self.participant,
            "offers": [to_hex(item) for item in self.offers],
            "dropped": [to_hex(item) for item in self.dropped],
            "tie": to_hex(self.tie),
            **({"reworked": [row.to_json() for row in self.reworked]} if self.reworked else {}),
            "rows": [row.to_json() for row in self.rows],
            "legs": [leg.to_json() for leg in self.legs],
            **({"spent": self.spent} if self.spent else {}),
            "total": self.total,
            "bound": self.bound.to_json(),
        }


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


def parse_part(value: Json) -> PlanPart:
    """Build a plan's part from its JSON. Raises PlanError."""
    names = (
        *("plan", "call", "before", "cause", "participant", "offers", "dropped", "tie", "rows", "legs", "total"),
        "bound",
    )
    members = form.read_document(value, "a plan's part", PART_FORMAT, names, ("reworked", "spent"))
    reworked = form.read_optional_array(members, "reworked", "the reworked rows of a part")
    before, cause = members["before"], members["cause"]
    return PlanPart(
        plan=form.read_bytes(members["plan"], "the plan of a plan's part"),
        call=form.read_bytes(members["call"], "the call of a plan's part"),
        before=None if before is None else form.read_bytes(before, "the plan before"),
        cause=None if cause is None else plans.parse_cause(cause),
        participant=form.read_integer(members["participant"], "the participant of a plan's part"),
        offers=plans.read_ids(members["offers"], "the offers of a plan's part"),
        dropped=plans.read_ids(members["dropped"], "the dropped offers of a plan's part"),
        tie=form.read_bytes(members["tie"], "the tie hash of a plan's part"),
        reworked=tuple(plans.parse_row(item) for item in reworked),
        spent=plans.read_spent(members, "a plan's part"),
        rows=tuple(plans.parse_row(item) for item in form.read_array(members["rows"], "the rows of a plan's part")),
        legs=tuple(plans.parse_leg(item) for item in form.read_array(members["legs"], "the legs of a plan's part")),
        total=form.read_integer(members["total"], "the total of a plan's part"),
        bound=plans.parse_bound(members["bound"]),
    )
