"""The history that forecasts are made from, by ISO weeks, and the forecast as a document: integers and text, so that
two programs write the same bytes of it.

    digest       SHA-256(`millmark.forecast.v1\\0` || canonical JSON)
    model hash   SHA-256(`millmark.forecast-model.v1\\0` || canonical JSON of the member model.text)

What is recorded of it is an entry in a stream of its company: `{"format": "millmark.forecast-seal", "version": 1,
"forecast": digest}`. FORECASTS.md has the members.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Final, TypeAlias

from millmark.ledger.canonical import MAX_SAFE_INTEGER, Json, canonical_json, parse_json, sha256, to_hex
from millmark.ledger.claims import Claims, parse_claims
from millmark.ledger.errors import ClaimsError, InputError, MillmarkError, PlanError
from millmark.ledger.events import orders as events
from millmark.ledger.plans.form import Address, By, Called, Count, Form, Hash, check_range, read_object
from millmark.ledger.products import ChoiceOption, FindProduct, Product, parse_product
from millmark.ledger.records import Contract, OrderTerms
from millmark.ledger.store import Book, Rows
from millmark.ledger.store.rows import AssignmentRow, OrderRow, RecordRow
from millmark.services.planning.errors import ForecastError
from millmark.services.planning.reading import assemble

# ISO weeks: 2026-W48 begins on a Monday, at midnight UTC

WEEK_S = 7 * 86_400


def week_of(seconds: int) -> date:
    """The Monday of the week of a time, in seconds since 1970."""
    day = datetime.fromtimestamp(seconds, UTC).date()
    return day - timedelta(days=day.weekday())


def week_text(monday: date) -> str:
    year, week, _ = monday.isocalendar()
    return f"{year}-W{week:02d}"


def parse_week(text: object) -> date:
    """The Monday of a week such as 2026-W48. Raises InputError."""
    try:
        if not isinstance(text, str) or len(text) != 8:
            raise ValueError
        monday = date.fromisoformat(f"{text}-1")
    except ValueError:
        raise InputError(f"{text!r:.20} is not a week", hint="write it as 2026-W48") from None
    if week_text(monday) != text:
        raise InputError(f"{text!r:.20} is not a week", hint="write it as 2026-W48")
    return monday


Week = Annotated[date, By(parse_week, week_text)]


def begin_s(monday: date) -> int:
    """When a week begins, in seconds since 1970."""
    return int(datetime(monday.year, monday.month, monday.day, tzinfo=UTC).timestamp())


def weeks_from(monday: date, count: int) -> tuple[date, ...]:
    return tuple(monday + timedelta(weeks=place) for place in range(count))


# What was ordered, as the ledger had it at a final block: quantities by product, option and week.
# The state of each order is built again from its records up to that block. So a forecast can be made, or checked, for
# any block of the past, and nothing later gets into it: an order that was revised or cancelled afterwards counts as it
# stood.

LONGEST_WEEKS: Final = 520
"""Weeks of history that count: ten years."""
_WITHDRAWN: Final = ("OrderCancelled", "OrderEnded")
_KINDS: Final = ("OrderPlaced", "RevisionAccepted", *_WITHDRAWN)
_BATCH: Final = 500


_Said: TypeAlias = "tuple[str, Product | None, dict[str, str], dict[str, int]]"
"""Name of the product, the product, chosen values, minutes of work by kind."""
Memo: TypeAlias = "dict[bytes, _Said | str]"
"""By claims root: what the document says, or why it says nothing."""


@dataclass(frozen=True, slots=True)
class Cut(Form):
    """The final block up to which the ledger is read."""

    WHAT = "a cut"
    block: Count
    hash: Hash
    time_s: Annotated[Count, Called("time", "time")]
    """Time of the block, seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Ordered:
    """An order that counts."""

    order: bytes
    week: date
    """Monday of the week in which it was placed."""
    product: str
    unit: str
    quantity: int
    """1 where none is agreed."""
    options: Mapping[str, str]
    """Chosen values of the product's options that have a list of values."""
    minutes: Mapping[str, int]
    """Indicative minutes of work on one piece, by the kind of capability that it needs."""


@dataclass(frozen=True, slots=True)
class Key:
    """What a series counts: a product, or one value of one of its options."""

    product: str
    unit: str
    option: str = ""
    value: str = ""

    @property
    def of_product(self) -> Key:
        return Key(self.product, self.unit)


