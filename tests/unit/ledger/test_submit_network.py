"""A node that is behind, two-faced or foreign: it loses, doubles, fails and invents no record."""

from __future__ import annotations

import dataclasses
import itertools
import random
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from millmark.ledger.chain import Chain, EmbeddedChain, Node, RpcError, Transaction, deploy, sign_transaction
from millmark.ledger.errors import (
    ChainError,
    ChainUnreachableError,
    NodeBehindError,
    WrongChainError,
    WrongContractError,
)
from millmark.ledger.index import Follower
from millmark.ledger.keys import LocalSigner
from millmark.ledger.records import Admit, Record, Role
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState
from millmark.ledger.submit import Submitter, batches
from millmark.ledger.submit.batches import describe_chain
from tests.proofs.experiments import count_records
from tests.support.figures import Judge
from tests.support.ledger_world import (
    LedgerWorld,
    build_world,
    copy_chain,
    results,
    transactions,
    verify_final,
    verify_once,
)
from tests.support.patience import wait_until
from tests.support.rpc import Line, lost
from tests.support.stores import new_store

FAULT_S = 0.4
"""Four times the grace for a receipt."""


@pytest.fixture
def world() -> LedgerWorld:
    """A chain for each test, since some tests put another one in its place."""
    return build_world()


def timed(world: LedgerWorld) -> LedgerWorld:
    """The same, as on an engine where blocks come by themselves."""
    return dataclasses.replace(world, chain=world.chain_with(timed_blocks=True))


def submitter_of(world: LedgerWorld, outbox: Outbox, signer: LocalSigner, batch_size: int = 50) -> Submitter:
    return Submitter(world.chain, outbox, signer, batch_size=batch_size, receipt_grace_s=0.1, resend_s=0.1)


def embedded(world: LedgerWorld) -> EmbeddedChain:
    assert isinstance(world.line.node, EmbeddedChain)
    return world.line.node


def mine(chain: EmbeddedChain) -> None:
    chain.request("evm_mine", [])


# Answers that belong to different states (the rows "l" of the audit)


Fault = Callable[[Line, EmbeddedChain], None]
"""Spoils the line. The chain is a node that is cut off since before the first record."""


def no_receipts(line: Line, _: EmbeddedChain) -> None:
    line.handlers["eth_getTransactionReceipt"] = lambda _: None


def few_receipts(line: Line, _: EmbeddedChain) -> None:
    chance = random.Random(5)  # noqa: S311  # the same in every run

    def answer(params: list[Any]) -> Any:
        return None if chance.random() < 0.9 else line.node.request("eth_getTransactionReceipt", params)

    line.handlers["eth_getTransactionReceipt"] = answer


def receipts_of_another_node(line: Line, old: EmbeddedChain) -> None:
    for method in ("eth_getTransactionReceipt", "eth_getBlockReceipts"):
        line.handlers[method] = partial(old.request, method)


def receipts_unavailable(line: Line, _: EmbeddedChain) -> None:
    def fail(_: list[Any]) -> Any:
        raise RpcError(-32000, "transaction indexing is in progress")

    line.handlers["eth_getTransactionReceipt"] = fail


def no_receipts_at_all(line: Line, _: EmbeddedChain) -> None:
    no_receipts(line, _)
    line.handlers["eth_getBlockReceipts"] = lambda _: []


def two_nodes_in_turn(line: Line, old: EmbeddedChain) -> None:
    real, turns = line.node, itertools.count()

    class Balancer:
        def request(self, method: str, params: list[Any]) -> Any:
            return (real if next(turns) % 2 else _Silent(old)).request(method, params)

    line.node = Balancer()


def everything_old(line: Line, old: EmbeddedChain) -> None:
    line.node = _Silent(old)


def old_head(line: Line, old: EmbeddedChain) -> None:
    line.handlers["eth_blockNumber"] = lambda params: old.request("eth_blockNumber", params)


def sends_swallowed(line: Line, _: EmbeddedChain) -> None:
    line.hold_transactions()


