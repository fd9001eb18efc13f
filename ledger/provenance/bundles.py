"""Builds bundles: the records about some lots, proofs of these records, and what the sender discloses from the private
book."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeAlias

from millmark.ledger import slots
from millmark.ledger.ages import MAX_ANCESTRY
from millmark.ledger.bundle import (
    Bundle,
    EvidenceEntryShown,
    HistoryShown,
    IdentityShown,
    InferenceShown,
    RecordShown,
    ShownClaims,
    ShownEvidence,
    WithheldRecord,
    encode_bundle,
)
from millmark.ledger.canonical import MAX_SAFE_INTEGER, Json, to_hex
from millmark.ledger.chain import (
    Chain,
    StateProofs,
    fetch_checkpoint,
    fetch_headers,
    fetch_proofs,
    fetch_seals,
    fetch_trust,
    verify_seen,
)
from millmark.ledger.checkpoint import SignedCheckpoint
from millmark.ledger.claims import Claims, Path, parse_claims
from millmark.ledger.errors import ChainError, InputError, NotFoundError, ProofError, RegisterError
from millmark.ledger.events import Event
from millmark.ledger.events.certificates import CertificateIssued
from millmark.ledger.events.lots import LotsTransformed
from millmark.ledger.events.orders import AssignmentFinished, AssignmentStarted
from millmark.ledger.evidence import EvidenceEntry, build_leaf_data
from millmark.ledger.footprint import PATH, Moment, RegisterEntry, is_register_alone, parse_register_entry
from millmark.ledger.headers import parse_header
from millmark.ledger.ids import Identity, SubjectKind
from millmark.ledger.merkle import Tree, leaf_hash
from millmark.ledger.names import subjects_of
from millmark.ledger.provenance.answers import Recall
from millmark.ledger.provenance.permissions import Visibility
from millmark.ledger.provenance.reader import LookupGround, Reader, find_subject, open_reader, verify_name
from millmark.ledger.records import Contract, Names
from millmark.ledger.store import Book, Rows, Store
from millmark.ledger.store.rows import (
    CertificateRow,
    LotInputRow,
    LotOutputRow,
    MachineRow,
    RecordHistoryRow,
    RecordRow,
    StepKind,
    StreamRow,
    TransformationRow,
)
from millmark.ledger.trust import BelievedBlock

# Selects from the index the records that a bundle about some lots must contain (BUNDLE.md, "What belongs in it").

_LEDGER = Contract.LEDGER.value


class TooManyRecordsError(InputError):
    """The history of some lots is longer than the caller allows."""

    code = "too-many-records"


@dataclass(slots=True)
class Selection:
    """Histories up to a block, and everything to which their records refer."""

    parts: frozenset[bytes]
    """Subjects of the lots that the bundle is about."""
    block_number: int
    """Records after this block are left out."""
    histories: dict[bytes, list[int]] = field(default_factory=dict)
    """Sequences of records, ascending, by subject."""
    records: dict[int, RecordRow] = field(default_factory=dict)
    """By sequence."""
    events: dict[int, Event] = field(default_factory=dict)
    """The records' decoded events, by sequence."""
    touched: dict[int, tuple[bytes, ...]] = field(default_factory=dict)
    """Subjects whose histories contain a record, in the record's order, by sequence."""
    left_out: dict[bytes, list[int]] = field(default_factory=dict)
    """Sequences of records of these histories that were not read, ascending, by subject; see `select_few`."""
    withheld: frozenset[int] = frozenset()
    """Sequences of the records that are withheld: a bundle has only their kind and inner hash."""
    participants: set[int] = field(default_factory=set)
    keys: set[bytes] = field(default_factory=set)
    machines: set[int] = field(default_factory=set)
    models: set[int] = field(default_factory=set)
    streams: set[bytes] = field(default_factory=set)

    def shown(self) -> Iterator[RecordRow]:
        """The records that the bundle contains in full, oldest first."""
        return (self.records[number] for number in sorted(self.records) if number not in self.withheld)

    def build_histories(self) -> tuple[HistoryShown, ...]:
        return tuple(
            HistoryShown(name, tuple(self._link(number) for number in numbers))
            for name, numbers in sorted(self.histories.items())
        )

    def build_records(self) -> tuple[RecordShown, ...]:
        return tuple(
            RecordShown(row.kind, row.sequence, row.participant, row.block_time, row.data) for row in self.shown()
        )

    def _link(self, number: int) -> int | WithheldRecord:
        row = self.records[number]
        return WithheldRecord(row.kind, row.inner) if number in self.withheld else number


