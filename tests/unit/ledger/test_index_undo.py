"""Reorganisations above the final block: the index takes back what the chain took back, row by row."""

from __future__ import annotations

import copy
import random
from pathlib import Path

import pytest

from millmark.ledger.errors import IndexHaltedError
from millmark.ledger.index import Follower, fetch_status
from millmark.ledger.records import Contract, TransformationKind
from millmark.ledger.store import Rows, Store
from millmark.ledger.store.repository import Undo
from millmark.ledger.store.schema import INDEX
from tests.support.crash import CrashError, CrashingStore, CrashPoint
from tests.support.fake_ledger import FakeLedger
from tests.support.stores import new_store

DEPTH = 12


def build() -> FakeLedger:
    """Five final blocks, with two companies and lots of theirs."""
    made = FakeLedger()
    made.admit(1)
    made.admit(2)
    for name in ("a", "b", "c"):
        made.receive(name, 1, 1000)
    made.chain.mine(5 + DEPTH)
    made.chain.finality_depth = DEPTH
    return made


def branch(root: FakeLedger, name: str, blocks: int, chance: random.Random) -> FakeLedger:
    """What else might have happened after `root`: new rows, changed rows, empty blocks."""
    made = copy.deepcopy(root)
    made.chain.genesis = name  # other hashes even for empty blocks
    for number in range(blocks):
        for turn in range(chance.randrange(4)):
            lots = list(made.lots)
            match chance.randrange(4):
                case 0:
                    made.receive(f"{name}-{number}-{turn}", chance.randint(1, 2), 50)
                case 1:
                    made.scrap(chance.choice(lots[:3]), 1)
                case 2:
                    source = made.receive(f"{name}-{number}-{turn}-in", 1, 4)
                    out = {f"{name}-{number}-{turn}-{part}": 2 for part in "xy"}
                    made.transform(TransformationKind.SPLIT, {source: 4}, out)
                case _:
                    made.admit(made.chain.sequences[Contract.REGISTRY] + 1)
        made.chain.mine()
    return made


def dump(store: Store) -> dict[str, list[object]]:
    with store.reading() as connection:
        return {kind.__name__: Rows(connection).find(kind) for kind in INDEX}


def noted(store: Store) -> int:
    with store.reading() as connection:
        return Undo(connection).count()


def verify_fresh(fake: FakeLedger, store: Store, folder: Path) -> None:
    """The index is what a follower makes of the chain that never saw another branch."""
    folder.mkdir()
    with new_store(folder) as fresh:
        Follower(fake.chain, fresh).follow()
        assert dump(fresh) == dump(store)
        assert fetch_status(fresh) == fetch_status(store)
        assert noted(fresh) == noted(store)


@pytest.mark.parametrize("seed", range(12))
def test_any_sequence_of_branches_leaves_the_last_one(store: Store, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  # a test is to be repeatable
    root = build()
    for turn in range(4):
        blocks = chance.randint(1, DEPTH)
        first = branch(root, f"{turn}a", chance.randint(1, blocks), chance)
        Follower(first.chain, store).follow(limit=chance.choice([None, 1, 3]))
        Follower(first.chain, store).follow()
        second = branch(root, f"{turn}b", blocks, chance)
        lost = len(first.chain.headers) - len(root.chain.headers)
        progress = Follower(second.chain, store).follow()
        assert (progress.undone, progress.block_number) == (lost, len(second.chain.headers) - 1)
        verify_fresh(second, store, tmp_path / f"fresh{turn}")
        root = second


def test_what_is_final_is_noted_no_longer(store: Store) -> None:
    fake = build()
    follower = Follower(fake.chain, store)
    follower.follow()
    assert noted(store) == DEPTH
    fake.chain.finality_depth = 0
    fake.chain.mine()
    follower.follow()
    assert noted(store) == 0


def test_a_reorganisation_past_the_final_block_halts_with_the_index_as_it_was(store: Store) -> None:
    chance, root = random.Random(1), build()  # noqa: S311  # as above
    first = branch(root, "a", DEPTH + 2, chance)
    Follower(first.chain, store).follow()
    before = dump(store)
    second = branch(root, "b", DEPTH + 3, chance)
    with pytest.raises(IndexHaltedError, match=f"final block {len(root.chain.headers) + 1} changed"):
        Follower(second.chain, store).follow()
    assert fetch_status(store) is not None
    after = dump(store)
    assert after["LotRow"] != before["LotRow"], "what was not final went, up to the block that must not change"
    with pytest.raises(IndexHaltedError, match="final block"):
        Follower(second.chain, store).follow()
    assert dump(store) == after
    Follower(first.chain, store).follow()
    assert dump(store) == before, "and the chain that it followed can still be followed"


def test_a_shorter_branch_waits_for_its_length(store: Store, tmp_path: Path) -> None:
    chance, root = random.Random(2), build()  # noqa: S311  # as above
    Follower(branch(root, "a", 5, chance).chain, store).follow()
    before = dump(store)
    second = branch(root, "b", 3, chance)
    assert Follower(second.chain, store).follow().undone == 0
    assert dump(store) == before
    longer = branch(second, "c", 2, chance)
    assert Follower(longer.chain, store).follow().undone == 5
    verify_fresh(longer, store, tmp_path / "fresh")


@pytest.mark.parametrize("stored", [False, True], ids=["not stored", "but stored"])
def test_a_crash_while_blocks_are_taken_back(store: Store, tmp_path: Path, stored: bool) -> None:
    chance, root = random.Random(3), build()  # noqa: S311  # as above
    first, second = (branch(root, name, 4, chance) for name in "ab")
    for at in range(1, 40):
        Follower(first.chain, store).follow()
        point = CrashPoint(at, stored)
        try:
            Follower(second.chain, CrashingStore(store, point)).follow()
        except CrashError:
            Follower(second.chain, store).follow()
        verify_fresh(second, store, tmp_path / f"{at}")
        if point.seen < at:
            break
    assert at > 5, "each block that was taken back is a transaction"


def test_the_index_begins_at_the_deployments_block(store: Store) -> None:
    fake = FakeLedger()
    fake.chain.mine(5)
    fake.chain.first_block = 5
    fake.admit(1)
    fake.chain.mine(3)
    progress = Follower(fake.chain, store).follow()
    assert (progress.block_number, progress.blocks) == (8, 4)
    before = dump(store)
    assert Follower(fake.chain, store).rebuild().blocks == 4
    assert dump(store) == before


def test_a_fork_below_the_head_of_another_node_is_taken_back(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind one address, the latest block may be of another node than the blocks, which may be those of a fork."""
    chance, root = random.Random(3), build()  # noqa: S311  # as above
    fork, chain = branch(root, "fork", 2, chance), branch(root, "chain", DEPTH + 8, chance)
    with monkeypatch.context() as mixed:
        mixed.setattr(fork.chain, "final_number", chain.chain.final_number)
        Follower(fork.chain, store).follow()
        Follower(fork.chain, store).follow()  # and nothing is forgotten as no block follows
    assert Follower(chain.chain, store).follow().undone == 2
    verify_fresh(chain, store, tmp_path / "fresh")
