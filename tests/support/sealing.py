"""Validators with known keys, which seal blocks as a QBFT network does. The keys are worthless: anybody has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from millmark.ledger.canonical import keccak256
from millmark.ledger.headers import FIELDS, encode_header, encode_integer, parse_header, replace_extra
from millmark.ledger.keys import LocalSigner
from millmark.ledger.seals import (
    QbftExtra,
    SealedHeader,
    Seals,
    build_digest,
    encode_seal,
    parse_extra,
    quorum_of,
)

__all__ = ["VANITY", "build_block", "of_validators", "seal", "seal_header", "stored", "validators"]

VANITY = b"millmark".ljust(32, b"\0")
_MARKER = bytes.fromhex("63746963616c2062797a616e74696e65206661756c7420746f6c6572616e6365")


def validators(count: int, first: int = 0) -> list[LocalSigner]:
    """The keys of `count` validators, from number `first` on, ascending by address."""
    found = [LocalSigner.from_bytes(keccak256(b"millmark test validator %d" % (first + at))) for at in range(count)]
    return sorted(found, key=lambda one: one.address)


def build_block(
    listed: Sequence[bytes],
    number: int = 7,
    *,
    time_s: int = 1_760_000_000,
    vote: tuple[bytes, bytes] | None = None,
    fields: int = 16,
) -> bytes:
    """A header that lists these validators, in the form that is hashed; it may have the fields of any fork."""
    values: dict[str, bytes] = {
        "difficulty": b"\1",
        "number": encode_integer(number),
        "gasLimit": encode_integer(30_000_000),
        "timestamp": encode_integer(time_s),
        "extraData": QbftExtra(VANITY, tuple(listed), vote, 0, ()).to_bytes(),
        "mixHash": _MARKER,
        "nonce": bytes(8),
        "baseFeePerGas": encode_integer(7),
    }
    blank = (
        b"" if is_integer else keccak256(name.encode()).ljust(size, b"\0")[:size] for name, is_integer, size in FIELDS
    )
    return encode_header([values.get(name, empty) for (name, _, _), empty in zip(FIELDS, blank, strict=True)][:fields])


def of_validators(header: bytes, listed: Sequence[bytes]) -> bytes:
    """The header with this list of validators, in the form that is hashed."""
    return replace_extra(header, QbftExtra(VANITY, tuple(listed), None, 0, ()).to_bytes())


def seal(header: bytes, signer: LocalSigner, committed_round: int = 0) -> bytes:
    """One validator's seal, 65 bytes."""
    return encode_seal(signer.sign_digest(build_digest(header, committed_round)))


def seal_header(header: bytes, signers: Sequence[LocalSigner], committed_round: int = 0) -> SealedHeader:
    """The header with seals of the first signers, in the order of their addresses, as many as the quorum."""
    listed = parse_extra(parse_header(header).extra_data).validators
    able = sorted((one for one in signers if one.address in listed), key=lambda one: one.address)
    seals = tuple(seal(header, one, committed_round) for one in able[: quorum_of(len(listed))])
    return SealedHeader(header, Seals(committed_round, seals))


def stored(sealed: SealedHeader) -> bytes:
    """The header as the chain stores it, with round and seals."""
    extra = parse_extra(parse_header(sealed.header).extra_data)
    whole = replace(extra, round=sealed.seals.round, seals=sealed.seals.seals)
    return replace_extra(sealed.header, whole.to_bytes())
