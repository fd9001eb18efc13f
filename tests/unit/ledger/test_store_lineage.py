"""Walks along transformations and packings: right against a plain search, and bounded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millmark.ledger.store import Lineage, Rows, Store
from millmark.ledger.store.rows import LotInputRow, LotOutputRow, LotRow
from tests.support.stores import new_store, scratch

DEPTH, MAX = 64, 1000


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with new_store(tmp_path_factory.mktemp("lineage")) as opened:
        yield opened


def subject(number: int) -> bytes:
    return number.to_bytes(32, "big")


def lot(number: int, parent: int | None = None) -> LotRow:
    packed_in = None if parent is None else subject(parent)
    return LotRow(
        subject(number), number * 64, number, None, packed_in, 0, 0, 0, 1, 1, b"H87", 1, 0, 1, 0, 0, 0, 0, bytes(32)
    )  # fmt: skip


def distances(edges: set[tuple[int, int]], start: set[int]) -> dict[int, int]:
    found, layer, depth = dict.fromkeys(start, 0), start, 0
    while layer:
        depth += 1
        layer = {b for a, b in edges if a in layer} - found.keys()
        found |= dict.fromkeys(layer, depth)
    return found


graphs = st.sets(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=30)


@settings(max_examples=40, deadline=None)
@given(edges=graphs, start=st.sets(st.integers(0, 11), min_size=1, max_size=3))
def test_walks_find_the_shortest_ways_even_in_circles(
    store: Store, edges: set[tuple[int, int]], start: set[int]
) -> None:
    """No chain makes circles; a walk must end all the same."""
    with scratch(store) as connection:
        rows, lineage = Rows(connection), Lineage(connection)
        rows.insert([lot(number) for number in range(12)])
        for sequence, (a, b) in enumerate(sorted(edges)):
            rows.insert([LotInputRow(sequence, subject(a), 1, component=False)])
            rows.insert([LotOutputRow(sequence, subject(b), 1)])
        seeds = [subject(number) for number in start]
        down = {int.from_bytes(name, "big"): depth for name, depth in lineage.downstream(seeds, 14, MAX)}
        up = {int.from_bytes(name, "big"): depth for name, depth in lineage.upstream(seeds, 14, MAX)}
        whole = lineage.downstream(seeds, 14, MAX)
        assert [lineage.downstream(seeds, 14, most) for most in range(13)] == [whole[:most] for most in range(13)]
        assert whole == sorted(whole, key=lambda found: (found[1], found[0]))
    assert down == distances(edges, start)
    assert up == distances({(b, a) for a, b in edges}, start)


def test_walks_stop_at_depth_and_breadth(store: Store) -> None:
    with scratch(store) as connection:
        rows, lineage = Rows(connection), Lineage(connection)
        rows.insert([lot(number) for number in range(20)])
        rows.insert([LotInputRow(number, subject(number), 1, component=False) for number in range(19)])
        rows.insert([LotOutputRow(number, subject(number + 1), 1) for number in range(19)])
        assert [depth for _, depth in lineage.downstream([subject(0)], 3, MAX)] == [0, 1, 2, 3]
        assert [name for name, _ in lineage.downstream([subject(0)], DEPTH, 2)] == [subject(0), subject(1)]
        assert lineage.downstream([], DEPTH, MAX) == []
        assert lineage.downstream([subject(99)], DEPTH, MAX) == [(subject(99), 0)]


def test_walks_start_from_any_number_of_lots(store: Store) -> None:
    with scratch(store) as connection:
        Rows(connection).insert([lot(number) for number in range(1500)])
        seeds = [subject(number) for number in range(1500)]
        assert len(Lineage(connection).upstream(seeds, DEPTH, 2000)) == 1500


def test_contents_are_what_is_packed_now(store: Store) -> None:
    with scratch(store) as connection:
        Rows(connection).insert([lot(1), lot(2, 1), lot(3, 2), lot(4)])
        assert Lineage(connection).contents([subject(1)], DEPTH, MAX) == [
            (subject(1), 0), (subject(2), 1), (subject(3), 2),
        ]  # fmt: skip
