"""Two followers of one index, whose nodes may be on different forks: whatever one does while the other waits for its
node, the index is that of one chain."""

from __future__ import annotations

import contextlib
import copy
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from millmark.ledger.errors import StoreBusyError
from millmark.ledger.events import Event, Header, Recorded
from millmark.ledger.index import Follower, fetch_status
from millmark.ledger.index import follower as module
from millmark.ledger.store import Store
from tests.support.fake_ledger import FakeChain, FakeLedger
from tests.support.stores import new_store
from tests.unit.ledger.test_index_undo import branch, build, dump, verify_fresh


@dataclass
class SlowChain(FakeChain):
    """A chain during each of whose answers something else happens."""

    meanwhile: Callable[[], None] = lambda: None

    def head_number(self) -> int:
        self.meanwhile()
        return super().head_number()

    def header(self, number: int) -> Header:
        self.meanwhile()
        return super().header(number)

    def headers_of(self, numbers: Sequence[int]) -> Iterator[Header]:
        self.meanwhile()
        return super().headers_of(numbers)

    def recorded(self, header: Header) -> tuple[Recorded[Event], ...]:
        self.meanwhile()
        return super().recorded(header)


def slow(chain: FakeChain, meanwhile: Callable[[], None] = lambda: None) -> SlowChain:
    return SlowChain(**{one.name: getattr(chain, one.name) for one in fields(FakeChain)}, meanwhile=meanwhile)


def verify_of_one_chain(store: Store, chains: Sequence[FakeLedger], tmp_path: Path) -> None:
    status = fetch_status(store)
    assert status is not None
    [*_, own] = [one for one in chains if one.chain.headers[status.block_number].hash == status.block_hash]
    with new_store(tmp_path, f"{random.random()}.db") as fresh:  # noqa: S311  # a name
        Follower(own.chain, fresh).follow(limit=status.block_number + 1)
        assert dump(fresh) == dump(store)


@pytest.mark.parametrize("seed", range(4))
def test_followers_on_two_forks_leave_the_index_of_one(store: Store, tmp_path: Path, seed: int) -> None:
    chance, root = random.Random(seed), build()  # noqa: S311  # a test is to be repeatable
    one, two = branch(root, "one", 8, chance), branch(root, "two", 8, chance)
    other = Follower(two.chain, store)

    def act() -> None:
        if chance.randrange(6) == 0:
            other.follow(limit=chance.randint(1, 9)) if chance.randrange(4) else other.rebuild()

    racing = Follower(slow(one.chain, act), store, ahead=chance.choice([1, 4, 64]))
    for _ in range(4):
        with contextlib.suppress(StoreBusyError):
            racing.follow(limit=chance.choice([None, 3]))
        verify_of_one_chain(store, [one, two], tmp_path)
    other.follow()
    verify_fresh(two, store, tmp_path / "fresh")


def test_progress_is_that_of_the_whole_call(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of what was done before another one was first."""
    monkeypatch.setattr(module, "_BATCH_BLOCKS", 4)
    chance, root = random.Random(5), build()  # noqa: S311  # as above
    one, two = branch(root, "one", 3, chance), branch(root, "two", 10, chance)
    Follower(one.chain, store).follow()
    other, raced = Follower(two.chain, store), [0][:0]

    def act() -> None:
        status = fetch_status(store)
        assert status is not None
        if not raced and status.block_number == len(root.chain.headers) + 3:
            raced.append(other.follow(limit=1).blocks)

    progress = Follower(slow(two.chain, act), store).follow(limit=7)
    assert raced == [1]
    assert (progress.undone, progress.blocks) == (3, 7)
    assert progress.block_number == len(root.chain.headers) - 1 + 7 + 1


def test_a_rebuild_beside_another_follower_is_not_to_be_repeated(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would delete again what the other one has written."""
    monkeypatch.setattr(module, "_OVERTAKEN", 1)
    fake = build()
    other = Follower(fake.chain, store)
    other.follow()

    def act() -> None:
        other.follow(limit=1)

    with pytest.raises(StoreBusyError, match="was deleted, and another process builds it") as caught:
        Follower(slow(fake.chain, act), store).rebuild()
    assert "try again" not in str(caught.value)


def test_nothing_is_forgotten_of_blocks_that_another_follower_wrote(store: Store) -> None:
    """They may be of a fork, although their numbers are final on this chain."""
    chance, root = random.Random(7), build()  # noqa: S311  # as above
    fork, chain = branch(root, "fork", 2, chance), branch(root, "chain", 2, chance)
    Follower(chain.chain, store).follow()
    ahead, asked = copy.copy(chain.chain), [0][:0]
    ahead.finality_depth = 0

    def act() -> None:
        asked.append(1)
        if len(asked) == 2:  # the index' last block is being compared with the chain
            Follower(fork.chain, store).follow()

    racing = Follower(slow(ahead, act), store)
    racing.follow()
    racing.follow()
    status = fetch_status(store)
    assert status is not None
    assert status.block_hash == chain.chain.headers[-1].hash
