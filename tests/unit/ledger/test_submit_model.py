"""A submitter on a network that loses, delays, forgets and reorganises, in random order: in the end, each record is on
the ledger once, those of a stream are in their order, and nothing was sent that had not been stored."""

from __future__ import annotations

import dataclasses
import random
from contextlib import suppress

import pytest

from millmark.ledger.chain import find_profile
from millmark.ledger.errors import ChainError
from millmark.ledger.keys import LocalSigner
from millmark.ledger.records import Record
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState
from millmark.ledger.submit import Submitter
from tests.support.fake_node import FOUNDED, FakeLedger, FakeNode, nonce_of, record_of

DEPTH, STREAMS, ACTIONS = 3, 3, 60
PROFILE = dataclasses.replace(
    find_profile("clique"), finality_depth=DEPTH, depth_by_signers=False, bump_percent=0, priority_fee_wei=1
)


class World:
    """A network, the records that were queued, and a submitter that may be replaced."""

    def __init__(self, store: Store, seed: int) -> None:
        self.store, self.outbox = store, Outbox(store)
        self.chance = random.Random(seed)  # noqa: S311  # the same in every run
        self.signer = LocalSigner.from_bytes(bytes([seed + 1]) * 32)
        self.node = FakeNode([self.signer.address], self.chance, self.verify_stored, most=self.chance.randrange(2, 12))
        self.chain = FakeLedger(self.node, PROFILE)
        self.sent: dict[int, bytes] = {}
        self.queued: dict[int, int] = dict.fromkeys(range(STREAMS), 0)
        self.good: list[int] = []
        self.bad: list[int] = []
        self.submitter = self.restart()

    def restart(self) -> Submitter:
        self.submitter = Submitter(
            self.chain,
            self.outbox,
            self.signer,
            batch_size=self.chance.randrange(1, 5),
            receipt_grace_s=1e9,
            resend_s=0,
        )
        return self.submitter

    def verify_stored(self, _: bytes, raw: bytes) -> None:
        """No other bytes are ever sent under a nonce, and none that a crash would lose."""
        with self.store.reading() as connection:
            query = "SELECT nonce FROM outbox_transactions WHERE raw = ?"
            stored = connection.exec_driver_sql(query, (raw,)).scalars().all()
        assert stored == [nonce_of(raw)]
        assert self.sent.setdefault(nonce_of(raw), raw) == raw

    def enqueue(self) -> None:
        entries: list[tuple[str, Record]] = []
        good: list[bool] = []
        for _ in range(self.chance.randrange(1, 9)):
            stream = self.chance.randrange(STREAMS)
            good.append(self.chance.random() < 0.93)
            # A refused record is in a stream of its own, so that none of the others needs it.
            index = self.queued[stream] if good[-1] else 0
            record = record_of(stream if good[-1] else 1000 + len(self.bad) + len(entries), index, bad=not good[-1])
            entries.append((f"{len(self.good) + len(self.bad)}-{len(entries)}", record))
            self.queued[stream] += good[-1]
        for number, is_good in zip(self.submitter.submit(entries), good, strict=True):
            (self.good if is_good else self.bad).append(number)

    def step(self) -> bool:
        with suppress(ChainError):
            return self.submitter.step()
        return False

    def act(self) -> None:
        action = self.chance.choices(
            (
                self.enqueue,
                self.step,
                lambda: self.node.mine(self.chance.randrange(6)),
                self.reorganise,
                self.node.drop,
                self.restart,
            ),
            (3, 9, 6, 1, 1, 1),
        )[0]
        action()
        self.verify_final()

    def reorganise(self) -> None:
        depth = min(self.chance.randrange(1, DEPTH + 1), len(self.node.blocks) - FOUNDED)
        if depth:
            self.node.reorganise(depth)

    def verify_final(self) -> None:
        """What is final in the outbox is on the ledger, in blocks that stay."""
        made = set(self.node.blocks[-1 - DEPTH].made) if len(self.node.blocks) > DEPTH else set()
        for number, record in self.outbox.among(self.good).items():
            if record.state is OutboxState.FINAL:
                assert record.payload[-32:] in made, number

    def heal(self) -> None:
        self.node.percent = 0
        for _ in range(400):
            self.node.mine(8)
            if self.step():
                return
        raise AssertionError(self.outbox.counts())

    def verify(self) -> None:
        made = self.node.blocks[-1].made
        records = self.outbox.among(self.good)
        assert {record.state for record in records.values()} <= {OutboxState.FINAL}
        assert sorted(made) == sorted(record.payload[-32:] for record in records.values()), "each once"
        for stream in range(STREAMS):
            own = [root for root in made if int.from_bytes(root[:16], "big") == stream]
            assert own == sorted(own), "in the order of the stream"
        assert [made[(records[number].sequence or 0) - 1] for number in self.good] == [
            records[number].payload[-32:] for number in self.good
        ]
        assert {self.outbox.record(number).state for number in self.bad} <= {OutboxState.FAILED}
        assert self.node.blocks[-1].counts.get(self.signer.address, 0) == len(self.sent), "each nonce was used"


@pytest.mark.parametrize("seed", range(12))
def test_whatever_the_network_does_each_record_is_made_once_and_in_order(store: Store, seed: int) -> None:
    world = World(store, seed)
    world.node.percent = (0, 10, 30)[seed % 3]
    for _ in range(ACTIONS):
        world.act()
    world.heal()
    world.verify()


def test_a_step_asks_little(store: Store) -> None:
    """However many transactions are pending or in blocks that are not final."""
    world = World(store, 99)
    world.node.most = 64
    for _ in range(30):
        world.enqueue()
    world.step()
    while not world.step():
        before = sum(world.node.asked.values())
        pending = len(world.node.pool)
        world.step()
        assert sum(world.node.asked.values()) - before <= 3 + 2 * (64 - pending) + DEPTH + 4
        world.node.mine(4)
    world.verify()
