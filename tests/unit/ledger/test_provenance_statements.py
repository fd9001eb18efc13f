"""Statements from the index: what is told to whom."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from millmark.ledger.provenance import Direction, Limits, build_statements, open_reader, tell_trace
from millmark.ledger.provenance.bundles import TooManyRecordsError
from millmark.ledger.records import TransformationKind, Verdict
from millmark.ledger.store import Store
from millmark.ledger.verify import Section, Statement
from tests.support.fake_world import BUYER, INSPECTOR, OTHER_BUYER, SMITH, World, build_bad_world, build_world
from tests.support.stores import new_store


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with new_store(tmp_path) as store:
        yield build_world(store)


def told(store: Store, lot: bytes, viewer: int | None) -> tuple[Statement, ...]:
    with open_reader(store, viewer) as reader:
        return build_statements(reader, [lot])


def test_of_measurements_used_again_elsewhere_only_the_number_is_told_to_who_may_not_see_them(world: World) -> None:
    """All hips of the clinic's order are certified on one entry, and now the hall's rail is, too."""
    rail = world.lots["rail blank"]
    own = world.fake.certify(rail, INSPECTOR, world.model, Verdict.PASS, world.stream)
    world.follow()
    hips = tuple(world.certificates.values())
    for viewer, code, measured, others in (
        (None, "one_measurement", (*hips, own), None),
        (OTHER_BUYER, "one_measurement_elsewhere", (own,), len(hips)),
        (BUYER, "one_measurement_elsewhere", hips, 1),
    ):
        name = world.lots["hip 1"] if viewer == BUYER else rail
        said = [one for one in told(world.store, name, viewer) if one.code.startswith("one_measurement")]
        [one] = said
        assert (one.code, one.values["measured"], one.values.get("others")) == (code, measured, others)
        assert one.section is Section.ATTENTION


def test_names_are_told_only_to_who_may_know_them(world: World) -> None:
    rail = world.lots["rail blank"]
    for viewer, named in ((None, True), (OTHER_BUYER, True), (BUYER, False)):
        (part,) = (one for one in told(world.store, rail, viewer) if one.code == "part")
        assert ("urn:example:rail-blank" in str(part)) is named


def test_an_order_is_told_of_by_what_it_came_to(world: World) -> None:
    """Lots of which only others are left are their origin; the one that was set aside for rework is one of these."""
    found = tell_trace(world.store, world.orders["hip"], direction=Direction.BOTH, limits=Limits(depth=64, lots=200))
    assert found.failure is None
    parts = {one.subject for one in found.statements if one.code == "part"}
    assert parts == {world.lots[name] for name in ("hip blank", "hip 1", "hip 2", "hip 3")}
    failed = [one for one in found.statements if one.code == "certificate"]
    assert [one.subject for one in failed] == [world.lots["hip 3"]]


def pieces_of_much_used_material(world: World) -> tuple[bytes, list[bytes], dict[bytes, set[bytes]]]:
    """A heat that is used up; thirty pieces that were made of it; and some lots with everything that they were made of.
    The walk back from these meets the heat before, with and after other lots that were made of it."""
    fake, conversion = world.fake, TransformationKind.CONVERSION
    heat = fake.receive("heat", SMITH, 31)
    pieces = [fake.transform(conversion, {heat: 1}, {f"piece {number}": 1})[0] for number in range(30)]
    [turned] = fake.transform(conversion, {pieces[4]: 1}, {"turned": 1})
    [ground] = fake.transform(conversion, {turned: 1}, {"ground": 1})
    [pair] = fake.transform(conversion, {pieces[3]: 1, ground: 1}, {"pair": 2})
    [other] = fake.transform(conversion, {pieces[6]: 1, heat: 1}, {"other pair": 2})
    world.follow()
    long = {pieces[4], turned, ground}
    return heat, pieces, {pieces[5]: {heat}, pair: {heat, pieces[3], *long}, other: {heat, pieces[6]}}


def test_a_piece_of_much_used_material_is_told_without_reading_what_else_was_made_of_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("millmark.ledger.provenance.statements.MAX_RECORDS", 12)
    heat, _, made_of = pieces_of_much_used_material(world)
    for lot, inputs in made_of.items():
        origin = [one for one in told(world.store, lot, None) if one.section is Section.ORIGIN]
        assert {one.subject for one in origin} == inputs | {lot}
    with pytest.raises(TooManyRecordsError):
        told(world.store, heat, None)


@pytest.mark.parametrize("build", [build_world, build_bad_world])
def test_what_is_left_out_changes_no_statement(
    build: Callable[[Store], World], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with new_store(tmp_path) as store:
        world = build(store)
        heat, pieces, _ = pieces_of_much_used_material(world)
        rest = world.fake.receive("rest", SMITH, 3)
        for name in ("first", "second"):
            cut = world.fake.transform(TransformationKind.CONVERSION, {rest: 1}, {name: 1})
        for lot in (rest, pieces[7]):
            world.fake.quarantine(lot, SMITH)
        world.follow()
        lots = [*world.lots.values(), heat, *pieces[3:9], rest, *cut]
        few = {lot: told(store, lot, None) for lot in lots}
        monkeypatch.setattr("millmark.ledger.provenance.bundles._takings", lambda *_: set())
        assert {lot: told(store, lot, None) for lot in lots} == few
