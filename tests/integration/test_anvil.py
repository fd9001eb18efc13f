"""The same ledger on anvil, another EVM: deployed, used by the demonstration's companies, followed, and its heads
recomputed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from millmark.ledger.canonical import sha256
from millmark.ledger.chain import Chain, HttpTransport, Node, call_data
from millmark.ledger.errors import ContractRefusedError
from millmark.ledger.index import Follower
from millmark.ledger.records import Contract, ReceiveLot
from millmark.ledger.store import Rows, Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState
from millmark.ledger.store.rows import HeadRow, RecordRow
from millmark.ledger.submit import Submitter
from tests.support import toolchain
from tests.support.engines import run_demonstration, running_anvil
from tests.support.ledger_world import LedgerWorld, build_world, submit_one_bad_record, verify_final
from tests.support.patience import MAX_S
from tests.support.stores import new_store

pytestmark = [
    pytest.mark.integration,
    pytest.mark.contracts,
    pytest.mark.skipif(toolchain.describe_missing() is not None, reason=str(toolchain.describe_missing())),
]
ORDERS = 3


@pytest.fixture(scope="module")
def anvil(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpTransport]:
    with running_anvil(tmp_path_factory.mktemp("anvil")) as transport:
        yield transport


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with new_store(tmp_path) as opened:
        yield opened


def verify_followed(chain: Chain, store: Store) -> int:
    """The index holds every record of the chain, and the heads that it recomputed are those in the contract."""
    Follower(chain, store).follow()
    with store.reading() as connection:
        records, heads = Rows(connection).find(RecordRow), Rows(connection).find(HeadRow)
    for contract in Contract:
        sequences = sorted(record.sequence for record in records if record.contract == contract.value)
        assert sequences == list(range(1, chain.sequence(contract) + 1))
    assert len(heads) > ORDERS
    for row in heads:
        assert chain.head(row.subject) == row.head
    return len(heads)


def test_the_demonstration_runs_and_its_index_is_the_chains(anvil: HttpTransport, store: Store) -> None:
    line = run_demonstration(store, anvil, ORDERS)
    verify_followed(line.consortium.chain, store)
    assert line.consortium.outbox.counts() == {"final": sum(line.consortium.recorded.values())}
    assert all(job.verdict.value for job in line.jobs)


def test_both_engines_record_the_same_kinds_in_the_same_order(anvil: HttpTransport, tmp_path: Path) -> None:
    kinds = []
    heads = []
    for name, transport in (("anvil", anvil), ("embedded", None)):
        folder = tmp_path / name
        folder.mkdir()
        with new_store(folder) as store:
            line = run_demonstration(store, transport, ORDERS)
            heads.append(verify_followed(line.consortium.chain, store))
            with store.reading() as connection:
                rows = sorted(Rows(connection).find(RecordRow), key=lambda row: (row.contract, row.sequence))
            kinds.append([(row.contract, row.kind) for row in rows])
    assert kinds[0] == kinds[1]
    assert heads[0] == heads[1]


@pytest.fixture(scope="module")
def world(anvil: HttpTransport) -> LedgerWorld:
    return build_world(anvil, "anvil")


def test_a_batch_with_one_bad_record(world: LedgerWorld, store: Store) -> None:
    submit_one_bad_record(world, Outbox(store))


def test_a_call_that_runs_out_of_gas_is_a_refusal(world: LedgerWorld, store: Store) -> None:
    signer = world.admit(Outbox(store))
    data = call_data(ReceiveLot(sha256(b"gas"), 1, b"H87", bytes(32)))
    with pytest.raises(ContractRefusedError):
        world.chain.node.call(world.chain.ledger, data, signer.address, gas_limit=40_000)


def test_calls_of_one_shape_are_estimated_once(world: LedgerWorld, store: Store) -> None:
    """The simulation still shows what each takes: a limit that is too small for the next is found anew."""
    outbox = Outbox(store)
    signer = world.admit(outbox)
    world.line.passed.clear()
    submitter = Submitter(world.chain, outbox, signer, batch_size=5, resend_s=MAX_S)
    ids = submitter.submit(world.lots(20))
    submitter.drain()
    verify_final(outbox, ids)
    assert world.line.passed.count("eth_sendRawTransaction") == 4
    assert world.line.passed.count("eth_estimateGas") == 1
    data = call_data(ReceiveLot(sha256(b"shape"), 1, b"H87", bytes(32)))
    found = world.chain.simulate(Contract.LEDGER, data, signer.address)
    assert world.chain.simulate(Contract.LEDGER, data, signer.address, found) == found
    assert world.chain.simulate(Contract.LEDGER, data, signer.address, found // 2) == found
    assert world.chain.simulate(Contract.LEDGER, data, signer.address, found * 100 // 112) == found, "headroom is kept"


def test_slow_blocks_and_dropped_transactions(anvil: HttpTransport, world: LedgerWorld, store: Store) -> None:
    """Nothing is mined until it is told to; what the pool drops is sent again."""
    outbox = Outbox(store)
    signer, before = world.admit(outbox), world.count()
    submitter = Submitter(world.chain, outbox, signer, batch_size=2, receipt_grace_s=5, resend_s=0)
    ids = submitter.submit(world.lots(5))
    anvil.request("evm_setAutomine", [False])
    try:
        assert submitter.step() is False
        anvil.request("anvil_dropAllTransactions", [])
        assert submitter.step() is False
        assert submitter.step() is False, "the node knows them already"
        anvil.request("evm_mine", [])
    finally:
        anvil.request("evm_setAutomine", [True])
    submitter.drain()
    assert verify_final(outbox, ids) == list(range(before + 1, before + 6))
    assert world.nonces(signer) == 3


def test_a_reorganisation_sends_the_same_bytes_again(anvil: HttpTransport, world: LedgerWorld, store: Store) -> None:
    """The block of a mined, not yet final transaction goes away, and the node does not put it back by itself."""
    chain = Chain(Node(anvil), dataclasses.replace(world.chain.profile, finality_depth=3), world.chain.deployment)
    outbox = Outbox(store)
    signer, before = world.admit(outbox), world.count()
    submitter = Submitter(chain, outbox, signer, receipt_grace_s=5, resend_s=0)
    ids = submitter.submit(world.lots(2))
    while {outbox.record(number).state for number in ids} != {OutboxState.MINED}:
        assert submitter.step() is False  # a busy machine shows the receipt later
    anvil.request("anvil_reorg", [1, []])
    assert world.count() == before
    submitter.step()
    assert {outbox.record(number).state for number in ids} == {OutboxState.SENT}
    submitter.step()
    anvil.request("anvil_mine", ["0x3"])
    submitter.drain()
    assert verify_final(outbox, ids) == [before + 1, before + 2]
    assert world.nonces(signer) == 1