def select_records(rows: Rows, parts: Collection[bytes], block_number: int, *, withhold: bool) -> Selection:
    """Select all records, up to a block, of the lots `parts` and of what they were made from. With `withhold`, records
    that took shared material for other lots are withheld."""
    found = Selection(frozenset(parts), block_number)
    layer = set(parts)
    while layer:  # ends: each history is read once
        _read(rows, found, layer)
        layer = {name for subject in layer for name in _needs(found, subject)} - found.histories.keys()
    if withhold:
        found.withheld = frozenset(number for number in found.records if _may_be_withheld(found, number))
    _note_names(rows, found)  # after withholding: a bundle must not prove what only withheld records refer to
    return found


def select_few(rows: Rows, parts: Collection[bytes], block_number: int, most: int) -> Selection:
    """Select what `select_records` would show if it withholds, but without reading what it withholds: of material that
    thousands of lots were made from, this is nearly everything. These records are in `left_out`.

    Raises TooManyRecordsError if there are more than `most` records.
    """
    found = Selection(frozenset(parts), block_number)
    layer = set(parts)
    while layer:
        # Not what made one of these lots: it may have been made of another of them.
        made: set[int] = rows.values(LotOutputRow, "sequence", "lot", layer)
        _read(rows, found, layer, _takings(rows, layer - found.parts) - made, most)
        layer = {name for subject in layer for name in _needs(found, subject)} - found.histories.keys()
    # What took material for one of these lots is in that lot's history, which may have been read later.
    for name in found.histories:
        both = sorted({*found.histories[name], *found.left_out.get(name, ())})
        found.histories[name] = [number for number in both if number in found.records]
        found.left_out[name] = [number for number in both if number not in found.records]
    _note_names(rows, found)
    return found


def _takings(rows: Rows, lots: Collection[bytes]) -> set[int]:
    """The transformations that took material from lots: not the reworks, which are another kind of record."""
    taken: set[int] = rows.values(LotInputRow, "sequence", "lot", lots)
    reworks = rows.values(TransformationRow, "sequence", "sequence", taken, kind=int(StepKind.REWORK))
    return taken - reworks


def _read(
    rows: Rows, found: Selection, subjects: Collection[bytes], leaving: Collection[int] = (), most: int | None = None
) -> None:
    links = rows.among(RecordHistoryRow, "subject", subjects)
    missing = {link.sequence for link in links} - found.records.keys() - set(leaving)
    if most is not None and len(found.records) + len(missing) > most:
        cause = LookupGround.TOO_MANY_RECORDS.write(most=most)
        raise TooManyRecordsError(cause, hint="use `millmark bundle`")
    # The registry's records have the same numbers.
    for row in rows.among(RecordRow, "sequence", missing, contract=_LEDGER):
        if row.block_number <= found.block_number:  # later ones are not in the state that the bundle proves
            found.records[row.sequence] = row
            found.events[row.sequence] = row.event()
    _read_touched(rows, found, missing & found.records.keys())
    found.histories.update((subject, []) for subject in subjects)
    for link in sorted(links, key=lambda link: link.sequence):
        if link.sequence in found.records:
            found.histories[link.subject].append(link.sequence)
        elif link.sequence in leaving:
            found.left_out.setdefault(link.subject, []).append(link.sequence)


