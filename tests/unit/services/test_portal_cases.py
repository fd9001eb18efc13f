"""Quality cases: who finds them in its own index, what counts as acknowledged and resolved, the pages, and the acts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from millmark.ledger.claims import build_claims
from millmark.ledger.errors import NotFoundError
from millmark.ledger.provenance import cases, open_reader
from millmark.ledger.provenance.cases import Case, CaseList, find_case, find_cases, find_noteable
from millmark.ledger.provenance.permissions import Limits
from millmark.ledger.provenance.reader import Reader
from millmark.ledger.provenance.worklist import Task, find_work
from millmark.ledger.records import NoteKind, TransformationKind
from millmark.ledger.store import Book
from millmark.ledger.store.rows import NoteRow
from millmark.ledger.verify.report import Worth
from millmark.ledger.verify.statements import say
from millmark.services.access.rules import PersonRole
from millmark.services.handover.delivering import State
from millmark.services.handover.repository import HandoverRepository
from millmark.services.portal.passports import build_story
from tests.support.company_site import ActingSite, open_acting_site
from tests.support.fake_world import BUYER, CARRIER, COORDINATOR, INSPECTOR, OTHER_BUYER, SMITH, World, build_world
from tests.support.figures import Tell
from tests.support.gateway_client import act, fields_of, read
from tests.support.portal_site import OWNER, Site
from tests.support.stores import new_store

NOTICE, SEEN, DONE = NoteKind.RECALL_NOTICE, NoteKind.ACKNOWLEDGEMENT, NoteKind.RESOLUTION
NASTY = "<script>alert(1)</script>\"'\u202e"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with new_store(tmp_path) as store:
        yield build_world(store)


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the cases that are built, in this order."""
    built: list[int] = []
    build = cases.build_case

    def build_one(reader: Reader, notice: NoteRow) -> Case | None:
        built.append(notice.sequence)
        return build(reader, notice)

    monkeypatch.setattr(cases, "build_case", build_one)
    return built


def note(world: World, participant: int, kind: NoteKind, *lots: str) -> int:
    number = world.fake.note(participant, *(world.lots[lot] for lot in lots), kind=int(kind))
    world.follow()
    return number


def case_of(world: World, number: int, viewer: int | None = None) -> Case:
    with open_reader(world.store, viewer) as reader:
        return find_case(reader, number)


def held(case: Case) -> dict[int, tuple[int, int, int]]:
    """By company: lots, acknowledged, resolved."""
    return {one.party.participant: (one.lots, one.acknowledged, one.resolved) for one in case.parties}


def test_a_notice_reaches_what_was_made_of_its_lots_and_who_has_it(world: World) -> None:
    case = case_of(world, note(world, SMITH, NOTICE, "bar"))
    names = {world.name(one.lot.subject) for one in case.lots}
    assert names == {
        "bar", "billet", "hip blank", "rail blank", "hip 1", "hip 2", "hip 3",
    }  # fmt: skip
    assert set(held(case)) == {SMITH, BUYER}
    assert case.closed is None
    assert case.awaits(SMITH)
    assert case.awaits(BUYER)
    assert not case.awaits(CARRIER)


def test_other_notes_open_no_case(world: World) -> None:
    number = note(world, SMITH, NoteKind.OBSERVATION, "bar")
    with open_reader(world.store) as reader:
        assert find_cases(reader, 10) == CaseList((), truncated=False)
    for absent in (number, 10**6, world.certificates["hip 1"]):
        with pytest.raises(NotFoundError):
            case_of(world, absent)


def test_each_company_finds_the_cases_that_reach_it_and_no_other(world: World) -> None:
    number = note(world, SMITH, NOTICE, "hip 1")
    for viewer in (SMITH, BUYER, COORDINATOR, INSPECTOR):
        with open_reader(world.store, viewer) as reader:
            assert [one.number for one in find_cases(reader, 10).items] == [number], viewer
    with open_reader(world.store, OTHER_BUYER) as reader:
        assert find_cases(reader, 10) == CaseList((), truncated=False)
    with pytest.raises(NotFoundError):
        case_of(world, number, OTHER_BUYER)
    both = note(world, SMITH, NOTICE, "bar")
    seen = {world.name(one.lot.subject) for one in case_of(world, both, OTHER_BUYER).lots}
    assert "rail blank" in seen
    assert not {name for name in seen if name.startswith("hip")}, "lots of others are not listed"


