"""Causes: what happened at a machine, what shows it, and what follows: one table, one ladder, and the state of a
machine on it.

A machine stands on a rung of the ladder; on rung 0 nothing is held against it. A cause that counts takes it one rung up
or to the rung at which its kind begins, and never above the rung at which its kind ends. Every rung asks for more than
the one below: other settings, then plans that expect less of the machine, then none on it.

Hysteresis. A cause counts only if all that was measured of it was measured after the latest step: what came before, or
in the same second, the step could not have prevented. Some kinds need several before anything is done, since one may be
chance. And it takes `RECOVERY` good verdicts in a row, all of work that began after the latest step, to come down by
one rung: so a machine that is bad every now and then stays where it is.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from millmark.ledger.canonical import Json, canonical_json, sha256, to_hex
from millmark.ledger.errors import PlanError
from millmark.ledger.phrases import Phrase
from millmark.ledger.plans.plan import Cause, CauseKind
from millmark.services.planning.errors import PlanningError


class CauseRefusedError(PlanningError):
    """A cause is not of who can say it, is unknown, or is settled already."""

    code = "cause-refused"


_TAG = b"millmark.machine-cause.v1\0"


@dataclass(frozen=True, slots=True)
class MachineCause:
    """Something that happened at a machine, as a record or an entry of a stream shows it. Raises PlanError if it names
    neither one record nor one entry, for a kind that is about no machine, and for times in the wrong order."""

    kind: CauseKind
    machine: int
    text: str
    """One line for people."""
    since_s: int
    """When what was measured began, seconds since 1970. A step that was taken later cannot have prevented it."""
    at_s: int
    """When it became known, seconds since 1970."""
    record: int | None = None
    """Sequence number of the record that shows it."""
    stream: bytes | None = None
    """Subject of the stream whose entry shows it, 32 bytes."""
    leaf: int | None = None
    """Index of the entry in that stream."""
    leaf_hash: bytes | None = None
    """RFC 9162 leaf hash of the entry, 32 bytes."""

    def __post_init__(self) -> None:
        self.to_cause()
        if self.kind is CauseKind.CALL:
            raise PlanError("a change of the call is about no machine", hint="make another plan for the call")
        if self.machine < 1:
            raise PlanError(f"there is no machine {self.machine}", hint="see `millmark machines list`")
        if self.since_s > self.at_s:
            raise PlanError("a cause became known before it began", hint="check the clock of the device that measured")

    @property
    def id(self) -> bytes:
        """What names it, 32 bytes: the same evidence about the same machine is the same cause, however it is told."""
        return sha256(_TAG + canonical_json({"kind": self.kind.value, "machine": self.machine, **self._place()}))

    def to_cause(self) -> Cause:
        """The form in which a plan names the cause for replacing another plan."""
        return Cause(self.kind, self.text, self.stream, self.leaf, self.record)

    def to_json(self) -> dict[str, Json]:
        """The form in which entries of streams and documents of records state the cause."""
        return {"id": to_hex(self.id), "machine": self.machine, "text": self.text, "kind": self.kind, **self._place()}

    def _place(self) -> dict[str, Json]:
        if self.stream is None:
            return {"record": self.record}
        place: dict[str, Json] = {"stream": to_hex(self.stream), "leaf": self.leaf}
        return place if self.leaf_hash is None else {**place, "leaf_hash": to_hex(self.leaf_hash)}


class Sentence(Phrase):
    """A sentence that this product itself writes about causes and steps, into its database and, for good, into records
    and entries. Whatever else stands in such a place is somebody's own words, or an error's: `error` stands for the
    words of an error, `reason` for a person's."""

    # Causes
    FAILED = "certificate {certificate:d} failed what it made"
    DRIFTS = "participant {participant:d} notes that what it makes drifts"
    DECLINED = "its owner declined assignment {assignment:d}"
    LATE = "assignment {assignment:d} took {minutes:d} min, and {agreed:d} were agreed"
    ENERGY = "assignment {assignment:d} took {wh:d} Wh, and {offered:d} were offered"
    WITHDREW = "its owner withdrew its offers: {cause}"
    BECAUSE = "{kind:s}: {cause} (0x{mark:s})"
    # Why a cause does not count
    NO_GATE = "participant {participant:d} inspects at no gate of the lot's order"
    NO_OWNER = "participant {participant:d} does not own it"
    # Settings
    SEARCHING = "settings are being looked for"
    NO_MODEL = "there is no model of the machine's process"
    NO_QUALITY = "the model of the machine's process needs millmark[quality]"
    UNUSABLE = "the model of the machine's process cannot be used: {error}"
    LONG_TELEMETRY = "its telemetry has more than {size:d} MiB: keep the latest rows alone there"
    LATER_TELEMETRY = "its telemetry is of a time to come: see the clock of what writes it"
    OLD_TELEMETRY = "its telemetry ended {minutes:d} min ago"
    LATER_MOVES = "no settings are proposed: only later moves would make it cheaper"
    NOT_PROPOSED = "no settings are proposed: {error}"
    ACCEPTED = "the operator accepted"
    REFUSED = "the operator refused: {reason}"
    EXPIRED = "it was expired before it was answered"
    SUPERSEDED = "it was superseded before it was answered"
    # Other steps
    EXPECTED = "offers expect {percent:d} % of its speed"
    WITHDRAWN = "{count:d} offers withdrawn"
    ANOTHER_RUNG = "the machine is on another rung by now"
    GOOD = "{count:d} good verdicts in a row"
    UNCHANGED = "the plan in force needs no change"
    IMPOSSIBLE = "no plan is possible: {error}"
    PLANNED = "plan {plan:s}: {moved:d} of {rows:d} rows are proposed anew"


