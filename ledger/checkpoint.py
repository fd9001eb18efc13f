"""Checkpoints: a block that a verifier believes, by its own node's word or by the word of enough participants.

What is signed is EIP-712 typed data, so that a wallet can show it, and nothing signed for one chain or ledger counts
for another:

    domain      EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)
                name "Millmark", version "1", verifyingContract the ledger's address
    message     Checkpoint(uint256 blockNumber,bytes32 blockHash)

The block's time is not signed: its header carries it, and the header hashes to the block's hash.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from ledger.canonical import MAX_SAFE_INTEGER, canonical_json, keccak256
from ledger.errors import (
    CheckpointTooOldError,
    CheckpointUnlinkedError,
    QuorumMissedError,
    SignatureMalformedError,
    SignerTwiceError,
    SignerUnknownError,
    SigningError,
    TrustError,
    WrongCheckpointError,
)
from ledger.headers import BlockHeader
from ledger.signatures import Signature, Signer, recover_address, to_checksum
from ledger.trust import (
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

__all__ = [
    "DEFAULT_MAX_AGE_S",
    "MAX_ANCESTRY",
    "MAX_CHECKPOINT_BYTES",
    "Checkpoint",
    "SignedCheckpoint",
    "combine_checkpoints",
    "parse_checkpoint",
    "sign_checkpoint",
    "verify_age",
    "verify_ancestry",
    "verify_believed",
    "verify_cosigned",
]

MAX_CHECKPOINT_BYTES = 1 << 16
MAX_ANCESTRY = 256
"""Most blocks that the proof block may lie before the checkpoint."""
DEFAULT_MAX_AGE_S = 30 * 86_400
MAX_AHEAD_S = 86_400
"""How far a block's time may be ahead of the verifier's clock: no more than a wrong time zone and a slow clock make."""

_FORMAT, _VERSION = "millmark-checkpoint", 1
_SIGNATURE_BYTES = 65
_DOMAIN_TYPE = keccak256(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
_CHECKPOINT_TYPE = keccak256(b"Checkpoint(uint256 blockNumber,bytes32 blockHash)")
_NAME, _DOMAIN_VERSION = keccak256(b"Millmark"), keccak256(b"1")
_MEND = "get the checkpoint again, or write one with `millmark checkpoint fetch`"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A block of one chain, for one ledger."""

    chain_id: int
    ledger: bytes
    """Address, 20 bytes."""
    block_number: int
    block_hash: bytes
    """32 bytes."""

    @property
    def digest(self) -> bytes:
        """The 32 bytes that are signed (EIP-712 section "Specification")."""
        domain = keccak256(
            _DOMAIN_TYPE + _NAME + _DOMAIN_VERSION + self.chain_id.to_bytes(32, "big") + self.ledger.rjust(32, b"\0")
        )
        message = keccak256(_CHECKPOINT_TYPE + self.block_number.to_bytes(32, "big") + self.block_hash)
        return keccak256(b"\x19\x01" + domain + message)


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint with whatever signatures were given for it: 65 bytes each, r, s and v = 27 or 28."""

    checkpoint: Checkpoint
    signatures: tuple[bytes, ...] = ()

    def to_bytes(self) -> bytes:
        """The file's one form (RFC 8785), which `parse_checkpoint` takes back."""
        point = self.checkpoint
        return canonical_json(
            {
                "format": _FORMAT,
                "version": _VERSION,
                "chain_id": point.chain_id,
                "ledger": to_checksum(point.ledger),
                "block_number": point.block_number,
                "block_hash": "0x" + point.block_hash.hex(),
                "signatures": ["0x" + signature.hex() for signature in self.signatures],
            }
        )

    def signers(self) -> tuple[bytes, ...]:
        """Addresses of the keys that signed, in order of the signatures. Raises SignatureMalformedError."""
        return tuple(_signer(self.checkpoint, signature) for signature in self.signatures)


def parse_checkpoint(data: bytes) -> SignedCheckpoint:
    """Parse a checkpoint file. Raises TrustError. Not established: that a signature is one, or whose it is."""
    value = parse_canonical(data, MAX_CHECKPOINT_BYTES, 2, "checkpoint file", _MEND)
    names = ("format", "version", "chain_id", "ledger", "block_number", "block_hash", "signatures")
    try:
        form, version, chain_id, ledger, number, block_hash, signatures = parse_members(value, *names)
        if form != _FORMAT or parse_number(version, MAX_SAFE_INTEGER) != _VERSION:
            raise TrustError(f"not a {_FORMAT} of version {_VERSION}")
        if not isinstance(signatures, list) or len(signatures) > MAX_COSIGNERS:
            raise TrustError(f"its signatures are no list of at most {MAX_COSIGNERS}")
        point = Checkpoint(
            chain_id=parse_number(chain_id, MAX_SAFE_INTEGER),
            ledger=parse_checksum(ledger),
            block_number=parse_number(number, MAX_SAFE_INTEGER),
            block_hash=parse_hex(block_hash, 32),
        )
        return SignedCheckpoint(point, tuple(parse_hex(entry, _SIGNATURE_BYTES) for entry in signatures))
    except TrustError as error:
        raise TrustError(f"the checkpoint file cannot be used: {error.cause}", hint=_MEND) from None


def sign_checkpoint(checkpoint: Checkpoint, signer: Signer) -> SignedCheckpoint:
    """The checkpoint with the signer's signature alone. Raises SigningError. The caller answers for having seen that
    block on its own node."""
    return SignedCheckpoint(checkpoint, (signer.sign_digest(checkpoint.digest).to_bytes(),))


