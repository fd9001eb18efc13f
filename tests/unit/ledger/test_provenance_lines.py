"""Who may see which lots of a family, judged for many at once: as for each alone, whatever the family looks like."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millmark.ledger.provenance import permissions
from millmark.ledger.provenance.permissions import Visibility
from millmark.ledger.store import Lineage, Rows, Store
from millmark.ledger.store.rows import CustodyChangeRow, LotInputRow, LotOutputRow, LotRow
from tests.support.stores import new_store, scratch

LOTS, ME, OTHER = 12, 7, 8
edges_of = st.sets(st.tuples(st.integers(0, LOTS - 1), st.integers(0, LOTS - 1)), max_size=24)
some_lots = st.sets(st.integers(0, LOTS - 1), max_size=LOTS)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with new_store(tmp_path_factory.mktemp("lines")) as opened:
        yield opened


def subject(number: int) -> bytes:
    return number.to_bytes(32, "big")


def lot(number: int, custodian: int) -> LotRow:
    return LotRow(
        subject(number), number * 64, number, None, None, 0, 0, 0, 1, 1, b"H87", custodian, 0, 1, 0, 0, 0, 0, bytes(32)
    )  # fmt: skip


def closure(edges: set[tuple[int, int]], start: int) -> set[int]:
    found, layer = {start}, {start}
    while layer:
        layer = {b for a, b in edges if a in layer} - found
        found |= layer
    return found


def in_line(edges: set[tuple[int, int]], held: set[int], number: int) -> bool:
    """What holds for one lot: it, something that it came of, or something made of it is held."""
    back = {(b, a) for a, b in edges}
    return bool(held & (closure(edges, number) | closure(back, number)))


@settings(max_examples=120, deadline=None)
@given(
    edges=edges_of,
    held=some_lots,
    taken=some_lots,
    asked=st.lists(some_lots, min_size=1, max_size=3),
    most=st.sampled_from([3, 10_000]),
)
def test_many_are_judged_as_each_alone(
    store: Store,
    edges: set[tuple[int, int]],
    held: set[int],
    taken: set[int],
    asked: list[set[int]],
    most: int,
) -> None:
    """Also where the bounds are reached: then the lots are looked at in halves, and each within bounds of its own."""
    with scratch(store) as connection, pytest.MonkeyPatch.context() as patch:
        patch.setattr(permissions, "_MAX", most)
        rows = Rows(connection)
        rows.insert([lot(number, ME if number in held else OTHER) for number in range(LOTS)])
        for sequence, (a, b) in enumerate(sorted(edges)):
            rows.insert([LotInputRow(sequence, subject(a), 1, component=False)])
            rows.insert([LotOutputRow(sequence, subject(b), 1)])
        rows.insert([CustodyChangeRow(100 + one, subject(one), "CustodyAccepted", OTHER, ME, 1) for one in taken])
        rows.insert([CustodyChangeRow(200 + one, subject(one), "CustodyOffered", OTHER, ME, 1) for one in range(LOTS)])
        visibility = Visibility(rows, Lineage(connection), ME)
        for numbers in asked:
            seen = {int.from_bytes(one, "big") for one in visibility.lots([subject(one) for one in numbers])}
            right = {one for one in numbers if in_line(edges, held | taken, one)}
            assert seen == right if most == 10_000 else numbers & (held | taken) <= seen <= right
