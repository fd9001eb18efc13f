"""Heads: the end of the hash chain over an order's or lot's records (contracts/src/interfaces/IHistory.sol)."""

from __future__ import annotations

from ledger.canonical import keccak256

__all__ = ["HEAD_TAG", "inner_of", "link", "start_of"]

HEAD_TAG = keccak256(b"millmark.history.v1")


def start_of(chain_id: int, ledger: bytes, ledger_id: bytes, subject: bytes) -> bytes:
    """The head of a history without records, 32 bytes.

    `ledger` is an address, 20 bytes; `ledger_id` and `subject` have 32 bytes.
    """
    return keccak256(HEAD_TAG + _word(chain_id) + bytes(12) + ledger + ledger_id + subject)


def inner_of(*, sequence: int, participant: int, key: bytes, data: bytes, block_time: int) -> bytes:
    """The inner hash of a record, 32 bytes. `key` is an address, `data` the event's data, `block_time` in seconds."""
    return keccak256(_word(sequence) + _word(participant) + bytes(12) + key + keccak256(data) + _word(block_time))


def link(head: bytes, topic: bytes, inner: bytes) -> bytes:
    """The head after one more record, from topic 0 of its event and its inner hash; 32 bytes each."""
    return keccak256(head + topic + inner)


def _word(number: int) -> bytes:
    return number.to_bytes(32, "big")
