"""Makes calls from orders on the ledger and their documents."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from millmark.ledger.canonical import Json, to_hex
from millmark.ledger.claims import Claims, Field
from millmark.ledger.errors import PlanError
from millmark.ledger.plans.call import Call, Job, Need, Operation, parse_need
from millmark.ledger.records import AssignmentState, OrderState
from millmark.ledger.store import Book, Rows
from millmark.ledger.store.rows import AssignmentRow, OperationRow, OrderRow
from millmark.services.planning.books import find_claims
from millmark.services.planning.calendar import Grid
from millmark.services.planning.errors import CallRefusedError
from millmark.services.planning.grounds import PlanningGround

_MOST_LATE = 100_000
_LIVE = (AssignmentState.PROPOSED, AssignmentState.ACCEPTED, AssignmentState.STARTED)


@dataclass(frozen=True, slots=True)
class Wanted:
    """An order that is to be planned."""

    job: Job
    buyer: int


def build_job(rows: Rows, book: Book, order: bytes, coordinator: int, grid: Grid, release: int = 0) -> Wanted:
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
    return Wanted(Job(order, row.claims_root, release, due, operations), row.buyer)


def needs_of(claims: Claims | None, count: int, name: str) -> dict[int, Need]:
    """What each operation needs, from the order's document. Raises CallRefusedError."""
    if claims is None:
        raise CallRefusedError(PlanningGround.NO_DOCUMENT.write(order=name), hint="its buyer's gateway hands it over")
    found = {}
    for number in range(count):
        try:
            found[number] = parse_need(_need(claims, number))
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