# What follows from a cause. Pure: no clock, no database

WHOLE = 1000
"""The efficiency that a machine's calendar says, per mille."""
RECOVERY = 8
"""Good verdicts in a row that take a machine one rung down."""


class Step(enum.StrEnum):
    """What is done because of a cause."""

    SETPOINT = "setpoint"
    """Other settings are proposed to the operator."""
    DERATE = "derate"
    """Offers expect the machine to take longer."""
    WITHDRAW = "withdraw"
    """Its offers are withdrawn, and it makes none."""
    REPLAN = "replan"
    """The coordinator makes another plan."""
    LIFT = "lift"
    """The latest of the steps above is taken back."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One rung of the ladder."""

    step: Step
    efficiency_per_mille: int = WHOLE
    """How fast the machine is expected to be from then on, of what its calendar says; 0 if it is not offered."""


LADDER = (Rung(Step.SETPOINT), Rung(Step.DERATE, 950), Rung(Step.DERATE, 900), Rung(Step.WITHDRAW, 0))
"""Rung 1 is the first."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a kind of cause leads to."""

    first: int
    """Rung at which it begins; 0 if it says nothing about the machine."""
    last: int
    """Rung above which it never leads."""
    least: int = 1
    """How many of them, none before the latest step, are needed for the next one."""
    replans: bool = False
    """Whether another plan is made whatever the rung. Where offers are withdrawn, it always is."""
    instant: bool = False
    """Whether it is about the moment in which it is said, and not about work that began before."""


RULES: Mapping[CauseKind, Rule] = MappingProxyType(
    {
        CauseKind.DRIFT: Rule(first=1, last=4),
        # Gates stop what fails. What is measured of a machine takes it out of plans, not verdicts on few parts.
        CauseKind.CERTIFICATE: Rule(first=1, last=2, least=2),
        CauseKind.ENERGY: Rule(first=1, last=2, least=2),
        CauseKind.LATE: Rule(first=2, last=2, least=2, replans=True),
        CauseKind.MACHINE_DOWN: Rule(first=4, last=4, replans=True, instant=True),
        CauseKind.DECLINED: Rule(first=0, last=0, replans=True, instant=True),
    }
)
"""One for every kind of cause that is about a machine."""


def may_withdraw(kind: CauseKind) -> bool:
    """Whether a kind of cause can lead to offers being withdrawn."""
    rule = RULES.get(kind)
    return rule is not None and any(rung.step is Step.WITHDRAW for rung in LADDER[: rule.last])


