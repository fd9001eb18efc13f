"""A plan's rows become assignments: what is proposed, whether that is what the owner offered, and which slots the rows
take that it accepted."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from millmark.ledger.canonical import Json, parse_hex32, to_hex
from millmark.ledger.errors import CanonicalError, ClaimsError, InputError, PlanError
from millmark.ledger.plans.call import Call
from millmark.ledger.plans.file import PlanPart
from millmark.ledger.plans.offer import Offer
from millmark.ledger.plans.plan import CauseKind, Key, Plan, Row
from millmark.ledger.records import AssignmentState
from millmark.ledger.store import Book, Rows
from millmark.ledger.store.rows import AssignmentRow, OperationRow
from millmark.services.planning.calls import verify_revisions
from millmark.services.planning.errors import PlanningGround, RowRefusedError
from millmark.services.planning.reading import PlanningTables, find_claims, need_call
from millmark.services.planning.repository import LeafRow, PlanRow, What
from millmark.services.planning.stream_entries import find_call

MAX_REWORKS = 255
"""The ledger counts no more of a lot."""
_DECLINE = "decline it"
_TAKEN = (AssignmentState.ACCEPTED, AssignmentState.STARTED, AssignmentState.FINISHED)


@dataclass(frozen=True, slots=True)
class ProposedRow:
    """The row of a plan that an assignment's document has."""

    plan: bytes
    """Digest."""
    row: Row
    root: bytes
    """Claims root of the document: to accept the row is to commit to the same."""
    rework: int = 0
    """Which rework of its operation it is; 0 for the first time that it is done."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Time of a machine that a row has."""

    machine: int
    assignment: int
    begin: int
    """Unix seconds."""
    end: int
    work: Key
    """Order and operation."""
    is_done: bool = False
    """Whether it is finished, perhaps earlier than planned: then its rework may begin before the planned end."""

    def overlaps(self, other: Taken) -> bool:
        if self.work == other.work and (self.is_done or other.is_done):
            return False
        return self.machine == other.machine and self.begin < other.end and other.begin < self.end


class TakenTimes:
    """Times of one owner's machines that accepted rows have, by machine. Those of a machine are read once, when it is
    first asked about: to agree on many rows takes as many look-ups as there are rows."""

    def __init__(self, rows: Rows, book: Book, owner: int) -> None:
        self._rows, self._book, self._owner = rows, book, owner
        self._by_machine: dict[int, list[Taken]] = {}
        self._longest: dict[int, int] = {}
        """By machine, the seconds of the longest one: nothing that begins earlier than that reaches into a time."""

    def of(self, machine: int) -> list[Taken]:
        """The taken times of a machine, in the order of their beginnings."""
        if machine not in self._by_machine:
            found = sorted(_find_taken(self._rows, self._book, machine, self._owner), key=_begin_of)
            self._by_machine[machine] = found
            self._longest[machine] = max((one.end - one.begin for one in found), default=0)
        return self._by_machine[machine]

    def add(self, one: Taken) -> None:
        """Adds the time of a row that is being accepted, so that later rows are compared with it too."""
        insort(self.of(one.machine), one, key=_begin_of)
        self._longest[one.machine] = max(self._longest[one.machine], one.end - one.begin)

    def find_overlap(self, wanted: Taken) -> Taken | None:
        """A time of another assignment that has a part of what is wanted."""
        times = self.of(wanted.machine)
        first = bisect_left(times, wanted.begin - self._longest[wanted.machine], key=_begin_of)
        last = bisect_left(times, wanted.end, key=_begin_of)
        near = (times[place] for place in range(first, last))
        return next((one for one in near if one.assignment != wanted.assignment and one.overlaps(wanted)), None)


