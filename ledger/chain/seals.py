"""Fetches the seals of QBFT blocks, and the headers in which validators changed, for bundles and trust files.

A node's seals are verified before they go into a bundle. They differ from node to node.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

from millmark.ledger.bundle import SealsShown
from millmark.ledger.chain.chain import Chain
from millmark.ledger.errors import ChainUnreachableError, CheckpointError, InputError, ProofError, SealsError
from millmark.ledger.headers import build_qbft_preimage, encode_header, hashed_header, parse_header
from millmark.ledger.seals import (
    MAX_CHANGES,
    SealedHeader,
    collect_seals,
    faulty_of,
    parse_extra,
    verify_order,
    verify_seals,
)

__all__ = ["fetch_seals", "fetch_validators"]

_KEPT_HEADERS = 4096
_LOOKS = 64
"""Parts of the chain, at least, between which validators are compared: in each, a set that stood for a whole part is
found, although the one before it came back."""


def fetch_validators(chain: Chain) -> tuple[bytes, ...]:
    """Return the validators that the last final block lists, ascending by address.

    Raises InputError when the chain is not one of QBFT, or keeps its validators in a contract: nothing failed, but it
    cannot be asked for.
    """
    number = chain.final_number()
    try:
        listed = parse_extra(parse_header(_stored(chain, number)).extra_data).validators
        verify_order(listed)
    except SealsError as error:
        raise InputError(
            f"block {number} has no seals that could be verified: {error.cause}",
            hint="use a block or co-signers instead of validators: --block or --quorum",
        ) from None
    return listed


def fetch_seals(chain: Chain, number: int) -> SealsShown | None:
    """Return a quorum of the seals of final block `number`, and the set changes since the ledger was created.

    None if the chain is not one of QBFT or keeps its validators in a contract, or if the node holds no quorum of valid
    seals. Raises ChainError.
    """
    try:
        seals = collect_seals(_stored(chain, number))
    except CheckpointError:
        return None
    return SealsShown(seals, _fetch_changes(chain, number))


def _fetch_changes(chain: Chain, last: int) -> tuple[SealedHeader, ...]:
    """Set changes up to block `last`, oldest first: as many of the latest ones as a verifier can follow."""
    path: list[SealedHeader] = []
    first = min(chain.deployment.created_number, last)
    for number in _changed(chain, first, last, (last - first) // _LOOKS):
        before = _validators(chain, number - 1)
        change = _sealed_by(chain, number, before)
        # What nobody can follow ends the path: who believes a set from before needs another trust file.
        path = [] if change is None else [*path, change]
    return tuple(path[-MAX_CHANGES:])


def _sealed_by(chain: Chain, number: int, before: tuple[bytes, ...]) -> SealedHeader | None:
    """The header of block `number`, sealed by enough validators of the set before; None if it is not."""
    stored = _stored(chain, number)
    try:
        found = SealedHeader(build_qbft_preimage(stored), collect_seals(stored, before))
        vouching = set(before) & set(verify_seals(found).signers)
    except CheckpointError:
        return None
    return found if before and len(vouching) > faulty_of(len(before)) else None


def _changed(chain: Chain, first: int, last: int, most: int) -> Iterator[int]:
    """Numbers of blocks whose validators are not those of their parent, found by bisection. Of changes that were
    undone, those may be missing that stood for `most` blocks or fewer: they are not needed to get from the first to the
    last, but a trust file that was made meanwhile leads nowhere."""
    is_same = _validators(chain, first) == _validators(chain, last)
    if is_same and last - first <= max(most, 1):
        return
    if last == first + 1:
        yield last
        return
    # The same middles whatever the ends are, so that later bundles ask for few headers that are not kept.
    bit = (first ^ (last - 1)).bit_length() - 1
    middle = (last - 1) >> bit << bit
    yield from _changed(chain, first, middle, most)
    yield from _changed(chain, middle, last, most)


def _validators(chain: Chain, number: int) -> tuple[bytes, ...]:
    """The validators that a block lists; none if it is not one of QBFT or they are in a contract."""
    return _listed(_stored(chain, number))


@functools.lru_cache(_KEPT_HEADERS)
def _listed(header: bytes) -> tuple[bytes, ...]:
    # Each bundle compares those of the same blocks.
    try:
        return parse_extra(parse_header(header).extra_data).validators
    except SealsError:
        return ()


def _stored(chain: Chain, number: int) -> bytes:
    """The header of a final block as the node holds it, with its seals. Kept, since it does not change."""
    kept = chain.stored_headers
    if number not in kept:
        block_hash, fields = chain.node.header_fields(number)
        try:
            header = encode_header(fields)
            same = hashed_header(header, block_hash) is not None
        except ProofError:
            same = False
        if not same:
            raise ChainUnreachableError(
                f"the hash of the node's block {number} is not that of its header",
                hint="use a node of an engine with Ethereum's headers",
            )
        if len(kept) >= _KEPT_HEADERS:
            kept.clear()
        kept[number] = header
    return kept[number]
