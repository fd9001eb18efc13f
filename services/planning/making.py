"""The coordinator's plans: what a plan is made from, why it replaces the one before, its entry in the stream, and the
attempts at making one."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Event, Lock, Thread

from millmark.ledger.canonical import Json, canonical_json
from millmark.ledger.chain import Chain
from millmark.ledger.errors import ChainError, InputError, MillmarkError, StoreError
from millmark.ledger.plans import check, offer
from millmark.ledger.plans.call import Call
from millmark.ledger.plans.file import PlanFile
from millmark.ledger.plans.plan import Cause, CauseKind, Key, Plan
from millmark.ledger.records import AssignmentState, CertificateState, Verdict
from millmark.ledger.signatures import Signer
from millmark.ledger.store import Rows, Store
from millmark.ledger.store.rows import AssignmentRow, CertificateRow, CertifiedLotRow, LotRow
from millmark.services.planning import calls, consent, stream_entries
from millmark.services.planning.errors import CallRefusedError, PlanningError, PlanningGround
from millmark.services.planning.making_process import Task, make_apart
from millmark.services.planning.reading import PlanningTables, count_known, need_call, plan_file
from millmark.services.planning.repository import AttemptRow, PlanningRepository
from millmark.services.planning.schedule import Made, Replan


@dataclass(frozen=True, slots=True)
class Times:
    """The final blocks of a chain."""

    last: int
    time_of: Callable[[int], int]
    hash_of: Callable[[int], bytes]


def find_tie(times: Times, closes: int) -> bytes:
    """The hash of the first final block at or after the time when a call closes, which nobody knew while it was open.
    Raises PlanningError if there is no such block yet."""
    low, high = 0, times.last
    if times.time_of(high) < closes:
        raise PlanningError(
            PlanningGround.NO_BLOCK.write(),
            hint="wait for one; a development chain makes one with any record",
        )
    while low < high:  # block times ascend
        middle = (low + high) // 2
        if times.time_of(middle) < closes:
            low = middle + 1
        else:
            high = middle
    return times.hash_of(low)


def find_kept(
    plan: Plan, standing: Mapping[Key, consent.Standing], kind: CauseKind, machine: int | None
) -> tuple[frozenset[Key], frozenset[Key]]:
    """The rows that have begun, and those that were accepted: they stay unless that is impossible. A machine that is
    down keeps what is finished alone; one that drifts, what is started as well."""
    started, accepted = set(), set()
    for row in plan.rows:
        state = standing[row.key].state
        is_out = machine is not None and row.machine == machine
        if state is AssignmentState.FINISHED or (
            state is AssignmentState.STARTED and not (is_out and kind is CauseKind.MACHINE_DOWN)
        ):
            started.add(row.key)
        elif state is AssignmentState.ACCEPTED and not is_out:
            accepted.add(row.key)
    return frozenset(started), frozenset(accepted)


def find_dropped(
    plan: Plan,
    offers: Mapping[bytes, offer.Offer],
    started: Container[Key],
    machine: int | None,
    declined: Container[Key] = frozenset(),
) -> frozenset[bytes]:
    """The offers that a cause takes away, beside those that are gone already: of a machine that is out, and of rows
    that their owner declined. What a row rests on that has begun stays."""
    resting = {row.offer for row in plan.rows if row.key in started}
    refused = {row.offer for row in plan.rows if row.key in declined}
    out = {leaf for leaf in plan.offers if machine is not None and leaf in offers and offers[leaf].machine == machine}
    return frozenset({*plan.dropped, *out, *refused} - resting)


def slot_now(call: Call, now_s: int) -> int:
    """The first slot that has not begun."""
    return max(0, -(-(now_s - call.origin) // call.slot))


_MOST_TIES = 1000
"""Most closing times remembered."""


def times_of(chain: Chain) -> Times:
    """The final blocks of a chain. Sends requests."""
    return Times(
        chain.final_number(), lambda number: chain.header(number).timestamp, lambda number: chain.header(number).hash
    )


class Ties:
    """Finds and remembers tie hashes: final blocks do not change."""

    def __init__(self, chain: Chain | None) -> None:
        self._chain = chain
        self._known: dict[int, bytes] = {}
        self._lock = Lock()

    def find(self, closes: int) -> bytes | None:
        """Return the hash of the first final block at or after `closes`, Unix seconds; None where no chain says so now:
        there is none, it does not answer, or it has no such block yet. Not to be called within a transaction."""
        known = self._known.get(closes)
        if known is not None or self._chain is None:
            return known
        try:
            found = find_tie(times_of(self._chain), closes)
        except (ChainError, PlanningError):
            return None  # the caller says that it was not compared
        with self._lock:
            if len(self._known) >= _MOST_TIES:
                self._known.clear()
            self._known[closes] = found
        return found


_BEGUN = (AssignmentState.STARTED, AssignmentState.FINISHED)


def find_failed(rows: Rows, standing: Mapping[Key, consent.Standing], certificate: int) -> frozenset[Key]:
    """The operations that made the parts of a failing certificate, by what became of each row of the plan. Nothing is
    done again that is not finished yet: whoever does it can go on. Raises InputError if the record is not a failing
    certificate that stands, if none of its parts is of the plan, or if it was reworked since, or if a later operation
    has begun."""
    row = rows.get(CertificateRow, certificate)
    if row is None or Verdict(row.verdict) is not Verdict.FAIL or CertificateState(row.state) in _WITHOUT_FORCE:
        raise InputError(
            PlanningGround.NOT_FAILING.write(certificate=certificate), hint="see `millmark certificates list`"
        )
    found = list(_made_by(rows, standing, certificate))
    if not found:
        raise InputError(
            PlanningGround.NOT_IN_PLAN.write(certificate=certificate),
            hint="name the latest certificate of a part whose operation the plan has",
        )
    keys = {key for key, state in found if state is AssignmentState.FINISHED}
    for order, operation in sorted(keys):
        later = [key for key in standing if key[0] == order and key[1] > operation]
        if any(standing[key].state in _BEGUN for key in later):
            raise InputError(
                PlanningGround.NEXT_BEGUN.write(certificate=certificate, operation=operation + 1),
                hint="have the part inspected after the last operation that was done: that one is done again",
            )
    return frozenset(keys)


_WITHOUT_FORCE = (CertificateState.REVOKED, CertificateState.REFUTED)


def _made_by(
    rows: Rows, standing: Mapping[Key, consent.Standing], certificate: int
) -> Iterator[tuple[Key, AssignmentState | None]]:
    """The rows of the plan under which the certificate's lots are as they are now, each with its state."""
    subjects = {one.lot for one in rows.find(CertifiedLotRow, certificate=certificate)}
    lots = [lot for lot in rows.among(LotRow, "subject", subjects) if lot.assignment and lot.reworked < certificate]
    made = {one.sequence: one for one in rows.among(AssignmentRow, "sequence", {lot.assignment for lot in lots})}
    for lot in lots:
        key = made[lot.assignment].order, made[lot.assignment].operation
        current = standing[key].assignment if key in standing else None
        # A rework that kept the lot's name was done under a later assignment than the one under which it was made.
        if current is not None and (current.sequence == lot.assignment or current.sequence < lot.reworked):
            yield key, standing[key].state


