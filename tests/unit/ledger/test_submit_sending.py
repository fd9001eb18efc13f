"""What a sender remembers of each transaction, and what the answer to one means for those after it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from millmark.ledger.chain import EmbeddedChain, RpcError
from millmark.ledger.errors import ChainError, ChainUnreachableError, FeeTooLowError, SubmitError
from millmark.ledger.keys import LocalSigner
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState, SentTransaction
from millmark.ledger.submit import Submitter, relay, sender
from tests.support.ledger_world import LedgerWorld, Texts, build_world, copy_chain, results, transactions, verify_final

HOUR_S = 3600.0


@pytest.fixture
def world() -> LedgerWorld:
    """A chain for each test, since some tests put another one in its place."""
    return build_world()


def refuse(world: LedgerWorld, reason: str) -> None:
    def handle(_: list[Any]) -> Any:
        raise RpcError(-32000, reason)

    world.line.handlers["eth_sendRawTransaction"] = handle


def test_two_blocks_worth_are_pending_as_soon_as_the_gas_of_one_is_known(
    world: LedgerWorld, store: Store, outbox: Outbox
) -> None:
    signer = world.admit(outbox)
    world.line.hold_transactions()
    chain = world.chain_with(timed_blocks=True, fixed_gas_limit=None)
    submitter = Submitter(chain, outbox, signer, batch_size=1, pending=20, resend_s=HOUR_S)
    submitter.submit(world.lots(21))
    for _ in range(4):
        submitter.step()
    assert transactions(store, signer) == [(nonce, "sent") for nonce in range(20)], "16 before"


@pytest.mark.parametrize("reason", ["no idea", "transaction gas price below configured minimum"])
def test_nothing_is_started_behind_a_transaction_that_the_node_refuses(
    world: LedgerWorld, store: Store, outbox: Outbox, reason: str
) -> None:
    """And the transaction does not count as sent."""
    signer = world.admit(outbox)
    refuse(world, reason)
    submitter = world.submitter(outbox, signer, batch_size=1)
    ids = submitter.submit(world.lots(3))
    with pytest.raises(ChainError):
        submitter.step()
    assert transactions(store, signer) == [(0, "signed")]
    world.line.handlers.clear()
    submitter.drain()
    verify_final(outbox, ids)


def test_what_was_sent_is_looked_for_when_it_may_be_sent_again(
    world: LedgerWorld, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not before, where blocks come by themselves: the node's count of the key's nonces tells."""
    now, resend_s = [1000.0], 10.0
    monkeypatch.setattr(sender, "time", SimpleNamespace(monotonic=lambda: now[0]))
    signer, chain = world.admit(outbox), world.chain_with(timed_blocks=True)
    world.line.hold_transactions()
    submitter = Submitter(chain, outbox, signer, resend_s=resend_s)
    submitter.submit(world.lots(1))
    submitter.step()
    watched = ("eth_getTransactionReceipt", "eth_sendRawTransaction")
    for elapsed_s, asked in ((resend_s - 0.5, []), (0.5, [*watched]), (resend_s - 0.5, []), (0.5, [*watched])):
        now[0] += elapsed_s
        world.line.passed.clear()
        submitter.step()
        assert [one for one in world.line.passed if one in watched] == asked


def test_what_a_full_pool_did_not_take_is_not_sent(world: LedgerWorld, store: Store, outbox: Outbox) -> None:
    signer = world.admit(outbox)
    refuse(world, "txpool is full")
    submitter = world.submitter(outbox, signer)
    submitter.submit(world.lots(1))
    submitter.step()
    assert transactions(store, signer) == [(0, "signed")]


def test_what_was_sent_before_a_restart_is_looked_for_before_it_is_sent_again(
    world: LedgerWorld, outbox: Outbox
) -> None:
    signer, chain = world.admit(outbox), world.chain_with(timed_blocks=True)
    world.line.hold_transactions()
    first, second = (Submitter(chain, outbox, signer, resend_s=0) for _ in range(2))
    first.submit(world.lots(1))
    first.step()
    world.line.passed.clear()
    second.step()
    asked = [one for one in world.line.passed if one in ("eth_getTransactionReceipt", "eth_sendRawTransaction")]
    assert asked == ["eth_getTransactionReceipt", "eth_sendRawTransaction"]


def test_what_a_reorganisation_took_out_of_its_block_is_sent_at_once(world: LedgerWorld, outbox: Outbox) -> None:
    signer, chain = world.admit(outbox), world.chain_with(finality_depth=2)
    earlier, before = copy_chain(embedded(world)), world.count()
    submitter = Submitter(chain, outbox, signer, receipt_grace_s=HOUR_S, resend_s=HOUR_S)
    ids = submitter.submit(world.lots(1))
    submitter.step()
    assert [one.state for one in results(outbox, ids)] == [OutboxState.MINED]
    world.line.node = earlier
    world.__dict__.pop("unfaulty", None)  # a cached connection to the chain as it was
    assert world.count() == before
    for _ in range(2):
        submitter.step()
    assert world.count() == before + 1


