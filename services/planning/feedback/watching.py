"""One company's feedback: it takes in causes, and keeps where the machines stand.

Everything that a cause leads to is written in one transaction: the cause itself, where the machine stands, the entries
of the owner's stream, and the records to be sent. What is on the ledger is looked at once, in its order, and the same
evidence is the same cause; so a restart, a second look or a second report changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from structlog.typing import FilteringBoundLogger

from millmark.ledger.canonical import Json, to_hex
from millmark.ledger.errors import FootprintError, PlanError
from millmark.ledger.events.certificates import CertificateIssued, NoteRecorded
from millmark.ledger.events.orders import AssignmentDeclined, AssignmentFinished
from millmark.ledger.footprint import parse_register_entry, wh_between
from millmark.ledger.plans.call import Call
from millmark.ledger.plans.offer import Offer, OfferWithdrawal
from millmark.ledger.plans.plan import CauseKind, Row
from millmark.ledger.records import Contract, NoteKind, Verdict
from millmark.ledger.store import Book, Rows
from millmark.ledger.store.repository import Feed, Position
from millmark.ledger.store.rows import AssignmentRow, LotRow, MachineRow, OrderRow, RecordRow, gates_of
from millmark.services.planning import consent, errors, reading, repository, stream_entries
from millmark.services.planning.feedback.causes import (
    RULES,
    CauseRefusedError,
    Condition,
    MachineCause,
    Outcome,
    Sentence,
    Step,
    judge,
    judge_elsewhere,
    may_withdraw,
)
from millmark.services.planning.feedback.drift_alarms import DriftAlarms
from millmark.services.planning.feedback.repository import CauseRow, FeedbackRepository, State
from millmark.services.planning.feedback.taking import Queue, SetpointProposer, Taker, find_touched

_PAGE = 200
"""Records that are looked at in one transaction."""
_MAKING_S = 3600
"""Longer than any plan takes from the offers that it reads to its record."""


@dataclass(frozen=True, slots=True)
class Watcher:
    """Feedback of one company, within one transaction."""

    tables: reading.PlanningTables
    me: int
    """Participant."""
    queue: Queue
    setpoints: SetpointProposer
    now_s: int
    captured: bool = False
    """Whether a node captures the company's streams, so that nothing else may be added to them."""
    drift_notes: bool = False
    """Whether alarms of the company's inspections become notes on what others made."""
    logger: FilteringBoundLogger | None = None
    _taker: Taker = field(init=False)
    _kept: FeedbackRepository = field(init=False)
    _alarms: DriftAlarms | None = field(init=False)

    def __post_init__(self) -> None:
        taker = Taker(self.tables, self.me, self.queue, self.setpoints, self.now_s, self.captured)
        object.__setattr__(self, "_taker", taker)
        object.__setattr__(self, "_kept", taker.kept)
        alarms = DriftAlarms(self.tables, self.me, self.queue, self.logger) if self.drift_notes else None
        object.__setattr__(self, "_alarms", alarms)

    def is_idle(self) -> bool:
        """Whether a look would find nothing to do."""
        feed, at = Feed(self.tables.connection), self._kept.position()
        if at is None or feed.after(Position(*at), 1):
            return False
        if self._taker.can_go_on() or not (self._alarms is None or self._alarms.is_idle()):
            return False
        return not any(True for _ in self._find_withdrawn())

    def look(self) -> int:
        """Takes in the next final records, and goes on with what waited. Returns how many records there were: after a
        full page there may be more."""
        feed, at = Feed(self.tables.connection), self._kept.position()
        if at is None:
            # What happened before a company's feedback began is history, and nothing acts on it.
            end = feed.end()
            self._kept.put_position(end.registry, end.ledger)
            return 0
        found = feed.after(Position(*at), _PAGE)
        for position, record in found:
            if record.contract == Contract.LEDGER.value:
                for one in find_all(self.tables.rows, self.tables.book, feed, record):
                    self._take_in(one)
                if self._alarms is not None:
                    self._alarms.take(feed, record, record.event())
            at = position.registry, position.ledger
        if found:
            self._kept.put_position(*at)
        self._take_in_withdrawals()
        self._taker.go_on()
        if self._alarms is not None:
            self._alarms.go_on()
        return len(found)

    def to_search(self) -> list[MachineCause]:
        """Causes for which settings are to be looked for before the next look, outside of a transaction."""
        return self._taker.to_search()

    def report(self, cause: MachineCause) -> CauseRow:
        """Takes in what this company itself says of its own machine. Raises CauseRefusedError for another's machine,
        and for evidence that is not there."""
        if not self._owns(cause.machine):
            raise CauseRefusedError(
                f"machine {cause.machine} is not one of this company", hint="its owner reports what happens at it"
            )
        if cause.stream is not None and self.tables.book.leaf(cause.stream, cause.leaf or 0) != cause.leaf_hash:
            raise CauseRefusedError("the entry that it names is not in the book", hint="name stream, index and hash")
        return self._judge(cause, self.me)

    def dismiss(self, name: bytes, reason: str) -> CauseRow:
        """Dismisses a cause because a person says that it does not count. Its steps are taken back unless another cause
        followed. Raises CauseRefusedError for a cause that is unknown or already settled."""
        row = self._kept.cause(name)
        if row is None:
            raise CauseRefusedError(f"no cause {to_hex(name)[:18]} is known here", hint="see `millmark plan causes`")
        if row.outcome in (Outcome.DISMISSED, Outcome.REFUSED):
            raise CauseRefusedError(f"the cause is {row.outcome} already: {row.reason}")
        lifted = self._take_back(row)
        for step in self._kept.steps(name):
            if step.state in (State.DUE, State.WAITING):
                self._kept.put_step(replace(step, state=State.SETTLED, detail=reason))
        row = replace(row, outcome=Outcome.DISMISSED.value, reason=reason)
        self._kept.put_cause(row)
        if lifted:
            self._taker.note_lift(row.cause, reason, {"dismissed": True, "reason": reason})
        return row

    def repair(self, machine: int, reason: str, *, overhauled: bool = False) -> Condition:
        """Notes that the owner mended a machine whose offers were withdrawn: it comes down by one rung, and its
        verdicts decide about the rest. With `overhauled`, nothing is held against it any more, whatever its rung.
        Raises CauseRefusedError for a machine of another owner, or one that needs no repair."""
        condition = self._kept.condition(machine)
        if not self._owns(machine):
            raise CauseRefusedError(f"machine {machine} is not one of this company", hint="its owner says so")
        if condition.efficiency_per_mille and not overhauled:
            raise CauseRefusedError(
                f"feedback has not withdrawn the offers of machine {machine}", hint="say so if it was overhauled"
            )
        lifted, was_held = condition.renew(self.now_s) if overhauled else condition.lift(self.now_s)
        self._kept.put_condition(machine, lifted)
        row = self._find_cause(machine, condition)
        if was_held and row is not None:
            said: dict[str, Json] = {"overhauled" if overhauled else "mended": True, "reason": reason}
            self._taker.note_lift(row.cause, reason, said)
        return lifted

    def _take_in(self, found: Finding) -> None:
        if self.me not in (found.owner, found.coordinator):
            return
        if found.refused:
            if found.cause is not None and self._kept.cause(found.cause.id) is None:
                self._kept.add_cause(found.cause, Outcome.REFUSED, self.now_s, found.refused)
            return
        if found.good is not None and found.owner == self.me:
            self._observe(found)
        if found.cause is not None:
            self._judge(found.cause, found.owner)

    def _observe(self, found: Finding) -> None:
        before = self._kept.condition(found.machine)
        after, lifted = before.observe(good=bool(found.good), since_s=found.since_s, at_s=found.at_s)
        self._kept.put_condition(found.machine, after)
        row = self._find_cause(found.machine, before)
        if lifted and row is not None:
            good = before.good + 1
            self._taker.note_lift(row.cause, Sentence.GOOD.write(count=good), {"good": good})

    def _take_in_withdrawals(self) -> None:
        """Begins another plan for what other owners withdrew."""
        for cause, touches in self._find_withdrawn():
            self._kept.add_cause(cause, Outcome.ACTED, self.now_s)
            if touches:
                self._taker.begin(cause, (Step.REPLAN,))
            else:
                settled = Step.REPLAN, State.SETTLED, Sentence.UNCHANGED.write()
                self._kept.add_steps(cause.id, [settled], self.now_s)

    def _find_withdrawn(self) -> Iterator[tuple[MachineCause, bool]]:
        """What other owners withdrew because of something at a machine, and whether a plan in force has open rows on
        it. What touches no plan is found when no plan that was made before it can be recorded any more."""
        touched: dict[int, bool] = {}
        for leaf in self._open_withdrawals():
            cause = self._read_withdrawal(leaf)
            if cause is None or self._kept.cause(cause.id) is not None:
                continue
            if cause.machine not in touched:
                touched[cause.machine] = bool(find_touched(self.tables, self.me, cause))
            # One plan without the machine answers all that was withdrawn of it.
            if touched[cause.machine] and not self._has_replan_due(cause.machine):
                yield cause, True
            elif not touched[cause.machine] and self._is_old(leaf):
                yield cause, False

    def _open_withdrawals(self) -> Iterator[repository.LeafRow]:
        for row in self.tables.planning.calls():
            if row.coordinator != self.me or not self.tables.planning.plans(row.digest):
                continue
            call = stream_entries.find_call(self.tables.rows, row.digest)
            if call is not None and self.now_s < call.origin + call.slots * call.slot:
                yield from self.tables.planning.leaves(row.digest, repository.What.WITHDRAWAL)

    def _is_old(self, leaf: repository.LeafRow) -> bool:
        found = self.tables.rows.find(RecordRow, contract=Contract.LEDGER.value, sequence=leaf.sequence)
        return any(row.block_time + _MAKING_S < self.now_s for row in found)

    def _read_withdrawal(self, leaf: repository.LeafRow) -> MachineCause | None:
        """Why another company withdrew one of its own offers; None where it did not say, or it is not its own."""
        withdrawal = OfferWithdrawal.parse(leaf.value)
        offered = self.tables.planning.leaf(withdrawal.offer)
        if withdrawal.cause is None or not leaf.sequence or offered is None or offered.owner != leaf.owner:
            return None
        if not may_withdraw(withdrawal.cause.kind):
            return None  # its owner's gateway withdraws for no such reason, and people give none
        text = Sentence.WITHDREW.write(cause=withdrawal.cause.text)[:200]
        place = None, leaf.stream, leaf.leaf_index, leaf.leaf
        machine = Offer.parse(offered.value).machine
        return MachineCause(withdrawal.cause.kind, machine, text, self.now_s, self.now_s, *place)

    def _has_replan_due(self, machine: int) -> bool:
        due = [row for row in self._kept.steps_in(State.DUE) if row.step == Step.REPLAN]
        causes = [self._kept.cause(row.cause) for row in due]
        return any(row is not None and row.machine == machine for row in causes)

    def _judge(self, cause: MachineCause, owner: int) -> CauseRow:
        known = self._kept.cause(cause.id)
        if known is not None:
            return known
        before = self._kept.condition(cause.machine)
        judged = judge(before, cause) if owner == self.me else judge_elsewhere(before, cause)
        self._kept.put_condition(cause.machine, judged.condition)
        row = self._kept.add_cause(cause, judged.outcome, self.now_s)
        self._taker.begin(cause, judged.steps)
        return row

    def _take_back(self, row: CauseRow) -> bool:
        """Returns whether a rung was taken back."""
        condition, kind = self._kept.condition(row.machine), row.cause.kind
        after, lifted = condition.take_back(row.id, self.now_s)
        # What counted towards an earlier step is not among the counts any more.
        if row.outcome == Outcome.COUNTED and row.since_s >= condition.since_s and condition.counts.get(kind):
            after = replace(condition, counts={**condition.counts, kind: condition.counts[kind] - 1})
        self._kept.put_condition(row.machine, after)
        return lifted

    def _find_cause(self, machine: int, condition: Condition) -> CauseRow | None:
        """The cause that led a machine to its rung."""
        known = self._kept.cause(condition.cause)
        if known is not None:
            return known
        acted = [row for row in self._kept.causes_of(machine) if row.outcome == Outcome.ACTED]
        climbed = [row for row in acted if RULES[row.cause.kind].first]
        return climbed[-1] if climbed else None

    def _owns(self, machine: int) -> bool:
        row = self.tables.rows.get(MachineRow, machine)
        return row is not None and row.owner == self.me