def combine_checkpoints(parts: Sequence[SignedCheckpoint]) -> SignedCheckpoint:
    """One checkpoint with the signatures of all, by the signers' addresses.

    Raises WrongCheckpointError when they are not of one block, SignerTwiceError when a key signed more than once,
    SignatureMalformedError.
    """
    if not parts:
        raise WrongCheckpointError("there is no checkpoint to combine", hint="name the signed files")
    first = parts[0].checkpoint
    for part in parts:
        _verify_same(part.checkpoint, first)
    found: dict[bytes, bytes] = {}
    for part in parts:
        for address, signature in zip(part.signers(), part.signatures, strict=True):
            if address in found:
                raise SignerTwiceError(f"{to_checksum(address)} signed twice", hint="name each signed file once")
            found[address] = signature
    return SignedCheckpoint(first, tuple(found[address] for address in sorted(found)))


def verify_believed(trust: TrustFile, given: SignedCheckpoint | None) -> BelievedBlock:
    """The block that the trust file makes the verifier believe: its own, or the co-signed one that is `given`.

    Raises WrongCheckpointError when `given` is of another chain or ledger, or lacks where it is needed, and what
    `verify_cosigned` raises.
    """
    if isinstance(trust.checkpoint, BelievedBlock):
        return trust.checkpoint
    if given is None:
        raise WrongCheckpointError(
            "the trust file asks for a co-signed checkpoint, and there is none",
            hint="have one signed with `millmark checkpoint sign`, and the bundle made for it",
        )
    point = given.checkpoint
    wanted = Checkpoint(trust.chain_id, trust.ledger.address, point.block_number, point.block_hash)
    _verify_same(point, wanted)
    verify_cosigned(given, trust.checkpoint)
    return BelievedBlock(point.block_number, point.block_hash)


def verify_cosigned(signed: SignedCheckpoint, cosigners: Cosigners) -> None:
    """Verify that enough of the co-signers signed, and nobody else.

    Raises SignatureMalformedError, SignerUnknownError, SignerTwiceError (also for two keys of one participant),
    QuorumMissedError. Not established: that the chain and ledger are those meant, see `verify_believed`.
    """
    participants = {key.address: key.participant for key in cosigners.keys}
    seen: set[int] = set()
    for address in signed.signers():
        participant = participants.get(address)
        if participant is None:
            raise SignerUnknownError(f"{to_checksum(address)} is no co-signer of the trust file")
        if participant in seen:
            raise SignerTwiceError(f"participant {participant} signed twice")
        seen.add(participant)
    if len(seen) < cosigners.quorum:
        raise QuorumMissedError(f"{len(seen)} of the {cosigners.quorum} participants needed signed the checkpoint")


def verify_ancestry(headers: Sequence[BlockHeader], believed: BelievedBlock) -> None:
    """Verify that the first of `headers` is the believed block, or an ancestor of it that the others link to it.

    `headers` run from the proof block to the believed one, each the parent of the next. Raises
    CheckpointUnlinkedError, also when the believed block is not the last: a block after it may be anybody's.
    """
    if not 1 <= len(headers) <= MAX_ANCESTRY + 1:
        raise CheckpointUnlinkedError(f"{len(headers)} headers, not 1 to {MAX_ANCESTRY + 1}, lead to the checkpoint")
    if headers[0].number > believed.number:
        raise CheckpointUnlinkedError(
            f"the proof block {headers[0].number} comes after the checkpoint {believed.number}",
            hint="use a later checkpoint, or a bundle made for this one",
        )
    for parent, child in itertools.pairwise(headers):
        if child.parent_hash != parent.hash or child.number != parent.number + 1:
            raise CheckpointUnlinkedError(f"block {child.number} does not follow block {parent.number}")
    last = headers[-1]
    if (last.number, last.hash) != (believed.number, believed.hash):
        raise CheckpointUnlinkedError(
            f"the headers end at block {last.number} 0x{last.hash.hex()}, "
            f"the checkpoint is block {believed.number} 0x{believed.hash.hex()}"
        )


def verify_age(header: BlockHeader, now_s: int, max_age_s: int = DEFAULT_MAX_AGE_S) -> None:
    """Verify that a block is at most `max_age_s` old by its own time, and not of the future; all in seconds, `now_s`
    since 1970. Raises CheckpointTooOldError."""
    age_s = now_s - header.timestamp
    if age_s > max_age_s:
        raise CheckpointTooOldError(
            f"the proof block is {age_s // 86_400} days old, more than {max_age_s / 86_400:g} are allowed",
            hint="get a new bundle, or allow more with --max-age",
        )
    if age_s < -MAX_AHEAD_S:
        raise CheckpointTooOldError("the proof block is more than a day ahead of this clock", hint="set the clock")


def _signer(checkpoint: Checkpoint, signature: bytes) -> bytes:
    try:
        return recover_address(checkpoint.digest, Signature.from_bytes(signature))
    except SigningError as error:
        raise SignatureMalformedError(f"a signature of the checkpoint cannot be used: {error.cause}") from None


def _verify_same(found: Checkpoint, wanted: Checkpoint) -> None:
    for name, shown in (
        ("chain_id", "chain"),
        ("ledger", "ledger"),
        ("block_number", "block number"),
        ("block_hash", "block hash"),
    ):
        ours, theirs = getattr(found, name), getattr(wanted, name)
        if ours != theirs:
            raise WrongCheckpointError(
                f"the checkpoint's {shown} is {_plain(ours)}, not {_plain(theirs)}", hint="use the right checkpoint"
            )


def _plain(value: object) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)