def test_an_offer_below_the_nodes_minimum_is_raised_as_soon_as_it_may_be_sent_again(
    world: LedgerWorld, outbox: Outbox
) -> None:
    """Not after the time that a pending one is given: this one is in no pool."""
    signer = world.admit(outbox)
    refuse(world, "transaction gas price below configured minimum")
    submitter = Submitter(world.chain, outbox, signer, resend_s=0, raise_s=HOUR_S)
    submitter.submit(world.lots(1))
    offers = []
    for _ in range(3):
        with pytest.raises(FeeTooLowError):
            submitter.step()
        [found] = outbox.open_transactions(signer.address)
        offers.append(found.max_fee_wei or 0)
    assert offers[0] < offers[1] < offers[2]


def test_an_offer_below_the_nodes_minimum_is_told_with_its_price(world: LedgerWorld, outbox: Outbox) -> None:
    signer = world.admit(outbox)
    refuse(world, "transaction gas price below configured minimum")
    submitter = Submitter(world.chain, outbox, signer, resend_s=HOUR_S)
    submitter.submit(world.lots(1))
    with pytest.raises(FeeTooLowError) as told:
        submitter.step()
    [found] = outbox.open_transactions(signer.address)
    assert f"takes no transaction that offers {found.max_fee_wei} wei per gas or less" in str(told.value)


def test_what_a_full_pool_did_not_take_is_offered_again_with_the_next_block(world: LedgerWorld, outbox: Outbox) -> None:
    """What it took before is sent again meanwhile, as ever."""
    signer, offered = world.admit(outbox), list[str]()
    chain = world.chain_with(timed_blocks=True)

    def take_one(params: list[Any]) -> Any:
        offered.append(params[0])
        if params[0] != offered[0]:
            raise RpcError(-32000, "txpool is full")
        return "0x" + "00" * 32

    world.line.handlers["eth_sendRawTransaction"] = take_one
    submitter = Submitter(chain, outbox, signer, batch_size=1, resend_s=0)
    for _ in range(2):
        submitter.submit(world.lots(1))
        submitter.step()
    first, second = offered[0], offered[-1]
    assert first != second
    for sent in ([first], [first]):
        offered[1:] = []
        submitter.step()
        assert offered[1:] == sent
    world.chain.node.wait(1)
    offered[1:] = []
    submitter.step()
    assert offered[1:] == [first, second]


