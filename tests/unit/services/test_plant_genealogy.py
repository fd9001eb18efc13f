"""Genealogy of a large plant: drawn the same every time, well made, and read back as it was drawn."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import pytest

from millmark.ledger.provenance import Limits, Trace, recall, sort_lots, trace
from millmark.ledger.store import Lineage, Store
from millmark.services.store import open_store
from tests.support.plant_store import Plant, draw_plant, write_plant

LOTS, SEED = 600, 5


@pytest.fixture(scope="module")
def plant() -> Plant:
    return draw_plant(LOTS, SEED)


@pytest.fixture(scope="module")
def store(plant: Plant, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path_factory.mktemp('plant') / 'ledger.db'}") as opened:
        write_plant(opened, plant)
        yield opened


def distances(plant: Plant, start: int, *, up: bool) -> dict[bytes, int]:
    """Breadth first over the drawing itself."""
    beyond: dict[int, set[int]] = defaultdict(set)
    for step in plant.steps:
        for near in step.outputs if up else step.inputs:
            beyond[near].update(step.inputs if up else step.outputs)
    found, layer, depth = {start: 0}, {start}, 0
    while layer:
        depth += 1
        layer = {other for lot in layer for other in beyond[lot]} - found.keys()
        found |= dict.fromkeys(layer, depth)
    return {plant.subject(lot): depth for lot, depth in found.items()}


def test_a_seed_draws_one_plant() -> None:
    assert draw_plant(LOTS, SEED) == draw_plant(LOTS, SEED)
    assert draw_plant(LOTS, SEED) != draw_plant(LOTS, SEED + 1)
    assert [draw_plant(lots, SEED).lots for lots in (1, 39, 40, 60)] == [20, 20, 40, 60]


def test_every_made_lot_is_made_once_and_of_what_was_there(plant: Plant) -> None:
    made = [lot for step in plant.steps for lot in step.outputs]
    assert sorted(made) == list(range(plant.width, plant.lots))
    assert all(max(step.inputs) < min(step.outputs) for step in plant.steps)
    sort_lots((before, after) for step in plant.steps for before in step.inputs for after in step.outputs)


def test_it_branches_merges_and_has_coils_that_reach_far(plant: Plant) -> None:
    uses: dict[int, int] = defaultdict(int)
    for step in plant.steps:
        for lot in step.inputs:
            uses[lot] += 1
    assert max(uses.values()) > 2
    assert max(len(step.inputs) for step in plant.steps) >= 4
    assert {len(step.outputs) for step in plant.steps} >= {1, 2, 4}
    large = draw_plant(4_000, SEED)
    assert all(len(distances(large, coil, up=False)) > large.lots // 20 for coil in large.coils)


@pytest.mark.parametrize("up", [True, False])
def test_walks_find_what_a_plain_search_finds(plant: Plant, store: Store, up: bool) -> None:
    with store.reading() as connection:
        lineage = Lineage(connection)
        walk = lineage.upstream if up else lineage.downstream
        for lot in range(0, plant.lots, 7):
            assert dict(walk([plant.subject(lot)], 64, 10_000)) == distances(plant, lot, up=up)


def test_answers_are_those_of_a_followed_ledger(plant: Plant, store: Store) -> None:
    lot = plant.finished[15]
    found = trace(store, f"urn:example:plant:{lot}")
    assert isinstance(found, Trace)
    assert {one.subject: one.depth for one in found.upstream} == {
        subject: depth for subject, depth in distances(plant, lot, up=True).items() if depth
    }
    assert (found.lot.parent, len(found.packed_in), len(found.certificates)) == (found.packed_in[0].subject, 1, 1)
    assert found.order is not None
    bad = recall(store, lot=plant.subject(plant.coils[0]))
    assert (bad.counts.lots, bad.truncated) == (len(distances(plant, plant.coils[0], up=False)), False)
    assert bad.counts.certificates == bad.counts.valid > 0
    cut = recall(store, lot=plant.subject(plant.coils[0]), limits=Limits(depth=3, lots=10_000))
    assert cut.truncated
