"""Adds a block to the state: checks the order of its records, extends their histories, applies their changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from millmark.ledger.canonical import keccak256, sha256
from millmark.ledger.errors import IndexHaltedError
from millmark.ledger.events import Event, Header, Recorded
from millmark.ledger.index.projections import apply
from millmark.ledger.index.state import State
from millmark.ledger.records import Contract
from millmark.ledger.slots import inner_of, link
from millmark.ledger.store.rows import BlockRow, ChainIdentityRow, CursorRow, HeadRow, RecordHistoryRow, RecordRow

# The digest of the whole index.

_DIGEST_TAG = b"millmark.index.v1"
_CONTRACTS = {Contract.REGISTRY: b"\x01", Contract.LEDGER: b"\x02"}


def start_digest(identity: ChainIdentityRow) -> bytes:
    """The digest of an empty index of this ledger. 32 bytes, as are all digests here."""
    addresses = identity.registry + identity.ledger
    return sha256(_DIGEST_TAG + _word(identity.chain_id) + identity.genesis_hash + addresses + identity.ledger_id)


def extend_digest(digest: bytes, contract: Contract, record: Recorded[Event] | RecordRow) -> bytes:
    """The digest after one more record. It commits to the record's content and its position on the chain. Two indexes
    with the same digest have indexed the same records in the same order."""
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


@dataclass(frozen=True, slots=True)
class Block:
    """A header and the records in its block, in log order."""

    header: Header
    records: tuple[Recorded[Event], ...]


def write_block(block: Block, state: State, cursor: CursorRow, start_of: Callable[[bytes], bytes]) -> CursorRow:
    """Add a block to `state`, and return the cursor after it. `start_of` is the head of a subject without records.

    Raises IndexHaltedError if a record is missing or repeated, belongs to another block, has an unknown kind, or is
    about something that no earlier record created.
    """
    header = block.header
    if block.records:  # of most blocks, the cursor alone keeps number and hash
        state.add(BlockRow(header.number, header.hash, header.parent_hash, header.timestamp))
    # A copy: the caller logs the old cursor for undoing.
    after = replace(cursor, block_number=header.number, block_hash=header.hash, block_time=header.timestamp)
    for record in block.records:
        _verify_place(record, header)
        _count(record, after)
        inner = inner_of_record(record)
        state.add(_row(record, inner))
        _extend_histories(record, inner, state, start_of)
        apply(record, state)
        after.digest = extend_digest(after.digest, record.contract, record)
    return after


def _verify_place(record: Recorded[Event], header: Header) -> None:
    if (record.block_number, record.block_hash, record.block_time) != (header.number, header.hash, header.timestamp):
        raise IndexHaltedError(
            f"the node returned record {record.sequence} of the {record.contract.value} for block {header.number}, "
            "although it belongs to another block",
            hint="check the node",
        )


def _count(record: Recorded[Event], cursor: CursorRow) -> None:
    # Each contract numbers its records without gaps, so none can be missed or indexed twice unnoticed.
    in_registry = record.contract is Contract.REGISTRY
    expected = (cursor.registry_sequence if in_registry else cursor.ledger_sequence) + 1
    if record.sequence != expected:
        raise IndexHaltedError(
            f"the {record.contract.value}'s next record is {expected}, got {record.sequence} in block "
            f"{record.block_number}",
            hint="check that the node keeps all logs, then start again",
        )
    if in_registry:
        cursor.registry_sequence = expected
    else:
        cursor.ledger_sequence = expected


def inner_of_record(record: Recorded[Event] | RecordRow) -> bytes:
    """As `inner_of`, of the record's own fields."""
    return inner_of(
        sequence=record.sequence,
        participant=record.participant,
        key=record.key,
        data=record.data,
        block_time=record.block_time,
    )


def _extend_histories(record: Recorded[Event], inner: bytes, state: State, start_of: Callable[[bytes], bytes]) -> None:
    for position, subject in enumerate(record.histories):
        head = state.get(HeadRow, subject)
        if head is None:
            head = HeadRow(subject, start_of(subject), length=0, sequence=0)
            state.add(head)
        head.head = link(head.head, record.topic, inner)
        head.length += 1
        head.sequence = record.sequence
        state.add(RecordHistoryRow(record.sequence, position, subject, head.head))


def _row(record: Recorded[Event], inner: bytes) -> RecordRow:
    return RecordRow(
        contract=record.contract.value,
        sequence=record.sequence,
        kind=record.kind,
        topic=record.topic,
        participant=record.participant,
        subject=record.subject,
        key=record.key,
        block_number=record.block_number,
        block_hash=record.block_hash,
        block_time=record.block_time,
        transaction_hash=record.transaction_hash,
        log_index=record.log_index,
        data=record.data,
        inner=inner,
    )