@dataclass(slots=True)
class History:
    """The orders that count, and how many do not, by reason."""

    cut: Cut
    orders: list[Ordered] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    """`withdrawn`: cancelled or ended; `unnamed`: names no product; `unread`: its document is not here;
    `later`: dated after the cut; `older`: more than ten years before it."""
    products: dict[str, Product] = field(default_factory=dict)
    """By name, the latest document of each."""


def read_orders(
    rows: Rows, book: Book, participant: int, cut: Cut, find: FindProduct, memo: Memo | None = None
) -> History:
    """The orders that a company is part of at the cut: as buyer, as coordinator, or as owner of a machine with work on
    it. `memo` keeps what documents say between calls on one state of the book, so that each is read once."""
    found, known = History(cut), {} if memo is None else memo
    own = {row.subject for row in rows.find(OrderRow, buyer=participant)} | _worked(rows, participant, cut)
    subjects = sorted(own | _coordinated(rows, participant, cut))
    for start in range(0, len(subjects), _BATCH):
        for subject, records in _records(rows, subjects[start : start + _BATCH], cut).items():
            placed_s, terms = _terms(records)
            if terms is not None and (subject in own or terms.coordinator == participant):
                _add(found, book, subject, placed_s, terms, records, find, known)
    found.orders.sort(key=lambda one: (one.week, one.order))
    return found


def count_weeks(history: History, first: date, weeks: int) -> dict[Key, tuple[int, ...]]:
    """What was ordered in each of these weeks, 0 where nothing was; by product and by each value of its options, also
    the values that nobody chose."""
    counted: defaultdict[Key, list[int]] = defaultdict(lambda: [0] * weeks)
    for one in history.orders:
        total = Key(one.product, one.unit)
        if total not in counted:
            for key in _values_of(history.products.get(one.product), total):
                counted[key]
        place = (one.week - first).days // 7
        if not 0 <= place < weeks:
            continue
        counted[total][place] += one.quantity
        for option, value in one.options.items():
            counted[Key(one.product, one.unit, option, value)][place] += one.quantity
    return {key: tuple(counts) for key, counts in sorted(counted.items(), key=lambda item: _order(item[0]))}


def _order(key: Key) -> tuple[str, str, str, str]:
    return key.product, key.unit, key.option, key.value


def _values_of(product: Product | None, total: Key) -> Iterable[Key]:
    for option in () if product is None else product.options:
        if isinstance(option, ChoiceOption):
            yield from (Key(total.product, total.unit, option.key, value) for value in option.values)


def _worked(rows: Rows, participant: int, cut: Cut) -> set[bytes]:
    """The orders on which a machine of the company had work by the cut."""
    orders = {row.sequence: row.order for row in rows.find(AssignmentRow, owner=participant)}
    proposed = rows.among(RecordRow, "sequence", sorted(orders), contract=Contract.LEDGER.value)
    return {orders[row.sequence] for row in proposed if row.block_number <= cut.block}


def _coordinated(rows: Rows, participant: int, cut: Cut) -> set[bytes]:
    """The orders that the company may have coordinated at the cut: what it coordinates now, and what was revised since,
    as a revision may name another coordinator."""
    now = {row.subject for row in rows.find(OrderRow, coordinator=participant)}
    revised = rows.within(RecordRow, {"block_number": cut.block + 1}, {}, kind="RevisionAccepted")
    return now | {row.subject for row in revised}


def _records(rows: Rows, subjects: Sequence[bytes], cut: Cut) -> Mapping[bytes, list[RecordRow]]:
    """The records that decide what an order is, up to the cut, in their order."""
    by_order: defaultdict[bytes, list[RecordRow]] = defaultdict(list)
    for row in rows.among(RecordRow, "subject", subjects, contract=Contract.LEDGER.value):
        if row.kind in _KINDS and row.block_number <= cut.block:
            by_order[row.subject].append(row)
    for listed in by_order.values():
        listed.sort(key=lambda row: row.sequence)
    return by_order


def _add(
    found: History,
    book: Book,
    subject: bytes,
    placed_s: int,
    terms: OrderTerms,
    records: Sequence[RecordRow],
    find: FindProduct,
    memo: Memo,
) -> None:
    week, last = week_of(placed_s), week_of(found.cut.time_s)
    reason = ""
    if any(row.kind in _WITHDRAWN for row in records):
        reason = "withdrawn"
    elif placed_s > found.cut.time_s:
        reason = "later"
    elif week < last - timedelta(weeks=LONGEST_WEEKS):
        reason = "older"
    if not reason and terms.claims_root not in memo:
        memo[terms.claims_root] = _read(book, terms.claims_root, find)
    said = reason or memo[terms.claims_root]
    if isinstance(said, str):
        found.left_out[said] += 1
        return
    name, product, options, minutes = said
    if product is not None:
        found.products[name] = product
    unit = terms.unit.rstrip(b"\0").decode("ascii", "replace")
    found.orders.append(Ordered(subject, week, name, unit, terms.quantity or 1, options, minutes))


