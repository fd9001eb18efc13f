"""Builds trust files from the company's own node and index."""

from __future__ import annotations

from collections.abc import Sequence

from ledger.chain import Chain, fetch_checkpoint, fetch_trust
from ledger.errors import InputError
from ledger.provenance import participants
from ledger.store import Store
from ledger.trust import BelievedBlock, Cosigner, Cosigners, TrustFile

__all__ = ["build_trust"]


def build_trust(
    store: Store, chain: Chain, block: int | None = None, quorum: int | None = None, cosigners: Sequence[int] = ()
) -> TrustFile:
    """A trust file that believes one final block, by default the latest; or, with a quorum, any checkpoint signed by
    that many of the co-signers (by default all participants that are not suspended).

    Raises InputError for a co-signer that is unknown or suspended, ChainError.
    """
    members = participants(store)
    names = {member.participant: member.name for member in members if member.name}
    if quorum is None:
        point = fetch_checkpoint(chain, block)
        return fetch_trust(chain, names, BelievedBlock(point.block_number, point.block_hash))
    known = {member.participant: member for member in members if not member.suspended}
    for number in cosigners:
        if number not in known:
            raise InputError(f"participant {number} is unknown or suspended", hint="see `millmark participants list`")
    chosen = cosigners or sorted(known)
    keys = sorted((number, key) for number in set(chosen) for key in known[number].keys)
    return fetch_trust(chain, names, Cosigners(quorum, tuple(Cosigner(number, key) for number, key in keys)))
