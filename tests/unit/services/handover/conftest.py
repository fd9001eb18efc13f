from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest

from millmark.ledger.claims import parse_claims
from millmark.ledger.records import NoteKind
from millmark.ledger.store import Book
from millmark.services.handover.delivering import ask_others_to_erase
from tests.support.apart import Apart, Home, found_apart
from tests.support.planned import Planned

Readable = dict[str, dict[str, set[str]]]


@dataclass
class Delivered:
    """The companies after a story, what each could read at each moment of it, and what was handed over."""

    apart: Apart
    moments: dict[str, Readable] = field(default_factory=dict)
    texts: dict[tuple[str, str], bytes] = field(default_factory=dict)
    """Hand-overs by the word of the record, and the first word of the recipient's name."""
    planned: Planned = field(init=False)

    def moment(self, name: str) -> None:
        apart = self.apart
        apart.follow()
        words = {number: word for word, number in apart.records.items()}
        for home in apart.homes.values():
            while home.deliveries.collect():
                pass
            for row in home.deliveries.due(1000):
                prepared = home.deliveries.prepare(row)
                if prepared is not None:
                    taker = apart.homes[row.recipient].company.name.split()[0].lower()
                    self.texts[words[row.sequence], taker] = prepared[0].text
        apart.hand_over_all()
        self.moments[name] = apart.readable()

    def erase(self, word: str, document: str, path: tuple[str, ...]) -> None:
        """Has a company erase a field, as `millmark documents erase-field` does."""
        home, root = self.home(word), self.apart.roots[document]
        ask_others_to_erase(home.store, root, [path], home.company.number)
        for one in self.apart.homes.values():
            one.clock_ms = time.time_ns() // 1_000_000 + 1  # the command has the machine's clock
        with home.store.transaction() as connection:
            book = Book(connection)
            left = parse_claims(json.loads(book.document(root) or "")).erase([path])
            book.put_document(root, json.dumps(left.to_json()))

    def home(self, word: str) -> Home:
        return next(one for one in self.apart.homes.values() if one.company.name.lower().startswith(word))


def _plan(told: Delivered) -> None:
    """A second order is called for, offered on by two makers, and planned; the auditor reads the offers."""
    planned = told.planned = Planned(told.apart)
    planned.equip()
    planned.place()
    told.moment("placed again")
    planned.make_call()
    told.moment("called")
    planned.offer("lathe", 4000)
    planned.offer("mill", 3000)
    planned.withdraw("mill", planned.sealed["offers mill"].leaves[0], "withdrawal")
    told.moment("bid")
    planned.make_plan()
    told.moment("planned")
    _offer_badly(planned)


BAD_OFFERS: dict[str, dict[str, object]] = {
    "foreign machine": {"machine": "lathe"},
    "foreign owner": {"machine": "lathe", "owner": 4},
    "not asked for": {"operation": 7},
    "after the end": {"windows": ((0, 14 * 24, 5),)},
}
"""What is changed of an offer of the mill, by the word of its anchor. Nothing of it is delivered."""


def _offer_badly(planned: Planned) -> None:
    """Anchored like any other: what is in an entry shows only when it is opened."""
    offer = planned.build_offers("mill", 3000).offers[0]
    for word, changes in BAD_OFFERS.items():
        machine = {"machine": planned.apart.world.machines["lathe"]} if "machine" in changes else {}
        planned.seal_offers("mill", [replace(offer, **{**changes, **machine})], word)  # type: ignore[arg-type]
    planned.seal_offers("lathe", [planned.build_offers("lathe", 2000).offers[0]], "doubled")
    planned.apart.follow()


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Delivered]:
    apart = found_apart(tmp_path_factory.mktemp("apart"))
    told = Delivered(apart)
    maker, parties = apart.world.maker, apart.consortium
    apart.equip()
    told.moment("nothing")
    order = apart.place()
    told.moment("placed")
    apart.assign()
    told.moment("assigned")
    lot = apart.make()
    told.moment("made")
    apart.certify()
    told.moment("certified")
    steel = apart.receive("steel")
    offer = apart.offer(steel, maker, parties.carrier, "offer declined")
    apart.decline(steel, parties.carrier, offer, "declined")
    told.moment("declined")
    offer = apart.offer(lot, maker, parties.carrier, "offer to carrier", order)
    told.moment("offered")
    apart.accept(lot, parties.carrier, offer, "carried", order)
    told.moment("carried")
    offer = apart.offer(lot, parties.carrier, parties.buyer, "offer to buyer", order)
    apart.accept(lot, parties.buyer, offer, "delivered", order)
    told.moment("delivered")
    apart.note(maker, lot, "notice", NoteKind.RECALL_NOTICE, "the press was worn")
    told.moment("called back")
    apart.note(parties.buyer, lot, "answer", NoteKind.ACKNOWLEDGEMENT, "taken out of use")
    told.moment("answered")
    told.erase("nordwind", "hip", ("specification", "engraving"))
    told.erase("alder", "press", ("equipment",))
    told.moment("erased")
    _plan(told)
    yield told
    apart.close()
