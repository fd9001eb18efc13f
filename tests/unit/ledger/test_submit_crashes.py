"""Crashes and a bad line: whatever happens, each record is on the ledger once, and the nonces are dense."""

from __future__ import annotations

from typing import Any

import pytest

from millmark.ledger.chain import Chain, Node
from millmark.ledger.errors import ChainUnreachableError
from millmark.ledger.keys import LocalSigner
from millmark.ledger.records import Record
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState
from millmark.ledger.submit import Submitter
from tests.support.crash import CrashError, CrashingStore, CrashingTransport, CrashPoint
from tests.support.ledger_world import LedgerWorld, results, transactions, verify_final, verify_once

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
        all(not submitter.step() for _ in range(10))
    submitter.drain()
    verify_once(world, store, signer, ids, before)


@pytest.mark.parametrize("method", METHODS)
def test_whoever_waits_for_the_records_waits_for_the_node_too(
    world: LedgerWorld, store: Store, outbox: Outbox, method: str
) -> None:
    """One bad answer used to end a command although its record was about to be mined."""
    signer, before = world.admit(outbox), world.count()
    submitter = world.submitter(outbox, signer, BATCH)
    ids = submitter.submit(world.lots(RECORDS))
    world.line.cut(method, after=True, times=3)
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
            submitter.drain(timeout_s=0)
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
        submitter.step()
    with pytest.raises(Exception, match="nonce too low"):
        world.line.node.request("eth_sendRawTransaction", [sent[0]])
    submitter.drain()
    assert len(set(sent)) == 1
    verify_final(outbox, ids)
