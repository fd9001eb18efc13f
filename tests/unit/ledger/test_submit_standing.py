"""Whether an outbox knows all that its key did, what it takes in of the rest, and what it sends again."""

from __future__ import annotations

import dataclasses

import pytest

from millmark.ledger.chain import Chain, EmbeddedChain, call_data, execute_data, multicall_data
from millmark.ledger.chain.codec import encode_function
from millmark.ledger.errors import ChainUnreachableError, LedgerSetBackError, NodeBehindError, WrongChainError
from millmark.ledger.index import Follower
from millmark.ledger.keys import LocalSigner
from millmark.ledger.records import Contract
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState
from millmark.ledger.store.rows import RecordRow
from millmark.ledger.store.schema import TABLES
from millmark.ledger.submit import Submitter, adopt_records, reopen_records, standing
from millmark.ledger.submit.standing import Standing, compare_outbox, forward_key, verify_outbox
from tests.support.ledger_world import LedgerWorld, build_world, copy_chain, transactions, verify_final, verify_once


@pytest.fixture
def world() -> LedgerWorld:
    """A chain for each test, since some tests put another one in its place."""
    return build_world()


def lose_one(world: LedgerWorld, chain: Chain, outbox: Outbox, signer: LocalSigner) -> int:
    """Queues a record whose transaction never reaches the node, and returns its id."""
    world.line.hold_transactions()
    submitter = Submitter(chain, outbox, signer, resend_s=3600)
    [number] = submitter.submit(world.lots(1))
    submitter.step()
    world.line.handlers.clear()
    return number


def test_records_of_a_key_that_its_outbox_never_used_make_it_older_once_they_are_indexed(
    world: LedgerWorld, store: Store, outbox: Outbox, elsewhere: Store
) -> None:
    signer = world.admit(outbox)
    world.record(Outbox(elsewhere), signer)
    assert compare_outbox(world.chain, store, signer.address) is Standing.UNDECIDED
    Follower(world.chain, store).follow()
    assert compare_outbox(world.chain, store, signer.address) is Standing.OLDER
    assert adopt_records(world.chain, store, signer.address).unknown == 1
    assert compare_outbox(world.chain, store, signer.address) is Standing.CURRENT


# Transactions whose nonces something else used


def test_nothing_goes_out_again_while_the_node_hides_what_used_a_nonce(
    world: LedgerWorld, store: Store, outbox: Outbox
) -> None:
    signer = world.admit(outbox)
    number = lose_one(world, world.chain, outbox, signer)
    world.transfer(signer)
    Follower(world.chain, store).follow()
    world.line.handlers["eth_getTransactionCount"] = lambda params: "0x1" if params[1] == "latest" else "0x0"
    with pytest.raises(ChainUnreachableError, match="does not show what used nonce 0 of 0x"):
        adopt_records(world.chain, store, signer.address)
    assert outbox.record(number).state is OutboxState.SENT


def test_a_relays_transaction_in_another_form_is_known_without_records(
    world: LedgerWorld, store: Store, outbox: Outbox
) -> None:
    """Somebody used its key by hand, and did not end the call with zeros, which the forwarder does not mind."""
    signer, payer, chain = world.admit(outbox), world.fund(LocalSigner.generate()), world.chain
    signed, before = world.sign_request(signer), world.count()
    world._send(payer, chain.forwarder, execute_data(signed)[:-1] + b"\1")
    assert world.count() == before + 1
    Follower(chain, store).follow()
    assert compare_outbox(chain, store, payer.address, relay=True) is Standing.OLDER
    adopted = adopt_records(chain, store, payer.address, relay=True)
    assert (adopted.transactions, adopted.unknown, adopted.waiting) == (1, 0, 0)
    assert compare_outbox(chain, store, payer.address, relay=True) is Standing.CURRENT
    assert transactions(store, payer) == [(0, "final")]


def test_a_transaction_of_which_the_index_lacks_a_record_is_known_without_records(
    world: LedgerWorld, store: Store, outbox: Outbox, elsewhere: Store
) -> None:
    """Which of its calls made which of the others cannot be told."""
    signer = world.admit(outbox)
    other = world.submitter(Outbox(elsewhere), signer)
    ids = other.submit(world.lots(2))
    other.drain()
    Follower(world.chain, store).follow()
    rows, sequence = TABLES[RecordRow], Outbox(elsewhere).record(ids[0]).sequence
    with store.transaction() as connection:
        connection.execute(rows.delete().where(rows.c.contract == "ledger", rows.c.sequence == sequence))
    adopted = adopt_records(world.chain, store, signer.address)
    assert (adopted.transactions, adopted.unknown, adopted.waiting) == (1, 0, 0)
    assert compare_outbox(world.chain, store, signer.address) is Standing.CURRENT
    assert transactions(store, signer) == [(0, "final")]


def test_a_relays_request_is_known_by_its_digest(world: LedgerWorld, store: Store, outbox: Outbox) -> None:
    signer, payer, chain = world.admit(outbox), world.fund(LocalSigner.generate()), world.chain
    signed, before = world.sign_request(signer), world.count()
    world._send(payer, chain.forwarder, execute_data(signed))
    Follower(chain, store).follow()
    adopted = adopt_records(chain, store, payer.address, relay=True)
    assert (adopted.transactions, adopted.unknown) == (1, 1)
    [known] = outbox.find([forward_key(signed.request.digest)]).values()
    assert (known.kind, known.sequence, known.state) == ("Forward", before + 1, OutboxState.FINAL)


