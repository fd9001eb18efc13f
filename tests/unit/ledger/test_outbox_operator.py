"""What an operator may do to records, what waits for what, and who leads."""

from __future__ import annotations

import pytest

from millmark.ledger.errors import DuplicateRecordError, LeaseHeldError, NotFoundError, Retry, SubmitError
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import Entry, OutboxState, SentTransaction
from millmark.ledger.store.outbox_writer import OutboxWriter

KEY, OTHER = b"\x01" * 20, b"\x02" * 20
S = OutboxState


def entry(key: str, depends_on: str | None = None) -> Entry:
    return Entry(key, "ledger", "Anchor", key.encode(), depends_on)


def writer_of(outbox: Outbox) -> OutboxWriter:
    row = outbox.lease(KEY)
    return outbox.take_lease(KEY, row, "here/1/1", 1 if row is None else row.fence)


def states(outbox: Outbox) -> dict[str, OutboxState]:
    found = outbox.unfinished(100)
    return {record.idempotency_key: record.state for record in found}


def send(outbox: Outbox, most: int = 50) -> SentTransaction:
    writer = writer_of(outbox)
    transaction = writer.allocate(0, outbox.queued(KEY, most), b"\x03" * 20, b"", 1)
    transaction = writer.store_signed(transaction.id, b"raw", bytes([transaction.id]) * 32, 9, 1)
    writer.mark_sent(transaction.id)
    return outbox.open_transactions(KEY)[-1]


# Holding back


def test_a_paused_record_lets_all_others_past(outbox: Outbox) -> None:
    outbox.enqueue(KEY, [entry("a"), entry("b"), entry("c")])
    outbox.pause(["a"])
    assert [record.idempotency_key for record in outbox.queued(KEY, 5)] == ["b", "c"]
    outbox.resume(["a"])
    assert [record.idempotency_key for record in outbox.queued(KEY, 5)] == ["a", "b", "c"]


def test_what_depends_on_it_waits_however_remotely(outbox: Outbox) -> None:
    outbox.enqueue(KEY, [entry("a"), entry("b", "a"), entry("c", "b"), entry("d")])
    outbox.pause(["a"])
    assert states(outbox) == {"a": S.PAUSED, "b": S.BLOCKED, "c": S.BLOCKED, "d": S.QUEUED}
    outbox.enqueue(KEY, [entry("e", "c")])
    assert states(outbox)["e"] is S.BLOCKED
    outbox.resume(["a"])
    assert set(states(outbox).values()) == {S.QUEUED}


def test_a_failed_record_blocks_its_dependants_until_it_is_tried_anew(outbox: Outbox) -> None:
    [first, *_] = outbox.enqueue(KEY, [entry("a"), entry("b", "a"), entry("c")])
    writer_of(outbox).fail_record(first, "Name", "Name()")
    assert states(outbox) == {"a": S.FAILED, "b": S.BLOCKED, "c": S.QUEUED}
    outbox.resume(["a"])
    assert set(states(outbox).values()) == {S.QUEUED}
    assert outbox.record(first).error is None


def test_what_was_paused_itself_stays_so(outbox: Outbox) -> None:
    outbox.enqueue(KEY, [entry("a"), entry("b", "a"), entry("c", "b")])
    outbox.pause(["b"])
    outbox.pause(["a"])
    outbox.resume(["a"])
    assert states(outbox) == {"a": S.QUEUED, "b": S.PAUSED, "c": S.BLOCKED}
    outbox.pause(["a"])
    outbox.resume(["b"])
    assert states(outbox) == {"a": S.PAUSED, "b": S.BLOCKED, "c": S.BLOCKED}
    outbox.resume(["a"])
    assert set(states(outbox).values()) == {S.QUEUED}


