"""Other bytes for the same nonce: raised offers, records given up, gaps that come from outside."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest
import rlp

from millmark.ledger.chain import Chain, EngineProfile, Fees, RpcError, raised_fees
from millmark.ledger.errors import NodeBehindError
from millmark.ledger.keys import LocalSigner
from millmark.ledger.records import ReceiveLot
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState
from millmark.ledger.submit import Submitter
from tests.support.ledger_world import LedgerWorld, transactions, verify_final, verify_once


class Pool:
    """What the node was sent and has not mined; one transaction a nonce, the best offer."""

    def __init__(self, world: LedgerWorld) -> None:
        self._world = world
        self.sent: list[str] = []
        world.line.handlers["eth_sendRawTransaction"] = self._take

    def _take(self, params: list[Any]) -> str:
        self.sent.append(params[0])
        return "0x" + "00" * 32

    def mine(self, which: int) -> None:
        self._world.line.node.request("eth_sendRawTransaction", [self.sent[which]])


def fields(raw: str) -> tuple[int, int, int, bytes, bytes]:
    """Nonce, priority fee, fee, recipient, data."""
    decoded = rlp.decode(bytes.fromhex(raw[4:]))
    nonce, priority, fee = (int.from_bytes(decoded[place], "big") for place in (1, 2, 3))
    return nonce, priority, fee, decoded[5], decoded[7]


def gas_limit_of(raw: str) -> int:
    return int.from_bytes(rlp.decode(bytes.fromhex(raw[4:]))[4])


def submitter_of(world: LedgerWorld, outbox: Outbox, signer: LocalSigner, profile: EngineProfile) -> Submitter:
    chain = Chain(world.chain.node, profile, world.chain.deployment)
    return Submitter(chain, outbox, signer, receipt_grace_s=0.2, resend_s=0, raise_s=0)


# Offers


def test_an_offer_that_waits_is_raised_by_the_profiles_share(world: LedgerWorld, store: Store, outbox: Outbox) -> None:
    signer, before = world.admit(outbox), world.count()
    pool = Pool(world)
    submitter = submitter_of(world, outbox, signer, world.chain.profile)
    ids = submitter.submit(world.lots(1))
    for _ in range(4):
        submitter.step()
    offers = [fields(raw)[1:3] for raw in pool.sent]
    for (priority, fee), (priority_after, fee_after) in itertools.pairwise(offers):
        assert (priority_after * 10, fee_after * 10) >= (priority * 11, fee * 11)
    assert len({fields(raw)[0] for raw in pool.sent}) == 1
    assert len({fields(raw)[3:] for raw in pool.sent}) == 1, "the same call"
    world.line.handlers.clear()
    pool.mine(-1)
    submitter.drain()
    verify_once(world, store, signer, ids, before)


@pytest.mark.parametrize("mined", [0, 1, 2])
def test_any_version_may_be_the_one_that_is_mined(world: LedgerWorld, store: Store, outbox: Outbox, mined: int) -> None:
    signer, before = world.admit(outbox), world.count()
    pool = Pool(world)
    submitter = submitter_of(world, outbox, signer, world.chain.profile)
    ids = submitter.submit(world.lots(2))
    for _ in range(3):
        submitter.step()
    pool.mine(mined)
    submitter.drain()
    verify_once(world, store, signer, ids, before)


def test_where_nothing_may_be_raised_the_same_bytes_go_out(world: LedgerWorld, outbox: Outbox) -> None:
    signer, pool = world.admit(outbox), Pool(world)
    free = dataclasses.replace(world.chain.profile, bump_percent=0)
    submitter = submitter_of(world, outbox, signer, free)
    ids = submitter.submit(world.lots(1))
    for _ in range(4):
        submitter.step()
    assert len(pool.sent) > 2
    assert len(set(pool.sent)) == 1
    pool.mine(0)
    submitter.drain()
    verify_final(outbox, ids)


def test_a_share_of_one_percent_is_a_raise_too(world: LedgerWorld, outbox: Outbox) -> None:
    signer, pool = world.admit(outbox), Pool(world)
    least = dataclasses.replace(world.chain.profile, bump_percent=1)
    submitter = submitter_of(world, outbox, signer, least)
    ids = submitter.submit(world.lots(1))
    for _ in range(2):
        submitter.step()
    first, second = (fields(raw)[1] for raw in pool.sent)
    assert second > first
    pool.mine(-1)
    submitter.drain()
    verify_final(outbox, ids)


def test_an_offer_is_not_raised_for_ever(world: LedgerWorld, outbox: Outbox) -> None:
    signer, pool = world.admit(outbox), Pool(world)
    submitter = submitter_of(world, outbox, signer, world.chain.profile)
    ids = submitter.submit(world.lots(1))
    for _ in range(30):
        submitter.step()
    assert len(set(pool.sent)) == 21
    pool.mine(-1)
    submitter.drain()
    verify_final(outbox, ids)


@pytest.mark.parametrize(
    ("before", "after"), [(Fees(10**12, 10), Fees(11 * 10**11, 11)), (Fees(10**12, 1), Fees(11 * 10**11, 2))]
)
def test_a_raise_is_rounded_up(world: LedgerWorld, before: Fees, after: Fees) -> None:
    assert raised_fees(world.chain.node, world.chain.profile, before) == after


def test_a_raise_follows_the_base_fee(world: LedgerWorld) -> None:
    raised = raised_fees(world.chain.node, world.chain.profile, Fees(1, 1))
    assert raised.max_fee_wei >= (world.chain.node.base_fee_wei() or 0)


def test_an_underpriced_offer_is_no_failure(world: LedgerWorld, store: Store, outbox: Outbox) -> None:
    signer, before = world.admit(outbox), world.count()

    def refuse(params: list[Any]) -> Any:
        del world.line.handlers["eth_sendRawTransaction"]
        raise RpcError(-32000, "transaction underpriced")

    world.line.handlers["eth_sendRawTransaction"] = refuse
    submitter = world.submitter(outbox, signer)
    ids = submitter.submit(world.lots(1))
    submitter.drain()
    verify_once(world, store, signer, ids, before)


def test_nothing_is_sent_above_what_the_node_lacks(world: LedgerWorld, store: Store, outbox: Outbox) -> None:
    signer, before = world.admit(outbox), world.count()
    asked: list[str] = []

    def refuse(params: list[Any]) -> Any:
        asked.append(params[0])
        raise RpcError(-32000, "nonce too high")

    world.line.handlers["eth_sendRawTransaction"] = refuse
    submitter = world.submitter(outbox, signer, batch_size=1)
    ids = submitter.submit(world.lots(3))
    submitter.step()
    assert len(asked) == 1
    assert [nonce for nonce, _ in transactions(store, signer)] == [0]
    world.line.handlers.clear()
    submitter.drain()
    verify_once(world, store, signer, ids, before)


# Giving up


@pytest.mark.parametrize("wins", ["record", "nothing"])
def test_a_cancelled_record_ends_on_the_ledger_or_nowhere(
    world: LedgerWorld, store: Store, outbox: Outbox, wins: str
) -> None:
    signer, before, pool = world.admit(outbox), world.count(), Pool(world)
    submitter = submitter_of(world, outbox, signer, world.chain.profile)
    ids = submitter.submit([("victim", world.lots(1)[0][1]), *world.lots(1)])
    submitter.step()
    outbox.cancel(["victim"])
    submitter.step()
    nonce, _, _, recipient, data = fields(pool.sent[-1])
    assert (nonce, recipient, data) == (0, signer.address, b"")
    assert gas_limit_of(pool.sent[-1]) == 21_000, "of a transfer, and no more"
    world.line.handlers.clear()
    pool.mine(0 if wins == "record" else -1)
    submitter.drain()
    if wins == "record":
        verify_final(outbox, ids)
        assert world.count() == before + 2
        assert transactions(store, signer) == [(0, "final")]
    else:
        assert outbox.record(ids[0]).state is OutboxState.CANCELLED
        verify_final(outbox, ids[1:])
        assert world.count() == before + 1
        assert transactions(store, signer) == [(0, "replaced"), (1, "final")]


def test_a_record_is_cancelled_before_it_was_ever_sent(world: LedgerWorld, store: Store, outbox: Outbox) -> None:
    signer, before = world.admit(outbox), world.count()
    world.line.cut("eth_sendRawTransaction", after=False)
    submitter = world.submitter(outbox, signer)
    [number] = submitter.submit(world.lots(1))
    with pytest.raises(Exception, match="the line is cut"):
        submitter.step()
    outbox.cancel([outbox.record(number).idempotency_key])
    submitter.drain()
    assert outbox.record(number).state is OutboxState.CANCELLED
    assert (world.count(), world.nonces(signer)) == (before, 1)


# Gaps


def test_a_nonce_that_nothing_holds_goes_to_nothing(world: LedgerWorld, store: Store, outbox: Outbox) -> None:
    signer, before = world.admit(outbox), world.count()
    submitter = world.submitter(outbox, signer)
    first = submitter.submit(world.lots(1))
    submitter.drain()
    with store.transaction() as connection:
        connection.exec_driver_sql("UPDATE outbox_nonces SET next_nonce = next_nonce + 2")
    ids = submitter.submit(world.lots(2))
    submitter.drain()
    verify_final(outbox, first + ids)
    assert world.count() == before + 3
    assert transactions(store, signer) == [(0, "final"), (1, "replaced"), (2, "replaced"), (3, "final")]


def test_what_a_chain_forgot_is_told_and_nothing_fills_its_place(
    world: LedgerWorld, store: Store, outbox: Outbox
) -> None:
    """The node lacks a block that was final: it is behind, or of another network, where the stored bytes would be a
    second record."""
    signer, before = world.admit(outbox), world.count()
    submitter, pool = world.submitter(outbox, signer), Pool(world)
    ids = submitter.submit(world.lots(1))
    submitter.step()
    [open_now] = outbox.open_transactions(signer.address)
    with store.transaction() as connection:
        connection.exec_driver_sql("UPDATE outbox_transactions SET state = 'final' WHERE id = ?", (open_now.id,))
        connection.exec_driver_sql("UPDATE outbox_records SET state = 'final' WHERE id = ?", (ids[0],))
    world.line.handlers.clear()
    more = submitter.submit(world.lots(1))
    submitter.step()
    with pytest.raises(
        NodeBehindError, match=r"counts 0 transactions of 0x[0-9a-f]{40}, but nonce 0 is used in a final"
    ):
        submitter.step()
    assert (world.count(), world.nonces(signer)) == (before, 0)
    assert transactions(store, signer) == [(0, "final"), (1, "sent")], "no other has taken the place"
    pool.mine(0)  # the node has caught up
    submitter.drain()
    verify_final(outbox, more)
    assert world.count() == before + 2


def test_a_node_that_lags_behind_shows_no_gap_for_long(world: LedgerWorld, store: Store, outbox: Outbox) -> None:
    signer, before = world.admit(outbox), world.count()
    submitter = Submitter(world.chain, outbox, signer, resend_s=60)
    ids = submitter.submit([("lag", ReceiveLot(bytes([9]) * 32, 1, b"H87", bytes(32)))])
    world.line.handlers["eth_getTransactionCount"] = lambda _: "0x0"
    submitter.drain()
    verify_once(world, store, signer, ids, before)
