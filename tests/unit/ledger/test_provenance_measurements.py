"""One measurement for several lots or operations: the index sees it whatever a bundle has, and says it in traces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import pytest

from millmark.ledger.provenance import Trace, trace
from millmark.ledger.records import Verdict
from millmark.ledger.store import Store
from millmark.services.text.trace import describe_trace
from tests.support.fake_world import SMITH, World, build_bad_world
from tests.support.stores import new_store

INSPECTOR = 4


@dataclass
class Bench:
    store: Store
    world: World
    stream: bytes
    model: int


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with new_store(tmp_path_factory.mktemp("bench")) as store:
        world = build_bad_world(store)
        gauge = world.fake.register_machine(SMITH, "gauge")
        yield Bench(store, world, world.fake.open_stream(gauge, "readings"), world.fake.register_model(4, "diameter"))


def test_v4_the_index_tells_one_measurement_for_two_lots(bench: Bench) -> None:
    fake = bench.world.fake
    fake.anchor(bench.stream, SMITH, 4)
    numbers = []
    for name, leaf in (("ring", 1), ("bolt", 1), ("nut", 2)):
        lot = fake.receive(name, SMITH, 1)
        numbers.append(fake.certify(lot, INSPECTOR, bench.model, Verdict.PASS, bench.stream, leaf_index=leaf))
        if name == "ring":
            ring = lot
    nut = lot
    bench.world.follow()
    found = cast(Trace, trace(bench.store, ring))
    [shared] = found.shared_measurements
    assert (shared.stream, shared.leaf_index, shared.certificates) == (bench.stream, 1, tuple(numbers[:2]))
    assert (shared.assignments, shared.others) == ((), 0)
    lines = "\n".join(describe_trace(found))
    assert (
        f"entry 1 of stream 0x{bench.stream.hex()[:16]}...: certificate {numbers[0]}, certificate {numbers[1]}" in lines
    )
    assert not cast(Trace, trace(bench.store, nut)).shared_measurements
    assert "ATTENTION" not in "\n".join(describe_trace(cast(Trace, trace(bench.store, nut))))


def test_v4_the_index_tells_an_operation_and_a_certificate_of_another_lot(bench: Bench) -> None:
    fake = bench.world.fake
    mill = fake.register_machine(SMITH, "mill two")
    order = fake.place("shared", 1, 2)
    fake.accept_order(order)
    fake.begin(order, 0, mill)
    made = fake.commission("own", order, 1)
    stream = fake.assignments[order, 0].stream
    index = fake.streams[stream][0]
    fake.finish(order, 0)
    other = fake.receive("stranger", SMITH, 1)
    bench.world.follow()
    assert not cast(Trace, trace(bench.store, made)).shared_measurements
    certificate = fake.certify(other, INSPECTOR, bench.model, Verdict.PASS, stream, leaf_index=index)
    bench.world.follow()
    for lot in (made, other):
        [shared] = cast(Trace, trace(bench.store, lot)).shared_measurements
        assert (shared.certificates, len(shared.assignments)) == ((certificate,), 1)


def test_work_that_only_started_names_no_entry(bench: Bench) -> None:
    """Its stream is known from the start, and its entry only from the end."""
    fake = bench.world.fake
    order = fake.place("begun", 1, 2)
    fake.accept_order(order)
    fake.begin(order, 0, fake.register_machine(SMITH, "mill three"))
    lot = fake.commission("begun lot", order, 1)
    bench.world.follow()
    [assignment] = cast(Trace, trace(bench.store, lot)).assignments
    assert assignment.stream is not None
    assert assignment.leaf_index is None
