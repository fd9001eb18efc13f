"""Steps 8 to 10: disclosed data are those to which the ledger commits."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from millmark.ledger.bundle import Bundle, EvidenceEntryShown, InferenceShown, ShownEvidence
from millmark.ledger.canonical import sha256, to_hex
from millmark.ledger.claims import verify_disclosure
from millmark.ledger.errors import CanonicalError, ProofError, RecordError, RegisterError
from millmark.ledger.events import Event, Leaf
from millmark.ledger.events.orders import AssignmentFinished, AssignmentStarted
from millmark.ledger.evidence import build_inference_context, build_leaf_data, build_window_commitment
from millmark.ledger.footprint import Moment, RegisterEntry, parse_register_entry, wh_between
from millmark.ledger.merkle import leaf_hash, verify_consistency, verify_inclusion
from millmark.ledger.verify._state import Certificate, Entry, State
from millmark.ledger.verify._status import Verified
from millmark.ledger.verify.report import ClaimsRefused, EvidenceRefused, InferencesRefused

# Register readings that a bundle shows: of each operation, the entry of its finish and that of its start, which the
# first one names.


@dataclass(frozen=True, slots=True)
class Metered:
    """The readings of an operation, both shown and in their stream."""

    assignment: int
    started: int
    finished: int
    """Records."""
    stream: bytes
    start_index: int
    finish_index: int
    quantity: int | None
    """How much the operation made in all, if the finish says so."""
    wh: int | None
    """None if the readings cannot be those of one register."""


def register_of(shown: EvidenceEntryShown | None) -> RegisterEntry | None:
    """The register reading of an entry; None if it has none, or none that can be read."""
    if shown is None:
        return None
    try:
        return parse_register_entry(shown.entry)
    except RegisterError:
        return None


def named_starts(
    evidence: Iterable[ShownEvidence], entries: Mapping[int, Entry[Event]]
) -> dict[int, tuple[AssignmentFinished, RegisterEntry]]:
    """For each assignment: its finish that is shown with a register reading, and this reading. The reading names the
    entry of the start."""
    found = {}
    for one in evidence:
        entry, finish = entries.get(one.record), register_of(one.shown)
        if entry is None or not isinstance(entry.event, AssignmentFinished) or finish is None:
            continue
        if finish.start is not None and finish.assignment == entry.event.assignment:
            found[finish.assignment] = (entry.event, finish)
    return found


def metered(verified: Verified) -> dict[int, Metered]:
    """The operations with both readings shown, by assignment."""
    return {one.assignment: one for one in _metered(verified)}


def _metered(verified: Verified) -> Iterator[Metered]:
    shown = {one.record: one.shown for one in verified.bundle.evidence}
    started = {one.event.assignment: one.sequence for one in verified.entries_with(AssignmentStarted)}
    for finished in verified.entries_with(AssignmentFinished):
        first = started.get(finished.event.assignment, 0)
        start, finish = register_of(shown.get(first)), register_of(shown.get(finished.sequence))
        if start is None or finish is None or finish.start is None:
            continue
        try:
            wh = wh_between(start, finish) if finish.assignment == finished.event.assignment else None
        except RegisterError:
            wh = None
        yield Metered(
            finished.event.assignment,
            first,
            finished.sequence,
            finished.event.stream,
            finish.start,
            finished.event.leaf_index,
            finish.quantity,
            wh,
        )


_INFERENCE_TAG = b"millmark/infer/1"
_INFERENCE_VERSION = 1


def verify_claims(bundle: Bundle, entries: Mapping[int, Entry[Event]]) -> None:
    """Step 8: disclosed fields are in the documents to which the records commit. Raises ClaimsRefused."""
    for claims in bundle.claims:
        entry = entries.get(claims.record)
        if entry is None:
            raise ClaimsRefused("the bundle has no such record", sequence=claims.record)
        roots = entry.event.roots()
        if claims.root >= len(roots) or not any(roots[claims.root]):
            raise ClaimsRefused(f"the record has no document {claims.root}", sequence=claims.record)
        try:
            verify_disclosure(claims.disclosure, roots[claims.root])
        except (ProofError, CanonicalError) as error:
            raise ClaimsRefused(error.cause, sequence=claims.record) from None


def verify_evidence(bundle: Bundle, state: State, entries: Mapping[int, Entry[Event]]) -> None:
    """Step 9: the leaves to which certificates and assignments refer are in their streams. Raises EvidenceRefused.

    A certificate's leaf is verified under the anchor that was the latest at its issue, with which the present anchor
    must be consistent; an assignment's leaf is verified under the present anchor, and so is that of its start, which
    the shown finish names.
    """
    starts = named_starts(bundle.evidence, entries)
    for evidence in bundle.evidence:
        entry = entries.get(evidence.record)
        event = None if entry is None else entry.event
        certificate = state.certificates.get(evidence.record)
        try:
            if certificate is not None:
                _verify_certified(evidence, certificate, state)
            elif isinstance(event, AssignmentFinished):
                _verify_finished(evidence, event, state)
            elif isinstance(event, AssignmentStarted):
                _verify_started(evidence, event, starts.get(event.assignment), state)
            else:
                raise ProofError("the bundle has no such record that refers to evidence")
        except (ProofError, CanonicalError, RecordError) as error:
            raise EvidenceRefused(error.cause, sequence=evidence.record) from None


def _verify_certified(evidence: ShownEvidence, certificate: Certificate, state: State) -> None:
    statement, size, root = certificate.statement, certificate.anchor_size, certificate.anchor_root
    leaf = statement.leaf_hash
    _verify_entry(evidence, Leaf(statement.stream, statement.leaf_index, leaf))
    verify_inclusion(leaf, statement.leaf_index, size, evidence.inclusion, root)
    latest = state.proved.streams[statement.stream]
    verify_consistency(size, latest.size, evidence.consistency, root, latest.root)


def _verify_finished(evidence: ShownEvidence, finished: AssignmentFinished, state: State) -> None:
    _verify_entry(evidence, finished.leaf())
    latest = state.proved.streams[finished.stream]
    # Who lacks the stream's log can show the entry, which the record names by its hash, but not its place.
    if evidence.inclusion or evidence.shown is None:
        verify_inclusion(finished.leaf_hash, finished.leaf_index, latest.size, evidence.inclusion, latest.root)
    _verify_no_consistency(evidence)


def _verify_no_consistency(evidence: ShownEvidence) -> None:
    # Superfluous bytes would give one bundle several texts.
    if evidence.consistency:
        raise ProofError("evidence of an assignment must not have a consistency proof")


def _verify_started(
    evidence: ShownEvidence,
    started: AssignmentStarted,
    named: tuple[AssignmentFinished, RegisterEntry] | None,
    state: State,
) -> None:
    """The entry is the start's reading that the finish names: by its place in the stream, or by its leaf hash."""
    shown, start = evidence.shown, register_of(evidence.shown)
    if named is None or named[1].start is None or shown is None:
        raise ProofError("no register reading at the finish is shown that names the one at the start")
    finished, finish, index = named[0], named[1], named[1].start
    where = f"entry {index} of stream {to_hex(finished.stream)}, the register reading at the start"
    if start is None or start.reading.moment is not Moment.START or start.assignment != started.assignment:
        raise ProofError(f"{where}, is not shown as that of the assignment")
    latest = state.proved.streams[finished.stream]
    if index >= min(finished.leaf_index, latest.size):
        raise ProofError(f"{where}, is not before the finish")
    leaf = leaf_hash(build_leaf_data(shown.kind, shown.salt, shown.entry))
    if finish.start_hash not in (None, leaf):
        raise ProofError(f"{where}, is not the one that the finish names")
    if evidence.inclusion or finish.start_hash is None:
        try:
            verify_inclusion(leaf, index, latest.size, evidence.inclusion, latest.root)
        except ProofError as error:
            raise ProofError(f"{where}: {error.cause}") from None
    _verify_no_consistency(evidence)


