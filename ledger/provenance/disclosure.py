"""Selects what a bundle discloses from the private book, as its sender chose: names, fields, evidence, inferences.

What is not chosen stays out. That it exists can still be seen from the records.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from millmark.ledger.bundle import EvidenceEntryShown, IdentityShown, InferenceShown, ShownClaims, ShownEvidence
from millmark.ledger.canonical import MAX_SAFE_INTEGER, Json, to_hex
from millmark.ledger.claims import Claims, Path, parse_claims
from millmark.ledger.errors import InputError, ProofError, RegisterError
from millmark.ledger.events.certificates import CertificateIssued
from millmark.ledger.events.orders import AssignmentFinished, AssignmentStarted
from millmark.ledger.evidence import EvidenceEntry, build_leaf_data
from millmark.ledger.footprint import PATH, Moment, RegisterEntry, is_register_alone, parse_register_entry
from millmark.ledger.ids import Identity, SubjectKind
from millmark.ledger.merkle import Tree, leaf_hash
from millmark.ledger.provenance.permissions import Visibility
from millmark.ledger.provenance.selection import Selection
from millmark.ledger.slots import StreamSlots
from millmark.ledger.store import Book, Rows
from millmark.ledger.store.rows import CertificateRow, MachineRow

__all__ = ["Disclosing", "choose_fields", "parse_disclosing"]

_Kept: TypeAlias = "Callable[[int], EvidenceEntry | None]"
"""Entries of one stream that are stored, by index."""
_NAMES, _CLAIMS, _EVIDENCE, _INFERENCES = "names", "claims", "evidence", "inferences"


@dataclass(frozen=True, slots=True)
class Disclosing:
    """The sender's choice. Identifiers of the parts themselves are always disclosed."""

    names: bool = False
    """Identifiers and salts of everything else in the bundle."""
    fields: tuple[tuple[str, ...], ...] = ()
    """Prefixes of paths in claims documents, array indices as digits; () selects every field of every document."""
    entries: bool = False
    """The entries of evidence logs. Without them, it is still proved that they are in their stream."""
    registers: bool = False
    """Those entries that say nothing but a register reading. They are disclosed in any case wherever all of the
    footprints are, which follow from them."""
    inferences: bool = False
    """Inputs and logits of the certificates' inferences."""
    unrelated: bool = False
    """Records that made lots for others from shared material; they are withheld otherwise."""
    only: frozenset[int] | None = None
    """Sequences of the records whose entries and inferences are disclosed, if chosen; None for all."""
    nameless: bool = False
    """Allow parts whose identifier is not in the private book; a receiver must then accept any status."""

    @property
    def shows_footprints(self) -> bool:
        """Whether all of a footprint is disclosed."""
        return any(one == PATH[: len(one)] for one in self.fields)

    @property
    def shows_registers(self) -> bool:
        return self.entries or self.registers or self.shows_footprints


def parse_disclosing(words: list[str], *, unrelated: bool = False) -> Disclosing:
    """Parse a choice: `names`, `claims`, `evidence`, `inferences`, or JSON pointers (RFC 6901) to fields of documents.

    Raises InputError for any other word.
    """
    fields: list[tuple[str, ...]] = []
    for word in words:
        if word == _CLAIMS:
            fields.append(())
        elif word.startswith("/"):
            fields.append(tuple(part.replace("~1", "/").replace("~0", "~") for part in word[1:].split("/")))
        elif word not in (_NAMES, _EVIDENCE, _INFERENCES):
            raise InputError(
                f"{word!r} does not name anything that can be disclosed",
                hint="use names, claims, evidence, inferences, or the pointer to a field such as /legal_name",
            )
    return Disclosing(
        names=_NAMES in words,
        fields=tuple(fields),
        entries=_EVIDENCE in words,
        inferences=_INFERENCES in words,
        unrelated=unrelated,
    )


