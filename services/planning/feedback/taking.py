"""Takes the steps that a cause leads to: settings, derating, withdrawn offers. Each is an entry of a stream.

A step that has to wait (for a stream, for the operator, for another plan) is a row that says so, and is taken later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from millmark.ledger.canonical import Json, to_hex
from millmark.ledger.errors import InputError
from millmark.ledger.plans.offer import OfferWithdrawal, parse_offer, parse_offer_withdrawal
from millmark.ledger.records import Anchor, Record
from millmark.ledger.store import Connection
from millmark.ledger.store.rows import StreamRow
from millmark.services.planning.errors import PlanningGround
from millmark.services.planning.feedback.causes import MachineCause
from millmark.services.planning.feedback.repository import CauseRow, FeedbackRepository, State, StepRow
from millmark.services.planning.feedback.rules import LADDER, Condition, Step
from millmark.services.planning.feedback.sentences import Sentence
from millmark.services.planning.feedback.setpoints import Answer, Proposed, SetpointDesk
from millmark.services.planning.feedback.touching import find_touched
from millmark.services.planning.papers import OwnStream, Sealed, seal_event, seal_offers, verify_kept
from millmark.services.planning.reading import Shelf, is_for_offers
from millmark.services.planning.repository import LeafRow, What

Queue = Callable[[Connection, str, Record], None]
"""Makes a record durable within the transaction, under a key that names it; the same key is the same record."""

_SEARCHING = Sentence.SEARCHING.write()


@dataclass(frozen=True, slots=True)
class Taker:
    """Takes steps of one company, within one transaction."""

    shelf: Shelf
    me: int
    """Participant."""
    queue: Queue
    setpoints: SetpointDesk
    now_s: int
    captured: bool = False
    """Whether a node captures the company's streams, so that nothing else may be added to them."""
    kept: FeedbackRepository = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "kept", FeedbackRepository(self.shelf.connection))

    def begin(self, cause: MachineCause, steps: Sequence[Step]) -> None:
        """Begins what a cause leads to. Other plans are made later, outside of the transaction: one for each of the
        company's calls that the cause touches."""
        for step in steps:
            if step is Step.REPLAN:
                calls = find_touched(self.shelf, self.me, cause)
                self.kept.add_steps(cause.id, [(step, State.DUE, to_hex(call)) for call in calls], self.now_s)
            else:
                [made] = self.kept.add_steps(cause.id, [(step, State.DUE, "")], self.now_s)
                self._take(cause, made)

    def go_on(self) -> None:
        """Goes on with what waited."""
        for step in self.kept.steps_in(State.WAITING):
            answer, row = self.setpoints.answer(self.shelf, step.cause, self.now_s), self.kept.cause(step.cause)
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
        return self.setpoints.answer(self.shelf, step.cause, self.now_s) is not None

    def note_lift(self, cause: MachineCause, detail: str, said: Mapping[str, Json]) -> None:
        """Keeps that a step was taken back, with its entry."""
        efficiency = self.kept.condition(cause.machine).efficiency_per_mille
        [made] = self.kept.add_steps(cause.id, [(Step.LIFT, State.DONE, detail)], self.now_s)
        try:
            own = find_kept_stream(self.shelf, self.me, cause.machine, captured=self.captured)
        except InputError:
            return  # where there is no stream for it, nothing was written that this could follow
        self._write(own, cause, made, detail, {**said, "efficiency_per_mille": efficiency})

    def _take(self, cause: MachineCause, step: StepRow) -> None:
        """Takes an owner's step, which stays due as long as there is no stream for its entry."""
        if self._is_stale(cause, step):
            self.kept.put_step(replace(step, state=State.SETTLED, detail=Sentence.ANOTHER_RUNG.write()))
            return
        try:
            own = find_kept_stream(self.shelf, self.me, cause.machine, captured=self.captured)
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
            find_kept_stream(self.shelf, self.me, machine, captured=self.captured)
        except InputError as error:
            return _say(error)
        return ""

    def _propose(self, own: OwnStream, cause: MachineCause, step: StepRow) -> None:
        found = self.setpoints.propose(self.shelf, cause, self.now_s)
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
            own = find_kept_stream(self.shelf, self.me, row.machine, captured=self.captured)
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

    def _withdraw(self, own: OwnStream, cause: MachineCause) -> int:
        """Withdraws what the machine is offered for. Where a call has closed, its coordinator reads it as the wish to
        be planned without it; what has begun stays. Returns how many offers there were."""
        entries = []
        for call in self.shelf.planning.calls():
            withdrawn = self._own(call.digest, What.WITHDRAWAL)
            gone = {parse_offer_withdrawal(row.value).offer for row in withdrawn}
            for row in self._own(call.digest, What.OFFER):
                offer = parse_offer(row.value)
                if offer.machine == cause.machine and row.leaf not in gone and offer.until >= self.now_s:
                    entries.append(OfferWithdrawal(call.digest, row.leaf, cause.to_cause()))
        if entries:
            self._anchor(own, seal_offers(self.shelf.connection, own, entries))
        return len(entries)

    def _own(self, call: bytes, what: str) -> list[LeafRow]:
        return [row for row in self.shelf.planning.leaves(call, what) if row.owner == self.me]

    def _write(
        self,
        own: OwnStream,
        cause: MachineCause,
        step: StepRow,
        detail: str,
        said: Mapping[str, Json],
        state: str = State.DONE,
    ) -> None:
        """Keeps what became of a step, and its entry in the machine's stream."""
        entry = {"feedback": step.step, "cause": cause.to_json(), "at": self.now_s, **said}
        sealed = seal_event(self.shelf.connection, own, entry)
        self._anchor(own, sealed)
        taken = replace(step, state=state, at_s=self.now_s, detail=detail)
        self.kept.put_step(replace(taken, stream=own.subject, leaf=sealed.first))

    def _anchor(self, own: OwnStream, sealed: Sealed) -> None:
        key = f"feedback/anchor/{own.subject.hex()}/{sealed.size:013d}"
        self.queue(self.shelf.connection, key, Anchor(own.subject, sealed.size, sealed.root))


def find_kept_stream(shelf: Shelf, me: int, machine: int, *, captured: bool) -> OwnStream:
    """The stream of a machine to which this gateway writes. Raises InputError if there is none, and for one that a node
    captures: two writers would make two streams of it. `captured`: whether a node captures the company's streams."""
    own = shelf.stream(me, machine)
    row = shelf.rows.get(StreamRow, own.subject)
    # Of a company's streams a node captures all but those for offers.
    if captured and row is not None and not is_for_offers(shelf.book, row):
        raise InputError(
            PlanningGround.CAPTURED.write(machine=machine),
            hint="open one for offers: `millmark streams open` with an identifier that ends in -offers",
        )
    verify_kept(shelf.book, own)
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
