"""Which transaction used a nonce, and that its receipt is its own."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millmark.ledger.chain import BlockTransaction, Node, Receipt
from millmark.ledger.errors import ChainUnreachableError
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import SentTransaction, Version
from millmark.ledger.submit.tracker import Spender, _find_block, find_spender, version_of
from tests.support.ledger_world import LedgerWorld

KEY, OTHER = b"\1" * 20, b"\2" * 20


class Counting:
    """A node that counts a key's nonces in `counts` by block, and shows transactions in the last one."""

    def __init__(self, counts: Sequence[int], transactions: Sequence[BlockTransaction] = ()) -> None:
        self.counts, self.shown = counts, tuple(transactions)
        self.asked = list[int]()

    def transaction_count(self, key: bytes, number: int) -> int:
        assert key == KEY
        self.asked.append(number)
        return self.counts[number]

    def transactions(self, number: int) -> tuple[None, tuple[BlockTransaction, ...]]:
        assert number == len(self.counts) - 1
        return None, self.shown

    def receipts(self, _: None) -> tuple[Receipt, ...]:
        return tuple(Receipt(one.hash, True, 1, bytes(32), 21_000, None, ()) for one in self.shown)


@given(st.lists(st.integers(0, 2), min_size=1, max_size=40), st.integers(0, 12))
def test_the_block_that_used_a_nonce_is_the_first_that_counts_it(made: list[int], nonce: int) -> None:
    counts = list(accumulate(made, initial=0))
    for last in range(-1, len(counts)):
        node = Counting(counts)
        used = [number for number in range(last + 1) if counts[number] > nonce]
        assert _find_block(cast("Node", node), KEY, nonce, last) == (used[0] if used else None)
        near = last - used[0] if used else 0
        assert len(node.asked) <= 2 + 2 * (near + 1).bit_length(), "few blocks back, few questions"
        assert used == [] or last - min(node.asked) <= max(1, 2 * near), "nodes keep the states of the latest blocks"


def test_of_the_transactions_of_a_block_that_of_the_key_with_the_nonce_counts() -> None:
    made = [(KEY, 6), (OTHER, 7), (OTHER, 6), (KEY, 7), (KEY, 8)]
    shown = [
        cast("BlockTransaction", SimpleNamespace(hash=bytes([place]) * 32, sender=sender, nonce=nonce))
        for place, (sender, nonce) in enumerate(made)
    ]
    found = find_spender(cast("Node", Counting([0, 9], shown)), KEY, 7, 1)
    assert found is not None
    assert found.transaction is shown[3]
    assert found.receipt.transaction_hash == shown[3].hash
    assert find_spender(cast("Node", Counting([0, 9], shown[:3])), KEY, 7, 1) is None


CALL, EARLIER, SPENT = b"\xc0" * 32, b"\xb0" * 32, b"\xa0" * 32
"""Hashes: of the current version, of the one before it, of another transaction."""


@pytest.mark.parametrize("noop", [True, False])
@pytest.mark.parametrize(
    ("name", "to", "data", "records", "found"),
    [
        (CALL, KEY, b"other", 1, "current"),
        (EARLIER, KEY, b"other", 1, "earlier"),
        (SPENT, OTHER, b"call", 1, "call"),
        (SPENT, OTHER, b"call", 0, "other"),
        (SPENT, OTHER, b"other", 1, "other"),
        (SPENT, KEY, b"call", 1, "other"),
    ],
)
def test_what_used_a_nonce_is_a_version_of_a_transaction_by_its_hash_or_its_call(
    noop: bool, name: bytes, to: bytes, data: bytes, records: int, found: str
) -> None:
    """Whether one that makes no records: as that version is, and never a call."""
    sent = SimpleNamespace(
        hash=CALL,
        noop=noop,
        replaced=(Version(EARLIER, noop=not noop),),
        recipient=OTHER,
        data=b"call",
        records=(None,) * records,
    )
    used = Spender(cast("BlockTransaction", SimpleNamespace(hash=name, to=to, data=data)), cast("Receipt", None))
    expected = {"current": noop, "earlier": not noop, "call": False, "other": None}[found]
    assert version_of(cast("SentTransaction", sent), used) is expected


def test_the_receipt_of_another_transaction_does_not_count(world: LedgerWorld, outbox: Outbox) -> None:
    """No root in a header says of which transaction a receipt is."""
    signer, node = world.admit(outbox), world.chain.node
    world.transfer(signer)
    last = world.chain.head_number()

    def answer(params: list[Any]) -> Any:
        return [
            {**receipt, "transactionHash": "0x" + "ee" * 32}
            for receipt in world.line.node.request("eth_getBlockReceipts", params)
        ]

    world.line.handlers["eth_getBlockReceipts"] = answer
    with pytest.raises(
        ChainUnreachableError, match=f"the receipts of block {last} are not those of its transactions; try again"
    ):
        find_spender(node, signer.address, 0, last)
    world.line.handlers.clear()
    found = find_spender(node, signer.address, 0, last)
    assert found is not None
    assert found.transaction.to == signer.address
    assert found.receipt.transaction_hash == found.transaction.hash
