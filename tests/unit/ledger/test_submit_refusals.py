"""When a refusal is final, and what a submitter forgets once another one has done its work."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from typing import Any

import pytest

from millmark.ledger.chain import EmbeddedChain, RpcError
from millmark.ledger.errors import ChainUnreachableError
from millmark.ledger.keys import LocalSigner
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState
from millmark.ledger.submit import Submitter
from millmark.ledger.submit.submitter import Lease
from tests.support.ledger_world import LedgerWorld, build_world, copy_chain, results, verify_once
from tests.support.patience import wait_until


@pytest.fixture
def world() -> LedgerWorld:
    return build_world()


def submitter_of(
    world: LedgerWorld, outbox: Outbox, signer: LocalSigner, lease: Lease | None = None, depth: int = 0
) -> Submitter:
    chain = world.chain_with(timed_blocks=True, finality_depth=depth)
    return Submitter(chain, outbox, signer, receipt_grace_s=0, resend_s=0.1, lease=lease)


def refuse(_: list[Any]) -> Any:
    raise RpcError(3, "execution reverted", b"")


def mine(world: LedgerWorld) -> None:
    world.line.node.request("evm_mine", [])


def test_a_block_between_head_and_refusal_makes_no_second_head(
    world: LedgerWorld, store: Store, outbox: Outbox
) -> None:
    """The submitter sees head 1, the contract refuses from head 2 on; the next look is at head 2 as well."""
    signer, before = world.admit(outbox), world.count()
    submitter = submitter_of(world, outbox, signer)
    ids = submitter.submit(world.lots(1))

    first = world.chain.head_number()

    def refuse_later(params: list[Any]) -> Any:
        if world.unfaulty.head_number() == first:
            mine(world)
        return world.line.node.request("eth_call", params) if params[1] == hex(first) else refuse(params)

    world.line.handlers["eth_call"] = refuse_later
    for _ in range(3):
        assert submitter.step() is False
    assert {record.state for record in results(outbox, ids)} == {OutboxState.QUEUED}
    world.line.handlers.clear()
    submitter.drain()
    verify_once(world, store, signer, ids, before)


@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_a_refusal_may_pass_while_the_block_of_the_first_one_is_not_final(
    world: LedgerWorld, store: Store, outbox: Outbox, blocks: int
) -> None:
    """What a record needs was undone with its block, and is not in the next ones either."""
    signer, before = world.admit(outbox), world.count()
    submitter = submitter_of(world, outbox, signer, depth=3)
    ids = submitter.submit(world.lots(1))
    world.line.handlers["eth_call"] = refuse
    for _ in range(blocks):
        assert submitter.step() is False
        mine(world)
    assert submitter.step() is False
    assert {record.state for record in results(outbox, ids)} == {OutboxState.QUEUED}
    world.line.handlers.clear()
    submitter.step()
    for _ in range(4):
        mine(world)
    submitter.drain()
    verify_once(world, store, signer, ids, before)


def test_a_refusal_is_final_once_the_block_of_the_first_one_is(world: LedgerWorld, outbox: Outbox) -> None:
    signer = world.admit(outbox)
    submitter = submitter_of(world, outbox, signer, depth=3)
    ids = submitter.submit(world.lots(1))
    world.line.handlers["eth_call"] = refuse
    for _ in range(4):
        assert submitter.step() is False
        mine(world)
    submitter.step()
    assert {record.state for record in results(outbox, ids)} == {OutboxState.FAILED}


def test_a_refusal_from_before_an_earlier_record_was_made_does_not_count(
    world: LedgerWorld, store: Store, outbox: Outbox
) -> None:
    """Two are refused; the first is made; the second, which needs it, is refused once more by a node that is behind."""
    signer, before = world.admit(outbox), world.count()
    submitter = submitter_of(world, outbox, signer)
    ids = submitter.submit(world.lots(2))
    payloads = [record.payload.hex() for record in results(outbox, ids)]

    def refuse_those(refused: list[str], params: list[Any]) -> Any:
        if any(payload in params[0]["data"] for payload in refused):
            raise RpcError(3, "execution reverted", b"")
        return world.line.node.request("eth_call", params)

    world.line.handlers["eth_call"] = partial(refuse_those, payloads)
    submitter.step()
    mine(world)
    world.line.handlers["eth_call"] = partial(refuse_those, payloads[1:])
    for _ in range(2):
        submitter.step()
    assert [record.state.value for record in results(outbox, ids)] == ["final", "queued"]
    world.line.handlers.clear()
    mine(world)
    submitter.drain()
    verify_once(world, store, signer, ids, before)


def test_a_nonce_that_another_submitter_settled_is_no_trouble_any_more(
    world: LedgerWorld, store: Store, outbox: Outbox
) -> None:
    signer, before = world.admit(outbox), world.count()
    own, other = (Lease(outbox, signer.address, lease_s=0) for _ in range(2))
    submitter = submitter_of(world, outbox, signer, own)
    ids = submitter.submit(world.lots(1))
    world.line.handlers["eth_getTransactionReceipt"] = lambda _: None
    world.line.handlers["eth_getBlockReceipts"] = lambda _: []
    with pytest.raises(ChainUnreachableError, match="is used, and its records wait"):
        wait_until(submitter.step)
    world.line.handlers.clear()
    submitter_of(world, outbox, signer, other).drain()
    ids += submitter.submit(world.lots(1))
    wait_until(submitter.step)
    verify_once(world, store, signer, ids, before)


@pytest.mark.parametrize("pinned", [False, True], ids=["behind always", "behind when asked for the latest"])
def test_the_refusal_of_a_node_behind_the_one_that_told_the_latest_block_fails_no_record(
    world: LedgerWorld, store: Store, outbox: Outbox, pinned: bool
) -> None:
    """Two nodes behind one address: heads of the one, calls answered by the other, which lacks the key's admission."""
    real = world.line.node
    assert isinstance(real, EmbeddedChain)
    old = copy_chain(real)
    signer, before = world.admit(outbox), world.count()
    world.line.handlers["eth_call"] = lambda params: (real if pinned and params[1] != "latest" else old).request(
        "eth_call", params
    )
    submitter = submitter_of(world, outbox, signer)
    ids = submitter.submit(world.lots(2))
    for _ in range(4):
        with nullcontext() if pinned else pytest.raises(ChainUnreachableError, match="unknown block"):
            submitter.step()
        mine(world)
    assert {record.state for record in results(outbox, ids)} == {OutboxState.QUEUED}
    world.line.handlers.clear()
    submitter.drain()
    verify_once(world, store, signer, ids, before)
