"""Hand-overs overtake each other: what arrives at a company after it has handed a lot on follows the lot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.handover.deliveries import State
from tests.support.apart import Apart, Home, found_apart


@pytest.fixture
def apart(tmp_path: Path) -> Iterator[Apart]:
    found = found_apart(tmp_path)
    yield found
    found.close()


def pass_on(apart: Apart) -> tuple[bytes, Home, Home, Home]:
    """A bar of the maker goes to the buyer by the carrier, before anything is handed over."""
    maker, carrier, buyer = apart.world.maker, apart.consortium.carrier, apart.consortium.buyer
    bar = apart.receive("bar")
    apart.accept(bar, carrier, apart.offer(bar, maker, carrier, "to carrier"), "carried")
    apart.accept(bar, buyer, apart.offer(bar, carrier, buyer, "to buyer"), "delivered")
    apart.follow()
    homes = apart.home(maker), apart.home(carrier), apart.home(buyer)
    for home in homes:
        while home.deliveries.collect():
            pass
    return bar, *homes


def test_a_name_that_comes_after_the_lot_was_handed_on_follows_it(apart: Apart) -> None:
    bar, maker, carrier, buyer = pass_on(apart)
    apart.deliver(carrier)
    assert buyer.name_of(bar) is None
    apart.deliver(maker)
    assert carrier.name_of(bar) == "urn:example:bar"
    apart.deliver(carrier)
    assert buyer.name_of(bar) == "urn:example:bar"
    assert buyer.document(apart.roots["bar"])["/passport/heat"] == "bar"
    for home in (maker, carrier, buyer):
        assert apart.deliver(home) == [], "it ends"


def test_what_is_on_its_way_when_a_name_comes_is_made_again(apart: Apart) -> None:
    bar, maker, carrier, buyer = pass_on(apart)
    sent = [prepared for row in carrier.deliveries.due(9) if (prepared := carrier.deliveries.prepare(row))]
    apart.deliver(maker)
    for row, _ in sent:
        buyer.receiver.import_file(row.text)
        carrier.deliveries.settle(row, State.DELIVERED)
    assert buyer.name_of(bar) is None
    apart.deliver(carrier)
    assert buyer.name_of(bar) == "urn:example:bar"


def test_what_came_in_time_is_handed_over_once(apart: Apart) -> None:
    bar, maker, carrier, buyer = pass_on(apart)
    apart.deliver(maker)
    assert len(apart.deliver(carrier)) == 2
    assert buyer.name_of(bar) == "urn:example:bar"
    assert apart.deliver(carrier) == []
    assert apart.deliver(maker) == []
