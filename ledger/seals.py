"""Seals: the signatures by which the validators of a QBFT network commit a block. See SEALS.md.

Besu, GoQuorum and their relatives put the list of validators into `extraData`, and their seals beside it, where the
block's hash does not cover them. At least ceil(2n/3) of n validators seal a block. Each node may hold seals of other
validators for the same block, so seals must not enter any hash, digest or comparison.

Established by `verify_seals`: that the keys of a quorum of the listed validators signed this block. Not established:
that the list is the right one; `verify_reached` compares it with the validators that the caller believes.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from millmark.ledger import errors, headers
from millmark.ledger.canonical import keccak256
from millmark.ledger.signatures import ADDRESS_BYTES, Signature, recover_address, to_checksum

MAX_VALIDATORS = 100
MAX_ROUND = 2**31 - 1
MAX_CHANGES = 256
"""Most set changes in a bundle."""
SEAL_BYTES = 65

_ITEMS = 5
_ROUND_BYTES = 4
_ADD, _DROP = b"\xff", b""
_V = (0, 1)


@dataclass(frozen=True, slots=True)
class QbftExtra:
    """The content of a QBFT header's `extraData`."""

    vanity: bytes
    validators: tuple[bytes, ...]
    """Addresses, ascending; empty if the network keeps its validators in a contract."""
    vote: tuple[bytes, bytes] | None
    """The proposer's vote on a validator: address, and 0xff to add or nothing to drop; None if there is none."""
    round: int
    """Round in which the block was committed; 0 in the form that is hashed."""
    seals: tuple[bytes, ...]
    """65 bytes each, not verified; none in the form that is hashed."""

    def to_bytes(self) -> bytes:
        """The bytes of `extraData`; `parse_extra` reads them."""
        vote = () if self.vote is None else self.vote
        return headers.encode_rlp([self.vanity, self.validators, vote, headers.encode_integer(self.round), self.seals])


@dataclass(frozen=True, slots=True)
class Seals:
    """Seals of a block, apart from its header. Not established: that they are valid."""

    round: int
    seals: tuple[bytes, ...]
    """65 bytes each (r, s, v = 0 or 1), ascending by the signers' addresses: exactly the quorum."""


@dataclass(frozen=True, slots=True)
class SealedHeader:
    """A header in the form that is hashed, with seals. Not established: that they are valid."""

    header: bytes
    seals: Seals


@dataclass(frozen=True, slots=True)
class SealedBlock:
    """A block whose seals were verified against the validators that it lists."""

    header: headers.BlockHeader
    validators: tuple[bytes, ...]
    """Addresses, ascending."""
    round: int
    signers: tuple[bytes, ...]
    """Addresses, ascending: a quorum of the validators."""


def quorum_of(validators: int) -> int:
    """How many of n validators must seal a block: ceil(2n/3)."""
    return (2 * validators + 2) // 3


def faulty_of(validators: int) -> int:
    """How many of n validators may be faulty: ceil(n/3) - 1, the most for which two quorums share an honest one."""
    return (validators + 2) // 3 - 1


def verify_order(validators: Sequence[bytes]) -> None:
    """Verify that there are 1 to MAX_VALIDATORS addresses, strictly ascending. Raises SealsError."""
    if not validators:
        raise errors.SealsError(
            "the block lists no validators: its network keeps them in a contract",
            hint="use a checkpoint; seals can only be verified against validators that blocks list",
        )
    if len(validators) > MAX_VALIDATORS:
        raise errors.SealsError(f"there are more than {MAX_VALIDATORS} validators")
    if any(len(one) != ADDRESS_BYTES for one in validators):
        raise errors.SealsError(f"a validator's address does not have {ADDRESS_BYTES} bytes")
    if any(not one < two for one, two in itertools.pairwise(validators)):
        raise errors.SealsError("the validators are not in strictly ascending order")


def parse_extra(data: bytes) -> QbftExtra:
    """Parse `extraData` of a QBFT header (QBFT specification; Besu's QbftExtraDataCodec).

    Raises SealsError when it is anything but RLP[vanity, [validators], vote, round, [seals]], as with IBFT 2.0 or on
    networks without QBFT. Not established: that seals are valid. The list of validators may be empty.
    """
    try:
        items = headers.decode_rlp(data, max_depth=2)
    except errors.ProofError as error:
        raise errors.SealsError(f"the block's extraData is not that of QBFT: {error.cause}") from None
    if isinstance(items, bytes) or len(items) != _ITEMS:
        raise errors.SealsError(f"the block's extraData is not that of QBFT: it is not a list of {_ITEMS} items")
    vanity, validators, vote, committed, seals = items
    if not isinstance(vanity, bytes):
        raise errors.SealsError("the block's extraData is not that of QBFT: its first item is a list, not bytes")
    listed = _texts(validators, ADDRESS_BYTES, "validators")
    if listed:
        verify_order(listed)
    return QbftExtra(vanity, listed, _vote(vote), _round(committed), _texts(seals, SEAL_BYTES, "seals"))


