"""Builds bundles: the records about some lots, proofs of these records, and what the sender discloses from the private
book."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from millmark.ledger.ages import MAX_ANCESTRY
from millmark.ledger.bundle import Bundle, IdentityShown, encode_bundle
from millmark.ledger.canonical import to_hex
from millmark.ledger.chain import Chain, StateProofs, fetch_headers, fetch_proofs, fetch_seals, fetch_trust, verify_seen
from millmark.ledger.checkpoint import SignedCheckpoint
from millmark.ledger.errors import ChainError, NotFoundError
from millmark.ledger.headers import parse_header
from millmark.ledger.ids import SubjectKind
from millmark.ledger.names import subjects_of
from millmark.ledger.provenance.disclosure import (
    Disclosing,
    disclose_claims,
    disclose_evidence,
    disclose_identities,
    disclose_inferences,
)
from millmark.ledger.provenance.reader import Reader, open_reader
from millmark.ledger.provenance.resolve import find_subject, verify_name
from millmark.ledger.provenance.selection import Selection, select_records
from millmark.ledger.slots import (
    KeySlots,
    MachineSlots,
    ModelSlots,
    NameKeySlots,
    ParticipantSlots,
    StreamSlots,
    decode_struct,
    head_slot,
    machine_slot,
    slots_of,
)
from millmark.ledger.store import Store
from millmark.ledger.trust import BelievedBlock

__all__ = ["build_bundle"]


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
    last header. For a `viewer`, the number of a participant, it is restricted
    to lots and names that are visible to that participant.

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
            wanted[chain.registry] += slots_of(NameKeySlots, identity.creator, index)
        for address, slot in _name_slots(chain, identity):
            wanted[address].append(slot)
    wanted[chain.ledger] += [head_slot(name) for name in selection.histories]
    wanted[chain.ledger] += [slot for name in selection.streams for slot in slots_of(StreamSlots, name)]
    return wanted


def _name_slots(chain: Chain, identity: IdentityShown) -> Iterator[tuple[bytes, bytes]]:
    """The contract and slot of each subject of an identifier that is not in a history: under earlier name keys nothing
    may be recorded, and a machine's own has its number."""
    names = subjects_of(identity.kind, identity.creator, identity.identifier, identity.proofs)
    if identity.kind is SubjectKind.MACHINE:
        yield from ((chain.registry, machine_slot(name)) for name in names)
    elif identity.kind is SubjectKind.STREAM:
        yield from ((chain.ledger, slots_of(StreamSlots, name)[0]) for name in names[:-1])
    else:
        yield from ((chain.ledger, head_slot(name)) for name in names[:-1])


def _registry_slots(selection: Selection) -> Iterator[bytes]:
    tables: tuple[tuple[type, Iterable[int | bytes]], ...] = (
        (ParticipantSlots, selection.participants),
        (KeySlots, selection.keys),
        (MachineSlots, selection.machines),
        (ModelSlots, selection.models),
    )
    for kind, names in tables:
        for name in names:
            yield from slots_of(kind, name)


def _stream(chain: Chain, proofs: StateProofs, name: bytes) -> StreamSlots:
    return decode_struct(StreamSlots, [proofs.words[chain.ledger, slot] for slot in slots_of(StreamSlots, name)])


def _signatures(checkpoint: SignedCheckpoint | None) -> tuple[bytes, ...]:
    """The checkpoint's signatures, ascending by the signers' addresses as the format demands."""
    if checkpoint is None:
        return ()
    signed = zip(checkpoint.signers(), checkpoint.signatures, strict=True)
    return tuple(signature for _, signature in sorted(signed))


def _verify(chain: Chain, bundle: Bundle, data: bytes) -> None:
    """Verify like a receiver who has a node, at the time of the proof block. Raises VerificationError.

    Any status of certificates is accepted: a bundle about a failed lot is correct, too.
    """
    from millmark.ledger.verify import verify_bundle  # noqa: PLC0415  # for bundles alone

    proof_block, believed = parse_header(bundle.headers[0]), parse_header(bundle.headers[-1])
    trust = fetch_trust(chain, {}, BelievedBlock(believed.number, believed.hash))
    verify_bundle(data, trust, now_s=proof_block.timestamp, any_status=True)
