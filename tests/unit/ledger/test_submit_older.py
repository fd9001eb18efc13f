"""When an outbox is older than the ledger, what is said of it, and which blocks are read to find that out."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import pytest

from millmark.ledger.chain import BlockTransaction, Chain, Receipt, execute_data
from millmark.ledger.errors import ChainUnreachableError, OutboxOlderError
from millmark.ledger.index import Follower
from millmark.ledger.keys import LocalSigner
from millmark.ledger.records import Contract
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState
from millmark.ledger.store.outbox_writer import next_nonce
from millmark.ledger.store.rows import RecordRow
from millmark.ledger.submit import Submitter, adopt_records
from millmark.ledger.submit.standing import (
    Standing,
    _find_unknown,
    _Found,
    _records,
    compare_outbox,
    verify_outbox,
)
from tests.support.ledger_world import LedgerWorld, transactions, verify_final

KEY, OTHER = b"\1" * 20, b"\2" * 20
DEPTH = 2


def allocates(store: Store, signer: LocalSigner) -> int | None:
    with store.reading() as connection:
        return next_nonce(connection, signer.address)


# Comparing


def test_what_a_key_did_before_its_outbox_was_first_used_does_not_concern_that_one(
    world: LedgerWorld, outbox: Outbox, elsewhere: Store
) -> None:
    signer = world.admit(outbox)
    world.record(outbox, signer)
    for _ in range(2):
        assert compare_outbox(world.chain, elsewhere, signer.address) is Standing.CURRENT
        assert allocates(elsewhere, signer) == world.nonces(signer)
    verify_final(Outbox(elsewhere), world.record(Outbox(elsewhere), signer))


def test_an_outbox_that_was_current_without_a_record_is_older_once_there_is_one(
    world: LedgerWorld, outbox: Outbox, elsewhere: Store
) -> None:
    """As a backup from before the first record is."""
    signer = world.admit(outbox)
    assert compare_outbox(world.chain, elsewhere, signer.address) is Standing.CURRENT
    assert allocates(elsewhere, signer) == 0
    world.record(outbox, signer)
    assert compare_outbox(world.chain, elsewhere, signer.address) is Standing.UNDECIDED
    Follower(world.chain, elsewhere).follow()
    assert compare_outbox(world.chain, elsewhere, signer.address) is Standing.OLDER


def test_nonces_that_made_no_records_are_taken_note_of(world: LedgerWorld, store: Store, outbox: Outbox) -> None:
    signer = world.admit(outbox)
    world.record(outbox, signer)
    world.transfer(signer)
    Follower(world.chain, store).follow()
    assert compare_outbox(world.chain, store, signer.address) is Standing.CURRENT
    assert allocates(store, signer) == 2


def test_an_outbox_that_is_older_is_named_with_its_way_out(
    world: LedgerWorld, outbox: Outbox, elsewhere: Store
) -> None:
    signer, payer = world.admit(outbox), world.fund(LocalSigner.generate())
    for key in (signer, payer):
        assert verify_outbox(world.chain, elsewhere, key.address) is True
    world.record(outbox, signer)
    world._send(payer, world.chain.forwarder, execute_data(world.sign_request(signer)))
    assert verify_outbox(world.chain, elsewhere, signer.address) is False, "the index lacks blocks"
    Follower(world.chain, elsewhere).follow()
    for key, relay, did, command in ((signer, False, "made", "adopt"), (payer, True, "relayed", "adopt --relay")):
        with pytest.raises(OutboxOlderError) as told:
            verify_outbox(world.chain, elsewhere, key.address, relay=relay)
        name = f"0x{key.address.hex()}"
        assert f"key {name} {did} records that it does not know; " in str(told.value)
        assert str(told.value).endswith(f"`millmark outbox {command} {name}`")
    with pytest.raises(OutboxOlderError, match="made records that it does not know"):
        verify_outbox(world.chain, elsewhere, signer.address)


def test_what_a_key_sent_for_others_is_looked_at_only_if_it_is_a_relays(
    world: LedgerWorld, store: Store, outbox: Outbox
) -> None:
    signer, payer = world.admit(outbox), world.fund(LocalSigner.generate())
    world._send(payer, world.chain.forwarder, execute_data(world.sign_request(signer)))
    Follower(world.chain, store).follow()
    assert compare_outbox(world.chain, store, payer.address, relay=True) is Standing.OLDER
    assert adopt_records(world.chain, store, payer.address).transactions == 0
    assert compare_outbox(world.chain, store, payer.address) is Standing.CURRENT


# Taking in


def test_nothing_is_taken_in_before_the_last_of_it_is_final(
    world: LedgerWorld, store: Store, outbox: Outbox, elsewhere: Store
) -> None:
    signer, chain = world.admit(outbox), world.chain_with(finality_depth=DEPTH)
    for _ in range(2):
        world.record(Outbox(elsewhere), signer)
    last = world.chain.head_number()
    world.chain.node.wait(1)
    Follower(chain, store).follow()
    with pytest.raises(
        ChainUnreachableError,
        match=rf"block {last} has records of 0x{signer.address.hex()} and is not final yet: the last final block is "
        rf"{last - 1}; repeat the command in a few blocks; nothing was changed",
    ):
        adopt_records(chain, store, signer.address)
    assert transactions(store, signer) == []
    world.chain.node.wait(1)
    Follower(chain, store).follow()
    assert adopt_records(chain, store, signer.address).transactions == 2
    assert transactions(store, signer) == [(0, "final"), (1, "final")]


def test_what_is_taken_in_may_use_twice_the_gas_should_it_have_to_be_sent_again(
    world: LedgerWorld, store: Store, outbox: Outbox, elsewhere: Store
) -> None:
    signer = world.admit(outbox)
    world.record(Outbox(elsewhere), signer)
    Follower(world.chain, store).follow()
    adopt_records(world.chain, store, signer.address)
    with store.reading() as connection:
        limit = connection.exec_driver_sql("SELECT gas_limit FROM outbox_transactions").scalars().all()
    with elsewhere.reading() as connection:
        used = connection.exec_driver_sql("SELECT gas_used FROM outbox_transactions").scalars().all()
    assert limit[-1:] == [2 * gas for gas in used]


def test_what_made_its_records_is_not_given_back(world: LedgerWorld, store: Store, outbox: Outbox) -> None:
    """Its nonce is used in a final block, by itself."""
    signer, sent = world.admit(outbox), list[str]()
    world.line.handlers["eth_sendRawTransaction"] = lambda params: sent.append(params[0])
    submitter = Submitter(world.chain, outbox, signer, resend_s=3600)
    ids = submitter.submit(world.lots(2))
    submitter.step()
    world.line.handlers.clear()
    world.line.node.request("eth_sendRawTransaction", sent)
    Follower(world.chain, store).follow()
    adopt_records(world.chain, store, signer.address)
    assert transactions(store, signer) == [(0, "sent")]
    submitter.drain()
    verify_final(outbox, ids)
    assert transactions(store, signer) == [(0, "final")]


@pytest.mark.parametrize("depth", [1, DEPTH])
def test_records_wait_until_a_final_block_used_their_nonce(
    world: LedgerWorld, store: Store, outbox: Outbox, depth: int
) -> None:
    signer, chain = world.admit(outbox), world.chain_with(finality_depth=depth)
    world.line.hold_transactions()
    submitter = Submitter(chain, outbox, signer, resend_s=3600)
    [number] = submitter.submit(world.lots(1))
    submitter.step()
    world.line.handlers.clear()
    world.transfer(signer)
    for state in [OutboxState.SENT] * depth + [OutboxState.QUEUED]:
        Follower(chain, store).follow()
        adopt_records(chain, store, signer.address)
        assert outbox.record(number).state is state
        world.chain.node.wait(1)


# Reading


class Blocks:
    """A node that shows the transactions of some blocks, by sender and nonce, and notes which blocks are asked for."""

    def __init__(self, blocks: dict[int, Sequence[tuple[bytes, int]]]) -> None:
        self.blocks = blocks
        self.asked = list[int]()

    @property
    def node(self) -> Blocks:
        return self

    def transactions(self, number: int) -> tuple[SimpleNamespace, list[SimpleNamespace]]:
        self.asked.append(number)
        shown = [SimpleNamespace(hash=name(*one), sender=one[0], nonce=one[1]) for one in self.blocks[number]]
        return SimpleNamespace(hash=bytes([number]) * 32), shown


def name(sender: bytes, nonce: int) -> bytes:
    return sender + bytes([nonce]) * 12


def row(number: int, sender: bytes, nonce: int, contract: str = "ledger", sequence: int = 0) -> RecordRow:
    return RecordRow(
        contract=contract,
        sequence=sequence,
        kind="",
        topic=b"",
        participant=1,
        subject=bytes(32),
        key=sender,
        block_number=number,
        block_hash=bytes([number]) * 32,
        block_time=0,
        transaction_hash=name(sender, nonce),
        log_index=0,
        data=b"",
        inner=bytes(32),
    )


@pytest.mark.parametrize(
    ("blocks", "found", "asked"),
    [
        ({9: [(KEY, 5)], 8: [(KEY, 4)], 7: [(KEY, 3)], 6: [(KEY, 2)]}, [5, 4], [9, 8, 7]),
        ({9: [(OTHER, 5), (KEY, 5), (KEY, 6)], 8: [(OTHER, 1)], 7: [(KEY, 4)]}, [6, 5, 4], [9, 8, 7]),
        ({9: [(OTHER, 7), (KEY, 3)], 8: [(KEY, 2)]}, [], [9]),
        ({9: [(KEY, 3), (OTHER, 7)], 8: [(KEY, 2)]}, [], [9]),
        ({9: [(OTHER, 7)], 8: [(OTHER, 6)]}, [], [9, 8]),
        ({9: [(KEY, 3), (KEY, 4)], 8: [(KEY, 2)], 7: [(KEY, 1)]}, [4], [9, 8]),
    ],
)
def test_blocks_are_read_back_to_the_first_whose_nonces_are_all_known(
    blocks: dict[int, Sequence[tuple[bytes, int]]], found: list[int], asked: list[int]
) -> None:
    shown = Blocks(blocks)
    rows = [row(number, *one) for number, made in blocks.items() for one in made]
    made = list(_find_unknown(cast("Chain", shown), rows, KEY, 4))
    assert [one.transaction.nonce for one in made] == found
    assert [[one.transaction_hash for one in each.rows] for each in made] == [[name(KEY, one)] for one in found]
    assert shown.asked == asked


def test_what_another_contract_made_is_known_without_records(world: LedgerWorld) -> None:
    """Which calls it made, nobody sees from the outside."""
    elsewhere = cast("BlockTransaction", SimpleNamespace(to=bytes(20), data=b"data", hash=name(KEY, 1)))
    found = _Found(elsewhere, [row(9, KEY, 1, contract=one.value) for one in Contract])
    assert _records(world.chain, found, cast("Receipt", None)) == []