def disclose_identities(
    rows: Rows, book: Book, selection: Selection, policy: Disclosing, visibility: Visibility | None = None
) -> tuple[IdentityShown, ...]:
    """The parts' identifiers and, if chosen, those of other things that are visible to the participant.

    Raises InputError for a part whose identifier is not in the private book, unless `policy.nameless`: a receiver could
    not check that the bundle is about the right part.
    """
    found = _proved(book, selection.parts)
    if len(found) < len(selection.parts) and not policy.nameless:
        raise InputError(
            "a part has no identifier in the private book, or no proof of its salt",
            hint="ask its maker for a bundle that shows the name",
        )
    if policy.names:
        machines = {row.subject for row in rows.among(MachineRow, "number", selection.machines)}
        # Machines are in no history, hence the look-up of their subjects.
        others = (selection.histories.keys() | selection.streams | machines) - selection.parts
        others = others if visibility is None else set(visibility.identifiers(others))
        found += _proved(book, others)
    return tuple(sorted(map(_shown, found)))


def _proved(book: Book, subjects: Iterable[bytes]) -> list[Identity]:
    """The identities that a receiver can verify: under a salt that somebody chose, a part could have two names."""
    known = (book.identity(subject) for subject in sorted(subjects))
    return [identity for identity in known if identity is not None and identity.proofs]


def _shown(identity: Identity) -> IdentityShown:
    return IdentityShown(SubjectKind(identity.kind), identity.creator, identity.identifier, identity.proofs)


def disclose_claims(book: Book, selection: Selection, policy: Disclosing) -> Iterator[ShownClaims]:
    """The chosen fields of every stored document, except erased ones."""
    if not policy.fields:
        return
    for row in selection.shown():
        for place, root in enumerate(selection.events[row.sequence].roots()):
            document = book.document(root)
            if document is None:
                continue
            claims = parse_claims(json.loads(document))
            paths = choose_fields(claims, policy)
            if paths:
                yield ShownClaims(row.sequence, place, claims.disclose(paths))


def choose_fields(claims: Claims, policy: Disclosing) -> list[Path]:
    """The paths of a document's chosen fields, except erased ones."""
    return [
        path
        for path, field in claims.fields
        if not isinstance(field, bytes) and any(_begins(beginning, path) for beginning in policy.fields)
    ]


def _begins(beginning: tuple[str, ...], path: Path) -> bool:
    return tuple(str(step) for step in path[: len(beginning)]) == beginning


def disclose_evidence(
    rows: Rows, book: Book, selection: Selection, streams: Mapping[bytes, StreamSlots], policy: Disclosing
) -> Iterator[ShownEvidence]:
    """Proofs of every leaf that a record refers to, in streams whose log is stored, and of the register readings that
    shown ones name. `streams` is their state at the proof block.

    Raises ProofError if a stored log does not match its anchor.
    """
    trees: dict[bytes, Tree] = {}
    anchors = {
        row.sequence: row.anchor_size
        for row in rows.among(CertificateRow, "sequence", (row.sequence for row in selection.shown()))
    }
    started = {
        event.assignment: number for number, event in selection.events.items() if isinstance(event, AssignmentStarted)
    }
    found: list[ShownEvidence] = []
    for row in selection.shown():
        event = selection.events[row.sequence]
        leaf = event.leaf()
        if leaf is None:
            continue
        if leaf.stream not in trees:
            # The hashes of each log are read once, since they may be many and many certificates refer to them.
            trees[leaf.stream] = _tree(book, leaf.stream, streams)
        tree = trees[leaf.stream]
        kept: _Kept = partial(_logged, book, leaf.stream) if tree.size else partial(book.opened, leaf.stream)
        if tree.size:
            latest, certified = streams[leaf.stream].size, anchors.get(row.sequence)
            found.append(_evidence(row.sequence, leaf.index, certified, tree, latest, kept(leaf.index), policy))
        elif isinstance(event, AssignmentFinished) and (entry := _chosen(row.sequence, kept(leaf.index), policy)):
            found.append(ShownEvidence(row.sequence, (), (), entry))
        if found and found[-1].record == row.sequence and isinstance(event, AssignmentFinished):
            start = _start(event, started.get(event.assignment), kept, found[-1].shown, policy)
            if start is not None:
                proof = tree.inclusion_proof(start[0], streams[leaf.stream].size) if tree.size else ()
                found.append(ShownEvidence(started[event.assignment], tuple(proof), (), start[1]))
    yield from sorted(found, key=lambda one: one.record)


