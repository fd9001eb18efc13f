"""Heads: the end of the hash chain over an order's or lot's records (contracts/src/interfaces/IHistory.sol)."""

from __future__ import annotations

import struct

from millmark.ledger.canonical import keccak256

HEAD_TAG = keccak256(b"millmark.history.v1")

_INNER = struct.Struct(">24xQ 24xQ 12x20s 32s 24xQ")
"""The words of an inner hash. One call packs them: a bundle may have a hundred thousand records."""


def start_of(chain_id: int, ledger: bytes, ledger_id: bytes, subject: bytes) -> bytes:
    """The head of a history without records, 32 bytes.

    `ledger` is an address, 20 bytes; `ledger_id` and `subject` have 32 bytes.
    """
    return keccak256(HEAD_TAG + _word(chain_id) + bytes(12) + ledger + ledger_id + subject)


def inner_of(*, sequence: int, participant: int, key: bytes, data: bytes, block_time: int) -> bytes:
    """The inner hash of a record, 32 bytes. `key` is an address, `data` the event's data, `block_time` in seconds.

    Raises OverflowError for numbers that no record has: negative ones, or those of more than 64 bits.
    """
    try:
        return keccak256(_INNER.pack(sequence, participant, key, keccak256(data), block_time))
    except struct.error as error:
        raise OverflowError(str(error)) from None


def link(head: bytes, topic: bytes, inner: bytes) -> bytes:
    """The head after one more record, from topic 0 of its event and its inner hash; 32 bytes each."""
    return keccak256(head + topic + inner)


def _word(number: int) -> bytes:
    return number.to_bytes(32, "big")
