"""The order wizard without scripts, on the real contracts: from the product to the order on the ledger, and what is
refused on the way."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path

import httpx
import pytest

from millmark.ledger.claims import Field, parse_claims
from millmark.ledger.index import Follower
from millmark.ledger.products import verify_order_document
from millmark.ledger.records import ALL_ROLES, ModelState, Role
from millmark.ledger.store import Book, Rows
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.rows import ModelRow, OrderRow, ParticipantRow
from millmark.services.access.rules import PersonRole
from millmark.services.products import Catalogue
from tests.support.company_site import ActingSite, open_acting_site
from tests.support.gateway_client import Browser, Caller, fields_of, read

SHIRT = {
    "option.fabric": "poplin",
    "option.colour": "sky",
    "option.collar_mm": "400",
    "option.chest_mm": "1000",
    "option.sleeve_mm": "640",
    "option.cuff": "french",
    "option.care": "none",
    "option.monogram": "MX",
}
TERMS = {"identifier": "urn:example:shirt-7", "due_at": "2100-01-01T12:00", "pieces": "2"}
PATH = "/portal/order/garment"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    (folder / "products").mkdir(parents=True)
    return folder


@pytest.fixture
def site(tmp_path: Path, home: Path) -> Iterator[ActingSite]:
    for site in open_acting_site(tmp_path):
        site.portal = site.portal_with(recording=(site.world.chain, site.signer), home=home)
        yield site


def own_shirt(home: Path, price: int = 6900) -> None:
    """The company's own product, of which it can change the price."""
    product = Catalogue().find("garment").to_json()
    assert isinstance(product, dict)
    (home / "products" / "garment.json").write_text(json.dumps({**product, "price": price}))


def choose(browser: Browser, step: str, **options: str) -> httpx.Response:
    page = browser.get(PATH)
    assert page.status_code == 200
    return browser.post(PATH, {**fields_of(page.text, PATH), **SHIRT, **options, "step": step})


def terms(site: ActingSite, browser: Browser, **entries: str) -> httpx.Response:
    form = choose(browser, "terms")
    assert form.status_code == 200, read(form.text)
    sent = {**fields_of(form.text), **TERMS, "coordinator": str(site.number), **entries}
    return browser.post("/portal/act/orderProduct", sent)


def confirm(browser: Browser, summary: httpx.Response) -> httpx.Response:
    return browser.post("/portal/act/orderProduct/confirm", fields_of(summary.text, "/confirm"))


def nothing_recorded(site: ActingSite) -> bool:
    return not Outbox(site.store).unfinished(10)


def test_a_product_is_ordered_from_the_catalogue_to_the_ledger(site: ActingSite) -> None:
    person = site.person()
    assert f'href="{PATH}"' in person.get("/portal/order").text
    checked = choose(person, "check")
    assert "Price of one piece EUR 84.00" in read(checked.text)
    assert "Ready at the earliest" in read(checked.text)
    summary = terms(site, person)
    assert summary.status_code == 200, read(summary.text)
    said = read(summary.text)
    for part in ("On the ledger, for good", "Number of operations 4", "French, for links", "urn:example:shirt-7"):
        assert part in said, part
    assert nothing_recorded(site), "looking at it records nothing"
    confirmed = confirm(person, summary)
    assert confirmed.status_code == 303
    site.send()
    assert "Done: final" in read(person.get(confirmed.headers["location"]).text)
    assert confirm(person, summary).headers["location"] == confirmed.headers["location"], "sent twice, ordered once"
    with site.store.reading() as connection:
        [order] = Rows(connection).find(OrderRow, buyer=site.number)
        stored = Book(connection).document(order.claims_root)
    assert (order.operations, order.quantity, order.coordinator) == (4, 2, site.number)
    assert stored is not None
    shown = {path[-1]: field for path, field in _fields(stored) if path[:2] == ("specification", "options")}
    assert shown == {key.removeprefix("option."): _value(text) for key, text in SHIRT.items()}


