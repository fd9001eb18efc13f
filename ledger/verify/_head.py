"""Statements about block, checkpoint and trust file, and the size of the bundle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from millmark.ledger.bundle import Bundle, WithheldRecord
from millmark.ledger.canonical import sha256
from millmark.ledger.seals import SealedBlock, quorum_of
from millmark.ledger.trust import BelievedBlock, Validators
from millmark.ledger.verify._status import Verified
from millmark.ledger.verify.report import moment
from millmark.ledger.verify.statements import Statement, say
from millmark.ledger.verify.values import Age

__all__ = ["head"]


def head(verified: Verified) -> Iterator[Statement]:
    """At which block everything else is so, and why that block is believed."""
    bundle, proof = verified.bundle, verified.headers[0]
    yield say(
        "as_of",
        block=proof.number,
        block_hash=proof.hash,
        time=moment(proof.timestamp),
        age=Age(verified.now_s - proof.timestamp),
        chain=bundle.chain_id,
        ledger=bundle.ledger,
        ledger_id=bundle.ledger_id,
    )
    yield from _checkpoint(verified)
    if verified.trust.predecessor is not None:
        yield say("succeeds", predecessor=verified.trust.predecessor)
    yield say("trust_file", digest=sha256(verified.trust.to_bytes()))
    yield say("counts", recorded=len(bundle.records), histories=len(bundle.histories))
    for event, count in sorted(_withheld(bundle).items()):
        yield say("withheld_kind", count=count, event=event)


def _checkpoint(verified: Verified) -> Iterator[Statement]:
    last, trust, reasons = verified.headers[-1], verified.trust, verified.reasons
    if isinstance(trust.checkpoint, BelievedBlock):
        yield say("checkpoint_named", block=last.number, hash=last.hash)
    if isinstance(trust.checkpoint, Validators) and reasons.sealed is not None:
        yield from _sealed(verified, trust.checkpoint, reasons.sealed)
    if trust.cosigners is not None and reasons.signers:
        owners = {key.address: key.participant for key in trust.cosigners.keys}
        yield say(
            "checkpoint_cosigned",
            block=last.number,
            hash=last.hash,
            signers=tuple(verified.party(owners[address]) for address in reasons.signers),
            quorum=trust.cosigners.quorum,
            cosigners=len(set(owners.values())),
        )


def _sealed(verified: Verified, believed: Validators, block: SealedBlock) -> Iterator[Statement]:
    """Which validators sealed the block, by the names of the companies that the trust file says run them."""
    companies = {one.address: one.participant for one in believed.members}
    named = (companies.get(address) for address in block.signers)
    yield say(
        "checkpoint_sealed",
        block=block.header.number,
        hash=block.header.hash,
        signers=tuple(
            address if company is None else verified.party(company)
            for address, company in zip(block.signers, named, strict=True)
        ),
        round=block.round,
        quorum=quorum_of(len(block.validators)),
        validators=len(block.validators),
    )
    if changes := verified.reasons.changes:
        yield say("validators_changed", blocks=tuple(change.header.number for change in changes))


def _withheld(bundle: Bundle) -> Counter[str]:
    return Counter(
        one.kind for history in bundle.histories for one in history.records if isinstance(one, WithheldRecord)
    )
