"""What a submitter takes for the head of its chain, and when it stops saying that a node is behind."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest

from millmark.ledger.errors import NodeBehindError, WrongChainError
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import Entry, OutboxState
from millmark.ledger.submit import Submitter, batches
from millmark.ledger.submit.batches import NodeView, describe_chain
from tests.support.ledger_world import LedgerWorld

KEY = b"\5" * 20


def test_a_relay_does_not_say_how_far_the_chain_was_seen(store: Store, outbox: Outbox) -> None:
    """One that names a block far ahead would stop the submitter of the same database."""
    relayed = Outbox(store, relayed=True)
    [number] = relayed.enqueue(KEY, [Entry("lot", "ledger", "ReceiveLot", b"x")])
    writer = relayed.take_lease(KEY, None, "holder", 1)
    sent = writer.allocate(0, [relayed.record(number)], KEY, b"x", 1)
    writer.store_signed(sent.id, b"x", b"\1" * 32, 0, 0)
    writer.mark_sent(sent.id)
    writer.mark_mined(sent.id, 2**40, b"\2" * 32, 1, [1])
    assert outbox.seen_block() == -1


def test_an_outbox_is_for_the_ledger_that_was_looked_at_first(world: LedgerWorld, outbox: Outbox) -> None:
    NodeView(world.chain, outbox).look(KEY)
    ours = describe_chain(world.chain.deployment)
    outbox.bind(ours)
    with pytest.raises(
        WrongChainError, match=f"the outbox's records are for the ledger with the id 0x{ours.ledger_id.hex()}"
    ):
        outbox.bind(dataclasses.replace(ours, ledger_id=b"\x99" * 32))


def test_nothing_is_looked_at_for_an_outbox_of_another_ledger(world: LedgerWorld, outbox: Outbox) -> None:
    outbox.bind(dataclasses.replace(describe_chain(world.chain.deployment), ledger_id=b"\x99" * 32))
    seen = NodeView(world.chain, outbox)
    world.line.passed.clear()
    for _ in range(2):
        with pytest.raises(WrongChainError, match=f"the outbox's records are for the ledger with the id 0x{'99' * 32}"):
            seen.look(KEY)
    assert world.line.passed == []


def test_a_node_at_the_latest_known_block_is_not_behind(
    world: LedgerWorld, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "_PATIENCE_S", 0.0)
    head, found = world.chain.look(KEY).head, NodeView(world.chain_with(timed_blocks=True), outbox)
    for seen, caught_up in ((head.number - 1, True), (head.number, True), (head.number + 1, False)):
        monkeypatch.setattr(outbox, "seen_block", lambda seen=seen: seen)
        assert found.is_caught_up(head) is caught_up
        assert (found.trouble is None) is caught_up


def test_a_refusal_is_final_by_a_later_block_and_not_by_one_from_before_it_was_forgotten(
    world: LedgerWorld, outbox: Outbox
) -> None:
    depth, record = 2, 7
    found = NodeView(world.chain_with(timed_blocks=True, finality_depth=depth), outbox)
    head = dataclasses.replace(world.chain.look(KEY).head, number=100)

    def after(number: int) -> bool:
        assert found.is_caught_up(dataclasses.replace(head, number=number))
        return found.is_final(record)

    for first, forget in ((100, found.forget_all), (110, lambda: found.forget(record)), (120, found.forget_all)):
        forget()
        assert after(first) is False
        found.note(record)
        assert [after(first + more) for more in (0, depth, depth + 1)] == [False, False, True]


def test_no_trouble_is_left_of_a_record_that_waits_no_more(
    world: LedgerWorld, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one is under way all the time, so that the submitter has work."""
    monkeypatch.setattr(batches, "_PATIENCE_S", 0.0)
    signer = world.admit(outbox)
    chain = world.chain_with(timed_blocks=True)
    submitter = Submitter(chain, outbox, signer, receipt_grace_s=60, resend_s=60)
    monkeypatch.setitem(world.line.handlers, "eth_sendRawTransaction", lambda params: params[0])
    [first, second] = world.lots(2)
    [number] = submitter.submit([first])
    submitter.step()
    assert outbox.record(number).state is not OutboxState.QUEUED
    submitter.submit([second])
    monkeypatch.setattr(submitter._view._outbox, "seen_block", lambda: 2**40)
    with pytest.raises(NodeBehindError, match="the node is behind"):
        submitter.step()
    outbox.pause([second[0]])
    submitter.step()


def test_a_node_may_be_behind_for_five_seconds_each_time(
    world: LedgerWorld, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(batches, "time", SimpleNamespace(monotonic=lambda: now[0]))
    head, found = world.chain.look(KEY).head, NodeView(world.chain_with(timed_blocks=True), outbox)
    monkeypatch.setattr(outbox, "seen_block", lambda: head.number + 1)
    for _ in range(2):
        for elapsed_s, is_told in ((0.0, False), (4.9, False), (0.1, True), (60.0, True)):
            now[0] += elapsed_s
            assert found.is_caught_up(head) is False
            assert (found.trouble is not None) is is_told
        found.rest()
        assert found.trouble is None


@pytest.mark.parametrize("is_other_open", [True, False])
def test_how_long_a_node_was_behind_counts_from_when_something_waits(
    world: LedgerWorld, outbox: Outbox, monkeypatch: pytest.MonkeyPatch, is_other_open: bool
) -> None:
    now = [100.0]
    monkeypatch.setattr(batches, "time", SimpleNamespace(monotonic=lambda: now[0]))
    signer = world.admit(outbox)
    submitter = Submitter(world.chain_with(timed_blocks=True), outbox, signer, receipt_grace_s=60, resend_s=60)
    monkeypatch.setitem(world.line.handlers, "eth_sendRawTransaction", lambda params: params[0])
    first, second, third = world.lots(3)
    if is_other_open:
        submitter.submit([first])
        submitter.step()
    monkeypatch.setattr(submitter._view._outbox, "seen_block", lambda: 2**40)
    submitter.submit([second])
    submitter.step()
    outbox.cancel([second[0]])
    submitter.step()  # nothing waits
    now[0] += 60.0
    submitter.submit([third])
    submitter.step()
    now[0] += 5.0
    with pytest.raises(NodeBehindError, match="the node is behind"):
        submitter.step()
