"""Moves of several of the outbox's transactions at once, and what submitting many small transactions costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from millmark.ledger.chain import Reception
from millmark.ledger.errors import ChainError, ChainUnreachableError, SubmitError
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import Entry, OutboxState, SentTransaction
from millmark.ledger.store.outbox_writer import FoundTransaction, OutboxWriter
from millmark.ledger.submit import Submitter
from tests.support.crash import CrashError, CrashingStore, CrashPoint
from tests.support.ledger_world import LedgerWorld, verify_final

KEY, TO, BLOCK = b"\x01" * 20, b"\x03" * 20, b"\x07" * 32
S = OutboxState


def writer_of(outbox: Outbox) -> OutboxWriter:
    row = outbox.lease(KEY)
    return outbox.take_lease(KEY, row, "here/1/1", 1 if row is None else row.fence)


def signed(outbox: Outbox, first: int, size: int = 2) -> list[SentTransaction]:
    """What is queued, in transactions of `size` records that are signed and not stored."""
    queued = outbox.queued(KEY, 100)
    return [
        SentTransaction(
            id=0,
            signer=KEY,
            nonce=first + place,
            recipient=TO,
            data=b"\5",
            gas_limit=30_000,
            max_fee_wei=9,
            priority_fee_wei=1,
            noop=False,
            raw=bytes([first + place]),
            hash=bytes([first + place]) * 32,
            state=S.SIGNED,
            block_number=None,
            block_hash=None,
            gas_used=None,
            records=tuple(queued[start : start + size]),
            replaced=(),
        )
        for place, start in enumerate(range(0, len(queued), size))
    ]


def enqueue(outbox: Outbox, count: int) -> list[int]:
    return outbox.enqueue(KEY, [Entry(f"k{number}", "ledger", "Anchor", bytes([number])) for number in range(count)])


def start(outbox: Outbox, count: int) -> list[SentTransaction]:
    enqueue(outbox, count)
    started = writer_of(outbox).start(0, signed(outbox, 0))
    assert started is not None
    return started


def found(started: list[SentTransaction], *, final: bool = False) -> list[FoundTransaction]:
    numbers = [range(10 * one.nonce, 10 * one.nonce + len(one.records)) for one in started]
    return [FoundTransaction(one, 7, BLOCK, 100, each, final) for one, each in zip(started, numbers, strict=True)]


def test_what_is_started_is_what_is_read_again(outbox: Outbox) -> None:
    started = start(outbox, 5)
    read = outbox.open_transactions(KEY)
    unchanged = [replace(one, records=()) for one in read]
    assert [replace(one, records=()) for one in started] == unchanged
    assert [[record.id for record in one.records] for one in started] == [
        [record.id for record in one.records] for one in read
    ]
    assert [(one.nonce, len(one.records)) for one in read] == [(0, 2), (1, 2), (2, 1)]
    assert {record.state for one in read for record in one.records} == {S.SIGNED}
    assert writer_of(outbox).next_nonce(0) == 3


@pytest.mark.parametrize("first", [1, 7])
def test_transactions_with_other_nonces_than_the_next_are_not_stored(outbox: Outbox, first: int) -> None:
    enqueue(outbox, 2)
    assert writer_of(outbox).start(0, signed(outbox, first)) is None
    assert len(outbox.queued(KEY, 5)) == 2
    assert writer_of(outbox).start(7, signed(outbox, 7)) is not None, "the chain counted others"


def test_one_that_was_paused_meanwhile_keeps_all_from_starting(outbox: Outbox) -> None:
    enqueue(outbox, 4)
    ready = signed(outbox, 0)
    outbox.pause(["k3"])
    with pytest.raises(SubmitError, match="no longer queued"):
        writer_of(outbox).start(0, ready)
    assert outbox.open_transactions(KEY) == []
    assert writer_of(outbox).next_nonce(0) == 0


@pytest.mark.parametrize("final", [False, True], ids=["mined", "final"])
@pytest.mark.parametrize("sent", [False, True], ids=["signed", "sent"])
def test_what_is_found_has_its_block_and_sequences(outbox: Outbox, sent: bool, final: bool) -> None:
    started = start(outbox, 3)
    if sent:
        for one in started:
            writer_of(outbox).mark_sent(one.id)
        started = [replace(one, state=S.SENT) for one in started]
    writer_of(outbox).settle(found(started, final=final))
    records = [outbox.record(record.id) for one in started for record in one.records]
    after = S.FINAL if final else S.MINED
    assert [(record.state, record.sequence) for record in records] == [(after, 0), (after, 1), (after, 10)]
    read = outbox.open_transactions(KEY)
    assert [(one.state, one.block_number, one.block_hash, one.gas_used) for one in read] == (
        [] if final else [(S.MINED, 7, BLOCK, 100)] * 2
    )
    assert outbox.counts() == {after: 3}


def test_one_that_is_in_another_state_keeps_all_from_being_settled(outbox: Outbox) -> None:
    started = start(outbox, 4)
    writer_of(outbox).mark_sent(started[1].id)
    with pytest.raises(SubmitError, match="no longer signed"):
        writer_of(outbox).settle(found(started))
    assert [one.state for one in outbox.open_transactions(KEY)] == [S.SIGNED, S.SENT]


@pytest.mark.parametrize("stored", [False, True], ids=["not stored", "but stored"])
@pytest.mark.parametrize("name", ["start", "settle"])
def test_a_crash_leaves_all_of_them_or_none(store: Store, name: str, stored: bool) -> None:
    outbox = Outbox(store)
    started = start(outbox, 3) if name == "settle" else []
    if not started:
        enqueue(outbox, 3)
    writer = OutboxWriter(CrashingStore(store, CrashPoint(at=1, stored=stored)), KEY, writer_of(outbox).fence)
    moves: dict[str, Callable[[], object]] = {
        "start": lambda: writer.start(0, signed(outbox, 0)),
        "settle": lambda: writer.settle(found(started)),
    }
    with pytest.raises(CrashError):
        moves[name]()
    before, after = (S.QUEUED, S.SIGNED) if name == "start" else (S.SIGNED, S.MINED)
    assert {record.state for record in outbox.unfinished(10)} == {after if stored else before}


def test_many_small_transactions_are_made_with_few_questions(world: LedgerWorld, outbox: Outbox) -> None:
    signer = world.admit(outbox)
    submitter = Submitter(world.chain, outbox, signer, batch_size=1)
    submitter.submit(world.lots(1))
    submitter.drain()
    lots = world.lots(20)
    world.line.passed.clear()
    ids = submitter.submit(lots)
    submitter.drain()
    assert len(set(verify_final(outbox, ids))) == 20
    assert world.nonces(signer) == 21
    assert world.line.passed.count("eth_sendRawTransaction") == 20
    others = len(world.line.passed) - world.line.passed.count("eth_sendRawTransaction")
    assert others < 20 * 3, "beside the simulation and receipt of each, a few for all"


def test_one_that_another_of_the_same_step_makes_impossible_fails_with_its_reason(
    world: LedgerWorld, outbox: Outbox
) -> None:
    """Each was accepted without the other, and the second reverts."""
    signer = world.admit(outbox)
    submitter = Submitter(world.chain, outbox, signer, batch_size=1)
    submitter.submit(world.lots(1))
    submitter.drain()
    first, *others = world.lots(3)
    ids = submitter.submit([first, ("the same lot", first[1]), *others])
    submitter.drain()
    refused = outbox.record(ids.pop(1))
    assert (refused.state, refused.error_name) == (S.FAILED, "HistorySubjectTaken")
    assert len(set(verify_final(outbox, ids))) == 3


def test_a_node_that_does_not_answer_is_asked_for_one_transaction_and_not_for_each(
    world: LedgerWorld, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitter = Submitter(world.chain, outbox, world.admit(outbox), batch_size=1)
    submitter.submit(world.lots(1))
    submitter.drain()
    asked: list[int] = []

    def send_all(raws: Sequence[bytes]) -> list[Reception | ChainError]:
        asked.append(len(raws))
        return [ChainUnreachableError("no answer in time", hint="") for _ in raws]

    monkeypatch.setattr(world.chain.node, "send_all", send_all)
    submitter.submit(world.lots(5))
    with pytest.raises(ChainUnreachableError):
        submitter.step()
    assert asked == [1]