class Outcome(enum.StrEnum):
    """What became of a cause."""

    ACTED = "acted"
    COUNTED = "counted"
    """It alone is not enough."""
    EARLIER = "earlier"
    """It began before the latest step, which could not have prevented it."""
    EXHAUSTED = "exhausted"
    """Its kind leads no further than the machine is already."""
    REFUSED = "refused"
    """It is not of somebody who can say it."""
    ELSEWHERE = "elsewhere"
    """The machine is another company's, which acts on it."""
    DISMISSED = "dismissed"
    """A person said that it does not count, and why."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Where a machine stands."""

    rung: int = 0
    below: int = 0
    """Rung to which it comes back: a machine that failed on rung 0 is as good as before once it is mended."""
    since_s: int = 0
    """When the latest step took effect, seconds since 1970."""
    good: int = 0
    """Good verdicts in a row since then."""
    counts: Mapping[CauseKind, int] = field(default_factory=dict)
    """Causes since then that were not enough yet, by kind."""
    cause: bytes = b""
    """Id of the cause that led to the rung; empty if there is none, or if its part of the way up was taken back."""
    before: int = 0
    """Rung before that cause, however many rungs it has led to."""

    @property
    def efficiency_per_mille(self) -> int:
        """How fast the machine is expected to be, of what its calendar says; 0 if it is not to be offered."""
        return LADDER[self.rung - 1].efficiency_per_mille if self.rung else WHOLE

    def observe(self, *, good: bool, since_s: int, at_s: int) -> tuple[Condition, bool]:
        """Counts a verdict on work that began at `since_s`. Returns the new condition, and whether the verdict took the
        machine one rung down."""
        if since_s <= self.since_s:
            return self, False
        if not good:
            return replace(self, good=0), False
        run = self.good + 1
        if run < RECOVERY:
            return replace(self, good=run), False
        # Causes from before so many good ones were chance.
        return self.lift(at_s) if self.rung else (replace(self, good=run, counts={}), False)

    def lift(self, at_s: int) -> tuple[Condition, bool]:
        """Takes one rung back: verdicts recovered, the machine was mended, or a person said so."""
        return self._come_down(self.below, at_s) if self.rung else (self, False)

    def renew(self, at_s: int) -> tuple[Condition, bool]:
        """Takes all rungs back, and forgets what was counted: the machine was overhauled, and what was held against
        it was measured on what it is no longer. Returns whether there was a rung to take back."""
        return Condition(since_s=at_s), bool(self.rung)

    def take_back(self, cause: bytes, at_s: int) -> tuple[Condition, bool]:
        """Takes all rungs back to which a cause led that does not count, unless another one followed."""
        return self._come_down(self.before, at_s) if cause and cause == self.cause else (self, False)

    def _come_down(self, rung: int, at_s: int) -> tuple[Condition, bool]:
        made_by = (self.cause, self.before) if rung > self.before else (b"", 0)
        return Condition(rung, max(rung - 1, 0), at_s, 0, {}, *made_by), True

    def pass_over(self, kind: CauseKind, at_s: int) -> Judged:
        """Goes on to the next rung at once: what a step proposed was refused, or could not be had, and the cause
        stands."""
        return _climb(self, RULES[kind], at_s, self.cause)


@dataclass(frozen=True, slots=True)
class Judged:
    """What a cause leads to."""

    condition: Condition
    outcome: Outcome
    steps: tuple[Step, ...] = ()
    """What is to be done, in this order."""


def judge(condition: Condition, cause: MachineCause) -> Judged:
    """Decides what a cause leads to at a machine in this condition."""
    rule = RULES[cause.kind]
    if not rule.first:
        return Judged(condition, Outcome.ACTED, (Step.REPLAN,))
    if _is_earlier(condition, cause):
        return Judged(condition, Outcome.EARLIER)
    count = condition.counts.get(cause.kind, 0) + 1
    counted = replace(condition, good=0, counts={**condition.counts, cause.kind: count})
    if count < rule.least:
        return Judged(counted, Outcome.COUNTED)
    return _climb(counted, rule, cause.at_s, cause.id)


def judge_elsewhere(condition: Condition, cause: MachineCause) -> Judged:
    """Decides what a cause at another company's machine leads to: whether the plan is replaced, and nothing else."""
    rule = RULES[cause.kind]
    if not rule.replans:
        return Judged(condition, Outcome.ELSEWHERE)
    if _is_earlier(condition, cause):
        return Judged(condition, Outcome.EARLIER)
    count = condition.counts.get(cause.kind, 0) + 1
    if count < rule.least:
        return Judged(replace(condition, counts={**condition.counts, cause.kind: count}), Outcome.COUNTED)
    # An owner that declined rows says nothing about the machine's work.
    after = Condition(since_s=cause.at_s) if rule.first else condition
    return Judged(after, Outcome.ACTED, (Step.REPLAN,))


def _is_earlier(condition: Condition, cause: MachineCause) -> bool:
    """Whether what was measured may have begun before the latest step. Times are whole seconds, so what began in the
    very second of the step may have; what is said in that second was said once the step was taken."""
    if RULES[cause.kind].instant:
        return cause.since_s < condition.since_s
    return cause.since_s <= condition.since_s


def _climb(condition: Condition, rule: Rule, at_s: int, cause: bytes) -> Judged:
    rung = max(condition.rung + 1, rule.first)
    again = (Step.REPLAN,) if rule.replans else ()
    if rung > rule.last:
        return Judged(replace(condition, counts={}), Outcome.EXHAUSTED, again)
    step = LADDER[rung - 1].step
    if step is Step.WITHDRAW:
        again = (Step.REPLAN,)
    before = condition.before if cause == condition.cause else condition.rung
    return Judged(Condition(rung, condition.rung, at_s, 0, {}, cause, before), Outcome.ACTED, (step, *again))
