"""The coordinator's plans: what a plan is made from, why it replaces the one before, and its entry in the stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from millmark.ledger.canonical import Json
from millmark.ledger.errors import InputError
from millmark.ledger.plans.call import Call
from millmark.ledger.plans.file import PlanFile
from millmark.ledger.plans.plan import Cause, CauseKind, Key, Plan
from millmark.ledger.records import AssignmentState
from millmark.ledger.signatures import Signer
from millmark.services.planning.calls import verify_revisions
from millmark.services.planning.errors import CallRefusedError, PlanningError
from millmark.services.planning.failed import find_failed
from millmark.services.planning.grounds import PlanningGround
from millmark.services.planning.making import find_dropped, find_kept, find_standing, slot_now
from millmark.services.planning.reading import count_known, need_call, plan_file
from millmark.services.planning.schedule import Replan
from millmark.services.planning.sealing import OwnStream, Sealed, seal_event, seal_plan
from millmark.services.planning.shelf import Shelf


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


def need_own_call(shelf: Shelf, digest: bytes, me: int) -> Call:
    """A call that the company made. Raises NotFoundError, CallRefusedError."""
    call = need_call(shelf.rows, digest)
    if call.coordinator != me:
        cause = PlanningGround.OTHERS_CALL.write(participant=call.coordinator)
        raise CallRefusedError(cause, hint="its coordinator plans it")
    return call


def prepare_plan(shelf: Shelf, call: Call) -> PlanFile:
    """What the first plan for a call is made from. Raises CallRefusedError if the orders have other terms by now."""
    verify_revisions(shelf.rows, shelf.book, call)
    return plan_file(shelf.rows, shelf.book, shelf.planning, call, None)


def prepare_replan(shelf: Shelf, call: Call, own: OwnStream, happened: Happened, now_s: int) -> Replacing:
    """What a plan is made from that replaces the latest one. Rows that have begun stay, and accepted ones unless that
    is impossible. Raises InputError for a cause that is not so."""
    if happened.shown is None:
        verify_cause(happened)
    before = shelf.latest_plan(call.digest)
    # A cause that a record shows names it; any other is written into the coordinator's stream.
    record = happened.record or happened.certificate or _declined(shelf, happened)
    cause = happened.shown or _cause(shelf, own, happened, record)
    file = plan_file(shelf.rows, shelf.book, shelf.planning, call, None, before)
    why = _replan(shelf, call, before, cause, happened, now_s)
    is_shown = record is not None or happened.shown is not None
    return Replacing(file, before.tie, why, None if is_shown else _entry(happened, now_s))


def seal_made(
    shelf: Shelf, own: OwnStream, call: Call, plan: Plan, signer: Signer, entry: Mapping[str, Json] | None = None
) -> Sealed:
    """Writes a plan, and before it what led to it. Raises PlanningError if something else was written in between."""
    written = None if entry is None else seal_event(shelf.connection, own, entry).first
    if written is not None and plan.cause is not None and plan.cause.leaf != written:
        raise PlanningError(PlanningGround.STREAM_GREW.write(), hint="make the plan again")
    return seal_plan(shelf.connection, own, call, plan, signer)


def _declined(shelf: Shelf, happened: Happened) -> int | None:
    """The record by which an assignment was declined. Raises InputError if it was not."""
    number = happened.assignment
    if happened.kind is not CauseKind.DECLINED or number is None:
        return None
    if shelf.need_assignment(number).state != AssignmentState.DECLINED:
        cause = PlanningGround.NOT_DECLINED.write(assignment=number)
        raise InputError(cause, hint="see `millmark assignments list --all`")
    return number


def _cause(shelf: Shelf, own: OwnStream, happened: Happened, record: int | None) -> Cause:
    """What a record shows is named by it; anything else by the entry that is written with the plan."""
    if record is not None:
        return Cause(happened.kind, happened.text, record=record)
    leaf = max(own.anchored, shelf.book.evidence_size(own.subject))
    return Cause(happened.kind, happened.text, stream=own.subject, leaf=leaf)


def _entry(happened: Happened, now_s: int) -> Mapping[str, Json]:
    """The entry that says what happened."""
    named = {"machine": happened.machine, "assignment": happened.assignment}
    about: dict[str, Json] = {name: value for name, value in named.items() if value is not None}
    return {"cause": happened.kind.value, "text": happened.text, "at": now_s, **about}


def _replan(shelf: Shelf, call: Call, before: Plan, cause: Cause, happened: Happened, now_s: int) -> Replan:
    standing = find_standing(shelf.rows, shelf.book, before)
    offers = count_known(shelf.rows, shelf.book, shelf.planning, call).offers
    rework = frozenset[Key]()
    if happened.certificate is not None:
        rework = find_failed(shelf.rows, standing, happened.certificate)
    started, accepted = find_kept(before, standing, cause.kind, happened.machine)
    started -= rework
    declined: Sequence[tuple[bytes, int]] = ()
    if happened.assignment is not None and cause.kind is CauseKind.DECLINED:
        row = shelf.need_assignment(happened.assignment)
        declined = [(row.order, row.operation)]
    dropped = find_dropped(before, offers, started, happened.machine, declined)
    return Replan(cause, max(before.now, slot_now(call, now_s)), started, accepted, dropped, rework)
