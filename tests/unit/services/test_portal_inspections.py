"""The inspection queue, measured windows and model pages: who waits for whom, what is shown to whom, and refusals."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from typing import Any

import pytest

from millmark.ledger.provenance import open_reader
from millmark.ledger.provenance.reader import Reader
from millmark.ledger.provenance.worklist import find_challenged, find_demands, find_waiting
from millmark.ledger.records import Gate, ModelState, Verdict
from millmark.ledger.store import Book, Rows
from millmark.ledger.store.rows import CertificateRow, ModelRow
from millmark.quality import model_digest
from millmark.quality.drift import ACTING_ROWS, Drift, Reference
from millmark.quality.inference import pack_window
from millmark.services.inspections.windows import GROUP, REFERENCE, REFERENCE_GROUPS, control, find_latest_windows
from millmark.services.portal import models
from tests.support.fake_world import AUDITOR, BUYER, CARRIER, INSPECTOR, OTHER_BUYER, SMITH, World, build_world
from tests.support.portal_site import OWNER, Site
from tests.support.stores import new_store
from tests.unit.services.test_portal_contents import seen

MODEL = (resources.files("millmark.quality") / "models" / "forda.bin").read_bytes()
CARD = (resources.files("millmark.quality") / "models" / "forda.json").read_text("utf-8")
WIDTH, THRESHOLD = 500, 5381


def finish(world: World) -> None:
    """Makes lots by the last operation of both orders."""
    for name in ("hip", "rail"):
        world.fake.begin(world.orders[name], 1, world.machine)
        world.lots[f"{name} end"] = world.fake.commission(f"{name} end", world.orders[name], 1, operation=1)
    world.follow()
    with world.store.transaction() as connection:
        for name in ("hip end", "rail end"):
            Book(connection).add_identity(world.fake.identities[world.lots[name]])


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with new_store(tmp_path_factory.mktemp("inspections")) as store:
        site = Site(store)
        finish(site.world)
        yield site


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with new_store(tmp_path_factory.mktemp("waiting")) as store:
        world = build_world(store)
        finish(world)
        yield world


def waiting(world: World, viewer: int | None = None) -> dict[str, str]:
    """The names of lots that wait, and the status of the earlier certificate."""
    with open_reader(world.store, viewer) as reader:
        found = find_waiting(reader, 50)
    assert not found.truncated
    return {world.name(one.lot.subject): one.earlier.name for one in found.items}


# What waits


def test_what_waits_is_unspent_and_judged_by_nobody(world: World) -> None:
    assert waiting(world) == {"hip end": "NONE", "rail end": "NONE"}, "blanks go on, hips were judged"


def test_each_company_sees_what_waits_of_what_it_may_see(world: World) -> None:
    assert waiting(world, OTHER_BUYER) == {"rail end": "NONE"}
    assert waiting(world, SMITH) == waiting(world)
    assert waiting(world, CARRIER) == {}


def test_a_verdict_ends_the_waiting_and_its_fall_starts_it_again(world: World) -> None:
    fake, blank = world.fake, world.lots["rail end"]
    fake.certify(blank, INSPECTOR, world.model, Verdict.PASS, world.stream)
    world.follow()
    assert "rail end" not in waiting(world)
    fake.revoke(blank)
    world.follow()
    assert waiting(world)["rail end"] == "REVOKED"


def test_a_failed_lot_waits_only_after_its_rework(world: World) -> None:
    fake, blank = world.fake, world.lots["rail end"]
    fake.certify(blank, INSPECTOR, world.model, Verdict.FAIL, world.stream)
    world.follow()
    assert "rail end" not in waiting(world), "it has its verdict"
    fake.rework(blank)
    world.follow()
    assert waiting(world)["rail end"] == "VOIDED"


def test_a_waived_gate_is_not_waited_for(world: World) -> None:
    world.fake.waive(world.lots["rail end"], INSPECTOR)
    world.follow()
    assert "rail end" not in waiting(world)


def test_each_gate_is_waited_for_by_itself(world: World) -> None:
    fake = world.fake
    order = fake.place("two", BUYER, BUYER, Gate(INSPECTOR, world.model), Gate(AUDITOR, 0))
    fake.accept_order(order)
    fake.begin(order, 0, world.machine)
    lot = fake.commission("part", order, 1)
    fake.certify(lot, INSPECTOR, world.model, Verdict.PASS, world.stream)
    world.follow()
    with open_reader(world.store) as reader:
        [one] = [one for one in find_waiting(reader, 50).items if one.lot.subject == lot]
    assert (one.inspector.participant, one.model) == (AUDITOR, None)


def test_demands_and_challenges_are_listed_until_their_end(world: World) -> None:
    fake, blank = world.fake, world.lots["rail end"]
    issued = fake.certify(blank, INSPECTOR, world.model, Verdict.PASS, world.stream)
    fake.demand(blank, OTHER_BUYER)
    world.follow()
    with open_reader(world.store) as reader:
        [demand] = find_demands(reader, 10)
        assert (demand.certificate.certificate, demand.overdue) == (issued, False)
        assert find_challenged(reader, 10) == ()
    with open_reader(world.store, BUYER) as reader:
        assert find_demands(reader, 10) == (), "of a lot of somebody else"
    fake.refute(blank, OTHER_BUYER, Verdict.FAIL)
    world.follow()
    with open_reader(world.store) as reader:
        assert find_demands(reader, 10) == ()
        [refuted] = find_challenged(reader, 10)
        assert refuted.status.name == "REFUTED"


# Pages


def keep_model(site: Site, card: str = CARD) -> None:
    """Makes the world's model one whose bytes are in the book."""
    with site.store.transaction() as connection:
        rows = Rows(connection)
        row = rows.get(ModelRow, site.world.model)
        assert row is not None
        rows.update([replace(row, digest=model_digest(MODEL))])
        Book(connection).put_model(model_digest(MODEL), MODEL, card)