def build_digest(header: bytes, committed_round: int) -> bytes:
    """Return the 32 bytes that validators sign: the hash of the header with its round, and without seals.

    `header` may be in the form that is hashed or as the chain stores it. For round 0, the digest is the block's hash.
    Raises ProofError for a malformed header, SealsError for one that is not of QBFT or a round out of range.
    """
    if not 0 <= committed_round <= MAX_ROUND:
        raise errors.SealsError(f"the round is not from 0 to {MAX_ROUND}")
    extra = parse_extra(headers.parse_header(header).extra_data)
    signed = QbftExtra(extra.vanity, extra.validators, extra.vote, committed_round, ())
    return keccak256(headers.replace_extra(header, signed.to_bytes()))


def encode_seal(signature: Signature) -> bytes:
    """Return r, s and v = 0 or 1: the 65 bytes of a seal."""
    return signature.to_bytes()[:-1] + bytes([signature.y_parity])


def verify_seals(sealed: SealedHeader) -> SealedBlock:
    """Verify that a quorum of the validators that a header lists sealed it.

    Raises ProofError for a malformed header; SealsError for one that is not of QBFT, is not in the form that is hashed,
    lists no validators, or for seals out of order or beyond the quorum; SignatureMalformedError (also for high s, and v
    other than 0 or 1), SignerUnknownError, SignerTwiceError, QuorumMissedError.
    """
    header = headers.parse_header(sealed.header)
    extra = parse_extra(header.extra_data)
    verify_order(extra.validators)
    if extra.round or extra.seals:
        raise errors.SealsError("the header is not in the form that is hashed: it has a round or seals")
    digest = build_digest(sealed.header, sealed.seals.round)
    signers = tuple(_recover(digest, seal) for seal in sealed.seals.seals)
    _verify_signers(signers, extra.validators)
    return SealedBlock(header, extra.validators, sealed.seals.round, signers)


def verify_changes(changes: Sequence[SealedHeader], block: SealedBlock) -> tuple[SealedBlock, ...]:
    """Verify set changes that lead to the validators of `block`, oldest first, and return them.

    Each is a header that lists a new set. A quorum of that set sealed it, and so did more members of the set before
    than may be faulty. Numbers rise, and the last set is that of `block`. Raises the errors of `verify_seals`;
    WrongValidatorsError. Not established: what leads to the first set.
    """
    if len(changes) > MAX_CHANGES:
        raise errors.SealsError(f"there are more than {MAX_CHANGES} changes of the validator set")
    path = tuple(verify_seals(change) for change in changes)
    for before, after in itertools.pairwise(path):
        _verify_step(before.validators, after)
        if before.header.number >= after.header.number:
            raise errors.WrongValidatorsError("the changes of the validator set are not in the order of their blocks")
    if path and path[-1].validators != block.validators:
        raise errors.WrongValidatorsError(
            "the validators that the block lists do not follow from the changes of the validator set"
        )
    if path and not _precedes(path[-1].header, block.header):
        raise errors.WrongValidatorsError(
            "a change of the validator set is from a later block, or from another block of the same number"
        )
    return path


def verify_reached(
    believed: tuple[bytes, ...], path: tuple[SealedBlock, ...], block: SealedBlock
) -> tuple[SealedBlock, ...]:
    """Verify that the validators of `block` are the believed ones, or that the set changes lead to them from these.

    `path` is what `verify_changes` returned. Returns the changes that were needed, oldest first; none if the block
    lists the believed validators. Raises WrongValidatorsError.
    """
    if block.validators == believed:
        return ()
    # The believed set may be one that a change leads to: its holder got the trust file after that change.
    place = max((at + 1 for at, one in enumerate(path) if one.validators == believed), default=0)
    if place == len(path):
        raise errors.WrongValidatorsError(
            "the block lists other validators than the trust file, and no change of the validator set leads to them",
            hint="get a present trust file, or a bundle with the changes since yours",
        )
    if place == 0:
        _verify_step(believed, path[0])
    return path[place:]


