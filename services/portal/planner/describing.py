"""What the coordinator's pages show of orders, calls, offers and plans in the making."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from millmark.ledger.plans.plan import Row
from millmark.ledger.provenance.answers import Machine, Party
from millmark.ledger.provenance.reader import Reader
from millmark.ledger.records import AssignmentState
from millmark.ledger.store.rows import AssignmentRow, OrderRow
from millmark.services.planning.attempts import Attempt
from millmark.services.planning.showing import CallShown, OfferShown, PlanShown

__all__ = [
    "describe_attempts",
    "describe_call",
    "describe_failures",
    "describe_orders",
    "describe_owners",
    "money_of",
]


@dataclass(frozen=True, slots=True)
class Waiting:
    """An order whose operations are not all assigned."""

    order: bytes
    identifier: str | None
    buyer: Party
    operations: int
    finished: int
    due_at: datetime
    reason: str
    """Why no call can be made for it; empty if one can."""


@dataclass(frozen=True, slots=True)
class Called:
    """A call, and whether offers are still taken."""

    shown: CallShown
    is_open: bool
    left_s: int


@dataclass(frozen=True, slots=True)
class Owner:
    """What one company offered for a call."""

    owner: Party
    was_called: bool
    counted: int
    """Offers that count."""
    windows: int
    """Number of their windows."""
    lowest: int | None
    """Price of the cheapest of their windows."""
    until_at: datetime | None
    """Until when all of them are valid."""
    refused: tuple[tuple[str, int], ...]
    """Why others do not count, and how many."""


@dataclass(frozen=True, slots=True)
class Tried:
    """A plan that was made or is being made."""

    attempt: Attempt
    total: str
    bound: str
    gap: str
    """In per cent."""
    moved: int | None
    rows: int
    difference: str
    """From the cost of the plan that it would replace; empty if there is none."""
    is_best: bool


@dataclass(frozen=True, slots=True)
class Failures:
    """What can be named as the cause of a new plan."""

    machines: tuple[Machine, ...]
    assignments: tuple[tuple[int, str, str, bool], ...]
    """Number, order, state, and whether it was declined."""


def describe_orders(names: Reader, found: Iterable[tuple[OrderRow, str]]) -> list[Waiting]:
    rows = list(found)
    names.name({row.subject for row, _ in rows})
    return [
        Waiting(
            row.subject,
            names.identifier(row.subject),
            names.party(row.buyer),
            row.operations,
            row.finished,
            datetime.fromtimestamp(row.due_at, UTC),
            reason,
        )
        for row, reason in rows
    ]


def describe_call(shown: CallShown, now_s: int) -> Called:
    left = int(shown.closes_at.timestamp()) - now_s
    return Called(shown, left > 0, max(left, 0))


def describe_owners(names: Reader, offers: Sequence[OfferShown], asked: Collection[int]) -> list[Owner]:
    """One line for each company that was called or that offered something."""
    by_owner: defaultdict[int, list[OfferShown]] = defaultdict(list)
    for one in offers:
        by_owner[one.owner.participant].append(one)
    return [_owner(names, number, by_owner[number], number in asked) for number in sorted({*by_owner, *asked})]


def _owner(names: Reader, number: int, offers: Sequence[OfferShown], was_called: bool) -> Owner:
    counted = [one for one in offers if one.counts]
    reasons: defaultdict[str, int] = defaultdict(int)
    for one in offers:
        if not one.counts:
            reasons[one.reason or ""] += 1
    return Owner(
        names.party(number),
        was_called,
        len(counted),
        sum(len(one.windows) for one in counted),
        min((window.price for one in counted for window in one.windows), default=None),
        min((one.until_at for one in counted), default=None),
        tuple(sorted(reasons.items())),
    )


def describe_attempts(attempts: Sequence[Attempt], unit: str, before: PlanShown | None) -> list[Tried]:
    """All that was tried, with the cheapest marked."""
    totals = [one.plan.cost.total for one in attempts if one.plan is not None]
    best = min(totals, default=None)
    return [_tried(one, unit, before, best) for one in attempts]


def _tried(one: Attempt, unit: str, before: PlanShown | None, best: int | None) -> Tried:
    if one.plan is None:
        return Tried(one, "", "", "", None, 0, "", is_best=False)
    total, gap = one.plan.cost.total, one.gap_per_mille
    difference = "" if before is None else money_of(total - before.total, unit, sign=True)
    shown = money_of(total, unit), money_of(one.plan.bound.value, unit), f"{gap // 10}.{gap % 10}"
    return Tried(one, *shown, one.moved, len(one.plan.rows), difference, is_best=total == best)


def describe_failures(names: Reader, used: Iterable[tuple[Row, AssignmentRow | None]]) -> Failures:
    """The machines and assignments of the latest plan."""
    listed = list(used)
    names.name({row.order for row, _ in listed})
    machines = tuple(names.machine(number) for number in sorted({row.machine for row, _ in listed}))
    assignments = tuple(
        (one.sequence, names.identifier(row.order) or row.order.hex(), state.name, state is AssignmentState.DECLINED)
        for row, one in listed
        if one is not None and (state := AssignmentState(one.state)) is not AssignmentState.CANCELLED
    )
    return Failures(machines, assignments)


def money_of(amount: int, unit: str, *, sign: bool = False) -> str:
    """`EUR/100` counts hundredths; amounts of another unit are shown as they are."""
    currency, _, parts = unit.partition("/")
    decimals = len(parts) - 1 if parts[:1] == "1" and not parts[1:].strip("0") else 0
    text = f"{Decimal(amount).scaleb(-decimals):{'+' if sign else ''},}"
    return f"{text} {currency}"
