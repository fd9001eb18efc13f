"""Hand-overs overtake each other: what arrives at a company after it has handed a lot on follows the lot."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from millmark.ledger.claims import parse_claims
from millmark.ledger.signatures import Address, Signature, Signer
from millmark.ledger.store import Book, Rows
from millmark.services.handover.delivering import Deliveries, State, ask_others_to_erase
from millmark.services.handover.repository import DeliveryRow
from tests.support.apart import Apart, Home, found_apart


@dataclass
class Interrupted:
    """A key in a slow device: something else happens before its first signature."""

    signer: Signer
    happens: Callable[[], object] | None

    @property
    def address(self) -> Address:
        return self.signer.address

    def sign_digest(self, digest: bytes) -> Signature:
        if self.happens is not None:
            happens, self.happens = self.happens, None
            happens()
        return self.signer.sign_digest(digest)


@pytest.fixture
def apart(tmp_path: Path) -> Iterator[Apart]:
    found = found_apart(tmp_path)
    yield found
    found.close()


def pass_on(apart: Apart, *, delivered: bool = True) -> tuple[bytes, Home, Home, Home]:
    """A bar of the maker goes to the buyer by the carrier, before anything is handed over; to the offer only, unless it
    is delivered."""
    maker, carrier, buyer = apart.world.maker, apart.consortium.carrier, apart.consortium.buyer
    bar = apart.receive("bar")
    apart.accept(bar, carrier, apart.offer(bar, maker, carrier, "to carrier"), "carried")
    offer = apart.offer(bar, carrier, buyer, "to buyer")
    if delivered:
        apart.accept(bar, buyer, offer, "delivered")
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


def test_a_name_that_comes_while_a_hand_over_is_made_is_not_left_out(apart: Apart) -> None:
    bar, maker, carrier, buyer = pass_on(apart, delivered=False)
    interrupted = Interrupted(carrier.company.signer, lambda: apart.deliver(maker))
    carrier.deliveries = Deliveries(carrier.store, apart.consortium.chain, interrupted, lambda: carrier.clock_ms)
    apart.deliver(carrier)
    assert carrier.name_of(bar) == "urn:example:bar"
    apart.deliver(carrier)
    assert buyer.name_of(bar) == "urn:example:bar"
    assert apart.deliver(carrier) == [], "it ends"


def test_what_is_erased_while_a_hand_over_is_made_is_not_in_it(apart: Apart) -> None:
    _, maker, carrier, _ = pass_on(apart)
    root, heat = apart.roots["bar"], ("passport", "heat")

    def erase() -> None:
        ask_others_to_erase(maker.store, root, [heat], maker.company.number)  # as `documents erase-field` does
        with maker.store.transaction() as connection:
            text = Book(connection).document(root)
            assert text is not None
            erased = parse_claims(json.loads(text)).erase([heat])
            Book(connection).put_document(root, json.dumps(erased.to_json()))

    interrupted = Interrupted(maker.company.signer, erase)
    maker.deliveries = Deliveries(maker.store, apart.consortium.chain, interrupted, lambda: maker.clock_ms)
    apart.deliver(maker)
    apart.deliver(maker)
    assert carrier.document(root) == {"/supplier": "Heath Steel"}


def test_what_is_erased_while_a_hand_over_is_found_to_be_over_is_passed_on_all_the_same(apart: Apart) -> None:
    _, maker, carrier, _ = pass_on(apart)
    apart.deliver(maker)
    root, me = apart.roots["bar"], maker.company.number
    ask_others_to_erase(maker.store, root, [("passport", "heat")], me)
    with maker.store.reading() as connection:
        row, *_ = Rows(connection).find(DeliveryRow, recipient=carrier.company.number, state=State.WAITING.value)
    ask_others_to_erase(maker.store, root, [("supplier",)], me)
    maker.deliveries.settle(row, State.OVER)
    with maker.store.reading() as connection:
        [found] = Rows(connection).find(DeliveryRow, sequence=row.sequence, recipient=row.recipient)
    assert found.state == State.WAITING
    maker.deliveries.settle(found, State.OVER)
    with maker.store.reading() as connection:
        [found] = Rows(connection).find(DeliveryRow, sequence=row.sequence, recipient=row.recipient)
    assert found.state == State.OVER
