"""The follower: what it passes over, what it halts at, and that it halts with the index as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from millmark.ledger.chain import RawLog, decode_log
from millmark.ledger.errors import (
    ChainUnreachableError,
    IndexHaltedError,
    MillmarkError,
    StoreBusyError,
    WrongChainError,
    WrongContractError,
)
from millmark.ledger.events import Event, Header, LedgerEvent, Recorded
from millmark.ledger.events.lots import LotReleased
from millmark.ledger.ids import Identity, SubjectKind
from millmark.ledger.index import Follower, IndexStatus, fetch_status
from millmark.ledger.index.follower import may_contain
from millmark.ledger.index.writer import Block
from millmark.ledger.records import TransformationKind
from millmark.ledger.store import Book, Feed, Rows, Store
from millmark.ledger.store.repository import Undo
from millmark.ledger.store.rows import BlockRow, HeadRow, LotRow, RecordHistoryRow, RecordRow
from millmark.ledger.store.schema import INDEX
from tests.support.fake_ledger import FakeChain, FakeLedger
from tests.support.stores import new_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with new_store(tmp_path, "index.db") as opened:
        yield opened


@pytest.fixture
def fake() -> FakeLedger:
    """Ten blocks, records in five of them, two contracts."""
    made = FakeLedger()
    made.admit(1)
    made.admit(2)
    made.chain.mine(2)
    for name in ("a", "b", "c"):
        made.receive(name, 1, 10)
        made.receive(name + "2", 2, 10)
        made.chain.mine(2)
    made.transform(TransformationKind.SPLIT, {made.receive("d", 1, 4): 4}, {"d1": 1, "d2": 3})
    made.chain.mine()
    return made


def dump(store: Store) -> dict[str, list[object]]:
    with store.reading() as connection:
        return {kind.__name__: Rows(connection).find(kind) for kind in INDEX}


def status(store: Store) -> IndexStatus:
    found = fetch_status(store)
    assert found is not None
    return found


def follow_in_steps(follower: Follower, limit: int | None) -> None:
    while follower.follow(limit=limit).blocks:
        pass


def change(chain: FakeChain, number: int, edit: Callable[[Recorded[Event]], Recorded[Event]]) -> None:
    """Has the node lie about the first record of a block."""
    first, *rest = chain.records[number]
    chain.records[number] = (edit(first), *rest)


def test_follows_to_the_latest_block(fake: FakeLedger, store: Store) -> None:
    fake.chain.finality_depth = 2
    progress = Follower(fake.chain, store).follow()
    last = fake.chain.headers[-1]
    assert (progress.block_number, progress.final_number) == (last.number, last.number - 2)
    assert (progress.blocks, progress.undone) == (last.number + 1, 0)
    now = status(store)
    assert (now.block_number, now.block_hash, now.block_time) == (last.number, last.hash, last.timestamp)
    assert (now.registry_sequence, now.ledger_sequence) == (2, 8)
    assert (now.chain_id, now.registry, now.ledger) == (1234, fake.chain.registry, fake.chain.ledger)


def test_no_status_before_the_first_block(store: Store) -> None:
    assert fetch_status(store) is None


def test_what_becomes_final_without_another_block_counts_as_final(fake: FakeLedger, store: Store) -> None:
    """On a chain that makes a block for a record alone, the next one may never come: nobody may wait for it."""
    fake.chain.finality_depth = 1
    last = Follower(fake.chain, store).follow().block_number
    with store.reading() as connection:
        assert Feed(connection).final_number() == last - 1
    fake.chain.finality_depth = 0
    assert Follower(fake.chain, store).follow().blocks == 0
    with store.reading() as connection:
        assert (Feed(connection).final_number(), Undo(connection).count()) == (last, 0)


def test_nothing_final_is_no_failure(fake: FakeLedger, store: Store) -> None:
    fake.chain.finality_depth = 100
    assert Follower(fake.chain, store).follow().final_number == -1


def test_limit_counts_blocks(fake: FakeLedger, store: Store) -> None:
    follower = Follower(fake.chain, store)
    assert follower.follow(limit=3).block_number == 2
    assert follower.follow(limit=0).blocks == 0
    assert follower.follow(limit=3).block_number == 5


def test_heads_are_the_contracts(fake: FakeLedger, store: Store) -> None:
    Follower(fake.chain, store).follow()
    with store.reading() as connection:
        heads = Rows(connection).find(HeadRow)
        links = Rows(connection).find(RecordHistoryRow, subject=heads[0].subject)
    assert {row.subject: row.head for row in heads} == fake.chain.heads
    assert (links[-1].head, len(links)) == (heads[0].head, heads[0].length)


def test_skips_blocks_whose_bloom_has_neither_contract(fake: FakeLedger, store: Store) -> None:
    Follower(fake.chain, store).follow()
    assert fake.chain.fetched == [number for number, records in enumerate(fake.chain.records) if records]
    with store.reading() as connection:
        assert [block.number for block in Rows(connection).find(BlockRow)] == fake.chain.fetched


def test_an_empty_bloom_holds_nothing_and_a_full_one_everything() -> None:
    assert not may_contain(bytes(256), b"\x01" * 20)
    assert may_contain(b"\xff" * 256, b"\x01" * 20)


def test_same_digest_and_rows_however_it_is_followed(fake: FakeLedger, store: Store, tmp_path: Path) -> None:
    follower = Follower(fake.chain, store)
    follow_in_steps(follower, 1)
    stepwise, digest = dump(store), status(store).digest
    with new_store(tmp_path, "other.db") as other:
        Follower(fake.chain, other).follow()
        assert (dump(other), status(other).digest) == (stepwise, digest)
    assert follower.rebuild().blocks == len(fake.chain.headers)
    assert (dump(store), status(store).digest) == (stepwise, digest)


def test_digest_tells_indexes_of_other_records_apart(fake: FakeLedger, store: Store) -> None:
    follower = Follower(fake.chain, store)
    follower.follow()
    before = status(store).digest
    fake.chain.mine()
    follower.follow()
    assert status(store).digest == before
    fake.receive("late", 1, 1)
    fake.chain.mine()
    follower.follow()
    assert status(store).digest != before


def test_rebuild_keeps_the_private_book(fake: FakeLedger, store: Store) -> None:
    follower = Follower(fake.chain, store)
    follower.follow()
    identity = Identity(SubjectKind.LOT, 1, "urn:example:1", bytes(32))
    with store.transaction() as connection:
        Book(connection).add_identity(identity)
    follower.rebuild()
    with store.reading() as connection:
        assert Book(connection).identity(identity.subject) == identity


@pytest.mark.parametrize(
    ("other", "error"),
    [
        (FakeChain(chain_id=99), WrongChainError),
        (FakeChain(genesis="other"), WrongChainError),
        (FakeChain(registry=b"\x33" * 20), WrongContractError),
        (FakeChain(ledger=b"\x33" * 20), WrongContractError),
    ],
    ids=["chain-id", "genesis", "registry", "ledger"],
)
def test_refuses_another_ledger(other: FakeChain, error: type[MillmarkError], fake: FakeLedger, store: Store) -> None:
    Follower(fake.chain, store).follow()
    before = dump(store)
    follower = Follower(other, store)
    with pytest.raises(error):
        follower.follow()
    with pytest.raises(error):
        follower.rebuild()
    assert dump(store) == before


@dataclass(frozen=True, slots=True)
class LotTeleported(LedgerEvent):
    """A kind of a later version."""


def _repeated(record: Recorded[Event]) -> Recorded[Event]:
    return replace(record, sequence=record.sequence - 1)


def _skipped(record: Recorded[Event]) -> Recorded[Event]:
    return replace(record, sequence=record.sequence + 1)


def _unknown(record: Recorded[Event]) -> Recorded[Event]:
    return replace(record, event=LotTeleported())


def _elsewhere(record: Recorded[Event]) -> Recorded[Event]:
    return replace(record, block_hash=bytes(32))


def _foreign(record: Recorded[Event]) -> Recorded[Event]:
    return replace(record, event=LotReleased(bytes(32)))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (_repeated, "the ledger's next record is 5, got 4"),
        (_skipped, "the ledger's next record is 5, got 6"),
        (_unknown, "unknown kind LotTeleported"),
        (_elsewhere, "although it belongs to another block"),
        (_foreign, "which no earlier record created"),
    ],
)
@pytest.mark.parametrize("limit", [None, 1])
def test_halts_right_before_a_bad_record(
    edit: Callable[[Recorded[Event]], Recorded[Event]], message: str, limit: int | None, fake: FakeLedger, store: Store
) -> None:
    bad = next(number for number, records in enumerate(fake.chain.records) if records and records[0].sequence == 5)
    good = fake.chain.records[bad]
    change(fake.chain, bad, edit)
    follower = Follower(fake.chain, store)
    with pytest.raises(IndexHaltedError, match=message):
        follow_in_steps(follower, limit)
    assert status(store).block_number == bad - 1
    halted = dump(store)
    assert len(halted[RecordRow.__name__]) == 2 + 4
    with pytest.raises(IndexHaltedError, match=message):
        follower.follow()
    assert dump(store) == halted
    fake.chain.records[bad] = good
    follower.follow()
    assert {row.subject for row in dump(store)[LotRow.__name__] if isinstance(row, LotRow)} == set(fake.lots)


@pytest.mark.parametrize("limit", [None, 1])
def test_halts_right_before_a_record_that_does_not_decode(limit: int | None, fake: FakeLedger, store: Store) -> None:
    """As a chain's own reader would find it: data of another type than the event's."""
    bad = next(number for number, records in enumerate(fake.chain.records) if records and records[0].sequence == 5)

    class Misread(FakeChain):
        def recorded(self, header: Header) -> tuple[Recorded[Event], ...]:
            found = super().recorded(header)
            for one in found if header.number == bad else ():
                topics = (one.topic, *[bytes(32)] * 3)
                data = one.data[:64] + b"ten" + one.data[67:]
                log = RawLog(self.ledger, topics, data, bad, header.hash, one.transaction_hash, one.log_index)
                decode_log(one.contract, log, header.timestamp)
            return found

    follower = Follower(Misread(headers=fake.chain.headers, records=fake.chain.records), store)
    with pytest.raises(IndexHaltedError, match=f"of block {bad} does not decode as LotReceived"):
        follow_in_steps(follower, limit)
    assert status(store).block_number == bad - 1
    Follower(fake.chain, store).follow()
    assert {row.subject for row in dump(store)[LotRow.__name__] if isinstance(row, LotRow)} == set(fake.lots)


def test_halts_when_the_node_leaves_out_a_record(fake: FakeLedger, store: Store) -> None:
    fake.chain.records[-1] = fake.chain.records[-1][1:]
    with pytest.raises(IndexHaltedError, match="the ledger's next record is 7, got 8"):
        Follower(fake.chain, store).follow()


def test_halts_when_a_final_block_changed(fake: FakeLedger, store: Store) -> None:
    follower = Follower(fake.chain, store)
    follower.follow(limit=5)
    before = dump(store)
    fake.chain.headers[4] = replace(fake.chain.headers[4], hash=b"\x99" * 32)
    with pytest.raises(IndexHaltedError, match="final block 4 changed"):
        follower.follow()
    assert dump(store) == before


def test_halts_at_a_block_with_another_parent(fake: FakeLedger, store: Store) -> None:
    fake.chain.headers[6] = replace(fake.chain.headers[6], parent_hash=b"\x99" * 32)
    follower = Follower(fake.chain, store)
    with pytest.raises(IndexHaltedError, match="final block 5 changed"):
        follower.follow()
    assert status(store).block_number == 5


def test_waits_for_a_node_that_is_behind(fake: FakeLedger, store: Store) -> None:
    follower = Follower(fake.chain, store)
    follower.follow()
    reached = status(store).block_number
    fake.chain.finality_depth = 5
    progress = follower.follow()
    assert (progress.blocks, progress.block_number, progress.final_number) == (0, reached, reached - 5)


@pytest.mark.parametrize("times", [1, 7, 8])
def test_two_followers_of_one_store_do_not_mix(fake: FakeLedger, store: Store, tmp_path: Path, times: int) -> None:
    other, raced = Follower(fake.chain, store), 0

    class Racing(FakeChain):
        def head_number(self) -> int:
            """Asked once in each attempt, after the cursor was read."""
            nonlocal raced
            raced += other.follow(limit=1).blocks if raced < times else 0
            return super().head_number()

    racing = Follower(Racing(headers=fake.chain.headers, records=fake.chain.records), store)
    if times < 8:
        racing.follow()
    else:
        with pytest.raises(StoreBusyError, match="another process is indexing"):
            racing.follow()
        other.follow()
    assert raced == times
    with new_store(tmp_path, "alone.db") as alone:
        Follower(fake.chain, alone).follow()
        assert dump(store) == dump(alone)


def test_a_node_that_fails_half_way_loses_nothing(fake: FakeLedger, store: Store) -> None:
    def fail(header: object) -> tuple[Recorded[Event], ...]:
        raise MillmarkError("no answer")

    Follower(fake.chain, store).follow(limit=6)
    before = dump(store)
    broken = replace(fake.chain)
    broken.recorded = fail  # type: ignore[method-assign]  # the node goes away
    with pytest.raises(MillmarkError, match="no answer"):
        Follower(broken, store).follow()
    after = dump(store)
    assert after[RecordRow.__name__] == before[RecordRow.__name__]
    Follower(fake.chain, store).follow()
    assert status(store).ledger_sequence == 8


@dataclass
class FaultyChain(FakeChain):
    """Fails where a node or its answers do."""

    failing: dict[int, MillmarkError] = field(default_factory=dict)
    """The error of each block whose records are not to be had."""
    once: bool = True
    """Whether each fails only once."""
    most: int = 1_000
    """Number of blocks whose records are answered at once; of more, none are."""

    def recorded(self, header: Header) -> tuple[Recorded[Event], ...]:
        error = self.failing.pop(header.number, None) if self.once else self.failing.get(header.number)
        if error is not None:
            raise error
        return super().recorded(header)

    def recorded_in_each(self, headers: Sequence[Header]) -> Iterator[tuple[Recorded[Event], ...]]:
        if len(headers) > self.most:
            raise ChainUnreachableError("the answer is too large")
        yield from super().recorded_in_each(headers)


BAD = 93


def faulty(depth: int) -> FaultyChain:
    """300 blocks, so that records are asked for in large groups; every third from 81 to 102 has some, as does BAD."""
    made = FakeLedger()
    made.admit(1)
    made.chain.mine(80)
    for number in range(81, 103, 3):
        made.receive(f"lot-{number}", 1, 10)
        made.chain.mine(3)
    made.chain.mine(300 - len(made.chain.headers))
    return FaultyChain(finality_depth=depth, headers=made.chain.headers, records=made.chain.records)


def verify_whole(chain: FaultyChain, store: Store, tmp_path: Path) -> None:
    """The index is as if nothing had ever failed, and can be undone as far."""
    chain.failing, chain.most = {}, 1_000
    with new_store(tmp_path, "clean.db") as clean:
        Follower(chain, clean).follow()
        assert dump(store) == dump(clean)
        assert status(store) == status(clean)
        with store.reading() as left, clean.reading() as right:
            assert (Undo(left).count(), Undo(left).first()) == (Undo(right).count(), Undo(right).first())


@pytest.mark.parametrize("depth", [0, 1_000], ids=["final", "not-final"])
def test_one_lost_answer_in_a_group_neither_loses_nor_doubles_a_block(depth: int, store: Store, tmp_path: Path) -> None:
    chain = faulty(depth)
    chain.failing = {BAD: ChainUnreachableError("no answer")}
    follower = Follower(chain, store)
    assert follower.follow().blocks == 300
    verify_whole(chain, store, tmp_path)


@pytest.mark.parametrize("depth", [0, 1_000], ids=["final", "not-final"])
def test_a_bad_record_in_a_group_halts_right_before_it(depth: int, store: Store, tmp_path: Path) -> None:
    chain = faulty(depth)
    chain.failing, chain.once = {BAD: IndexHaltedError(f"record 5 of block {BAD} does not decode")}, False
    follower = Follower(chain, store)
    for _ in range(3):
        with pytest.raises(IndexHaltedError, match="does not decode"):
            follower.follow()
        assert status(store).block_number == BAD - 1
    chain.failing = {}
    assert follower.follow().block_number == 299
    verify_whole(chain, store, tmp_path)


@pytest.mark.parametrize("most", [1, 3, 20])
def test_asks_for_fewer_blocks_of_a_node_that_fails_at_many(most: int, store: Store, tmp_path: Path) -> None:
    """As one does whose answer is too large, or takes too long."""
    made = FakeLedger()
    for number in range(1, 100):
        made.admit(number)
        made.chain.mine()
    chain = FaultyChain(headers=made.chain.headers, records=made.chain.records)
    follower = Follower(chain, store)
    follower.follow(limit=30)
    chain.most = most
    follow_until_whole(follower)
    verify_whole(chain, store, tmp_path)


def follow_until_whole(follower: Follower) -> None:
    """Follows again after each failure. At most three are without progress in a row: then a group has a 64th."""
    for _ in range(4):
        try:
            assert follower.follow().block_number == 99
        except ChainUnreachableError:
            continue
        return
    pytest.fail("asks for the same group for ever")


def test_no_block_is_indexed_twice_or_left_out(fake: FakeLedger, store: Store) -> None:
    follower = Follower(fake.chain, store)
    cursor = follower._open()
    blocks = [Block(*one) for one in zip(fake.chain.headers, fake.chain.records, strict=True)]
    before = dump(store)
    for batch in ([*blocks[:4], blocks[3]], [*blocks[:4], blocks[0]], [*blocks[:2], blocks[3]]):
        with pytest.raises(IndexHaltedError, match="cannot be indexed after block"):
            follower._commit(cursor, batch, -1)
        assert dump(store) == before
