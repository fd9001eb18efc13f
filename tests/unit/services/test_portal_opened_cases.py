"""What the author of a recall notice waits for: on its work list, and on the page of the case."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from millmark.ledger.provenance import open_reader
from millmark.ledger.provenance.cases import CaseList, find_opened
from millmark.ledger.provenance.reader import Reader
from millmark.ledger.records import NoteKind, TransformationKind
from millmark.services.portal import listings
from tests.support.fake_world import BUYER, INSPECTOR, SMITH, World, build_world
from tests.support.portal_site import Site
from tests.support.stores import new_store

NOTICE, SEEN = NoteKind.RECALL_NOTICE, NoteKind.ACKNOWLEDGEMENT


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with new_store(tmp_path) as store:
        yield build_world(store)


def note(world: World, participant: int, kind: NoteKind, *lots: str) -> int:
    number = world.fake.note(participant, *(world.lots[lot] for lot in lots), kind=int(kind))
    world.follow()
    return number


def test_an_author_is_told_what_it_waits_for_until_it_closes_the_case(world: World) -> None:
    def opened(company: int) -> list[int]:
        with open_reader(world.store, company) as reader:
            return [one.number for one in find_opened(reader, company, 5).items]

    assert opened(SMITH) == []
    first, second = (note(world, SMITH, NOTICE, name) for name in ("hip 1", "hip 2"))
    assert opened(SMITH) == [second, first]
    assert opened(BUYER) == [], "it is another's"
    with open_reader(world.store, SMITH) as reader:
        assert find_opened(reader, SMITH, 1).truncated
    note(world, BUYER, SEEN, "hip 1")
    assert opened(SMITH) == [second, first], "it is still to be closed"
    note(world, SMITH, NoteKind.RESOLUTION, "hip 1")
    assert opened(SMITH) == [second]


@pytest.mark.parametrize(
    ("language", "silent", "heard", "closes"),
    [
        ("en", "1 of 1 holders still to acknowledge", "Have acknowledged (1 of 1)", "All have acknowledged"),
        ("zh", "1 个持有方中有 1 个尚未确认", "已确认（1 / 1）", "均已确认"),
    ],
)
def test_the_work_list_and_the_case_say_who_has_not_acknowledged(
    tmp_path: Path, language: str, silent: str, heard: str, closes: str
) -> None:
    with new_store(tmp_path) as store:
        site = Site(store)
        number = note(site.world, SMITH, NOTICE, "hip 1")
        browser = site.browser(SMITH)
        work, case = (f"/portal?lang={language}", f"/portal/cases/{number}?lang={language}")
        before = browser.get(work).text
        assert silent in before
        assert f'href="/portal/cases/{number}"' in before
        assert "Clinic" in before
        assert 'id="silent"' in browser.get(case).text
        assert heard not in browser.get(case).text
        note(site.world, BUYER, SEEN, "hip 1")
        after = browser.get(work).text
        assert silent not in after
        assert closes in after
        assert heard in browser.get(case).text
        assert 'id="silent"' not in browser.get(case).text


def test_later_pages_of_the_work_list_look_for_no_cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []

    def look(reader: Reader, author: int, most: int) -> CaseList:
        looked.append(author)
        return find_opened(reader, author, most)

    monkeypatch.setattr(listings, "find_opened", look)
    with new_store(tmp_path) as store:
        browser = Site(store).browser(SMITH)
        assert browser.get("/portal?page=2").status_code == 200
        assert looked == []
        assert browser.get("/portal").status_code == 200
        assert looked == [SMITH]


@pytest.mark.parametrize(
    ("language", "false", "seen", "unseen"),
    [
        (
            "en",
            "No other company has any of it.",
            "No other company has any of it, as far",
            "There may be more of it, beyond",
        ),
        (
            "zh",
            "没有其他公司持有相关批次；",
            "在此处查看的范围内，没有其他公司",
            "可能另有相关批次不在贵公司可见的范围内",
        ),
    ],
)
def test_an_author_that_cannot_see_what_was_made_of_a_lot_is_not_told_that_nobody_has_it(
    tmp_path: Path, language: str, false: str, seen: str, unseen: str
) -> None:
    with new_store(tmp_path) as store:
        site = Site(store)
        fake, lots = site.world.fake, site.world.lots
        fake.transform(TransformationKind.CONVERSION, {lots["hip 1"]: 1}, {"pump": 1})
        number = note(site.world, INSPECTOR, NOTICE, "hip 1")
        browser = site.browser(INSPECTOR)
        for path in ("/portal", f"/portal/cases/{number}"):
            page = browser.get(f"{path}?lang={language}").text
            assert false not in page
            assert seen in page
            assert unseen in page
