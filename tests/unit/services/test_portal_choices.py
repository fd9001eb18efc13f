"""What forms offer to choose from: nothing that could be chosen is hidden behind what could not; cuts are told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from millmark.ledger.provenance import open_reader
from millmark.ledger.records import LotState, Role
from millmark.ledger.store import Rows
from millmark.ledger.store.rows import LotRow, MachineRow, ParticipantRow
from millmark.services.acts import About, Form
from millmark.services.portal.acting import acts
from millmark.services.portal.acting.acting import Acting
from millmark.services.portal.acting.acts import Staged, companies, machines
from millmark.services.portal.acting.lots import _may_pack, mates
from millmark.services.portal.acting.things import Scene, Thing, find_thing
from tests.support.fake_world import BUYER, SMITH, World, build_world
from tests.support.stores import new_store

NOTHING = Thing(About.NOTHING, None)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with new_store(tmp_path) as store:
        yield build_world(store)


def put(world: World, *rows: object) -> None:
    with world.store.transaction() as connection:
        for row in rows:
            Rows(connection).put(row)


def test_what_cannot_be_chosen_hides_nothing_and_a_cut_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acts, "MAX_OPTIONS", 3)
    with world.store.reading() as connection:
        row = Rows(connection).get(ParticipantRow, BUYER)
        others = len(Rows(connection).find(ParticipantRow)) - 1
    assert row is not None
    most = others + 2
    monkeypatch.setattr(acts, "_MAX_CHOSEN", most)
    put(world, replace(row, roles=int(Role.BUYER)))
    gone = [replace(row, number=20 + place, roles=int(Role.CARRIER), inactive_since=9) for place in range(5)]
    there = [replace(row, number=30 + place, roles=int(Role.AUDITOR)) for place in range(3)]
    put(
        world,
        *gone,
        *there,
        *(MachineRow(40 + place, bytes([place]) * 32, SMITH, 1, 9, bytes(32)) for place in range(5)),
    )
    put(world, *(MachineRow(50 + place, bytes([50 + place]) * 32, SMITH, 1, 0, bytes(32)) for place in range(2)))
    with open_reader(world.store) as reader:
        scene = Scene(reader, NOTHING, SMITH)
        assert {"30", "31", "32"} <= {one.value for one in companies(scene, Role.AUDITOR)}
        offered = machines(scene)
        assert {"50", "51"} <= {one.value for one in offered}
        assert not {one.value for one in offered} & {str(40 + place) for place in range(5)}
        all_companies = companies(scene, chosen=32)
    assert [(one.value, one.chosen) for one in all_companies if one.chosen] == [("32", True)]
    assert (len(all_companies), all_companies[-1].value, all_companies[-1].key) == (most + 1, "", "act.cut")


def test_lots_of_the_same_order_are_found_behind_newer_ones(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acts, "MAX_OPTIONS", 2)
    with world.store.reading() as connection:
        row = Rows(connection).get(LotRow, world.lots["hip 1"])
    assert row is not None
    values: dict[str, Any] = {"custodian": SMITH, "state": int(LotState.HELD), "parent": None, "contents": 0}
    own = [
        replace(row, subject=bytes([9, place] * 16), number=1 + place, order=b"o" * 32, **values) for place in (0, 1)
    ]
    newer = [
        replace(row, subject=bytes([8, place] * 16), number=10**6 + place, order=None, **values) for place in range(3)
    ]
    put(world, *own, *newer)
    with open_reader(world.store) as reader:
        scene = Scene(reader, find_thing(reader, About.LOT, own[0].subject.hex(), ""), SMITH)
        assert [one.subject for one in mates(scene)] == [own[1].subject]
        assert _may_pack(scene)


def test_of_named_acts_no_others_are_asked(world: World) -> None:
    def refuse(_: Scene) -> bool:
        raise AssertionError("asked")

    class Commands:
        def may(self, *_: object) -> bool:
            return True

    costly, wanted = (Form("quarantineLot", name, About.LOT) for name in ("costly", "wanted"))
    staged = {"costly": Staged(costly, offered=refuse), "wanted": Staged(wanted)}
    acting = Acting(world.store, Commands(), staged)  # type: ignore[arg-type]  # it is asked for permissions alone
    with open_reader(world.store) as reader:
        scene = Scene(reader, find_thing(reader, About.LOT, world.lots["hip 1"].hex(), ""), SMITH)
        assert [one.name for one in acting.offers(None, scene, "wanted")] == ["wanted"]  # type: ignore[arg-type]  # as above