def no_answer(line: Line, _: EmbeddedChain) -> None:
    class Hanging:
        def request(self, method: str, params: list[Any]) -> Any:  # noqa: ARG002  # a transport's signature
            raise lost()

    line.node = Hanging()


class _Silent:
    """A node that is cut off: it takes transactions, and nobody mines them."""

    def __init__(self, chain: EmbeddedChain) -> None:
        self._chain = chain

    def request(self, method: str, params: list[Any]) -> Any:
        if method == "eth_sendRawTransaction":
            return "0x" + "00" * 32
        return self._chain.request(method, params)


FAULTS: tuple[Fault, ...] = (
    no_receipts,
    few_receipts,
    receipts_of_another_node,
    receipts_unavailable,
    no_receipts_at_all,
    two_nodes_in_turn,
    everything_old,
    old_head,
    sends_swallowed,
    no_answer,
)


@pytest.mark.parametrize("spoil", FAULTS, ids=lambda spoil: spoil.__name__)
def test_whatever_a_node_shows_meanwhile_each_record_is_made_once(
    world: LedgerWorld, store: Store, outbox: Outbox, spoil: Fault, judge: Judge
) -> None:
    signer, before = world.admit(outbox), world.count()
    real = embedded(world)
    submitter = submitter_of(world, outbox, signer, batch_size=1)
    spoil(world.line, copy_chain(real))
    ids = submitter.submit(world.lots(3))
    until = time.monotonic() + FAULT_S
    while time.monotonic() < until:
        with suppress(ChainError):
            submitter.step()
        time.sleep(0.04)
    world.line.node = real
    world.line.handlers.clear()
    submitter.drain()
    judge("all final after healing", **count_records(world.unfaulty, outbox, ids, before))
    verify_once(world, store, signer, ids, before)


def test_a_nonce_that_nobody_explains_is_told(world: LedgerWorld, store: Store, outbox: Outbox) -> None:
    """Its records wait; those behind it go on."""
    signer, before = world.admit(outbox), world.count()
    submitter = Submitter(world.chain, outbox, signer, receipt_grace_s=0, resend_s=0.1)
    ids = submitter.submit(world.lots(2))
    no_receipts_at_all(world.line, embedded(world))
    with pytest.raises(
        ChainUnreachableError,
        match=f"nonce 0 of 0x{signer.address.hex()} is used, and its records wait: .*; use a node that is in sync",
    ):
        submitter.step()
    assert transactions(store, signer) == [(0, "sent")]
    world.line.handlers.clear()
    submitter.drain()
    verify_once(world, store, signer, ids, before)


def test_the_transaction_that_used_a_nonce_is_named(
    world: LedgerWorld, store: Store, outbox: Outbox, judge: Judge
) -> None:
    """One key in two places. The other transaction is known at once, by its signature in a block, also when the node
    has no receipts by hash."""
    signer, before = world.admit(outbox), world.count()
    reasons: list[str | None] = []
    submitter = Submitter(
        world.chain,
        outbox,
        signer,
        receipt_grace_s=0,
        resend_s=0,
        report=lambda what, _, why: reasons.append(why) if what == "returned" else None,
    )
    other = sign_transaction(Transaction(world.chain.chain_id, 0, 1, 10**11, 21_000, signer.address, b""), signer)

    def overtake(params: list[Any]) -> Any:
        del world.line.handlers["eth_sendRawTransaction"]
        Node(world.line.node).send(other.raw)
        for _ in range(5):
            mine(embedded(world))
        return world.line.node.request("eth_sendRawTransaction", params)

    world.line.handlers["eth_sendRawTransaction"] = overtake
    ids = submitter.submit(world.lots(2))
    submitter.drain()
    judge("named; the records went out under the next nonce", **count_records(world.unfaulty, outbox, ids, before))
    assert verify_final(outbox, ids) == [before + 1, before + 2]
    assert reasons == [f"its nonce was used by transaction 0x{other.hash.hex()}"]
    with store.reading() as connection:
        errors = connection.exec_driver_sql("SELECT error FROM outbox_transactions WHERE state = 'failed'")
        assert errors.scalars().all() == reasons