# What a record means: a cause, or a verdict that a machine did well. Reads index and book alone.
# A record counts only if it is of somebody who can say it: a certificate or a drift note of an inspector at a gate of
# the lot's order. Whatever else the ledger lets others record about a lot moves no machine.

TOLERANCE_PER_MILLE = 1100
"""How much longer, or how much more energy, than was agreed is a cause."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a record says about one machine."""

    machine: int
    owner: int
    coordinator: int
    """Coordinator of the order; 0 if it has none."""
    since_s: int
    """When the work began."""
    at_s: int
    cause: MachineCause | None = None
    good: bool | None = None
    """A verdict; None if it is none."""
    refused: str = ""
    """Why it does not count."""


def find_all(rows: Rows, book: Book, feed: Feed, record: RecordRow) -> Iterator[Finding]:
    """What a final record of the ledger says about machines."""
    event = record.event()
    if isinstance(event, CertificateIssued):
        yield from _of_certificate(rows, feed, record, event)
    elif isinstance(event, NoteRecorded) and event.kind_ == NoteKind.DRIFT:
        yield from _of_note(rows, feed, record)
    elif isinstance(event, NoteRecorded) and event.kind_ == NoteKind.MAINTENANCE:
        yield from _of_maintenance(rows, book, record, event)
    elif isinstance(event, AssignmentDeclined):
        yield from _of_decline(rows, book, record, event)
    elif isinstance(event, AssignmentFinished):
        assignment = rows.get(AssignmentRow, event.assignment)
        if assignment is not None:
            yield from judge_finish(rows, book, record, assignment)


