"""Registers, factors and footprints: conservation, and what is refused or noted."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from datetime import date
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millmark.ledger.canonical import MAX_SAFE_INTEGER, Json, canonical_json, parse_json
from millmark.ledger.errors import FactorError, FootprintError, RegisterError
from millmark.ledger.footprint import (
    ALL,
    Amounts,
    Factor,
    FactorKind,
    Footprint,
    Moment,
    Note,
    Other,
    Own,
    Part,
    Reading,
    RegisterEntry,
    Segment,
    Source,
    Step,
    Taken,
    allocate,
    build_footprint,
    build_register_data,
    find_contributions,
    is_register_alone,
    parse_factors,
    parse_footprint,
    parse_register_entry,
    resets_among,
    share_of,
    wh_between,
)
from tests.proofs.register_logs import build_log, check_log
from tests.support.footprints import FACTORS, TIME_S

START, FINISH, READ, RESET = Moment.START, Moment.FINISH, Moment.READ, Moment.RESET
BAR, SHAFT, PIN, OTHER = (bytes([number]) * 32 for number in range(1, 5))


@pytest.mark.parametrize("seed", range(20))
def test_every_watt_hour_of_random_logs_is_allocated_once(seed: int) -> None:
    draw = Random(seed)  # noqa: S311  # to be had again, not secret
    for _ in range(50):
        check_log(build_log(draw))


def readings(*rows: tuple[Any, ...]) -> list[Reading]:
    """Each an hour after the one before."""
    return [Reading(TIME_S + hour * 3600, *row) for hour, row in enumerate(rows)]


def notes(*rows: tuple[Any, ...], **more: Any) -> list[Note]:
    return [one.note for one in allocate(readings(*rows), **more).notes]


def test_two_parts_at_once_share_what_was_used_meanwhile() -> None:
    found = allocate(readings((0, START, 7), (100, START, 8), (201, FINISH, 7), (301, FINISH, 8), (331, READ)))
    assert found.wh == {7: 100 + 51, 8: 50 + 100}, "the Wh that does not divide goes to the first"
    assert found.idle_wh == 30
    assert [one.note for one in found.notes] == [Note.OVERLAP]


def test_a_weekend_between_jobs_is_idle_and_a_gap() -> None:
    found = allocate(
        [Reading(TIME_S, 10, START, 1), Reading(TIME_S + 60, 20, FINISH, 1), Reading(TIME_S + 200_000, 90, START, 2)]
    )
    assert (found.wh[1], found.idle_wh) == (10, 70)
    assert [one.note for one in found.notes] == [Note.GAP, Note.UNFINISHED]


@pytest.mark.parametrize(
    ("rows", "more", "expected", "advance"),
    [
        (((900, START, 1), (5, RESET, 0, 950), (45, FINISH, 1)), {}, Note.RESET, 90),
        (((900, START, 1), (5, RESET), (45, FINISH, 1)), {}, Note.RESET_UNREAD, 40),
        (((990, START, 1), (15, FINISH, 1)), {"modulus_wh": 1000}, Note.ROLLOVER, 25),
        (((1, READ), (9, FINISH, 1)), {}, Note.UNSTARTED, 8),
        (((1, START, 1), (9, START, 1), (10, FINISH, 1)), {}, Note.AGAIN, 9),
    ],
)
def test_what_a_plain_difference_would_not_show_is_noted(
    rows: tuple[tuple[Any, ...], ...], more: dict[str, int], expected: Note, advance: int
) -> None:
    assert expected in notes(*rows, **more)
    assert allocate(readings(*rows), **more).advance_wh == advance


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (((900, START, 1), (800, FINISH, 1)), "less than the 900 Wh before it"),
        (((1234, START, 1), (1_235_000_000, FINISH, 1)), "another unit"),
        (((900, START, 1), (5, RESET, 0, 800)), "a reset from 800 Wh"),
    ],
)
def test_readings_that_are_not_of_one_register_are_refused(rows: tuple[tuple[Any, ...], ...], says: str) -> None:
    with pytest.raises(RegisterError, match=says):
        allocate(readings(*rows))


def test_a_clock_that_goes_back_is_refused() -> None:
    with pytest.raises(RegisterError, match="earlier"):
        allocate([Reading(TIME_S, 1), Reading(TIME_S - 1, 2)])


@pytest.mark.parametrize("wh", [-1, True, 1.5, MAX_SAFE_INTEGER + 1])
def test_a_register_shows_whole_watt_hours_from_zero(wh: Any) -> None:
    with pytest.raises(RegisterError):
        Reading(TIME_S, wh)


def pair(used: int = 400, **more: Any) -> tuple[RegisterEntry, RegisterEntry]:
    start = RegisterEntry(Reading(TIME_S, 1000, START, 9))
    return start, RegisterEntry(Reading(TIME_S + 600, 1000 + used, FINISH, 9), start=3, **more)


def test_entries_of_an_operation_say_its_energy_by_themselves() -> None:
    start, finish = pair(
        quantity=4, start_hash=b"\7" * 32, segments=(Segment(100), Segment(301, 2, 0)), resets=((1200, 1199),)
    )
    read = [parse_register_entry(json.loads(json.dumps(build_register_data(one)))) for one in (start, finish)]
    assert read == [start, finish]
    assert wh_between(start, finish) == 100 + 151


def test_an_event_of_a_node_has_the_reading_in_its_data() -> None:
    data = build_register_data(pair()[1])
    assert parse_register_entry({"id": "x", "data": {**data, "spindle": 3}, "lot": "0x"}) == pair()[1]
    assert is_register_alone({"id": "x", "data": data})
    assert not is_register_alone({"id": "x", "data": {**data, "spindle": 3}})
    assert not is_register_alone({"id": "x", "data": data, "lot": "0x"})
    assert parse_register_entry({"id": "x", "data": {"spindle": 3}}) is None
    assert not is_register_alone(["register"])


@pytest.mark.parametrize(
    "change",
    [
        {"register": {"time": TIME_S, "kwh": 1}},
        {"register": {"time": TIME_S, "wh": 1.0}},
        {"register": {"time": TIME_S, "wh": -5}},
        {"register": {"time": TIME_S, "wh": 5, "unit": "kWh"}},
        {"register": 5},
        {"moment": "end"},
        {"start": None},
        {"start": 1.5},
        {"start_hash": "0x12"},
        {"segments": [[1, 1, 1]]},
        {"segments": [[1, 1]]},
        {"resets": [[1]]},
        {"assignment": 0},
        {"moment": "start"},
    ],
)
def test_a_malformed_reading_is_refused(change: dict[str, Json]) -> None:
    with pytest.raises(RegisterError):
        parse_register_entry({**build_register_data(pair()[1]), **change})


@pytest.mark.parametrize(
    ("used", "more", "says"),
    [
        (-1, {}, "fell"),
        (2_000_000_000, {}, "another unit"),
        (400, {"segments": (Segment(399),)}, "segments"),
        (400, {"resets": ((0, 350),)}, "set back from 0 Wh, and had shown 1000"),  # would take 350 Wh off
        (400, {"resets": ((1100, 0), (40, 0), (30, 700), (600, 0))}, "set back from 600 Wh, and had shown 700"),
        (400, {"resets": ((1100, 1500),)}, "fell from 1500 to 1400"),
    ],
)
def test_entries_that_contradict_each_other_are_refused(used: int, more: dict[str, Any], says: str) -> None:
    with pytest.raises(RegisterError, match=says):
        wh_between(*pair(used, **more))


def test_what_was_used_before_an_unread_reset_counts_up_to_the_reading_before_it() -> None:
    readings = [
        Reading(TIME_S, 10, START, 9),
        Reading(TIME_S + 60, 500),
        Reading(TIME_S + 90, 0, Moment.RESET),
        Reading(TIME_S + 120, 700, FINISH, 9),
    ]
    resets = resets_among(readings[:-1])
    finish = RegisterEntry(readings[-1], start=0, resets=resets)
    assert resets == ((500, 0),)
    assert wh_between(RegisterEntry(readings[0]), finish) == allocate(readings).wh[9] == 490 + 700


def test_a_pair_is_of_one_assignment_in_its_order() -> None:
    start, finish = pair()
    with pytest.raises(RegisterError, match="start and finish"):
        wh_between(finish, start)
    with pytest.raises(RegisterError, match="start and finish"):
        wh_between(RegisterEntry(Reading(TIME_S, 1, START, 8)), finish)


@given(amount=st.integers(0, MAX_SAFE_INTEGER), cuts=st.lists(st.integers(0, 1000), max_size=8))
def test_parts_of_a_whole_add_up_to_it(amount: int, cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), 1000]
    assert sum(share_of(amount, Part(one, two, 1000)) for one, two in itertools.pairwise(edges)) == amount


# Factors


def table(**change: Json) -> bytes:
    row: dict[str, Json] = {**FACTORS.factors[2].to_json(), **change}
    return json.dumps({"format": "millmark.factors", "version": 1, "factors": [row]}).encode()


def test_a_table_has_one_digest_however_it_is_written() -> None:
    text = canonical_json(FACTORS.to_json())
    spaced = json.dumps(json.loads(text), indent=4).encode()
    assert parse_factors(text) == parse_factors(spaced) == FACTORS
    assert parse_factors(text).digest == FACTORS.digest
    assert parse_factors(table()).digest != FACTORS.digest


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kind": "marginal"}, "deciding when to run"),
        ({"unit": "mg/kg"}, "mg/kWh"),
        ({"value": -1}, "from 0"),
        ({"value": 380.2}, "whole number"),
        ({"until": "2025-12-31"}, "ends before"),
        ({"from": "1.1.2026"}, "not a day"),
        ({"source": ""}, "1 to 200"),
        ({"key": "Grid DE"}, "not a factor's key"),
        ({"colour": "green"}, "unknown member"),
    ],
)
def test_a_malformed_factor_is_refused(change: dict[str, Json], says: str) -> None:
    with pytest.raises(FactorError, match=says):
        parse_factors(table(**change))


def test_a_factor_is_once_in_a_table() -> None:
    rows = [one.to_json() for one in FACTORS.factors]
    for bad in ([*rows, rows[-1]], rows[::-1]):
        with pytest.raises(FactorError, match="ascending"):
            parse_factors(json.dumps({"format": "millmark.factors", "version": 1, "factors": bad}).encode())
    with pytest.raises(FactorError, match="no factor"):
        FACTORS.get("coal")


def test_emissions_are_rounded_half_up_and_bounded() -> None:
    factor = Factor("a", FactorKind.LOCATION, 1, "mg/kWh", "s", "DE", date(2026, 1, 1), date(2026, 1, 1))
    assert [factor.emitted_mg(wh) for wh in (0, 499, 500, 1499, 1500)] == [0, 0, 1, 1, 2]
    with pytest.raises(FactorError, match="JSON"):
        FACTORS.get("grid").emitted_mg(MAX_SAFE_INTEGER)


# Footprints


def made(step: Step, lot: bytes, sources: Mapping[bytes, tuple[Amounts, Part]], **more: Any) -> Footprint:
    return build_footprint(step, lot, sources=sources, table=FACTORS, time_s=TIME_S, **more)


OWN = Own(1000, "grid", "contract", 9)


def test_scrap_and_loss_go_to_the_good_parts() -> None:
    """Four of five blanks are good: they have all of the material and of the energy."""
    step = Step((Taken(BAR, 50),), ((SHAFT, 3), (PIN, 1)), loss=10)
    sources = {BAR: (Amounts(0, 1000, 1000, 0), Part(0, 50, 100))}
    one, two = (made(step, lot, sources, own=[OWN]).totals for lot in (SHAFT, PIN))
    assert one + two == Amounts(1000, 500 + 380_000, 500 + 120_000, 380_000)
    assert one.wh == 750


def test_what_is_left_over_of_the_material_has_nothing_of_the_operation() -> None:
    """Of 50 g, 10 are lost and 20 are left over: the part has the half of the rest."""
    step = Step((Taken(BAR, 50), Taken(OTHER, 1, component=True)), ((SHAFT, 1),), left=((PIN, 20),), loss=10)
    sources = {BAR: (Amounts(0, 800, 800, 0), Part(0, 50, 50)), OTHER: (Amounts(0, 5, 5, 0), Part(0, 1, 1))}
    part, rest = made(step, SHAFT, sources, own=[OWN]), made(step, PIN, sources, own=[OWN])
    assert rest.totals == Amounts(0, 400, 400, 0)
    assert part.totals == Amounts(1000, 400 + 5 + 380_000, 400 + 5 + 120_000, 380_000)
    assert not rest.own


def test_a_by_product_in_another_unit_has_no_part() -> None:
    step = Step((Taken(BAR, 50),), ((SHAFT, 1),))
    assert made(step, OTHER, {BAR: (Amounts(0, 9, 9, 0), Part(0, 50, 50))}).totals == Amounts()


def test_takes_from_one_lot_add_up_to_it() -> None:
    whole = Amounts(7, 1000, 501, 13)
    parts = [Part(0, 3, 10), Part(3, 4, 10), Part(4, 10, 10)]
    found = [made(Step((Taken(BAR, one.size),), ((SHAFT, 1),)), SHAFT, {BAR: (whole, one)}).totals for one in parts]
    assert found[0] + found[1] + found[2] == whole


def test_without_a_suppliers_value_a_secondary_factor_stands_and_less_is_metered() -> None:
    step = Step((Taken(BAR, 50),), ((SHAFT, 1),))
    with pytest.raises(FootprintError, match="has no footprint"):
        made(step, SHAFT, {}, own=[OWN])
    found = made(step, SHAFT, {}, own=[OWN], other=[Other("bar", "steel", 50)], estimated={BAR})
    assert found.totals.location_mg == 380_000 + 95_000
    assert found.totals.metered_mg == 380_000


def test_an_expired_factor_is_refused() -> None:
    with pytest.raises(FactorError, match=r"holds from .* to 2026-12-31, and is used on"):
        build_footprint(Step(made=((SHAFT, 1),)), SHAFT, sources={}, own=[OWN], table=FACTORS, time_s=TIME_S - 1)


@pytest.mark.parametrize("own", [Own(1, "contract", "grid"), Own(1, "steel", "contract")])
def test_location_and_market_are_kept_apart(own: Own) -> None:
    with pytest.raises(FactorError, match="of kind"):
        made(Step(made=((SHAFT, 1),)), SHAFT, {}, own=[own])


def full() -> Footprint:
    step = Step((Taken(BAR, 50), Taken(OTHER, 1, component=True)), ((SHAFT, 1),), left=((PIN, 20),))
    sources = {BAR: (Amounts(3, 800, 800, 0), Part(0, 50, 50)), OTHER: (Amounts(0, 5, 5, 0), Part(0, 1, 1))}
    others = [Other("scrap", "scrap", 20, recycled=True), Other("to the mill", "truck", 9000)]
    return made(step, SHAFT, sources, own=[OWN, Own(10, "grid", "contract", 4, Part(0, 1, 2))], other=others)


def test_a_footprint_is_read_as_it_is_written() -> None:
    text = canonical_json(full().to_json())
    assert parse_footprint(parse_json(text, max_bytes=1 << 20, max_depth=9)) == full()


@pytest.mark.parametrize(
    "change",
    [
        {"wh": 1},
        {"metered_mg": 0},
        {"co2e_mg": {"location": 1, "market": 1}},
        {"version": 2},
        {"part": [0, 1, 0]},
        {"part": [1, 0, 1]},
        {"used": []},
        {"factors": "0x"},
        {"own": [{"location": "grid", "market": "contract", "wh": 1, "assignment": 9}] * 2},
        {"shares": "none"},
        {"time": 0},
        {"note": "cheap"},
    ],
)
def test_a_footprint_that_does_not_follow_from_itself_is_refused(change: dict[str, Json]) -> None:
    with pytest.raises(FootprintError):
        parse_footprint({**full().to_json(), **change})


def test_contributions_add_up_to_the_totals() -> None:
    bar = made(Step(made=((BAR, 100),)), BAR, {}, other=[Other("bar", "steel", 77), Other("by truck", "truck", 991)])
    step = Step((Taken(BAR, 33),), ((SHAFT, 2), (PIN, 1)))
    shaft = made(step, SHAFT, {BAR: (bar.totals, Part(0, 33, 100))}, own=[OWN])
    last = made(
        Step((Taken(SHAFT, 1), Taken(OTHER, 1, component=True)), ((PIN, 1),)),
        PIN,
        {SHAFT: (shaft.totals, Part(0, 1, 2)), OTHER: (Amounts(1, 2, 3, 0), Part(0, 1, 3))},
        own=[Own(5, "grid", "contract")],
    )
    found = find_contributions(PIN, {BAR: [bar], SHAFT: [shaft], PIN: [last]})
    assert [one.source for one in found] == [
        Source.MATERIAL, Source.TRANSPORT, Source.OPERATION, Source.LOT, Source.STATED_OPERATION,
    ]  # fmt: skip
    total = Amounts()
    for one in found:
        total += one.amounts
    assert total == last.totals


def test_documents_that_name_each_other_end() -> None:
    one = made(Step((Taken(PIN, 1),), ((SHAFT, 1),)), SHAFT, {PIN: (Amounts(), ALL)})
    two = made(Step((Taken(SHAFT, 1),), ((PIN, 1),)), PIN, {SHAFT: (Amounts(), ALL)})
    assert find_contributions(SHAFT, {SHAFT: [one], PIN: [two]})[0].source is Source.LOT
