"""What engines do with a transaction that others do not: Besu's equal prices, lower block limits, keys without funds,
networks without a base fee."""

from __future__ import annotations

from typing import Any

import pytest

from millmark.ledger.chain import Fees, Node, RpcError, find_profile, first_fees, is_legacy, raised_fees, send_values
from millmark.ledger.errors import FeeTooLowError, FundsError
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState
from millmark.ledger.submit import Submitter
from millmark.ledger.submit.batches import Batches
from tests.support.blocks import block
from tests.support.ledger_world import LedgerWorld, transactions, verify_final, verify_once
from tests.support.rpc import ScriptedNode

FREE = Node(ScriptedNode({"eth_getBlockByNumber": block(baseFeePerGas="0x0")}))
PRICED = Node(ScriptedNode({"eth_getBlockByNumber": block()}))
BERLIN = ScriptedNode({"eth_getBlockByNumber": {"number": "0x1"}, "eth_gasPrice": "0x3e8"})


def test_each_network_has_its_fees() -> None:
    assert first_fees(FREE, find_profile("besu-qbft")) == Fees(0, 0)
    assert first_fees(PRICED, find_profile("besu-qbft")) == Fees(14, 0)
    assert first_fees(PRICED, find_profile("qbft")) == Fees(1_000_000_014, 1_000_000_000)
    assert first_fees(PRICED, find_profile("clique")) == Fees(1_000_000_014, 1_000_000_000)
    assert first_fees(Node(BERLIN), find_profile("qbft")) == Fees(1000, 1000, legacy=True)


def test_without_fees_nothing_is_outbid() -> None:
    before = Fees(0, 0)
    assert raised_fees(FREE, find_profile("besu-qbft"), before) == before


def test_a_raise_of_a_few_wei_raises_both_fees() -> None:
    """Geth refuses a replacement that leaves the priority fee as it was, and a tenth of 7 wei is less than one."""
    assert raised_fees(PRICED, find_profile("besu-qbft"), Fees(14, 0)) == Fees(16, 1)
    assert raised_fees(PRICED, find_profile("besu-qbft"), Fees(20, 4, legacy=True)) == Fees(22, 5, legacy=True)


@pytest.mark.parametrize("mined", [0, -1], ids=["the replaced one", "the replacement"])
def test_of_two_with_the_same_price_either_may_be_mined(
    world: LedgerWorld, store: Store, outbox: Outbox, mined: int
) -> None:
    """Besu without fees: the second takes the first one's place in one node's pool, and a validator may hold the
    first. Whichever it mines, the record is on the ledger once or not at all, and the outbox knows."""
    signer, before = world.admit(outbox), world.count()
    sent: list[str] = []

    def keep(params: list[Any]) -> str:
        sent.append(params[0])
        return "0x" + "00" * 32

    world.line.handlers["eth_sendRawTransaction"] = keep
    chain = world.chain_with(bump_percent=0)
    submitter = Submitter(chain, outbox, signer, receipt_grace_s=0.2, resend_s=0, raise_s=0)
    [number] = submitter.submit([("victim", world.lots(1)[0][1])])
    submitter.step()
    outbox.cancel(["victim"])
    submitter.step()
    assert len(set(sent)) == 2
    world.line.node.request("eth_sendRawTransaction", [sent[mined]])
    submitter.drain()
    recorded = mined == 0
    assert outbox.record(number).state is (OutboxState.FINAL if recorded else OutboxState.CANCELLED)
    assert (world.count(), world.nonces(signer)) == (before + recorded, 1)