def test_fees_are_raised_once_a_transaction_has_waited_for_its_time(
    world: LedgerWorld, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, raise_s = [1000.0], 60.0
    monkeypatch.setattr(sender, "time", SimpleNamespace(monotonic=lambda: now[0]))
    signer = world.admit(outbox)
    world.line.hold_transactions()
    submitter = Submitter(world.chain, outbox, signer, resend_s=0, raise_s=raise_s)
    submitter.submit(world.lots(1))
    submitter.step()
    for elapsed_s, versions in ((raise_s - 0.5, 0), (0.5, 1), (raise_s - 0.5, 1), (0.5, 2)):
        now[0] += elapsed_s
        submitter.step()
        [found] = outbox.open_transactions(signer.address)
        assert len(found.replaced) == versions


@pytest.mark.parametrize("mined", [0, 1, 2])
def test_no_version_is_signed_beside_one_that_is_in_a_block(world: LedgerWorld, outbox: Outbox, mined: int) -> None:
    """Although the node did not show it a moment before, and does not count its nonce yet."""
    signer, sent, versions = world.admit(outbox), list[str](), 3
    world.line.handlers["eth_sendRawTransaction"] = lambda params: sent.append(params[0])
    world.line.handlers["eth_getTransactionCount"] = lambda _: "0x0"
    submitter = Submitter(world.chain, outbox, signer, resend_s=0, raise_s=0)
    ids = submitter.submit(world.lots(1))
    for _ in range(versions):
        submitter.step()
    world.line.node.request("eth_sendRawTransaction", [sent[mined]])
    world.line.hide_receipts(versions)
    submitter.step()
    assert len(set(sent)) == versions
    verify_final(outbox, ids)


def test_what_was_never_signed_is_not_sent() -> None:
    unsigned = cast("SentTransaction", SimpleNamespace(id=7, raw=None))
    with pytest.raises(SubmitError, match="transaction 7 was never signed; report this"):
        sender._raw(unsigned)
    with pytest.raises(SubmitError, match="request 7 was never signed; report this"):
        relay._raw(unsigned)


# What a tracker knows of a transaction


def test_a_block_that_is_there_answers_for_its_transactions(world: LedgerWorld, outbox: Outbox) -> None:
    """No receipt is asked for, so none can be missing."""
    signer = world.admit(outbox)
    submitter = Submitter(world.chain_with(finality_depth=2), outbox, signer, receipt_grace_s=HOUR_S, resend_s=HOUR_S)
    ids = submitter.submit(world.lots(1))
    submitter.step()
    world.line.hide_receipts(9)
    world.line.passed.clear()
    world.chain.node.wait(1)
    submitter.step()
    assert "eth_getTransactionReceipt" not in world.line.passed
    assert [one.state for one in results(outbox, ids)] == [OutboxState.MINED]


def test_that_the_block_of_a_transaction_is_not_shown_for_an_error_is_told(world: LedgerWorld, outbox: Outbox) -> None:
    """And the transaction does not count as taken out of it."""
    signer = world.admit(outbox)
    submitter = Submitter(world.chain_with(finality_depth=2), outbox, signer, receipt_grace_s=HOUR_S, resend_s=HOUR_S)
    ids = submitter.submit(world.lots(1))
    submitter.step()
    [mined] = outbox.open_transactions(signer.address)
    assert mined.block_number is not None
    block = hex(mined.block_number)
    world.chain.node.wait(1)

    def answer(params: list[Any]) -> Any:
        if params[0] == block:
            raise RpcError(-32000, "the database is closed")
        return world.line.node.request("eth_getBlockByNumber", params)

    world.line.handlers["eth_getBlockByNumber"] = answer
    with pytest.raises(ChainError, match="the database is closed"):
        submitter.step()
    assert [one.state for one in results(outbox, ids)] == [OutboxState.MINED]


def test_records_whose_nonce_something_else_used_go_out_in_the_same_step(
    world: LedgerWorld, store: Store, outbox: Outbox
) -> None:
    """Where one transaction may be open at a time: theirs is not open any more."""
    signer = world.admit(outbox)
    submitter = Submitter(world.chain, outbox, signer, pending=1, receipt_grace_s=0, resend_s=HOUR_S)
    world.line.hold_transactions()
    submitter.submit(world.lots(1))
    submitter.step()
    assert transactions(store, signer) == [(0, "sent")]
    world.line.handlers.clear()
    world.transfer(signer)
    submitter.step()
    assert transactions(store, signer) == [(0, "failed"), (1, "final")]


def test_each_state_of_a_transaction_is_told(world: LedgerWorld, outbox: Outbox) -> None:
    signer, told = world.admit(outbox), Texts()
    submitter = Submitter(world.chain_with(finality_depth=2), outbox, signer, report=told)
    submitter.submit(world.lots(1))
    submitter.step()
    for _ in range(2):
        world.fund(LocalSigner.generate())
    submitter.drain()
    assert told == ["sent", "mined", "final"]


def test_what_uses_a_nonce_is_looked_for_while_another_transaction_moves(world: LedgerWorld, outbox: Outbox) -> None:
    signer, chain = world.admit(outbox), world.chain_with(finality_depth=2)
    submitter = Submitter(chain, outbox, signer, batch_size=1, receipt_grace_s=0, resend_s=HOUR_S)
    [first, second] = submitter.submit(world.lots(2))
    send = world.line.node.request
    world.line.handlers["eth_sendRawTransaction"] = lambda params: (
        "0x" + "00" * 32 if outbox.record(first).state is OutboxState.MINED else send("eth_sendRawTransaction", params)
    )
    for _ in range(2):
        submitter.step()
    assert [one.state for one in results(outbox, [first, second])] == [OutboxState.MINED, OutboxState.SENT]
    [mined, _] = outbox.open_transactions(signer.address)
    assert mined.block_number is not None
    world.chain.node.wait(1)  # where the head is the same, so are the blocks
    world.line.hide_receipts(1)
    world.line.hide_block(mined.block_number)
    world.line.handlers["eth_getTransactionCount"] = lambda _: "0x2"
    with pytest.raises(ChainUnreachableError, match=r"nonce 1 of 0x[0-9a-f]{40} is used, and its records wait"):
        submitter.step()


def test_a_nonce_that_no_final_block_uses_any_more_needs_no_explanation(world: LedgerWorld, outbox: Outbox) -> None:
    signer = world.admit(outbox)
    chain = world.chain_with(finality_depth=2)
    submitter = Submitter(chain, outbox, signer, receipt_grace_s=0, resend_s=HOUR_S)
    world.line.hold_transactions()
    submitter.submit(world.lots(1))
    submitter.step()
    used_in_final = ["0x1", "0x0"]

    def count(params: list[Any]) -> Any:
        return "0x1" if params[1] in ("latest", "pending") else used_in_final[0]

    world.line.handlers["eth_getTransactionCount"] = count
    with pytest.raises(ChainUnreachableError, match=r"nonce 0 of 0x[0-9a-f]{40} is used, and its records wait"):
        submitter.step()
    used_in_final.pop(0)
    submitter.step()


def embedded(world: LedgerWorld) -> EmbeddedChain:
    assert isinstance(world.line.node, EmbeddedChain)
    return world.line.node
