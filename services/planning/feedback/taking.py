"""Takes the steps that a cause leads to: settings, derating, withdrawn offers, other plans. Each is an entry of a
stream.

A step that has to wait (for a stream, for the operator, for another plan) is a row that says so, and is taken later.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from millmark.ledger.canonical import Json, to_hex
from millmark.ledger.claims import build_claims
from millmark.ledger.errors import InputError, MillmarkError, NotFoundError, SigningError, UnplannableError
from millmark.ledger.plans.offer import Offer, OfferWithdrawal
from millmark.ledger.plans.plan import CauseKind, Plan
from millmark.ledger.records import Anchor, AssignmentState, CancelAssignment, ProposeAssignment, Record
from millmark.ledger.signatures import Signer
from millmark.ledger.store import Connection, Store
from millmark.ledger.store.rows import StreamRow
from millmark.services.planning import consent, errors, making, making_process, repository, stream_entries
from millmark.services.planning.feedback.causes import LADDER, Condition, MachineCause, Sentence, Step
from millmark.services.planning.feedback.repository import CauseRow, FeedbackRepository, State, StepRow
from millmark.services.planning.reading import PlanningTables, is_for_offers, reading, writing
from millmark.services.planning.schedule import Made

# How other settings of a machine are proposed, and what became of them


@dataclass(frozen=True, slots=True)
class Proposed:
    """Settings that wait for the operator."""

    text: str
    """One line for people: what is proposed."""


@dataclass(frozen=True, slots=True)
class Unproposed:
    """Why no settings are proposed."""

    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the operator said."""

    accepted: bool
    at_s: int
    by: str
    """Who, as the gateway names people; empty if nobody answered in time."""
    reason: str = ""
    """The reason of a refusal."""


class SetpointProposer(Protocol):
    """Where settings are proposed to operators, by machine."""

    def search(self, causes: Sequence[MachineCause], now_s: int) -> None:
        """Looks for settings because of causes, which may take seconds: not within a transaction."""

    def propose(self, tables: PlanningTables, cause: MachineCause, now_s: int) -> Proposed | Unproposed | None:
        """Proposes settings because of a cause, within the caller's transaction; None if they have yet to be looked
        for."""

    def answer(self, tables: PlanningTables, cause: bytes, now_s: int) -> Answer | None:
        """What the operator said to the proposal that a cause led to, within the caller's transaction; None as long as
        it waits."""


class NoSetpoints:
    """Stands in at a company that has no models of its machines' processes."""

    def search(self, causes: Sequence[MachineCause], now_s: int) -> None:
        """There is nothing to look for."""

    def propose(self, tables: PlanningTables, cause: MachineCause, now_s: int) -> Proposed | Unproposed:  # noqa: ARG002
        """Proposes nothing."""
        return Unproposed(Sentence.NO_MODEL.write())

    def answer(self, tables: PlanningTables, cause: bytes, now_s: int) -> Answer | None:  # noqa: ARG002
        """Nothing was proposed."""
        return None


# Which of a coordinator's plans a cause touches: those with rows that it may move

_OPEN = (None, AssignmentState.PROPOSED, AssignmentState.ACCEPTED)


def find_touched(tables: PlanningTables, me: int, cause: MachineCause) -> list[bytes]:
    """Digests of the company's own calls whose plan in force a cause touches."""
    found = []
    for call in tables.planning.calls():
        plans = tables.planning.plans(call.digest)
        if call.coordinator != me or not plans:
            continue
        plan, _ = tables.whole_plan(plans[-1].digest)
        if plan is not None and is_touched(tables, plan, cause):
            found.append(call.digest)
    return found


def is_touched(tables: PlanningTables, plan: Plan, cause: MachineCause) -> bool:
    """Whether a plan has open rows on the machine; or, for a row that was declined, whether it still has that one; or,
    for a machine that was late, whether anything has not begun."""
    standing = consent.find_standing(tables.rows, tables.book, plan)
    if cause.kind is CauseKind.DECLINED:
        return any(_is_declined(standing[row.key], cause) for row in plan.rows)
    rows = plan.rows if cause.kind is CauseKind.LATE else [row for row in plan.rows if row.machine == cause.machine]
    return any(_is_open(standing[row.key]) for row in rows)


def _is_declined(standing: consent.Standing, cause: MachineCause) -> bool:
    assignment = standing.assignment
    return (
        assignment is not None
        and assignment.sequence == cause.record
        and assignment.state == AssignmentState.DECLINED
        and standing.is_same
    )


