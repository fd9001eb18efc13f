"""Those of a lot's order learn the name of the machine that made it, also where it was made of other lots."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.ids import SubjectKind
from ledger.records import Input, Output, StartAssignment, Transformation, TransformationKind, TransformLots
from services.lab.demo.consortium import hash_of
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
