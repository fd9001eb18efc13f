"""Those of a lot's order learn the name of the machine that made it, also where it was made of other lots, and what was
done to it when it was reworked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from millmark.ledger.ids import SubjectKind
from millmark.ledger.records import (
    AcceptAssignment,
    Input,
    OpenStream,
    Output,
    ProposeAssignment,
    RegisterMachine,
    Rework,
    ReworkLot,
    StartAssignment,
    Transformation,
    TransformationKind,
    TransformLots,
)
from millmark.services.demo.consortium import hash_of
from tests.support.apart import Apart, found_apart
from tests.support.bundle_world import NOTHING, PIECE


@pytest.fixture
def apart(tmp_path: Path) -> Iterator[Apart]:
    found = found_apart(tmp_path)
    yield found
    found.close()


def convert(apart: Apart) -> None:
    """The maker makes a hip of a bar, on its press."""
    world, maker, order = apart.world, apart.world.maker, apart.world.orders["hip"]
    bar, hip = apart.receive("bar"), apart.named(SubjectKind.LOT, maker, "hip-1")
    start = StartAssignment(order, 0, apart.records["propose hip"], world.streams["press"], NOTHING)
    apart.act(maker, "start hip", start)
    change = Transformation(
        kind=TransformationKind.CONVERSION,
        order=order,
        operation=0,
        unit=PIECE,
        output_unit=PIECE,
        loss=0,
        yield_in=1,
        yield_out=1,
        claims_root=NOTHING,
        inputs=(Input(bar, NOTHING, 1),),
        outputs=(Output(hash_of(hip), 1, PIECE, NOTHING),),
    )
    apart.act(maker, "make hip", TransformLots(change))


def test_the_machine_of_a_conversion_is_named_to_those_of_the_order(apart: Apart) -> None:
    apart.equip()
    apart.place()
    apart.assign()
    convert(apart)
    apart.hand_over_all()
    press = apart.world.lots["press"]
    named = {home.company.name.split()[0] for home in apart.homes.values() if home.name_of(press) is not None}
    assert named == {"Alder", "Kestrel", "Nordwind", "Umbra"}


def rework(apart: Apart) -> bytes:
    """The maker polishes the hip again, on another machine, which polishes for the order, too. Returns the machine."""
    world, maker, order = apart.world, apart.world.maker, apart.world.orders["hip"]
    lathe = apart.named(SubjectKind.MACHINE, maker, "lathe")
    number = apart.act(maker, "lathe", RegisterMachine(hash_of(lathe), NOTHING))
    log = apart.named(SubjectKind.STREAM, maker, "lathe-log")
    apart.act(maker, "lathe-log", OpenStream(hash_of(log), number, NOTHING))
    work = apart.act(apart.consortium.coordinator, "propose polish", ProposeAssignment(order, 1, number, NOTHING))
    apart.act(maker, "take polish", AcceptAssignment(order, 1, work, NOTHING))
    apart.act(maker, "start polish", StartAssignment(order, 1, work, log.subject, NOTHING))
    root = apart.document(maker, "rework", {"why": "a scratch", "passport": {"reworked": True}})
    apart.act(maker, "rework hip", ReworkLot(Rework(world.lots["hip-1"], order, 1, root, ())))
    return lathe.subject


def test_those_of_the_order_are_told_of_a_rework(apart: Apart) -> None:
    """By the same rule as of what was made: the inspector is told what everybody may know of the part."""
    apart.equip()
    apart.place()
    apart.assign()
    apart.make()
    apart.hand_over_all()
    lathe = rework(apart)
    apart.hand_over_all()
    named = {home.company.name.split()[0] for home in apart.homes.values() if home.name_of(lathe) is not None}
    assert named == {"Alder", "Kestrel", "Nordwind", "Umbra"}
    told = {home.company.name.split()[0]: set(home.document(apart.roots["rework"])) for home in apart.homes.values()}
    whole = {"/why", "/passport/reworked"}
    assert {who: what for who, what in told.items() if what} == {
        "Alder": whole,
        "Kestrel": whole,
        "Nordwind": whole,
        "Umbra": {"/passport/reworked"},
    }


def test_of_the_rework_of_a_lot_without_an_order_nobody_is_told(apart: Apart) -> None:
    lot = apart.receive("bar")
    root = apart.document(apart.world.maker, "rework", {"why": "a scratch", "passport": {"reworked": True}})
    number = apart.act(apart.world.maker, "rework bar", ReworkLot(Rework(lot, NOTHING, 0, root, ())))
    apart.hand_over_all()
    assert not any(sequence == number for home in apart.homes.values() for sequence, _ in home.queue())
