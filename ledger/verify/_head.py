"""Statements about block, checkpoint and trust file, and the size of the bundle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ledger.bundle import Bundle, WithheldRecord
from ledger.canonical import sha256
from ledger.trust import Cosigners
from ledger.verify._status import Verified
from ledger.verify.report import moment
from ledger.verify.statement import Statement, say
from ledger.verify.values import Age

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
    yield _checkpoint(verified)
    if verified.trust.predecessor is not None:
        yield say("succeeds", predecessor=verified.trust.predecessor)
    yield say("trust_file", digest=sha256(verified.trust.to_bytes()))
    yield say("counts", recorded=len(bundle.records), histories=len(bundle.histories))
    for event, count in sorted(_withheld(bundle).items()):
        yield say("withheld_kind", count=count, event=event)


def _checkpoint(verified: Verified) -> Statement:
    last, believed = verified.headers[-1], verified.trust.checkpoint
    if not isinstance(believed, Cosigners):
        return say("checkpoint_named", block=last.number, hash=last.hash)
    owners = {key.address: key.participant for key in believed.keys}
    return say(
        "checkpoint_cosigned",
        block=last.number,
        hash=last.hash,
        signers=tuple(verified.party(owners[address]) for address in verified.signers),
        quorum=believed.quorum,
        cosigners=len(set(owners.values())),
    )


def _withheld(bundle: Bundle) -> Counter[str]:
    return Counter(
        one.kind for history in bundle.histories for one in history.records if isinstance(one, WithheldRecord)
    )
