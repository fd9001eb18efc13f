"""What a chain does to a submitter: late receipts, lost nonces, slow blocks, reorganisations, foreign events."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from millmark.ledger.chain import Chain, Node, Transaction, find_profile, sign_transaction
from millmark.ledger.errors import ChainError, LeaseHeldError
from millmark.ledger.ids import SubjectKind, subject
from millmark.ledger.keys import LocalSigner
from millmark.ledger.records import Contract, Disposition, ReceiveLot, Record, ScrapLot
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState
from millmark.ledger.submit import Submitter
from tests.support.ledger_world import LedgerWorld, Texts, results, transactions, verify_final, verify_once

# Receipts and nonces


@pytest.mark.parametrize("times", [1, 3, 4])
def test_a_late_receipt_never_sends_twice(world: LedgerWorld, store: Store, outbox: Outbox, times: int) -> None:
    """The node counts the nonce before it shows the receipt."""
    signer, before = world.admit(outbox), world.count()
    submitter = Submitter(world.chain, outbox, signer, receipt_grace_s=60, resend_s=0)
    ids = submitter.submit(world.lots(3))
    world.line.hide_receipts(times)
    submitter.drain()
    verify_once(world, store, signer, ids, before)


def test_a_nonce_that_was_used_elsewhere_is_given_up_after_the_grace(
    world: LedgerWorld, store: Store, outbox: Outbox
) -> None:
    """Another program takes the nonce between allocating and sending."""
    signer, before = world.admit(outbox), world.count()
    submitter = world.submitter(outbox, signer)

    def overtake(params: list[Any]) -> Any:
        del world.line.handlers["eth_sendRawTransaction"]
        use_elsewhere(world, signer)
        return world.line.node.request("eth_sendRawTransaction", params)

    world.line.handlers["eth_sendRawTransaction"] = overtake
    ids = submitter.submit(world.lots(3))
    submitter.drain()
    assert verify_final(outbox, ids) == [before + 1, before + 2, before + 3]
    assert transactions(store, signer) == [(0, "failed"), (1, "final")]
    assert world.nonces(signer) == 2


def use_elsewhere(world: LedgerWorld, signer: LocalSigner) -> None:
    nonce = world.nonces(signer)
    other = Transaction(world.chain.chain_id, nonce, 1, 10**11, 21_000, signer.address, b"")
    Node(world.line.node).send(sign_transaction(other, signer).raw)


def test_the_same_call_under_another_hash_made_the_records(world: LedgerWorld, store: Store, outbox: Outbox) -> None:
    """A version of the transaction that the database does not know, as after a backup was restored."""
    signer, before = world.admit(outbox), world.count()
    submitter = Submitter(world.chain, outbox, signer, receipt_grace_s=0.1, resend_s=0.1)
    ids = submitter.submit(world.lots(2))

    def overtake(params: list[Any]) -> Any:
        del world.line.handlers["eth_sendRawTransaction"]
        [open_now] = outbox.open_transactions(signer.address)
        again = Transaction(world.chain.chain_id, 0, 2, 10**11, open_now.gas_limit, open_now.recipient, open_now.data)
        Node(world.line.node).send(sign_transaction(again, signer).raw)
        return world.line.node.request("eth_sendRawTransaction", params)

    world.line.handlers["eth_sendRawTransaction"] = overtake
    submitter.drain()
    verify_once(world, store, signer, ids, before)


def test_a_key_that_is_used_elsewhere_in_between_goes_on(world: LedgerWorld, store: Store, outbox: Outbox) -> None:
    signer = world.admit(outbox)
    submitter = world.submitter(outbox, signer)
    for _ in range(3):
        use_elsewhere(world, signer)
        ids = submitter.submit(world.lots(1))
        submitter.drain()
        verify_final(outbox, ids)
    assert transactions(store, signer) == [(1, "final"), (3, "final"), (5, "final")]


def test_a_node_that_lags_behind_does_not_make_a_nonce_be_spent_twice(
    world: LedgerWorld, store: Store, outbox: Outbox
) -> None:
    signer, before = world.admit(outbox), world.count()
    submitter = world.submitter(outbox, signer, batch_size=1)
    world.line.handlers["eth_getTransactionCount"] = lambda _: "0x0"
    ids = submitter.submit(world.lots(3))
    submitter.drain()
    verify_once(world, store, signer, ids, before)


# Blocks that take their time


def mined_later(world: LedgerWorld, waiting: list[str]) -> None:
    """The node keeps what it is sent until the test mines it."""
    world.line.handlers["eth_sendRawTransaction"] = lambda params: waiting.append(params[0])


def mine(world: LedgerWorld, waiting: list[str]) -> None:
    for raw in dict.fromkeys(waiting):
        world.line.node.request("eth_sendRawTransaction", [raw])
    waiting.clear()


def test_a_record_that_waits_for_one_under_way_is_not_failed(world: LedgerWorld, store: Store, outbox: Outbox) -> None:
    """Refused now, for want of what is sent and not mined: packing needs lots that are on their way."""
    signer, before = world.admit(outbox), world.count()
    submitter = world.submitter(outbox, signer, batch_size=2)
    lots = world.lots(2)
    waiting: list[str] = []
    mined_later(world, waiting)
    first = submitter.submit(lots)
    assert submitter.step() is False
    then = submitter.submit([("scrap", scrap(world, signer, lots[0][1]))])
    for _ in range(3):
        assert submitter.step() is False
    assert outbox.record(then[0]).state is OutboxState.QUEUED
    mine(world, waiting)
    world.line.handlers.clear()
    submitter.drain()
    verify_once(world, store, signer, first + then, before)


def scrap(world: LedgerWorld, signer: LocalSigner, record: Record) -> Record:
    participant = world.chain.read(Contract.REGISTRY, "actorOf", "0x" + signer.address.hex())[0]
    assert isinstance(record, ReceiveLot)
    assert isinstance(participant, int)
    return ScrapLot(subject(SubjectKind.LOT, participant, record.identifier_hash), 1, Disposition.SCRAPPED, bytes(32))


def test_few_transactions_are_under_way_at_once(world: LedgerWorld, store: Store, outbox: Outbox) -> None:
    signer, before = world.admit(outbox), world.count()
    submitter = Submitter(world.chain, outbox, signer, batch_size=1, resend_s=60)
    waiting: list[str] = []
    mined_later(world, waiting)
    ids = submitter.submit(world.lots(17))
    submitter.step()
    assert len(waiting) == 16
    while waiting:
        mine(world, waiting)
        submitter.step()
    verify_once(world, store, signer, ids, before)


def test_the_same_bytes_are_not_sent_with_every_step(world: LedgerWorld, outbox: Outbox) -> None:
    signer, waiting = world.admit(outbox), list[str]()
    mined_later(world, waiting)
    submitter = Submitter(world.chain, outbox, signer, resend_s=60)
    ids = submitter.submit(world.lots(1))
    for _ in range(5):
        submitter.step()
    assert len(waiting) == 1
    mine(world, waiting)
    submitter.drain()
    verify_final(outbox, ids)


def test_a_dropped_transaction_is_sent_again(world: LedgerWorld, store: Store, outbox: Outbox) -> None:
    signer, before = world.admit(outbox), world.count()
    submitter = world.submitter(outbox, signer)
    waiting: list[str] = []
    mined_later(world, waiting)
    ids = submitter.submit(world.lots(1))
    submitter.step()
    dropped = waiting.pop()
    submitter.step()
    assert waiting == [dropped]
    mine(world, waiting)
    submitter.drain()
    verify_once(world, store, signer, ids, before)


# Reorganisations

DEEP = dataclasses.replace(find_profile("embedded"), name="deep", finality_depth=2)


def test_a_mined_transaction_is_watched_until_it_is_final(world: LedgerWorld, store: Store, outbox: Outbox) -> None:
    chain = Chain(world.chain.node, DEEP, world.chain.deployment)
    signer, before = world.admit(outbox), world.count()
    submitter = Submitter(chain, outbox, signer, receipt_grace_s=0.2, resend_s=0)
    ids = submitter.submit(world.lots(1))
    assert submitter.step() is False
    assert outbox.record(ids[0]).state is OutboxState.MINED
    [mined] = outbox.open_transactions(signer.address)
    assert mined.block_number is not None
    world.line.hide_receipts(1)
    world.line.hide_block(mined.block_number)
    submitter.step()
    assert outbox.record(ids[0]).state is OutboxState.SENT
    assert outbox.record(ids[0]).sequence is None
    submitter.step()
    assert outbox.record(ids[0]).state is OutboxState.MINED
    for _ in range(2):
        world.fund(LocalSigner.generate())
    assert submitter.step() is True
    verify_once(world, store, signer, ids, before)


def test_a_transaction_in_another_block_than_before_is_settled_anew(
    world: LedgerWorld, store: Store, outbox: Outbox
) -> None:
    chain, told = Chain(world.chain.node, DEEP, world.chain.deployment), Texts()
    signer, before = world.admit(outbox), world.count()
    submitter = Submitter(chain, outbox, signer, receipt_grace_s=0.2, resend_s=0, report=told)
    ids = submitter.submit(world.lots(1))

    def elsewhere(params: list[Any]) -> Any:
        receipt = world.line.node.request("eth_getTransactionReceipt", params)
        return receipt and {**receipt, "blockHash": "0x" + "ee" * 32}

    world.line.handlers["eth_getTransactionReceipt"] = elsewhere
    submitter.step()
    [mined] = outbox.open_transactions(signer.address)
    assert mined.block_hash == b"\xee" * 32
    world.line.handlers.clear()
    submitter.step()
    submitter.step()
    [mined] = outbox.open_transactions(signer.address)
    assert mined.block_hash != b"\xee" * 32
    for _ in range(2):
        world.fund(LocalSigner.generate())
    submitter.drain()
    verify_once(world, store, signer, ids, before)
    assert told == ["sent", "mined", "reorganised", "mined", "final"]


def test_a_block_that_the_node_showed_otherwise_once_is_final_by_its_receipts(
    world: LedgerWorld, store: Store, outbox: Outbox
) -> None:
    """Nodes behind one address: that one shows another block does not take the transaction out of its own."""
    chain, told = Chain(world.chain.node, DEEP, world.chain.deployment), Texts()
    signer, before = world.admit(outbox), world.count()
    submitter = Submitter(chain, outbox, signer, receipt_grace_s=60, resend_s=60, report=told)
    ids = submitter.submit(world.lots(1))
    submitter.step()
    [mined] = outbox.open_transactions(signer.address)
    assert mined.block_number is not None
    for _ in range(2):
        world.fund(LocalSigner.generate())
    world.line.hide_block(mined.block_number)
    assert submitter.step() is True
    assert told == ["sent", "mined", "final"]
    verify_once(world, store, signer, ids, before)


# What a receipt says


def spoil(world: LedgerWorld, change: Any) -> None:
    def answer(params: list[Any]) -> Any:
        receipt = world.line.node.request("eth_getTransactionReceipt", params)
        return receipt and {**receipt, "logs": change(receipt["logs"])}

    world.line.handlers["eth_getTransactionReceipt"] = answer


@pytest.mark.parametrize(
    "change",
    [
        lambda _: [],
        lambda logs: logs[:-1],
        lambda logs: logs + logs[-1:],
        lambda logs: [{**log, "address": "0x" + "99" * 20} for log in logs],
        lambda logs: [{**log, "data": log["data"][:26] + "99" * 20 + log["data"][66:]} for log in logs],
    ],
    ids=["none", "one too few", "one too many", "of another contract", "by another key"],
)
def test_a_receipt_with_other_events_than_the_records_is_an_error(
    world: LedgerWorld, store: Store, outbox: Outbox, change: Any
) -> None:
    signer, before = world.admit(outbox), world.count()
    submitter = world.submitter(outbox, signer)
    ids = submitter.submit(world.lots(2))
    spoil(world, change)
    with pytest.raises(
        ChainError, match="emitted events other than those of its records; check that the deployment file"
    ):
        submitter.drain()
    assert {record.state for record in results(outbox, ids)} == {OutboxState.SENT}, "nothing is believed"
    world.line.handlers.clear()
    submitter.drain()
    verify_once(world, store, signer, ids, before)


# Two at once


def test_two_submitters_for_one_key_record_nothing_twice(world: LedgerWorld, store: Store, outbox: Outbox) -> None:
    signer, before = world.admit(outbox), world.count()
    first, second = (world.submitter(outbox, signer, batch_size=2) for _ in range(2))
    ids = first.submit(world.lots(6))

    def meddle(params: list[Any]) -> Any:
        """The second one works while the first one has simulated and not yet allocated."""
        del world.line.handlers["eth_call"]
        answer = world.line.node.request("eth_call", params)
        second.drain()
        return answer

    world.line.handlers["eth_call"] = meddle
    with pytest.raises(LeaseHeldError, match="another submitter is active for the same key"):
        first.step()
    first.drain()
    verify_once(world, store, signer, ids, before)
