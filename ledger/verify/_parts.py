"""Statements about parts: their verdicts, whose hands they went through, and where they came from."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from millmark.ledger.events import Event, certificates
from millmark.ledger.events.lots import (
    CustodyAccepted,
    CustodyReclaimed,
    GateWaived,
    LotQuarantined,
    LotReleased,
    LotReworked,
    LotsPacked,
    LotsTransformed,
    LotsUnpacked,
)
from millmark.ledger.records import CertificateStatus, TransformationKind, Verdict
from millmark.ledger.verify._state import Certificate, Entry, Lot, State, outermost
from millmark.ledger.verify._status import Verified, foremost, status_of
from millmark.ledger.verify.report import moment
from millmark.ledger.verify.statements import Model, Section, Statement, Unit, say

# Statements about each part: its verdict, how it came to that, and how the part stands.


def parts(verified: Verified) -> Iterator[Statement]:
    """Part by part: the verdicts first, then its history, then everything else about how the part stands."""
    events = {lot.subject: tuple(events_of(verified, lot)) for lot in verified.line}
    for lot in verified.parts:
        yield say("part", lot.subject, lot=verified.thing(lot.subject))
        if lot.state.is_quarantined:
            yield say("quarantined_part", lot.subject, by=verified.party(lot.counterparty))
        yield from _verdicts(verified, lot)
        same = (one for name in same_material(verified.state, lot) for one in events[name])
        yield from sorted(same, key=lambda one: (one.records, one.subject or b""))
        yield from _standing(verified, lot)


def _verdicts(verified: Verified, lot: Lot) -> Iterator[Statement]:
    """One for each gate of its order; without gates, the latest of all, or the word that there is none."""
    gates, deciding = verified.state.gates_of(lot), verified.state.deciding(lot)
    for certificate in deciding:
        yield _verdict(verified, lot, certificate)
    judged = {one.issuer for one in deciding}
    for gate in gates:
        if gate.inspector not in judged:
            yield say("no_gate_verdict", lot.subject, inspector=verified.party(gate.inspector))
    if not gates and not deciding:
        yield say("no_verdict", lot.subject)


def _verdict(verified: Verified, lot: Lot, certificate: Certificate) -> Statement:
    status = status_of(verified, certificate, verified.judged_at, lot)
    if status is not CertificateStatus.VALID:
        code = "no_valid_verdict"
    else:
        code = "passed" if certificate.verdict is Verdict.PASS else "failed"
    return say(
        code,
        lot.subject,
        (certificate.sequence,),
        certificate=certificate.sequence,
        issuer=verified.party(certificate.issuer),
        model=Model(certificate.model),
        until=moment(certificate.expires_at),
        verdict=certificate.verdict,
        status=status,
    )


def _standing(verified: Verified, lot: Lot) -> Iterator[Statement]:
    order = verified.state.order_of(lot)
    yield say(
        "stands",
        lot.subject,
        state=lot.state,
        quantity=lot.quantity,
        unit=Unit(lot.unit.rstrip(b"\0").decode("latin-1")),
        holder=verified.party(outermost(verified.state, lot).custodian),
    )
    if order is None:
        return
    buyer, coordinator = verified.party(order.buyer), verified.party(order.coordinator)
    thing = verified.thing(order.subject)
    yield say("in_order", lot.subject, (order.sequence,), order=thing, buyer=buyer, coordinator=coordinator)
    for gate in order.terms.gates:
        inspector, model = verified.party(gate.inspector), Model(gate.model)
        yield say("gate", lot.subject, inspector=inspector, model=model)


def same_material(state: State, lot: Lot) -> set[bytes]:
    """The lot, and those that it was before it was split off or merged: not what it was made from."""
    found, waiting = {lot.subject}, [lot.subject]
    while waiting:
        name = waiting.pop()
        first = state.entries_of[name][state.lots[name].sequence].event
        if isinstance(first, LotsTransformed) and first.transformation.kind is not TransformationKind.CONVERSION:
            for taken in first.transformation.inputs:
                if not taken.component and taken.lot not in found:
                    found.add(taken.lot)
                    waiting.append(taken.lot)
    return found


_Values = dict[str, object]


def events_of(verified: Verified, lot: Lot) -> Iterator[Statement]:
    """What certificates, openings, quarantines and rework of a lot there were, oldest first."""
    for entry in verified.state.entries_of[lot.subject].values():
        tell = _EVENTS.get(type(entry.event))
        if tell is not None:
            found = tell(verified, lot, entry)
            if found is not None:
                code, values = found
                named: _Values = {"time": moment(entry.time), "lot": verified.thing(lot.subject)}
                yield say(code, lot.subject, (entry.sequence,), **named, **values)


_Told = tuple[str, _Values] | None


def _issued(verified: Verified, lot: Lot, entry: Entry[certificates.CertificateIssued]) -> _Told:  # noqa: ARG001  # as the others
    code = "event_passed" if entry.event.statement.verdict is Verdict.PASS else "event_failed"
    return code, {"certificate": entry.sequence, "issuer": verified.party(entry.participant)}


def _refuted(verified: Verified, lot: Lot, entry: Entry[certificates.CertificateRefuted]) -> _Told:
    _, values = _about(verified, lot, entry)
    return "event_refuted", {**values, "executed": Verdict(entry.event.executed)}


def _about(verified: Verified, lot: Lot, entry: Entry[Any]) -> tuple[str, _Values]:  # noqa: ARG001  # as the others
    certificate: Certificate = verified.state.certificates[entry.event.certificate]
    return _ABOUT[type(entry.event)], {"certificate": certificate.sequence, "by": verified.party(entry.participant)}


def _waived(verified: Verified, lot: Lot, entry: Entry[GateWaived]) -> _Told:  # noqa: ARG001  # as the others
    inspector = verified.party(entry.event.inspector)
    return "event_waived", {"by": verified.party(entry.participant), "inspector": inspector}


def _moved(verified: Verified, lot: Lot, entry: Entry[Event]) -> _Told:  # noqa: ARG001  # as the others
    code = "event_quarantined" if isinstance(entry.event, LotQuarantined) else "event_released"
    return code, {"by": verified.party(entry.participant)}


def _reworked(verified: Verified, lot: Lot, entry: Entry[LotReworked]) -> _Told:
    # It is in the histories of its components, too.
    return ("event_reworked", {"by": verified.party(entry.participant)}) if entry.histories[0] == lot.subject else None


_ABOUT: dict[type[Event], str] = {
    certificates.CertificateRefuted: "event_refuted",
    certificates.CertificateRevoked: "event_revoked",
    certificates.CertificateUpheld: "event_upheld",
    certificates.OpeningDemanded: "event_demanded",
}
_EVENTS: dict[type[Event], Callable[[Verified, Lot, Entry[Any]], _Told]] = {
    certificates.CertificateIssued: _issued,
    GateWaived: _waived,
    certificates.CertificateRefuted: _refuted,
    certificates.CertificateRevoked: _about,
    certificates.CertificateUpheld: _about,
    certificates.OpeningDemanded: _about,
    LotQuarantined: _moved,
    LotReleased: _moved,
    LotReworked: _reworked,
}


# Statements about whose hands each lot went through, on its own or packed in others.


def hands(verified: Verified, lot: Lot) -> Iterator[Statement]:
    """Every change of custody of a lot, oldest first."""
    for entry in _handovers(verified, lot.subject, 0, sys.maxsize):
        event = entry.event
        named: dict[str, object] = {"lot": verified.thing(lot.subject), "time": moment(entry.time)}
        named["by"] = verified.party(entry.participant)
        if isinstance(event, CustodyReclaimed):
            code, named["giver"] = "reclaimed", verified.party(event.from_)
        elif isinstance(event, CustodyAccepted):
            code, named["giver"] = "handed_over", verified.party(verified.by_sequence[event.offer].participant)
        yield say(code, lot.subject, (entry.sequence,), **named)


def _handovers(verified: Verified, name: bytes, since: int, until: int) -> Iterator[Entry[Event]]:
    """The records between two others by which a lot, or whatever it was packed in by then, changed hands."""
    parent, packed = b"", 0
    for entry in verified.state.entries_of[name].values():
        if not since < entry.sequence < until:
            continue
        event, inside = entry.event, entry.histories[0] != name
        if isinstance(event, CustodyAccepted | CustodyReclaimed):
            yield entry
        elif isinstance(event, LotsPacked) and inside:
            parent, packed = entry.histories[0], entry.sequence
        elif isinstance(event, LotsUnpacked) and inside:
            yield from _handovers(verified, parent, packed, entry.sequence)
            parent = b""
    if parent:
        yield from _handovers(verified, parent, packed, until)


# Statements about where parts came from: who made, split, assembled or received each lot, on which machines, and whose
# hands it went through.

_KINDS = {
    TransformationKind.SPLIT: "split",
    TransformationKind.MERGE: "merged",
    TransformationKind.CONVERSION: "converted",
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
    """Whether the lot's first record is work on it: not a receipt from outside, and not just a split or a merge."""
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
    """What went into it by reworks."""
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
