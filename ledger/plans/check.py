"""The check of a plan: whoever may read the offers comes to the same result, without a solver and without trust.

1. Call and objective are those that the plan names.
2. It lists the offers that count, all of them and no others.
3. Each operation has one row, on a machine and at a time that its offer allows.
4. Transport fits between the rows; machines do one thing at a time, with time for setup.
5. The cost is the sum of its parts.
6. What is fixed is as in the plan before.
7. Of equal offers the one is taken that the tie hash chooses.
8. The bound follows from the slot prices.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from millmark.ledger.canonical import MAX_SAFE_INTEGER, Json, to_hex
from millmark.ledger.errors import MillmarkError, PlanError, PlanRefusedError, ProofError
from millmark.ledger.phrases import Phrase
from millmark.ledger.plans import feasible
from millmark.ledger.plans import problem as problems
from millmark.ledger.plans.call import Call, Need, Objective, OfferGround, why_not_capable
from millmark.ledger.plans.file import MAX_PLAN_FILE_BYTES, Machine, PlanFile, PlanPart, parse_plan_file
from millmark.ledger.plans.offer import Offer, OfferWithdrawal, OpenedOffer
from millmark.ledger.plans.plan import Bound, Key, Plan
from millmark.ledger.terminal import NO_ANSWER, write

# Which of the offers received count: those that no rule of PLANS.md takes out. Everybody comes to the same set.


@dataclass(frozen=True, slots=True)
class Counted:
    """Offers that count, and why the others do not."""

    call: bytes
    """Digest of the call, 32 bytes."""
    offers: Mapping[bytes, Offer]
    """By leaf hash, ascending."""
    refused: Mapping[bytes, str]
    """Reason by leaf hash, in a few words: `expired when the call closed`."""
    unanchored: int
    """How many of both kinds, and of withdrawals, came without the proof that they are in an anchored tree."""


def count_offers(call: Call, machines: Sequence[Machine], received: Sequence[OpenedOffer]) -> Counted:
    """Sort offers and withdrawals, in any order and number, into those that count and those that do not."""
    digest = call.digest
    known = {item.machine: item for item in machines}
    needs = {(job.order, item.operation): item.need for job in call.jobs for item in job.operations}
    withdrawn = _withdrawn(call, digest, received)
    able: dict[tuple[int, Need], str] = {}
    counting: dict[bytes, OpenedOffer] = {}
    refused: dict[bytes, str] = {}
    for opened in received:
        offer = opened.entry
        if isinstance(offer, OfferWithdrawal):
            continue
        reason = _why_unusable(call, digest, offer, known, needs, able) or _why_untimely(call, opened)
        if not reason and opened.id in withdrawn:
            reason = OfferGround.WITHDRAWN.write()
        if reason:
            refused[opened.id] = reason
        else:
            counting[opened.id] = opened
    for twin in _find_doubled(counting):
        refused[twin] = OfferGround.DOUBLED.write()
        del counting[twin]
    offers = {key: entry for key in sorted(counting) if isinstance(entry := counting[key].entry, Offer)}
    return Counted(digest, offers, refused, sum(item.anchored is None for item in received))


def _withdrawn(call: Call, digest: bytes, received: Sequence[OpenedOffer]) -> frozenset[bytes]:
    """Offers that their owner took back in time; nobody but the owner of its stream can. What has no place in a stream
    anybody can write: it takes back no offer that has one."""
    streams = {opened.id: opened.anchored.stream for opened in received if opened.anchored is not None}
    taken_back = set()
    for opened in received:
        entry, place = opened.entry, opened.anchored
        if isinstance(entry, Offer) or entry.call != digest or _why_untimely(call, opened):
            continue
        stream = streams.get(entry.offer)
        if stream is None or (place is not None and place.stream == stream):
            taken_back.add(entry.offer)
    return frozenset(taken_back)


def _why_unusable(
    call: Call,
    digest: bytes,
    offer: Offer,
    machines: Mapping[int, Machine],
    needs: Mapping[Key, Need],
    able: dict[tuple[int, Need], str],
) -> str:
    if offer.call != digest:
        return OfferGround.OTHER_CALL.write()
    if offer.until < call.closes:
        return OfferGround.EXPIRED.write()
    machine = machines.get(offer.machine)
    if machine is None:
        return OfferGround.MACHINE_UNKNOWN.write(machine=offer.machine)
    if machine.owner != offer.owner:
        return OfferGround.MACHINE_OF_OTHERS.write(machine=offer.machine)
    need = needs.get((offer.order, offer.operation))
    if need is None:
        return OfferGround.NOT_CALLED_FOR.write()
    key = offer.machine, need
    if key not in able:
        able[key] = why_not_capable(machine.capability, need)
    return OfferGround.MACHINE_INCAPABLE.write(machine=offer.machine, why=able[key]) if able[key] else ""


def _why_untimely(call: Call, opened: OpenedOffer) -> str:
    if (place := opened.anchored) is None:
        return ""
    if place.time >= call.closes:
        return OfferGround.LATE.write()
    try:
        opened.verify_anchored()
    except ProofError:
        return OfferGround.NOT_IN_TREE.write()
    return ""


def _find_doubled(counting: Mapping[bytes, OpenedOffer]) -> list[bytes]:
    """The offers that do not count beside others for the same operation on the same machine: all but the first one in
    the machine's stream, and all where that one is not known. An offer without a place in a stream, which anybody can
    write, takes nothing from those that have one."""
    groups: dict[tuple[bytes, int, int], list[OpenedOffer]] = defaultdict(list)
    for opened in counting.values():
        if isinstance(offer := opened.entry, Offer):
            groups[offer.order, offer.operation, offer.machine].append(opened)
    doubled: list[bytes] = []
    for group in groups.values():
        if len(group) > 1:
            doubled += _all_but_first(group)
    return doubled


def _all_but_first(group: Sequence[OpenedOffer]) -> list[bytes]:
    places = sorted((item.anchored.stream, item.anchored.leaf_index) for item in group if item.anchored is not None)
    if len({stream for stream, _ in places}) != 1:
        return [item.id for item in group]
    return [item.id for item in group if item.anchored is None or item.anchored.leaf_index != places[0][1]]


_SCALE = 1_000_000


class Unseen(Phrase):
    """What a file, or a part of a plan, cannot show alone. Whoever has the ledger can compare the first four."""

    MACHINES = "that machines, owners and capabilities are as the ledger has them"
    TERMS = "that the orders' terms are those in force"
    TIE = "that the tie hash is that of the first block when the call had closed"
    ANCHORS = "that the ledger has the anchors which the offers name"
    BEFORE = "that the plan before is the one on the ledger, and holds"
    NO_BEFORE = "what moved, and that fixed rows are as before: the plan before is not in the file"
    FIXED = "that the {count:d} fixed rows were accepted or had begun"
    REWORKED = "that the parts of {count:d} reworked rows were made and failed"
    DROPPED = "that a cause took away each of the {count:d} offers set aside"
    LEGS = "that the {count:d} legs which start before slot {slot:d} had been under way by then"
    OTHERS = "what others offered, and so the plan's cost and bound"
    OWN_DROPPED = "that a cause took away each of the {count:d} own offers that the plan sets aside"


@dataclass(frozen=True, slots=True)
class Share:
    """How much of what an owner offered is used."""

    owner: int
    offered: int
    """Slots of its machines that some offer of it could occupy, each counted once."""
    used: int
    """Slots of its rows."""


@dataclass(frozen=True, slots=True)
class PlanCheck:
    """What was found about a plan that breaks no rule."""

    plan: Plan
    counted: Counted
    gap_per_mille: int
    """How much cheaper a plan on these offers could be at most, in per mille of the cost without what was spent on rows
    that are reworked, rounded up."""
    moved: int | None
    """Rows of the plan before that have another offer or start, and were not reworked; None when there is none, or it
    was not given."""
    not_checked: tuple[str, ...]
    """What a file alone cannot show."""

    def shares(self) -> tuple[Share, ...]:
        """The share of each owner whose offers count, by owner, ascending."""
        offers = self.counted.offers
        return _share(self.plan, {identifier: offers[identifier] for identifier in self.plan.offers})


@dataclass(frozen=True, slots=True)
class PartCheck:
    """What an owner finds about its part of a plan."""

    unsold: int
    """Slot prices of its machines' slots that no row of its own uses."""
    gap: int
    """Cost of the plan less its bound: `unsold` is at most that in a plan that `check_plan` accepts."""
    dropped: int
    """Own offers that the plan sets aside by its cause."""


