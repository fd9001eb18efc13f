"""How much one step of a submitter does, what it leaves to the next one, and how long it pauses in between."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from millmark.ledger.errors import ChainUnreachableError, LeaseHeldError, SubmitError
from millmark.ledger.keys import LocalSigner
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState, SentTransaction
from millmark.ledger.store.outbox_writer import OutboxWriter
from millmark.ledger.submit import Submitter, submitter
from tests.faults.agent import CRASH_POINTS, RELAY
from tests.support.ledger_world import LedgerWorld, results, transactions, verify_final
from tests.support.rpc import lost

HOUR_S = 3600.0


def test_a_step_starts_as_many_transactions_as_may_be_pending(world: LedgerWorld, store: Store, outbox: Outbox) -> None:
    """Also where each is in a block at once, so that the lease can be renewed in between."""
    signer = world.admit(outbox)
    found = Submitter(world.chain, outbox, signer, batch_size=1, pending=2)
    found.submit(world.lots(5))
    for made in (2, 4, 5):
        found.step()
        assert transactions(store, signer) == [(nonce, "final") for nonce in range(made)]


def test_what_comes_into_a_block_in_a_step_makes_room_in_the_same_one(
    world: LedgerWorld, store: Store, outbox: Outbox
) -> None:
    signer = world.admit(outbox)
    found = Submitter(world.chain, outbox, signer, batch_size=1, pending=3, resend_s=0)
    world.line.hold_transactions()
    found.submit(world.lots(3))
    for _ in range(2):  # of the first one, the gas is not known
        found.step()
    assert [nonce for nonce, _ in transactions(store, signer)] == [0, 1, 2]
    found.submit(world.lots(2))
    world.line.handlers.clear()
    found.step()
    assert transactions(store, signer) == [(nonce, "final") for nonce in range(5)]


def test_where_blocks_come_by_themselves_what_follows_waits_for_the_next_step(
    world: LedgerWorld, store: Store, outbox: Outbox
) -> None:
    """The contract may say something else to it then."""
    signer = world.admit(outbox)
    world.line.hold_transactions()
    found = Submitter(world.chain_with(timed_blocks=True), outbox, signer, batch_size=1, resend_s=HOUR_S)
    found.submit(world.lots(3))
    found.step()
    assert transactions(store, signer) == [(0, "sent")], "of the first one, the gas was not known"


def test_one_that_was_too_late_takes_the_lease_again_with_the_next_step(world: LedgerWorld, outbox: Outbox) -> None:
    signer = world.admit(outbox)
    first, second = (Submitter(world.chain, outbox, signer) for _ in range(2))
    first.submit(world.lots(1))
    first.step()
    first.submit(world.lots(1))
    second.drain()
    ids = first.submit(world.lots(1))
    with pytest.raises(LeaseHeldError):
        first.step()
    first.step()
    verify_final(outbox, ids)


def test_pauses_are_short_at_first_and_never_long(
    world: LedgerWorld, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    paused = list[float]()
    found = Submitter(world.chain_with(finality_depth=2), outbox, world.admit(outbox))

    def pause(seconds: float) -> None:
        paused.append(seconds)
        if not len(paused) % 8:
            for _ in range(2):
                world.fund(LocalSigner.generate())

    monkeypatch.setattr(submitter, "time", SimpleNamespace(monotonic=time.monotonic, sleep=pause))
    ids = found.submit(world.lots(1))
    found.drain()
    verify_final(outbox, ids)
    again = found.submit(world.lots(1))
    found.await_final(again)
    verify_final(outbox, again)
    assert paused == [0.002, 0.005, 0.01, 0.02, 0.05, 0.05, 0.05, 0.05] * 2


def test_what_the_last_step_did_is_not_called_late(world: LedgerWorld, outbox: Outbox) -> None:
    found = Submitter(world.chain, outbox, world.admit(outbox))
    for wait in (found.await_mined, found.await_final):
        ids = found.submit(world.lots(1))
        wait(ids, timeout_s=0.0)
        verify_final(outbox, ids)


@pytest.mark.parametrize("silent", [True, False], ids=["no answer", "no block"])
@pytest.mark.parametrize("wait", ["drain", "await_mined"])
def test_who_waits_is_told_once_it_takes_longer_than_the_time_given(
    world: LedgerWorld, outbox: Outbox, monkeypatch: pytest.MonkeyPatch, wait: str, silent: bool
) -> None:
    now = [100.0]

    def pause(_: float) -> None:
        now[0] += 2.5

    def fail(_: object) -> object:
        raise lost()

    found = Submitter(world.chain, outbox, world.admit(outbox), resend_s=HOUR_S)
    world.line.hold_transactions()
    if silent:
        world.line.handlers["eth_sendRawTransaction"] = fail
    monkeypatch.setattr(submitter, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=pause))
    ids = found.submit(world.lots(1))
    with pytest.raises(ChainUnreachableError if silent else SubmitError):
        found.drain(timeout_s=5.0) if wait == "drain" else found.await_mined(ids, timeout_s=5.0)
    assert now == [107.5]


def test_who_waits_beside_another_submitter_waits_until_that_one_has_recorded_all(
    world: LedgerWorld, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    signer = world.admit(outbox)
    found, other = (Submitter(world.chain, outbox, signer) for _ in range(2))
    ids = found.submit(world.lots(1))
    outbox.take_lease(signer.address, outbox.lease(signer.address), "other-host/1/1", 9)
    asked = 0

    def pause(_: float) -> None:
        nonlocal asked
        asked += 1
        if asked == 3:
            row = outbox.lease(signer.address)
            assert row is not None
            outbox.take_lease(signer.address, row, other._lease._holder, row.fence + 1)
            other.drain()
            row = outbox.lease(signer.address)
            assert row is not None
            outbox.take_lease(signer.address, row, "other-host/1/1", row.fence + 1)

    monkeypatch.setattr(submitter, "time", SimpleNamespace(monotonic=time.monotonic, sleep=pause))
    found.drain()
    assert asked == 3
    verify_final(outbox, ids)


def test_a_submitter_knows_the_latest_block(world: LedgerWorld, outbox: Outbox) -> None:
    found = Submitter(world.chain, outbox, world.admit(outbox))
    assert found.head_number() == world.chain.head_number() > 0


def test_the_crash_points_of_a_relays_user_are_moves_of_the_outbox_writer() -> None:
    assert {callable(getattr(OutboxWriter, name)) for name in CRASH_POINTS[RELAY]} == {True}


# Reports


def test_each_change_is_reported_once_it_is_stored(world: LedgerWorld, outbox: Outbox) -> None:
    signer, told = world.admit(outbox), list[tuple[str, str]]()

    def report(event: str, transaction: SentTransaction, _: str | None) -> None:
        found = {record.state for record in outbox.among([one.id for one in transaction.records]).values()}
        told.append((event, " ".join(found)))

    found = Submitter(world.chain, outbox, signer, report=report)
    ids = found.submit(world.lots(2))
    found.drain()
    assert told == [("sent", "signed"), ("final", "final")]
    told.clear()
    slower = Submitter(world.chain_with(finality_depth=2), outbox, signer, report=report)
    ids = slower.submit(world.lots(2))
    slower.step()
    assert {one.state for one in results(outbox, ids)} == {OutboxState.MINED}
    for _ in range(2):
        world.fund(LocalSigner.generate())
    slower.step()
    assert told == [("sent", "signed"), ("mined", "mined"), ("final", "final")]
