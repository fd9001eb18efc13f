"""A company changes its key again and again while its machines keep recording: nothing is lost, nothing is doubled, and
a revoked key records nothing from the next block on."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from millmark.ledger.chain import Node, Transaction, call_data, first_fees, sign_transaction
from millmark.ledger.errors import ContractRefusedError
from millmark.ledger.keys import LocalSigner
from millmark.ledger.records import ALL_ROLES, AcceptKey, Contract, ProposeKey, Record, RevokeKey
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState
from millmark.ledger.submit import Submitter
from millmark.services.store import open_store
from tests.support.ledger_world import LedgerWorld, build_world

pytestmark = pytest.mark.integration

ROTATIONS = 20
PATIENCE_S = 30.0


class Plant:
    """Queues lots under the key of the day, and submits for every key that it ever had, in a thread of its own."""

    def __init__(self, world: LedgerWorld, outbox: Outbox, first: LocalSigner) -> None:
        self.world, self.outbox = world, outbox
        self.key = first
        self.submitters = [world.submitter(outbox, first, batch_size=3)]
        self.ids: list[int] = []
        self.failures: list[Exception] = []
        self._guard = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> Plant:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(PATIENCE_S)

    def _work(self) -> None:
        try:
            while not self._ended.is_set():
                with self._guard:
                    self._produce()
                    submitters = list(self.submitters)
                for submitter in submitters[-2:]:
                    submitter.step()
        except Exception as error:  # shown by the test, which would wait in vain
            self.failures.append(error)

    def _produce(self) -> None:
        self.ids += self.submitters[-1].submit(self.world.lots(4))

    def record(self, submitter: Submitter, name: str, record: Record) -> None:
        """Through the same outbox as everything else; waits until it is final."""
        [number] = submitter.submit([(name, record)])
        self._await(number)

    def _await(self, number: int) -> None:
        pause = threading.Event()
        for _ in range(int(PATIENCE_S / 0.01)):
            found = self.outbox.record(number)
            assert found.state is not OutboxState.FAILED, found.error
            assert not self.failures, self.failures
            if found.state is OutboxState.FINAL:
                return
            pause.wait(0.01)
        raise AssertionError(f"record {number} does not get onto the ledger")

    def rotate(self, number: int, participant: int) -> int:
        """A new key instead of the present one, which is revoked with whatever it still has under way; gives the block
        of the revocation."""
        old = self.submitters[-1]
        new_key = self.world.fund(LocalSigner.generate())
        new = self.world.submitter(self.outbox, new_key, batch_size=3)
        self.record(old, f"propose-{number}", ProposeKey(new_key.address, int(ALL_ROLES), admin=True))
        with self._guard:
            self.submitters += [new]
            old_key, self.key = self.key, new_key
            accepted = new.submit([(f"accept-{number}", AcceptKey(participant))])[0]
        self._await(accepted)
        self.record(new, f"revoke-{number}", RevokeKey(old_key.address, 0))
        block = self.world.chain.head_number()
        verify_refused(self.world, old_key)
        with self._guard:
            old.drain()
            self.outbox.hand_over(old_key.address, new_key.address)
        return block


def verify_refused(world: LedgerWorld, key: LocalSigner) -> None:
    """In a simulation, and in a block of a node that asks no questions."""
    [(_, record)] = world.lots(1)
    data = call_data(record)
    with pytest.raises(ContractRefusedError, match="RegistryKeyRevoked"):
        world.chain.simulate(Contract.LEDGER, data, key.address)
    node = Node(world.line.node)
    offer = first_fees(node, world.chain.profile).max_fee_wei
    for nonce in range(node.transaction_count(key.address), node.transaction_count(key.address) + 5):
        signed = sign_transaction(
            Transaction(world.chain.chain_id, nonce, 1, offer, 1_000_000, world.chain.ledger, data), key
        )
        node.send(signed.raw)
        receipt = node.receipt(signed.hash)
        if receipt is not None:  # else the plant used the nonce meanwhile
            assert not receipt.succeeded
            assert receipt.logs == ()
            return
    raise AssertionError("the revoked key's transaction never got into a block")


def test_keys_rotate_under_load(tmp_path: Path) -> None:
    world = build_world()
    with open_store(f"sqlite:///{tmp_path / 'store.sqlite'}") as store:
        outbox = Outbox(store)
        first = world.admit(outbox)
        revoked: dict[bytes, int] = {}
        with Plant(world, outbox, first) as plant:
            for number in range(ROTATIONS):
                key = plant.key.address
                revoked[key] = plant.rotate(number, 1)
        assert plant.failures == []
        plant.submitters[-1].drain()
        found = [outbox.record(number) for number in plant.ids]
        assert {record.state for record in found} == {OutboxState.FINAL}
        assert sorted(record.sequence or 0 for record in found) == list(range(1, world.count() + 1))
        assert len(found) > 4 * ROTATIONS
        assert len({record.signer for record in found}) == ROTATIONS + 1
        last = last_blocks(store)
        assert all(last[key] <= block for key, block in revoked.items()), "a revoked key recorded"


def last_blocks(store: Store) -> dict[bytes, int]:
    """By key: the last block with records of it, as their receipts said."""
    query = "SELECT signer, max(block_number) FROM outbox_transactions WHERE state = 'final' GROUP BY signer"
    with store.reading() as connection:
        return {bytes(signer): int(block) for signer, block in connection.exec_driver_sql(query)}
