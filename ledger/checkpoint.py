"""Checkpoints: blocks that a verifier believes because its own node reports them, or enough participants signed them.

The signature covers EIP-712 typed data, so that a wallet can display it, and a signature for one chain or ledger is not
valid for another:

    domain      EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)
                name "Millmark", version "1", verifyingContract the ledger's address
    message     Checkpoint(bytes32 ledgerId,uint256 blockNumber,bytes32 blockHash)

The block's time needs no signature of its own: it is in the header, which hashes to the signed block hash.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from millmark.ledger import errors
from millmark.ledger.ages import DAY_S, DEFAULT_MAX_AGE_S, MAX_ANCESTRY
from millmark.ledger.canonical import MAX_SAFE_INTEGER, canonical_json, keccak256
from millmark.ledger.headers import BlockHeader
from millmark.ledger.signatures import Signature, Signer, recover_address, to_checksum
from millmark.ledger.trust import (
    MAX_COSIGNERS,
    BelievedBlock,
    Cosigners,
    TrustFile,
    parse_canonical,
    parse_checksum,
    parse_hex,
    parse_members,
    parse_number,
)

MAX_CHECKPOINT_BYTES = 1 << 16
MAX_AHEAD_S = DAY_S
"""How far a block's time may be ahead of the verifier's clock: tolerates a wrong time zone and a slow clock."""

_FORMAT, _VERSION = "millmark-checkpoint", 1
_SIGNATURE_BYTES = 65
_DOMAIN_TYPE = keccak256(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
_CHECKPOINT_TYPE = keccak256(b"Checkpoint(bytes32 ledgerId,uint256 blockNumber,bytes32 blockHash)")
_NAME, _DOMAIN_VERSION = keccak256(b"Millmark"), keccak256(b"1")
_HINT_OTHER = (
    "use a trust file of block {0}, which `millmark trust --block {0}` takes from your own node, or a bundle made for "
    "this checkpoint"
)
_HINT = "get the checkpoint again, or write one with `millmark checkpoint fetch`"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A block of one chain, as a starting point of trust for one ledger."""

    chain_id: int
    ledger: bytes
    """Address, 20 bytes."""
    ledger_id: bytes
    """`ledgerId` of the contract, 32 bytes. A chain made anew has another one at the same address."""
    block_number: int
    block_hash: bytes
    """32 bytes."""

    @property
    def digest(self) -> bytes:
        """The 32-byte digest to sign (EIP-712 section "Specification")."""
        domain = keccak256(
            _DOMAIN_TYPE + _NAME + _DOMAIN_VERSION + self.chain_id.to_bytes(32, "big") + self.ledger.rjust(32, b"\0")
        )
        message = keccak256(_CHECKPOINT_TYPE + self.ledger_id + self.block_number.to_bytes(32, "big") + self.block_hash)
        return keccak256(b"\x19\x01" + domain + message)


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint and its signatures, not verified: 65 bytes each, r, s and v = 27 or 28."""

    checkpoint: Checkpoint
    signatures: tuple[bytes, ...] = ()

    def to_bytes(self) -> bytes:
        """The file's content, in canonical JSON (RFC 8785); `parse_checkpoint` reads it."""
        point = self.checkpoint
        return canonical_json(
            {
                "format": _FORMAT,
                "version": _VERSION,
                "chain_id": point.chain_id,
                "ledger": to_checksum(point.ledger),
                "ledger_id": "0x" + point.ledger_id.hex(),
                "block_number": point.block_number,
                "block_hash": "0x" + point.block_hash.hex(),
                "signatures": ["0x" + signature.hex() for signature in self.signatures],
            }
        )

    def signers(self) -> tuple[bytes, ...]:
        """Recover the address behind each signature, in the same order. Raises SignatureMalformedError."""
        return tuple(_signer(self.checkpoint, signature) for signature in self.signatures)