# Another network (the rows "j")


def foreign_chain(world: LedgerWorld, outbox: Outbox, signer: LocalSigner | None, genesis_s: int) -> EmbeddedChain:
    """A network of the same chain id. If `signer` is given, it has the ledger's contracts at the same addresses, and
    the signer's company."""
    chain = EmbeddedChain(genesis_s)
    node = Node(chain)
    for key in (world.owner, *([signer] if signer else [])):
        node.fund(key.address, 10**20)
    if signer is None:
        return chain
    time_s = genesis_s + 1_000_000
    chain.request_at(time_s, "evm_mine", [])
    there = LedgerWorld(
        Line(chain), Chain(node, world.chain.profile, deploy(node, world.chain.profile, world.owner)), world.owner
    )
    assert (there.chain.ledger, there.chain.chain_id) == (world.chain.ledger, world.chain.chain_id)
    submitter = there.submitter(outbox, world.owner)
    submitter.submit([("admit-there", Admit(int(Role.MANUFACTURER), signer.address, bytes(32)))])
    submitter.drain()
    there.accept(signer)
    return chain


GENESIS_S = 1_700_000_000


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Outbox]:
    """The outbox of another place."""
    with new_store(tmp_path, "elsewhere.db") as store:
        yield Outbox(store)


@pytest.mark.parametrize("has_contracts", [False, True], ids=["no contracts", "same addresses"])
def test_a_live_submitter_signs_nothing_for_another_network(
    world: LedgerWorld, store: Store, outbox: Outbox, elsewhere: Outbox, has_contracts: bool, judge: Judge
) -> None:
    """The node behind the address is exchanged, without an error on the line."""
    signer, before, real = world.admit(outbox), world.count(), embedded(world)
    submitter = submitter_of(world, outbox, signer)
    first = submitter.submit(world.lots(2))
    submitter.drain()
    foreign = foreign_chain(world, elsewhere, signer if has_contracts else None, GENESIS_S)
    world.line.node = foreign
    world.line.passed.clear()
    ids = submitter.submit(world.lots(3))
    for _ in range(3):
        with pytest.raises(WrongChainError, match=r"genesis block 0x[0-9a-f]{64}, the deployment is on that with"):
            submitter.step()
    assert {record.state for record in results(outbox, ids)} == {OutboxState.QUEUED}
    assert "eth_sendRawTransaction" not in world.line.passed
    world.line.node = real
    submitter.drain()
    judge("refused in every step, nothing sent", **count_records(world.unfaulty, outbox, first + ids, before))
    verify_once(world, store, signer, first + ids, before)


def test_what_was_signed_is_not_sent_to_another_network(
    world: LedgerWorld, store: Store, outbox: Outbox, elsewhere: Outbox
) -> None:
    """It would be final there, and here it would count as made."""
    signer, before, real = world.admit(outbox), world.count(), embedded(world)
    submitter = submitter_of(world, outbox, signer)
    ids = submitter.submit(world.lots(2))
    sends_swallowed(world.line, real)
    submitter.step()
    world.line.handlers.clear()
    world.line.node = foreign_chain(world, elsewhere, signer, GENESIS_S)
    with pytest.raises(WrongChainError):
        submitter.step()
    assert world.nonces(signer) == 0
    world.line.node = real
    submitter.drain()
    verify_once(world, store, signer, ids, before)