def test_an_acknowledgement_counts_from_the_holder_after_the_notice(world: World) -> None:
    note(world, BUYER, SEEN, "hip 1")
    number = note(world, SMITH, NOTICE, "hip 1")
    assert held(case_of(world, number))[BUYER] == (1, 0, 0), "it was recorded before the notice"
    note(world, INSPECTOR, SEEN, "hip 1")
    assert held(case_of(world, number))[BUYER] == (1, 0, 0), "somebody else's"
    note(world, BUYER, SEEN, "bar")
    assert held(case_of(world, number))[BUYER] == (1, 0, 0), "of a lot that it does not reach"
    seen = note(world, BUYER, SEEN, "hip 1")
    case = case_of(world, number)
    assert held(case)[BUYER] == (1, 1, 0)
    assert not case.awaits(BUYER)
    assert case.parties[0].first is not None
    assert case.parties[0].first.sequence == seen


def test_answers_to_other_notices_hide_none(world: World) -> None:
    number = note(world, SMITH, NOTICE, "hip 1")
    for _ in range(4):
        note(world, BUYER, SEEN, "bar")
    note(world, BUYER, SEEN, "hip 1")
    assert held(case_of(world, number))[BUYER] == (1, 1, 0)


def test_no_more_cases_are_built_than_shown(world: World, built: list[int]) -> None:
    numbers = [note(world, SMITH, NOTICE, "hip 1") for _ in range(4)]
    with open_reader(world.store, BUYER) as reader:
        found = [one.number for one in find_cases(reader, 2).items]
    assert found == built == numbers[:1:-1]


def test_of_several_lots_each_has_to_be_acknowledged(world: World) -> None:
    number = note(world, SMITH, NOTICE, "hip 1", "hip 2")
    note(world, BUYER, SEEN, "hip 1")
    case = case_of(world, number)
    assert held(case)[BUYER] == (2, 1, 0)
    assert case.awaits(BUYER)


def test_a_packed_lot_is_answered_on_what_it_is_packed_in(world: World) -> None:
    number = note(world, SMITH, NOTICE, "hip 2")
    note(world, BUYER, SEEN, "box")
    assert held(case_of(world, number))[BUYER] == (1, 1, 0)


def test_who_takes_the_lot_over_has_to_answer_anew(world: World) -> None:
    number = note(world, SMITH, NOTICE, "hip 1")
    note(world, BUYER, SEEN, "hip 1")
    world.fake.offer(world.lots["hip 1"], CARRIER)
    world.fake.take(world.lots["hip 1"])
    world.follow()
    assert held(case_of(world, number)) == {CARRIER: (1, 0, 0)}


def test_a_case_is_resolved_by_lots_and_closed_by_its_author_alone(world: World) -> None:
    number = note(world, SMITH, NOTICE, "hip 1", "hip 2")
    note(world, BUYER, DONE, "hip 1")
    assert case_of(world, number).open_lots == 1
    note(world, BUYER, DONE, "box")
    case = case_of(world, number)
    assert (case.open_lots, case.closed) == (0, None)
    note(world, BUYER, DONE, "hip 1", "hip 2")
    assert case_of(world, number).closed is None, "not by who was told"
    note(world, SMITH, DONE, "hip 1")
    assert case_of(world, number).closed is None, "one of the two that it names"
    last = note(world, SMITH, DONE, "hip 2")
    closed = case_of(world, number).closed
    assert closed is not None
    assert closed.sequence == last


def test_spent_lots_need_no_answer(world: World) -> None:
    number = note(world, SMITH, NOTICE, "hip 1")
    world.fake.scrap(world.lots["hip 1"], 1)
    world.follow()
    case = case_of(world, number)
    assert (case.open_lots, case.parties) == (0, ())


def test_a_note_may_be_recorded_where_the_contract_lets_it(world: World) -> None:
    def names(participant: int, *lots: str) -> list[str]:
        with open_reader(world.store) as reader:
            found = find_noteable(reader, participant, [world.lots[lot] for lot in lots])
        return [world.name(row.subject) for row in found]

    lots = ("bar", "hip 1", "hip 2", "rail blank")
    assert names(SMITH, *lots) == ["bar", "hip 1", "hip 2", "rail blank"], "it made all"
    assert names(BUYER, *lots) == ["hip 1", "hip 2"], "of its order"
    assert names(OTHER_BUYER, *lots) == ["rail blank"]
    assert names(INSPECTOR, *lots) == ["hip 1", "hip 2", "rail blank"], "at its gates"
    assert names(CARRIER, *lots) == []


