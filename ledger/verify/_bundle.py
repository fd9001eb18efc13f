"""Statements about the bundle as a whole: block and trust file, what was disclosed, and what is not proved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from millmark.ledger.bundle import Bundle, ShownEvidence, WithheldRecord
from millmark.ledger.canonical import sha256
from millmark.ledger.events import Event
from millmark.ledger.events.lots import LotsTransformed
from millmark.ledger.events.orders import AssignmentFinished, AssignmentStarted
from millmark.ledger.footprint import RegisterEntry
from millmark.ledger.seals import SealedBlock, faulty_of, quorum_of
from millmark.ledger.trust import BelievedBlock, Validators
from millmark.ledger.verify._attention import compared_inputs, conversions, undated
from millmark.ledger.verify._disclosures import named_starts
from millmark.ledger.verify._footprints import proved_footprints, unproved_footprints
from millmark.ledger.verify._state import Entry, made_of
from millmark.ledger.verify._status import Verified
from millmark.ledger.verify.report import moment
from millmark.ledger.verify.statements import Age, Fields, Statement, say

# Statements about block, checkpoint and trust file, and the size of the bundle.


def head(verified: Verified) -> Iterator[Statement]:
    """At which block everything else is so, and why that block is believed."""
    bundle, proof = verified.bundle, verified.headers[0]
    yield say(
        "as_of",
        block=proof.number,
        block_hash=proof.hash,
        time=moment(proof.timestamp),
        age=Age(verified.now_s - proof.timestamp),
        chain=bundle.chain_id,
        ledger=bundle.ledger,
        ledger_id=bundle.ledger_id,
    )
    yield from _checkpoint(verified)
    if verified.trust.predecessor is not None:
        yield say("succeeds", predecessor=verified.trust.predecessor)
    yield say("trust_file", digest=sha256(verified.trust.to_bytes()))
    yield say("counts", recorded=len(bundle.records), histories=len(bundle.histories))
    for event, count in sorted(_withheld(bundle).items()):
        yield say("withheld_kind", count=count, event=event)


def _checkpoint(verified: Verified) -> Iterator[Statement]:
    last, trust, reasons = verified.headers[-1], verified.trust, verified.reasons
    if isinstance(trust.checkpoint, BelievedBlock):
        yield say("checkpoint_named", block=last.number, hash=last.hash)
    if isinstance(trust.checkpoint, Validators) and reasons.sealed is not None:
        yield from _sealed(verified, trust.checkpoint, reasons.sealed)
    if trust.cosigners is not None and reasons.signers:
        owners = {key.address: key.participant for key in trust.cosigners.keys}
        yield say(
            "checkpoint_cosigned",
            block=last.number,
            hash=last.hash,
            signers=tuple(verified.party(owners[address]) for address in reasons.signers),
            quorum=trust.cosigners.quorum,
            cosigners=len(set(owners.values())),
        )


def _sealed(verified: Verified, believed: Validators, block: SealedBlock) -> Iterator[Statement]:
    """Which validators sealed the block, by the names of the companies that the trust file says run them."""
    companies = {one.address: one.participant for one in believed.members}
    named = (companies.get(address) for address in block.signers)
    yield say(
        "checkpoint_sealed",
        block=block.header.number,
        hash=block.header.hash,
        signers=tuple(
            address if company is None else verified.party(company)
            for address, company in zip(block.signers, named, strict=True)
        ),
        round=block.round,
        quorum=quorum_of(len(block.validators)),
        validators=len(block.validators),
    )
    if changes := verified.reasons.changes:
        yield say("validators_changed", blocks=tuple(change.header.number for change in changes))


def _withheld(bundle: Bundle) -> Counter[str]:
    return Counter(
        one.kind for history in bundle.histories for one in history.records if isinstance(one, WithheldRecord)
    )


# Statements about what the sender disclosed, and about what is proved of the bundle as a whole.


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


# Statements about what a reader might believe to be proved, although it is not.

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
        names = verified.things([lot.subject for lot in received])
        yield say("received_lots", None, numbers, lots=len(received), received=names)


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
