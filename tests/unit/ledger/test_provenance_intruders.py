"""Somebody records whatever the contracts let it, unasked, to see what is another company's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from millmark.ledger.errors import NotFoundError
from millmark.ledger.ids import SubjectKind
from millmark.ledger.provenance import certificate, open_reader, recall, trace
from millmark.ledger.provenance.permissions import Visibility
from millmark.ledger.records import AssignmentState, Gate, TransformationKind, Verdict
from millmark.ledger.store import Store
from tests.support.fake_world import BUYER, CARRIER, COORDINATOR, OTHER_BUYER, SMITH, World, build_world
from tests.support.stores import new_store

INTRUDER = 8
"""A member with every role, and no part in anything of this world."""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with new_store(tmp_path) as store:
        built = build_world(store)
        built.fake.admit(INTRUDER)
        yield built


def seen(store: Store, world: World, viewer: int = INTRUDER) -> set[str]:
    """Names of the lots, and `NAME linked`, as far as they are there."""
    with open_reader(store, viewer) as reader:
        visibility = reader.visibility
        assert isinstance(visibility, Visibility)
        found = {name for name, lot in world.lots.items() if visibility.has(SubjectKind.LOT, lot)}
        return found | {f"{name} linked" for name, lot in world.lots.items() if visibility.is_linked(lot)}


def sees(store: Store, kind: SubjectKind, subject: bytes, viewer: int = INTRUDER) -> bool:
    with open_reader(store, viewer) as reader:
        assert reader.visibility is not None
        return reader.visibility.has(kind, subject)


def own_material(world: World, name: str = "trojan") -> bytes:
    lot = world.fake.receive(name, INTRUDER, 10)
    world.lots[name] = lot
    return lot


def mine(name: str = "trojan") -> set[str]:
    return {name, f"{name} linked"}


def test_who_did_nothing_sees_nothing(world: World) -> None:
    world.follow()
    assert seen(world.store, world) == set()


def test_offering_custody_unasked_links_only_once_it_is_accepted(world: World) -> None:
    lot = own_material(world)
    for target in (SMITH, BUYER, CARRIER):
        world.fake.offer(lot, target)
        world.follow()
        assert seen(world.store, world) == mine()
        assert sees(world.store, SubjectKind.LOT, lot, target)
        world.fake.end_offer(lot, declined=True)
    world.follow()
    assert not sees(world.store, SubjectKind.LOT, lot, SMITH)


def test_accepted_material_opens_what_is_made_of_it_and_nothing_beside(world: World) -> None:
    """The maker of what went into a lot is linked with it; with what else went into that lot it is not."""
    lot = own_material(world)
    world.fake.offer(lot, SMITH)
    world.fake.take(lot)
    world.lots["spare bar"] = world.fake.receive("spare bar", SMITH, 10)
    parts = {lot: 5, world.lots["spare bar"]: 5}
    (world.lots["alloy"],) = world.fake.transform(TransformationKind.MERGE, parts, {"alloy": 10})
    world.follow()
    assert seen(world.store, world) == {*mine(), *mine("alloy")}


@pytest.mark.parametrize("verdict", [Verdict.PASS, Verdict.FAIL])
@pytest.mark.parametrize("target", ["box", "billet", "bar"])
def test_a_verdict_unasked_opens_neither_the_lot_nor_what_is_in_it(world: World, target: str, verdict: Verdict) -> None:
    """These lots are of no order, so that the contracts let any inspector certify them; failing quarantines them."""
    lot = world.lots[target]
    issued = world.fake.certify(lot, INTRUDER, world.spare_model, verdict, world.stream)
    world.follow()
    assert seen(world.store, world) == set()
    with pytest.raises(NotFoundError):
        certificate(world.store, issued, viewer=INTRUDER)
    with pytest.raises(NotFoundError):
        trace(world.store, "0x" + lot.hex(), viewer=INTRUDER)


def test_quarantining_is_not_being_offered(world: World) -> None:
    """The ledger keeps who quarantined a lot where it keeps to whom one is offered; a box carries both inside."""
    world.fake.certify(world.lots["box"], INTRUDER, world.spare_model, Verdict.FAIL, world.stream)
    world.follow()
    assert not sees(world.store, SubjectKind.LOT, world.lots["hip 2"])


def test_proposing_work_opens_no_machine_until_it_is_taken_on(world: World) -> None:
    machine = next(one.subject for one in world.fake.identities.values() if one.kind is SubjectKind.MACHINE)
    order = world.fake.place("bait", INTRUDER, INTRUDER, operations=2)
    world.fake.accept_order(order)
    for operation, kind, state in (
        (0, "AssignmentDeclined", AssignmentState.DECLINED),
        (1, "AssignmentCancelled", AssignmentState.CANCELLED),
    ):
        world.fake.propose(order, operation, world.machine)
        world.follow()
        assert not sees(world.store, SubjectKind.MACHINE, machine)
        world.fake.move_assignment(order, operation, kind, state)
        world.follow()
        assert not sees(world.store, SubjectKind.MACHINE, machine)
    world.fake.propose(order, 0, world.machine)
    world.fake.accept(order)
    world.follow()
    assert sees(world.store, SubjectKind.MACHINE, machine)


def test_naming_others_in_an_order_opens_nothing_of_theirs(world: World) -> None:
    for number, (coordinator, inspector) in enumerate(((COORDINATOR, SMITH), (SMITH, COORDINATOR), (BUYER, CARRIER))):
        name = f"bait {number}"
        world.fake.place(name, INTRUDER, coordinator, Gate(inspector, world.model))
    world.follow()
    assert seen(world.store, world) == set()
    assert not any(sees(world.store, SubjectKind.ORDER, order) for order in world.orders.values())


def test_commissioning_under_somebody_s_order_opens_the_own_lot_alone(world: World) -> None:
    """Who took on one operation made its lots; the order's other lots are none of its business."""
    machine = world.fake.register_machine(INTRUDER, "lathe")
    rail = world.orders["rail"]
    world.fake.begin(rail, 1, machine)
    world.lots["trojan"] = world.fake.commission("trojan", rail, 1, operation=1)
    world.follow()
    assert seen(world.store, world) == mine()
    assert sees(world.store, SubjectKind.ORDER, rail)
    assert not sees(world.store, SubjectKind.ORDER, world.orders["hip"])


