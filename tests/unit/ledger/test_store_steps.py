"""Steps kept from one transaction to the next: never of another state than that which a reader sees."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from millmark.ledger.store import Lineage, Rows, Store
from millmark.ledger.store import lineage as kept
from millmark.ledger.store.repository import Querying
from millmark.ledger.store.rows import CursorRow, LotInputRow, LotOutputRow, RecordRow
from millmark.ledger.store.schema import lot_inputs, lot_outputs, records
from tests.support.stores import new_store
from tests.unit.ledger.test_store_lineage import DEPTH, MAX, distances, subject

NONE = bytes(32)
LOTS = 6
Edge = tuple[int, int]


class Chain:
    """An index with one transformation a block, that grows and is undone. `at` is its transformations, in order."""

    def __init__(self, store: Store) -> None:
        self.store, self.at, self._tried = store, list[Edge](), 0
        with store.transaction() as connection:
            Rows(connection).clear_index()
            Rows(connection).insert([CursorRow(1, 0, NONE, 0, 0, 0, NONE)])

    def grow(self, edge: Edge) -> None:
        """A block with one transformation, which no other block resembles."""
        self._tried += 1
        self.at.append(edge)
        number, block = len(self.at), hashlib.sha256(str(self._tried).encode()).digest()
        with self.store.transaction() as connection:
            rows = Rows(connection)
            rows.insert(
                [RecordRow("ledger", number, "made", NONE, 1, NONE, NONE, number, block, 0, NONE, 0, b"", NONE)]
            )
            rows.insert([LotInputRow(number, subject(edge[0]), 1, component=False)])
            rows.insert([LotOutputRow(number, subject(edge[1]), 1)])
            rows.update([CursorRow(1, number, block, 0, 0, number, block)])

    def undo(self) -> None:
        """As a reorganisation does."""
        if not self.at:
            return
        number = len(self.at)
        self.at.pop()
        with self.store.transaction() as connection:
            for table in (records, lot_inputs, lot_outputs):
                connection.execute(delete(table).where(table.c.sequence == number))
            rows = Rows(connection)
            last = rows.get(RecordRow, "ledger", number - 1)
            block = NONE if last is None else last.block_hash
            rows.update([CursorRow(1, number - 1, block, 0, 0, number - 1, block)])

    def check_each(self, lineage: Lineage, edges: list[Edge]) -> None:
        for lot in range(LOTS):
            self.check(lineage, edges, {lot})

    def check(self, lineage: Lineage, edges: list[Edge], start: set[int]) -> None:
        """What a reader finds is what these transformations say."""
        names = [subject(number) for number in start]
        down, up = lineage.downstream(names, DEPTH, MAX), lineage.upstream(names, DEPTH, MAX)
        assert {int.from_bytes(lot, "big"): depth for lot, depth in down} == distances(set(edges), start)
        assert {int.from_bytes(lot, "big"): depth for lot, depth in up} == distances({(b, a) for a, b in edges}, start)
        assert lineage.all_downstream(names, DEPTH, MAX) == {lot for lot, _ in down}
        assert lineage.all_upstream(names, DEPTH, MAX) == {lot for lot, _ in up}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with new_store(tmp_path) as opened:
        yield opened


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with new_store(tmp_path_factory.mktemp("steps")) as opened:
        yield opened


lots = st.integers(0, LOTS - 1)
acts = st.one_of(st.tuples(lots, lots), st.just("undo"), st.sets(lots, min_size=1, max_size=3))


@settings(max_examples=60, deadline=None)
@given(script=st.lists(acts, max_size=20))
def test_readers_find_what_the_state_that_they_see_says(shared: Store, script: list[Edge | str | set[int]]) -> None:
    """A reader of an earlier state, too, that asks after one of a later state."""
    chain = Chain(shared)
    for act in script:
        if isinstance(act, set):
            with shared.reading() as connection:
                chain.check(Lineage(connection), chain.at, act)
            continue
        with shared.reading() as connection:
            before, early = list(chain.at), Lineage(connection)
            early.upstream([subject(0)], 1, 1)  # from here on, it sees this state
            chain.undo() if act == "undo" else chain.grow(act)  # type: ignore[arg-type]  # a pair
            with shared.reading() as other:
                chain.check_each(Lineage(other), chain.at)
            chain.check_each(early, before)
            chain.check_each(Lineage(connection), before)
        with shared.reading() as connection:
            chain.check_each(Lineage(connection), chain.at)


def read(store: Store, lot: int) -> list[tuple[bytes, int]]:
    with store.reading() as connection:
        return Lineage(connection).upstream([subject(lot)], DEPTH, MAX)


def steps_of(store: Store) -> kept.Steps:
    with store.reading() as connection:
        found: kept.KeptSteps = connection.get_execution_options()[kept.KEPT_STEPS]
        return found.at(Querying(connection))


def spoil(store: Store) -> None:
    """Takes all transformations away behind the index's back: what is found after this was kept."""
    with store.transaction() as connection:
        connection.execute(delete(lot_outputs))


