"""The judge of network faults sees each kind of wrong; parts of a run add up, and are read again."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from millmark.ledger.chain import EmbeddedChain, find_profile
from millmark.ledger.errors import InputError
from millmark.ledger.index import Follower
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.submit import Submitter
from millmark.services.store import open_store
from tests.faults.ledger_check import LedgerCheck
from tests.faults.network.company import event_of
from tests.faults.network.judge import CompanyAccount, Judgement, judge
from tests.faults.network.links import raise_head
from tests.faults.network.part import Injected, Part, read_parts, sum_up
from tests.faults.network.scenarios import FAULTS
from tests.faults.runs import NETWORK_RUNS, run_faults
from tests.faults.workload import found_site

RIGHT = LedgerCheck(5, 5, 0, 0, 0, 0, 0, 0, True, True)
PART = Part("geth", "1.13.15", (Injected("kill", 3.0, 2.0, 1.0),), RIGHT, 2, 3, 4, {"indexing: chain-behind": 1}, ())


class World:
    """A ledger on an embedded chain, and one company whose process acknowledged some events."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.node = folder, EmbeddedChain()
        self.site = found_site(folder, self.node, find_profile("embedded"), 1)
        self.database = f"sqlite:///{folder / 'company.sqlite'}"
        self.store = open_store(self.database)

    def record(self, numbers: list[int], prefix: str = "") -> None:
        chain = self.site.connect(self.node)
        submitter = Submitter(chain, Outbox(self.store), self.site.signer)
        for number in numbers:
            event = event_of(0, number)
            submitter.submit([(prefix + event.key, self.site.record(event))])
            submitter.drain()
        Follower(chain, self.store).follow()

    def judge(self, acknowledged: list[int]) -> Judgement:
        (self.folder / "fresh.sqlite").unlink(missing_ok=True)
        account = CompanyAccount(self.site, 0, acknowledged, self.database)
        return judge(self.folder, self.node, [account])


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.store.close()


def execute(store: Store, statement: str) -> None:
    with store.transaction() as connection:
        connection.exec_driver_sql(statement)


def test_what_is_right_passes(world: World) -> None:
    world.record([0, 1, 2])
    found = world.judge([0, 1, 2])
    assert found.check.passed
    assert found.broken == ()
    assert (found.check.events, found.check.acknowledged, found.check.unknown) == (3, 3, 0)


def test_what_was_stored_as_the_process_was_told_to_stop_is_no_phantom(world: World) -> None:
    world.record([0, 1, 2])
    found = world.judge([0, 1]).check
    assert (found.passed, found.unknown, found.phantom) == (True, 1, 0)


def test_each_wrong_is_counted(world: World) -> None:
    world.record([1, 0, 2])
    world.record([2], "again-")
    world.record([500])
    found = world.judge([0, 1, 2, 3])
    assert (found.check.lost, found.check.duplicate, found.check.phantom, found.check.misordered) == (1, 1, 1, 1)
    assert found.broken == ("company 0: 1 acknowledged records are not final: {'absent': 1}",)


def test_an_outbox_that_says_otherwise_is_seen(world: World) -> None:
    world.record([0, 1])
    execute(world.store, "UPDATE outbox_records SET sequence = sequence + 7 WHERE idempotency_key = 'company-0-1'")
    assert world.judge([0, 1]).broken == ("company 0: 1 records are final under another sequence than the ledger's",)
    execute(world.store, "UPDATE outbox_records SET state = 'sent' WHERE idempotency_key = 'company-0-1'")
    assert world.judge([0, 1]).broken == ("company 0: 1 acknowledged records are not final: {'sent': 1}",)


def test_a_second_nonce_is_seen(world: World) -> None:
    world.record([0, 1])
    execute(
        world.store,
        "INSERT INTO outbox_attempts SELECT max(transaction_id), 9, min(record_id) FROM outbox_attempts",
    )
    assert world.judge([0, 1]).broken == ("company 0: 1 records went out under a second nonce",)


def test_an_index_that_differs_is_seen(world: World) -> None:
    world.record([0])
    execute(world.store, "UPDATE cursor SET digest = zeroblob(32)")
    assert world.judge([0]).check.replay_equal is False


def test_a_lie_about_the_head_leaves_all_else() -> None:
    assert raise_head("eth_blockNumber", "0x10") == hex(0x10 + 40)
    assert raise_head("eth_getTransactionCount", "0x10") == "0x10"


def test_parts_add_up_and_are_read_again(tmp_path: Path) -> None:
    kept = tmp_path / "kept.jsonl"
    assert read_parts(kept) == []
    wrong = dataclasses.replace(PART, check=dataclasses.replace(RIGHT, lost=1), broken=("unfinished",), late=("late",))
    kept.write_text("".join(json.dumps(part.to_json()) + "\n" for part in (PART, wrong)))
    assert read_parts(kept) == [PART, wrong]
    found = sum_up(read_parts(kept))
    assert (found.engine, found.injected, found.broken) == ("geth 1.13.15", {"kill": 2}, ("unfinished", "late"))
    assert (found.check.acknowledged, found.check.lost, found.check.passed) == (10, 1, False)
    assert found.figures["kill_engine_max_s"] == 2.0
    assert found.table[2] == "| kill | 2 | 2.0, at most 2.0 | 1.0, at most 1.0 |"


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kept.jsonl").write_text("{}\n")
    with pytest.raises(InputError, match="has no parts of a run"):
        read_parts(tmp_path / "kept.jsonl")
    with pytest.raises(InputError, match="rpc keeps nothing"):
        run_faults("rpc", 1, 1, tmp_path / "kept.jsonl")


def test_the_profiles_have_every_fault() -> None:
    assert set(NETWORK_RUNS["network"]) == set(FAULTS)