def check_plan(file: PlanFile) -> PlanCheck:
    """Check the plan of a file by all rules.

    Raises PlanRefusedError for the first one that is broken, PlanError when the file has no plan. Not established: that
    offers, machines, revisions and the tie hash are those of the ledger (`not_checked`), and that offers are honest.
    """
    plan, call, objective = file.plan, file.call, file.objective
    if plan is None:
        raise PlanError("the plan file has no plan", hint="make one with: millmark plan make")
    counted = count_offers(call, file.machines, file.offers)
    _verify_origin(file, plan, counted.call)
    offers = _verify_offers(plan, counted)
    feasible.verify_rows(call, plan, offers)
    problem = problems.build_problem(
        call, objective, offers.items(), now=plan.now, fixed=feasible.fixed_rows(plan), reworked=plan.reworked
    )
    feasible.verify_legs(problem, plan)
    feasible.verify_machines(plan, offers)
    _verify_cost(problem, objective, plan)
    if file.before is None:
        feasible.verify_alone(plan)
    else:
        feasible.verify_before(plan, file.before, counted.offers)
    feasible.verify_ties(problem, plan)
    _verify_slots(call, plan.bound, offers)
    # Before anything is expanded: a file of a few megabytes can ask for more memory than there is.
    problems.verify_size(problem, plan.bound)
    prices = problems.build_slot_prices(problem, plan.bound)
    value = problems.derive_bound(problem, prices, _known_paths(problem, plan, prices))
    if value != plan.bound.value:
        feasible.refuse(
            feasible.PlanRule.BOUND, feasible.PlanBreach.OTHER_BOUND.write(proved=value, stated=plan.bound.value)
        )
    return _describe(file, plan, counted)


