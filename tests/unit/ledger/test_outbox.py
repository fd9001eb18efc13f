"""The outbox as a state machine: which moves there are, what each leaves behind, and what a crash does to them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from millmark.ledger.errors import DuplicateRecordError, NotFoundError, Retry, SubmitError
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import Entry, OutboxState, SentTransaction
from millmark.ledger.store.outbox_writer import OutboxWriter, reopen
from tests.support.crash import CrashError, CrashingStore, CrashPoint

KEY, OTHER = b"\x01" * 20, b"\x02" * 20
TO = b"\x03" * 20
S = OutboxState


def entry(key: str, contract: str = "ledger", payload: bytes = b"\1") -> Entry:
    return Entry(key, contract, "Anchor", payload)


def entries(count: int, prefix: str = "k") -> list[Entry]:
    return [entry(f"{prefix}{number}", payload=bytes([number])) for number in range(count)]


def writer_of(outbox: Outbox, signer: bytes = KEY) -> OutboxWriter:
    """The writer of the one submitter; its lease is renewed each time."""
    row = outbox.lease(signer)
    return outbox.take_lease(signer, row, "here/1/1", 1 if row is None else row.fence)


def start(outbox: Outbox, chain_nonce: int = 0, most: int = 50) -> SentTransaction:
    return writer_of(outbox).allocate(chain_nonce, outbox.queued(KEY, most), TO, b"\5", 30_000)


Move = Callable[[OutboxWriter, int], object]
MOVES: dict[str, tuple[Move, OutboxState, OutboxState, OutboxState]] = {
    "sign": (lambda o, i: o.store_signed(i, b"\6", bytes([i]) * 32, 9, 1), S.NONCED, S.SIGNED, S.SIGNED),
    "send": (lambda o, i: o.mark_sent(i), S.SIGNED, S.SENT, S.SENT),
    "mine": (lambda o, i: o.mark_mined(i, 7, b"\7" * 32, 100, [11, 12]), S.SENT, S.MINED, S.MINED),
    "finish": (lambda o, i: o.mark_final(i), S.MINED, S.FINAL, S.FINAL),
    "reorganise": (lambda o, i: o.mark_reorganised(i), S.MINED, S.SENT, S.SENT),
    "requeue": (lambda o, i: o.requeue(i, "reverted"), S.SENT, S.FAILED, S.QUEUED),
    "replace": (lambda o, i: o.mark_replaced(i, 7, b"\7" * 32), S.SENT, S.REPLACED, S.QUEUED),
}
"""Name -> the move, the state it starts from, the transaction's and the records' state after it."""
PATHS = {
    S.NONCED: (),
    S.SIGNED: ("sign",),
    S.SENT: ("sign", "send"),
    S.MINED: ("sign", "send", "mine"),
    S.FINAL: ("sign", "send", "mine", "finish"),
    S.FAILED: ("sign", "send", "requeue"),
    S.REPLACED: ("sign", "send", "replace"),
}


def bring(outbox: Outbox, state: OutboxState) -> SentTransaction:
    """Two records in a transaction that is in `state`."""
    outbox.enqueue(KEY, entries(2))
    transaction = start(outbox)
    for name in PATHS[state]:
        MOVES[name][0](writer_of(outbox), transaction.id)
    return transaction


def states(outbox: Outbox, store: Store, transaction: SentTransaction) -> tuple[OutboxState, set[OutboxState]]:
    with store.reading() as connection:
        found = connection.execute(text("SELECT state FROM outbox_transactions WHERE id = :id"), {"id": transaction.id})
        own = OutboxState(found.scalar_one())
    return own, {outbox.record(record.id).state for record in transaction.records}


@pytest.mark.parametrize("name", MOVES)
@pytest.mark.parametrize("state", PATHS)
def test_each_move_starts_from_its_state_alone(outbox: Outbox, store: Store, state: OutboxState, name: str) -> None:
    move, before, after, records_after = MOVES[name]
    transaction = bring(outbox, state)
    was = states(outbox, store, transaction)
    if state is before:
        move(writer_of(outbox), transaction.id)
        assert states(outbox, store, transaction) == (after, {records_after})
        return
    with pytest.raises(SubmitError, match=f"a record or transaction is no longer {before}") as caught:
        move(writer_of(outbox), transaction.id)
    assert caught.value.hint == "run one submitter for each key; nothing was lost"
    assert states(outbox, store, transaction) == was


@pytest.mark.parametrize("name", MOVES)
def test_there_is_no_move_of_a_transaction_that_is_not_there(outbox: Outbox, name: str) -> None:
    with pytest.raises(SubmitError):
        MOVES[name][0](writer_of(outbox), 99)


@pytest.mark.parametrize("state", [S.NONCED, S.SIGNED, S.SENT, S.MINED, S.FINAL])
def test_a_record_under_way_cannot_fail(outbox: Outbox, state: OutboxState) -> None:
    transaction = bring(outbox, state)
    with pytest.raises(SubmitError, match="no longer queued"):
        writer_of(outbox).fail_record(transaction.records[0].id, "Name", "Name()")


@pytest.mark.parametrize("state", PATHS)
def test_open_is_what_may_change(outbox: Outbox, state: OutboxState) -> None:
    transaction = bring(outbox, state)
    still = [found.id for found in outbox.open_transactions(KEY)]
    assert still == ([transaction.id] if state in (S.NONCED, S.SIGNED, S.SENT, S.MINED) else [])
    assert outbox.count_unmined(KEY) == (state in (S.NONCED, S.SIGNED, S.SENT))
    assert outbox.open_transactions(OTHER) == []
    assert outbox.count_unmined(OTHER) == 0


# Coming in


def test_records_come_in_order_and_keep_their_ids(outbox: Outbox) -> None:
    ids = outbox.enqueue(KEY, entries(3))
    assert ids == sorted(ids)
    assert outbox.enqueue(KEY, entries(5))[:3] == ids
    found = outbox.queued(KEY, 50)
    assert [record.idempotency_key for record in found] == ["k0", "k1", "k2", "k3", "k4"]
    assert all(record.state is S.QUEUED and record.signer == KEY for record in found)
    assert outbox.counts() == {"queued": 5}


@pytest.mark.parametrize("state", PATHS)
def test_the_same_record_is_known_in_every_state(outbox: Outbox, state: OutboxState) -> None:
    transaction = bring(outbox, state)
    assert outbox.enqueue(KEY, entries(2)) == [record.id for record in transaction.records]
    assert sum(outbox.counts().values()) == 2


@pytest.mark.parametrize(
    ("signer", "other"),
    [(KEY, entry("k1", payload=b"\x63")), (KEY, entry("k1", contract="registry")), (OTHER, entry("k1"))],
    ids=["other payload", "other contract", "other key"],
)
def test_another_record_under_the_same_key_is_refused_and_nothing_queued(
    outbox: Outbox, signer: bytes, other: Entry
) -> None:
    outbox.enqueue(KEY, [entry("k1")])
    with pytest.raises(DuplicateRecordError, match="idempotency key 'k1' was used for another record; use a new key"):
        outbox.enqueue(signer, [entry("new"), other])
    assert outbox.counts() == {"queued": 1}


def test_a_key_twice_in_one_call_is_one_record(outbox: Outbox) -> None:
    first, second = outbox.enqueue(KEY, [entry("k"), entry("k")])
    assert first == second
    with pytest.raises(DuplicateRecordError):
        outbox.enqueue(KEY, [entry("x"), entry("x", payload=b"\x63")])
    assert outbox.counts() == {"queued": 1}


@pytest.mark.parametrize("key", ["", "x" * 257])
def test_what_is_no_key_is_refused(outbox: Outbox, key: str) -> None:
    with pytest.raises(SubmitError, match="1 to 256 characters"):
        outbox.enqueue(KEY, [entry("good"), entry(key)])
    assert outbox.counts() == {}
    outbox.enqueue(KEY, [entry("x" * 256)])


def test_threads_that_bring_the_same_record_bring_it_once(outbox: Outbox) -> None:
    with ThreadPoolExecutor(8) as pool:
        given = list(pool.map(lambda _: tuple(outbox.enqueue(KEY, entries(5))), range(16)))
    assert len(set(given)) == 1
    assert outbox.counts() == {"queued": 5}


def test_nothing_comes_of_nothing(outbox: Outbox) -> None:
    assert outbox.enqueue(KEY, []) == []
    assert outbox.queued(KEY, 50) == []


def test_there_is_no_record_of_another_number(outbox: Outbox) -> None:
    with pytest.raises(NotFoundError, match="the outbox has no record 7"):
        outbox.record(7)


# What goes out together


def test_a_batch_is_the_oldest_of_one_contract_and_one_key(outbox: Outbox) -> None:
    kinds = ["ledger", "ledger", "registry", "ledger"]
    outbox.enqueue(KEY, [entry(f"k{number}", contract=kind) for number, kind in enumerate(kinds)])
    outbox.enqueue(OTHER, [entry("theirs")])
    assert [record.idempotency_key for record in outbox.queued(KEY, 50)] == ["k0", "k1"]
    assert [record.idempotency_key for record in outbox.queued(KEY, 1)] == ["k0"]
    start(outbox)
    assert [record.idempotency_key for record in outbox.queued(KEY, 50)] == ["k2"]
    assert [record.idempotency_key for record in outbox.queued(OTHER, 50)] == ["theirs"]


def test_records_that_come_back_go_first(outbox: Outbox) -> None:
    bring(outbox, S.FAILED)
    outbox.enqueue(KEY, entries(4))
    assert [record.idempotency_key for record in outbox.queued(KEY, 50)] == ["k0", "k1", "k2", "k3"]


def test_two_submitters_cannot_take_the_same_records(outbox: Outbox) -> None:
    outbox.enqueue(KEY, entries(3))
    seen = outbox.queued(KEY, 50)
    writer_of(outbox).allocate(0, seen[:1], TO, b"", 1)
    with pytest.raises(SubmitError, match="another submitter works for the same key") as caught:
        writer_of(outbox).allocate(0, seen, TO, b"", 1)
    assert caught.value.retry is Retry.NEVER
    assert [found.nonce for found in outbox.open_transactions(KEY)] == [0], "the nonce was not spent"
    assert outbox.counts() == {"nonced": 1, "queued": 2}


# Nonces


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([0, 0, 0], [0, 1, 2]),
        ([5, 5, 5], [5, 6, 7]),
        ([5, 4, 0], [5, 6, 7]),  # a node that lags behind
        ([0, 9, 9], [0, 9, 10]),  # the key was used elsewhere
    ],
)
def test_nonces_are_spent_once_and_without_gaps(outbox: Outbox, counts: list[int], expected: list[int]) -> None:
    outbox.enqueue(KEY, entries(3))
    assert [start(outbox, count, most=1).nonce for count in counts] == expected


def test_each_key_has_nonces_of_its_own(outbox: Outbox) -> None:
    outbox.enqueue(KEY, entries(1))
    outbox.enqueue(OTHER, entries(1, "other"))
    assert start(outbox, 3).nonce == 3
    assert writer_of(outbox, OTHER).allocate(0, outbox.queued(OTHER, 5), TO, b"", 1).nonce == 0


def test_the_nonce_of_a_transaction_that_came_to_nothing_stays_spent(outbox: Outbox) -> None:
    bring(outbox, S.FAILED)
    assert start(outbox, 0).nonce == 1


# What is kept


def test_a_transaction_keeps_what_was_signed_and_where_it_was_mined(outbox: Outbox) -> None:
    transaction = bring(outbox, S.MINED)
    [found] = outbox.open_transactions(KEY)
    assert (found.raw, found.hash, found.max_fee_wei) == (b"\6", bytes([transaction.id]) * 32, 9)
    assert (found.block_number, found.block_hash, found.gas_used) == (7, b"\7" * 32, 100)
    assert [record.sequence for record in found.records] == [11, 12]
    assert [record.idempotency_key for record in found.records] == ["k0", "k1"]


def test_a_block_that_went_away_leaves_nothing_behind(outbox: Outbox) -> None:
    transaction = bring(outbox, S.MINED)
    writer_of(outbox).mark_reorganised(transaction.id)
    [found] = outbox.open_transactions(KEY)
    assert (found.block_number, found.block_hash, found.gas_used) == (None, None, None)
    assert [record.sequence for record in found.records] == [None, None]
    assert found.raw == b"\6", "the same bytes go out again"


@pytest.mark.parametrize("sequences", [[], [1], [1, 2, 3]])
def test_a_sequence_for_each_record_or_nothing_is_stored(outbox: Outbox, sequences: list[int]) -> None:
    transaction = bring(outbox, S.SENT)
    with pytest.raises(ValueError, match="argument 2"):
        writer_of(outbox).mark_mined(transaction.id, 7, b"\7" * 32, 100, sequences)
    [found] = outbox.open_transactions(KEY)
    assert (found.state, {record.state for record in found.records}) == (S.SENT, {S.SENT})


def test_a_failed_record_keeps_its_error(outbox: Outbox) -> None:
    [number] = outbox.enqueue(KEY, [entry("k")])
    writer_of(outbox).fail_record(number, "LotOverConsumed", "LotOverConsumed(held=1)")
    found = outbox.record(number)
    assert (found.state, found.error_name, found.error) == (S.FAILED, "LotOverConsumed", "LotOverConsumed(held=1)")
    assert outbox.queued(KEY, 5) == []


def test_gas_is_told_by_kind_of_final_transactions(outbox: Outbox) -> None:
    assert outbox.gas_by_kind() == {}
    bring(outbox, S.FINAL)
    assert outbox.gas_by_kind() == {"Anchor": (2, 100)}


# Crashes


def everything(store: Store) -> list[object]:
    with store.reading() as connection:
        tables = ("outbox_records", "outbox_transactions", "outbox_attempts", "outbox_nonces")
        return [list(connection.exec_driver_sql(f"SELECT * FROM {table} ORDER BY 1, 2")) for table in tables]  # noqa: S608  # fixed names


@pytest.mark.parametrize("stored", [False, True], ids=["not stored", "but stored"])
@pytest.mark.parametrize("name", ["enqueue", "allocate", *MOVES])
def test_a_crash_leaves_all_of_a_move_or_nothing(store: Store, name: str, stored: bool) -> None:
    outbox = Outbox(store)
    number = bring(outbox, MOVES[name][1]).id if name in MOVES else outbox.enqueue(KEY, entries(2))[0]
    fence, broken = writer_of(outbox).fence, CrashingStore(store, CrashPoint(at=1, stored=stored))
    writer = OutboxWriter(broken, KEY, fence)
    before = everything(store)
    moves: dict[str, Callable[[], object]] = {
        "enqueue": lambda: Outbox(broken).enqueue(KEY, entries(4)),
        "allocate": lambda: writer.allocate(0, outbox.queued(KEY, 50), TO, b"\5", 30_000),
        **{each: functools.partial(move, writer, number) for each, (move, *_) in MOVES.items()},
    }
    with pytest.raises(CrashError):
        moves[name]()
    assert (everything(store) == before) is not stored


# Several moves at once


def test_moves_together_are_one_transaction(outbox: Outbox, store: Store) -> None:
    """A crash before the end leaves nothing of them, one behind it all."""
    outbox.enqueue(KEY, entries(2))
    for stored in (False, True):
        point = CrashPoint(2, stored)  # the lease is the first
        with pytest.raises(CrashError):
            take_and_sign(Outbox(CrashingStore(store, point)))
        states = {record.state for record in outbox.unfinished(10)}
        assert states == {S.SIGNED if stored else S.QUEUED}
    [signed] = outbox.open_transactions(KEY)
    assert (signed.nonce, signed.raw) == (0, b"raw")


def take_and_sign(outbox: Outbox, before: OutboxState = S.NONCED) -> None:
    writer = writer_of(outbox)
    with writer.together():
        transaction = writer.allocate(0, outbox.queued(KEY, 5), TO, b"", 1)
        if before is not S.NONCED:
            writer.mark_sent(transaction.id)
        writer.store_signed(transaction.id, b"raw", b"\1" * 32, 9, 1)


def test_nothing_is_joined_once_moves_together_have_failed(outbox: Outbox) -> None:
    outbox.enqueue(KEY, entries(1))
    with pytest.raises(SubmitError):
        take_and_sign(outbox, S.SIGNED)
    assert {record.state for record in outbox.unfinished(10)} == {S.QUEUED}
    take_and_sign(outbox)
    assert [each.nonce for each in outbox.open_transactions(KEY)] == [0], "the nonce was not spent"


def _counted(store: Store) -> dict[str, int]:
    """One by one."""
    with store.reading() as connection:
        found = connection.execute(text("SELECT state, count(*) FROM outbox_records GROUP BY state"))
        return {str(state): int(count) for state, count in found}


def _change_and_fail(store: Store) -> None:
    with store.transaction() as connection:
        connection.execute(text("UPDATE outbox_records SET state = 'cancelled' WHERE state = 'final'"))
        raise RuntimeError


def test_the_numbers_of_records_are_those_of_their_states(outbox: Outbox, store: Store) -> None:
    """Whatever changed a state: those that are done are counted as they move, and not again for each question."""
    assert outbox.counts() == {}
    outbox.enqueue(KEY, entries(9))
    outbox.cancel(["k0", "k1"])
    assert outbox.counts() == {S.CANCELLED: 2, S.QUEUED: 7} == _counted(store)
    transaction = start(outbox, most=3)
    writer = writer_of(outbox)
    writer.store_signed(transaction.id, b"raw", b"\7" * 32, 9, 1)
    writer.mark_sent(transaction.id)
    writer.mark_mined(transaction.id, 5, b"\5" * 32, 1, [1, 2, 3])
    assert outbox.counts() == _counted(store)
    writer.mark_final(transaction.id)
    assert outbox.counts() == {S.CANCELLED: 2, S.FINAL: 3, S.QUEUED: 4} == _counted(store)
    with store.transaction() as connection:
        reopen(connection, transaction.id)
    assert outbox.counts() == {S.CANCELLED: 2, S.SENT: 3, S.QUEUED: 4} == _counted(store)
    for statement in (
        "UPDATE outbox_records SET state = 'final' WHERE state <> 'sent'",
        "UPDATE outbox_records SET state = 'final' WHERE state = 'final'",
        "DELETE FROM outbox_records WHERE idempotency_key = 'k8'",
    ):
        with store.transaction() as connection:
            connection.execute(text(statement))
        assert outbox.counts() == _counted(store), statement
    with pytest.raises(RuntimeError):
        _change_and_fail(store)
    assert outbox.counts() == _counted(store)
