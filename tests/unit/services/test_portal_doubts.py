"""Pallets with parts that must not be used: the work list, the forms and the lot's page name them, by whom and why."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from millmark.ledger.claims import build_claims
from millmark.ledger.ids import Identity, SubjectKind, identifier_hash, subject
from millmark.ledger.provenance import cases, open_reader
from millmark.ledger.provenance.cases import Doubts, find_doubts
from millmark.ledger.provenance.permissions import Limits
from millmark.ledger.records import (
    Gate,
    Input,
    Item,
    LotState,
    Note,
    NoteKind,
    OfferCustody,
    Output,
    PackLots,
    ReceiveLot,
    Transformation,
    TransformationKind,
    TransformLots,
    Verdict,
)
from millmark.ledger.store import Book
from millmark.ledger.store.rows import LotRow
from tests.support import gateway_client
from tests.support.company_site import Day
from tests.support.fake_world import AUDITOR, BUYER, COORDINATOR, INSPECTOR, NAMES, SMITH, World, build_world
from tests.support.gateway_client import act
from tests.support.portal_site import OWNER, Site
from tests.support.stores import new_store

NONE = bytes(32)
SLAG = "slag in the <melt>"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with new_store(tmp_path) as store:
        yield build_world(store)


def read(page: str) -> str:
    """The words of a page, without the spaces that tags leave before signs."""
    return re.sub(r" ([:,)])", r"\1", gateway_client.read(page)).replace("( ", "(")


def doubts_of(world: World, lot: str, viewer: int | None = None) -> Doubts:
    with open_reader(world.store, viewer) as reader:
        return find_doubts(reader, world.lots[lot])


def named(world: World, found: Doubts) -> list[str]:
    return [world.name(one.lot.subject) for one in found.all]


def test_a_box_of_good_parts_has_no_doubts(world: World) -> None:
    found = doubts_of(world, "box")
    assert not found
    assert (found.own, found.inside, found.contents, found.truncated) == (None, (), 1, False)


def test_a_notice_on_what_a_part_was_made_from_reaches_the_box(world: World) -> None:
    number = world.fake.note(SMITH, world.lots["bar"], kind=int(NoteKind.RECALL_NOTICE))
    world.follow()
    found = doubts_of(world, "box")
    assert named(world, found) == ["hip 2"]
    [notice] = found.inside[0].notices
    assert (notice.number, notice.raised_by.participant) == (number, SMITH)
    assert [world.name(one.subject) for one in notice.named] == ["bar"]
    assert named(world, doubts_of(world, "hip 1")) == ["hip 1"]
    world.fake.note(SMITH, world.lots["bar"], kind=int(NoteKind.RESOLUTION))
    world.follow()
    assert not doubts_of(world, "box")


def test_a_notice_on_the_box_its_order_or_another_lot(world: World) -> None:
    world.fake.note(SMITH, world.lots["rail blank"], kind=int(NoteKind.RECALL_NOTICE))
    world.follow()
    assert not doubts_of(world, "box")
    world.fake.note(SMITH, world.lots["box"], kind=int(NoteKind.RECALL_NOTICE))
    world.follow()
    found = doubts_of(world, "box")
    assert found.own is not None
    assert named(world, found) == ["box", "hip 2"]
    assert named(world, doubts_of(world, "hip 1")) == [], "it was taken out"


def test_an_order_that_is_called_back_reaches_its_parts(world: World) -> None:
    with open_reader(world.store) as reader:
        order = reader.lot(world.lots["hip 2"]).order
    assert order is not None
    world.fake.note(SMITH, order, kind=int(NoteKind.RECALL_NOTICE))
    world.follow()
    assert named(world, doubts_of(world, "box")) == ["hip 2"]


def test_quarantine_and_failed_inspections_are_doubts(world: World) -> None:
    world.fake.quarantine(world.lots["hip 1"], BUYER)
    world.follow()
    found = doubts_of(world, "hip 1")
    assert found.own is not None
    assert found.own.quarantined_by is not None
    assert found.own.quarantined_by.participant == BUYER
    assert found.own.judged is None, "it passed"
    world.fake.withdraw_model(AUDITOR, world.model, 1)
    world.follow()
    later = doubts_of(world, "box")
    assert named(world, later) == ["hip 2"]
    assert later.inside[0].judged is not None, "its model was withdrawn"


def test_of_two_gates_the_doubt_about_one_is_not_hidden_by_the_others_later_pass(world: World) -> None:
    fake = world.fake
    order = fake.place("knee", BUYER, COORDINATOR, Gate(INSPECTOR, world.model), Gate(AUDITOR, 0))
    fake.accept_order(order)
    fake.begin(order, 0, world.machine)
    lot = world.lots["knee"] = fake.commission("knee", order, 1)
    fake.certify(lot, INSPECTOR, world.model, Verdict.PASS, world.stream)
    fake.demand(lot, BUYER)
    fake.certify(lot, AUDITOR, 0, Verdict.PASS, world.stream, leaf_index=1)
    world.follow()
    found = doubts_of(world, "knee").own
    assert found is not None
    assert found.judged is not None
    assert found.judged.inspector.participant == INSPECTOR
    assert found.judged.until is not None


def test_what_was_not_looked_at_is_not_left_out_in_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with new_store(tmp_path) as store:
        site = Site(store)
        cut = "There is too much in this, or behind it, to look at all"
        paths = [f"/portal/lots/{site.world.lots[one].hex()}" for one in ("box", "hip 1")]
        assert not any(cut in read(site.browser(OWNER).get(path).text) for path in paths)
        monkeypatch.setattr(cases, "_FAMILY", Limits(depth=1, lots=1))
        for path in paths:
            page = read(site.browser(OWNER).get(path).text)
            assert page.count(cut) == 1
            assert "must not be used" not in page


def test_a_certificate_that_is_doubted_is_told_first(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        site = Site(store)
        lot = site.world.lots["hip 2"]
        path = f"/portal/lots/{lot.hex()}"
        assert "Now PASSED: certificate" in read(site.browser(OWNER).get(path).text)
        site.world.fake.demand(lot, BUYER)
        site.world.follow()
        page = read(site.browser(OWNER).get(path).text)
        number = site.world.certificates["hip 2"]
        told = f"WAIT: do not use it before this is settled {NAMES[BUYER]} doubts certificate {number} of hip-2"
        assert told in page
        assert page.index("WAIT") < page.index("PASSED: certificate")
        assert f"{NAMES[INSPECTOR]} must show by" in page
        assert page.count("must show by") == 1
        [doubt] = doubts_of(site.world, "box").inside
        assert doubt.judged is not None
        assert doubt.judged.until is not None
        box = read(site.browser(OWNER).get(f"/portal/lots/{site.world.lots['box'].hex()}").text)
        assert "wait: its certificate is doubted; what it rests on must be shown by" in box


# In the portal, on the real contracts


def own_name(day: Day, name: str) -> tuple[bytes, bytes]:
    """The hash of a name of the other company's, and the lot's subject; the book has the name."""
    hashed = identifier_hash(NONE, f"urn:example:{name}")
    with day.site.store.transaction() as connection:
        Book(connection).add_identity(Identity(SubjectKind.LOT, day.other_number, f"urn:example:{name}", NONE))
    return hashed, subject(SubjectKind.LOT, day.other_number, hashed)


def pallet(day: Day) -> bytes:
    """Of the other company: two parts in it, of which one is made from a heat that it calls back. It is offered."""
    (h, heat), (a, first), (b, second), (p, whole) = (own_name(day, one) for one in ("HEAT1", "A1", "A2", "P1"))
    day.by_other(ReceiveLot(h, 2, b"H87", NONE), ReceiveLot(b, 1, b"H87", NONE), ReceiveLot(p, 1, b"H87", NONE))
    outputs = tuple(Output(one, 1, b"H87", NONE) for one in (a, identifier_hash(NONE, "urn:example:rest")))
    inputs = (Input(heat, NONE, 2),)
    step = Transformation(TransformationKind.SPLIT, NONE, 0, b"H87", b"H87", 0, 1, 1, NONE, inputs, outputs)
    day.by_other(TransformLots(step))
    day.by_other(PackLots(whole, tuple(sorted((first, second)))))
    notice = build_claims({"text": SLAG})
    with day.site.store.transaction() as connection:
        Book(connection).put_document(notice.root, json.dumps(notice.to_json()))
    day.by_other(Note((heat,), (h,), int(NoteKind.RECALL_NOTICE), 0, notice.root))
    lots = (whole, *sorted((first, second)))
    day.by_other(OfferCustody(tuple(Item(one, NONE) for one in lots), day.site.number, NONE))
    return whole


def test_a_pallet_is_accepted_knowingly(day: Day) -> None:
    whole = pallet(day)
    warned = "Careful: of the 2 packed in this, 1 must not be used as they stand."
    why = f"A1: called back by Cedar Assembly, because of HEAT1: {SLAG} (Case"
    waits = read(day.person.get("/portal").text)
    assert "Accept what was offered P1 with 2 in it:" in waits
    assert warned in waits
    assert why in waits
    form = f"/portal/act/acceptCustody?subject={whole.hex()}"
    page = read(day.person.get(form).text)
    assert page.index(warned) < page.index("On the ledger, for good")
    assert why in page
    assert "You can accept it all the same" in page
    assert "A1 packed in P1" in page
    assert "A2 packed in P1" in page
    answer = act(day.person, form)
    assert answer.status_code == 303
    day.site.send()
    done = read(day.person.get(answer.headers["location"]).text)
    assert re.search(
        r"What happens next Nordwind has P1 since 20\S+ \S+ UTC and answers for it from now on. Cedar Assembly", done
    )
    assert day.row(LotRow, whole).state == LotState.HELD
    offer = read(day.person.get(f"/portal/act/offerCustody?subject={whole.hex()}").text)
    assert warned in offer
    assert "Take these out first" in offer
    sent = act(day.person, f"/portal/act/offerCustody?subject={whole.hex()}", {"to": str(day.other_number)})
    day.site.send()
    done = read(day.person.get(sent.headers["location"]).text)
    assert "Cedar Assembly must accept P1 now and finds that on its work list. Until it does, Nordwind has it" in done


def test_the_page_of_a_pallet_says_what_is_in_it(day: Day) -> None:
    whole = pallet(day)
    page = read(day.person.get(f"/portal/lots/{whole.hex()}").text)
    assert page.startswith("Lot P1 Pallet or box with 2 parts in it Careful: of the 2 packed in this, 1 must not")
    assert f"called back by Cedar Assembly, because of HEAT1: {SLAG}" in page
    assert "NO VERDICT" not in page
    assert "received from outside" not in page
    assert page.index("Packed in it") < page.index("What its contents were made from")
    chinese = read(day.person.get(f"/portal/lots/{whole.hex()}?lang=zh").text)
    assert "托盘或箱，内装 2 件零件" in chinese
