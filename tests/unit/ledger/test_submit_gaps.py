"""When a gap in a key's nonces is filled: not before it has existed for a while, and never where nonces are final."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
from sqlalchemy import update

from millmark.ledger.chain import Chain
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState, outbox_transactions
from millmark.ledger.store.outbox_writer import OutboxWriter
from millmark.ledger.submit import Submitter
from millmark.ledger.submit import sender as sender_module
from millmark.ledger.submit.sender import NOOP_GAS, Gaps
from tests.support.ledger_world import LedgerWorld

KEY = b"\x01" * 20
PATIENCE_S = 10.0


class Checked:
    """A chain of which nothing is asked but whether its state is the ledger's."""

    def __init__(self) -> None:
        self.times = 0

    def verify_state(self) -> None:
        self.times += 1


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


@pytest.fixture
def writer(outbox: Outbox) -> OutboxWriter:
    return outbox.take_lease(KEY, None, "this one", 1)


@pytest.fixture
def chain() -> Checked:
    return Checked()


@pytest.fixture
def gaps(outbox: Outbox, chain: Checked) -> Gaps:
    return Gaps(cast("Chain", chain), outbox, KEY, PATIENCE_S)


def nonces(outbox: Outbox) -> list[int]:
    return [one.nonce for one in outbox.open_transactions(KEY)]


def test_a_gap_is_filled_once_it_has_existed_long_enough(
    outbox: Outbox, writer: OutboxWriter, chain: Checked, gaps: Gaps, clock: list[float]
) -> None:
    for nonce in (3, 5, 8):
        writer.fill(nonce, NOOP_GAS)
    for elapsed in (0.0, PATIENCE_S / 2, PATIENCE_S / 2 - 0.5):
        clock[0] += elapsed
        assert gaps.fill(writer, outbox.open_transactions(KEY), 4) is False
    assert (nonces(outbox), chain.times) == ([3, 5, 8], 0)
    clock[0] += 0.5
    assert gaps.fill(writer, outbox.open_transactions(KEY), 4) is True
    assert (nonces(outbox), chain.times) == ([3, 4, 5, 6, 7, 8], 1)
    assert {one.gas_limit for one in outbox.open_transactions(KEY)} == {NOOP_GAS}
    clock[0] += 2 * PATIENCE_S
    assert gaps.fill(writer, outbox.open_transactions(KEY), 4) is False, "there is none any more"
    assert chain.times == 1


def test_what_fills_a_gap_has_the_gas_of_a_transfer() -> None:
    """Ethereum Yellow Paper, appendix G: G_transaction, and nothing for no data."""
    assert NOOP_GAS == 21_000


def test_a_gap_that_was_gone_in_between_is_a_new_one(
    outbox: Outbox, writer: OutboxWriter, gaps: Gaps, clock: list[float]
) -> None:
    writer.fill(3, NOOP_GAS)
    for count, elapsed in ((2, 0.0), (3, PATIENCE_S), (2, 0.0), (2, PATIENCE_S - 0.5)):
        clock[0] += elapsed
        assert not gaps.fill(writer, outbox.open_transactions(KEY), count)
    assert nonces(outbox) == [3]
    clock[0] += 0.5
    assert gaps.fill(writer, outbox.open_transactions(KEY), 2)
    assert nonces(outbox) == [2, 3]


def test_a_hundred_are_filled_at_a_time(outbox: Outbox, writer: OutboxWriter, gaps: Gaps, clock: list[float]) -> None:
    writer.fill(150, NOOP_GAS)
    for found in (100, 150):
        assert not gaps.fill(writer, outbox.open_transactions(KEY), 0)
        clock[0] += PATIENCE_S
        assert gaps.fill(writer, outbox.open_transactions(KEY), 0)
        assert nonces(outbox) == [*range(found), 150]


def test_where_nothing_is_open_there_is_no_gap(writer: OutboxWriter, gaps: Gaps, clock: list[float]) -> None:
    for _ in range(3):
        assert not gaps.fill(writer, [], 7)
        clock[0] += PATIENCE_S
    assert gaps.trouble is None


def test_below_a_final_nonce_the_node_is_behind(
    store: Store, outbox: Outbox, writer: OutboxWriter, gaps: Gaps, clock: list[float]
) -> None:
    final = writer.fill(6, NOOP_GAS)
    with store.transaction() as connection:
        that = update(outbox_transactions).where(outbox_transactions.c.id == final.id)
        connection.execute(that.values(state=OutboxState.FINAL))
    writer.fill(9, NOOP_GAS)
    for elapsed, trouble in ((0.0, False), (PATIENCE_S - 0.5, False), (0.5, True), (PATIENCE_S, True)):
        clock[0] += elapsed
        assert not gaps.fill(writer, outbox.open_transactions(KEY), 6)
        assert (gaps.trouble is not None) is trouble
    assert "counts 6 transactions" in str(gaps.trouble)
    # The node has caught up: 7 and 8 are a gap, and that it was behind is forgotten.
    assert not gaps.fill(writer, outbox.open_transactions(KEY), 7)
    assert gaps.trouble is None
    assert not gaps.fill(writer, outbox.open_transactions(KEY), 5)
    assert gaps.trouble is None, "its patience begins anew"
    assert nonces(outbox) == [9]


def test_a_submitter_fills_a_gap_after_half_of_the_time_after_which_it_sends_again(
    world: LedgerWorld, store: Store, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, signer = [100.0], world.admit(outbox)
    monkeypatch.setattr(sender_module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    before, submitter = (Submitter(world.chain, outbox, signer, resend_s=2 * PATIENCE_S) for _ in range(2))
    before.submit(world.lots(1))
    world.line.hold_transactions()
    before.step()
    with store.transaction() as connection:
        connection.execute(update(outbox_transactions).values(nonce=1))
    for elapsed, filled in ((0.0, [1]), (PATIENCE_S - 0.5, [1]), (0.5, [0, 1])):
        now[0] += elapsed
        submitter.step()
        found = outbox.open_transactions(signer.address)
        assert [one.nonce for one in found] == filled
        assert {one.state for one in found} == {OutboxState.SENT}, "what fills it is sent at once"