@dataclass(frozen=True, slots=True)
class Happened:
    """Why a plan is replaced, as the coordinator says it."""

    kind: CauseKind
    text: str = ""
    """In a line. Whoever gets the plan reads it."""
    machine: int | None = None
    """That is down, or that drifts."""
    assignment: int | None = None
    """That was declined, or that is late."""
    certificate: int | None = None
    """The failing one."""
    record: int | None = None
    """The record in which a machine's owner said that it is down; None if there is none."""
    shown: Cause | None = None
    """What a record or an entry of another stream shows already; it stands for the fields that name records."""


@dataclass(frozen=True, slots=True)
class Replacing:
    """What a plan is made from that replaces another."""

    file: PlanFile
    tie: bytes
    why: Replan
    entry: Mapping[str, Json] | None
    """What is written into the stream about the cause; None if a record shows it."""


_NEEDS = {
    CauseKind.MACHINE_DOWN: "machine",
    CauseKind.DRIFT: "machine",
    CauseKind.LATE: "assignment",
    CauseKind.ENERGY: "assignment",
    CauseKind.DECLINED: "assignment",
    CauseKind.CERTIFICATE: "certificate",
    CauseKind.CALL: "",
}


def verify_cause(happened: Happened) -> None:
    """Each cause names what it is about, and nothing else. Raises InputError."""
    need = _NEEDS[happened.kind]
    given = [name for name in ("machine", "assignment", "certificate") if getattr(happened, name) is not None]
    if given != ([need] if need else []):
        hint = f"give --{need}, and no other" if need else "give no --machine, --assignment or --certificate"
        raise InputError(PlanningGround.CAUSE_UNFIT.write(kind=happened.kind.value), hint=hint)


def need_own_call(tables: PlanningTables, digest: bytes, me: int) -> Call:
    """A call that the company made. Raises NotFoundError, CallRefusedError."""
    call = need_call(tables.rows, digest)
    if call.coordinator != me:
        cause = PlanningGround.OTHERS_CALL.write(participant=call.coordinator)
        raise CallRefusedError(cause, hint="its coordinator plans it")
    return call


