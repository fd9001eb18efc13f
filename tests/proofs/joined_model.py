"""Outbox, chain and index together, as Hypothesis drives them: `python -m tests.proofs.joined_model` (`scripts/prove
joined`) for many runs.

Two keys write to one network, through one database that also has the index. The network loses, delays, forgets and
reorganises; submitters are restarted; the database is replaced by an older backup. Whatever happens: in the end each
record is on the ledger once, those of a stream are in their order, nothing else is there, and the index says the same
as one that is built from the first block.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from millmark.ledger.chain import find_profile
from millmark.ledger.errors import ChainError, OutboxOlderError
from millmark.ledger.index import Follower, fetch_status
from millmark.ledger.keys import LocalSigner
from millmark.ledger.records import Record
from millmark.ledger.store import Rows, Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState
from millmark.ledger.store.outbox_writer import claim_adopted
from millmark.ledger.store.rows import RecordRow
from millmark.ledger.store.schema import INDEX
from millmark.ledger.submit import Submitter, build_entry
from millmark.ledger.submit.standing import adopt_records, verify_outbox
from tests.support.fake_node import FOUNDED, FakeLedger, FakeNode, nonce_of, record_of
from tests.support.stores import copy_database, new_store

__all__ = ["JoinedModel", "main"]

_DEPTH, _STREAMS = 3, 2
_PROFILE = dataclasses.replace(
    find_profile("clique"), finality_depth=_DEPTH, depth_by_signers=False, bump_percent=0, priority_fee_wei=1
)
_KEYS = st.integers(0, 1)
_AHEAD = 2
"""Blocks that the index asks for at once: few, so that requests for as many as that fail too."""
_PATIENCE = 400
"""Blocks within which a healthy network has everything."""


class JoinedModel(RuleBasedStateMachine):
    """The model is `requested`: what was asked for, in order, by key."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="joined-"))
        self.store = new_store(self.folder)
        self.requested: list[list[tuple[str, Record]]] = [[], []]
        self.counts: list[dict[int, int]] = [dict.fromkeys(range(_STREAMS), 0) for _ in range(2)]
        self.backup: tuple[Store, list[int]] | None = None
        self.signers = [LocalSigner.from_bytes(bytes([number + 1]) * 32) for number in range(2)]
        self.sent: dict[tuple[bytes, int], set[bytes]] = {}

    @initialize(seed=st.integers(0, 2**32), most=st.integers(2, 12))
    def found(self, seed: int, most: int) -> None:
        chance = random.Random(seed)  # noqa: S311  # Hypothesis draws the seed
        keys = [one.address for one in self.signers]
        self.node = FakeNode(keys, chance, self.verify_stored, most=most, one_fails=False, in_order=False)
        self.chain = FakeLedger(self.node, _PROFILE)
        self.submitters = [self.start(number, 3) for number in range(2)]
        self.follower = Follower(self.chain, self.store, _AHEAD)
        for signer in self.signers:
            assert verify_outbox(self.chain, self.store, signer.address)

    def start(self, number: int, size: int) -> Submitter:
        outbox, signer = Outbox(self.store), self.signers[number]
        return Submitter(self.chain, outbox, signer, batch_size=size, receipt_grace_s=1e9, resend_s=0)

    def verify_stored(self, sender: bytes, raw: bytes) -> None:
        """Nothing is sent that a crash would lose."""
        with self.store.reading() as connection:
            query = "SELECT count(*) FROM outbox_transactions WHERE signer = ? AND nonce = ? AND raw = ?"
            assert connection.exec_driver_sql(query, (sender, nonce_of(raw), raw)).scalar_one() == 1

    # What users and the network do

    @rule(key=_KEYS, streams=st.lists(st.integers(0, _STREAMS - 1), min_size=1, max_size=6))
    def submit(self, key: int, streams: list[int]) -> None:
        made = []
        for stream in streams:
            index = self.counts[key][stream]
            self.counts[key][stream] += 1
            made.append((f"{key}-{stream}-{index}", record_of(2 * stream + key, index)))
        self.requested[key] += made
        self.submitters[key].submit(made)

    @rule(key=_KEYS, most=st.integers(1, 4))
    def repeat(self, key: int, most: int) -> None:
        """A client that got no answer asks again."""
        self.submitters[key].submit(self.requested[key][-most:])

    @rule(key=_KEYS)
    def step(self, key: int) -> None:
        with suppress(ChainError):
            self.submitters[key].step()

    @rule(most=st.integers(0, 5))
    def mine(self, most: int) -> None:
        self.node.mine(most)

    @rule(depth=st.integers(1, _DEPTH))
    def reorganise(self, depth: int) -> None:
        depth = min(depth, len(self.node.blocks) - FOUNDED)
        if depth:
            self.node.reorganise(depth)

    @rule()
    def drop(self) -> None:
        self.node.drop()

    @rule(percent=st.sampled_from((0, 10, 30)))
    def disturb(self, percent: int) -> None:
        self.node.percent = percent

    @rule(limit=st.none() | st.integers(1, 4))
    def follow(self, limit: int | None) -> None:
        with suppress(ChainError):
            self.follower.follow(limit)

    @rule(key=_KEYS, size=st.integers(1, 5))
    def restart(self, key: int, size: int) -> None:
        self.submitters[key] = self.start(key, size)

    @rule()
    def back_up(self) -> None:
        if self.backup is not None:
            self.backup[0].close()
        kept = new_store(self.folder, f"backup-{len(list(self.folder.iterdir()))}.db")
        copy_database(self.store, kept)
        self.backup = kept, [len(one) for one in self.requested]

    @precondition(lambda self: self.backup is not None)
    @rule(key=_KEYS, streams=st.lists(st.integers(0, _STREAMS - 1), max_size=6))
    def restore(self, key: int, streams: list[int]) -> None:
        """As OPERATIONS.md has it: the records that the backup lacks are adopted from the ledger, and clients repeat
        what they asked for since. `streams`: of records that are sent just before, so that the backup lacks some.

        Not tried: transactions that are still in a pool when the restored outbox sends its first, since the network
        comes to rest before; new requests between the adoption and the repeated ones.
        """
        assert self.backup is not None
        kept, lengths = self.backup
        if streams:
            self.submit(key, streams)
            self.step(key)
        self.rest()
        copy_database(kept, self.store)
        self.follower.follow()
        for number in range(2):
            self.adopt(number)
            self.submitters[number] = self.start(number, 3)
            self.request_again(number, self.requested[number][lengths[number] :])

    def rest(self) -> None:
        """All transactions that can be mined are in final blocks, and the others are forgotten."""
        self.node.percent = 0
        while any((key, self.node.blocks[-1].counts.get(key, 0)) in self.node.pool for key in self.node.keys):
            self.node.mine(8)
        self.node.pool.clear()
        for _ in range(_DEPTH + 1):
            self.node.mine()

    def adopt(self, number: int) -> None:
        """The comparison, which a gateway makes at its start, asks for the adoption if there is anything to adopt."""
        signer = self.signers[number].address
        try:
            is_older = not verify_outbox(self.chain, self.store, signer)
        except OutboxOlderError:
            is_older = True
        adoption = adopt_records(self.chain, self.store, signer)
        assert is_older == bool(adoption.transactions), adoption
        assert verify_outbox(self.chain, self.store, signer)

    def request_again(self, number: int, requests: Sequence[tuple[str, Record]]) -> None:
        """As the gateway answers a repeated request: with the adopted record, or by queueing it if there is none."""
        signer = self.signers[number].address
        for name, record in requests:
            entry = build_entry(name, record)
            with self.store.transaction() as connection:
                found = claim_adopted(connection, signer, entry.contract, entry.payload, name)
            if found is None:
                self.submitters[number].submit([(name, record)])

    # What must hold

    @invariant()
    def what_is_final_stays(self) -> None:
        """What the outbox calls final is on the ledger, in blocks that no reorganisation reaches."""
        final = self.node.blocks[-1 - _DEPTH].made if len(self.node.blocks) > _DEPTH else ()
        for requested in self.requested:
            found = Outbox(self.store).find([key for key, _ in requested])
            for record in found.values():
                if record.state is OutboxState.FINAL:
                    assert record.payload[-32:] in final, record.idempotency_key

    @invariant()
    def the_index_is_of_one_chain(self) -> None:
        """The index has exactly the records up to its block, if that block is still there."""
        status = fetch_status(self.store)
        if status is None or status.block_number >= len(self.node.blocks):
            return
        at = self.node.blocks[status.block_number]
        if at.header["hash"] == "0x" + status.block_hash.hex():
            assert status.ledger_sequence == len(at.made)

    def teardown(self) -> None:
        try:
            self.come_to_rest()
            self.verify()
        finally:
            self.store.close()
            if self.backup is not None:
                self.backup[0].close()
            shutil.rmtree(self.folder)

    def come_to_rest(self) -> None:
        self.node.percent = 0
        for _ in range(_PATIENCE):
            self.node.mine(8)
            idle = [submitter.step() for submitter in self.submitters]
            if all(idle):
                self.follower.follow()
                return
        raise AssertionError(f"records are still under way: {Outbox(self.store).counts()}")

    def verify(self) -> None:
        made = self.node.blocks[-1].made
        wanted = [record.claims_root for requested in self.requested for _, record in requested]  # type: ignore[attr-defined]
        assert sorted(made) == sorted(wanted), "nothing is lost, doubled, or there without having been asked for"
        for key, requested in enumerate(self.requested):
            found = Outbox(self.store).find([name for name, _ in requested])
            assert {one.state for one in found.values()} <= {OutboxState.FINAL}
            for name, record in requested:
                assert made[(found[name].sequence or 0) - 1] == record.claims_root, "its own number"  # type: ignore[attr-defined]
            for stream in range(_STREAMS):
                own = [one for one in made if int.from_bytes(one[:16], "big") == 2 * stream + key]
                assert own == sorted(own), "in the order of the stream"
        self.verify_index(made)

    def verify_index(self, made: Sequence[bytes]) -> None:
        replayed = new_store(self.folder, "replayed.db")
        try:
            Follower(self.chain, replayed).follow()
            assert fetch_status(self.store) == fetch_status(replayed)
            assert _dump(self.store) == _dump(replayed), "the index equals its replay"
            with replayed.reading() as connection:
                rows = [one for one in Rows(connection).find(RecordRow) if one.contract == "ledger"]
            assert len(rows) == len(made)
        finally:
            replayed.close()


def _dump(store: Store) -> dict[str, list[object]]:
    with store.reading() as connection:
        return {kind.__name__: Rows(connection).find(kind) for kind in INDEX}


def main(arguments: Sequence[str] | None = None) -> int:
    """Raises AssertionError with the shortest run that breaks a promise."""
    parser = argparse.ArgumentParser(prog="scripts/prove joined")
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=60, help="longest run")
    given = parser.parse_args(arguments)
    run_state_machine_as_test(
        JoinedModel,
        settings=settings(
            max_examples=given.runs,
            stateful_step_count=given.steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    sys.stdout.write(f"{given.runs} runs of up to {given.steps} steps: nothing lost, doubled, phantom or misordered\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