# Pages


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with new_store(tmp_path_factory.mktemp("cases")) as store:
        site = Site(store)
        claims = build_claims({"text": NASTY, NASTY: [NASTY, 1, None]})
        site.world.fake.note(SMITH, site.world.lots["hip 1"], kind=int(NOTICE), root=claims.root)
        site.world.fake.note(BUYER, site.world.lots["hip 1"], kind=int(SEEN))
        site.world.follow()
        with store.transaction() as connection:
            Book(connection).put_document(claims.root, json.dumps(claims.to_json()))
        yield site


def number_in(page: str) -> str:
    found = re.search(r'href="/portal/cases/(\d+)"', page)
    assert found is not None
    return found[1]


@pytest.mark.parametrize(("language", "told"), [("en", "1 of 1"), ("zh", "1 / 1")])
def test_the_pages_say_who_has_what_and_who_acknowledged(site: Site, language: str, told: str) -> None:
    browser = site.browser(OWNER)
    number = number_in(browser.get(f"/portal/cases?lang={language}").text)
    page = browser.get(f"/portal/cases/{number}?lang={language}").text
    for words in ("hip-1", "Clinic", "Smithy", told, '<g class="away"'):
        assert words in page, words


def test_markup_in_a_notice_is_text(site: Site) -> None:
    page = site.browser(OWNER).get(f"/portal/cases/{number_in(site.browser(OWNER).get('/portal/cases').text)}").text
    assert "<script>" not in page
    assert "\u202e" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_what_a_notice_says_is_for_the_company_of_the_gateway(site: Site) -> None:
    number = number_in(site.browser(OWNER).get("/portal/cases").text)
    for tenant in (SMITH, BUYER, INSPECTOR):
        assert "alert(1)" not in site.browser(tenant).get(f"/portal/cases/{number}").text
    hidden = site.browser(OTHER_BUYER).get(f"/portal/cases/{number}")
    absent = site.browser(OTHER_BUYER).get("/portal/cases/999999")
    assert hidden.status_code == absent.status_code == 404
    assert hidden.text.replace(f"cases/{number}", "N") == absent.text.replace("cases/999999", "N")


@pytest.mark.parametrize("number", ["0", "9" * 30, "-1", "x", "1.5"])
def test_numbers_of_no_case_are_not_found(site: Site, number: str) -> None:
    assert site.browser(OWNER).get(f"/portal/cases/{number}").status_code == 404


def test_it_is_said_to_whose_gateway_the_text_was_delivered(site: Site) -> None:
    number = number_in(site.browser(OWNER).get("/portal/cases").text)
    assert "Text at its gateway" not in site.browser(OWNER).get(f"/portal/cases/{number}").text
    with site.store.transaction() as connection:
        deliveries = HandoverRepository(connection)
        deliveries.add(int(number), BUYER, 1_790_000_000_000)
    page = site.browser(OWNER).get(f"/portal/cases/{number}").text
    assert "not delivered yet" in page
    with site.store.transaction() as connection:
        deliveries = HandoverRepository(connection)
        row = deliveries.get(int(number), BUYER)
        assert row is not None
        deliveries.change(row, state=State.DELIVERED.value, changed_ms=1_790_000_000_000)
    page = site.browser(OWNER).get(f"/portal/cases/{number}").text
    assert "not delivered yet" not in page
    assert "2026-09-21" in page
    assert "2026-09-21" not in site.browser(SMITH).get(f"/portal/cases/{number}").text


def test_a_notice_that_awaits_an_answer_is_the_first_thing_to_do(world: World) -> None:
    def first(company: int) -> Task | None:
        with open_reader(world.store, company) as reader:
            items = find_work(reader, company, 0, 10).items
        return items[0].task if items else None

    note(world, SMITH, NOTICE, "hip 1", "hip 2")
    assert first(BUYER) is Task.ANSWER_NOTICE
    assert first(SMITH) is not Task.ANSWER_NOTICE
    note(world, BUYER, SEEN, "hip 1", "box")
    assert first(BUYER) is not Task.ANSWER_NOTICE


def test_a_part_that_was_called_back_has_no_green_badge() -> None:
    passed, notice, other = (say(code, bytes(32)) for code in ("passed", "recall_notice", "note"))
    assert build_story([passed, other]).worth is Worth.GOOD
    assert build_story([passed, notice]).worth is Worth.BAD


# From the lot to the closed case, on the real contracts


@pytest.fixture
def acting(tmp_path: Path) -> Iterator[ActingSite]:
    yield from open_acting_site(tmp_path)


def link(page: str, act_name: str) -> str:
    found = re.search(rf'href="(/portal/act/{act_name}\?[^"]+)"', page)
    assert found is not None, read(page)
    return found[1].replace("&amp;", "&")


