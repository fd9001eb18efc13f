"""Makes a coordinator's call: from orders that it coordinates, and what it says that lateness and transport cost."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from millmark.ledger.plans.call import Call, Objective
from millmark.ledger.records import OrderState
from millmark.ledger.store import Registry
from millmark.ledger.store.rows import OrderRow
from millmark.services.planning.calendar import Grid
from millmark.services.planning.calls import build_job
from millmark.services.planning.errors import CallRefusedError
from millmark.services.planning.grounds import PlanningGround
from millmark.services.planning.objectives import ObjectiveFile, build_objective
from millmark.services.planning.shelf import Shelf

_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Asking:
    """What a coordinator asks, and whom."""

    orders: Sequence[bytes]
    """Their subjects."""
    closes: int
    """Until when offers count, Unix seconds."""
    grid: Grid
    asked: Collection[int]
    """The companies that are called."""
    readers: Collection[int]
    """Companies that may read all offers, and check the whole plan."""


def build_grid(closes: int, slot_minutes: int, days: int) -> Grid:
    """Slots of so many days, from the first full slot at or after the closing time on."""
    slot = slot_minutes * 60
    return Grid(-(-closes // slot) * slot, slot, -(-days * _DAY_S // slot))


def build_call(
    shelf: Shelf,
    me: int,
    asking: Asking,
    file: ObjectiveFile,
    now_s: int,
    find_company: Callable[[str], int],
    find_order: Callable[[str], bytes],
) -> tuple[Call, Objective]:
    """The call, and the objective to which it commits. Raises CallRefusedError, and what the look-ups raise."""
    ledger, grid = Registry(shelf.connection).identity(), asking.grid
    if ledger is None or asking.closes <= now_s:
        raise CallRefusedError(PlanningGround.PAST.write(), hint="give a later time with --closes")
    if len(set(asking.orders)) != len(asking.orders):
        raise CallRefusedError("an order is named twice", hint="name each once")
    wanted = [build_job(shelf.rows, shelf.book, one, me, grid) for one in sorted(asking.orders)]
    buyers, jobs = {one.job.order: one.buyer for one in wanted}, tuple(one.job for one in wanted)
    objective = build_objective(file, jobs, asking.asked, grid.slot, find_company, find_order, buyers)
    made = Call(
        chain_id=ledger.chain_id,
        ledger=ledger.ledger,
        coordinator=me,
        salt=secrets.token_bytes(32),
        origin=grid.origin,
        slot=grid.slot,
        slots=grid.slots,
        closes=asking.closes,
        unit=file.unit,
        readers=tuple(sorted(asking.readers)),
        objective=objective.commitment,
        jobs=jobs,
    )
    return made, objective


def find_open_orders(shelf: Shelf, coordinator: int, now_s: int) -> list[tuple[OrderRow, str]]:
    """The orders that a call can be made for, by when they are due, each with why it cannot be called for; empty if it
    can. Those whose operations are all assigned are left out."""
    grid = build_grid(now_s, 60, 1)
    found = []
    for state in (OrderState.ACCEPTED, OrderState.IN_PRODUCTION):
        for row in shelf.rows.find(OrderRow, coordinator=coordinator, state=int(state)):
            try:
                build_job(shelf.rows, shelf.book, row.subject, coordinator, grid)
                found.append((row, ""))
            except CallRefusedError as error:
                if PlanningGround.NONE_OPEN.read(error.cause) is None:
                    found.append((row, error.cause))
    return sorted(found, key=lambda pair: (pair[0].due_at, pair[0].subject))