def _verify_origin(file: PlanFile, plan: Plan, call: bytes) -> None:
    """Rules call and objective."""
    if plan.call != call:
        feasible.refuse(feasible.PlanRule.CALL, feasible.PlanBreach.FOR_OTHER_CALL.write())
    if file.objective.commitment != file.call.objective:
        feasible.refuse(feasible.PlanRule.OBJECTIVE, feasible.PlanBreach.OTHER_OBJECTIVE.write())


def verify_tie(stated: bytes, first: bytes) -> None:
    """Rule ties: `first` is the hash of the first block at or after the time when the call closed, by the ledger.
    Raises PlanRefusedError."""
    if stated != first:
        feasible.refuse(feasible.PlanRule.TIES, feasible.PlanBreach.OTHER_TIE.write(block=to_hex(first)))


def verify_revisions(call: Call, in_force: Mapping[bytes, bytes], orders: Collection[bytes] | None = None) -> None:
    """Rule revision: `in_force` has the claims root of the terms in force by order, as the ledger has them; of all
    orders of the call, or of these. Raises PlanRefusedError."""
    for job in call.jobs:
        if orders is not None and job.order not in orders:
            continue
        if in_force.get(job.order) != job.revision:
            key = job.order, job.operations[0].operation
            feasible.refuse(feasible.PlanRule.REVISION, feasible.PlanBreach.TERMS_CHANGED.write(), key)


def check_part(part: PlanPart, own: Iterable[tuple[bytes, Offer]]) -> PartCheck:
    """Check what an owner can of a plan: its offers are in the list, its rows are as it offered, and the slots of its
    machines that have a price and are not used are worth no more than the plan's gap.

    `own` are the owner's offers that count, with their leaf hashes. Raises PlanRefusedError. Not established: anything
    about the offers of others, so neither the plan's cost nor its bound.
    """
    offers = dict(own)
    listed = frozenset(part.offers) | frozenset(part.dropped)
    for identifier, offer in offers.items():
        if identifier not in listed:
            breach = feasible.PlanBreach.OFFER_LEFT_OUT.write(offer=to_hex(identifier))
            feasible.refuse(feasible.PlanRule.OFFERS, breach, (offer.order, offer.operation))
    _verify_own_rows(part, offers)
    gap = part.total - part.bound.value
    unsold = _unsold(part, {offer.machine for offer in offers.values()})
    if unsold > gap:
        feasible.refuse(feasible.PlanRule.BOUND, feasible.PlanBreach.UNSOLD_BEYOND_GAP.write(unsold=unsold, gap=gap))
    return PartCheck(unsold, gap, len(frozenset(part.dropped) & offers.keys()))


