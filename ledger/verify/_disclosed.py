"""Statements about what the sender disclosed, and about what is proved of the bundle as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from millmark.ledger.bundle import ShownEvidence
from millmark.ledger.events import Event
from millmark.ledger.events.lots import LotsTransformed
from millmark.ledger.events.orders import AssignmentFinished, AssignmentStarted
from millmark.ledger.footprint import RegisterEntry
from millmark.ledger.verify._descent import made_of
from millmark.ledger.verify._footprints import proved_footprints
from millmark.ledger.verify._measurements import compared_inputs
from millmark.ledger.verify._registers import named_starts
from millmark.ledger.verify._state import Entry
from millmark.ledger.verify._status import Verified
from millmark.ledger.verify.statements import Statement, say
from millmark.ledger.verify.values import Fields

__all__ = ["Measured", "disclosed", "measured", "proved"]


def disclosed(verified: Verified) -> Iterator[Statement]:
    """The fields that are shown, document by document, and the entries of evidence."""
    withheld = 0
    for claims in verified.bundle.claims:
        entry, disclosure = verified.by_sequence[claims.record], claims.disclosure
        about = _about(entry, claims.root)
        withheld += len(disclosure.paths) - len(disclosure.shown)
        yield say(
            "document",
            about[0],
            (claims.record,),
            record=claims.record,
            event=entry.kind,
            root=claims.root,
            about=verified.things(about),
            by=verified.party(entry.participant),
            fields=Fields(tuple((disclosure.paths[place], field.value) for place, field in disclosure.shown)),
        )
    if withheld:
        yield say("fields_withheld", fields=withheld)
    yield from _entries(verified)


def _about(entry: Entry[Event], root: int) -> tuple[bytes, ...]:
    """The lots or orders that a document is about. Each output of a transformation has a document of its own."""
    if isinstance(entry.event, LotsTransformed):
        made = tuple(entry.event.outputs(entry.histories))
        return (made[root - 1],) if root else made
    return entry.histories


def _entries(verified: Verified) -> Iterator[Statement]:
    starts = named_starts(verified.bundle.evidence, verified.by_sequence)
    for evidence in verified.bundle.evidence:
        entry, shown = verified.by_sequence[evidence.record], evidence.shown
        if shown is not None:
            stream, index = _place(entry.event, starts)
            machine = verified.state.proved.streams[stream].machine
            yield say(
                "entry",
                entry.histories[0],
                (evidence.record,),
                record=evidence.record,
                stream=stream,
                index=index,
                machine=verified.machine(machine),
                owner=verified.party(verified.state.proved.machines[machine].owner),
                leaf=shown.kind,
                entry=shown.entry,
            )


def _place(event: Event, starts: Mapping[int, tuple[AssignmentFinished, RegisterEntry]]) -> tuple[bytes, int]:
    """The stream and index of the entry that a record is about. Step 9 refused evidence of other records."""
    if isinstance(event, AssignmentStarted):
        finished, reading = starts[event.assignment]
        assert reading.start is not None  # noqa: S101  # as below: that of a finish
        return finished.stream, reading.start
    leaf = event.leaf()
    assert leaf is not None  # noqa: S101  # narrows the type
    return leaf.stream, leaf.index


def proved(verified: Verified) -> Iterator[Statement]:
    """What is proved, even if the sender is not trusted."""
    for always in ("complete", "signers", "status"):
        yield say(always)
    if not verified.not_followed:
        lots = len(made_of(verified.state, verified.bundle.parts))
        yield say("all_made", lots=lots) if lots else say("nothing_made")
    if any(claims.disclosure.shown for claims in verified.bundle.claims):
        yield say("fields")
    yield from proved_footprints(verified)
    found = measured(verified)
    for code, name, numbers in (
        ("measured_certificates", "certificates", found.certificates),
        ("hashed_certificates", "certificates", found.hashed_certificates),
        ("measured_operations", "finished", found.operations),
        ("hashed_operations", "finished", found.hashed_operations),
        ("opened_operations", "finished", found.opened_operations),
        ("inferences_shown", "certificates", tuple(one.record for one in verified.bundle.inferences)),
        ("inputs", "certificates", compared_inputs(verified)[0]),
    ):
        if numbers:
            yield say(code, None, numbers, **{name: numbers})


@dataclass(frozen=True, slots=True)
class Measured:
    """The records with evidence in the bundle: those whose entry is shown, and those with its hash only."""

    certificates: tuple[int, ...]
    hashed_certificates: tuple[int, ...]
    operations: tuple[int, ...]
    hashed_operations: tuple[int, ...]
    opened_operations: tuple[int, ...]
    """Those of which the entry is shown, but no proof that it is in its stream."""


def measured(verified: Verified) -> Measured:
    """Sort the bundle's evidence, but for the starts of operations, which their finishes name."""
    certified = verified.state.certificates
    named = [one for one in verified.bundle.evidence if verified.by_sequence[one.record].event.leaf() is not None]
    shown = [one.record for one in named if one.shown is not None]
    hashed = [one.record for one in named if one.shown is None]
    opened = {one.record for one in named if _is_opened(verified, one)}
    return Measured(
        tuple(one for one in shown if one in certified),
        tuple(one for one in hashed if one in certified),
        tuple(one for one in shown if one not in certified and one not in opened),
        tuple(one for one in hashed if one not in certified),
        tuple(sorted(opened)),
    )


def _is_opened(verified: Verified, evidence: ShownEvidence) -> bool:
    event = verified.by_sequence[evidence.record].event
    if not isinstance(event, AssignmentFinished) or evidence.shown is None or evidence.inclusion:
        return False
    return verified.state.proved.streams[event.stream].size > 1  # the proof of a tree's only leaf is empty