def collect_seals(stored: bytes, preferred: Collection[bytes] = ()) -> Seals:
    """Return a quorum of the seals in a header as the chain stores it, for others to verify.

    Taken are those of `preferred` validators first, and then those with the lowest addresses. Seals that are invalid or
    doubled are left out: nodes may hold them. Raises ProofError for a malformed header; SealsError for one that is not
    of QBFT or lists no validators; QuorumMissedError when there are too few.
    """
    extra = parse_extra(headers.parse_header(stored).extra_data)
    verify_order(extra.validators)
    digest = build_digest(stored, extra.round)
    found = {}
    for seal in extra.seals:
        try:
            found[_recover(digest, seal)] = seal
        except errors.SignatureMalformedError:
            continue
    quorum = quorum_of(len(extra.validators))
    able = sorted((one not in preferred, one) for one in found if one in extra.validators)
    if len(able) < quorum:
        raise errors.QuorumMissedError(f"{len(able)} of the {quorum} required validators sealed the block")
    return Seals(extra.round, tuple(found[one] for one in sorted(address for _, address in able[:quorum])))


def _texts(item: headers.RlpItem, size: int, what: str) -> tuple[bytes, ...]:
    if isinstance(item, bytes):
        raise errors.SealsError(f"the block's extraData is not that of QBFT: its {what} are not a list")
    found = tuple(one for one in item if isinstance(one, bytes) and len(one) == size)
    if len(found) != len(item):
        raise errors.SealsError(
            f"the block's extraData is not that of QBFT: one of its {what} does not have {size} bytes"
        )
    return found


def _vote(item: headers.RlpItem) -> tuple[bytes, bytes] | None:
    match item:
        case []:
            return None
        case [bytes(recipient), (b"\xff" | b"") as kind] if len(recipient) == ADDRESS_BYTES:
            return recipient, bytes(kind)
    raise errors.SealsError("the block's extraData is not that of QBFT: its third item is not a vote")


def _round(item: headers.RlpItem) -> int:
    try:
        number = headers.decode_integer(item, _ROUND_BYTES)
    except errors.ProofError:
        number = MAX_ROUND + 1
    if number > MAX_ROUND:
        raise errors.SealsError(f"the block's extraData is not that of QBFT: its round is not one of 0 to {MAX_ROUND}")
    return number


def _recover(digest: bytes, seal: bytes) -> bytes:
    if len(seal) != SEAL_BYTES or seal[-1] not in _V:
        raise errors.SignatureMalformedError(f"a seal does not have {SEAL_BYTES} bytes that end in 0 or 1")
    try:
        signature = Signature(int.from_bytes(seal[:32], "big"), int.from_bytes(seal[32:64], "big"), seal[-1])
        return recover_address(digest, signature)
    except errors.SigningError as error:
        raise errors.SignatureMalformedError(f"a seal is invalid: {error.cause}") from None


def _verify_signers(signers: Sequence[bytes], validators: Sequence[bytes]) -> None:
    """A quorum of the validators, each once, ascending, and nobody else."""
    listed, quorum = set(validators), quorum_of(len(validators))
    for address in signers:
        if address not in listed:
            raise errors.SignerUnknownError(
                f"{to_checksum(address)}, which sealed the block or a copy of it, is none of its validators"
            )
    if len(set(signers)) != len(signers):
        raise errors.SignerTwiceError("a validator sealed the block twice")
    if len(signers) < quorum:
        raise errors.QuorumMissedError(f"{len(signers)} of the {quorum} required validators sealed the block")
    if len(signers) > quorum:
        raise errors.SealsError(f"the block has {len(signers)} seals, more than the {quorum} that are required")
    if any(not one < two for one, two in itertools.pairwise(signers)):
        raise errors.SealsError("the seals are not in the order of their signers")


def _verify_step(before: tuple[bytes, ...], after: SealedBlock) -> None:
    """From one set to the next: more members of the first than may be faulty sealed a block of the second."""
    if before == after.validators:
        raise errors.WrongValidatorsError(
            f"block {after.header.number} lists the same validators as before: no set change"
        )
    vouching, needed = len(set(before) & set(after.signers)), faulty_of(len(before)) + 1
    if vouching < needed:
        raise errors.WrongValidatorsError(
            f"{vouching} of the {needed} required earlier validators sealed the set change in block "
            f"{after.header.number}"
        )


def _precedes(change: headers.BlockHeader, block: headers.BlockHeader) -> bool:
    return change.number < block.number or change.hash == block.hash
