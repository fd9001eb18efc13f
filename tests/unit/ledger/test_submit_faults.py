"""Crashes and lies on the way: whatever happens, each record is on the ledger once, and the nonces are dense."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ledger.chain import Chain, EngineProfile, Node, Transaction, sign_transaction
from ledger.errors import ChainError, ChainUnreachableError, SubmitError
from ledger.ids import SubjectKind, subject
from ledger.keys import LocalSigner
from ledger.records import Contract, ReceiveLot, Record, ScrapLot
from ledger.store import Store
from ledger.store.outbox import Outbox, OutboxState
from ledger.submit import Submitter
from tests.support.crash import CrashError, CrashingStore, CrashingTransport, CrashPoint
from tests.support.ledger_world import LedgerWorld, build_world, results, verify_final
from tests.support.stores import new_store


@pytest.fixture(scope="module")
def world() -> LedgerWorld:
    return build_world()


@pytest.fixture
def store(tmp_path: Path, world: LedgerWorld) -> Iterator[Store]:
    world.line.handlers.clear()
    with new_store(tmp_path) as opened:
        yield opened


@pytest.fixture
def outbox(store: Store) -> Outbox:
    return Outbox(store)


def transactions(store: Store, signer: LocalSigner) -> list[tuple[int, str]]:
    """(nonce, state) of everything that was ever allocated for a key, by nonce."""
    query = "SELECT nonce, state FROM outbox_transactions WHERE signer = ? ORDER BY nonce, id"
    with store.reading() as connection:
        return [(int(n), str(s)) for n, s in connection.exec_driver_sql(query, (signer.address,))]


def verify_once(world: LedgerWorld, store: Store, signer: LocalSigner, ids: list[int], before: int) -> None:
    """Each record once on the ledger, and every nonce spent on one transaction that is final."""
    sequences = verify_final(Outbox(store), ids)
    assert sequences == list(range(before + 1, before + 1 + len(ids)))
    assert world.count() == before + len(ids)
    sent = transactions(store, signer)
    assert sent == [(nonce, "final") for nonce in range(len(sent))]
    assert world.nonces(signer) == len(sent)


# Crashes

BATCH, RECORDS = 2, 3


def run_dying(
    world: LedgerWorld, store: Store, signer: LocalSigner, lots: list[tuple[str, Record]], point: CrashPoint
) -> None:
    """A submitter in a process that dies at `point`, or not at all."""
    chain = Chain(Node(world.line.node), world.chain.profile, world.chain.deployment)
    chain.node = Node(CrashingTransport(world.line.node, point))
    submitter = Submitter(chain, Outbox(CrashingStore(store, point)), signer, batch_size=BATCH, receipt_grace_s=0.2)
    submitter.submit(lots)
    submitter.drain()


@pytest.mark.parametrize("stored", [False, True], ids=["failed, not stored", "failed, but stored"])
def test_a_crash_at_any_boundary_loses_and_doubles_nothing(world: LedgerWorld, store: Store, stored: bool) -> None:
    outbox, counting = Outbox(store), CrashPoint()
    signer = world.admit(outbox)
    run_dying(world, store, signer, world.lots(RECORDS), counting)
    assert counting.seen > 20
    for at in range(1, counting.seen + 1):
        lots, before, point = world.lots(RECORDS), world.count(), CrashPoint(at, stored)
        with pytest.raises(CrashError):
            run_dying(world, store, signer, lots, point)
        assert point.seen == at
        restarted = world.submitter(outbox, signer, BATCH)
        ids = restarted.submit(lots)  # the caller, too, does not know what became of it
        restarted.drain()
        verify_once(world, store, signer, ids, before)


def test_many_crashes_in_a_row_lose_and_double_nothing(world: LedgerWorld, store: Store) -> None:
    """A box that loses power after every few steps."""
    outbox = Outbox(store)
    signer, lots, before = world.admit(outbox), world.lots(RECORDS), world.count()
    for at in range(1, 30):
        for stored in (False, True):
            try:
                run_dying(world, store, signer, lots, CrashPoint(at, stored))
            except CrashError:
                continue
            break
    restarted = world.submitter(outbox, signer, BATCH)
    ids = restarted.submit(lots)
    restarted.drain()
    verify_once(world, store, signer, ids, before)


# The line


METHODS = (
    "eth_call",
    "eth_getTransactionCount",
    "eth_getBlockByNumber",
    "eth_getTransactionReceipt",
    "eth_sendRawTransaction",
    "eth_blockNumber",
)


@pytest.mark.parametrize("after", [False, True], ids=["request lost", "answer lost"])
@pytest.mark.parametrize("method", METHODS)
def test_a_lost_message_loses_and_doubles_nothing(
    world: LedgerWorld, store: Store, outbox: Outbox, method: str, after: bool
) -> None:
    """The same submitter goes on when the line is back."""
    signer, before = world.admit(outbox), world.count()
    submitter = world.submitter(outbox, signer, BATCH)
    ids = submitter.submit(world.lots(RECORDS))
    world.line.cut(method, after=after)
    with pytest.raises(ChainUnreachableError):
        submitter.drain()
    submitter.drain()
    verify_once(world, store, signer, ids, before)


def test_an_unreachable_chain_leaves_everything_queued(world: LedgerWorld, store: Store, outbox: Outbox) -> None:
    signer, before = world.admit(outbox), world.count()
    submitter = world.submitter(outbox, signer)
    for method in METHODS:
        world.line.cut(method, after=False, times=100)
    ids = submitter.submit(world.lots(RECORDS))
    for _ in range(3):
        with pytest.raises(ChainUnreachableError):
            submitter.drain()
    assert {record.state for record in results(outbox, ids)} == {OutboxState.QUEUED}
    assert transactions(store, signer) == [], "no nonce is spent"
    world.line.handlers.clear()
    submitter.drain()
    verify_once(world, store, signer, ids, before)


def test_an_answer_lost_after_the_node_took_it_sends_the_same_bytes(world: LedgerWorld, outbox: Outbox) -> None:
    signer = world.admit(outbox)
    sent: list[str] = []

    def lose(params: list[Any]) -> Any:
        sent.append(params[0])
        world.line.node.request("eth_sendRawTransaction", params)
        if len(sent) < 2:
            raise ChainUnreachableError("the line is cut")

    world.line.handlers["eth_sendRawTransaction"] = lose
    world.line.hide_receipts(2)
    submitter = world.submitter(outbox, signer)
    ids = submitter.submit(world.lots(1))
    with pytest.raises(ChainUnreachableError):
        submitter.drain()
    with pytest.raises(Exception, match="nonce too low"):
        world.line.node.request("eth_sendRawTransaction", [sent[0]])
    submitter.drain()
    assert len(set(sent)) == 1
    verify_final(outbox, ids)


# Receipts and nonces


@pytest.mark.parametrize("times", [1, 3, 4])
def test_a_late_receipt_never_sends_twice(world: LedgerWorld, store: Store, outbox: Outbox, times: int) -> None:
    """The node counts the nonce before it shows the receipt."""
    signer, before = world.admit(outbox), world.count()
    submitter = Submitter(world.chain, outbox, signer, receipt_grace_s=60, resend_s=0)
    ids = submitter.submit(world.lots(RECORDS))
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
    ids = submitter.submit(world.lots(RECORDS))
    submitter.drain()
    assert verify_final(outbox, ids) == [before + 1, before + 2, before + 3]
    assert transactions(store, signer) == [(0, "failed"), (1, "final")]
    assert world.nonces(signer) == 2


def use_elsewhere(world: LedgerWorld, signer: LocalSigner) -> None:
    nonce = world.nonces(signer)
    other = Transaction(world.chain.chain_id, nonce, 1, 10**11, 21_000, signer.address, b"")
    Node(world.line.node).send(sign_transaction(other, signer).raw)


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
    ids = submitter.submit(world.lots(RECORDS))
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
    return ScrapLot(subject(SubjectKind.LOT, participant, record.identifier_hash), 1, bytes(32))


def test_few_transactions_are_under_way_at_once(world: LedgerWorld, store: Store, outbox: Outbox) -> None:
    signer, before = world.admit(outbox), world.count()
    submitter = world.submitter(outbox, signer, batch_size=1)
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

DEEP = EngineProfile("deep", 2, 100, 1, 20, 30_000_000, faucet=True)


def test_a_mined_transaction_is_watched_until_it_is_final(world: LedgerWorld, store: Store, outbox: Outbox) -> None:
    chain = Chain(world.chain.node, DEEP, world.chain.deployment)
    signer, before = world.admit(outbox), world.count()
    submitter = Submitter(chain, outbox, signer, receipt_grace_s=0.2, resend_s=0)
    ids = submitter.submit(world.lots(1))
    assert submitter.step() is False
    assert outbox.record(ids[0]).state is OutboxState.MINED
    world.line.hide_receipts(1)  # its block is gone
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
    chain = Chain(world.chain.node, DEEP, world.chain.deployment)
    signer, before = world.admit(outbox), world.count()
    submitter = Submitter(chain, outbox, signer, receipt_grace_s=0.2, resend_s=0)
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
    with pytest.raises(ChainError, match="left other events than its records; check that the deployment file"):
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
        del world.line.handlers["eth_getTransactionCount"]
        second.drain()
        return world.line.node.request("eth_getTransactionCount", params)

    world.line.handlers["eth_getTransactionCount"] = meddle
    with pytest.raises(SubmitError, match="another submitter works for the same key"):
        first.drain()
    first.drain()
    verify_once(world, store, signer, ids, before)