def _of_certificate(rows: Rows, feed: Feed, record: RecordRow, event: CertificateIssued) -> Iterator[Finding]:
    fails = event.statement.verdict == Verdict.FAIL
    # One verdict, over however many lots.
    for about in _by_machine(rows, feed, record):
        place = about.place(record)
        refused = about.why_not(record.participant)
        if not fails:
            yield Finding(*place, good=not refused or None, refused=refused)
            continue
        text = Sentence.FAILED.write(certificate=record.sequence)
        cause = MachineCause(
            CauseKind.CERTIFICATE, about.machine, text, about.since_s, record.block_time, record.sequence
        )
        yield Finding(*place, cause, None if refused else False, refused)


def _of_note(rows: Rows, feed: Feed, record: RecordRow) -> Iterator[Finding]:
    for about in _by_machine(rows, feed, record):
        text = Sentence.DRIFTS.write(participant=record.participant)
        cause = MachineCause(CauseKind.DRIFT, about.machine, text, about.since_s, record.block_time, record.sequence)
        yield Finding(*about.place(record), cause, refused=about.why_not(record.participant))


def _of_maintenance(rows: Rows, book: Book, record: RecordRow, event: NoteRecorded) -> Iterator[Finding]:
    """That a machine is down, as its operator's page records it. What the note says is in the book of who wrote it."""
    claims = reading.find_claims(book, event.claims_root)
    try:
        said = None if claims is None else reading.assemble(claims, "cause")
    except PlanError:
        return  # a field of it was erased
    if not isinstance(said, Mapping) or said.get("kind") != CauseKind.MACHINE_DOWN:
        return
    number = said.get("machine")
    machine = rows.get(MachineRow, number) if isinstance(number, int) else None
    if machine is None:
        return
    at_s, text = record.block_time, "".join(filter(str.isprintable, str(said.get("text", ""))))[:200]
    cause = MachineCause(CauseKind.MACHINE_DOWN, machine.number, text, at_s, at_s, record.sequence)
    refused = "" if record.participant == machine.owner else Sentence.NO_OWNER.write(participant=record.participant)
    yield Finding(machine.number, machine.owner, 0, at_s, at_s, cause, refused=refused)


