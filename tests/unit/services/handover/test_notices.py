"""Who is told of a notice, an answer or a complaint, however new each side's records are; and what is due no more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from millmark.ledger.records import NoteKind, OrderState
from millmark.ledger.store import Rows
from millmark.services.handover.table import authors, called_back, find_record, givers, order_stands
from tests.support.fake_world import BUYER, CARRIER, COORDINATOR, SMITH, World, build_world
from tests.support.stores import new_store


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """The buyer has packed a hip of the smith's in a crate of its own."""
    with new_store(tmp_path) as store:
        found = build_world(store)
        fake, lots = found.fake, found.lots
        fake.unpack(lots["box"], lots["hip 2"])
        lots["crate"] = fake.receive("crate", BUYER, 1)
        fake.pack(lots["crate"], lots["hip 2"])
        yield found


def told(world: World, sequence: int) -> tuple[set[int], set[int]]:
    """Of a notice, and of an answer."""
    with world.store.reading() as connection:
        rows = Rows(connection)
        record = find_record(rows, sequence)
        assert record is not None
        return called_back(rows, record, record.event()), authors(rows, record, record.event())


def test_whoever_made_what_was_packed_is_told_although_it_was_unpacked_since(world: World) -> None:
    notice = world.fake.note(BUYER, world.lots["crate"], kind=int(NoteKind.RECALL_NOTICE))
    world.follow()
    assert told(world, notice)[0] == {SMITH, CARRIER, BUYER}
    world.fake.unpack(world.lots["crate"], world.lots["hip 2"])
    world.follow()
    assert told(world, notice)[0] == {SMITH, CARRIER, BUYER}
    later = world.fake.note(BUYER, world.lots["crate"], kind=int(NoteKind.RECALL_NOTICE))
    world.follow()
    assert told(world, later)[0] == {BUYER}, "it was taken out before"


def test_an_answer_on_a_crate_reaches_the_author_although_it_was_unpacked_since(world: World) -> None:
    world.fake.note(SMITH, world.lots["hip 2"], kind=int(NoteKind.RECALL_NOTICE))
    answer = world.fake.note(BUYER, world.lots["crate"], kind=int(NoteKind.ACKNOWLEDGEMENT))
    world.follow()
    assert told(world, answer)[1] == {SMITH}
    world.fake.unpack(world.lots["crate"], world.lots["hip 2"])
    world.follow()
    assert told(world, answer)[1] == {SMITH}


def blamed(world: World, sequence: int) -> set[int]:
    world.follow()
    with world.store.reading() as connection:
        rows = Rows(connection)
        record = find_record(rows, sequence)
        assert record is not None
        return givers(rows, record, record.event())


def test_a_complaint_reaches_who_handed_the_lot_over_last(world: World) -> None:
    fake = world.fake
    bar = fake.receive("another bar", SMITH, 5)
    for giver, taker in ((SMITH, CARRIER), (CARRIER, BUYER), (BUYER, CARRIER), (CARRIER, SMITH)):
        fake.offer(bar, taker)
        fake.take(bar)
        assert blamed(world, fake.note(taker, bar, kind=int(NoteKind.COMPLAINT))) == {giver}
    assert blamed(world, fake.note(SMITH, bar, kind=int(NoteKind.OBSERVATION))) == set()
    assert blamed(world, fake.note(BUYER, bar, kind=int(NoteKind.COMPLAINT))) == {CARRIER}


def test_an_order_that_was_cancelled_is_handed_over_to_nobody(world: World) -> None:
    order = world.fake.place("another rail", BUYER, COORDINATOR)

    def stands() -> bool:
        world.follow()
        with world.store.reading() as connection:
            rows = Rows(connection)
            record = find_record(rows, placed)
            assert record is not None
            return order_stands(rows, record)

    placed = world.fake.orders[order].sequence
    assert stands()
    world.fake.move_order(order, "OrderCancelled", COORDINATOR, OrderState.CANCELLED)
    assert not stands()