def _start(
    finished: AssignmentFinished,
    record: int | None,
    kept: _Kept,
    shown: EvidenceEntryShown | None,
    policy: Disclosing,
) -> tuple[int, EvidenceEntryShown] | None:
    """The register reading at the start of an operation, which the shown entry of its finish names, and its index."""
    finish = None if shown is None else _reading(shown.entry)
    if record is None or finish is None or finish.start is None or finish.assignment != finished.assignment:
        return None
    entry = kept(finish.start) if finish.start < finished.leaf_index else None
    start = None if entry is None else _reading(entry.entry)
    if entry is None or start is None or (start.reading.moment, start.assignment) != (Moment.START, finish.assignment):
        return None
    chosen = _chosen(record, entry, policy)
    return None if chosen is None else (finish.start, chosen)


def _chosen(record: int, entry: EvidenceEntry | None, policy: Disclosing) -> EvidenceEntryShown | None:
    """An entry if it is to be shown."""
    if entry is None:
        return None
    if (policy.entries and _is_chosen(record, policy)) or (policy.shows_registers and _is_register(entry)):
        return EvidenceEntryShown(entry.kind, entry.salt, entry.entry)
    return None


def _reading(entry: Json) -> RegisterEntry | None:
    """The register reading of an entry; None if it has none, or none that can be read: a verifier sees none either."""
    try:
        return parse_register_entry(entry)
    except RegisterError:
        return None


def _is_register(entry: EvidenceEntry) -> bool:
    return _reading(entry.entry) is not None and is_register_alone(entry.entry)


def _tree(book: Book, stream: bytes, streams: Mapping[bytes, StreamSlots]) -> Tree:
    """The tree of a stored log; an empty one if the book has no entry of it."""
    tree = Tree(book.leaves(stream, MAX_SAFE_INTEGER))
    if tree.size and (tree.size < streams[stream].size or tree.root(streams[stream].size) != streams[stream].root):
        raise _changed(stream)
    return tree


def _logged(book: Book, stream: bytes, index: int) -> EvidenceEntry | None:
    """An entry of a stored log; None if retention has dropped it. Raises ProofError if it is not that of its leaf."""
    entry = book.evidence_entry(stream, index)
    if entry is not None and leaf_hash(build_leaf_data(entry.kind, entry.salt, entry.entry)) != entry.leaf_hash:
        raise _changed(stream)
    return entry


def _changed(stream: bytes) -> ProofError:
    return ProofError(
        f"the private book's evidence of stream {to_hex(stream)} does not match its anchor",
        hint="restore the private book from a backup",
    )


def _evidence(
    record: int,
    index: int,
    certified: int | None,
    tree: Tree,
    latest: int,
    entry: EvidenceEntry | None,
    policy: Disclosing,
) -> ShownEvidence:
    """Prove one entry, which is None if retention has dropped it.

    `certified` is the anchor's size when a certificate was issued; None for a finished assignment.

    A certificate's entry is proved under that earlier anchor, with a consistency proof to the latest one.
    """
    return ShownEvidence(
        record=record,
        inclusion=tuple(tree.inclusion_proof(index, latest if certified is None else certified)),
        consistency=() if certified is None else tuple(tree.consistency_proof(certified, latest)),
        shown=_chosen(record, entry, policy),
    )


def disclose_inferences(book: Book, selection: Selection, policy: Disclosing) -> Iterator[InferenceShown]:
    """The stored inputs and logits of the certificates' inferences, if chosen."""
    for row in selection.shown():
        chosen = policy.inferences and _is_chosen(row.sequence, policy)
        if not chosen or not isinstance(selection.events[row.sequence], CertificateIssued):
            continue
        kept = book.inference(row.sequence)
        if kept is not None:
            yield InferenceShown(row.sequence, kept.salt, kept.window, tuple(json.loads(kept.logits)))


def _is_chosen(record: int, policy: Disclosing) -> bool:
    return policy.only is None or record in policy.only