def test_what_no_block_can_have_any_more_goes_out_in_smaller_ones(
    world: LedgerWorld, store: Store, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The validators lowered the gas limit of blocks between signing and sending."""
    signer, before = world.admit(outbox), world.count()
    refused: list[str] = []

    def refuse(params: list[Any]) -> Any:
        if not refused or params[0] == refused[0]:
            refused.append(params[0])
            raise RpcError(-32005, "Transaction gas limit exceeds block gas limit")
        return world.line.node.request("eth_sendRawTransaction", params)

    forgotten = list[Batches]()
    monkeypatch.setattr(Batches, "forget_limits", lambda one: forgotten.append(one))
    world.line.handlers["eth_sendRawTransaction"] = refuse
    submitter = world.submitter(outbox, signer)
    ids = submitter.submit(world.lots(3))
    submitter.drain()
    assert set(refused) == {refused[0]}
    assert forgotten, "what was estimated for larger blocks"
    verify_final(outbox, ids)
    assert world.count() == before + len(ids)
    assert transactions(store, signer) == [(0, "replaced"), (1, "final")]


@pytest.mark.parametrize(
    "refusal",
    [
        RpcError(-32000, "insufficient funds for gas * price + value: address 0x11 have 0 want 5"),
        RpcError(-32004, "Upfront cost exceeds account balance"),
        RpcError(-32003, "Insufficient funds for gas * price + value"),
    ],
    ids=["Geth", "Besu", "anvil"],
)
def test_a_key_without_funds_waits_for_them(
    world: LedgerWorld, store: Store, outbox: Outbox, refusal: RpcError
) -> None:
    signer, before = world.admit(outbox), world.count()

    def refuse(_: list[Any]) -> Any:
        raise refusal

    world.line.handlers["eth_sendRawTransaction"] = refuse
    submitter = world.submitter(outbox, signer)
    ids = submitter.submit(world.lots(2))
    for _ in range(2):
        with pytest.raises(FundsError, match=r"fund the key: `millmark keys fund`"):
            submitter.step()
    assert outbox.record(ids[0]).state is OutboxState.SIGNED
    world.line.handlers.clear()
    submitter.drain()
    verify_once(world, store, signer, ids, before)


def _free_of_charge(world: LedgerWorld) -> None:
    """The latest block of a network without fees, as the node shows it."""

    def answer(params: list[Any]) -> Any:
        found = world.line.node.request("eth_getBlockByNumber", params)
        return {**found, "baseFeePerGas": "0x0"} if params[0] == "latest" else found

    world.line.handlers["eth_getBlockByNumber"] = answer


@pytest.mark.parametrize(
    "refusal",
    [
        RpcError(-32009, "Gas price below configured minimum gas price"),
        RpcError(-32000, "transaction underpriced: gas tip cap 0, minimum needed 1"),
    ],
    ids=["Besu", "Geth"],
)
def test_a_minimum_price_on_a_network_without_fees_is_told_in_every_step(
    world: LedgerWorld, store: Store, outbox: Outbox, refusal: RpcError
) -> None:
    """Nothing is outbid there, so that the records used to wait without a word."""
    signer, before = world.admit(outbox), world.count()

    def refuse(_: list[Any]) -> Any:
        raise refusal

    _free_of_charge(world)
    world.line.handlers["eth_sendRawTransaction"] = refuse
    submitter = Submitter(world.chain, outbox, signer, receipt_grace_s=0.2, resend_s=60)
    ids = submitter.submit(world.lots(2))
    for _ in range(3):
        with pytest.raises(FeeTooLowError, match=r"takes no transaction for nothing; .*--min-gas-price=0"):
            submitter.step()
    world.line.handlers.clear()
    world.submitter(outbox, signer).drain()
    verify_once(world, store, signer, ids, before)


def test_where_there_are_no_fees_what_takes_the_place_of_a_cancelled_record_offers_none_either(
    world: LedgerWorld, outbox: Outbox
) -> None:
    """Although the profile has one for the block's producer: no node takes a transaction that offers more for that than
    in all."""
    signer, [(name, lot)] = world.admit(outbox), world.lots(1)
    assert world.chain.profile.priority_fee_wei > 0
    _free_of_charge(world)
    world.line.hold_transactions()
    submitter = world.submitter(outbox, signer)
    submitter.submit([(name, lot)])
    submitter.step()
    outbox.cancel([name])
    submitter.step()
    [found] = outbox.open_transactions(signer.address)
    assert (found.noop, found.max_fee_wei, found.priority_fee_wei) == (True, 0, 0)


def test_a_minimum_price_is_told_where_a_single_transaction_is_awaited(world: LedgerWorld) -> None:
    def refuse(_: list[Any]) -> Any:
        raise RpcError(-32009, "Gas price below configured minimum gas price")

    _free_of_charge(world)
    world.line.handlers["eth_sendRawTransaction"] = refuse
    with pytest.raises(FeeTooLowError, match="--min-gas-price=0"):
        send_values(world.chain.node, world.chain.profile, world.owner, [(bytes(20), 1)])


def test_a_node_whose_pool_is_closed_is_awaited(world: LedgerWorld, store: Store, outbox: Outbox) -> None:
    """Besu's, while it is not in sync."""
    signer, before, closed = world.admit(outbox), world.count(), [3]

    def refuse(params: list[Any]) -> Any:
        if closed[0]:
            closed[0] -= 1
            raise RpcError(-32000, "Transaction pool not enabled")
        return world.line.node.request("eth_sendRawTransaction", params)

    world.line.handlers["eth_sendRawTransaction"] = refuse
    submitter = world.submitter(outbox, signer)
    ids = submitter.submit(world.lots(1))
    submitter.drain()
    verify_once(world, store, signer, ids, before)


def _before_london(world: LedgerWorld) -> None:
    def without_base_fee(params: list[Any]) -> Any:
        found = world.line.node.request("eth_getBlockByNumber", params)
        return found if params[0] != "latest" else {key: found[key] for key in found if key != "baseFeePerGas"}

    world.line.handlers["eth_getBlockByNumber"] = without_base_fee


def test_before_london_a_raised_offer_is_legacy_as_well(world: LedgerWorld, outbox: Outbox) -> None:
    signer, sent = world.admit(outbox), list[bytes]()
    _before_london(world)
    world.line.handlers["eth_sendRawTransaction"] = lambda params: sent.append(bytes.fromhex(params[0][2:]))
    submitter = Submitter(world.chain, outbox, signer, resend_s=0, raise_s=0)
    submitter.submit(world.lots(1))
    for _ in range(3):
        submitter.step()
    assert len(set(sent)) == 3
    assert all(is_legacy(raw) for raw in sent)


def test_before_london_transactions_are_legacy(world: LedgerWorld, store: Store, outbox: Outbox) -> None:
    signer, before = world.admit(outbox), world.count()
    sent: list[bytes] = []

    def keep(params: list[Any]) -> Any:
        sent.append(bytes.fromhex(params[0][2:]))
        return world.line.node.request("eth_sendRawTransaction", params)

    _before_london(world)
    world.line.handlers["eth_sendRawTransaction"] = keep
    submitter = world.submitter(outbox, signer)
    ids = submitter.submit(world.lots(3))
    submitter.drain()
    assert sent
    assert all(is_legacy(raw) for raw in sent)
    world.line.handlers.clear()
    verify_once(world, store, signer, ids, before)
    verify_final(outbox, ids)
