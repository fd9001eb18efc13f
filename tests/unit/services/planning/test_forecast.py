"""Forecasts: which orders count at a cut, whole numbers that add up, documents that are refused, and scores."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millmark.ledger.canonical import Json, canonical_json
from millmark.ledger.claims import build_claims
from millmark.ledger.errors import InputError
from millmark.ledger.events import topic_of
from millmark.ledger.products import build_order_document, configure
from millmark.ledger.records import Contract, OrderState, OrderTerms
from millmark.ledger.store import Book, Connection, Rows
from millmark.ledger.store.rows import AssignmentRow, OrderRow, RecordRow
from millmark.services.planning.errors import ForecastError
from millmark.services.planning.forecast.document import (
    WEEK_S,
    Cut,
    ForecastDocument,
    History,
    Key,
    Ordered,
    begin_s,
    count_weeks,
    model_hash,
    parse_forecast,
    parse_week,
    read_orders,
    week_of,
    week_text,
)
from millmark.services.planning.forecast.making import make_forecast, spread
from millmark.services.planning.forecast.scoring import score_forecast
from millmark.services.products.loading import Catalogue
from tests.support.event_data import encode_event, event_of
from tests.support.forecast_samples import IDENTITY, KETTLE, MONDAY, cut, grown, sample
from tests.support.stores import new_store

ME, OTHER = 1, 2
UNIT = b"H87"
CHOSEN = {
    "size": "1.7-l", "colour": "white", "supply": "230-V", "plug": "type-F", "control": "switch", "cable_mm": 1000,
}  # fmt: skip


class Ledger:
    """Writes orders and their records as the index keeps them."""

    def __init__(self, connection: Connection) -> None:
        self.rows, self.book, self.block = Rows(connection), Book(connection), 0

    def document(self, **options: str | int) -> bytes:
        claims = build_claims(build_order_document(configure(KETTLE, {**CHOSEN, **options})))
        self.book.put_document(claims.root, json.dumps(claims.to_json()))
        return claims.root

    def terms(self, root: bytes, quantity: int = 3, coordinator: int = ME) -> OrderTerms:
        return OrderTerms(3, coordinator, (), 2**32, quantity, UNIT, root)

    def place(self, name: str, week: int, terms: OrderTerms, buyer: int = ME) -> bytes:
        order = name.encode().rjust(32, b"\0")
        self.rows.insert(
            [
                OrderRow(
                    *(order, self.block + 1, buyer, terms.coordinator, "", 3, 0, 0, OrderState.PLACED, 2**32, 0, UNIT),
                    *(0, bytes(32)),
                )
            ]
        )
        self.record("OrderPlaced", order, week, terms=terms)
        return order

    def coordinate(self, order: bytes, week: int, terms: OrderTerms) -> None:
        """An agreed revision, which names another coordinator."""
        row = self.rows.get(OrderRow, order)
        assert row is not None
        self.rows.put(replace(row, coordinator=terms.coordinator))
        self.record("RevisionAccepted", order, week, awaited=0, terms=terms)

    def assign(self, order: bytes, week: int, owner: int) -> None:
        fields = {"operation": 1, "machine": 7, "owner": owner, "claims_root": bytes(32)}
        self.record("AssignmentProposed", order, week, **fields)
        times = 0, 0, 0, 0
        self.rows.insert([AssignmentRow(self.block, order, 1, 7, owner, 1, *times, None, 0, 0, None, bytes(32))])

    def record(self, kind: str, order: bytes, week: int, **fields: object) -> None:
        self.block += 1
        event = event_of(kind, **fields)
        at = begin_s(MONDAY) + week * WEEK_S + 3600
        data = encode_event(event, bytes(20), (order,))
        topic = topic_of(type(event))
        self.rows.insert(
            [
                RecordRow(
                    Contract.LEDGER.value,
                    self.block,
                    kind,
                    topic,
                    ME,
                    order,
                    bytes(20),
                    self.block,
                    bytes(32),
                    at,
                    bytes(32),
                    0,
                    data,
                    bytes(32),
                )
            ]
        )

    def read(self, at: Cut, me: int = ME) -> History:
        return read_orders(self.rows, self.book, me, at, Catalogue().find_digest)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with new_store(tmp_path).transaction() as connection:
        yield Ledger(connection)


def counted(history: History, weeks: int) -> tuple[int, ...]:
    return count_weeks(history, MONDAY, weeks).get(Key("appliance", "H87"), (0,) * weeks)


def test_revisions_count_once_agreed_and_what_was_withdrawn_does_not(ledger: Ledger) -> None:
    root = ledger.document()
    kept = ledger.place("kept", 0, ledger.terms(root))
    pending = ledger.place("pending", 1, ledger.terms(root))
    for kind, week in (("OrderCancelled", 1), ("OrderEnded", 2)):
        ledger.record(kind, ledger.place(kind, week, ledger.terms(root, 500)), week)
    ledger.record("RevisionAccepted", kept, 2, awaited=0, terms=ledger.terms(root, 8))
    ledger.record("RevisionAccepted", pending, 2, awaited=OTHER, terms=ledger.terms(root, 90))
    found = ledger.read(cut(3))
    assert counted(found, 3) == (8, 3, 0)
    assert found.left_out == Counter(withdrawn=2)


def test_an_order_counts_as_it_stood_at_the_cut(ledger: Ledger) -> None:
    """What came after the cut does not get into the forecast, though it is indexed."""
    order = ledger.place("order", 0, ledger.terms(ledger.document()))
    then = cut(3, ledger.block)
    ledger.record("RevisionAccepted", order, 1, awaited=0, terms=ledger.terms(ledger.document(), 70))
    ledger.record("OrderCancelled", order, 1)
    ledger.place("later", 1, ledger.terms(ledger.document()))
    assert counted(ledger.read(then), 3) == (3, 0, 0)
    assert counted(ledger.read(cut(3)), 3) == (0, 3, 0)


def test_a_duplicate_visible_in_two_ways_counts_once_and_others_orders_do_not(ledger: Ledger) -> None:
    ledger.place("both", 0, ledger.terms(ledger.document()))  # this company is buyer and coordinator
    ledger.place("foreign", 0, ledger.terms(ledger.document(), coordinator=OTHER), buyer=OTHER)
    assert counted(ledger.read(cut(1)), 1) == (3,)
    assert len(ledger.read(cut(1)).orders) == 1


def test_an_order_on_which_a_machine_gets_work_after_the_cut_does_not_count_at_it(ledger: Ledger) -> None:
    order = ledger.place("foreign", 0, ledger.terms(ledger.document(), coordinator=OTHER), buyer=OTHER)
    then = cut(1, ledger.block)
    ledger.assign(order, 1, OTHER)
    ledger.assign(order, 1, ME)
    assert counted(ledger.read(then), 1) == (0,)
    assert counted(ledger.read(cut(1, ledger.block)), 1) == (3,)


def test_an_order_counts_for_who_coordinated_it_at_the_cut(ledger: Ledger) -> None:
    document = ledger.document()
    gained = ledger.place("gained", 0, ledger.terms(document, 3, OTHER), buyer=OTHER)
    lost = ledger.place("lost", 0, ledger.terms(document, 50), buyer=OTHER)
    then = cut(1, ledger.block)
    ledger.coordinate(gained, 1, ledger.terms(document, 3))
    ledger.coordinate(lost, 1, ledger.terms(document, 50, OTHER))
    assert counted(ledger.read(then), 1) == (50,)
    assert counted(ledger.read(cut(1)), 1) == (3,)


def test_what_says_no_product_and_what_is_dated_later_is_left_out_by_name(ledger: Ledger) -> None:
    plain = build_claims({"specification": {"diameter": 80}})
    ledger.book.put_document(plain.root, json.dumps(plain.to_json()))
    ledger.place("plain", 0, ledger.terms(plain.root))
    ledger.place("unread", 0, ledger.terms(b"\1" * 32))
    ledger.place("tomorrow", 9, ledger.terms(ledger.document()))
    ledger.place("none-agreed", 0, ledger.terms(ledger.document(), 0))
    found = ledger.read(cut(2))
    assert found.left_out == Counter(unnamed=1, unread=1, later=1)
    assert counted(found, 2) == (1, 0)


@pytest.fixture(scope="module")
def made() -> ForecastDocument:
    return make_forecast(sample(), IDENTITY, 8)


def test_a_forecast_is_in_whole_numbers_and_its_options_add_up(made: ForecastDocument) -> None:
    [total] = made.totals()
    assert all(10 <= one <= 16 for one in total.quantities)
    by_option = {one.key.option for one in made.options_of(total.key)}
    assert by_option == {"colour", "size", "supply", "plug", "control"}
    for option in ("colour", "size"):
        parts = [one.quantities for one in made.options_of(total.key) if one.key.option == option]
        assert tuple(map(sum, zip(*parts, strict=True))) == total.quantities
    assert made.first_week == week_of(made.cut.time_s) == MONDAY + timedelta(weeks=40)
    # No order says anything of the plug: its values neither add up to the total nor draw it towards zero.
    assert {one.split for one in made.series if one.key.option == "plug"} == {"none"}
    assert {one.split for one in made.series if one.key.option == "size"} == {"history"}
    assert total.low is not None
    assert made.capacity[0].kind == "moulding"
    assert made.capacity[0].minutes == tuple(4 * one for one in total.quantities)


def test_a_document_is_read_as_it_was_written(made: ForecastDocument) -> None:
    assert parse_forecast(made.to_bytes()) == made
    assert parse_forecast(made.to_bytes()).digest == made.digest
    assert b"." not in canonical_json([one.to_json()["quantities"] for one in made.series])
    value = made.to_json()["model"]
    assert isinstance(value, dict)
    assert value["hash"] == f"0x{model_hash(made.model).hex()}"


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("version", 2),
        ("weeks", 7),
        ("weeks", 0),
        ("first_week", "2026-W54"),
        ("first_week", "2026-1-1"),
        ("level_percent", 0.8),
        ("orders", -1),
        ("orders", True),
        ("more", 1),
        ("series", [{}]),
        ("capacity", [{"kind": "moulding"}]),
        ("ledger", {}),
        ("model", {"hash": "0x" + "00" * 32, "text": {}}),
    ],
)
def test_a_malformed_document_is_refused_in_one_line(made: ForecastDocument, member: str, value: Json) -> None:
    with pytest.raises(ForecastError, match="the forecast is malformed") as error:
        parse_forecast(canonical_json({**made.to_json(), member: value}))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "change", [{"low": None}, {"high": [0] * 8}, {"quantities": [1.5] * 8}, {"quantities": [1] * 7}]
)
def test_a_malformed_series_is_refused(made: ForecastDocument, change: dict[str, Json]) -> None:
    value = made.to_json()
    value["series"] = [{**made.series[0].to_json(), **change}]
    with pytest.raises(ForecastError, match="the forecast is malformed"):
        parse_forecast(canonical_json(value))


def test_a_plain_forecast_names_its_method_and_no_package_that_it_does_not_use() -> None:
    plain, usual = (make_forecast(sample(), IDENTITY, 4, plain=plain) for plain in (True, False))
    assert plain.model["method"] == "millmark.demand.plain"
    assert usual.model["method"] == "millmark.demand"
    assert set(plain.model["packages"]) == {"numpy"}  # type: ignore[arg-type]  # the text is JSON
    assert set(plain.back_test.losses) <= {"Naive", "Seasonal naive", "Smoothing"}
    assert parse_forecast(plain.to_bytes()) == plain


def test_one_order_is_forecast_by_its_mean_without_an_interval() -> None:
    history = sample()
    history.orders = history.orders[:1]
    history.cut = cut(1)
    [total] = make_forecast(history, IDENTITY, 3).totals()
    assert (total.quantities, total.low, total.history_weeks) == ((2, 2, 2), None, 1)
    assert "only 1 week of history" in total.note


def test_without_orders_nothing_is_made_and_the_reason_is_said() -> None:
    with pytest.raises(ForecastError, match="no order counts up to this block; left out: 3 withdrawn"):
        make_forecast(History(cut(3), left_out=Counter(withdrawn=3)), IDENTITY, 4)


@given(st.lists(st.floats(0, 50), max_size=60))
def test_whole_numbers_keep_the_sum(values: list[float]) -> None:
    found = spread(values)
    assert all(one >= 0 for one in found)
    for place in range(len(values) + 1):
        assert abs(sum(found[:place]) - sum(values[:place])) <= 0.5 + 1e-6


def test_a_forecast_is_scored_by_what_came_beside_the_naive_one(made: ForecastDocument) -> None:
    score = score_forecast(made, sample(), grown(made, [12, 13, 14, 15]), made.cut.time_s + 60)
    [total] = score.totals
    assert (score.weeks, score.skipped) == (3, 1)  # the week of the cut had begun
    assert total.actual == (13, 14, 15)
    assert total.naive == 14
    assert total.naive_error == 2
    assert total.error == sum(abs(a - b) for a, b in zip(made.totals()[0].quantities[1:4], (13, 14, 15), strict=True))
    assert score.actual == 42
    inside, known = score.covered
    assert 0 <= inside <= known


def test_what_was_not_forecast_at_all_counts_as_an_error(made: ForecastDocument) -> None:
    later = grown(made, [12, 13, 14])
    later.orders.append(Ordered(b"\1" * 32, MONDAY + timedelta(weeks=41), "novelty", "H87", 30, {}, {}))
    assert score_forecast(made, sample(), later, made.cut.time_s).error >= 30


@pytest.mark.parametrize(
    ("anchored", "block", "cause"),
    [
        (None, b"\5" * 32, "the ledger does not have the forecast's entry yet"),
        (0, b"\6" * 32, "is not the one that the forecast was cut at"),
        (2**40, b"\5" * 32, "no week has ended yet that began after the forecast was recorded"),
    ],
)
def test_a_forecast_that_proves_nothing_is_not_scored(
    made: ForecastDocument, anchored: int | None, block: bytes, cause: str
) -> None:
    then = sample()
    then.cut = replace(then.cut, hash=block)
    with pytest.raises(ForecastError, match=cause):
        score_forecast(made, then, grown(made, [1, 2, 3]), anchored)


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)))
def test_weeks_are_those_of_iso_8601(day: date) -> None:
    monday = day - timedelta(days=day.weekday())
    assert parse_week(week_text(monday)) == monday == week_of(begin_s(monday) + WEEK_S - 1)


@pytest.mark.parametrize("text", ["2026-W00", "2026-W54", "2026-53", "W2026-12", "2026-W1", None, 202612])
def test_what_is_no_week_is_refused(text: object) -> None:
    with pytest.raises(InputError, match="is not a week; write it as 2026-W48"):
        parse_week(text)