@pytest.mark.parametrize("follows", [False, True], ids=["by its outbox", "by its index"])
def test_a_database_is_for_one_ledger(world: LedgerWorld, store: Store, outbox: Outbox, follows: bool) -> None:
    """Also with the other network's own deployment file."""
    deployment = world.chain.deployment
    if follows:
        Follower(world.chain, store).follow()
    else:
        outbox.bind(describe_chain(deployment))
        outbox.bind(describe_chain(deployment))
    whose = "the index follows" if follows else "the outbox's records are for"
    nines = b"\x99" * 32
    for other in (
        dataclasses.replace(deployment, genesis_hash=nines),
        dataclasses.replace(deployment, ledger_id=nines),
    ):
        with pytest.raises(WrongChainError, match=f"{whose} the ledger with the id 0x{deployment.ledger_id.hex()}"):
            outbox.bind(describe_chain(other))


# A node that is behind (the rows "e2" and "i3", and F4, F7)


def admit_elsewhere(world: LedgerWorld, elsewhere: Outbox) -> tuple[LocalSigner, EmbeddedChain, EmbeddedChain]:
    """A new company, the chain, and a node that has been cut off since before the company was admitted. The line leads
    to that node."""
    real = embedded(world)
    old = copy_chain(real)
    signer = world.admit(elsewhere)
    world.line.node = old
    old.request("anvil_setBalance", ["0x" + signer.address.hex(), hex(10**20)])
    return signer, real, old


def test_a_node_that_is_cut_off_fails_no_record(
    world: LedgerWorld, store: Store, outbox: Outbox, elsewhere: Outbox, judge: Judge
) -> None:
    """Its state lacks the key's admission: 21 records used to fail for good, in one step."""
    before = world.count()
    signer, real, _ = admit_elsewhere(world, elsewhere)
    submitter = submitter_of(timed(world), outbox, signer, batch_size=5)
    ids = submitter.submit(world.lots(21))
    for _ in range(4):
        submitter.step()
    assert {record.state for record in results(outbox, ids)} == {OutboxState.QUEUED}
    world.line.node = real
    submitter.drain()
    judge("all wait, and are final after healing", **count_records(world.unfaulty, outbox, ids, before))
    verify_once(world, store, signer, ids, before)


def test_a_node_in_sync_again_only_in_part_fails_no_record(
    world: LedgerWorld, store: Store, outbox: Outbox, elsewhere: Outbox, monkeypatch: pytest.MonkeyPatch, judge: Judge
) -> None:
    """It has new heads with every step, but none up to the block that the index has seen."""
    monkeypatch.setattr(batches, "_PATIENCE_S", 0.0)
    before = world.count()
    signer, real, old = admit_elsewhere(world, elsewhere)
    for _ in range(4):
        mine(real)
    Follower(world.unfaulty, store).follow()
    submitter = submitter_of(timed(world), outbox, signer)
    ids = submitter.submit(world.lots(12))
    for _ in range(3):
        with pytest.raises(NodeBehindError, match=r"the node is behind: its latest block is \d+, block \d+ is known"):
            submitter.step()
        mine(old)
    assert {record.state for record in results(outbox, ids)} == {OutboxState.QUEUED}
    assert transactions(store, signer) == []
    world.line.node = real
    submitter.drain()
    judge("told as behind; all are final after healing", **count_records(world.unfaulty, outbox, ids, before))
    verify_once(world, store, signer, ids, before)


def test_a_refusal_is_final_on_a_second_head_where_blocks_come_by_themselves(
    world: LedgerWorld, outbox: Outbox
) -> None:
    """All that are refused at the same head fail with the next one; what the contract takes goes on behind them."""
    signer, chain = world.admit(outbox), embedded(world)
    submitter = submitter_of(timed(world), outbox, signer)
    good = world.lots(2)
    first = submitter.submit(good[:1])
    submitter.drain()
    refused: list[tuple[str, Record]] = [(f"again-{place}", good[0][1]) for place in range(3)]
    ids = submitter.submit([*refused, good[1]])
    for _ in range(3):
        assert submitter.step() is False
    assert {record.state for record in results(outbox, ids)} == {OutboxState.QUEUED}, "one head"
    mine(chain)
    submitter.drain()
    assert [record.state.value for record in results(outbox, ids)] == ["failed", "failed", "failed", "final"]
    assert {record.error_name for record in results(outbox, ids[:3])} == {"HistorySubjectTaken"}
    verify_final(outbox, first)


