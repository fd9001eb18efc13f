"""Waiting for records: until they are in blocks, or until these are final."""

from __future__ import annotations

import pytest

from millmark.ledger.chain import EmbeddedChain
from millmark.ledger.errors import ChainUnreachableError, SubmitError
from millmark.ledger.keys import LocalSigner
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState
from millmark.ledger.submit import Submitter
from tests.support.ledger_world import LedgerWorld, Texts, build_world, copy_chain, results
from tests.support.rpc import lost

DEPTH = 2


@pytest.fixture
def world() -> LedgerWorld:
    """A chain for each test, since one puts another one in its place."""
    return build_world()


def states(outbox: Outbox, ids: list[int]) -> list[OutboxState]:
    return [one.state for one in results(outbox, ids)]


def test_records_are_awaited_until_they_are_in_blocks_or_final(world: LedgerWorld, outbox: Outbox) -> None:
    submitter = Submitter(world.chain_with(finality_depth=DEPTH), outbox, world.admit(outbox), batch_size=1)
    ids = submitter.submit(world.lots(2))
    submitter.await_mined(ids)
    assert states(outbox, ids) == [OutboxState.MINED] * 2
    with pytest.raises(SubmitError, match="are in no final block after 0 s; check that the chain produces blocks"):
        submitter.await_final(ids, timeout_s=0.0)
    for _ in range(DEPTH):
        world.fund(LocalSigner.generate())
    submitter.await_final(ids[:1])
    assert states(outbox, ids)[0] is OutboxState.FINAL


def test_records_that_come_into_no_block_are_told(world: LedgerWorld, outbox: Outbox) -> None:
    submitter = Submitter(world.chain_with(finality_depth=DEPTH), outbox, world.admit(outbox))
    world.line.hold_transactions()
    ids = submitter.submit(world.lots(1))
    with pytest.raises(SubmitError, match="are in no block after 0 s; check that the chain produces blocks"):
        submitter.await_mined(ids, timeout_s=0.0)
    with pytest.raises(SubmitError, match="are in no final block after 0 s"):
        submitter.await_final(ids, timeout_s=0.0)


def test_a_node_that_does_not_answer_is_told_in_the_end(world: LedgerWorld, outbox: Outbox) -> None:
    submitter = Submitter(world.chain_with(finality_depth=DEPTH), outbox, world.admit(outbox))
    ids = submitter.submit(world.lots(1))

    def fail(_: object) -> object:
        raise lost()

    world.line.handlers["eth_sendRawTransaction"] = fail
    with pytest.raises(ChainUnreachableError):
        submitter.await_mined(ids, timeout_s=0.0)
    world.line.handlers.clear()
    submitter.await_mined(ids)
    assert states(outbox, ids) == [OutboxState.MINED]


def test_a_block_that_gave_way_is_told(world: LedgerWorld, outbox: Outbox) -> None:
    signer, told = world.admit(outbox), Texts()
    submitter = Submitter(
        world.chain_with(finality_depth=DEPTH), outbox, signer, receipt_grace_s=0, resend_s=0, report=told
    )
    assert isinstance(world.line.node, EmbeddedChain)
    earlier = copy_chain(world.line.node)
    ids = submitter.submit(world.lots(1))
    submitter.await_mined(ids)
    world.line.node = earlier
    world.__dict__.pop("unfaulty", None)  # a cached connection to the chain as it was
    world.chain.node.wait(1)
    submitter.step()
    submitter.await_mined(ids)
    assert told == ["sent", "mined", "reorganised", "sent", "mined"]


def test_a_block_that_gave_way_to_one_in_which_the_transaction_failed_is_told(
    world: LedgerWorld, outbox: Outbox
) -> None:
    """Its records wait until that block is final: another one may still make them."""
    signer, told = world.admit(outbox), Texts()

    def failed(params: list[object]) -> object:
        receipt = world.line.node.request("eth_getTransactionReceipt", params)
        return receipt and {**receipt, "status": "0x0", "logs": [], "blockHash": "0x" + "ee" * 32}

    submitter = Submitter(
        world.chain_with(finality_depth=DEPTH), outbox, signer, receipt_grace_s=60, resend_s=60, report=told
    )
    ids = submitter.submit(world.lots(1))
    submitter.await_mined(ids)
    [mined] = outbox.open_transactions(signer.address)
    assert mined.block_number is not None
    world.line.hide_block(mined.block_number)
    world.line.handlers["eth_getTransactionReceipt"] = failed
    submitter.step()
    [now] = outbox.open_transactions(signer.address)
    assert (now.state, now.block_number, told) == (OutboxState.SENT, None, ["sent", "mined", "reorganised"])
    submitter.step()
    assert states(outbox, ids) == [OutboxState.SENT]
    world.line.handlers.clear()
    submitter.await_mined(ids)
    assert told == ["sent", "mined", "reorganised", "mined"]


def test_what_was_begun_is_sent_without_waiting(world: LedgerWorld, outbox: Outbox) -> None:
    submitter = Submitter(world.chain_with(finality_depth=DEPTH), outbox, world.admit(outbox))
    ids = submitter.submit(world.lots(1))

    def fail(_: object) -> object:
        raise lost()

    world.line.handlers["eth_sendRawTransaction"] = fail
    submitter.begin()
    assert states(outbox, ids) == [OutboxState.SIGNED], "a failure shows when it is awaited"
    world.line.handlers.clear()
    submitter.begin()
    assert states(outbox, ids) == [OutboxState.MINED]
    outbox.take_lease(submitter.key, outbox.lease(submitter.key), "other-host/1/1", 9)
    submitter._lease.drop()
    submitter.begin()