def _verify_entry(evidence: ShownEvidence, leaf: Leaf) -> None:
    shown = evidence.shown
    if shown is not None and leaf_hash(build_leaf_data(shown.kind, shown.salt, shown.entry)) != leaf.hash:
        raise ProofError(
            f"the entry is not the one that the record names: entry {leaf.index} of stream {to_hex(leaf.stream)}"
        )


def verify_inferences(bundle: Bundle, state: State) -> None:
    """Step 10: a disclosed inference, with the certificate's lot, evidence, model and verdict, has the digest to which
    the certificate commits. Raises InferencesRefused.

    Not established: that the model returns these logits for this input; `python -m millmark.quality audit` executes it
    again.
    """
    for inference in bundle.inferences:
        certificate = state.certificates.get(inference.record)
        if certificate is None or certificate.model == 0:
            raise InferencesRefused("the bundle has no such certificate by inference", sequence=inference.record)
        if not inference.logits:
            raise InferencesRefused("the inference has no logits", subject=certificate.lot, sequence=inference.record)
        if _digest(bundle, inference, certificate, state) != certificate.statement.inference_digest:
            raise InferencesRefused(
                "the certificate commits to another inference: this one was changed, or is for another lot, "
                "measurement or model",
                subject=certificate.lot,
                sequence=inference.record,
            )


def _digest(bundle: Bundle, inference: InferenceShown, certificate: Certificate, state: State) -> bytes:
    """The inference digest, 32 bytes (quality/FORMAT.md, "Inference digest")."""
    # Written out here although quality has it, too: the verifier must run without that package.
    statement = certificate.statement
    context = build_inference_context(
        chain_id=bundle.chain_id,
        ledger=bundle.ledger,
        lot=certificate.lot,
        stream=statement.stream,
        leaf_index=statement.leaf_index,
        leaf=statement.leaf_hash,
    )
    count = len(inference.logits)
    return sha256(
        _INFERENCE_TAG
        + _INFERENCE_VERSION.to_bytes(2, "big")
        + context
        + state.proved.models[certificate.model].digest
        + build_window_commitment(inference.salt, inference.window)
        + struct.pack(f">H{count}iB", count, *inference.logits, certificate.verdict)
    )
