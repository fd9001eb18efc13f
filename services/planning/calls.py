"""Makes a coordinator's calls: from orders that it coordinates, their documents, and what it says that lateness and
transport cost."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Container, Sequence
from dataclasses import dataclass

from millmark.ledger.canonical import Json, to_hex
from millmark.ledger.claims import Claims, Field
from millmark.ledger.errors import PlanError
from millmark.ledger.plans.call import Call, Job, Need, Objective, Operation
from millmark.ledger.records import AssignmentState, OrderState
from millmark.ledger.store import Book, Registry, Rows
from millmark.ledger.store.rows import AssignmentRow, OperationRow, OrderRow
from millmark.services.planning.calendar import Grid, ObjectiveFile, build_objective
from millmark.services.planning.errors import CallRefusedError, PlanningGround
from millmark.services.planning.reading import PlanningTables, find_claims

_MOST_LATE = 100_000
_LIVE = (AssignmentState.PROPOSED, AssignmentState.ACCEPTED, AssignmentState.STARTED)


@dataclass(frozen=True, slots=True)
class Wanted:
    """An order that is to be planned."""

    job: Job
    buyer: int


def build_job(rows: Rows, book: Book, order: bytes, coordinator: int, grid: Grid) -> Wanted:
    """The open operations of an order. Raises CallRefusedError if its coordinator may not call for it, if an operation
    does not say what it needs, or if none is open."""
    row, name = rows.get(OrderRow, order), _name(book, order)
    if row is None or row.coordinator != coordinator:
        raise CallRefusedError(PlanningGround.NOT_COORDINATED.write(order=name, participant=coordinator))
    if row.state not in (OrderState.ACCEPTED, OrderState.IN_PRODUCTION):
        state = OrderState(row.state).name.lower().replace("_", " ")
        raise CallRefusedError(
            PlanningGround.ORDER_STATE.write(order=name, state=state), hint="its coordinator accepts it first"
        )
    needs = needs_of(find_claims(book, row.claims_root), row.operations, name)
    first = _first_open(rows, row, name)
    operations = tuple(Operation(number, needs[number]) for number in range(first, row.operations))
    due = max(-_MOST_LATE, min(2 * _MOST_LATE, (row.due_at - grid.origin) // grid.slot))
    return Wanted(Job(order, row.claims_root, 0, due, operations), row.buyer)


def needs_of(claims: Claims | None, count: int, name: str) -> dict[int, Need]:
    """What each operation needs, from the order's document. Raises CallRefusedError."""
    if claims is None:
        raise CallRefusedError(PlanningGround.NO_DOCUMENT.write(order=name), hint="its buyer's gateway hands it over")
    found = {}
    for number in range(count):
        try:
            found[number] = Need.parse(_need(claims, number))
        except PlanError as error:
            raise CallRefusedError(
                PlanningGround.NO_NEED.write(operation=number + 1, order=name, error=error.cause),
                hint='its document has "operations": {"0": {"need": {"kind": "turning", "values": {}}}}',
            ) from None
    return found


def verify_revisions(rows: Rows, book: Book, call: Call, orders: Container[bytes] | None = None) -> None:
    """Verifies that the terms of all orders, or of these, are still those of the call. Raises CallRefusedError."""
    for job in call.jobs:
        if orders is not None and job.order not in orders:
            continue
        row = rows.get(OrderRow, job.order)
        if row is None or row.claims_root != job.revision:
            cause = PlanningGround.OLD_REVISION.write(order=_name(book, job.order))
            raise CallRefusedError(cause, hint="the coordinator makes a new call")


def _first_open(rows: Rows, row: OrderRow, name: str) -> int:
    states = {one.operation: _state(rows, one) for one in rows.find(OperationRow, order=row.subject)}
    done = (AssignmentState.FINISHED, *_LIVE)
    first = next((number for number in range(row.operations) if states.get(number) not in done), None)
    if first is None:
        raise CallRefusedError(PlanningGround.NONE_OPEN.write(order=name))
    for number in range(first, row.operations):
        if states.get(number) in done:
            raise CallRefusedError(
                PlanningGround.ASSIGNED.write(operation=number + 1, order=name),
                hint="cancel it: `millmark assignments cancel`",
            )
    return first


def _state(rows: Rows, operation: OperationRow) -> AssignmentState | None:
    row = rows.get(AssignmentRow, operation.assignment)
    return None if row is None else AssignmentState(row.state)


def _need(claims: Claims, number: int) -> Json:
    """The member `need` of an operation: by its number in an object, or in a list."""
    need: dict[str, Json] = {}
    values: dict[str, Json] = {}
    for path, field in claims.fields:
        # A list's index is a number in paths; an object's key is text.
        if len(path) < 4 or path[0] != "operations" or str(path[1]) != str(number) or path[2] != "need":
            continue
        if not isinstance(field, Field):
            raise PlanError("a part of it is erased")
        if path[3] == "values":
            if len(path) == 5:
                values[str(path[4])] = field.value
        else:
            need[str(path[3])] = field.value
    return {**need, "values": values} if need else None


def _name(book: Book, order: bytes) -> str:
    identity = book.identity(order)
    return to_hex(order) if identity is None else identity.identifier


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
    """The slots of `days` days, from the first full slot at or after the closing time."""
    slot = slot_minutes * 60
    return Grid(-(-closes // slot) * slot, slot, -(-days * _DAY_S // slot))


def build_call(
    tables: PlanningTables,
    me: int,
    asking: Asking,
    file: ObjectiveFile,
    now_s: int,
    find_company: Callable[[str], int],
    find_order: Callable[[str], bytes],
) -> tuple[Call, Objective]:
    """The call, and the objective to which it commits. Raises CallRefusedError, and what the look-ups raise."""
    ledger, grid = Registry(tables.connection).identity(), asking.grid
    if ledger is None or asking.closes <= now_s:
        raise CallRefusedError(PlanningGround.PAST.write(), hint="give a later time with --closes")
    if len(set(asking.orders)) != len(asking.orders):
        raise CallRefusedError("an order is named twice", hint="name each once")
    wanted = [build_job(tables.rows, tables.book, one, me, grid) for one in sorted(asking.orders)]
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


def find_open_orders(tables: PlanningTables, coordinator: int, now_s: int) -> list[tuple[OrderRow, str]]:
    """The orders with operations that nobody is assigned to, by due date. Beside each stands the reason why no call for
    offers can be made for it, empty if one can."""
    grid = build_grid(now_s, 60, 1)
    found = []
    for state in (OrderState.ACCEPTED, OrderState.IN_PRODUCTION):
        for row in tables.rows.find(OrderRow, coordinator=coordinator, state=int(state)):
            try:
                build_job(tables.rows, tables.book, row.subject, coordinator, grid)
                found.append((row, ""))
            except CallRefusedError as error:
                if PlanningGround.NONE_OPEN.read(error.cause) is None:
                    found.append((row, error.cause))
    return sorted(found, key=lambda pair: (pair[0].due_at, pair[0].subject))
