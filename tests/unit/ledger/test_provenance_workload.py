"""A machine's work: the latest assignments alone, said when there are more, and none of orders that are not there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from millmark.ledger.provenance import reader as module
from millmark.ledger.provenance.reader import MAX_WORK, Workload, workload
from millmark.ledger.store import Rows
from millmark.ledger.store.rows import AssignmentRow
from tests.support.fake_world import CARRIER, SMITH, World, build_world
from tests.support.stores import new_store

IDLE, FIRST = 99, 1_000_000
"""A machine without work, and the sequence after which more is proposed to it here."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with new_store(tmp_path_factory.mktemp("work")) as store:
        yield build_world(store)


def give(world: World, machine: int, count: int) -> None:
    """The n-th is started at n * 10 and ended at n * 10 + 5, the last one is under way, one before it not started."""
    with world.store.transaction() as connection:
        rows = Rows(connection)
        known = rows.latest(AssignmentRow, "sequence", 1, machine=world.machine)[0]
        made = [
            replace(known, sequence=FIRST * machine + n, machine=machine, started_at=n * 10, ended_at=n * 10 + 5)
            for n in range(1, count + 1)
        ]
        made[-1].ended_at = 0
        made[-2].started_at = made[-2].ended_at = 0
        rows.insert(made)


def test_a_machine_without_work_has_none(world: World) -> None:
    assert workload(world.store, IDLE, None) == Workload((), cut=False)


def test_what_was_started_is_there_the_latest_first(world: World) -> None:
    give(world, 100, 4)
    assert workload(world.store, 100, None) == Workload(((40, None), (20, 25), (10, 15)), cut=False)


def test_of_more_than_can_be_looked_at_the_latest_is_taken(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    give(world, 101, 8)
    monkeypatch.setattr(module, "MAX_WORK", 8)
    assert not workload(world.store, 101, None).cut
    monkeypatch.setattr(module, "MAX_WORK", 3)
    assert workload(world.store, 101, None) == Workload(((80, None), (60, 65)), cut=True)


def test_the_bound_is_a_thousand(world: World) -> None:
    give(world, 102, MAX_WORK + 1)
    found = workload(world.store, 102, None)
    assert found.cut
    assert len(found.spans) == MAX_WORK - 1
    assert found.spans[-1] == (20, 25), "the oldest is left out"


def test_orders_that_are_not_there_leave_no_trace(world: World) -> None:
    give(world, 103, 5)
    assert workload(world.store, 103, SMITH).spans == workload(world.store, 103, None).spans
    assert workload(world.store, 103, CARRIER) == Workload((), cut=False)