class PlannedTimes:
    """The times that plans give to assignments. Each call is read once."""

    def __init__(self, rows: Rows, book: Book) -> None:
        self._rows, self._book = rows, book
        self._calls: dict[bytes, Call | None] = {}

    def of(self, assignment: AssignmentRow) -> Taken | None:
        """None if it is of no plan whose call and offers are known here. Raises RowRefusedError if its document is
        malformed."""
        proposed = find_row(self._book, assignment)
        leaf = None if proposed is None else self._rows.get(LeafRow, proposed.row.offer)
        if proposed is None or leaf is None:
            return None
        if leaf.call not in self._calls:
            self._calls[leaf.call] = find_call(self._rows, leaf.call)
        call = self._calls[leaf.call]
        if call is None:
            return None
        taken = _time_of(call, proposed.row, assignment.sequence)
        return replace(taken, is_done=assignment.state == AssignmentState.FINISHED)


def find_row(book: Book, assignment: AssignmentRow) -> ProposedRow | None:
    """The row that an assignment proposes; None if it is of no plan. Raises RowRefusedError if it is malformed."""
    claims = find_claims(book, assignment.claims_root)
    if claims is None or ("plan",) not in claims.paths:
        return None
    try:
        shown = claims.document
        if not isinstance(shown, dict) or shown.keys() - {"rework"} != {"plan", "row"}:
            raise PlanError("it has other members than plan, row and rework")
        rework = shown.get("rework", 0)
        if not isinstance(rework, int) or isinstance(rework, bool) or not 0 <= rework <= MAX_REWORKS:
            raise PlanError("it does not say which rework it is")
        plan, row = parse_hex32(str(shown["plan"])), Row.parse(shown["row"])
        return ProposedRow(plan, row, assignment.claims_root, rework)
    except (CanonicalError, ClaimsError, PlanError) as error:
        cause = PlanningGround.ROW_MALFORMED.write(assignment=assignment.sequence, error=error.cause)
        raise RowRefusedError(cause) from None


def verify_row(
    rows: Rows,
    book: Book,
    assignment: AssignmentRow,
    proposed: ProposedRow,
    owner: int,
    now_s: int,
    times: TakenTimes | None = None,
) -> Taken:
    """Verifies that a proposed row is what its owner offered, and that its machine has the time: no row that was
    accepted has it, and none of `times`. Returns that time. Raises RowRefusedError."""
    row, number = proposed.row, assignment.sequence
    leaf = rows.get(LeafRow, row.offer)
    if leaf is None or leaf.what != What.OFFER or leaf.owner != owner:
        raise RowRefusedError(PlanningGround.OTHERS_OFFER.write(assignment=number))
    offer, call = Offer.parse(leaf.value), find_call(rows, leaf.call)
    if call is None:
        raise RowRefusedError(PlanningGround.CALL_UNKNOWN.write(assignment=number))
    different = _find_difference(assignment, row, offer)
    if different:
        cause = PlanningGround.NOT_AS_OFFERED.write(assignment=number, difference=different)
        raise RowRefusedError(cause, hint=_DECLINE)
    if offer.until < now_s:
        raise RowRefusedError(PlanningGround.OFFER_EXPIRED.write(assignment=number), hint=_DECLINE)
    plan = rows.get(PlanRow, proposed.plan)
    if plan is not None and plan.call != leaf.call:
        raise RowRefusedError(PlanningGround.OTHER_PLAN.write(assignment=number), hint=_DECLINE)
    wanted = _time_of(call, row, number)
    other = (times or TakenTimes(rows, book, owner)).find_overlap(wanted)
    if other is not None:
        cause = PlanningGround.OVERLAP.write(assignment=number, machine=row.machine, other=other.assignment)
        raise RowRefusedError(cause, hint=_DECLINE)
    return wanted


def consent_to(rows: Rows, book: Book, assignment: int, now_s: int) -> bytes | None:
    """The claims root to which an owner commits by accepting an assignment: that of its row; None if it
    is of no plan. Raises RowRefusedError unless the row is what the owner offered."""
    found = rows.get(AssignmentRow, assignment)
    proposed = None if found is None else find_row(book, found)
    if found is None or proposed is None:
        return None
    verify_row(rows, book, found, proposed, found.owner, now_s)
    return proposed.root


