"""The digest of the whole index."""

from __future__ import annotations

from millmark.ledger.canonical import keccak256, sha256
from millmark.ledger.events import Event, Recorded
from millmark.ledger.records import Contract
from millmark.ledger.store.rows import ChainIdentityRow, RecordRow

_DIGEST_TAG = b"millmark.index.v1"
_CONTRACTS = {Contract.REGISTRY: b"\x01", Contract.LEDGER: b"\x02"}


def start_digest(identity: ChainIdentityRow) -> bytes:
    """The digest of an empty index of this ledger. 32 bytes, as are all digests here."""
    addresses = identity.registry + identity.ledger
    return sha256(_DIGEST_TAG + _word(identity.chain_id) + identity.genesis_hash + addresses + identity.ledger_id)


def extend_digest(digest: bytes, contract: Contract, record: Recorded[Event] | RecordRow) -> bytes:
    """The digest after one more record. It commits to the record's content and its position on the chain.

    Two indexes with the same digest have indexed the same records in the same order.
    """
    # Every part but the tag of the contract has 32 or 20 bytes, so no two records result in the same input.
    return sha256(
        digest
        + _CONTRACTS[contract]
        + record.topic
        + _word(record.sequence)
        + _word(record.participant)
        + record.subject
        + record.key
        + keccak256(record.data)
        + _word(record.block_number)
        + record.block_hash
        + _word(record.block_time)
        + record.transaction_hash
        + _word(record.log_index)
    )


def _word(number: int) -> bytes:
    return number.to_bytes(32, "big")