def prepare_plan(tables: PlanningTables, call: Call) -> PlanFile:
    """What the first plan for a call is made from. Raises CallRefusedError if the orders have other terms by now."""
    calls.verify_revisions(tables.rows, tables.book, call)
    return plan_file(tables.rows, tables.book, tables.planning, call, None)


def prepare_replan(
    tables: PlanningTables, call: Call, own: stream_entries.OwnStream, happened: Happened, now_s: int
) -> Replacing:
    """What a plan is made from that replaces the latest one. Rows that have begun stay, and accepted ones unless that
    is impossible. Raises InputError for a cause that is not so."""
    if happened.shown is None:
        verify_cause(happened)
    before = tables.latest_plan(call.digest)
    # A cause that a record shows names it; any other is written into the coordinator's stream.
    record = happened.record or happened.certificate or _declined(tables, happened)
    cause = happened.shown or _cause(tables, own, happened, record)
    file = plan_file(tables.rows, tables.book, tables.planning, call, None, before)
    why = _replan(tables, call, before, cause, happened, now_s)
    is_shown = record is not None or happened.shown is not None
    return Replacing(file, before.tie, why, None if is_shown else _entry(happened, now_s))


def seal_made(
    tables: PlanningTables,
    own: stream_entries.OwnStream,
    call: Call,
    plan: Plan,
    signer: Signer,
    entry: Mapping[str, Json] | None = None,
) -> stream_entries.Sealed:
    """Writes a plan, and before it what led to it. Raises PlanningError if something else was written in between."""
    written = None if entry is None else stream_entries.seal_event(tables.connection, own, entry).first
    if written is not None and plan.cause is not None and plan.cause.leaf != written:
        raise PlanningError(PlanningGround.STREAM_GREW.write(), hint="make the plan again")
    return stream_entries.seal_plan(tables.connection, own, call, plan, signer)


def _declined(tables: PlanningTables, happened: Happened) -> int | None:
    """The record by which an assignment was declined. Raises InputError if it was not."""
    number = happened.assignment
    if happened.kind is not CauseKind.DECLINED or number is None:
        return None
    if tables.need_assignment(number).state != AssignmentState.DECLINED:
        cause = PlanningGround.NOT_DECLINED.write(assignment=number)
        raise InputError(cause, hint="see `millmark assignments list --all`")
    return number


def _cause(tables: PlanningTables, own: stream_entries.OwnStream, happened: Happened, record: int | None) -> Cause:
    """What a record shows is named by it; anything else by the entry that is written with the plan."""
    if record is not None:
        return Cause(happened.kind, happened.text, record=record)
    leaf = max(own.anchored, tables.book.evidence_size(own.subject))
    return Cause(happened.kind, happened.text, stream=own.subject, leaf=leaf)


def _entry(happened: Happened, now_s: int) -> Mapping[str, Json]:
    """The entry that says what happened."""
    named = {"machine": happened.machine, "assignment": happened.assignment}
    about: dict[str, Json] = {name: value for name, value in named.items() if value is not None}
    return {"cause": happened.kind.value, "text": happened.text, "at": now_s, **about}


def _replan(tables: PlanningTables, call: Call, before: Plan, cause: Cause, happened: Happened, now_s: int) -> Replan:
    standing = consent.find_standing(tables.rows, tables.book, before)
    offers = count_known(tables.rows, tables.book, tables.planning, call).offers
    rework = frozenset[Key]()
    if happened.certificate is not None:
        rework = find_failed(tables.rows, standing, happened.certificate)
    started, accepted = find_kept(before, standing, cause.kind, happened.machine)
    started -= rework
    declined: Sequence[tuple[bytes, int]] = ()
    if happened.assignment is not None and cause.kind is CauseKind.DECLINED:
        row = tables.need_assignment(happened.assignment)
        declined = [(row.order, row.operation)]
    dropped = find_dropped(before, offers, started, happened.machine, declined)
    return Replan(cause, max(before.now, slot_now(call, now_s)), started, accepted, dropped, rework)


# Attempts

_MOST_TRIED = 6
"""Attempts of one call that are kept."""
_MOST_CALLS = 4
"""Whose attempts are kept: a plan is some hundred kB."""
_LEASE_S, _RENEW_S = 30, 5
"""How long a plan counts as in the making after its maker was last heard of, and how often that says so."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A plan that somebody wanted made."""

    number: int
    """From 1, of its call."""
    cpu_s: int
    seed: int
    entry: Mapping[str, Json] | None
    """What is written into the stream about its cause, when it is recorded."""
    plan: Plan | None = None
    moved: int | None = None
    """Rows of the plan before that have another offer or start; None if it replaces none."""
    steps: tuple[str, ...] = ()
    """How it came about, a line each."""
    problem: str = ""
    """Why there is none: one line. Empty while it is being made, too."""

    @property
    def is_over(self) -> bool:
        return self.plan is not None or bool(self.problem)

    @property
    def gap_per_mille(self) -> int:
        """The gap of the plan that was made; 0 if none was."""
        plan = self.plan
        return 0 if plan is None else check.gap_per_mille(plan.cost.total, plan.bound.value, spent=plan.cost.spent)