def _read_touched(rows: Rows, found: Selection, sequences: Collection[int]) -> None:
    touched: dict[int, list[bytes]] = {number: [] for number in sequences}
    for link in sorted(rows.among(RecordHistoryRow, "sequence", sequences), key=lambda link: link.position):
        touched[link.sequence].append(link.subject)
    found.touched.update((number, tuple(names)) for number, names in touched.items())


def _needs(found: Selection, subject: bytes) -> Iterator[bytes]:
    """The other histories that a receiver needs to judge the records of one history."""
    for number in found.histories[subject]:
        yield from found.events[number].needs(subject, found.touched[number])


def _may_be_withheld(found: Selection, number: int) -> bool:
    """Whether a transformation neither took a part as input nor made a lot from which a part was made."""
    event = found.events[number]
    if not event.withholdable or not isinstance(event, LotsTransformed):
        return False
    made = event.outputs(found.touched[number])
    return found.parts.isdisjoint(event.inputs) and found.histories.keys().isdisjoint(made)


def _note_names(rows: Rows, found: Selection) -> None:
    for row in found.shown():
        event = found.events[row.sequence]
        found.participants.update(event.numbers(Names.PARTICIPANT))
        if row.participant:  # the registry's owner, 0, is not a participant: nothing about it is in the state to prove
            found.participants.add(row.participant)
            found.keys.add(row.key)
        found.machines.update(event.numbers(Names.MACHINE))
        found.models.update(event.numbers(Names.MODEL))
        found.streams.update(event.subjects(Names.STREAM))
    found.machines.update(row.machine for row in rows.among(StreamRow, "subject", found.streams))


# Selects what a bundle discloses from the private book, as its sender chose: names, fields, evidence, inferences.
#
# What is not chosen stays out. That it exists can still be seen from the records.

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
    Raises InputError for any other word."""
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
    rows: Rows, book: Book, selection: Selection, streams: Mapping[bytes, slots.StreamSlots], policy: Disclosing
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


def _tree(book: Book, stream: bytes, streams: Mapping[bytes, slots.StreamSlots]) -> Tree:
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


def build_bundle(
    store: Store,
    chain: Chain,
    names: Sequence[str | bytes],
    disclosing: Disclosing | None = None,
    checkpoint: SignedCheckpoint | None = None,
    *,
    viewer: int | None = None,
) -> bytes:
    """Build the bytes of a bundle about one or more lots, each given by identifier or subject.

    It proves their state at the checkpoint or, if the index has not reached that yet, at an ancestor; without a
    checkpoint, at the last final block that is indexed. If the chain's blocks have seals, the bundle has those of the
    last header. For a `viewer`, the number of a participant, it is restricted to lots and names that are visible to
    that participant.

    The result has been verified as a receiver would, with this company's node as the root of trust. Raises
    NotFoundError, InputError, ChainError, WrongCheckpointError if this company's node does not have the checkpoint,
    ProofError if the private book does not match what was anchored, VerificationError if the index does not match the
    chain.
    """
    for name in names:
        verify_name(name)
    if checkpoint is not None:
        verify_seen(chain, checkpoint.checkpoint)
    with open_reader(store, viewer) as reader:
        parts = {find_subject(reader, name, SubjectKind.LOT)[1] for name in names}
        first, last = _blocks(reader, chain, checkpoint)
        # Within the read transaction, although it queries the node: records and proofs must be of the same index state.
        bundle = _assemble(reader, chain, parts, first, disclosing or Disclosing())
    # After the read transaction: headers of final blocks do not change.
    bundle = replace(
        bundle,
        headers=fetch_headers(chain.node, first, last),
        signatures=_signatures(checkpoint),
        seals=fetch_seals(chain, last),
    )
    data = encode_bundle(bundle)
    # A bundle that its receiver would refuse must fail here, where the index can still be rebuilt.
    _verify(chain, bundle, data)
    return data


def _blocks(reader: Reader, chain: Chain, checkpoint: SignedCheckpoint | None) -> tuple[int, int]:
    """The numbers of the proof block and of the checkpoint's block, between which the bundle has all headers."""
    indexed = min(reader.cursor.block_number, chain.final_number())
    last = indexed if checkpoint is None else checkpoint.checkpoint.block_number
    first = min(indexed, last)
    if last - first > MAX_ANCESTRY:
        raise ChainError(
            f"the index is {last - first} blocks behind the checkpoint, more than {MAX_ANCESTRY}",
            hint="let the index catch up with the chain",
        )
    return first, last