def _fields(stored: str) -> list[tuple[tuple[str, ...], object]]:
    claims = parse_claims(json.loads(stored))
    made = verify_order_document(claims.document, 4, Catalogue().find_digest)  # type: ignore[arg-type]  # an object
    assert made is not None
    return [(tuple(map(str, path)), field.value) for path, field in claims.fields if isinstance(field, Field)]


def _value(text: str) -> object:
    return int(text) if text.isdecimal() else text


def test_prices_are_of_what_can_be_bought(site: ActingSite) -> None:
    person = site.person()
    listed = read(person.get("/portal/order").text)
    for price in ("from EUR 34.50", "from EUR 476.00", "from EUR 69.00", "from EUR 1,500.00"):
        assert price in listed, price
    page = person.get("/portal/order/crankshaft")
    assert "Price so far EUR 476.00" in read(page.text)
    sent = {name: value for name, value in fields_of(page.text, "/portal/order/crankshaft").items() if "." not in name}
    longer = person.post("/portal/order/crankshaft", {**sent, "option.stroke_mm": "65", "step": "check"})
    assert "Price so far EUR 477.50 With the cheapest of what you have not chosen yet." in read(longer.text)


def test_a_product_that_nobody_can_buy_says_so(site: ActingSite, home: Path) -> None:
    product = Catalogue().find("garment").to_json()
    assert isinstance(product, dict)
    never = [{"if": {"cuff": ["button", "french"]}, "then": {"care": [care]}} for care in ("none", "easy-iron")]
    (home / "products" / "garment.json").write_text(json.dumps({**product, "constraints": never}))
    person = site.person()
    assert "Cannot be ordered: its options exclude each other." in read(person.get("/portal/order").text)
    page = read(person.get(PATH).text)
    assert "Nothing can be ordered that has all of this." in page
    assert "Price so far" not in page


def test_options_that_exclude_each_other_say_why_and_lead_no_further(site: ActingSite) -> None:
    person = site.person()
    for step in ("check", "terms"):
        answer = choose(person, step, **{"option.fabric": "merino", "option.colour": "sky"})
        said = read(answer.text)
        assert "These options cannot go together" in said
        assert "fabric: merino jersey" in said
        assert "/portal/act/" not in answer.text
    missing = choose(person, "terms", **{"option.cuff": ""})
    assert missing.status_code == 400
    assert "Choose this." in read(missing.text)
    assert nothing_recorded(site)


def test_what_is_typed_is_kept_and_never_markup(site: ActingSite) -> None:
    answer = choose(site.person(), "terms", **{"option.monogram": '"><i>'})
    assert answer.status_code == 400
    assert 'value="&#34;&gt;&lt;i&gt;"' in answer.text
    assert "<i>" not in answer.text


def test_a_product_that_changed_meanwhile_is_shown_anew(site: ActingSite, home: Path) -> None:
    own_shirt(home)
    person = site.person()
    before = fields_of(person.get(PATH).text, PATH)
    own_shirt(home, price=7900)
    answer = person.post(PATH, {**before, **SHIRT, "step": "terms"})
    assert "The product has changed since you opened this page" in read(answer.text)
    assert "EUR 94.00" in read(answer.text)
    assert "/portal/act/" not in answer.text


def test_a_product_that_changes_before_the_order_is_placed_is_not_ordered(site: ActingSite, home: Path) -> None:
    own_shirt(home, price=7000)
    person = site.person()
    summary = terms(site, person)
    assert summary.status_code == 200
    own_shirt(home, price=1)
    answer = confirm(person, summary)
    assert answer.status_code == 400
    assert "no longer in the catalogue as you chose it" in read(answer.text)
    assert nothing_recorded(site)