class PlanMaker:
    """Makes one plan at a time, whichever of the company's gateways was asked, and keeps the last attempts of each call
    until a plan for it is recorded: in the store, where each gateway finds them, also after a restart."""

    def __init__(
        self, store: Store, make: Callable[[Task], Made] | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._store, self._make, self._clock = store, make or make_apart, clock

    @property
    def is_busy(self) -> bool:
        with self._store.reading() as connection:
            return bool(PlanningRepository(connection).making(self._now_ms()))

    def attempts(self, call: bytes) -> tuple[Attempt, ...]:
        """The attempts for a call, the first one first."""
        now_ms = self._now_ms()
        with self._store.reading() as connection:
            return tuple(_read(row, now_ms) for row in PlanningRepository(connection).attempts(call))

    def start(self, call: bytes, task: Task, entry: Mapping[str, Json] | None = None) -> Attempt:
        """Begins to make a plan. Raises PlanningError while another one is being made."""
        now_ms = self._now_ms()
        with self._store.transaction() as connection:
            kept = PlanningRepository(connection)
            if kept.making(now_ms):
                raise PlanningError(PlanningGround.MAKING.write(), hint="wait until it is done")
            known = kept.attempts(call)
            number = known[-1].number + 1 if known else 1
            text = "" if entry is None else canonical_json(dict(entry)).decode()
            lease = now_ms + _LEASE_S * 1000
            row = AttemptRow(call, number, now_ms, int(task.cpu_s), task.seed, lease, text, "", -1, "[]", "")
            kept.put_attempt(row)
            kept.forget_attempts(call, number - _MOST_TRIED)
            for other in kept.attempted_calls()[_MOST_CALLS:]:
                kept.forget_attempts(other)
        Thread(target=self._run, args=(row, task), name="millmark-plan", daemon=True).start()
        return _read(row, now_ms)

    def forget(self, call: bytes) -> None:
        """Forgets the attempts for a call, once one of them is recorded."""
        with self._store.transaction() as connection:
            kept = PlanningRepository(connection)
            if not any(row.call == call for row in kept.making(self._now_ms())):
                kept.forget_attempts(call)

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)

    def _run(self, row: AttemptRow, task: Task) -> None:
        over = Event()
        Thread(target=self._renew, args=(row, over), name="millmark-plan-lease", daemon=True).start()
        row.problem = PlanningGround.NOT_MADE.write()
        try:
            made = self._make(task)
            plan = made.check.plan
            row.plan, row.problem = canonical_json(plan.to_json()).decode(), ""
            row.moved = -1 if made.check.moved is None else made.check.moved
            row.steps = json.dumps(made.steps)
        except MillmarkError as error:
            row.problem = str(error)
        finally:  # whatever happened: the next one can be made
            over.set()
            row.until_ms = 0
            self._keep(row)

    def _renew(self, row: AttemptRow, over: Event) -> None:
        """Says that the plan is in the making until it is over, so that one whose process is gone is known as that."""
        while not over.wait(_RENEW_S):
            try:
                self._extend(row.call, row.number)
            except StoreError:  # busy for a moment; if it stays so, the lease ends, which the page says
                continue

    def _extend(self, call: bytes, number: int) -> None:
        with self._store.transaction() as connection:
            kept = PlanningRepository(connection)
            known = kept.attempt(call, number)
            if known is not None and known.until_ms:
                known.until_ms = self._now_ms() + _LEASE_S * 1000
                kept.put_attempt(known)

    def _keep(self, row: AttemptRow) -> None:
        with self._store.transaction() as connection:
            kept = PlanningRepository(connection)
            if kept.attempt(row.call, row.number) is not None:  # others may have taken its place
                kept.put_attempt(row)


def _read(row: AttemptRow, now_ms: int) -> Attempt:
    is_gone = 0 < row.until_ms < now_ms
    return Attempt(
        number=row.number,
        cpu_s=row.cpu_s,
        seed=row.seed,
        entry=json.loads(row.entry) if row.entry else None,
        plan=Plan.parse(json.loads(row.plan)) if row.plan else None,
        moved=None if row.moved < 0 else row.moved,
        steps=tuple(json.loads(row.steps)),
        problem=PlanningGround.MAKER_STOPPED.write() if is_gone else row.problem if not row.until_ms else "",
    )
