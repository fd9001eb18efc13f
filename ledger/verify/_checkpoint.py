"""Step 3: the block that is believed, and why, and that the proof block is near it and not too old."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from millmark.ledger.bundle import Bundle
from millmark.ledger.checkpoint import (
    Checkpoint,
    SignedCheckpoint,
    verify_age,
    verify_ancestry,
    verify_believed,
)
from millmark.ledger.errors import CheckpointTooOldError, MillmarkError, WrongCheckpointError
from millmark.ledger.headers import BlockHeader
from millmark.ledger.seals import SealedBlock, SealedHeader, verify_changes, verify_reached, verify_seals
from millmark.ledger.trust import BelievedBlock, TrustFile, Validators
from millmark.ledger.verify.refusals import CheckpointRefused

__all__ = ["Reasons", "verify_checkpoint", "verify_distance"]


@dataclass(frozen=True, slots=True)
class Reasons:
    """Why the block of the last header is believed."""

    signers: tuple[bytes, ...]
    """Addresses that signed the checkpoint."""
    sealed: SealedBlock | None = None
    """The block with the validators that sealed it; None if the bundle has no seals."""
    changes: tuple[SealedBlock, ...] = ()
    """Set changes from the trust file's validators to the block's, as far as they were needed."""


def verify_checkpoint(
    bundle: Bundle, trust: TrustFile, headers: tuple[BlockHeader, ...], now_s: int, max_age_s: int
) -> Reasons:
    """Step 3, except for the distance. Raises CheckpointRefused."""
    try:
        signed = _signed(bundle, headers[-1])
        signers = signed.signers()
        if any(one >= two for one, two in itertools.pairwise(signers)):
            raise WrongCheckpointError("the signatures are not in the order of their signers")
        sealed, path = _seals(bundle)
        if isinstance(trust.checkpoint, Validators):
            changes = _verify_sealed(trust, trust.checkpoint, sealed, path, signed)
            _verify_changes_age(changes, trust, signed, now_s, max_age_s)
            believed = BelievedBlock(headers[-1].number, headers[-1].hash)
        else:
            changes, believed = (), verify_believed(trust, signed)
        verify_ancestry(headers, believed)
        verify_age(headers[0], now_s, max_age_s)
    except MillmarkError as error:
        raise CheckpointRefused(error.cause, hint=error.hint) from None
    return Reasons(signers, sealed, changes)


def verify_distance(headers: tuple[BlockHeader, ...], max_behind: int) -> None:
    """Step 3: the proof block is as near to the believed one as the receiver asks."""
    behind = headers[-1].number - headers[0].number
    if behind > max_behind:
        raise CheckpointRefused(
            f"the proof block is {behind} blocks before the one that is believed; {max_behind} are allowed",
            hint="get a new bundle, or allow more with --max-behind",
        )


def _signed(bundle: Bundle, last: BlockHeader) -> SignedCheckpoint:
    point = Checkpoint(bundle.chain_id, bundle.ledger, bundle.ledger_id, last.number, last.hash)
    return SignedCheckpoint(point, bundle.signatures)


def _seals(bundle: Bundle) -> tuple[SealedBlock | None, tuple[SealedBlock, ...]]:
    """The sealed block and the set changes, whether the trust file needs them or not: no byte may be arbitrary."""
    if bundle.seals is None:
        return None, ()
    sealed = verify_seals(SealedHeader(bundle.headers[-1], bundle.seals.seals))
    return sealed, verify_changes(bundle.seals.changes, sealed)


def _verify_sealed(
    trust: TrustFile,
    believed: Validators,
    sealed: SealedBlock | None,
    path: tuple[SealedBlock, ...],
    signed: SignedCheckpoint,
) -> tuple[SealedBlock, ...]:
    """The trust file's validators sealed the block, or those did to which they changed. Returns the changes needed."""
    if sealed is None:
        raise WrongCheckpointError(
            "the trust file requires the validators' seals, and the bundle has none",
            hint="get a bundle made with a node that holds the seals, or a trust file that names a block or co-signers",
        )
    if signed.signatures and believed.cosigners is not None:
        verify_believed(trust, signed)
    return verify_reached(believed.addresses, path, sealed)


def _verify_changes_age(
    changes: Sequence[SealedBlock], trust: TrustFile, signed: SignedCheckpoint, now_s: int, max_age_s: int
) -> None:
    """A set change that is too old is believed only if co-signers vouch for the block: the keys of validators that
    retired long ago may have leaked since."""
    oldest = min((change.header.timestamp for change in changes), default=now_s)
    if now_s - oldest > max_age_s and not (signed.signatures and trust.cosigners is not None):
        raise CheckpointTooOldError(
            f"the validators changed {(now_s - oldest) // 86_400} days ago; at most {max_age_s / 86_400:g} days are "
            "allowed without a co-signed checkpoint",
            hint="get a present trust file, or a bundle for a checkpoint that its co-signers signed",
        )