def find_busy(rows: Rows, book: Book, call: Call, machine: int, owner: int) -> Iterator[tuple[int, int]]:
    """Slots of a call in which a machine is taken by rows that were accepted, of this call or of others."""
    for one in _find_taken(rows, book, machine, owner):
        yield (one.begin - call.origin) // call.slot, -(-(one.end - call.origin) // call.slot)


def _find_taken(rows: Rows, book: Book, machine: int, owner: int) -> Iterator[Taken]:
    times = PlannedTimes(rows, book)
    for assignment in rows.find(AssignmentRow, machine=machine, owner=owner):
        taken = times.of(assignment) if AssignmentState(assignment.state) in _TAKEN else None
        if taken is not None:
            yield taken


def _begin_of(one: Taken) -> int:
    return one.begin


def _time_of(call: Call, row: Row, assignment: int) -> Taken:
    begin, end = (call.origin + at * call.slot for at in (row.start, row.end))
    return Taken(row.machine, assignment, begin, end, row.key)


def _find_difference(assignment: AssignmentRow, row: Row, offer: Offer) -> str:
    """How a row of the plan differs from the offer or from the assignment on the ledger; empty if it does not."""
    price = offer.price_at(row.start)
    if price is None:
        return PlanningGround.NO_WINDOW.write(slot=row.start)
    stated = {
        "order": (to_hex(row.order), to_hex(offer.order)),
        "operation": (row.operation, offer.operation),
        "machine": (row.machine, offer.machine),
        "owner": (row.owner, offer.owner),
        "end": (row.end, row.start + offer.duration),
        "price": (row.price, price),
        "Wh": (row.wh, offer.wh),
        "mg CO2e": (row.co2e_mg, offer.co2e_mg),
    }
    recorded = (assignment.order, assignment.operation, assignment.machine, assignment.owner)
    if recorded != (row.order, row.operation, row.machine, row.owner):
        return PlanningGround.OTHER_RECORD.write()
    differences = ((name, str(one), str(two)) for name, (one, two) in stated.items() if one != two)
    return next((PlanningGround.IN_PLACE.write(field=name, one=one, two=two) for name, one, two in differences), "")


@dataclass(frozen=True, slots=True)
class Standing:
    """What became of a row: the current assignment of its operation, if that is of the same row."""

    assignment: AssignmentRow | None
    is_same: bool
    """Whether its document has this very row, of this plan or of one before."""
    is_planned: bool = True
    """Whether its document has a row of a plan at all."""
    is_rework: bool = False
    """Whether the operation was done before, and its part failed."""

    @property
    def state(self) -> AssignmentState | None:
        if self.assignment is None or not self.is_same:
            return None
        return AssignmentState(self.assignment.state)


def find_standing(rows: Rows, book: Book, plan: Plan | PlanPart) -> dict[Key, Standing]:
    """What became of the rows of a plan. An assignment that other hands made counts as another row, and so does the one
    under which an operation was done before its rework."""
    found = {}
    reworks = Counter(row.key for row in plan.reworked)
    for row in plan.rows:
        operation = rows.get(OperationRow, row.order, row.operation)
        assignment = None if operation is None else rows.get(AssignmentRow, operation.assignment)
        proposed = None if assignment is None else find_row(book, assignment)
        is_planned = assignment is None or proposed is not None
        is_same = proposed is not None and (proposed.row, proposed.rework) == (row, reworks[row.key])
        found[row.key] = Standing(assignment, is_same, is_planned, is_rework=row.key in reworks)
    return found


# What is proposed, what is cancelled before, and what owners accept

_LIVE = (AssignmentState.PROPOSED, AssignmentState.ACCEPTED, AssignmentState.STARTED)


@dataclass(frozen=True, slots=True)
class Proposals:
    """What is to be recorded so that the ledger has a plan's rows."""

    plan: Plan
    rows: tuple[Row, ...]
    """Those to be proposed."""
    cancelled: tuple[int, ...]
    """Assignments that are not as in the plan, and are cancelled before."""

    @property
    def reason(self) -> dict[str, Json]:
        """Why those are cancelled: the document behind the record."""
        cause = None if self.plan.cause is None else self.plan.cause.to_json()
        return {"replan": to_hex(self.plan.digest), "cause": cause}