def test_packing_the_own_into_a_box_that_travels_opens_nothing(world: World) -> None:
    lot, box = own_material(world), own_material(world, "crate")
    world.fake.pack(box, lot)
    world.fake.offer(box, SMITH)
    world.follow()
    assert seen(world.store, world) == {*mine(), *mine("crate")}
    world.fake.take(box)
    world.fake.pack(box, world.lots["bar"])
    world.follow()
    assert seen(world.store, world) == {*mine(), *mine("crate")}


def test_a_carrier_is_linked_with_what_it_carried_while_it_did(world: World) -> None:
    """What was packed into the box after it came back, the intruder never had."""
    box = world.fake.receive("tray", SMITH, 1)
    world.lots.update(
        tray=box, first=world.fake.receive("first", SMITH, 1), second=world.fake.receive("second", SMITH, 1)
    )
    world.fake.pack(box, world.lots["first"])
    world.fake.offer(box, INTRUDER)
    world.fake.take(box)
    world.fake.offer(box, SMITH)
    world.fake.take(box)
    world.fake.pack(box, world.lots["second"])
    world.follow()
    assert seen(world.store, world) == {*mine("tray"), *mine("first")}


def test_siblings_see_nothing_of_each_other(world: World) -> None:
    """Both buyers' blanks came of one billet; neither buyer has anything of the other's."""
    world.follow()
    assert not seen(world.store, world, OTHER_BUYER) & {
        name + more for name in ("hip blank", "hip 1", "hip 2", "hip 3", "billet", "bar") for more in ("", " linked")
    }
    assert "rail blank" not in seen(world.store, world, BUYER)
    with pytest.raises(NotFoundError):
        recall(world.store, lot=world.lots["billet"], viewer=OTHER_BUYER)


def test_an_order_s_lots_are_not_linked_to_its_parties(world: World) -> None:
    world.follow()
    with open_reader(world.store, OTHER_BUYER) as reader:
        assert reader.visibility is not None
        assert reader.visibility.has(SubjectKind.LOT, world.lots["rail blank"])
        assert not reader.visibility.is_linked(world.lots["rail blank"])