def test_what_was_read_is_not_read_again(store: Store) -> None:
    chain = Chain(store)
    for edge in ((1, 2), (2, 3)):
        chain.grow(edge)
    found = read(store, 3)
    spoil(store)
    assert read(store, 3) == found == [(subject(3), 0), (subject(2), 1), (subject(1), 2)]


def test_a_block_without_transformations_leaves_the_steps(store: Store) -> None:
    chain = Chain(store)
    chain.grow((1, 2))
    read(store, 2)
    before = steps_of(store)
    with store.transaction() as connection:
        Rows(connection).update([CursorRow(1, 2, NONE, 0, 9, 1, bytes([7]) * 32)])
    assert steps_of(store) is before


def test_a_rebuild_forgets_the_steps(store: Store) -> None:
    """Even one that ends at the same block: it may have mended what was damaged."""
    chain = Chain(store)
    chain.grow((1, 2))
    read(store, 2)
    with store.transaction() as connection:
        rows = Rows(connection)
        cursor, record = rows.find(CursorRow), rows.find(RecordRow)
        rows.clear_index()
        rows.insert(cursor)
        rows.insert(record)
    assert read(store, 2) == [(subject(2), 0)]


def test_a_writer_neither_finds_nor_leaves_steps(store: Store) -> None:
    chain = Chain(store)
    chain.grow((1, 2))
    with store.transaction() as connection:
        Rows(connection).insert([LotOutputRow(1, subject(3), 1)])
        assert Lineage(connection).all_upstream([subject(3)], DEPTH, MAX) == {subject(3), subject(1)}
        transaction = connection.get_transaction()
        assert transaction is not None
        transaction.rollback()
    assert read(store, 3) == [(subject(3), 0)]
    spoil(store)
    with store.transaction() as connection:
        assert Lineage(connection).all_upstream([subject(3)], DEPTH, MAX) == {subject(3)}


def test_no_more_lots_are_kept_than_allowed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST_KEPT", 2)
    chain = Chain(store)
    for edge in ((1, 2), (2, 3)):
        chain.grow(edge)
    assert [depth for _, depth in read(store, 3)] == [0, 1, 2]
    assert len(steps_of(store)) == 0


def test_after_very_many_records_the_steps_are_read_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = Chain(store)
    chain.grow((1, 2))
    read(store, 2)
    monkeypatch.setattr(kept, "_MOST_NEW", 1)
    for edge in ((4, 5), (5, 6)):
        chain.grow(edge)
    assert len(steps_of(store)) == 0


def test_lots_in_line_are_found_within_bounds(store: Store) -> None:
    chain = Chain(store)
    for edge in ((1, 2), (2, 3), (3, 4), (5, 4), (6, 7)):
        chain.grow(edge)
    with store.reading() as connection:
        lineage = Lineage(connection)
        start = [subject(number) for number in (1, 4, 5, 6)]
        assert lineage.in_line_with([subject(3)], start, DEPTH, MAX) == {subject(1), subject(4)}
        assert lineage.in_line_with([subject(3)], start, 1, MAX) == {subject(4)}
        assert lineage.in_line_with([subject(6), subject(9)], start, DEPTH, MAX) == {subject(6)}
        assert lineage.in_line_with([], start, DEPTH, MAX) == set()
