"""The owner's side of a plan: whether a proposed row is what it offered, and which slots its accepted rows take."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass, replace

from millmark.ledger.canonical import parse_hex32, to_hex
from millmark.ledger.errors import CanonicalError, ClaimsError, PlanError
from millmark.ledger.plans.call import Call
from millmark.ledger.plans.offer import Offer, parse_offer
from millmark.ledger.plans.plan import Key, Row, parse_row
from millmark.ledger.records import AssignmentState
from millmark.ledger.store import Book, Rows
from millmark.ledger.store.rows import AssignmentRow
from millmark.services.planning.books import find_claims
from millmark.services.planning.errors import RowRefusedError
from millmark.services.planning.grounds import PlanningGround
from millmark.services.planning.handing import find_call
from millmark.services.planning.repository import LeafRow, PlanRow, What

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
        """By their beginnings."""
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
        plan, row = parse_hex32(str(shown["plan"])), parse_row(shown["row"])
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
    offer, call = parse_offer(leaf.value), find_call(rows, leaf.call)
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
