"""State proofs, checkpoints and bundles on anvil: another engine, another trie, another JSON for the same header."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from millmark.ledger.bundle import parse_bundle
from millmark.ledger.canonical import keccak256
from millmark.ledger.chain import Chain, fetch_checkpoint, fetch_headers, fetch_proofs, fetch_trust
from millmark.ledger.checkpoint import SignedCheckpoint
from millmark.ledger.headers import parse_header
from millmark.ledger.index import Follower, check_index, check_rows
from millmark.ledger.provenance import build_bundle
from millmark.ledger.slots import LotSlots, OrderSlots, decode_struct, head_slot, slots_of
from millmark.ledger.store import Rows, Store
from millmark.ledger.store.rows import HeadRow, LotRow, OrderRow
from millmark.ledger.trust import BelievedBlock
from millmark.ledger.verify import verify_bundle
from millmark.services.demo.production import Line
from tests.support import toolchain
from tests.support.engines import run_demonstration, running_anvil
from tests.support.stores import new_store

pytestmark = [
    pytest.mark.integration,
    pytest.mark.contracts,
    pytest.mark.skipif(toolchain.describe_missing() is not None, reason=str(toolchain.describe_missing())),
]
ORDERS = 2


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """Orders from placing to delivery, indexed."""
    with (
        running_anvil(tmp_path_factory.mktemp("anvil")) as transport,
        new_store(tmp_path_factory.mktemp("store")) as store,
    ):
        line = run_demonstration(store, transport, ORDERS)
        Follower(line.consortium.chain, store).follow()
        yield line


@pytest.fixture
def chain(line: Line) -> Chain:
    return line.consortium.chain


@pytest.fixture
def store(line: Line) -> Store:
    return line.consortium.store


def test_proofs_say_what_the_index_says(chain: Chain, store: Store) -> None:
    with store.reading() as connection:
        rows = Rows(connection)
        heads, lots, orders = rows.find(HeadRow), rows.find(LotRow), rows.find(OrderRow)
    wanted = [head_slot(row.subject) for row in heads]
    wanted += [slots_of(LotSlots, row.subject)[0] for row in lots]
    wanted += [slots_of(OrderSlots, row.subject)[0] for row in orders]
    found = fetch_proofs(chain.node, {chain.ledger: wanted, chain.registry: ()}, chain.final_number())
    words = {slot: word for (_, slot), word in found.words.items()}
    assert all(words[head_slot(row.subject)] == row.head for row in heads)
    for row in lots:
        lot = decode_struct(LotSlots, [words[slots_of(LotSlots, row.subject)[0]]])
        assert (lot.number, lot.quantity, lot.holder, lot.unit, lot.state) == (
            row.number,
            row.quantity,
            row.custodian,
            row.unit,
            row.state,
        )
    for order in orders:
        kept = decode_struct(OrderSlots, [words[slots_of(OrderSlots, order.subject)[0]]])
        assert (kept.sequence, kept.buyer, kept.state) == (order.sequence, order.buyer, order.state)
    account = found.accounts[chain.registry]
    assert account is not None
    assert account.code_hash == keccak256(chain.node.code(chain.registry))


def test_headers_hash_to_what_the_node_says(chain: Chain) -> None:
    last = chain.final_number()
    for header in map(parse_header, fetch_headers(chain.node, last - 10, last)):
        assert header.hash == chain.node.header(header.number).hash


def test_a_part_s_bundle_verifies_at_the_latest_and_at_an_earlier_block(line: Line, chain: Chain, store: Store) -> None:
    part = line.jobs[0].part
    assert part is not None
    last = chain.final_number()
    for number in (last, last - 1):
        point = fetch_checkpoint(chain, number)
        data = build_bundle(store, chain, [part.subject], checkpoint=SignedCheckpoint(point))
        trust = fetch_trust(chain, {}, BelievedBlock(point.block_number, point.block_hash))
        proof_block = parse_header(parse_bundle(data).headers[0])
        assert proof_block.number == number
        verify_bundle(data, trust, now_s=proof_block.timestamp, any_status=True)


def test_the_index_is_the_chain_s(chain: Chain, store: Store, tmp_path: Path) -> None:
    with new_store(tmp_path) as scratch:
        for check in (check_index(store, chain), check_rows(store, chain, scratch)):
            assert check is not None
            assert check.findings == []
