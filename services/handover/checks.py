"""Whether names, documents and bundles of another company are those of the ledger, by this company's node and index."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from millmark.ledger.ages import MAX_ANCESTRY
from millmark.ledger.bundle import Bundle, encode_bundle, parse_bundle
from millmark.ledger.canonical import to_hex
from millmark.ledger.chain import Chain, fetch_headers, fetch_seals, fetch_trust
from millmark.ledger.errors import BundleError, ProofError
from millmark.ledger.headers import parse_header
from millmark.ledger.ids import Identity, SubjectKind
from millmark.ledger.names import subjects_of, verify_name
from millmark.ledger.store import Rows
from millmark.ledger.store.rows import ChainIdentityRow, LotRow, MachineRow, NameKeyRow, OrderRow, StreamRow
from millmark.ledger.trust import BelievedBlock
from millmark.ledger.verify import VerificationError, verify_bundle
from millmark.services.handover.errors import HandoverEarlyError, HandoverRefusedError

__all__ = ["extend_to_present", "verify_names", "verify_with_node"]

_HINT = "ask its sender to send it again"
_TABLES: Mapping[SubjectKind, type[OrderRow | LotRow | MachineRow | StreamRow]] = {
    SubjectKind.ORDER: OrderRow,
    SubjectKind.LOT: LotRow,
    SubjectKind.MACHINE: MachineRow,
    SubjectKind.STREAM: StreamRow,
}


def verify_with_node(chain: Chain, data: bytes) -> Bundle:
    """Verifies a bundle with this company's node as the root of trust, whatever the status of its parts and its age.

    Raises HandoverEarlyError if the node does not have its block yet, HandoverRefusedError if it is not verified, and
    ChainError.
    """
    try:
        bundle = parse_bundle(data)
        proof_block, believed = parse_header(bundle.headers[0]), parse_header(bundle.headers[-1])
    except (BundleError, ProofError, IndexError) as error:
        cause = getattr(error, "cause", "it has no block header")
        raise HandoverRefusedError(f"its bundle is malformed: {cause}", hint=_HINT) from None
    if believed.number > chain.final_number():
        raise HandoverEarlyError(
            f"block {believed.number} of its bundle is not final on this company's node yet",
            hint="wait until the node is that far; it is then taken",
        )
    if chain.header(believed.number).hash != believed.hash:
        raise HandoverRefusedError(
            f"block {believed.number} of its bundle is not that of this company's node", hint=_HINT
        )
    trust = fetch_trust(chain, {}, BelievedBlock(believed.number, believed.hash))
    try:
        verify_bundle(data, trust, now_s=proof_block.timestamp, any_status=True)
    except VerificationError as error:
        raise HandoverRefusedError(f"its bundle is not verified: {error.cause}", hint=_HINT) from None
    return bundle


def verify_names(rows: Rows, ledger: ChainIdentityRow, names: Sequence[Identity], allowed: Collection[bytes]) -> None:
    """Verifies the names of things that are in no bundle. Raises HandoverRefusedError."""
    for name in names:
        if name.subject not in allowed:
            raise HandoverRefusedError(
                f"{name.identifier}: its salt does not lead to a thing that this hand-over is about", hint=_HINT
            )
        keys = rows.find(NameKeyRow, participant=name.creator)
        hashes = [row.hash for row in keys[: len(name.proofs)]]
        try:
            verify_name(ledger, name.kind, name.creator, name.identifier, name.proofs, hashes)
        except ProofError as error:
            raise HandoverRefusedError(f"the salt of {name.identifier}: {error.cause}", hint=_HINT) from None
        _verify_place(rows, name, keys)


def _verify_place(rows: Rows, name: Identity, keys: Sequence[NameKeyRow]) -> None:
    """The subject is in the index, recorded before its creator replaced the key, and nothing is under earlier keys."""
    table = _TABLES.get(name.kind)
    row = None if table is None else next(iter(rows.among(table, "subject", [name.subject])), None)
    if table is None or row is None:
        raise HandoverRefusedError(f"{name.identifier} does not lead to anything on the ledger", hint=_HINT)
    for earlier in subjects_of(name.kind, name.creator, name.identifier, name.proofs[:-1]):
        if rows.among(table, "subject", [earlier]):
            raise HandoverRefusedError(
                f"{name.identifier} names another thing, under an earlier name key: {to_hex(earlier)}", hint=_HINT
            )
    made_at = next((getattr(row, one) for one in ("placed_at", "created_at", "registered_at") if hasattr(row, one)), 0)
    if len(keys) > len(name.proofs) and made_at >= keys[len(name.proofs)].set_at:
        raise HandoverRefusedError(
            f"{name.identifier} was recorded under a name key that its creator had replaced", hint=_HINT
        )


def extend_to_present(chain: Chain, data: bytes) -> bytes:
    """The bundle with headers up to the node's last final block, so that it verifies with a present trust file; as it
    is if that is too far away. It must be well-formed. Raises ChainError."""
    bundle = parse_bundle(data)
    first, last = parse_header(bundle.headers[0]).number, chain.final_number()
    if last - first > MAX_ANCESTRY:
        return data
    headers = fetch_headers(chain.node, first, last)
    return encode_bundle(replace(bundle, headers=headers, signatures=(), seals=fetch_seals(chain, last)))
