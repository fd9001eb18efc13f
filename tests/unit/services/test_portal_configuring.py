"""What the order wizard says of a product's options: what is possible, why something is not, what it costs."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millmark.ledger.errors import SpecificationError
from millmark.ledger.products import ChoiceOption, IntegerOption, Product, configure, find_possible, parse_choices
from millmark.ledger.verify.statements import LANGUAGES
from millmark.services.portal.ordering import (
    Configuring,
    Least,
    Wording,
    build_configuring,
    find_least,
)
from millmark.services.portal.pages import read_catalogues
from millmark.services.products import Catalogue

NAMES = ("appliance", "crankshaft", "garment", "implant")


@cache
def product(name: str) -> Product:
    return Catalogue().find(name)


def why(state: Configuring, key: str, value: str) -> list[str]:
    words = Wording(state.product, read_catalogues()["en"])
    [option] = [one for one in state.options if one.option.key == key]
    [choice] = [one for one in option.choices if one.value == value]
    assert choice.is_possible is (not choice.reasons)
    return [words.constraint(one) for one in choice.reasons]


def test_nothing_chosen_is_neither_wrong_nor_made() -> None:
    state = build_configuring(product("crankshaft"), {})
    assert not state.is_wrong
    assert state.made is None
    assert state.least == Least(47_600, is_possible=True), "a stroke of 64 mm is the shortest"
    assert [one.option.key for one in state.options if not one.is_missing] == ["engraving"]
    assert all(choice.is_possible for one in state.options for choice in one.choices)


@pytest.mark.parametrize(("language", "shown"), [("en", "−420 g CO₂e"), ("zh", "−420 克 CO₂e")], ids=["en", "zh"])
def test_what_a_value_adds_to_the_footprint_is_shown_with_its_sign(language: str, shown: str) -> None:
    state = build_configuring(product("garment"), {"fabric": "linen"})
    [fabric] = [one for one in state.options if one.option.key == "fabric"]
    stated = {one.value: (one.co2e_mg, one.lead_hours) for one in fabric.choices}
    assert stated == {"poplin": (0, 0), "oxford": (310_000, 0), "linen": (-420_000, 48), "merino": (5_900_000, 72)}
    words = Wording(state.product, read_catalogues()[language])
    assert words.co2e(-420_000) == shown
    assert words.co2e(5_900_000).startswith("+5,900 ")
    assert words.co2e(1).startswith("+0.001 ")
    assert words.co2e(0).startswith("+0 ")


def test_choices_add_up_their_co2e_and_wait_side_by_side() -> None:
    garment = product("garment")
    filled = {"fabric": "merino", "colour": "navy", "collar_mm": "400", "chest_mm": "1000", "sleeve_mm": "600"}
    made = build_configuring(garment, {**filled, "cuff": "button", "care": "none"}).made
    assert made is not None
    assert (made.co2e_mg, made.lead_hours) == (5_900_000, 72)
    kettle = {"size": "1.0-l", "colour": "red", "supply": "230-V", "plug": "type-F", "control": "switch"}
    plain = build_configuring(product("appliance"), {**kettle, "cable_mm": "900"}).made
    assert plain is not None
    assert (plain.co2e_mg, plain.lead_hours) == (None, None)


def test_what_does_not_go_with_a_choice_says_which_constraint_is_why() -> None:
    state = build_configuring(product("crankshaft"), {"finish": "polished"})
    assert why(state, "hardening", "none") == [
        "finish of the journals: ground and polished needs "
        "hardening of the journals: induction hardened or gas nitrided"
    ]
    assert why(state, "hardening", "nitrided") == []
    assert not state.is_wrong, "nothing is chosen that does not fit"


def test_a_reason_of_several_constraints_has_each_and_no_other() -> None:
    """A long stroke needs one steel, which cannot be induction hardened."""
    state = build_configuring(product("crankshaft"), {"stroke_mm": "100"})
    assert why(state, "hardening", "induction") == [
        "stroke: 96 to 108 mm needs steel: 34CrNiMo6 (1.6582)",
        "steel: 34CrNiMo6 (1.6582) with hardening of the journals: induction hardened do not go together",
    ]
    assert {one.option.key: one.follows for one in state.options}["material"] == "34CrNiMo6"


def test_choices_that_exclude_each_other_are_a_conflict_and_not_made() -> None:
    filled = {"material": "42CrMo4", "stroke_mm": "100", "hardening": "none", "finish": "ground"}
    state = build_configuring(product("crankshaft"), {**filled, "bearings": "aluminium-tin"})
    assert state.is_wrong
    assert state.made is None
    assert len(state.conflict) == 1
    better = build_configuring(product("crankshaft"), {**filled, "bearings": "aluminium-tin", "stroke_mm": "92"})
    assert better.made is not None
    assert better.least.price == better.made.price


def test_the_price_so_far_is_of_what_is_chosen_and_the_cheapest_that_goes_with_it() -> None:
    """Polished journals need hardening: the choice costs more than what it adds itself."""
    crankshaft = product("crankshaft")
    polished = build_configuring(crankshaft, {"finish": "polished"})
    adds = {choice.value: choice.price for one in polished.options for choice in one.choices}
    assert polished.least.price == 47_600 + adds["polished"] + min(adds["induction"], adds["nitrided"])
    wrong = build_configuring(crankshaft, {"finish": "polished", "hardening": "none"})
    assert wrong.least == Least(None, is_possible=False)


def test_a_price_that_is_not_found_out_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("millmark.ledger.products._configure._MAX_PRICED", 0)
    assert find_least(product("crankshaft"), {}) == Least(None, is_possible=True)


@pytest.mark.parametrize(
    ("key", "text", "problem"),
    [
        ("stroke_mm", "63", "range"),
        ("stroke_mm", "9.5", "range"),
        ("stroke_mm", "9" * 400, "range"),
        ("material", "<b>", "choice"),
        ("engraving", "x" * 25, "text"),
        ("engraving", "a\x07b", "text"),
    ],
)
def test_an_entry_that_cannot_be_used_is_marked_and_kept(key: str, text: str, problem: str) -> None:
    state = build_configuring(product("crankshaft"), {key: text, "no_such": "1"})
    [option] = [one for one in state.options if one.option.key == key]
    assert (option.problem, option.text) == (problem, text)
    assert state.is_wrong
    assert state.made is None


def test_a_character_that_is_not_allowed_has_a_problem_of_its_own() -> None:
    [option] = [
        one for one in build_configuring(product("garment"), {"monogram": "é"}).options if one.option.key == "monogram"
    ]
    assert option.problem == "characters"


def filled_for(found: Product) -> st.SearchStrategy[dict[str, str]]:
    """Some options chosen, whether they fit or not."""

    def values(key: str) -> st.SearchStrategy[str]:
        option = found.by_key[key]
        if isinstance(option, ChoiceOption):
            return st.sampled_from(option.values)
        if isinstance(option, IntegerOption):
            return st.integers(option.least - 1, option.most + 1).map(str)
        return st.sampled_from(["", "A", "AB-1", "ABC", "é"])

    return st.fixed_dictionaries({}, optional={key: values(key) for key in found.by_key})


@settings(max_examples=60)
@given(st.data(), st.sampled_from(NAMES))
def test_it_agrees_with_the_check_of_the_order(data: st.DataObject, name: str) -> None:
    """What the wizard calls complete can be ordered at its price, what it calls possible fits what else is chosen, and
    each reason is one."""
    found = product(name)
    filled = data.draw(filled_for(found))
    state = build_configuring(found, filled)
    usable = {one.option.key: one.text for one in state.options if one.text and not one.problem}
    chosen = parse_choices(found, [f"{key}={text}" for key, text in usable.items()])
    if state.made is not None:
        assert configure(found, chosen).price == state.least.price
    if state.conflict:
        with pytest.raises(SpecificationError):
            find_possible(replace(found, constraints=state.conflict), chosen)
    for option in state.options:
        others = {key: value for key, value in chosen.items() if key != option.option.key}
        for choice in option.choices:
            mine = {**others, option.option.key: choice.value}
            if choice.is_possible and not state.conflict:
                find_possible(found, mine)
            elif choice.reasons:
                with pytest.raises(SpecificationError):
                    find_possible(replace(found, constraints=choice.reasons), mine)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", NAMES)
def test_every_constraint_reads_in_each_language(language: str, name: str) -> None:
    words = Wording(product(name), read_catalogues()[language])
    for one in product(name).constraints:
        assert "{" not in words.constraint(one)