def _verify_own_rows(part: PlanPart, offers: Mapping[bytes, Offer]) -> None:
    for row in part.rows:
        offer = None if row.offer in part.dropped else offers.get(row.offer)
        if offer is None or (offer.order, offer.operation) != row.key:
            feasible.refuse(feasible.PlanRule.OFFER, feasible.PlanBreach.OFFER_NOT_OWNERS.write(), row.key)
        price = offer.price_at(row.start)
        stated = (row.machine, row.owner, row.end - row.start, row.price, row.wh, row.co2e_mg)
        if stated != (offer.machine, offer.owner, offer.duration, price, offer.wh, offer.co2e_mg):
            feasible.refuse(feasible.PlanRule.WINDOW, feasible.PlanBreach.OTHERWISE_OFFERED.write(), row.key)


def _unsold(part: PlanPart, machines: set[int]) -> int:
    used = {(row.machine, slot) for row in part.rows for slot in range(row.start, row.end)}
    return sum(
        price
        for machine, slots in part.bound.prices
        if machine in machines
        for slot, price in slots
        if (machine, slot) not in used
    )


def gap_per_mille(total: int, bound: int, *, spent: int) -> int:
    """Return (total - bound) / (total - spent) in per mille, rounded up: a claim must not look better than it is. What
    was spent is in total and bound alike. Measured by it, any gap would look small after a costly rework."""
    cost = total - spent
    return -(-(total - bound) * 1000 // cost) if cost else 0


def _verify_offers(plan: Plan, counted: Counted) -> dict[bytes, Offer]:
    """Rule offers. Returns those of the plan."""
    dropped = frozenset(plan.dropped)
    for identifier in (*plan.offers, *plan.dropped):
        if identifier not in counted.offers:
            reason = counted.refused.get(identifier, feasible.PlanBreach.NOT_RECEIVED.write())
            feasible.refuse(
                feasible.PlanRule.OFFERS, feasible.PlanBreach.NOT_COUNTING.write(offer=to_hex(identifier), why=reason)
            )
    offers = {identifier: offer for identifier, offer in counted.offers.items() if identifier not in dropped}
    # All of the plan's offers count, and it cannot list one twice: so as many are the same ones.
    if len(offers) != len(plan.offers):
        left_out = min(offers.keys() - frozenset(plan.offers))
        offer = offers[left_out]
        breach = feasible.PlanBreach.OFFER_LEFT_OUT.write(offer=to_hex(left_out))
        feasible.refuse(feasible.PlanRule.OFFERS, breach, (offer.order, offer.operation))
    return offers


def _verify_cost(problem: problems.Problem, objective: Objective, plan: Plan) -> None:
    """Rule sums."""
    try:
        cost = feasible.sum_cost(problem, objective, plan.rows, plan.legs, plan.reworked)
    except PlanError:
        feasible.refuse(feasible.PlanRule.SUMS, feasible.PlanBreach.SUM_BEYOND.write(most=MAX_SAFE_INTEGER))
    if cost != plan.cost:
        parts = {name: getattr(cost, name) for name in ("price", "transport", "tardiness", "carbon", "spent")}
        breach = feasible.PlanBreach.SUM_OF_PARTS.write(cost=cost.total, stated=plan.cost.total, **parts)
        feasible.refuse(feasible.PlanRule.SUMS, breach)


def _verify_slots(call: Call, bound: Bound, offers: Mapping[bytes, Offer]) -> None:
    """No price for what the bound's sum over slots does not know."""
    machines = {offer.machine for offer in offers.values()}
    for machine, pairs in bound.prices:
        if machine not in machines:
            feasible.refuse(feasible.PlanRule.BOUND, feasible.PlanBreach.PRICED_WITHOUT_OFFER.write(machine=machine))
        if pairs and pairs[-1][0] >= call.slots:
            feasible.refuse(
                feasible.PlanRule.BOUND,
                feasible.PlanBreach.PRICED_BEYOND_CALL.write(slot=pairs[-1][0], machine=machine),
            )


def _known_paths(problem: problems.Problem, plan: Plan, prices: problems.SlotPrices) -> list[int]:
    """By order, what the plan's own path costs with slot prices: none that is dearer can be the cheapest one."""
    chosen = {choice.offer: choice for route in problem.routes for choices in route.choices for choice in choices}
    path = iter([(chosen[row.offer], row.start) for row in plan.rows])
    return [problems.path_cost(problem, route, [next(path) for _ in route.choices], prices) for route in problem.routes]


def _describe(file: PlanFile, plan: Plan, counted: Counted) -> PlanCheck:
    moved = None
    if file.before is not None:
        now = {row.key: (row.offer, row.start) for row in plan.rows}
        done = frozenset(plan.reworked)
        moved = sum(now.get(row.key) != (row.offer, row.start) for row in file.before.rows if row not in done)
    return PlanCheck(
        plan=plan,
        counted=counted,
        gap_per_mille=gap_per_mille(plan.cost.total, plan.bound.value, spent=plan.cost.spent),
        moved=moved,
        not_checked=_not_checked(file, plan, counted),
    )


def _share(plan: Plan, offers: Mapping[bytes, Offer]) -> tuple[Share, ...]:
    spans: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for offer in offers.values():
        spans[offer.owner, offer.machine] += [(low, high + offer.duration) for low, high, _ in offer.windows]
    offered: dict[int, int] = defaultdict(int)
    for (owner, _), group in spans.items():
        offered[owner] += _length_of_union(group)
    used: dict[int, int] = defaultdict(int)
    for row in plan.rows:
        used[row.owner] += row.end - row.start
    return tuple(Share(owner, offered[owner], used[owner]) for owner in sorted(offered))


def _length_of_union(spans: list[tuple[int, int]]) -> int:
    length = at = 0
    for low, high in sorted(spans):
        length += max(0, high - max(low, at))
        at = max(high, at)
    return length


def jain_per_mille(shares: Sequence[Share]) -> int:
    """Jain's index of used by offered slots: 1000 when all owners have the same share of what they offered."""
    # Integers, so that everybody comes to the same per mille.
    ratios = [share.used * _SCALE // share.offered for share in shares]
    squares = sum(ratio * ratio for ratio in ratios)
    return sum(ratios) ** 2 * 1000 // (len(ratios) * squares) if squares else 1000


def _not_checked(file: PlanFile, plan: Plan, counted: Counted) -> tuple[str, ...]:
    lines = [one.write() for one in (Unseen.MACHINES, Unseen.TERMS, Unseen.TIE)]
    if counted.unanchored:
        lines.append(
            f"that {counted.unanchored} of {len(file.offers)} offers are on the ledger: they came without proof"
        )
    if counted.unanchored < len(file.offers):
        lines.append(Unseen.ANCHORS.write())
    return (*lines, *_not_checked_before(file, plan))


def _not_checked_before(file: PlanFile, plan: Plan) -> Iterator[str]:
    """What a plan takes over from the one that it replaces and from the cause, as given: its bound rests on it."""
    if plan.before is None:
        return
    yield (Unseen.NO_BEFORE if file.before is None else Unseen.BEFORE).write()
    if plan.fixed:
        yield Unseen.FIXED.write(count=len(plan.fixed))
    if plan.reworked:
        yield Unseen.REWORKED.write(count=len(plan.reworked))
    if plan.dropped:
        yield Unseen.DROPPED.write(count=len(plan.dropped))
    if early := sum(leg.start < plan.now for leg in plan.legs):
        yield Unseen.LEGS.write(count=early, slot=plan.now)


# Says what the check of a plan file found, in lines and as JSON, and prints it.
#
# Exit codes: 0 the plan holds, 1 refused (rule and row), 2 the input cannot be used, 3 nothing could be printed.

FORMAT: Final = "millmark.plan.check/1"
"""As of all commands that print JSON; millmark.services.output, which names theirs, may not be there."""


def read_plan_file(path: Path) -> PlanFile:
    """Read and parse a plan file. Raises PlanError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_PLAN_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or "not a path"
        raise PlanError(f"cannot read {path}: {cause}", hint="name a plan file") from None
    return parse_plan_file(data)


def tell_check(path: Path, *, as_json: bool) -> int:
    """Check the plan file at `path`, print what was found, and return the exit code."""
    try:
        file = read_plan_file(path)
        found = check_plan(file)
    except PlanRefusedError as error:
        if as_json:
            write(sys.stdout, _as_text(_refusal(error)) + "\n")
        write(sys.stderr, f"millmark: REFUSED {error}\n")
        return error.exit_code
    except MillmarkError as error:
        write(sys.stderr, f"millmark: {error}\n")
        return error.exit_code
    shown = _as_text(check_to_json(file, found)) if as_json else "\n".join(check_lines(file, found))
    if not write(sys.stdout, f"{shown}\n"):
        write(sys.stderr, "millmark: the answer cannot be written; check the output and its disk\n")
        return NO_ANSWER
    return 0


def _as_text(members: dict[str, Json]) -> str:
    return json.dumps({"format": FORMAT, **members}, indent=2)


def check_lines(file: PlanFile, found: PlanCheck) -> Iterator[str]:
    """What was found, for people."""
    plan, cost, unit = found.plan, found.plan.cost, file.call.unit
    machines, owners = {row.machine for row in plan.rows}, {row.owner for row in plan.rows}
    yield f"plan {to_hex(plan.digest)}"
    yield (
        f"feasible: {len(plan.rows)} operations of {len(file.call.jobs)} orders on {len(machines)} machines of "
        f"{len(owners)} companies, {len(plan.legs)} legs"
    )
    yield (
        f"cost: {cost.total} {unit} (price {cost.price}, transport {cost.transport}, tardiness {cost.tardiness}, "
        f"carbon {cost.carbon})"
    )
    yield (
        f"bound: {plan.bound.value} {unit}; no plan on these {len(plan.offers)} offers{_what_stays(plan)} is cheaper "
        f"than that, so none is more than {per_cent(found.gap_per_mille)} cheaper than this one"
    )
    shares = found.shares()
    yield "used of the slots offered: " + ", ".join(f"company {s.owner} {s.used} of {s.offered}" for s in shares)
    yield f"evenness of that (Jain's index): {jain_per_mille(shares) / 1000:.3f}"
    if found.moved is not None and file.before is not None:
        yield f"moved: {found.moved} of {len(file.before.rows)} rows of the plan before"
    if plan.reworked:
        yield (
            f"reworked: {len({row.key for row in plan.reworked})} operations, on which {cost.spent} {unit} were spent: "
            "part of cost and bound, and left out of the percentage"
        )
    yield from _set_aside(plan, file.before)
    for reason, count in sorted(Counter(found.counted.refused.values()).items()):
        yield f"not counted: {count} offers, {reason}"
    for line in found.not_checked:
        yield f"not checked: {line}"


def _set_aside(plan: Plan, before: Plan | None) -> Iterator[str]:
    """A plan names what earlier ones set aside, too, of which its cause took nothing away."""
    if before is None:
        if plan.dropped:
            yield f"set aside: {len(plan.dropped)} offers, by this plan or those before"
        return
    new = len(plan.newly_dropped(before))
    if new and plan.cause is not None:
        yield f"set aside: {new} offers, by the cause {plan.cause.kind.value}"
    if earlier := len(plan.dropped) - new:
        yield f"set aside by earlier plans: {earlier} offers"


def check_to_json(file: PlanFile, found: PlanCheck) -> dict[str, Json]:
    """What was found, for programs."""
    shares = found.shares()
    return {
        "holds": True,
        "plan": to_hex(found.plan.digest),
        "call": to_hex(found.plan.call),
        "unit": file.call.unit,
        "cost": found.plan.cost.to_json(),
        "bound": found.plan.bound.value,
        "gap_per_mille": found.gap_per_mille,
        "rows": len(found.plan.rows),
        "offers": len(found.plan.offers),
        "not_counted": {to_hex(identifier): reason for identifier, reason in found.counted.refused.items()},
        "shares": [{"owner": share.owner, "offered": share.offered, "used": share.used} for share in shares],
        "jain_per_mille": jain_per_mille(shares),
        "moved": found.moved,
        "not_checked": list(found.not_checked),
    }


def per_cent(per_mille: int) -> str:
    """A part of the whole with one decimal: `3.1 %`."""
    return f"{per_mille // 10}.{per_mille % 10} %"


def _what_stays(plan: Plan) -> str:
    """What a plan that replaces another one takes as given: its bound says nothing about plans that change that."""
    if plan.before is None:
        return ""
    return f" that keeps the {len(plan.fixed)} fixed rows and starts all others in slot {plan.now} or later"


def _refusal(error: PlanRefusedError) -> dict[str, Json]:
    return {
        "holds": False,
        "rule": error.rule,
        "order": None if error.order is None else to_hex(error.order),
        "operation": error.operation,
        "cause": error.cause,
    }