def _assemble(reader: Reader, chain: Chain, parts: Collection[bytes], number: int, disclosing: Disclosing) -> Bundle:
    """Build everything but headers and signatures, at block `number`."""
    selection = select_records(reader.rows, parts, number, withhold=not disclosing.unrelated)
    for name, history in selection.histories.items():
        if not history:
            raise NotFoundError(
                f"no record about {to_hex(name)} exists up to block {number}", hint="use a later checkpoint"
            )
    identities = disclose_identities(reader.rows, reader.book, selection, disclosing, reader.visibility)
    proofs = fetch_proofs(chain.node, _slots(chain, selection, identities), number)
    streams = {name: _stream(chain, proofs, name) for name in selection.streams}
    return Bundle(
        chain_id=chain.chain_id,
        registry=chain.registry,
        ledger=chain.ledger,
        ledger_id=chain.ledger_id,
        contracts=tuple(sorted(chain.contracts.values())),
        headers=(),
        signatures=(),
        nodes=tuple(sorted(proofs.nodes.values())),
        parts=tuple(sorted(parts)),
        histories=selection.build_histories(),
        records=selection.build_records(),
        participants=tuple(sorted(selection.participants)),
        keys=tuple(sorted(selection.keys)),
        machines=tuple(sorted(selection.machines)),
        models=tuple(sorted(selection.models)),
        streams=tuple(sorted(selection.streams)),
        identities=identities,
        claims=tuple(disclose_claims(reader.book, selection, disclosing)),
        evidence=tuple(disclose_evidence(reader.rows, reader.book, selection, streams, disclosing)),
        inferences=tuple(disclose_inferences(reader.book, selection, disclosing)),
    )


def _slots(chain: Chain, selection: Selection, identities: Iterable[IdentityShown]) -> dict[bytes, list[bytes]]:
    wanted: dict[bytes, list[bytes]] = {address: [] for address in chain.contracts.values()}
    wanted[chain.registry] += _registry_slots(selection)
    for identity in identities:
        # The key after the last one, too: it must not have been set when the subject was recorded.
        for index in range(len(identity.proofs) + 1):
            wanted[chain.registry] += slots.slots_of(slots.NameKeySlots, identity.creator, index)
        for address, slot in _name_slots(chain, identity):
            wanted[address].append(slot)
    wanted[chain.ledger] += [slots.head_slot(name) for name in selection.histories]
    wanted[chain.ledger] += [slot for name in selection.streams for slot in slots.slots_of(slots.StreamSlots, name)]
    return wanted


def _name_slots(chain: Chain, identity: IdentityShown) -> Iterator[tuple[bytes, bytes]]:
    """The contract and slot of each subject of an identifier that is not in a history: under earlier name keys nothing
    may be recorded, and a machine's own has its number."""
    names = subjects_of(identity.kind, identity.creator, identity.identifier, identity.proofs)
    if identity.kind is SubjectKind.MACHINE:
        yield from ((chain.registry, slots.machine_slot(name)) for name in names)
    elif identity.kind is SubjectKind.STREAM:
        yield from ((chain.ledger, slots.slots_of(slots.StreamSlots, name)[0]) for name in names[:-1])
    else:
        yield from ((chain.ledger, slots.head_slot(name)) for name in names[:-1])


def _registry_slots(selection: Selection) -> Iterator[bytes]:
    tables: tuple[tuple[type, Iterable[int | bytes]], ...] = (
        (slots.ParticipantSlots, selection.participants),
        (slots.KeySlots, selection.keys),
        (slots.MachineSlots, selection.machines),
        (slots.ModelSlots, selection.models),
    )
    for kind, names in tables:
        for name in names:
            yield from slots.slots_of(kind, name)


