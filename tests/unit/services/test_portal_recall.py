"""Recall as a task: the three choices, who has what, natural order, the links that lead here, and what is refused."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from millmark.ledger.provenance import open_reader, recall
from millmark.ledger.records import LotState
from millmark.ledger.store import Book, Rows
from millmark.ledger.store.rows import LotRow
from millmark.services.directory.document import Contact
from millmark.services.directory.repository import DirectoryEntryRow
from millmark.services.portal.recalls import sort_naturally, where_of
from tests.support.fake_world import BUYER, CARRIER, INSPECTOR, OTHER_BUYER, SMITH
from tests.support.portal_site import OWNER, Site
from tests.support.stores import new_store
from tests.unit.services.test_portal_contents import seen

NASTY = "<img src=x onerror=alert(1)>\"'\u202e"

CONTACT = Contact("Ward 3", "o'ward@clinic.example", None, "CH").to_text()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with new_store(tmp_path_factory.mktemp("recall")) as store:
        yield Site(store)


def test_there_are_three_choices_and_one_is_open(site: Site) -> None:
    page = site.browser(OWNER).get("/portal/recall").text
    assert page.count('<details name="recall"') == 3
    assert page.count('<details name="recall" open') == 1
    assert 'id="reached"' not in page


def test_a_machine_named_by_a_link_waits_for_its_period(site: Site) -> None:
    answer = site.browser(OWNER).get(f"/portal/recall?machine={site.world.machine}")
    assert answer.status_code == 200
    assert 'role="alert"' not in answer.text
    assert f'name="machine" value="{site.world.machine}"' in answer.text
    opened = re.findall(r'<details name="recall" open><summary>([^<]+)', answer.text)
    assert opened == ["A machine worked badly for a time"]


@pytest.mark.parametrize("name", ["bar", "urn:example:bar", "0x"])
def test_a_lot_is_recalled_by_any_of_its_names(site: Site, name: str) -> None:
    asked = f"0x{site.world.lots['bar'].hex()}" if name == "0x" else name
    page = site.browser(OWNER).get(f"/portal/recall?lot={asked}")
    assert page.status_code == 200
    assert "hip-1" in page.text


def use_up(site: Site) -> None:
    """Scraps the part that was reworked."""
    with site.store.transaction() as connection:
        rows = Rows(connection)
        part = rows.get(LotRow, site.world.lots["hip 3"])
        assert part is not None
        rows.update([replace(part, quantity=0, state=int(LotState.SPENT))])


def test_boxes_tell_who_has_what(site: Site) -> None:
    """The caller here is the smith, who has what is not delivered."""
    use_up(site)
    page = site.browser(SMITH).get("/portal/recall?lot=bar").text
    found = recall(site.store, lot=site.world.lots["bar"])
    places = [where_of(lot, SMITH) for lot in found.lots]
    for tone, classes in (("own", '"own'), ("away", '"away'), ("spent", '"lot spent')):
        assert page.count(f"<g class={classes}") == places.count(tone) > 0, tone
    other = site.browser(INSPECTOR).get(f"/portal/recall?model={site.world.model}").text
    assert '<g class="own"' not in other


def test_what_is_packed_and_offered_is_said_on_the_page_and_in_the_file(site: Site) -> None:
    """A box is on its way to another company, with a part in it."""
    with site.store.transaction() as connection:
        box = Rows(connection).get(LotRow, site.world.lots["box"])
        assert box is not None
        Rows(connection).put(replace(box, state=int(LotState.OFFERED), counterparty=CARRIER))
    try:
        page = " ".join(seen(site.browser(OWNER).get("/portal/recall?lot=bar").text).split())
        assert re.search(r"packed in\s+box\s+offered to", page), page
        table = site.browser(OWNER).get("/portal/recall.csv?lot=bar").text
        assert ",packed_in,offered_to" in table
        assert re.search(r",urn:[^,]*:box,[^,\r\n]+\r\n", table), table
    finally:
        with site.store.transaction() as connection:
            Rows(connection).put(box)


def test_holders_have_the_contacts_of_the_directory(site: Site) -> None:
    page = seen(site.browser(OWNER).get("/portal/recall?lot=bar").text)
    assert "not in the directory" in page
    with site.store.transaction() as connection:
        Rows(connection).insert(
            [
                DirectoryEntryRow(
                    BUYER, "Clinic", "9506000000005", f"https://clinic.example/{NASTY}", b"", 0, b"", CONTACT
                )
            ]
        )
    use_up(site)
    page = site.browser(OWNER).get("/portal/recall?lot=bar").text
    assert "9506000000005" in page
    assert "https://clinic.example/&lt;img" in page
    assert "<img src=x" not in page
    assert '<a href="mailto:o%27ward@clinic.example"' in page
    assert "\u202e" not in page
    table = site.browser(OWNER).get("/portal/recall.csv?lot=bar").text
    assert "https://clinic.example/" in table
    assert "ward@clinic.example" in table
    with site.store.transaction() as connection:
        Rows(connection).put(DirectoryEntryRow(SMITH, "Smith", "", "https://smith.example", b"", 0, b"", ""))
    rows = list(
        csv.DictReader(io.StringIO(site.browser(OWNER).get("/portal/recall.csv?lot=bar").text.lstrip("\ufeff")))
    )
    spent = [one for one in rows if one["state"] == "spent"]
    assert spent
    assert {one["holder_contact"] for one in spent if one["holder_number"] == str(SMITH)} == {
        "in the directory, which names no contact"
    }
    assert all(one["holder_contact"] for one in rows)


def test_a_picture_that_may_be_cut_off_says_so(site: Site) -> None:
    page = site.browser(OWNER).get("/portal/recall?lot=bar").text
    width = re.search(r'<svg class="genealogy"[^>]* width="(\d+)"', page)
    assert width is not None
    hint = re.search(r'<p class="note sideways( narrow)?">The picture may be wider', page)
    assert hint is not None
    assert bool(hint[1]) is (int(width[1]) <= 960)


def test_names_are_sorted_as_people_sort(site: Site) -> None:
    found = recall(site.store, lot=site.world.lots["bar"]).lots[0]
    names = ["urn:x:A10", "urn:x:A9", "urn:x:A1", "urn:x:B", None, "urn:x:10", "urn:x:A9b", "urn:x:٣", "urn:x:²"]
    lots = [replace(found, identifier=name) for name in names]
    assert [one.identifier for one in sort_naturally(lots)] == [
        "urn:x:10", "urn:x:A1", "urn:x:A9", "urn:x:A9b", "urn:x:A10", "urn:x:B", "urn:x:²", "urn:x:٣", None,
    ]  # fmt: skip


def test_what_still_exists_comes_before_what_is_used_up(site: Site) -> None:
    """On the page of a lot of which others were made: that nothing is left of it is no reason for concern."""
    use_up(site)
    page = site.browser(OWNER).get(f"/portal/lots/{site.world.lots['bar'].hex()}").text
    table = page.partition('id="related-lot-downstream"')[2].partition("</table>")[0]
    spent = ["used up" in row for row in table.split("<tr>")[2:]]
    assert True in spent
    assert spent == sorted(spent)
    assert "0 pc" not in table
    attention = page.partition('id="attention"')[2].partition("</section>")[0]
    assert "nothing is left of" not in attention


def test_links_lead_to_a_recall_that_finds_something(site: Site) -> None:
    for name, lot in site.world.lots.items():
        for tenant in (OWNER, BUYER, SMITH, INSPECTOR, OTHER_BUYER):
            page = site.browser(tenant).get(f"/portal/lots/{lot.hex()}")
            link = re.search(r'href="(/portal/recall\?lot=0x[0-9a-f]{64})"', page.text)
            direct = site.browser(tenant).get(f"/portal/recall?lot=0x{lot.hex()}").status_code
            assert (link is not None) is (page.status_code == 200 and direct == 200), (name, tenant)
    machine = f"/portal/machines/{site.world.machine}"
    for tenant in (OWNER, SMITH, BUYER):
        linked = "/portal/recall?machine=" in site.browser(tenant).get(machine).text
        assert linked is (tenant in (OWNER, SMITH)), tenant


def test_models_to_choose_are_those_that_may_be_recalled(site: Site) -> None:
    option = f'value="{site.world.model}"'
    for tenant in (OWNER, INSPECTOR, SMITH, BUYER):
        page = site.browser(tenant).get("/portal/recall").text
        assert (option in page) is (tenant in (OWNER, INSPECTOR)), tenant
    assert site.browser(CARRIER).get("/portal/recall").status_code in (200, 404)


def test_markup_in_every_field_is_text(site: Site) -> None:
    for field in ("lot", "machine", "model", "since", "until"):
        page = site.browser(OWNER).get(f"/portal/recall?{field}=<script>alert(1)</script>&lang=zh")
        assert "<script>" not in page.text


def test_without_a_node_no_proof_is_offered(site: Site) -> None:
    assert "recall.zip" not in site.browser(OWNER).get("/portal/recall?lot=bar").text
    assert site.browser(OWNER).get("/portal/recall.zip?lot=bar").status_code == 404


def test_a_name_in_the_book_with_markup_is_text(site: Site) -> None:
    with open_reader(site.store) as reader:
        assert reader.book.identities("bar")
    with site.store.transaction() as connection:
        Book(connection).set_names({BUYER: NASTY, SMITH: "Smithy"})
    page = site.browser(OWNER).get("/portal/recall?lot=bar").text
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page