@pytest.mark.parametrize(
    "options", ["", "[]", "{", "{}", '{"fabric": "gold"}', '{"fabric": 1}', "9" * 70_000, "[" * 60_000]
)
def test_options_that_no_page_sent_are_refused(site: ActingSite, options: str) -> None:
    person = site.person()
    form = fields_of(choose(person, "terms").text)
    sent = {**form, **TERMS, "coordinator": str(site.number), "options": options}
    answer = person.post("/portal/act/orderProduct", sent)
    assert answer.status_code in (400, 413)
    assert nothing_recorded(site)


@pytest.mark.parametrize(("language", "model"), [("en", "model 3"), ("zh", "模型 3")])
def test_a_gate_on_a_model_is_named_in_the_pages_language(site: ActingSite, language: str, model: str) -> None:
    with site.store.transaction() as connection:
        times = (0, 0, 0, 0, 0)
        own = site.number, site.number, int(ModelState.APPROVED), False
        Rows(connection).insert([ModelRow(3, b"m" * 32, *own, *times, b"d" * 32, None, *[bytes(32)] * 3)])
    person = site.person()
    person.get(f"{PATH}?lang={language}")
    [shown] = re.findall(rf'value="{site.number}:3"[^>]*>([^<]*)<', choose(person, "terms").text)
    assert shown.strip().endswith(model)


@pytest.mark.parametrize("gate", ["9" * 5000, "1:" + "9" * 5000, "x", "1:x", "\u0663"])
def test_gates_that_no_page_sent_are_refused(site: ActingSite, gate: str) -> None:
    assert terms(site, site.person(), gates=gate).status_code == 400
    assert nothing_recorded(site)


def test_one_piece_is_ordered_unless_another_number_is_given(site: ActingSite) -> None:
    person = site.person()
    form = fields_of(choose(person, "terms").text)
    assert form["pieces"] == "1"
    sent = {**form, "coordinator": str(site.number), "due_at": TERMS["due_at"]}
    for pieces, said in (("", "Please fill this in."), ("0", "Please give at least 1.")):
        answer = person.post("/portal/act/orderProduct", {**sent, "pieces": pieces})
        assert answer.status_code == 400
        assert said in read(answer.text)
        assert re.search('id="pieces-wrong"', answer.text), "said beside the field"
    assert confirm(person, person.post("/portal/act/orderProduct", sent)).status_code == 303
    site.send()
    with site.store.reading() as connection:
        [order] = Rows(connection).find(OrderRow, buyer=site.number)
    assert (order.quantity, order.unit) == (1, b"H87")


def inspectors(site: ActingSite, count: int) -> list[int]:
    """So many companies that inspect; the company itself does not, by the index."""
    for _ in range(count):
        site.world.admit(Outbox(site.store), Role.INSPECTOR)
    Follower(site.world.chain, site.store).follow()
    with site.store.transaction() as connection:
        own = Rows(connection).get(ParticipantRow, site.number)
        assert own is not None
        Rows(connection).put(replace(own, roles=int(ALL_ROLES & ~Role.INSPECTOR)))
        return [one.number for one in Rows(connection).find(ParticipantRow) if one.roles == int(Role.INSPECTOR)]


def model(site: ActingSite, number: int, inspector: int) -> None:
    with site.store.transaction() as connection:
        times = (0, 0, 0, 0, 0)
        own = inspector, inspector, int(ModelState.APPROVED), False
        digest = bytes([number]) * 32
        Rows(connection).insert([ModelRow(number, digest, *own, *times, digest, None, *[bytes(32)] * 3)])


def ticked(page: str) -> set[str]:
    return set(re.findall(r'name="gates" value="([^"]*)" checked', page))


def test_the_only_inspector_is_ticked_on_its_newest_model(site: ActingSite) -> None:
    [inspector] = inspectors(site, 1)
    person = site.person()
    assert ticked(choose(person, "terms").text) == {str(inspector)}, "it has no model"
    model(site, 3, inspector)
    model(site, 4, inspector)
    assert ticked(choose(person, "terms").text) == {f"{inspector}:4"}


def test_of_several_inspectors_none_is_ticked_for_a_first_order(site: ActingSite) -> None:
    inspectors(site, 2)
    assert ticked(choose(site.person(), "terms").text) == set()