def test_a_heat_is_recalled_acknowledged_and_closed_by_forms(acting: ActingSite) -> None:
    new = {"quantity": 10, "unit": "KGM", "claims": {"heat": "7"}}
    lot = acting.final("/v1/lots/receive", identifier="urn:example:HEAT7", **new)["subjects"][0]
    person = acting.person()
    page = person.get(f"/portal/lots/{lot[2:]}").text
    assert f'href="/portal/recall?lot={lot}"' in page
    page = person.get("/portal/recall?lot=HEAT7").text
    form = link(page, "recallNotice")
    asked = person.post("/portal/act/recallNotice", {})
    assert asked.status_code == 400
    said = read(person.get(form).text)
    assert "Called back HEAT7 Lots that still exist, with all that was made of it 1 Who is told none" in said
    assert "Sent to every company that made, has or had any of it" in said
    summary = act(person, form, {"text": "slag inclusions"})
    assert summary.status_code == 303
    assert parse_qs(urlsplit(summary.headers["location"]).query)["back"] == ["/portal/cases"]
    acting.send()
    final = person.get(summary.headers["location"]).text
    assert "<h1>Recall notice</h1>" in final
    waits = person.get("/portal").text
    assert "Called back: HEAT7, Case" in read(waits)
    assert "It reaches what you have: HEAT7" in read(waits)
    assert "They write: slag inclusions" in read(waits)
    link_to = re.search(r'<a class="button" href="(/portal/cases/[0-9]+)">Read it and answer', waits)
    assert link_to is not None
    assert link_to[1] in final
    case = f"/portal/cases/{number_in(person.get('/portal/cases').text)}"
    page = person.get(case).text
    assert "slag inclusions" in page
    assert "awaits your acknowledgement" in page
    act(person, link(page, "acknowledgeNotice"))
    acting.send()
    page = person.get(case).text
    assert "/portal/act/acknowledgeNotice" not in page
    act(person, link(page, "resolveNotice"), {"text": "melted again"})
    acting.send()
    page = person.get(case).text
    assert "all lots resolved" in page or "closed" in page
    reader = acting.person(PersonRole.READER)
    assert "/portal/act/" not in reader.get(case).text
    assert "recallNotice" not in reader.get("/portal/recall?lot=HEAT7").text


@pytest.mark.parametrize("lots", ["", "x", "1-x", "-", "9" * 16, "1" + "-1" * 64, "１", "999999"])
def test_a_form_about_no_lots_records_nothing(acting: ActingSite, lots: str) -> None:
    person = acting.person()
    page = person.get(f"/portal/act/recallNotice?lots={lots}")
    assert page.status_code in (200, 400)
    sent = person.post("/portal/act/recallNotice", {**fields_of(page.text), "lots": lots, "text": "x"})
    assert sent.status_code == 400


def test_a_lot_that_is_not_there_is_not_left_out_in_silence(acting: ActingSite) -> None:
    fate = acting.final("/v1/lots/receive", identifier="urn:example:X", quantity=1, unit="H87", claims={})
    person, known = acting.person(), 64 * fate["sequence"]
    page = person.get(f"/portal/act/recallNotice?lots={known}")
    entries = {**fields_of(page.text), "text": "x"}
    assert person.post("/portal/act/recallNotice", {**entries, "lots": f"{known}-999999"}).status_code == 400
    assert person.post("/portal/act/recallNotice", {**entries, "lots": f"{known}-{known}"}).status_code == 200


def test_an_old_notice_is_found_behind_many_that_concern_others(
    world: World, built: list[int], monkeypatch: pytest.MonkeyPatch, tell: Tell
) -> None:
    monkeypatch.setattr(cases, "_PART", 16)
    old = note(world, SMITH, NOTICE, "hip 1")
    for _ in range(60):
        world.fake.note(OTHER_BUYER, world.lots["rail blank"], kind=int(NOTICE))
    world.follow()
    with open_reader(world.store, BUYER) as reader:
        assert [one.number for one in find_cases(reader, 10).items] == [old]
    assert built == [old], "the others are passed over"
    with open_reader(world.store) as reader:
        assert [one.number for one in find_cases(reader, 10, awaiting=BUYER).items] == [old]
        assert len(find_cases(reader, 10).items) == 10
    assert built[1] == old
    tell("1 case of 61 notices found by a company, with 1 case built")


def awaited(world: World, company: int, viewer: int | None = None) -> list[int]:
    """The notices that await the company's answer, newest first."""
    with open_reader(world.store, viewer) as reader:
        return [one.number for one in find_cases(reader, 20, awaiting=company).items]


