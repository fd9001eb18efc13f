"""Makes the plans that causes ask for: with the cause on record, and its rows proposed to their owners, who consent.

A plan takes seconds, so it is made between two transactions. If the plan in force was replaced meanwhile, by a person
or by another process, nothing is written, and the next look decides anew whether the cause still touches it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

from millmark.ledger.canonical import Json, to_hex
from millmark.ledger.claims import build_claims
from millmark.ledger.errors import InputError, MillmarkError, NotFoundError, SigningError, UnplannableError
from millmark.ledger.plans.plan import CauseKind
from millmark.ledger.records import Anchor, CancelAssignment, ProposeAssignment
from millmark.ledger.signatures import Signer
from millmark.ledger.store import Store
from millmark.services.planning.consent import find_proposals
from millmark.services.planning.errors import PlanningError, PlanningGround
from millmark.services.planning.feedback.repository import CauseRow, FeedbackRepository, State, StepRow
from millmark.services.planning.feedback.rules import Step
from millmark.services.planning.feedback.sentences import Sentence
from millmark.services.planning.feedback.taking import Queue
from millmark.services.planning.feedback.touching import is_touched
from millmark.services.planning.making import Happened, Replacing, need_own_call, prepare_replan, seal_made
from millmark.services.planning.making_process import Task, make_apart
from millmark.services.planning.reading import Shelf, reading, writing
from millmark.services.planning.schedule import Made

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
    make: Callable[[Task], Made] = make_apart

    def replace_next(self, now_s: int) -> bool:
        """Makes the plan that has been due for longest. Returns whether one was due."""
        with reading(self.store) as shelf:
            kept = FeedbackRepository(shelf.connection)
            due = [step for step in kept.steps_in(State.DUE) if step.step == Step.REPLAN]
            row = kept.cause(due[0].cause) if due else None
            if row is None:
                return False
            try:
                prepared = self._prepare(shelf, due[0], row, now_s)
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

    def _make(self, step: StepRow, prepared: Replacing, now_s: int) -> None:
        try:
            made = self.make(Task(prepared.file, prepared.tie, prepared.why, self.cpu_s))
        except UnplannableError as error:
            self._settle(step, State.FAILED, Sentence.IMPOSSIBLE.write(error=error.cause))
        except MillmarkError as error:
            self._fail(step, error)
        else:
            self._record(step, prepared, made, now_s)

    def _prepare(self, shelf: Shelf, step: StepRow, row: CauseRow, now_s: int) -> Replacing | None:
        """What the plan is made from; None if the cause does not touch the plan in force any more."""
        call = need_own_call(shelf, bytes.fromhex(step.detail[2:]), self.me)
        plan, cause = shelf.latest_plan(call.digest), row.cause
        if not is_touched(shelf, plan, cause):
            return None
        late = cause.kind is CauseKind.LATE
        happened = Happened(
            cause.kind,
            cause.text,
            machine=None if late or cause.kind is CauseKind.DECLINED else cause.machine,
            assignment=cause.record if cause.kind is CauseKind.DECLINED else None,
            shown=cause.to_cause(),
        )
        return prepare_replan(shelf, call, shelf.stream_of_plans(call.digest, self.me), happened, now_s)

    def _record(self, step: StepRow, prepared: Replacing, made: Made, now_s: int) -> None:
        plan = made.check.plan
        try:
            with writing(self.store) as shelf:
                call = need_own_call(shelf, plan.call, self.me)
                if shelf.latest_row(call.digest).digest != plan.before:
                    raise PlanningError(PlanningGround.OVERTAKEN.write(), hint="it is looked at anew")
                own = shelf.stream_of_plans(call.digest, self.me)
                sealed = seal_made(shelf, own, call, plan, self.signer, prepared.entry)
                key = f"feedback/plan/{to_hex(plan.digest)}"
                self.queue(shelf.connection, key, Anchor(own.subject, sealed.size, sealed.root))
                moved = self._propose(shelf, made)
                detail = Sentence.PLANNED.write(plan=to_hex(plan.digest)[:12], moved=moved, rows=len(plan.rows))
                done = replace(step, state=State.DONE, at_s=now_s, detail=detail)
                done = replace(done, stream=own.subject, leaf=sealed.first)
                FeedbackRepository(shelf.connection).put_step(done)
        except (PlanningError, InputError, NotFoundError, SigningError) as error:
            self._fail(step, error)

    def _propose(self, shelf: Shelf, made: Made) -> int:
        """Cancels what the plan changes, with the plan and its cause as the reason, and proposes the new rows."""
        proposals = find_proposals(shelf, made.check.plan)
        plan = to_hex(made.check.plan.digest)
        reason = _keep(shelf, proposals.reason) if proposals.cancelled else b""
        for number in proposals.cancelled:
            given = shelf.need_assignment(number)
            record = CancelAssignment(given.order, given.operation, number, reason)
            self.queue(shelf.connection, f"feedback/cancel/{plan}/{number}", record)
        for row in proposals.rows:
            root = _keep(shelf, dict(made.check.plan.row_document(row.key)))
            place = f"{to_hex(row.order)}/{row.operation}"
            proposal = ProposeAssignment(row.order, row.operation, row.machine, root)
            self.queue(shelf.connection, f"feedback/propose/{plan}/{place}", proposal)
        return len(proposals.rows)

    def _fail(self, step: StepRow, error: MillmarkError) -> None:
        if step.tries + 1 < MOST_TRIES:
            self._settle(replace(step, tries=step.tries + 1), State.DUE, step.detail)
        else:
            self._settle(step, State.FAILED, f"{error.cause}; {error.hint}")

    def _settle(self, step: StepRow, state: str, detail: str) -> None:
        """Keeps what became of a step, unless another process has taken it meanwhile."""
        with writing(self.store) as shelf:
            kept = FeedbackRepository(shelf.connection)
            if any(one.number == step.number and one.state == State.DUE for one in kept.steps(step.cause)):
                kept.put_step(replace(step, state=state, detail=detail))


def _keep(shelf: Shelf, document: Json) -> bytes:
    claims = build_claims(document)
    shelf.book.put_document(claims.root, json.dumps(claims.to_json()))
    return claims.root