def test_a_refusal_that_passes_is_forgotten(world: LedgerWorld, store: Store, outbox: Outbox) -> None:
    signer, before, chain = world.admit(outbox), world.count(), embedded(world)
    submitter = submitter_of(timed(world), outbox, signer)
    ids = submitter.submit(world.lots(1))

    def refuse(_: list[Any]) -> Any:
        raise RpcError(3, "execution reverted", b"")

    world.line.handlers["eth_call"] = refuse
    submitter.step()
    world.line.handlers.clear()
    mine(chain)
    submitter.drain()
    verify_once(world, store, signer, ids, before)


@pytest.mark.parametrize("has_code", [False, True], ids=["call and estimate", "estimate"])
def test_no_gas_is_estimated_on_a_state_without_the_ledger(
    world: LedgerWorld, store: Store, outbox: Outbox, has_code: bool
) -> None:
    """A call to nothing succeeds and costs little: the batch used to run out of gas, and to fall behind its stream."""
    signer, before = world.admit(outbox), world.count()
    empty = EmbeddedChain()
    for method in ("eth_estimateGas",) if has_code else ("eth_estimateGas", "eth_call"):
        world.line.handlers[method] = partial(empty.request, method)
    line, world.line.handlers = world.line.handlers, {}
    chain = world.chain_with(fixed_gas_limit=None)
    world.line.handlers = line
    submitter = Submitter(chain, outbox, signer, batch_size=2, receipt_grace_s=0.1, resend_s=0.1)
    ids = submitter.submit(world.lots(2))
    expected = ChainUnreachableError if has_code else WrongContractError
    cause = "gas, as for a call to nothing" if has_code else "this node has no contract at .* not in sync yet"
    with pytest.raises(expected, match=cause):
        submitter.step()
    assert transactions(store, signer) == []
    world.line.handlers.clear()
    submitter.drain()
    verify_once(world, store, signer, ids, before)


def test_no_gap_is_filled_below_a_nonce_that_is_final(world: LedgerWorld, store: Store, outbox: Outbox) -> None:
    """Nonces from before the outbox was made have no stored bytes: a node that is behind had them filled."""
    signer, before, real = world.admit(outbox), world.count(), embedded(world)
    old = copy_chain(real)
    for nonce in range(2):
        other = Transaction(world.chain.chain_id, nonce, 1, 10**11, 21_000, signer.address, b"")
        Node(real).send(sign_transaction(other, signer).raw)
    submitter = submitter_of(world, outbox, signer)
    ids = submitter.submit(world.lots(1))
    submitter.drain()
    sends_swallowed(world.line, real)
    ids += submitter.submit(world.lots(1))
    submitter.step()
    world.line.handlers.clear()
    everything_old(world.line, old)
    until = time.monotonic() + FAULT_S
    while time.monotonic() < until:
        with suppress(NodeBehindError):
            submitter.step()
        time.sleep(0.04)
    assert transactions(store, signer) == [(2, "final"), (3, "sent")]
    world.line.node = real
    submitter.drain()
    assert verify_final(outbox, ids) == [before + 1, before + 2]
    assert transactions(store, signer) == [(2, "final"), (3, "final")]


def test_a_gap_is_not_filled_on_a_state_without_the_ledger(world: LedgerWorld, store: Store, outbox: Outbox) -> None:
    signer = world.admit(outbox)
    submitter = submitter_of(world, outbox, signer)
    with store.transaction() as connection:
        connection.exec_driver_sql("INSERT INTO outbox_nonces VALUES (?, 1)", (signer.address,))
    sends_swallowed(world.line, embedded(world))
    submitter.submit(world.lots(1))
    submitter.step()
    world.line.handlers["eth_call"] = lambda _: "0x"
    with pytest.raises(WrongContractError, match="this node has no contract at"):
        wait_until(submitter.step)
    assert transactions(store, signer) == [(1, "sent")]