def _terms(records: Sequence[RecordRow]) -> tuple[int, OrderTerms | None]:
    """When an order was placed, and its terms in force."""
    placed_s, terms = 0, None
    for row in records:
        event = row.event() if row.kind in ("OrderPlaced", "RevisionAccepted") else None
        if isinstance(event, events.OrderPlaced):
            placed_s, terms = row.block_time, event.terms
        elif isinstance(event, events.RevisionAccepted) and not event.awaited:
            terms = event.terms
    return placed_s, terms


def _read(book: Book, root: bytes, find: FindProduct) -> _Said | str:
    """What a document says, or why it says nothing."""
    stored = book.document(root)
    try:
        claims = None if stored is None else parse_claims(json.loads(stored))
    except (ClaimsError, ValueError):
        claims = None
    return "unread" if claims is None else _product(claims, find) or "unnamed"


def _product(claims: Claims, find: FindProduct) -> _Said | None:
    """Name, product, chosen values, minutes of work; None for an order that names no product, or does not show it."""
    try:
        specification = assemble(claims, "specification")
        text = assemble(claims, "product")
    except PlanError:
        return None
    options = specification.get("options") if isinstance(specification, Mapping) else None
    if not isinstance(specification, Mapping) or not isinstance(options, Mapping):
        return None
    product = _find(text, str(specification.get("product")), find)
    chosen = {key: value for key, value in options.items() if isinstance(value, str)}
    if product is None:
        # The name is all that a maker is given; without the product, free texts cannot be told from choices.
        name = _shown_name(claims)
        return None if name is None else (name, None, {}, {})
    lists = {one.key: set(one.values) for one in product.options if isinstance(one, ChoiceOption)}
    fitting = {key: value for key, value in chosen.items() if value in lists.get(key, ())}
    return product.product, product, fitting, _minutes(claims, product)


def _minutes(claims: Claims, product: Product) -> dict[str, int]:
    """The minutes of each step of the route that the order has."""
    try:
        operations = assemble(claims, "operations")
    except PlanError:
        return {}
    listed = operations.values() if isinstance(operations, Mapping) else ()
    names = {one.get("name") for one in listed if isinstance(one, Mapping)}
    found: Counter[str] = Counter()
    for step in product.route:
        if step.name in names:
            found[step.need.kind] += step.minutes
    return dict(found)


def _find(text: Json, digest: str, find: FindProduct) -> Product | None:
    try:
        if isinstance(text, str):
            return parse_product(text.encode())
        return find(bytes.fromhex(digest.removeprefix("0x")))
    except (MillmarkError, ValueError):
        return None


def _shown_name(claims: Claims) -> str | None:
    try:
        shown = assemble(claims, "passport")
    except PlanError:
        return None
    name = shown.get("productName") if isinstance(shown, Mapping) else None
    return name if isinstance(name, str) and name else None


FORECAST_FORMAT: Final = "millmark.forecast"
MAX_BYTES: Final = 4 << 20
MAX_WEEKS: Final = 104
_TAG, _MODEL_TAG = b"millmark.forecast.v1\0", b"millmark.forecast-model.v1\0"
_DEPTH: Final = 8


def _read_counts(value: Any) -> dict[str, int]:
    for count in (found := dict(value)).values():
        check_range(count, "a number of a forecast", 0, MAX_SAFE_INTEGER)
    return found


Counts = Annotated[Mapping[str, int], By(_read_counts, dict)]
_Ends = tuple[Count, ...]


@dataclass(frozen=True, slots=True)
class SeriesForecast(Form):
    """The forecast of a product, or of one value of one of its options."""

    WHAT = "a series"
    product: str
    unit: str
    option: str
    value: str
    history_weeks: Count
    method: str
    note: str
    """What was done instead of the usual, and why; empty otherwise."""
    split: str
    """How it was brought in line with its product: `total` for the product itself; `history`; or `none`
    where not all orders chose a value of the option."""
    quantities: _Ends
    low: _Ends | None
    """Lower ends of the intervals; None where the history is too short to say."""
    high: _Ends | None

    def verify(self) -> None:
        if (self.low is None) != (self.high is None):
            raise PlanError("an interval has one end")
        ends = zip(self.low or (), self.quantities, self.high or (), strict=False)
        if any(not low <= quantity <= high for low, quantity, high in ends):
            raise PlanError("a quantity is outside of its interval")

    @property
    def key(self) -> Key:
        return Key(self.product, self.unit, self.option, self.value)