def test_a_call_that_also_asks_something_is_known_without_records(
    world: LedgerWorld, store: Store, outbox: Outbox
) -> None:
    """Somebody used the key by hand: which of the calls made the record is not told."""
    signer, [(_, lot)] = world.admit(outbox), world.lots(1)
    before = world.count()
    calls = [encode_function(Contract.LEDGER, "ledgerId"), call_data(lot)]
    world._send(signer, world.chain.ledger, multicall_data(Contract.LEDGER, calls))
    assert world.count() == before + 1
    Follower(world.chain, store).follow()
    adopted = adopt_records(world.chain, store, signer.address)
    assert (adopted.transactions, adopted.unknown, adopted.waiting) == (1, 0, 0)
    assert transactions(store, signer) == [(0, "final")]


def test_nothing_is_taken_in_while_the_node_has_another_block_than_the_index(
    world: LedgerWorld, store: Store, outbox: Outbox, elsewhere: Store
) -> None:
    signer = world.admit(outbox)
    world.record(Outbox(elsewhere), signer)
    Follower(world.chain, store).follow()
    rows, last = TABLES[RecordRow], world.chain.head_number()
    with store.transaction() as connection:
        connection.execute(rows.update().where(rows.c.block_number == last).values(block_hash=b"\xee" * 32))
    for ask in (adopt_records, compare_outbox):
        with pytest.raises(ChainUnreachableError, match=f"the node has another block {last} than the index; try again"):
            ask(world.chain, store, signer.address)
    assert transactions(store, signer) == []


def test_nothing_is_taken_in_from_a_node_without_receipts(
    world: LedgerWorld, store: Store, outbox: Outbox, elsewhere: Store
) -> None:
    signer = world.admit(outbox)
    world.record(Outbox(elsewhere), signer)
    Follower(world.chain, store).follow()
    world.line.handlers["eth_getTransactionReceipt"] = lambda _: None
    with pytest.raises(
        ChainUnreachableError, match=r"no receipt of transaction 0x[0-9a-f]{64}; use a node that keeps them"
    ):
        adopt_records(world.chain, store, signer.address)
    assert transactions(store, signer) == []


# A chain that was set back


def test_the_only_record_of_a_key_goes_out_again_if_the_chain_lost_it(
    world: LedgerWorld, store: Store, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    signer = world.admit(outbox)
    assert isinstance(world.line.node, EmbeddedChain)
    earlier, before = copy_chain(world.line.node), world.count()
    ids = world.record(outbox, signer)
    world.line.node = earlier
    world.__dict__.pop("unfaulty", None)  # a cached connection to the chain as it was
    while world.chain.head_number() <= outbox.seen_block():
        world.chain.node.wait(1)
    assert compare_outbox(world.chain, store, signer.address) is Standing.SET_BACK
    with pytest.raises(
        LedgerSetBackError, match=f"records of key 0x{signer.address.hex()}.*`millmark outbox reopen 0x"
    ):
        verify_outbox(world.chain, store, signer.address)
    named = dataclasses.replace(world.chain.deployment, created_hash=b"\xee" * 32, genesis_hash=b"\xee" * 32)
    for ask in (compare_outbox, reopen_records):
        with monkeypatch.context() as other:
            other.setattr(world.chain, "deployment", named)
            with pytest.raises(WrongChainError):
                ask(world.chain, store, signer.address)
    assert reopen_records(world.chain, store, signer.address) == 1
    world.submitter(outbox, signer).drain()
    verify_once(world, store, signer, ids, before)


def test_all_records_that_the_chain_lost_go_out_again(
    world: LedgerWorld, store: Store, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are."""
    monkeypatch.setattr(standing, "_PAGE", 1)
    signer = world.admit(outbox)
    kept = world.record(outbox, signer)
    assert isinstance(world.line.node, EmbeddedChain)
    earlier = copy_chain(world.line.node)
    lost = [*world.record(outbox, signer), *world.record(outbox, signer), *world.record(outbox, signer)]
    world.line.node = earlier
    world.__dict__.pop("unfaulty", None)  # a cached connection to the chain as it was
    with pytest.raises(
        NodeBehindError, match=rf"the node has no block \d+, in which 0x{signer.address.hex()} used nonce 3; wait until"
    ):
        reopen_records(world.chain, store, signer.address)
    while world.chain.head_number() <= outbox.seen_block():
        world.chain.node.wait(1)
    assert reopen_records(world.chain, store, signer.address) == len(lost)
    world.submitter(outbox, signer).drain()
    verify_final(outbox, [*kept, *lost])


def test_a_nonce_that_made_no_record_is_used_again_on_a_chain_that_lost_it(
    world: LedgerWorld, store: Store, outbox: Outbox
) -> None:
    signer = world.admit(outbox)
    assert isinstance(world.line.node, EmbeddedChain)
    earlier = copy_chain(world.line.node)
    number = lose_one(world, world.chain, outbox, signer)
    outbox.cancel([outbox.record(number).idempotency_key])
    world.submitter(outbox, signer).drain()
    assert transactions(store, signer) == [(0, "replaced")]
    [kept] = world.record(outbox, signer)
    world.line.node = earlier
    world.__dict__.pop("unfaulty", None)  # a cached connection to the chain as it was
    while world.chain.head_number() <= outbox.seen_block():
        world.chain.node.wait(1)
    assert reopen_records(world.chain, store, signer.address) == 1
    world.submitter(outbox, signer).drain()
    assert outbox.record(kept).state is OutboxState.FINAL
    assert world.nonces(signer) == 2
