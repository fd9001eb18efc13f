"""Statements about what a reader might believe to be proved, although it is not."""

from __future__ import annotations

from collections.abc import Iterator

from millmark.ledger.events.lots import LotsTransformed
from millmark.ledger.events.orders import AssignmentFinished
from millmark.ledger.seals import faulty_of
from millmark.ledger.trust import Validators
from millmark.ledger.verify._attention import conversions
from millmark.ledger.verify._disclosed import measured
from millmark.ledger.verify._footprints import unproved_footprints
from millmark.ledger.verify._measurements import compared_inputs, undated
from millmark.ledger.verify._state import Lot
from millmark.ledger.verify._status import Verified
from millmark.ledger.verify.statements import Statement, say

__all__ = ["not_proved"]

_NO_ROOT = bytes(32)


def not_proved(verified: Verified) -> Iterator[Statement]:
    """What the bundle cannot prove, what its sender left out, and what was not compared."""
    for always in ("after", "truth", "trust", "others"):
        yield say(always)
    if verified.trust.predecessor is not None:
        yield say("predecessor")
    yield from _assumed_of_validators(verified)
    yield from _outside_of_histories(verified)
    yield from _elsewhere(verified)
    yield from _not_shown(verified)
    yield from _not_measured(verified)
    if converted := tuple(number for number, _ in conversions(verified)):
        yield say("conversions", None, converted, converted=converted)
    if verified.bundle.signatures and verified.trust.cosigners is None:
        yield say("signatures")
    if withheld := sorted(lot.subject for lot in verified.state.lots.values() if lot.withheld):
        yield say("withheld", lots=verified.things(withheld))


def _assumed_of_validators(verified: Verified) -> Iterator[Statement]:
    """What must be assumed of validators for their seals to decide, and that nobody needs these seals."""
    sealed = verified.reasons.sealed
    if sealed is None:
        return
    if not isinstance(verified.trust.checkpoint, Validators):
        yield say("seals")
        return
    count = len(sealed.validators)
    yield say("validators", faulty=faulty_of(count), validators=count, block=sealed.header.number)
    if verified.reasons.changes:
        yield say("earlier_validators")
    yield say("independent")


def _outside_of_histories(verified: Verified) -> Iterator[Statement]:
    """Lots without a history in the bundle."""
    state = verified.state
    assignments = tuple(sorted({number for lot in verified.line for _, number, _ in lot.work}))
    if assignments:
        yield say("other_lots", None, assignments, assignments=assignments)
    sisters, records = _sisters(verified)
    if sisters:
        yield say("sisters", None, records, lots=verified.things(sisters))
    if verified.not_followed:
        yield say("made_of", lots=len(verified.not_followed), made=verified.things(sorted(verified.not_followed)))
    inside = {name for lot in verified.parts for name in lot.contents} - state.lots.keys()
    if inside:
        yield say("packed", lots=len(inside), packed=verified.things(sorted(inside)))
    received = [lot for lot in verified.line if lot.from_outside]
    if received:
        numbers = tuple(lot.sequence for lot in received)
        yield say("received_lots", None, numbers, lots=len(received), received=verified.things(_names(received)))


def _sisters(verified: Verified) -> tuple[list[bytes], tuple[int, ...]]:
    """Lots that came out of the steps in which lots of the line were made, and are not here; and these steps."""
    lots: dict[bytes, int] = {}
    for lot in verified.line:
        entry = verified.by_sequence[lot.sequence]
        if isinstance(entry.event, LotsTransformed):
            made = entry.event.outputs(entry.histories)
            lots.update((name, entry.sequence) for name in made if name not in verified.state.lots)
    return list(lots), tuple(sorted(set(lots.values())))


def _elsewhere(verified: Verified) -> Iterator[Statement]:
    """Records in histories that are not here, too: each may have been corrected in one of these alone."""
    here = verified.state.entries_of.keys()
    shared = tuple(entry.sequence for entry in verified.entries if not here >= set(entry.histories))
    if shared:
        yield say("elsewhere", None, shared, shared=shared)


def _not_shown(verified: Verified) -> Iterator[Statement]:
    """Names and documents that the sender withheld. A document of which no field is shown is not shown."""
    nameless = [part for part in verified.bundle.parts if part not in verified.identifiers]
    if nameless:
        yield say("nameless", parts=len(nameless), nameless=verified.things(nameless))
    shown = {(one.record, one.root) for one in verified.bundle.claims if one.disclosure.shown}
    hidden = [
        entry.sequence
        for entry in verified.entries
        for place, root in enumerate(entry.event.roots())
        if root != _NO_ROOT and (entry.sequence, place) not in shown
    ]
    if hidden:
        yield say("documents", None, tuple(dict.fromkeys(hidden)), documents=len(hidden))


def _not_measured(verified: Verified) -> Iterator[Statement]:
    """Measurements and inferences that are not shown, not compared, or not dated."""
    bundle, certified, found = verified.bundle, verified.state.certificates, measured(verified)
    with_evidence = {evidence.record for evidence in bundle.evidence}
    finished = {one.sequence for one in verified.entries_with(AssignmentFinished)}
    opened = {inference.record for inference in bundle.inferences}
    inferred = {number for number, certificate in certified.items() if certificate.model}
    for code, name, numbers in (
        ("measured", "certificates", certified.keys() - with_evidence),
        ("operations", "finished", finished - with_evidence),
        ("entries", "measured", (*found.hashed_certificates, *found.hashed_operations)),
        ("inferences", "certificates", inferred - opened),
        ("uncompared", "certificates", compared_inputs(verified)[1]),
        ("timing", "certificates", undated(verified)),
    ):
        if numbers:
            listed = tuple(sorted(numbers))
            yield say(code, None, listed, **{name: listed})
    yield from unproved_footprints(verified)
    if bundle.inferences:
        yield say("execution")
    if found.operations or found.hashed_operations:
        yield say("finished")


def _names(lots: list[Lot]) -> list[bytes]:
    return [lot.subject for lot in lots]
