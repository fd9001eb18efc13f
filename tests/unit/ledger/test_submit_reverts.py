"""Records that fit no transaction, or revert in their block: split, blamed by name, never paid for without end."""

from __future__ import annotations

from typing import Any

import pytest

from millmark.ledger.chain.codec import encode_function
from millmark.ledger.errors import ChainError, SubmitError
from millmark.ledger.records import Contract, Role
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState, SentTransaction
from millmark.ledger.submit import Submitter
from tests.support.ledger_world import LedgerWorld, results, verify_final


def test_a_batch_that_is_too_large_goes_in_parts(world: LedgerWorld, outbox: Outbox) -> None:
    """The records are good; only together they take more gas than a transaction has."""
    signer = world.admit(outbox)
    lots = world.lots(20)
    submitter = world.submitter(outbox, signer)
    small = LedgerWorld(world.line, world.chain_with(fixed_gas_limit=400_000), world.owner)
    ids = small.submitter(outbox, signer).submit(lots)
    small.submitter(outbox, signer).drain()
    verify_final(outbox, ids)
    assert world.nonces(signer) >= 3
    assert submitter.step() is True


def test_a_record_that_is_too_large_by_itself_fails(world: LedgerWorld, outbox: Outbox) -> None:
    signer = world.admit(outbox)
    tiny = LedgerWorld(world.line, world.chain_with(fixed_gas_limit=50_000), world.owner)
    submitter = tiny.submitter(outbox, signer)
    ids = submitter.submit(world.lots(2))
    submitter.drain()
    assert [record.state for record in results(outbox, ids)] == [OutboxState.FAILED] * 2
    assert world.nonces(signer) == 0


# Reverted in a block


def test_a_transaction_that_reverts_in_its_block_gives_its_records_back(world: LedgerWorld, outbox: Outbox) -> None:
    """The simulation, of an earlier state, still accepts an identifier that is taken: the next one names it."""
    signer, reasons = world.admit(outbox), list[str | None]()

    def report(event: str, _: SentTransaction, reason: str | None) -> None:
        reasons.extend([reason] if event == "returned" else [])

    submitter = Submitter(world.chain, outbox, signer, resend_s=0, report=report)
    [rival, *_] = lots = world.lots(3)
    submitter.submit([rival])
    submitter.drain()
    ids = submitter.submit([("again", rival[1]), *lots[1:]])

    def accept_once(params: list[Any]) -> Any:
        del world.line.handlers["eth_call"]
        return world.line.node.request("eth_call", [{**params[0], "data": ledger_id, "input": ledger_id}, *params[1:]])

    ledger_id = "0x" + encode_function(Contract.LEDGER, "ledgerId").hex()
    world.line.handlers["eth_call"] = accept_once
    submitter.drain()
    found = results(outbox, ids)
    assert [record.state.value for record in found] == ["failed", "final", "final"]
    assert found[0].error_name == "HistorySubjectTaken"
    assert world.nonces(signer) == 4, "the rival, the reverted one, and the rest one by one"
    assert reasons == ["mined without its records"]


def test_a_record_that_reverts_again_and_again_does_not_spend_gas_for_ever(world: LedgerWorld, outbox: Outbox) -> None:
    """A node that simulates what it does not execute."""
    signer = world.admit(outbox, Role.AUDITOR)
    asked_id = "0x" + encode_function(Contract.LEDGER, "ledgerId").hex()

    def accept(params: list[Any]) -> Any:
        return world.line.node.request("eth_call", params) if params[0]["data"] == asked_id else "0x"

    world.line.handlers["eth_call"] = accept
    submitter = world.submitter(outbox, signer)
    ids = submitter.submit(world.lots(2))
    submitter.drain()
    found = results(outbox, ids)
    assert [record.error_name for record in found] == ["Reverted", "Reverted"]
    assert "although every simulation accepted it" in str(found[0].error)
    assert world.nonces(signer) <= 6


def test_a_key_without_money_keeps_its_records(world: LedgerWorld, outbox: Outbox) -> None:
    signer = world.admit(outbox)
    # Other tests' blocks on this chain may have lowered the base fee to a few wei.
    dear_wei, base_wei = 10**18, world.chain.node.base_fee_wei() or 1
    chain = world.chain_with(fee_headroom_percent=100 * dear_wei // base_wei)
    submitter = LedgerWorld(world.line, chain, world.owner).submitter(outbox, signer)
    ids = submitter.submit(world.lots(2))
    with pytest.raises(ChainError, match=r"the node refuses the transaction: .*insufficient funds"):
        submitter.drain()
    assert {record.state for record in results(outbox, ids)} == {OutboxState.SIGNED}
    assert world.nonces(signer) == 0


def test_records_that_take_too_long_are_told_and_kept(world: LedgerWorld, outbox: Outbox) -> None:
    submitter = world.submitter(outbox, world.admit(outbox))
    world.line.handlers["eth_getTransactionReceipt"] = lambda _: None
    world.line.handlers["eth_sendRawTransaction"] = lambda _: "0x"
    ids = submitter.submit(world.lots(2))
    with pytest.raises(
        SubmitError, match="are still pending after 0 s; check that the chain produces blocks; nothing was lost"
    ):
        submitter.drain(timeout_s=0.1)
    world.line.handlers.clear()
    submitter.drain()
    verify_final(outbox, ids)
