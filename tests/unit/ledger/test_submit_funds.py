"""What a key has for gas, how long it lasts, and topping it up."""

from __future__ import annotations

import dataclasses

import pytest

from millmark.ledger.chain import Fees, Node, RpcError, find_profile, first_fees, send_values
from millmark.ledger.errors import ChainError, FundsError
from millmark.ledger.keys import LocalSigner
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox, Spending, find_spending, known_signers
from millmark.ledger.submit import Funds, look_at_funds
from tests.support.blocks import block
from tests.support.ledger_world import LedgerWorld
from tests.support.rpc import ScriptedNode

PROFILE = find_profile("qbft")
DAY_S = 86_400


def funds(balance_wei: int, gas: int | None, per_day: int, fee_wei: int = 10) -> Funds:
    return Funds(bytes(20), balance_wei, Fees(fee_wei, 0), Spending(gas, per_day))


@pytest.mark.parametrize(
    ("found", "left", "days", "low"),
    [
        (funds(10_000_000_000, 50_000, 0), 20_000, None, False),
        (funds(10_000_000_000, 50_000, 2857), 20_000, 7, False),
        (funds(10_000_000_000, 50_000, 2858), 20_000, 6, True),
        (funds(500_000_000, 50_000, 0), 1000, None, False),
        (funds(499_999_999, 50_000, 0), 999, None, True),
        (funds(0, 50_000, 5), 0, 0, True),
        (funds(0, 50_000, 5, fee_wei=0), None, None, False),
        (funds(150_000 * 10 * 1000, None, 0), 1000, None, False),
    ],
)
def test_a_key_is_low_before_it_is_empty(found: Funds, left: int | None, days: int | None, low: bool) -> None:
    assert (found.records_left, found.days_left, found.is_low) == (left, days, low)


def test_words_name_the_balance_and_how_long_it_lasts() -> None:
    assert funds(10**10, 50_000, 1000).describe() == (
        "10000000000 wei, enough for 20000 records, 20 days at its present rate"
    )
    assert funds(10**10, 50_000, 0).describe() == "10000000000 wei, enough for 20000 records"
    assert funds(0, None, 0, fee_wei=0).describe() == "the network takes no fees: no balance is needed"


def test_programs_are_told_the_same() -> None:
    assert funds(10**10, 50_000, 1000).to_json() == {
        "key": "0x" + "00" * 20,
        "balance_wei": 10**10,
        "fee_per_gas_wei": 10,
        "records_left": 20_000,
        "days_left": 20,
        "is_low": False,
    }


def test_what_is_missing_is_for_a_number_of_records() -> None:
    assert funds(100, 50_000, 0).missing_wei(10) == 10 * 50_000 * 10 - 100
    assert funds(10**10, 50_000, 0).missing_wei(10) == 0
    assert funds(0, 50_000, 0, fee_wei=0).missing_wei(10) == 0


def test_spending_is_that_of_the_keys_own_transactions(world: LedgerWorld, store: Store, outbox: Outbox) -> None:
    signer = world.admit(outbox)
    submitter = world.submitter(outbox, signer)
    ids = submitter.submit(world.lots(6))
    submitter.drain()
    now_s = outbox.record(ids[0]).queued_at_s
    [(records, gas)] = [outbox.gas_by_kind()[kind] for kind in {outbox.record(number).kind for number in ids}]
    assert records == 6
    with store.reading() as connection:
        assert find_spending(connection, LocalSigner.generate().address, now_s) == Spending(None, 0)
        assert signer.address in known_signers(connection)
        # Less than a day old: its first day is taken as a whole one.
        assert find_spending(connection, signer.address, now_s + 100) == Spending(-(-gas // 6), 6)
        assert find_spending(connection, signer.address, now_s + 7 * DAY_S).records_per_day == 1


def test_amounts_reach_several_keys_at_once(world: LedgerWorld, store: Store) -> None:
    treasury, keys = LocalSigner.generate(), [LocalSigner.generate().address for _ in range(3)]
    node = world.chain.node
    node.fund(treasury.address, 10**18)
    send_values(node, PROFILE, treasury, [(key, 10**15 + place) for place, key in enumerate(keys)])
    found = look_at_funds(node, PROFILE, store, keys, 0.0)
    assert [one.balance_wei for one in found] == [10**15, 10**15 + 1, 10**15 + 2]
    assert node.transaction_count(treasury.address) == 3


def test_amounts_are_final_on_return(world: LedgerWorld) -> None:
    """What a recipient pays for at once would be refused if a reorganisation took its amount out."""
    treasury, node = LocalSigner.generate(), world.chain.node
    node.fund(treasury.address, 10**18)
    before = node.block_number()

    def mine(params: list[object]) -> object:
        node.wait(1)
        return world.line.node.request("eth_blockNumber", params)

    world.line.handlers["eth_blockNumber"] = mine
    send_values(node, dataclasses.replace(PROFILE, finality_depth=3), treasury, [(LocalSigner.generate().address, 5)])
    del world.line.handlers["eth_blockNumber"]
    assert node.block_number() >= before + 1 + 3


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        (
            "replacement transaction underpriced",
            "another one of its key waits with the same nonce, or the price of gas",
        ),
        ("nonce too high", "transactions of its key are missing before it"),
        ("txpool is full", "too many wait there"),
    ],
)
def test_what_a_node_did_not_take_is_not_waited_for(world: LedgerWorld, message: str, cause: str) -> None:
    """It is never mined: after the wait, the chain would be blamed."""
    treasury, asked = LocalSigner.generate(), [0][:0]
    world.fund(treasury)

    def send(params: list[object]) -> object:
        asked.append(1)
        if len(asked) == 2:
            raise RpcError(-32000, message)
        return world.line.node.request("eth_sendRawTransaction", params)

    world.line.handlers["eth_sendRawTransaction"] = send
    amounts = [(LocalSigner.generate().address, 5) for _ in range(3)]
    with pytest.raises(ChainError, match=cause):
        send_values(world.chain.node, PROFILE, treasury, amounts, timeout_s=0)
    assert len(asked) == 2


def test_a_treasury_without_funds_is_named(world: LedgerWorld) -> None:
    with pytest.raises((FundsError, ChainError), match="refuses the transaction"):
        send_values(world.chain.node, PROFILE, LocalSigner.generate(), [(bytes(19) + b"\1", 1)])


def test_amounts_are_legacy_before_london(world: LedgerWorld) -> None:
    treasury, node = LocalSigner.generate(), world.chain.node
    node.fund(treasury.address, 10**18)

    def without_base_fee(params: list[object]) -> object:
        found = world.line.node.request("eth_getBlockByNumber", params)
        return found if params[0] != "latest" else {key: found[key] for key in found if key != "baseFeePerGas"}

    world.line.handlers["eth_getBlockByNumber"] = without_base_fee
    key = LocalSigner.generate().address
    send_values(node, PROFILE, treasury, [(key, 5)])
    assert node.balance_wei(key) == 5


def test_a_network_without_fees_is_told_by_its_head(store: Store) -> None:
    node = Node(ScriptedNode({"eth_getBlockByNumber": block(baseFeePerGas="0x0"), "eth_getBalance": "0x0"}))
    [found] = look_at_funds(node, PROFILE, store, [bytes(20)], 0.0)
    assert (found.is_free, found.is_low, found.to_json()["records_left"]) == (True, False, None)
    assert first_fees(node, PROFILE) == Fees(0, 0), "not even a tip"