def _of_decline(rows: Rows, book: Book, record: RecordRow, event: AssignmentDeclined) -> Iterator[Finding]:
    assignment = rows.get(AssignmentRow, event.assignment)
    if assignment is None or _row(book, assignment) is None:
        return
    text = Sentence.DECLINED.write(assignment=assignment.sequence)
    at_s = record.block_time
    # What names it is the assignment, as in plans: it was declined, so its own record says the rest.
    cause = MachineCause(CauseKind.DECLINED, assignment.machine, text, at_s, at_s, assignment.sequence)
    yield Finding(assignment.machine, assignment.owner, _coordinator(rows, assignment.order), at_s, at_s, cause)


def judge_finish(rows: Rows, book: Book, record: RecordRow, assignment: AssignmentRow) -> Iterator[Finding]:
    """Whether an operation took longer, or more energy, than both sides agreed to. Compared is how long it took, not
    when it ended: a machine is not to blame for what arrived late."""
    row = _row(book, assignment)
    if row is None:
        return
    place = assignment.machine, assignment.owner, _coordinator(rows, assignment.order), assignment.started_at
    since_s, at_s = assignment.started_at, record.block_time
    slot_s = _slot_s(rows, book, assignment)
    if slot_s is not None:
        agreed_s, took_s = (row.end - row.start) * slot_s, at_s - since_s
        # Registers are read at slots' ends at best, so one slot more says nothing.
        if took_s > agreed_s + slot_s and took_s * 1000 > agreed_s * TOLERANCE_PER_MILLE:
            text = Sentence.LATE.write(assignment=assignment.sequence, minutes=took_s // 60, agreed=agreed_s // 60)
            cause = MachineCause(CauseKind.LATE, row.machine, text, since_s, at_s, record.sequence)
            yield Finding(*place, at_s, cause)
    used_wh = _used_wh(book, assignment)
    if used_wh is not None and used_wh * 1000 > row.wh * TOLERANCE_PER_MILLE:
        text = Sentence.ENERGY.write(assignment=assignment.sequence, wh=used_wh, offered=row.wh)
        cause = MachineCause(CauseKind.ENERGY, row.machine, text, since_s, at_s, record.sequence)
        yield Finding(*place, at_s, cause)


@dataclass(frozen=True, slots=True)
class _Work:
    """A lot, and the machine that made it."""

    machine: int
    owner: int
    coordinator: int
    inspectors: frozenset[int]
    since_s: int

    def place(self, record: RecordRow) -> tuple[int, int, int, int, int]:
        return self.machine, self.owner, self.coordinator, self.since_s, record.block_time

    def why_not(self, participant: int) -> str:
        """Why somebody's word on the lot does not count; empty if it does."""
        if participant in self.inspectors:
            return ""
        return Sentence.NO_GATE.write(participant=participant)


def _by_machine(rows: Rows, feed: Feed, record: RecordRow) -> list[_Work]:
    """One of the lots that a record is about for each machine: of those on which its author's word counts, the one
    that was begun first, since what was measured began with that."""
    works = _works(rows, feed.histories([record.sequence])[record.sequence], record)
    first: dict[int, _Work] = {}
    for about in sorted(works, key=lambda one: (bool(one.why_not(record.participant)), one.since_s)):
        first.setdefault(about.machine, about)
    return [first[machine] for machine in sorted(first)]


def _works(rows: Rows, subjects: Sequence[bytes], record: RecordRow) -> list[_Work]:
    found = []
    for subject in subjects:
        lot = rows.get(LotRow, subject)
        assignment = None if lot is None or not lot.assignment else rows.get(AssignmentRow, lot.assignment)
        if lot is None or assignment is None or lot.order is None:
            continue
        order = rows.get(OrderRow, lot.order)
        inspectors = frozenset(gate.inspector for gate in gates_of(order)) if order else frozenset[int]()
        coordinator = order.coordinator if order else 0
        since_s = min(assignment.started_at or lot.created_at, record.block_time)
        found.append(_Work(assignment.machine, assignment.owner, coordinator, inspectors, since_s))
    return found


def _row(book: Book, assignment: AssignmentRow) -> Row | None:
    """The row of a plan that both sides committed to; None if there is none, or if it cannot be read here."""
    try:
        proposed = consent.find_row(book, assignment)
    except errors.RowRefusedError:
        return None
    return None if proposed is None else proposed.row


def _slot_s(rows: Rows, book: Book, assignment: AssignmentRow) -> int | None:
    proposed = consent.find_row(book, assignment)
    plan = None if proposed is None else rows.get(repository.PlanRow, proposed.plan)
    call: Call | None = None if plan is None else stream_entries.find_call(rows, plan.call)
    return None if call is None else call.slot


def _used_wh(book: Book, assignment: AssignmentRow) -> int | None:
    """What the registers say that an operation used; None where the readings are not here."""
    if assignment.stream is None:
        return None
    last = book.evidence_entry(assignment.stream, assignment.leaf_index)
    try:
        finish = None if last is None else parse_register_entry(last.entry)
        first = None if finish is None or finish.start is None else book.evidence_entry(assignment.stream, finish.start)
        start = None if first is None else parse_register_entry(first.entry)
        return None if start is None or finish is None else wh_between(start, finish)
    except FootprintError:
        return None  # readings that contradict each other are the footprint's matter


def _coordinator(rows: Rows, order: bytes) -> int:
    found = rows.get(OrderRow, order)
    return 0 if found is None else found.coordinator