@pytest.mark.parametrize("depends_on", ["unknown", "theirs", "x"])
def test_a_record_depends_on_an_earlier_one_of_its_own_key(outbox: Outbox, depends_on: str) -> None:
    outbox.enqueue(OTHER, [entry("theirs")])
    with pytest.raises(SubmitError, match=f"'x' depends on '{depends_on}', which this key has not queued before"):
        outbox.enqueue(KEY, [entry("y"), entry("x", depends_on)])
    assert outbox.queued(KEY, 5) == []


# Giving up


def test_a_waiting_record_is_cancelled_at_once(outbox: Outbox) -> None:
    outbox.enqueue(KEY, [entry("a"), entry("b", "a")])
    assert [record.state for record in outbox.cancel(["a"])] == [S.CANCELLED]
    assert states(outbox) == {"b": S.BLOCKED}
    outbox.cancel(["b"])
    assert states(outbox) == {}


def test_a_record_under_way_is_cancelled_when_its_nonce_goes_to_nothing(outbox: Outbox) -> None:
    outbox.enqueue(KEY, [entry("a"), entry("b"), entry("c", "a")])
    transaction = send(outbox, most=2)
    assert [(record.state, record.cancelling) for record in outbox.cancel(["a"])] == [(S.SENT, True)]
    writer = writer_of(outbox)
    replaced = writer.replace_signed(transaction, b"nothing", b"\x77" * 32, 10, 2, True)
    assert [(version.hash, version.noop) for version in replaced.replaced] == [(transaction.hash, False)]
    writer.mark_sent(transaction.id)
    writer.mark_replaced(transaction.id, 5, b"\x05" * 32)
    assert states(outbox) == {"b": S.QUEUED, "c": S.BLOCKED}


def test_a_record_that_was_mined_first_stays(outbox: Outbox) -> None:
    outbox.enqueue(KEY, [entry("a")])
    transaction = send(outbox)
    outbox.cancel(["a"])
    writer = writer_of(outbox)
    writer.mark_mined(transaction.id, 5, b"\x05" * 32, 1, [1])
    writer.mark_final(transaction.id)
    with pytest.raises(SubmitError, match="'a' is final and cannot be cancelled; make a record that reverses it"):
        outbox.cancel(["a"])


def test_a_cancelled_record_of_a_lost_nonce_does_not_come_back(outbox: Outbox) -> None:
    outbox.enqueue(KEY, [entry("a"), entry("b")])
    transaction = send(outbox)
    outbox.cancel(["a"])
    writer_of(outbox).requeue(transaction.id, "its nonce was used by another transaction")
    assert states(outbox) == {"b": S.QUEUED}


@pytest.mark.parametrize("action", ["pause", "resume", "cancel"])
def test_nothing_happens_when_one_key_is_unknown(outbox: Outbox, action: str) -> None:
    outbox.enqueue(KEY, [entry("a"), entry("b")])
    outbox.pause(["b"])
    before = states(outbox)
    with pytest.raises(NotFoundError, match="the outbox has no record 'z'"):
        getattr(outbox, action)(["b" if action == "resume" else "a", "z"])
    assert states(outbox) == before


def test_what_was_sent_cannot_be_paused_nor_what_waits_resumed(outbox: Outbox) -> None:
    outbox.enqueue(KEY, [entry("a")])
    with pytest.raises(SubmitError, match="'a' is queued and cannot be resumed"):
        outbox.resume(["a"])
    send(outbox)
    with pytest.raises(SubmitError, match="'a' is sent and cannot be paused; cancel it"):
        outbox.pause(["a"])


# Leading


