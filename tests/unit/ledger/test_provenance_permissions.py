"""What there is for each participant: every lot, order, machine and certificate of a small world, by every one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from millmark.ledger.errors import NotFoundError
from millmark.ledger.ids import SubjectKind
from millmark.ledger.provenance import Trace, certificate, open_reader, recall, trace
from millmark.ledger.records import AssignmentState
from tests.support.fake_world import (
    AUDITOR,
    BUYER,
    CARRIER,
    COORDINATOR,
    INSPECTOR,
    OTHER_BUYER,
    SMITH,
    World,
    build_world,
)
from tests.support.stores import new_store

EVERYONE = (BUYER, COORDINATOR, SMITH, INSPECTOR, AUDITOR, CARRIER, OTHER_BUYER)
STRANGER = 99
HELD = {BUYER, CARRIER}
"""Took over the box with two hips; so what these came of is theirs to see, and what else came of that is not."""
PARTIES = {SMITH, BUYER, COORDINATOR, INSPECTOR}
LOTS: dict[str, set[int]] = {
    "bar": {SMITH, *HELD},
    "melt": {SMITH, *HELD},
    "billet": {SMITH, *HELD},
    "hip blank": {*PARTIES, CARRIER},
    "rail blank": {SMITH, COORDINATOR, INSPECTOR, OTHER_BUYER},
    "hip 1": {*PARTIES, CARRIER},
    "hip 2": {*PARTIES, CARRIER},
    "hip 3": PARTIES,
    "box": {SMITH, *HELD},
}
LINKED = {name: seers & {SMITH, *HELD} - ({BUYER} if "3" in name else set()) for name, seers in LOTS.items()}
"""Whoever is merely a party to the order has no part in the lot; the buyer never got the hip that failed."""
ORDERS = {"hip": PARTIES, "rail": {SMITH, COORDINATOR, INSPECTOR, OTHER_BUYER}}
MACHINE = {SMITH, BUYER, COORDINATOR, INSPECTOR, OTHER_BUYER}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with new_store(tmp_path_factory.mktemp("viewing")) as store:
        yield build_world(store)


def unknown(ask: Callable[..., object], *given: object, **more: Any) -> str:
    with pytest.raises(NotFoundError) as caught:
        ask(*given, **more)
    return str(caught.value)


def spelled(name: str) -> str:
    return "urn:example:" + name.replace(" ", "-")


def test_the_table_has_every_lot(world: World) -> None:
    assert LOTS.keys() == world.lots.keys()
    assert ORDERS.keys() == world.orders.keys()


@pytest.mark.parametrize("viewer", [*EVERYONE, STRANGER])
@pytest.mark.parametrize("name", LOTS)
def test_every_lot_for_every_participant(world: World, name: str, viewer: int) -> None:
    subject = world.lots[name]
    with open_reader(world.store, viewer) as reader:
        assert reader.visibility is not None
        assert reader.visibility.has(SubjectKind.LOT, subject) is (viewer in LOTS[name])
        assert reader.visibility.is_linked(subject) is (viewer in LINKED[name])
    if viewer in LOTS[name]:
        assert isinstance(trace(world.store, subject, viewer=viewer), Trace)
        return
    absent, shown = b"\x77" * 32, "0x" + subject.hex()
    foreign = unknown(trace, world.store, shown, viewer=viewer)
    none = unknown(trace, world.store, "0x" + absent.hex(), viewer=viewer)
    assert foreign.replace(subject.hex(), absent.hex()) == none


@pytest.mark.parametrize("viewer", [*EVERYONE, STRANGER])
def test_identifiers_are_found_where_the_thing_is(world: World, viewer: int) -> None:
    names = {spelled(name): viewer in seers for name, seers in {**LOTS, **ORDERS}.items()}
    for name, there in names.items():
        if there:
            trace(world.store, name, viewer=viewer)
        else:
            found = unknown(trace, world.store, name, viewer=viewer)
            none = unknown(trace, world.store, "urn:example:no-such", viewer=viewer)
            assert found.replace(name, "urn:example:no-such") == none


@pytest.mark.parametrize("viewer", [*EVERYONE, STRANGER])
def test_every_certificate_for_every_participant(world: World, viewer: int) -> None:
    for name, sequence in world.certificates.items():
        if viewer in LOTS[name.removesuffix(" again")]:
            assert certificate(world.store, sequence, viewer=viewer).certificate == sequence
        else:
            found = unknown(certificate, world.store, sequence, viewer=viewer)
            none = unknown(certificate, world.store, 999_999, viewer=viewer)
            assert found.replace(str(sequence), "999999", 1) == none


@pytest.mark.parametrize("viewer", EVERYONE)
def test_an_answer_names_only_what_is_there(world: World, viewer: int) -> None:
    """Subjects, quantities and holders are on the chain that all run; what a thing is called is not."""
    names = {subject: name for name, subject in world.lots.items()}
    for name, seers in LOTS.items():
        if viewer not in seers:
            continue
        found = trace(world.store, world.lots[name], viewer=viewer)
        assert isinstance(found, Trace)
        assert found.lot.identifier == spelled(name)
        for lot in (*found.upstream, *found.downstream, *found.contents, *found.packed_in):
            assert (lot.identifier is not None) is (viewer in LOTS[names[lot.subject]])
            if lot.machine is not None:
                assert (lot.machine.identifier is not None) is (viewer in MACHINE)
        for step in found.transformations:
            for part in (*step.inputs, *step.outputs):
                assert (part.identifier is not None) is (viewer in LOTS[names[part.lot]])
        if found.order is not None:
            assert (found.order.identifier is not None) is (viewer in ORDERS["rail" if "rail" in name else "hip"])


@pytest.mark.parametrize("viewer", [*EVERYONE, STRANGER])
def test_who_recalls_what(world: World, viewer: int) -> None:
    span = {"since": _moment(0), "until": _moment(4_000_000_000)}
    asked: dict[str, tuple[dict[str, Any], set[int]]] = {
        "model": ({"model": world.model}, {INSPECTOR, AUDITOR}),
        "billet": ({"lot": world.lots["billet"]}, {SMITH}),
        "hip 1": ({"lot": world.lots["hip 1"]}, {SMITH, *HELD}),
        "machine": ({"machine": world.machine, **span}, {SMITH}),
    }
    for given, seers in asked.values():
        if viewer in seers:
            recall(world.store, viewer=viewer, **given)
        else:
            unknown(recall, world.store, viewer=viewer, **given)


def test_the_owner_sees_all(world: World) -> None:
    found = trace(world.store, spelled("rail blank"))
    assert isinstance(found, Trace)
    assert all(lot.identifier for lot in found.upstream)


def test_what_is_offered_is_there_and_gone_with_the_offer(tmp_path_factory: pytest.TempPathFactory) -> None:
    with new_store(tmp_path_factory.mktemp("offered")) as store:
        world = build_world(store)
        box, inside = world.lots["box"], world.lots["hip 2"]
        for wanted in (True, False):
            if wanted:
                world.fake.offer(box, AUDITOR)
            else:
                world.fake.end_offer(box, declined=True)
            world.follow()
            with open_reader(store, AUDITOR) as reader:
                assert reader.visibility is not None
                assert reader.visibility.has(SubjectKind.LOT, box) is wanted
                assert reader.visibility.has(SubjectKind.LOT, inside) is wanted
                assert not reader.visibility.is_linked(inside)


@pytest.mark.parametrize("declined", [True, False])
def test_an_order_is_there_for_whose_machine_is_asked_for_until_it_is_not(
    tmp_path_factory: pytest.TempPathFactory, declined: bool
) -> None:
    kind, state = (
        ("AssignmentDeclined", AssignmentState.DECLINED)
        if declined
        else ("AssignmentCancelled", AssignmentState.CANCELLED)
    )
    with new_store(tmp_path_factory.mktemp("asked")) as store:
        world = build_world(store)
        order = world.orders["rail"]
        world.fake.propose(order, 1, world.fake.register_machine(AUDITOR, "lathe"))
        for wanted in (True, False):
            world.follow()
            with open_reader(store, AUDITOR) as reader:
                assert reader.visibility is not None
                assert reader.visibility.has(SubjectKind.ORDER, order) is wanted
            if wanted:
                world.fake.move_assignment(order, 1, kind, state)


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
