"""Statements about where parts came from: who made, split, assembled or received each lot, on which machines, and whose
hands it went through."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from millmark.ledger.events.lots import LotReworked, LotsTransformed
from millmark.ledger.records import CertificateStatus, TransformationKind, Verdict
from millmark.ledger.verify._hands import hands
from millmark.ledger.verify._state import Lot
from millmark.ledger.verify._status import Verified, foremost, status_of
from millmark.ledger.verify._verdicts import events_of, same_material
from millmark.ledger.verify.report import moment
from millmark.ledger.verify.statements import Section, Statement, say

__all__ = ["is_work", "origin"]

_KINDS = {
    TransformationKind.SPLIT: "split",
    TransformationKind.MERGE: "merged",
    TransformationKind.CONVERSION: "converted",
    TransformationKind.REWORK: "reworked",
}


def origin(verified: Verified) -> Iterator[Statement]:
    """Statements about the parts and every lot that they came from, oldest first."""
    told = {name for lot in verified.parts for name in same_material(verified.state, lot)}
    for lot in verified.line:
        yield _beginning(verified, lot)
        yield from _fittings(verified, lot)
        yield from _machines(verified, lot)
        yield from hands(verified, lot)
        if lot.subject not in told:
            yield from (replace(one, section=Section.ORIGIN) for one in events_of(verified, lot))
    yield from _same_assignments(verified)


def is_work(verified: Verified, lot: Lot) -> bool:
    """Whether whoever created a lot's record worked on it: neither received it from outside, nor only split or merged
    it."""
    first = verified.by_sequence[lot.sequence].event
    kept = isinstance(first, LotsTransformed) and first.transformation.kind in (
        TransformationKind.SPLIT,
        TransformationKind.MERGE,
    )
    return not lot.from_outside and not kept


def _beginning(verified: Verified, lot: Lot) -> Statement:
    entry = verified.by_sequence[lot.sequence]
    code, inputs = "received" if lot.from_outside else "made", tuple[bytes, ...]()
    if isinstance(entry.event, LotsTransformed):
        change, inputs = entry.event.transformation, entry.event.inputs
        code = _KINDS[change.kind]
        if code == "converted" and any(taken.component for taken in change.inputs):
            code = "assembled"
    return say(
        code,
        lot.subject,
        (lot.sequence,),
        lot=verified.thing(lot.subject),
        by=verified.party(lot.maker),
        time=moment(entry.time),
        inputs=verified.things(inputs),
    )


def _fittings(verified: Verified, lot: Lot) -> Iterator[Statement]:
    """What went into it by reworks that kept its identifier."""
    if not lot.reworked:
        return
    for entry in verified.state.entries_of[lot.subject].values():
        if isinstance(entry.event, LotReworked) and entry.histories[0] == lot.subject and entry.event.components:
            yield say(
                "fitted",
                lot.subject,
                (entry.sequence,),
                lot=verified.thing(lot.subject),
                by=verified.party(entry.participant),
                time=moment(entry.time),
                inputs=verified.things(entry.event.components),
            )


def _machines(verified: Verified, lot: Lot) -> Iterator[Statement]:
    """The machines of its own operations: those of what it was made from are told there."""
    found: dict[tuple[int, int], list[int]] = {}
    for order, number, _ in lot.work:
        done = verified.state.orders[order].assignments[number]
        found.setdefault((done.machine, done.owner), []).append(number)
    for (machine, owner), numbers in found.items():
        assignments = tuple(dict.fromkeys(numbers))
        yield say(
            "on_machine",
            lot.subject,
            assignments,
            lot=verified.thing(lot.subject),
            machine=verified.machine(machine),
            owner=verified.party(owner),
            assignments=assignments,
        )


def _same_assignments(verified: Verified) -> Iterator[Statement]:
    """Lots here that were made under one assignment, with the verdicts on each."""
    by_assignment: dict[int, list[Lot]] = {}
    for lot in verified.line:
        for number in dict.fromkeys(number for _, number, _ in lot.work):
            by_assignment.setdefault(number, []).append(lot)
    for number, lots in sorted(by_assignment.items()):
        for lot in lots if len(lots) > 1 else ():
            decides = foremost(verified, lot)
            yield say(
                "same_assignment",
                lot.subject,
                (number,),
                lot=verified.thing(lot.subject),
                assignment=number,
                verdict=Verdict.NONE if decides is None else decides.verdict,
                status=CertificateStatus.NONE
                if decides is None
                else status_of(verified, decides, verified.judged_at, lot),
            )
