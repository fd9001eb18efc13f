"""Which transaction used a nonce, and that its receipt is its own."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.errors import ChainUnreachableError
from ledger.store.outbox import Outbox
from ledger.submit.spender import find_spender
from tests.support.ledger_world import LedgerWorld


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