def keep_windows(site: Site, *, score: int = THRESHOLD) -> list[int]:
    with site.store.transaction() as connection:
        book = Book(connection)
        numbers = [row.sequence for row in Rows(connection).find(CertificateRow, model=site.world.model)]
        for number in numbers:
            book.put_inference(number, bytes(32), pack_window(range(WIDTH)), [score])
    return numbers


def certify_many(site: Site, count: int, first: int = 100_000) -> None:
    """Rows of further certificates, of which every fifth fails."""
    with site.store.transaction() as connection:
        rows, book = Rows(connection), Book(connection)
        [known, *_] = rows.find(CertificateRow, model=site.world.model)
        for number in range(first, first + count):
            verdict = int(Verdict.FAIL if number % 5 == 0 else Verdict.PASS)
            rows.insert([replace(known, sequence=number, verdict=verdict)])
            book.put_inference(number, bytes(32), pack_window(range(WIDTH)), [number % 7])


@pytest.mark.parametrize(("language", "told"), [("en", "Waiting for a gate"), ("zh", "等待检验关卡")])
def test_the_queue_names_lot_order_gate_and_holder(site: Site, language: str, told: str) -> None:
    page = site.browser(OWNER).get(f"/portal/inspections?lang={language}").text
    assert told in page
    for words in ("rail-end", "Looker", f"/portal/models/{site.world.model}", "Smithy"):
        assert words in page, words


def test_gates_of_the_caller_are_marked(site: Site) -> None:
    assert "yours" in seen(site.browser(INSPECTOR).get("/portal/inspections").text)
    assert "yours" not in seen(site.browser(SMITH).get("/portal/inspections").text)