def _is_open(standing: consent.Standing) -> bool:
    is_finished = standing.assignment is not None and standing.assignment.state == AssignmentState.FINISHED
    if is_finished and (standing.is_same or not standing.is_rework):
        return False
    return standing.state in _OPEN


Queue = Callable[[Connection, str, Record], None]
"""Makes a record durable within the transaction, under a key that names it; the same key is the same record."""

_SEARCHING = Sentence.SEARCHING.write()


@dataclass(frozen=True, slots=True)
class Taker:
    """Takes steps of one company, within one transaction."""

    tables: PlanningTables
    me: int
    """Participant."""
    queue: Queue
    setpoints: SetpointProposer
    now_s: int
    captured: bool = False
    """Whether a node captures the company's streams, so that nothing else may be added to them."""
    kept: FeedbackRepository = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "kept", FeedbackRepository(self.tables.connection))

    def begin(self, cause: MachineCause, steps: Sequence[Step]) -> None:
        """Begins what a cause leads to. Other plans are made later, outside of the transaction: one for each of the
        company's calls that the cause touches."""
        for step in steps:
            if step is Step.REPLAN:
                calls = find_touched(self.tables, self.me, cause)
                self.kept.add_steps(cause.id, [(step, State.DUE, to_hex(call)) for call in calls], self.now_s)
            else:
                [made] = self.kept.add_steps(cause.id, [(step, State.DUE, "")], self.now_s)
                self._take(cause, made)

    def go_on(self) -> None:
        """Goes on with what waited."""
        for step in self.kept.steps_in(State.WAITING):
            answer, row = self.setpoints.answer(self.tables, step.cause, self.now_s), self.kept.cause(step.cause)
            if answer is not None and row is not None:
                self._hear(row, step, answer)
        for step in self.kept.steps_in(State.DUE):
            row = self.kept.cause(step.cause)
            if row is not None and step.step != Step.REPLAN:
                self._take(row.cause, step)

    def to_search(self) -> list[MachineCause]:
        """Causes for which settings are to be looked for."""
        due = [step for step in self.kept.steps_in(State.DUE) if step.step == Step.SETPOINT and self._can_take(step)]
        rows = [(step, self.kept.cause(step.cause)) for step in due]
        return [row.cause for step, row in rows if row is not None and not self._is_stale(row.cause, step)]

    def can_go_on(self) -> bool:
        """Whether anything that waited can be gone on with."""
        return any(map(self._can_take, self.kept.steps_in(State.DUE))) or any(
            map(self._can_hear, self.kept.steps_in(State.WAITING))
        )

    def _can_take(self, step: StepRow) -> bool:
        row = self.kept.cause(step.cause)
        if row is None or step.step == Step.REPLAN:
            return row is not None
        return self._is_stale(row.cause, step) or self._why_no_stream(row.machine) != step.detail

    def _can_hear(self, step: StepRow) -> bool:
        row = self.kept.cause(step.cause)
        if row is None or self._why_no_stream(row.machine):
            return False
        return self.setpoints.answer(self.tables, step.cause, self.now_s) is not None

    def note_lift(self, cause: MachineCause, detail: str, said: Mapping[str, Json]) -> None:
        """Keeps that a step was taken back, with its entry."""
        efficiency = self.kept.condition(cause.machine).efficiency_per_mille
        [made] = self.kept.add_steps(cause.id, [(Step.LIFT, State.DONE, detail)], self.now_s)
        try:
            own = find_kept_stream(self.tables, self.me, cause.machine, captured=self.captured)
        except InputError:
            return  # where there is no stream for it, nothing was written that this could follow
        self._write(own, cause, made, detail, {**said, "efficiency_per_mille": efficiency})

    def _take(self, cause: MachineCause, step: StepRow) -> None:
        """Takes an owner's step, which stays due as long as there is no stream for its entry."""
        if self._is_stale(cause, step):
            self.kept.put_step(replace(step, state=State.SETTLED, detail=Sentence.ANOTHER_RUNG.write()))
            return
        try:
            own = find_kept_stream(self.tables, self.me, cause.machine, captured=self.captured)
        except InputError as error:
            if (detail := _say(error)) != step.detail:
                self.kept.put_step(replace(step, detail=detail))
            return
        match Step(step.step):
            case Step.SETPOINT:
                self._propose(own, cause, step)
            case Step.DERATE:
                efficiency = self.kept.condition(cause.machine).efficiency_per_mille
                detail = Sentence.EXPECTED.write(percent=efficiency // 10)
                self._write(own, cause, step, detail, {"efficiency_per_mille": efficiency})
            case _:
                count = self._withdraw(own, cause)
                self._write(own, cause, step, Sentence.WITHDRAWN.write(count=count), {"offers": count})

    def _is_stale(self, cause: MachineCause, step: StepRow) -> bool:
        """Whether the machine has moved to another rung of the ladder while the step waited."""
        condition = self.kept.condition(cause.machine)
        if step.step == Step.SETPOINT:
            return not _is_first(condition, cause.id)
        return not condition.rung or LADDER[condition.rung - 1].step != step.step

    def _why_no_stream(self, machine: int) -> str:
        """Why no entry can be written about a machine; empty if one can."""
        try:
            find_kept_stream(self.tables, self.me, machine, captured=self.captured)
        except InputError as error:
            return _say(error)
        return ""

    def _propose(self, own: stream_entries.OwnStream, cause: MachineCause, step: StepRow) -> None:
        found = self.setpoints.propose(self.tables, cause, self.now_s)
        if found is None:
            if step.detail != _SEARCHING:
                self.kept.put_step(replace(step, detail=_SEARCHING))
        elif isinstance(found, Proposed):
            self._write(own, cause, step, found.text, {"proposed": found.text}, State.WAITING)
        else:
            self._write(own, cause, step, found.text, {"not_proposed": found.text}, State.REFUSED)
            self._pass_over(cause)

    def _hear(self, row: CauseRow, step: StepRow, answer: Answer) -> None:
        """What the operator said to proposed settings. A refusal leads to the next rung at once."""
        try:
            own = find_kept_stream(self.tables, self.me, row.machine, captured=self.captured)
        except InputError:
            return  # as soon as there is a stream again
        said: dict[str, Json] = {"accepted": answer.accepted, "reason": answer.reason}
        if answer.by:
            said["by"] = answer.by
        state = State.DONE if answer.accepted else State.REFUSED
        text = _describe(answer)
        self._write(own, row.cause, step, text, said, state)
        condition = self.kept.condition(row.machine)
        if answer.accepted:
            # Work that began under the settings before says nothing about the new ones.
            since_s = max(condition.since_s, answer.at_s)
            self.kept.put_condition(row.machine, replace(condition, since_s=since_s, good=0, counts={}))
        elif _is_first(condition, row.id):
            self._pass_over(row.cause)

    def _pass_over(self, cause: MachineCause) -> None:
        judged = self.kept.condition(cause.machine).pass_over(cause.kind, cause.at_s)
        self.kept.put_condition(cause.machine, judged.condition)
        self.begin(cause, judged.steps)

    def _withdraw(self, own: stream_entries.OwnStream, cause: MachineCause) -> int:
        """Withdraws what the machine is offered for. Where a call has closed, its coordinator reads it as the wish to
        be planned without it; what has begun stays. Returns how many offers there were."""
        entries = []
        for call in self.tables.planning.calls():
            withdrawn = self._own(call.digest, repository.What.WITHDRAWAL)
            gone = {OfferWithdrawal.parse(row.value).offer for row in withdrawn}
            for row in self._own(call.digest, repository.What.OFFER):
                offer = Offer.parse(row.value)
                if offer.machine == cause.machine and row.leaf not in gone and offer.until >= self.now_s:
                    entries.append(OfferWithdrawal(call.digest, row.leaf, cause.to_cause()))
        if entries:
            self._anchor(own, stream_entries.seal_offers(self.tables.connection, own, entries))
        return len(entries)

    def _own(self, call: bytes, what: str) -> list[repository.LeafRow]:
        return [row for row in self.tables.planning.leaves(call, what) if row.owner == self.me]

    def _write(
        self,
        own: stream_entries.OwnStream,
        cause: MachineCause,
        step: StepRow,
        detail: str,
        said: Mapping[str, Json],
        state: str = State.DONE,
    ) -> None:
        """Keeps what became of a step, and its entry in the machine's stream."""
        entry = {"feedback": step.step, "cause": cause.to_json(), "at": self.now_s, **said}
        sealed = stream_entries.seal_event(self.tables.connection, own, entry)
        self._anchor(own, sealed)
        taken = replace(step, state=state, at_s=self.now_s, detail=detail)
        self.kept.put_step(replace(taken, stream=own.subject, leaf=sealed.first))

    def _anchor(self, own: stream_entries.OwnStream, sealed: stream_entries.Sealed) -> None:
        key = f"feedback/anchor/{own.subject.hex()}/{sealed.size:013d}"
        self.queue(self.tables.connection, key, Anchor(own.subject, sealed.size, sealed.root))


def find_kept_stream(tables: PlanningTables, me: int, machine: int, *, captured: bool) -> stream_entries.OwnStream:
    """The stream of a machine to which this gateway writes. Raises InputError if there is none, and for one that a node
    captures: two writers would make two streams of it. `captured`: whether a node captures the company's streams."""
    own = tables.stream(me, machine)
    row = tables.rows.get(StreamRow, own.subject)
    # Of a company's streams a node captures all but those for offers.
    if captured and row is not None and not is_for_offers(tables.book, row):
        raise InputError(
            errors.PlanningGround.CAPTURED.write(machine=machine),
            hint="open one for offers: `millmark streams open` with an identifier that ends in -offers",
        )
    stream_entries.verify_kept(tables.book, own)
    return own


def _describe(answer: Answer) -> str:
    if answer.accepted:
        return Sentence.ACCEPTED.write()
    return Sentence.REFUSED.write(reason=answer.reason) if answer.by else answer.reason


def _say(error: InputError) -> str:
    return f"{error.cause}; {error.hint}"


def _is_first(condition: Condition, cause: bytes) -> bool:
    """Whether a machine stands where a cause has settings proposed, and no other cause has taken it there since."""
    return condition.rung == 1 and condition.cause in (b"", cause)


# Other plans: with the cause on record, and their rows proposed to the owners, who consent. A plan takes seconds, so it
# is made between two transactions. If the plan in force was replaced meanwhile, by a person or by another process,
# nothing is written, and the next look decides anew whether the cause still touches it.

MOST_TRIES = 5
"""How often it is tried to make a plan: another one may be recorded meanwhile."""


@dataclass(frozen=True, slots=True)
class Replacer:
    """Makes plans of one coordinator."""

    store: Store
    me: int
    queue: Queue
    signer: Signer
    cpu_s: float = 2.0
    make: Callable[[making_process.Task], Made] = making_process.make_apart

    def replace_next(self, now_s: int) -> bool:
        """Makes the plan that has been due for longest. Returns whether one was due."""
        with reading(self.store) as tables:
            kept = FeedbackRepository(tables.connection)
            due = [step for step in kept.steps_in(State.DUE) if step.step == Step.REPLAN]
            row = kept.cause(due[0].cause) if due else None
            if row is None:
                return False
            try:
                prepared = self._prepare(tables, due[0], row, now_s)
            except MillmarkError as error:
                failed: MillmarkError | None = error
            else:
                failed = None
        if failed is not None:
            self._fail(due[0], failed)  # so that the others get their turn
        elif prepared is None:
            self._settle(due[0], State.SETTLED, Sentence.UNCHANGED.write())
        else:
            self._make(due[0], prepared, now_s)
        return True

    def _make(self, step: StepRow, prepared: making.Replacing, now_s: int) -> None:
        try:
            made = self.make(making_process.Task(prepared.file, prepared.tie, prepared.why, self.cpu_s))
        except UnplannableError as error:
            self._settle(step, State.FAILED, Sentence.IMPOSSIBLE.write(error=error.cause))
        except MillmarkError as error:
            self._fail(step, error)
        else:
            self._record(step, prepared, made, now_s)

    def _prepare(self, tables: PlanningTables, step: StepRow, row: CauseRow, now_s: int) -> making.Replacing | None:
        """What the plan is made from; None if the cause does not touch the plan in force any more."""
        call = making.need_own_call(tables, bytes.fromhex(step.detail[2:]), self.me)
        plan, cause = tables.latest_plan(call.digest), row.cause
        if not is_touched(tables, plan, cause):
            return None
        late = cause.kind is CauseKind.LATE
        happened = making.Happened(
            cause.kind,
            cause.text,
            machine=None if late or cause.kind is CauseKind.DECLINED else cause.machine,
            assignment=cause.record if cause.kind is CauseKind.DECLINED else None,
            shown=cause.to_cause(),
        )
        return making.prepare_replan(tables, call, tables.stream_of_plans(call.digest, self.me), happened, now_s)

    def _record(self, step: StepRow, prepared: making.Replacing, made: Made, now_s: int) -> None:
        plan = made.check.plan
        try:
            with writing(self.store) as tables:
                call = making.need_own_call(tables, plan.call, self.me)
                if tables.latest_row(call.digest).digest != plan.before:
                    raise errors.PlanningError(errors.PlanningGround.OVERTAKEN.write(), hint="it is looked at anew")
                own = tables.stream_of_plans(call.digest, self.me)
                sealed = making.seal_made(tables, own, call, plan, self.signer, prepared.entry)
                key = f"feedback/plan/{to_hex(plan.digest)}"
                self.queue(tables.connection, key, Anchor(own.subject, sealed.size, sealed.root))
                moved = self._propose(tables, made)
                detail = Sentence.PLANNED.write(plan=to_hex(plan.digest)[:12], moved=moved, rows=len(plan.rows))
                done = replace(step, state=State.DONE, at_s=now_s, detail=detail)
                done = replace(done, stream=own.subject, leaf=sealed.first)
                FeedbackRepository(tables.connection).put_step(done)
        except (errors.PlanningError, InputError, NotFoundError, SigningError) as error:
            self._fail(step, error)

    def _propose(self, tables: PlanningTables, made: Made) -> int:
        """Cancels what the plan changes, with the plan and its cause as the reason, and proposes the new rows."""
        proposals = consent.find_proposals(tables, made.check.plan)
        plan = to_hex(made.check.plan.digest)
        reason = _keep(tables, proposals.reason) if proposals.cancelled else b""
        for number in proposals.cancelled:
            given = tables.need_assignment(number)
            record = CancelAssignment(given.order, given.operation, number, reason)
            self.queue(tables.connection, f"feedback/cancel/{plan}/{number}", record)
        for row in proposals.rows:
            root = _keep(tables, dict(made.check.plan.row_document(row.key)))
            place = f"{to_hex(row.order)}/{row.operation}"
            proposal = ProposeAssignment(row.order, row.operation, row.machine, root)
            self.queue(tables.connection, f"feedback/propose/{plan}/{place}", proposal)
        return len(proposals.rows)

    def _fail(self, step: StepRow, error: MillmarkError) -> None:
        if step.tries + 1 < MOST_TRIES:
            self._settle(replace(step, tries=step.tries + 1), State.DUE, step.detail)
        else:
            self._settle(step, State.FAILED, f"{error.cause}; {error.hint}")

    def _settle(self, step: StepRow, state: str, detail: str) -> None:
        """Keeps what became of a step, unless another process has taken it meanwhile."""
        with writing(self.store) as tables:
            kept = FeedbackRepository(tables.connection)
            if any(one.number == step.number and one.state == State.DUE for one in kept.steps(step.cause)):
                kept.put_step(replace(step, state=state, detail=detail))


def _keep(tables: PlanningTables, document: Json) -> bytes:
    claims = build_claims(document)
    tables.book.put_document(claims.root, json.dumps(claims.to_json()))
    return claims.root


# What a company itself reports of its machine: an entry of the machine's stream, which the cause names as evidence

REPORTED = (CauseKind.MACHINE_DOWN, CauseKind.DRIFT)
"""What no record of the ledger shows by itself."""


def name_report(form: str) -> str:
    """The key of the anchor of what a form reports."""
    return f"feedback/report/{form}"


def report_event(
    tables: PlanningTables,
    me: int,
    machine: int,
    kind: str,
    text: str,
    now_s: int,
    queue: Queue,
    *,
    captured: bool = False,
    form: str = "",
) -> MachineCause:
    """Writes what happened into the machine's stream, and has it anchored. Raises InputError for a kind that records
    show by themselves, and for a machine without a stream of the company to which this gateway writes. `captured`:
    whether a node captures the company's streams. `form`: the name of the form that says so, if one does."""
    if kind not in REPORTED:
        raise InputError(f"a cause of kind {kind[:40]!r} cannot be reported", hint=f"report {' or '.join(REPORTED)}")
    own = find_kept_stream(tables, me, machine, captured=captured)
    entry: dict[str, Json] = {"cause": kind, "machine": machine, "text": text, "at": now_s}
    sealed = stream_entries.seal_event(tables.connection, own, entry)
    key = name_report(form) if form else f"feedback/anchor/{own.subject.hex()}/{sealed.size:013d}"
    queue(tables.connection, key, Anchor(own.subject, sealed.size, sealed.root))
    place = None, own.subject, sealed.first, sealed.leaves[0]
    return MachineCause(CauseKind(kind), machine, text, now_s, now_s, *place)