def _stream(chain: Chain, proofs: StateProofs, name: bytes) -> slots.StreamSlots:
    return slots.decode_struct(
        slots.StreamSlots, [proofs.words[chain.ledger, slot] for slot in slots.slots_of(slots.StreamSlots, name)]
    )


def _signatures(checkpoint: SignedCheckpoint | None) -> tuple[bytes, ...]:
    """The checkpoint's signatures, ascending by the signers' addresses as the format demands."""
    if checkpoint is None:
        return ()
    signed = zip(checkpoint.signers(), checkpoint.signatures, strict=True)
    return tuple(signature for _, signature in sorted(signed))


def _verify(chain: Chain, bundle: Bundle, data: bytes) -> None:
    """Verify like a receiver who has a node, at the time of the proof block. Raises VerificationError. Any status of
    certificates is accepted: a bundle about a failed lot is correct, too."""
    from millmark.ledger.verify import verify_bundle  # noqa: PLC0415  # for bundles alone

    proof_block, believed = parse_header(bundle.headers[0]), parse_header(bundle.headers[-1])
    trust = fetch_trust(chain, {}, BelievedBlock(believed.number, believed.hash))
    verify_bundle(data, trust, now_s=proof_block.timestamp, any_status=True)


# Builds bundles about the lots of a recall, as proof for partners who do not trust this company's index.
#
# For each lot, a bundle proves the whole history: its certificates with their status, its order, its holder, and what
# was made from it. Not established: that the list of lots is complete where nothing on the chain links them. Only the
# index tells which lots a model certified, or a machine worked on.

_MAX_LOTS = 1_000
_MAX_RECORDS, _MAX_HISTORIES, _MAX_DATA_BYTES = 1 << 14, 1 << 13, 8 << 20
"""Limits of one bundle, far below those of the format, so that its trie nodes fit and it is verified in seconds."""


@dataclass(frozen=True, slots=True)
class RecallBundle:
    """One of a recall's bundles."""

    lots: tuple[bytes, ...]
    """Subjects of its parts, in the recall's order."""
    data: bytes
    """The bundle's bytes."""


def build_recall_bundles(
    store: Store, chain: Chain, found: Recall, checkpoint: SignedCheckpoint | None = None
) -> Iterator[RecallBundle]:
    """Build bundles whose parts are the lots of a recall, nearest first, in as few files as fit.

    All are built for the same block: the checkpoint or, without one, the last final block that the recall includes.
    Lots whose identifier is not in the private book are identified by their subject alone, so verify with
    `any_status`. Raises as `build_bundle` does; NotFoundError for a lot that was made after that block.
    """
    # One checkpoint for all: with the latest block each time, the files would be of different blocks.
    if checkpoint is None:
        number = min(found.as_of.block_number, chain.final_number())
        checkpoint = SignedCheckpoint(fetch_checkpoint(chain, number))
    lots = [lot.subject for lot in found.lots]
    waiting = [lots[first : first + _MAX_LOTS] for first in range(0, len(lots), _MAX_LOTS)]
    while waiting:
        parts = waiting.pop(0)
        # How large a bundle gets is known only from the records that it must contain; the halves keep their order.
        if len(parts) > 1 and _is_large(store, parts, checkpoint.checkpoint.block_number):
            middle = len(parts) // 2
            waiting[:0] = [parts[:middle], parts[middle:]]
            continue
        data = build_bundle(store, chain, parts, Disclosing(nameless=True), checkpoint)
        yield RecallBundle(tuple(parts), data)


def _is_large(store: Store, parts: Sequence[bytes], block_number: int) -> bool:
    with store.reading() as connection:
        selection = select_records(Rows(connection), parts, block_number, withhold=True)
    return (
        len(selection.records) > _MAX_RECORDS
        or len(selection.histories) > _MAX_HISTORIES
        or sum(len(row.data) for row in selection.shown()) > _MAX_DATA_BYTES
    )