def test_windows_are_drawn_for_the_company_alone(site: Site) -> None:
    keep_model(site)
    numbers = keep_windows(site)
    own = site.browser(OWNER).get("/portal/inspections").text
    assert own.count('<svg class="window"') == len(numbers)
    assert "5,381" in own
    for tenant in (INSPECTOR, BUYER, AUDITOR):
        assert '<svg class="window"' not in site.browser(tenant).get("/portal/inspections").text
        assert site.browser(tenant).get(f"/portal/inspections/{numbers[0]}").status_code == 404
        assert '<svg class="window"' not in site.browser(tenant).get(f"/portal/models/{site.world.model}").text
    one = site.browser(OWNER).get(f"/portal/inspections/{numbers[0]}").text
    assert "0.000499" in one, "the values are there as text"


@pytest.mark.parametrize("number", ["0", "1", "9" * 30, "-1", "x", "%00", "1e3", "１"])
def test_numbers_of_nothing_are_not_found(site: Site, number: str) -> None:
    for folder in ("inspections", "models"):
        answer = site.browser(OWNER).get(f"/portal/{folder}/{number}")
        assert answer.status_code == 404
        assert "Nothing found here" in answer.text


def test_the_model_page_has_card_health_and_what_it_judged(site: Site) -> None:
    keep_model(site)
    page = seen(site.browser(OWNER).get(f"/portal/models/{site.world.model}").text)
    for words in (
        "95.8 %",
        "94.5 – 96.7 %",
        "UCR FordA",
        "651",
        "Too few inspections yet",
        "hip-1",
        "Clinic",
        "Smithy",
    ):
        assert words in page, words
    assert "No chart of scores yet" in page


@pytest.mark.parametrize(
    ("language", "alarm", "informs"), [("en", "Alarm:", "has 399 rows"), ("zh", "警报：", "只有 399 行")]
)
def test_an_alarm_beside_a_small_reference_is_shown_as_one_that_only_informs(
    site: Site, monkeypatch: pytest.MonkeyPatch, language: str, alarm: str, informs: str
) -> None:
    keep_model(site)
    for rows in (399, 400):
        drift = Drift(Reference(rows, {}), 400, 2, {"margin": 9.0}, ("margin",))
        monkeypatch.setattr("millmark.services.inspections.model_health.measure_drift", lambda *_, found=drift: found)
        for path in ("/portal/models", f"/portal/models/{site.world.model}"):
            page = site.browser(OWNER).get(f"{path}?lang={language}").text
            assert alarm in page
            assert (informs in page) is (rows < ACTING_ROWS), (path, rows)


@pytest.mark.parametrize(("since", "said"), [(0, "the beginning: all its certificates fell"), (1, "1970-01-01 00:00")])
def test_a_withdrawn_model_says_since_when_it_was_defective(site: Site, since: int, said: str) -> None:
    site.world.fake.withdraw_model(AUDITOR, site.world.model, since)
    site.world.follow()
    for path in ("/portal/models", f"/portal/models/{site.world.model}"):
        page = seen(site.browser(OWNER).get(path).text)
        assert f"Defective since {said}" in page
        assert "since never" not in page


def test_a_recall_is_offered_only_where_it_leads_to_something(site: Site) -> None:
    path = f"/portal/models/{site.world.model}"
    recall = f"/portal/recall?model={site.world.model}"
    for tenant in (OWNER, INSPECTOR, AUDITOR, SMITH, BUYER, CARRIER):
        page = site.browser(tenant).get(path).text
        offered = recall in page
        assert offered is (tenant in (OWNER, INSPECTOR, AUDITOR) and "hip-" in page), tenant
        assert (recall in site.browser(tenant).get("/portal/models").text) is (tenant in (OWNER, INSPECTOR, AUDITOR))
        if offered:
            assert site.browser(tenant).get(recall).status_code == 200
    assert "What this model affected" not in site.browser(OWNER).get(f"/portal/models/{site.world.spare_model}").text


@pytest.mark.parametrize(
    "card",
    ["", "[]", "{", "[" * 3000, '{"test": 1, "data": []}', '{"test": {"accuracy_ppm": 2000000, "rows": "x"}}',
     '{"test": {"verdicts": {"true_negatives": -1}}}'],
)  # fmt: skip
def test_a_malformed_card_is_no_card(site: Site, card: str) -> None:
    keep_model(site, card)
    page = site.browser(OWNER).get(f"/portal/models/{site.world.model}")
    assert page.status_code == 200
    assert "Its card is not stored here." in page.text


