"""Who made and sealed a block, from its header alone: the keys of the seals are recovered, so a node cannot name a
validator that did not sign."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from millmark.ledger.canonical import keccak256
from millmark.ledger.errors import SealsError, SigningError
from millmark.ledger.headers import FIELDS, encode_header, replace_extra
from millmark.ledger.rlp import encode_integer
from millmark.ledger.seals import MAX_ROUND, build_digest, parse_extra
from millmark.ledger.signatures import ADDRESS_BYTES, Address, Signature, recover_address
from millmark.services.network.errors import NetworkError
from millmark.services.network.kinds import Consensus

__all__ = ["SealedBy", "parse_bytes", "read_block"]

_CLIQUE_SEAL, _VANITY = 65, 32


@dataclass(frozen=True, slots=True)
class SealedBy:
    """What a block's header says about the validators."""

    number: int
    hash: bytes
    """According to the node."""
    timestamp: int
    consensus: Consensus
    proposer: Address
    """Who made it: the signer, with Clique."""
    sealers: tuple[Address, ...]
    """Whose seals this node holds: with QBFT at least a quorum, not always all that were given."""
    validators: tuple[Address, ...]
    """As the header lists them; empty with Clique, outside of epochs."""
    round: int
    """QBFT: rounds before this one ended without a block. 0 with Clique."""
    vote: tuple[Address, bool] | None
    """The proposer's vote: whom, and whether to add."""


def read_block(raw: Mapping[str, Any]) -> SealedBy:
    """What a block, as eth_getBlockByNumber returns it, says about the validators. Raises NetworkError for a block of
    another consensus, and whatever parsing raises for one that is malformed."""
    extra = parse_bytes(raw["extraData"])
    encoded = _encode(raw)
    number, found_hash, timestamp = int(raw["number"], 16), parse_bytes(raw["hash"]), int(raw["timestamp"], 16)
    try:
        found = parse_extra(extra)
    except SealsError:
        return _read_clique(number, found_hash, timestamp, extra, encoded)
    seals = () if number == 0 else found.seals
    digest = build_digest(encoded, min(found.round, MAX_ROUND))
    sealers = tuple(one for one in (_recover(digest, seal) for seal in seals) if one is not None)
    vote = None if found.vote is None else (found.vote[0], found.vote[1] == b"\xff")
    return SealedBy(
        number=number,
        hash=found_hash,
        timestamp=timestamp,
        consensus=Consensus.QBFT,
        proposer=parse_bytes(raw["miner"]),
        sealers=sealers,
        validators=found.validators,
        round=found.round,
        vote=vote,
    )


def _read_clique(number: int, found_hash: bytes, timestamp: int, extra: bytes, encoded: bytes) -> SealedBy:
    listed = len(extra) - _VANITY - _CLIQUE_SEAL
    if listed < 0 or listed % ADDRESS_BYTES:
        raise NetworkError(
            "the chain's blocks name no validators", hint="status is for networks of QBFT or Clique, see PRODUCTION.md"
        )
    body = extra[_VANITY:-_CLIQUE_SEAL]
    named = tuple(body[place : place + ADDRESS_BYTES] for place in range(0, listed, ADDRESS_BYTES))
    # EIP-225: the signature is over the header as it would be without the signature.
    digest = keccak256(replace_extra(encoded, extra[:-_CLIQUE_SEAL]))
    signer = None if number == 0 else _recover(digest, extra[-_CLIQUE_SEAL:])
    sealers = () if signer is None else (signer,)
    return SealedBy(
        number, found_hash, timestamp, Consensus.CLIQUE, signer or bytes(ADDRESS_BYTES), sealers, named, 0, None
    )


def _encode(raw: Mapping[str, Any]) -> bytes:
    present = [field for field in FIELDS if raw.get(field[0]) is not None]
    fields = (encode_integer(int(raw[name], 16)) if number else parse_bytes(raw[name]) for name, number, _ in present)
    return encode_header(list(fields))


def _recover(digest: bytes, seal: bytes) -> Address | None:
    """The signer; None for a seal that is none, which a node should not have."""
    try:
        signature = Signature(int.from_bytes(seal[:32], "big"), int.from_bytes(seal[32:64], "big"), seal[64])
        return recover_address(digest, signature)
    except SigningError:
        return None


def parse_bytes(value: Any) -> bytes:
    """Bytes from hexadecimal digits after 0x. Raises TypeError, ValueError."""
    if not isinstance(value, str):
        raise TypeError("not hexadecimal digits")
    return bytes.fromhex(value.removeprefix("0x"))