def test_the_only_inspector_is_not_ticked_where_it_alone_could_coordinate(site: ActingSite) -> None:
    """The contract wants another company for that: here the company is both, and alone."""
    person = site.person()
    assert ticked(choose(person, "terms").text) == set()
    both = terms(site, person, gates=str(site.number))
    assert both.status_code == 400
    assert "The order’s coordinator cannot be one of its inspectors as well." in read(both.text)


def test_the_gates_of_the_last_order_of_the_product_are_ticked(site: ActingSite, home: Path) -> None:
    """At whatever price it was ordered; another product has its own."""
    _, second = inspectors(site, 2)
    person = site.person()
    assert confirm(person, terms(site, person, gates=str(second))).status_code == 303
    site.send()
    own_shirt(home, price=7900)
    assert ticked(choose(person, "terms").text) == {str(second)}
    other = person.get("/portal/order/appliance").text
    kettle = {"size": "1.0-l", "colour": "white", "supply": "120-V", "plug": "type-B", "control": "switch"}
    chosen = {f"option.{key}": value for key, value in {**kettle, "cable_mm": "600", "lettering": ""}.items()}
    sent = {**fields_of(other, "/portal/order/appliance"), **chosen, "step": "terms"}
    assert ticked(person.post("/portal/order/appliance", sent).text) == set()
    without = {**fields_of(choose(person, "terms").text), **TERMS, "coordinator": str(site.number)}
    del without["gates"]
    again = person.post("/portal/act/orderProduct", {**without, "identifier": "urn:example:shirt-8"})
    assert confirm(person, again).status_code == 303
    site.send()
    assert ticked(choose(person, "terms").text) == set(), "the last order had none"


@pytest.mark.parametrize(
    ("language", "hint", "nobody", "by"),
    [
        ("en", "they can reach you without its passing certificate", "Nobody: no inspector is ticked", "by procedure"),
        ("zh", "即使没有该检验方的合格证书，产品也可能移交给您", "无：未勾选任何检验方", "按检验规程"),
    ],
)
def test_what_unticking_an_inspector_loses_is_said(
    site: ActingSite, language: str, hint: str, nobody: str, by: str
) -> None:
    [inspector] = inspectors(site, 1)
    person = site.person()
    person.get(f"{PATH}?lang={language}")
    form = choose(person, "terms")
    assert hint in read(form.text)
    assert nobody not in read(form.text)
    gated = read(terms(site, person).text)
    assert by in gated
    assert nobody not in gated
    sent = {**fields_of(form.text), **TERMS, "coordinator": str(site.number)}
    assert sent.pop("gates") == str(inspector)
    assert nobody in read(person.post("/portal/act/orderProduct", sent).text)


def test_a_coordinator_that_is_none_and_a_day_that_is_past_are_refused(site: ActingSite) -> None:
    person = site.person()
    for entries in ({"coordinator": ""}, {"due_at": "soon"}, {"identifier": "shirt seven"}, {"pieces": "-1"}):
        assert terms(site, person, **entries).status_code == 400, entries
    assert nothing_recorded(site)


def test_unknown_products_and_files_of_the_machine_are_not_there(site: ActingSite, home: Path) -> None:
    person = site.person()
    own_shirt(home)
    for name in ("nothing", "..%2Fhome%2Fproducts%2Fgarment.json", "garment.json", "%00", "x" * 300):
        assert person.get(f"/portal/order/{name}").status_code == 404, name
    (home / "products" / "bad.json").write_text("{")
    page = person.get("/portal/order")
    assert "bad.json" in unescape(page.text)
    assert page.status_code == 200


def test_only_whoever_may_record_sees_it(site: ActingSite) -> None:
    reader, silent = site.person(PersonRole.READER), Browser(Caller(site.silent.app), {})
    assert reader.get("/portal/order").status_code == 404
    assert 'href="/portal/order"' not in reader.get("/portal").text
    assert silent.get("/portal/order").status_code == 303