def test_markup_in_a_card_is_text(site: Site) -> None:
    card = json.loads(CARD)
    nasty = "<script>alert(1)</script>\"'\u202e"
    card["data"]["name"] = card["training"]["goal"] = nasty
    card["data"]["test_sha256"] = [nasty]
    keep_model(site, json.dumps(card))
    page = site.browser(OWNER).get(f"/portal/models/{site.world.model}").text
    assert "<script>" not in page
    assert "\u202e" not in page
    assert "&lt;script&gt;alert(1)" in page


# Control charts of the book


def test_charts_need_their_reference_period(site: Site) -> None:
    keep_model(site)
    keep_windows(site)
    certify_many(site, REFERENCE - 5)
    with open_reader(site.store) as reader:
        assert control(reader, site.world.model).scores is None
    certify_many(site, GROUP * REFERENCE_GROUPS, 200_000)
    with open_reader(site.store) as reader:
        found = control(reader, site.world.model)
    assert found.scores is not None
    assert found.proportions is not None
    assert found.proportions.groups[-1].failed == GROUP // 5
    page = site.browser(OWNER).get(f"/portal/models/{site.world.model}").text
    assert page.count('<svg class="plot"') == 3 + 6, "control charts, and the drift of all statistics"


def test_a_gap_in_the_reference_period_is_no_reference(site: Site) -> None:
    keep_model(site)
    certify_many(site, 3 * REFERENCE)
    with open_reader(site.store) as reader:
        assert control(reader, site.world.model).scores is None, "the first certificates have no inference here"


def test_the_latest_windows_are_the_newest(site: Site) -> None:
    keep_model(site)
    numbers = keep_windows(site)
    with open_reader(site.store) as reader:
        found = find_latest_windows(reader, 2)
        assert [one.certificate.certificate for one in found] == sorted(numbers)[:-3:-1]
        assert [one.score for one in found] == [THRESHOLD] * 2
        assert find_latest_windows(reader, 5, site.world.spare_model) == ()


def test_the_queue_shows_more_windows_than_the_page_of_one_model(site: Site) -> None:
    keep_model(site)
    certify_many(site, 40)
    browser = site.browser(OWNER)
    for path, shown in (("/portal/inspections", 30), (f"/portal/models/{site.world.model}", 12)):
        assert browser.get(path).text.count('<svg class="window"') == shown, path


def test_logits_of_another_shape_have_no_score(site: Site) -> None:
    keep_model(site)
    [number, *_] = keep_windows(site)
    with site.store.transaction() as connection:
        Book(connection).put_inference(number, bytes(32), b"123", [1, 2, 3])
    page = site.browser(OWNER).get(f"/portal/inspections/{number}")
    assert page.status_code == 200
    assert re.search("The model is not stored here|does not fit", page.text)


def test_only_models_on_the_page_are_described(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others may be many, and each takes all of its certificates to describe."""
    with site.store.transaction() as connection:
        rows = Rows(connection)
        row = rows.get(ModelRow, site.world.model)
        assert row is not None
        rows.put(replace(row, number=row.number + 50, state=int(ModelState.WITHDRAWN), digest=b"d" * 32))
    asked: list[int] = []
    describe = models._describe

    def describe_one(reader: Reader, one: ModelRow) -> Any:
        asked.append(one.number)
        return describe(reader, one)

    def chart_one(reader: Reader, number: int) -> Any:
        asked.append(number)
        return control(reader, number)

    monkeypatch.setattr(models, "_describe", describe_one)
    monkeypatch.setattr("millmark.services.portal.models.control", chart_one)
    browser = site.browser(OWNER)
    assert browser.get(f"/portal/models?state={ModelState(row.state).name.lower()}").status_code == 200
    assert browser.get("/portal/inspections").status_code == 200
    assert row.number in asked
    assert row.number + 50 not in asked
