"""The products that are shipped and those of one's own, and the commands about them."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer

from millmark.ledger.canonical import canonical_json
from millmark.ledger.errors import InputError, NotFoundError, ProductError
from millmark.ledger.plans.call import Need, is_capable, parse_capability
from millmark.ledger.products import (
    ChoiceOption,
    Product,
    build_mark,
    build_order_document,
    complete,
    configure,
    element_string,
    find_unreachable,
    parse_product,
    verify_order_document,
)
from millmark.services.demo.given import MARKED, build_factories, choose_options
from millmark.services.products import FOLDER, Catalogue
from tests.support.command_line import Runner

SHIPPED = [entry.product for entry in Catalogue().entries() if entry.product is not None]
DOCUMENTS = json.loads((Path(__file__).parents[2] / "vectors" / "products.json").read_text("utf-8"))["documents"]
BRACKET = canonical_json(DOCUMENTS[0]["document"])


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Runner:
    return Runner(tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize("product", SHIPPED, ids=lambda one: one.product)
def test_every_choice_of_a_shipped_product_can_be_ordered_and_made(product: Product) -> None:
    assert find_unreachable(product) == []
    declared = [one for factory in build_factories(product) for one in factory.capability]
    capable = parse_capability(declared)
    for option in product.options:
        for value in option.values if isinstance(option, ChoiceOption) else ():
            made = complete(product, {option.key: value})
            assert made is not None
            assert len(made.operations) >= 3
            for one in made.operations:
                assert is_capable(capable, Need(one.kind, tuple(sorted(one.values.items()))))


def test_routes_of_shipped_products_differ_by_option() -> None:
    assert [one.product for one in SHIPPED] == ["appliance", "crankshaft", "garment", "implant"]
    branching = [one.product for one in SHIPPED if any(step.when for step in one.route)]
    assert branching == ["appliance", "garment", "implant"]


def test_an_implant_is_marked_with_a_unique_device_identifier() -> None:
    mark = build_mark(Catalogue().find("implant"), {"21": "P0001", "17": "310131"})
    assert element_string(mark) == "(01)09506000020013(17)310131(21)P0001"


@pytest.mark.parametrize("product", SHIPPED, ids=lambda one: one.product)
def test_the_demonstration_orders_other_configurations_every_time_and_the_same_in_every_run(product: Product) -> None:
    made = [choose_options(product, index) for index in range(24)]
    assert len({json.dumps(one.specification) for one in made}) > 20
    assert made[7] == choose_options(product, 7)


@pytest.mark.parametrize(
    ("path", "value", "refused"),
    [
        (("route", 0, "when"), {"material": ["steel"]}, "cannot share the route"),
        (("route", 2, "when"), {"material": ["steel"]}, "cannot share the route"),
        (("route", 2, "need", "kind"), "bending", "cannot share the route"),
        ((), None, "cannot share the route"),
        (("marks",), ["8008"], r"cannot mark a piece with \(8008\)"),
    ],
)
def test_the_demonstration_refuses_what_its_three_factories_cannot_make(
    path: tuple[str | int, ...], value: object, refused: str
) -> None:
    document = json.loads(BRACKET)
    if path == ("marks",):
        del document["route"][1]["when"]
    place = document
    for step in path[:-1]:
        place = place[step]
    if path:
        place[path[-1]] = value
    with pytest.raises(InputError, match=refused):
        build_factories(parse_product(canonical_json(document)))
    assert "21" in MARKED


# One's own


def write_own(home: Path, name: str, data: bytes) -> Path:
    (home / FOLDER).mkdir(exist_ok=True)
    path = home / FOLDER / name
    path.write_bytes(data)
    return path


def test_a_company_has_products_of_its_own_beside_those_shipped(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path)
    assert [entry.source for entry in catalogue.entries()] == ["shipped"] * 4
    own = write_own(tmp_path, "bracket.json", BRACKET)
    product = parse_product(BRACKET)
    assert catalogue.find("bracket") == catalogue.find(str(own)) == product
    assert catalogue.find_digest(product.digest) == product
    assert catalogue.find_digest(bytes(32)) is None
    assert Catalogue().find_digest(product.digest) is None


def test_an_own_product_comes_before_a_shipped_one_of_the_same_name(tmp_path: Path) -> None:
    document = {**json.loads(BRACKET), "product": "crankshaft"}
    write_own(tmp_path, "mine.json", canonical_json(document))
    assert Catalogue(tmp_path).find("crankshaft").price == 1200
    shipped = Catalogue().find("crankshaft")
    assert Catalogue(tmp_path).find_digest(shipped.digest) == shipped, "orders for it are still checked"


def test_two_own_products_of_one_name_are_not_guessed_between(tmp_path: Path) -> None:
    write_own(tmp_path, "a.json", BRACKET)
    write_own(tmp_path, "b.json", BRACKET.replace(b'"price":1200', b'"price":1201'))
    with pytest.raises(InputError, match="2 files have the product bracket; name one"):
        Catalogue(tmp_path).find("bracket")


def test_a_file_that_is_no_product_stops_nothing_else(tmp_path: Path) -> None:
    write_own(tmp_path, "broken.json", b"{")
    write_own(tmp_path, "bracket.json", BRACKET)
    catalogue = Catalogue(tmp_path)
    assert catalogue.find("bracket").product == "bracket"
    assert catalogue.find_digest(parse_product(BRACKET).digest) is not None
    with pytest.raises(InputError, match=r"broken\.json: the product document: not JSON"):
        catalogue.find("broken")
    [problem] = [entry.problem for entry in catalogue.entries() if entry.problem]
    assert problem.startswith("the product document: not JSON")


@pytest.mark.parametrize("name", ["none.json", "../none.json", "products/none"])
def test_a_file_that_is_not_there_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        Catalogue(tmp_path).find(str(tmp_path / name))


@pytest.mark.parametrize("name", ["", "sofa", "crank\nshaft"])
def test_a_product_that_there_is_not_is_refused_with_those_that_there_are(name: str) -> None:
    with pytest.raises(NotFoundError, match="there are appliance, crankshaft, garment, implant"):
        Catalogue().find(name)


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = write_own(tmp_path, "huge.json", b" " * 200_000)
    with pytest.raises(InputError, match="larger than"):
        Catalogue(tmp_path).find(str(path))


# Commands


def test_products_are_listed_with_those_that_are_unusable(run: Runner) -> None:
    write_own(run.home, "bracket.json", BRACKET)
    write_own(run.home, "broken.json", b"{")
    code, out, _ = run("products", "list")
    assert code == 0
    assert all(name in out for name in ("crankshaft", "曲轴", "bracket", "支架"))
    assert all(price in out for price in ("EUR 476.00", "EUR 13.20")), "the cheapest that can be ordered"
    assert "unusable: " in out
    listed = json.loads(run("products", "list", "--json")[1])["products"]
    assert [one["product"] for one in listed][:2] == ["bracket", None]


def test_a_product_is_shown_with_options_constraints_and_route(run: Runner) -> None:
    code, out, _ = run("products", "show", "appliance")
    assert code == 0
    assert "plug type-B needs supply 120-V" in out
    assert "size 1.7-l excludes supply 120-V excludes control variable" in out
    assert "printing: printing, colours 1; 3 min, if lettering 1 to 20 characters" in out
    shown = json.loads(run("products", "show", "appliance", "--json")[1])
    assert parse_product(canonical_json(shown["product"])).digest.hex() == shown["digest"][2:]


def test_a_configuration_tells_price_time_and_route_and_is_written(run: Runner) -> None:
    path = run.home / "order.json"
    options = [f"--option={one}" for one in ("stroke_mm=100", "finish=polished", "engraving=for Mara")]
    bearings = "--option=bearings=sputtered"
    code, out, _ = run("products", "configure", "crankshaft", *options, bearings, "-o", str(path))
    assert code == 0
    for line in (
        "  material   34CrNiMo6  (follows)",
        "price: EUR 766.00 a piece",
        "indicative time: 2 h 32 min of work a piece, without waiting and transport",
        "  3 assembly: assembly, bearings sputtered; 35 min",
        "at the earliest: 2",
        " UTC for a piece begun now, by the clock, for this home has no calendar of machines; without other work",
        f"--operations 3 --claims {path}",
    ):
        assert line in out
    document = json.loads(path.read_text("utf-8"))
    assert verify_order_document(document, 3, lambda _: None) is not None
    told = json.loads(run("products", "configure", "crankshaft", *options, bearings, "--json")[1])
    assert (told["price"], told["minutes"], told["implied"]) == (76600, 152, ["material", "hardening"])
    assert told["earliest"]["calendar"] is False
    assert datetime.fromisoformat(told["earliest"]["at"]) > datetime.now(UTC) + timedelta(minutes=151)
    assert told["specification"] == document["specification"]
    assert run("products", "check", "crankshaft", "--document", str(path))[0] == 0


def test_without_a_file_the_next_command_has_the_options(run: Runner) -> None:
    _, out, _ = run(
        "products",
        "configure",
        "crankshaft",
        "--option=stroke_mm=100",
        "--option=finish=polished",
        "--option=bearings=sputtered",
        "--option=engraving=for Mara",
    )
    assert "--product crankshaft --option material=34CrNiMo6" in out
    assert "--option 'engraving=for Mara'" in out


@pytest.mark.parametrize(
    ("arguments", "refused"),
    [
        (("configure", "sofa"), "no product is called 'sofa'"),
        (("configure", "garment"), "the option fabric is missing"),
        (("configure", "garment", "--option=fabric"), "'fabric' has no value; write KEY=VALUE"),
        (("configure", "garment", "--option=fabric=silk"), "fabric 'silk' is not a choice"),
        (("configure", "garment", "--option=sole=leather"), "the product garment has no option 'sole'"),
        (("configure", "garment", "--option=fabric=merino", "--option=cuff=french"), "exclude each other"),
        (("show", "products/none.json"), "cannot be read"),
        (("check", "{home}/contradiction.json"), "no specification can have finish zinc"),
        (("check", "{home}/other.json"), "price: not a whole number"),
        (("check", "crankshaft", "--document={home}/other.json"), "has no specification of this product"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(run: Runner, arguments: tuple[str, ...], refused: str) -> None:
    document = json.loads(BRACKET)
    document["constraints"].append({"if": {"finish": ["zinc"]}, "then": {"material": ["brass"]}})
    (run.home / "contradiction.json").write_bytes(canonical_json(document))
    (run.home / "other.json").write_bytes(canonical_json({**document, "price": -1}))
    code, err = run.refused("products", *(one.format(home=run.home) for one in arguments))
    assert (code, refused in err) == ((1 if "no product is called" in err else 2), True), err


def test_a_person_is_asked_for_one_option_after_the_other(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """What follows from earlier answers is told, not asked; what does not fit is asked again."""
    write_own(run.home, "bracket.json", BRACKET)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    answers, asked = ["2", "zinc", "lacquer", "500", "160", "80", "Z", "AAAAA", "A1"], list[str]()

    def prompt(text: str, default: str | None = None, **_: object) -> str:
        asked.append(text)
        return answers.pop(0) or str(default)

    monkeypatch.setattr(typer, "prompt", prompt)
    code, out, err = run("products", "configure", "bracket")
    assert code == 0, err
    assert answers == []
    assert asked == ["number or value"] * 3 + ["40 to 149 (mm)"] * 3 + ["0 to 4 characters, or nothing"] * 3
    assert "  1 steel\n  2 brass  + EUR 4.50" in out
    refused = (
        "finish zinc needs",
        "length_mm 500 is out of range",
        "exclude each other",
        "label has the character 'Z'",
    )
    assert all(line in err for line in refused), err
    assert "finish     lacquer" in out


def test_what_follows_is_told(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    write_own(run.home, "bracket.json", BRACKET)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    document = json.loads(BRACKET)
    document["options"] = [document["options"][1], document["options"][0], *document["options"][2:]]
    write_own(run.home, "bracket.json", canonical_json(document))
    answers = ["zinc", "80", ""]
    monkeypatch.setattr(typer, "prompt", lambda _text, default=None, **_: answers.pop(0) or default)
    _, out, _ = run("products", "configure", "bracket")
    assert "material: steel, which follows" in out
    assert "  label      -" in out


def test_the_document_of_an_order_fits_into_a_request_of_the_gateway() -> None:
    """Twice: its product is a text within JSON."""
    for product in SHIPPED:
        document = build_order_document(choose_options(product, 0))
        assert len(json.dumps(document)) < 32_768
    with pytest.raises(ProductError):
        parse_product(b"x" * 100_000)
    assert configure(SHIPPED[1], choose_options(SHIPPED[1], 3).options).product == SHIPPED[1]