@dataclass(frozen=True, slots=True)
class BackTest(Form):
    """How the candidates did on the last weeks of the history, from what came before them."""

    WHAT = "a back test"
    chosen: str
    windows: Count
    naive_instead: Count
    """Series for which the naive forecast is used, because it had done better."""
    losses: Annotated[Counts, Called("losses", "loss_permille")]
    """Mean scaled absolute error of each candidate for regular demand, in thousandths."""
    pinballs: Annotated[Counts, Called("pinball losses", "pinball_permille")]
    """Mean scaled pinball loss of each candidate for intermittent demand, in thousandths."""


@dataclass(frozen=True, slots=True)
class NeededCapacity(Form):
    """What the forecast quantities need of one kind of capability, in minutes of work in each week."""

    WHAT = "a needed capacity"
    kind: str
    minutes: _Ends
    low: _Ends
    """For the lower ends of the products' intervals; the quantities themselves where there are none."""
    high: _Ends


def verify_weeks(weeks: int, series: Iterable[SeriesForecast | NeededCapacity]) -> None:
    """Raises PlanError unless each has a figure for each week."""
    check_range(weeks, "the weeks", 1, MAX_WEEKS)
    for one in series:
        first = one.minutes if isinstance(one, NeededCapacity) else one.quantities
        if any(len(found) != weeks for found in (first, one.low, one.high) if found is not None):
            raise PlanError("a series does not have a quantity for each week")


def _read_model(value: Any) -> Mapping[str, Json]:
    return dict(read_object(value, "the model of a forecast", ("hash", "text"))["text"])  # type: ignore[arg-type]  # else refused


def _write_model(model: Mapping[str, Json]) -> Json:
    return {"hash": to_hex(model_hash(model)), "text": model}


@dataclass(frozen=True, slots=True)
class LedgerName(Form):
    """The ledger that a forecast is about."""

    WHAT = "the ledger of a forecast"
    chain_id: Count
    ledger: Address
    """Address of the ledger."""


@dataclass(frozen=True, slots=True)
class ForecastDocument(Form):
    WHAT, FORMAT = "a forecast", FORECAST_FORMAT
    ledger: LedgerName
    cut: Cut
    first_week: Week
    """Monday of the first week that is forecast: the one of the cut, which had not ended."""
    weeks: int
    level_percent: Count
    """Level of the intervals."""
    orders: Count
    """That count."""
    left_out: Counts
    model: Annotated[Mapping[str, Json], By(_read_model, _write_model)]
    """What was used, in text and integers."""
    back_test: BackTest
    series: tuple[SeriesForecast, ...]
    capacity: tuple[NeededCapacity, ...] = ()
    """What owners of machines are told: nothing of products or options."""

    def verify(self) -> None:
        verify_weeks(self.weeks, (*self.series, *self.capacity))

    @property
    def digest(self) -> bytes:
        return sha256(_TAG + self.to_bytes())

    @property
    def mondays(self) -> tuple[date, ...]:
        return weeks_from(self.first_week, self.weeks)

    def totals(self) -> tuple[SeriesForecast, ...]:
        """The series of whole products."""
        return tuple(one for one in self.series if not one.key.option)

    def options_of(self, total: Key) -> tuple[SeriesForecast, ...]:
        return tuple(one for one in self.series if one.key.option and one.key.of_product == total)

    def to_bytes(self) -> bytes:
        return canonical_json(self.to_json())


def model_hash(model: Mapping[str, Json]) -> bytes:
    return sha256(_MODEL_TAG + canonical_json(model))


def seal_of(digest: bytes) -> dict[str, Json]:
    """The entry that commits to a forecast."""
    return {"format": "millmark.forecast-seal", "version": 1, "forecast": to_hex(digest)}


def parse_forecast(data: bytes) -> ForecastDocument:
    """Raises ForecastError."""
    try:
        value = parse_json(data, max_bytes=MAX_BYTES, max_depth=_DEPTH)
        made = ForecastDocument.parse(value)
    except (InputError, TypeError, ValueError) as error:
        raise ForecastError(f"the forecast is malformed: {getattr(error, 'cause', error)}") from None
    if made.to_bytes() != canonical_json(value):
        raise ForecastError("the forecast is malformed: its members do not go together")
    return made