def parse_checkpoint(data: bytes) -> SignedCheckpoint:
    """Parse a checkpoint file. Raises TrustError. Not established: that a signature is valid, or who made it."""
    value = parse_canonical(data, MAX_CHECKPOINT_BYTES, 2, "checkpoint file", _HINT)
    names = ("format", "version", "chain_id", "ledger", "ledger_id", "block_number", "block_hash", "signatures")
    try:
        form, version, chain_id, ledger, ledger_id, number, block_hash, signatures = parse_members(value, *names)
        if form != _FORMAT or parse_number(version, MAX_SAFE_INTEGER) != _VERSION:
            raise errors.TrustError(f"not a {_FORMAT} file of version {_VERSION}")
        if not isinstance(signatures, list) or len(signatures) > MAX_COSIGNERS:
            raise errors.TrustError(f"its signatures are not a list of at most {MAX_COSIGNERS}")
        point = Checkpoint(
            chain_id=parse_number(chain_id, MAX_SAFE_INTEGER),
            ledger=parse_checksum(ledger),
            ledger_id=parse_hex(ledger_id, 32),
            block_number=parse_number(number, MAX_SAFE_INTEGER),
            block_hash=parse_hex(block_hash, 32),
        )
        return SignedCheckpoint(point, tuple(parse_hex(entry, _SIGNATURE_BYTES) for entry in signatures))
    except errors.TrustError as error:
        raise errors.TrustError(f"the checkpoint file cannot be used: {error.cause}", hint=_HINT) from None


def sign_checkpoint(checkpoint: Checkpoint, signer: Signer) -> SignedCheckpoint:
    """Return the checkpoint with this signer's signature only. Raises SigningError. The caller must have seen that
    block on its own node: `millmark.ledger.chain.verify_seen` checks this."""
    return SignedCheckpoint(checkpoint, (signer.sign_digest(checkpoint.digest).to_bytes(),))


def combine_checkpoints(parts: Sequence[SignedCheckpoint]) -> SignedCheckpoint:
    """Merge the signatures of copies of one checkpoint, sorted by the signers' addresses.

    Raises WrongCheckpointError when the copies are not all for the same block, SignerTwiceError when a key signed more
    than once, SignatureMalformedError.
    """
    if not parts:
        raise errors.WrongCheckpointError("there are no checkpoints to combine", hint="name the signed files")
    first = parts[0].checkpoint
    for part in parts:
        _verify_same(part.checkpoint, first)
    found: dict[bytes, bytes] = {}
    for part in parts:
        for address, signature in zip(part.signers(), part.signatures, strict=True):
            if address in found:
                raise errors.SignerTwiceError(f"{to_checksum(address)} signed twice", hint="name each signed file once")
            found[address] = signature
    # In the order of addresses, which bundles require (BUNDLE.md).
    return SignedCheckpoint(first, tuple(found[address] for address in sorted(found)))


def verify_believed(trust: TrustFile, given: SignedCheckpoint | None) -> BelievedBlock:
    """Return the block that a verifier with this trust file believes.

    That is the trust file's own block, or else the block of the checkpoint `given`, if enough of the trust file's
    co-signers signed it. Raises WrongCheckpointError when `given` is for another chain or ledger, or is required but
    missing, or when the trust file has no co-signers. Also raises the errors of `verify_cosigned`.
    """
    if isinstance(trust.checkpoint, BelievedBlock):
        return trust.checkpoint
    if trust.cosigners is None:
        raise errors.WrongCheckpointError(
            "the trust file names no co-signers: it believes blocks that its validators sealed",
            hint="use a trust file with a quorum of co-signers",
        )
    if given is None:
        raise errors.WrongCheckpointError(
            "the trust file requires a co-signed checkpoint, and the bundle has none",
            hint="have a checkpoint signed with `millmark checkpoint sign`, and a bundle made for it",
        )
    point = given.checkpoint
    # Chain and ledger must be those of the trust file. Any number and hash will do, if the co-signers vouch for them.
    wanted = Checkpoint(trust.chain_id, trust.ledger.address, trust.ledger_id, point.block_number, point.block_hash)
    _verify_same(point, wanted)
    verify_cosigned(given, trust.cosigners)
    return BelievedBlock(point.block_number, point.block_hash)