def test_an_older_leader_writes_nothing(outbox: Outbox) -> None:
    outbox.enqueue(KEY, [entry("a"), entry("b")])
    transaction, older = send(outbox, most=1), writer_of(outbox)
    newer = outbox.take_lease(KEY, outbox.lease(KEY), "there/2/2", older.fence + 1)
    for move in (
        lambda: older.allocate(0, outbox.queued(KEY, 1), b"", b"", 1),
        lambda: older.store_signed(transaction.id, b"", b"", 1, 1),
        lambda: older.replace_signed(transaction, b"", b"\x01" * 32, 1, 1, True),
        lambda: older.mark_sent(transaction.id),
        lambda: older.mark_mined(transaction.id, 1, b"", 1, [1]),
        lambda: older.mark_final(transaction.id),
        lambda: older.mark_reorganised(transaction.id),
        lambda: older.requeue(transaction.id, ""),
        lambda: older.mark_replaced(transaction.id, 1, b""),
        lambda: older.fail_record(2, "", ""),
        lambda: older.fill(0, 1),
    ):
        with pytest.raises(
            LeaseHeldError, match=r"another submitter is active for the same key \(there/2/2\)"
        ) as caught:
            move()
        assert caught.value.retry is Retry.UNCHANGED
    assert states(outbox) == {"a": S.SENT, "b": S.QUEUED}
    newer.mark_mined(transaction.id, 1, b"\x01" * 32, 1, [1])


def test_a_lease_is_taken_only_as_it_was_seen(outbox: Outbox) -> None:
    writer_of(outbox)
    seen = outbox.lease(KEY)
    writer_of(outbox)  # renewed meanwhile
    with pytest.raises(LeaseHeldError):
        outbox.take_lease(KEY, seen, "there/2/2", 2)
    with pytest.raises(LeaseHeldError):
        outbox.take_lease(KEY, None, "there/2/2", 1)
    found = outbox.lease(KEY)
    assert found is not None
    assert found.holder == "here/1/1"


# Handing over to another key


def waiting(outbox: Outbox, signer: bytes) -> list[str]:
    return [record.idempotency_key for record in outbox.queued(signer, 50)]


def test_what_waits_goes_to_another_key_in_order(outbox: Outbox) -> None:
    outbox.enqueue(KEY, [entry("a"), entry("b", "a"), entry("c"), entry("d")])
    outbox.pause(["c"])
    outbox.cancel(["d"])
    assert outbox.hand_over(KEY, OTHER) == 3
    assert waiting(outbox, KEY) == []
    assert waiting(outbox, OTHER) == ["a", "b"]
    assert states(outbox) == {"a": S.QUEUED, "b": S.QUEUED, "c": S.PAUSED}
    assert outbox.hand_over(KEY, OTHER) == 0


def test_a_record_that_was_handed_over_is_known_by_its_new_key(outbox: Outbox) -> None:
    [number] = outbox.enqueue(KEY, [entry("a")])
    outbox.hand_over(KEY, OTHER)
    assert outbox.enqueue(OTHER, [entry("a")]) == [number]
    with pytest.raises(DuplicateRecordError):
        outbox.enqueue(KEY, [entry("a")])


def test_what_failed_for_its_key_is_tried_anew_and_nothing_else(outbox: Outbox) -> None:
    ids = outbox.enqueue(KEY, [entry("a"), entry("b"), entry("c", "a"), entry("d", "b")])
    writer = writer_of(outbox)
    writer.fail_record(ids[0], "RegistryKeyRevoked", "revoked")
    writer.fail_record(ids[1], "LotUnknown", "unknown")
    assert outbox.hand_over(KEY, OTHER) == 4
    assert states(outbox) == {"a": S.QUEUED, "b": S.FAILED, "c": S.QUEUED, "d": S.BLOCKED}
    assert outbox.record(ids[0]).error is None
    assert outbox.record(ids[1]).error == "unknown"
    assert waiting(outbox, OTHER) == ["a", "c"]


def test_what_is_under_way_stays_with_what_depends_on_it(outbox: Outbox) -> None:
    outbox.enqueue(KEY, [entry("a"), entry("b"), entry("c", "b"), entry("d", "c"), entry("e")])
    sent = send(outbox, 2)
    assert outbox.hand_over(KEY, OTHER) == 1
    assert waiting(outbox, OTHER) == ["e"]
    writer_of(outbox).requeue(sent.id, "mined without its records")
    assert outbox.hand_over(KEY, OTHER) == 4
    assert waiting(outbox, OTHER) == ["a", "b", "c", "d", "e"]