def test_a_notice_on_packed_lots_awaits_who_has_what_they_are_packed_in(world: World) -> None:
    number = note(world, SMITH, NOTICE, "hip 2")
    world.fake.offer(world.lots["box"], CARRIER)
    world.fake.take(world.lots["box"])
    world.follow()
    assert (awaited(world, CARRIER), awaited(world, BUYER)) == ([number], [])
    assert awaited(world, CARRIER, CARRIER) == [number]
    world.lots["crate"] = world.fake.receive("crate", CARRIER, 1)
    world.fake.pack(world.lots["crate"], world.lots["box"])
    world.fake.offer(world.lots["crate"], OTHER_BUYER)
    world.fake.take(world.lots["crate"])
    world.follow()
    assert (awaited(world, CARRIER), awaited(world, OTHER_BUYER)) == ([], [number])
    assert awaited(world, OTHER_BUYER, OTHER_BUYER) == [number]
    note(world, OTHER_BUYER, SEEN, "crate")
    assert awaited(world, OTHER_BUYER) == []


def split(world: World, lot: str, *into: str) -> None:
    made = world.fake.transform(TransformationKind.SPLIT, {world.lots[lot]: len(into)}, dict.fromkeys(into, 1))
    world.lots.update(zip(into, made, strict=True))


def test_a_notice_that_reaches_very_much_hides_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cases, "LIMITS", Limits(depth=8, lots=3))
    world.lots["coil"] = world.fake.receive("coil", SMITH, 12)
    split(world, "coil", *(f"nail {place}" for place in range(12)))
    world.lots["rod"] = world.fake.receive("rod", SMITH, 1)
    split(world, "rod", "pin blank")
    split(world, "pin blank", "pin")
    world.fake.offer(world.lots["pin"], CARRIER)
    world.fake.take(world.lots["pin"])
    number = note(world, SMITH, NOTICE, "rod")
    note(world, SMITH, NOTICE, "coil")
    assert awaited(world, CARRIER) == [number]


def test_what_was_answered_or_closed_is_not_built_again(world: World, built: list[int]) -> None:
    for _ in range(3):
        note(world, SMITH, NOTICE, "hip 1", "hip 2")
    note(world, BUYER, SEEN, "hip 1", "box")
    closed = [note(world, SMITH, NOTICE, "hip 1", "hip 2") for _ in range(3)]
    note(world, SMITH, DONE, "hip 1")
    assert awaited(world, BUYER) == built == closed[::-1], "one of the two that they name"
    note(world, SMITH, DONE, "hip 2")
    half = note(world, SMITH, NOTICE, "hip 1", "hip 2")
    note(world, BUYER, SEEN, "hip 1")
    built.clear()
    assert awaited(world, BUYER) == built == [half]


def test_no_more_notices_are_looked_at_than_bounded_and_that_is_said(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    say_so = "Not every notice could be looked at"
    assert say_so not in site.browser(OWNER).get("/portal/cases").text
    with open_reader(site.store, OTHER_BUYER) as reader:
        assert not find_cases(reader, 10).truncated
    monkeypatch.setattr(cases, "_MOST_SEARCHED", 0)
    with open_reader(site.store, OTHER_BUYER) as reader:
        assert find_cases(reader, 10) == CaseList((), truncated=True)
        assert find_work(reader, OTHER_BUYER, 0, 10).truncated
    assert say_so in site.browser(OTHER_BUYER).get("/portal/cases").text


@pytest.mark.parametrize("name", ["_MOST_SEARCHED", "_MOST_SEARCHED_LOTS"])
def test_an_older_notice_than_those_looked_at_is_not_left_out_in_silence(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(cases, "_PART", 1)
    note(world, SMITH, NOTICE, "hip 1")
    note(world, OTHER_BUYER, NOTICE, "rail blank")
    for most, expected in ((1, (0, True)), (2, (1, False))):
        monkeypatch.setattr(cases, name, most)
        with open_reader(world.store) as reader:
            found = find_cases(reader, 10, awaiting=BUYER)
        assert (len(found.items), found.truncated) == expected


def test_what_lies_beyond_the_limits_of_one_notice_is_not_left_out_in_silence(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    note(world, SMITH, NOTICE, "bar")
    with open_reader(world.store) as reader:
        assert not find_cases(reader, 10, awaiting=CARRIER).truncated
        monkeypatch.setattr(cases, "LIMITS", Limits(depth=1, lots=10))
        assert find_cases(reader, 10, awaiting=CARRIER).truncated