def verify_cosigned(signed: SignedCheckpoint, cosigners: Cosigners) -> None:
    """Verify that enough of the co-signers signed, and nobody else did.

    Raises SignatureMalformedError, SignerUnknownError, SignerTwiceError (also for two keys of one participant),
    QuorumMissedError. Not established: that chain and ledger are the intended ones; `verify_believed` checks them.
    """
    participants = {key.address: key.participant for key in cosigners.keys}
    seen: set[int] = set()
    for address in signed.signers():
        participant = participants.get(address)
        if participant is None:
            raise errors.SignerUnknownError(f"{to_checksum(address)} is not a co-signer of the trust file")
        if participant in seen:
            raise errors.SignerTwiceError(f"participant {participant} signed twice")
        seen.add(participant)
    if len(seen) < cosigners.quorum:
        raise errors.QuorumMissedError(
            f"{len(seen)} of the {cosigners.quorum} required participants signed the checkpoint"
        )


def verify_ancestry(headers: Sequence[BlockHeader], believed: BelievedBlock) -> None:
    """Verify that the first of `headers` is the believed block or an ancestor of it.

    `headers` run from the proof block to the believed block, each the parent of the next. Raises
    CheckpointUnlinkedError, also when the believed block is not the last one: nothing vouches for a block after it.
    """
    if not 1 <= len(headers) <= MAX_ANCESTRY + 1:
        raise errors.CheckpointUnlinkedError(
            f"{len(headers)} headers lead from the proof block to the checkpoint; 1 to {MAX_ANCESTRY + 1} are allowed"
        )
    # Before the links are checked, since this has a remedy of its own and a broken link does not.
    if headers[0].number > believed.number:
        raise errors.CheckpointUnlinkedError(
            f"the proof block {headers[0].number} is later than the checkpoint {believed.number}",
            hint=_HINT_OTHER.format(headers[-1].number),
        )
    for parent, child in itertools.pairwise(headers):
        if child.parent_hash != parent.hash or child.number != parent.number + 1:
            raise errors.CheckpointUnlinkedError(f"block {child.number} does not follow block {parent.number}")
    last = headers[-1]
    if (last.number, last.hash) != (believed.number, believed.hash):
        raise errors.CheckpointUnlinkedError(
            f"the headers end at block {last.number} (0x{last.hash.hex()}), "
            f"but the checkpoint is block {believed.number} (0x{believed.hash.hex()})",
            hint="" if last.number == believed.number else _HINT_OTHER.format(last.number),
        )


def verify_age(header: BlockHeader, now_s: int, max_age_s: int = DEFAULT_MAX_AGE_S) -> None:
    """Verify that a block is at most `max_age_s` seconds old, and at most a day ahead of the clock. The age is `now_s`,
    in seconds since 1970, minus the header's time. Raises CheckpointTooOldError."""
    age_s = now_s - header.timestamp
    if age_s > max_age_s:
        raise errors.CheckpointTooOldError(
            f"the proof block is {age_s // 86_400} days old; at most {max_age_s / 86_400:g} days are allowed",
            hint="get a new bundle, or allow more with --max-age",
        )
    if age_s < -MAX_AHEAD_S:
        raise errors.CheckpointTooOldError(
            "the proof block is more than a day ahead of this clock", hint="set the clock"
        )


def _signer(checkpoint: Checkpoint, signature: bytes) -> bytes:
    try:
        return recover_address(checkpoint.digest, Signature.from_bytes(signature))
    except errors.SigningError as error:
        raise errors.SignatureMalformedError(f"a signature on the checkpoint is invalid: {error.cause}") from None


def _verify_same(found: Checkpoint, wanted: Checkpoint) -> None:
    for name, shown in (
        ("chain_id", "chain"),
        ("ledger", "ledger"),
        ("ledger_id", "ledger id"),
        ("block_number", "block number"),
        ("block_hash", "block hash"),
    ):
        ours, theirs = getattr(found, name), getattr(wanted, name)
        if ours != theirs:
            raise errors.WrongCheckpointError(
                f"the checkpoint's {shown} is {_plain(ours)}, not {_plain(theirs)}", hint="use the right checkpoint"
            )


def _plain(value: object) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)