def find_proposals(tables: PlanningTables, plan: Plan) -> Proposals:
    """A row that is as it was in the plan before keeps its assignment; one that moved is cancelled first. Raises
    CallRefusedError for orders with other terms by now, InputError for work that no plan assigned."""
    standing = find_standing(tables.rows, tables.book, plan)
    todo = [row for row in plan.rows if not _is_settled(standing[row.key])]
    verify_revisions(tables.rows, tables.book, need_call(tables.rows, plan.call), {row.order for row in todo})
    cancelled = (_replaced(standing[row.key]) for row in todo)
    return Proposals(plan, tuple(todo), tuple(one for one in cancelled if one is not None))


def find_waiting(tables: PlanningTables, me: int, named: Iterable[int] | None = None) -> list[AssignmentRow]:
    """Assignments that a machine owner named, or all that wait for it. Raises InputError for an unknown one."""
    if named:
        return [tables.need_assignment(one) for one in named]
    return tables.rows.find(AssignmentRow, owner=me, state=AssignmentState.PROPOSED.value)


def judge_waiting(
    tables: PlanningTables, me: int, waiting: Iterable[AssignmentRow], now_s: int
) -> tuple[dict[int, bytes], list[RowRefusedError]]:
    """The claims roots of the rows that are as they were offered, by assignment, and why the others are refused."""
    roots, refused, times = {}, [], TakenTimes(tables.rows, tables.book, me)
    for row in waiting:
        try:
            proposed = find_row(tables.book, row)
            if proposed is None:
                raise _of_no_plan(tables, row)
            times.add(verify_row(tables.rows, tables.book, row, proposed, me, now_s, times))
            roots[row.sequence] = proposed.root
        except RowRefusedError as error:
            refused.append(error)
    return roots, refused


def build_decline(tables: PlanningTables, assignment: int, cause: CauseKind, text: str) -> dict[str, Json]:
    """Why an owner declines a row of a plan: the document behind the record. Raises InputError if it is of none."""
    proposed = find_row(tables.book, tables.need_assignment(assignment))
    if proposed is None:
        ground = PlanningGround.OF_NO_PLAN.write(assignment=assignment)
        raise InputError(ground, hint="use `millmark assignments decline`")
    return {"plan": to_hex(proposed.plan), "cause": {"kind": cause.value, "text": text}}


def _of_no_plan(tables: PlanningTables, row: AssignmentRow) -> RowRefusedError:
    if find_claims(tables.book, row.claims_root) is None:
        return RowRefusedError(
            PlanningGround.ROW_NOT_HERE.write(assignment=row.sequence),
            hint="its coordinator's gateway hands it over",
        )
    ground = PlanningGround.OF_NO_PLAN.write(assignment=row.sequence)
    return RowRefusedError(ground, hint="use `millmark assignments accept`")


def _is_settled(standing: Standing) -> bool:
    """Whether nothing is to be proposed: the row is, or its operation is finished, whoever assigned it."""
    is_finished = standing.assignment is not None and standing.assignment.state == AssignmentState.FINISHED
    if standing.is_rework and not standing.is_same:
        return False  # what is finished is what failed
    return is_finished or standing.state in _LIVE


def _replaced(standing: Standing) -> int | None:
    """The live assignment of an operation whose row the plan changes; None if there is none. Raises InputError for one
    that no plan made: nobody asked for that to be cancelled."""
    row = standing.assignment
    if row is None or AssignmentState(row.state) not in _LIVE:
        return None
    if not standing.is_planned:
        raise InputError(
            PlanningGround.UNPLANNED.write(operation=row.operation + 1, assignment=row.sequence),
            hint=f"cancel it first: millmark assignments cancel {row.sequence}",
        )
    return row.sequence
