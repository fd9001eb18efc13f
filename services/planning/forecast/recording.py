"""Forecasts in the company's own database, with their cuts, histories and entries; and what others are told of them:
capacity signals to owners of machines, and exports for partners."""

from __future__ import annotations

import re
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Final

from millmark.ledger.canonical import Json, parse_json
from millmark.ledger.chain import Chain
from millmark.ledger.errors import CanonicalError, InputError, NotFoundError, PlanError
from millmark.ledger.plans.form import Address, Called, Count, Form, Hash, check_count
from millmark.ledger.plans.offer import Offer
from millmark.ledger.products import FindProduct
from millmark.ledger.store import Book, Connection, Registry, Rows
from millmark.ledger.store.rows import AnchorRow, AssignmentRow, ChainIdentityRow, CursorRow, MachineRow, OrderRow
from millmark.services.planning.calendar import Calendar, Grid, MachinePlan
from millmark.services.planning.errors import ForecastError
from millmark.services.planning.forecast import document
from millmark.services.planning.forecast.repository import ForecastRepository, ForecastRow
from millmark.services.planning.papers import OwnStream, Sealed, seal_event, seal_signals
from millmark.services.planning.reading import Shelf, find_capability
from millmark.services.planning.repository import LeafRow, What


def find_cut(chain: Chain, cursor: CursorRow | None, block: int | None = None) -> document.Cut:
    """The latest final block that is indexed, or another final one. Sends requests, so not within a transaction. Raises
    ForecastError if there is none, or the block is not final and indexed yet."""
    indexed = -1 if cursor is None else cursor.block_number
    last = min(chain.final_number(), indexed)
    if last < 0:
        raise ForecastError("no final block is indexed here yet", hint="let the gateway run until it has caught up")
    number = last if block is None else block
    if not 0 <= number <= last:
        raise ForecastError(f"block {number} is not final and indexed yet", hint=f"give one up to {last}")
    header = chain.header(number)
    return document.Cut(number, header.hash, header.timestamp)


def read_cursor(connection: Connection) -> CursorRow | None:
    """Up to which block the index has come."""
    return Rows(connection).get(CursorRow, 1)


def need_identity(connection: Connection) -> ChainIdentityRow:
    """Raises ForecastError if no chain is followed yet."""
    found = Registry(connection).identity()
    if found is None:
        raise ForecastError("no chain is followed here yet", hint="start the gateway first")
    return found


def read_history(
    connection: Connection, participant: int, cut: document.Cut, find: FindProduct, memo: document.Memo | None = None
) -> document.History:
    """What the company is part of, as the ledger had it at a cut. `memo`: see `read_orders`."""
    return document.read_orders(Rows(connection), Book(connection), participant, cut, find, memo)


def seal_forecast(
    connection: Connection,
    stream: OwnStream,
    forecast: document.ForecastDocument,
    signals: Sequence[CapacitySignal] = (),
) -> Sealed:
    """Writes the entry that commits to a forecast, and what owners are told of it; keeps the forecast. Returns what is
    to be anchored for all of it."""
    sealed = seal_event(connection, stream, document.seal_of(forecast.digest))
    ForecastRepository(connection).add(
        ForecastRow(
            forecast.digest,
            stream.subject,
            sealed.first,
            forecast.cut.block,
            forecast.cut.time_s,
            forecast.to_bytes().decode(),
        )
    )
    if signals:
        return seal_signals(connection, stream, forecast.digest, [one.to_json() for one in signals])
    return sealed


def need_forecast(connection: Connection, digest: bytes) -> tuple[document.ForecastDocument, ForecastRow]:
    """A forecast that was made here. Raises NotFoundError, and ForecastError if it is not what was recorded."""
    row = ForecastRepository(connection).find(digest)
    if row is None:
        raise NotFoundError("no such forecast is known here", hint="see `millmark plan forecast list`")
    forecast = document.parse_forecast(row.document.encode())
    entry = Book(connection).evidence_entry(row.stream, row.leaf_index)
    if forecast.digest != digest or entry is None or entry.entry != document.seal_of(digest):
        raise ForecastError("the forecast is not the one that was recorded", hint="restore the database from a backup")
    return forecast, row


def anchored_at(connection: Connection, row: ForecastRow) -> int | None:
    """When the ledger had the entry, in seconds since 1970; None if it has not."""
    covering = [one for one in Rows(connection).find(AnchorRow, stream=row.stream) if one.size > row.leaf_index]
    return min((one.anchored_at for one in covering), default=None)


# The capacity signal: what a forecast needs of machines, told to their owners, each its own part.
# A company that coordinates orders splits the minutes of each kind of work evenly over the machines that it knows to be
# capable of it: those that worked on its orders, or were offered for its calls. An owner is told the part of its own
# machines, in an entry of the coordinator's stream that is opened to it alone: kinds, weeks and minutes, no product, no
# buyer, and not what others are told.

SIGNAL_FORMAT: Final = "millmark.capacity-signal"
_MOST_KINDS: Final = 64


@dataclass(frozen=True, slots=True)
class CapacitySignal(Form):
    """What one owner's machines are expected to be asked for."""

    WHAT, FORMAT = "a capacity signal", SIGNAL_FORMAT
    chain_id: Count
    ledger: Address
    forecast: Hash
    """Digest of the forecast that it is a part of."""
    sender: Annotated[Count, Called("sender", "from")]
    """Participant that forecast."""
    to: Count
    """Owner of the machines."""
    first_week: document.Week
    """Monday."""
    weeks: int
    level_percent: Count
    """Level of the intervals."""
    capacity: tuple[document.NeededCapacity, ...]

    def verify(self) -> None:
        document.verify_weeks(self.weeks, self.capacity)
        check_count(self.capacity, "kinds of work", 1, _MOST_KINDS)

    @property
    def mondays(self) -> tuple[date, ...]:
        return document.weeks_from(self.first_week, self.weeks)


def parse_signal(value: Json) -> CapacitySignal:
    """Raises ForecastError."""
    try:
        return CapacitySignal.parse(value)
    except InputError as error:
        raise ForecastError(f"a capacity signal is malformed: {error.cause}") from None


def find_signals(shelf: Shelf, me: int, forecast: document.ForecastDocument) -> list[CapacitySignal]:
    """What the owners of machines are told of a forecast, one entry each; this company itself is told nothing."""
    machines = _capable(shelf, me)
    parts: defaultdict[int, list[document.NeededCapacity]] = defaultdict(list)
    for needed in forecast.capacity:
        owners = machines.get(needed.kind, {})
        whole = sum(owners.values())
        for owner, count in owners.items():
            if owner != me:
                parts[owner].append(_part(needed, count, whole))
    when = forecast.first_week, forecast.weeks, forecast.level_percent
    return [
        CapacitySignal(
            forecast.ledger.chain_id, forecast.ledger.ledger, forecast.digest, me, owner, *when, tuple(found)
        )
        for owner, found in sorted(parts.items())
    ]


def read_received(shelf: Shelf, me: int) -> list[CapacitySignal]:
    """The latest signal of each company that sent one, by the company's number."""
    latest: dict[int, LeafRow] = {}
    for row in shelf.rows.find(LeafRow, what=What.SIGNAL):
        known = latest.get(row.owner)
        # Several signals may be under one anchor, which is one record: then the later entry counts.
        place = row.sequence, row.leaf_index
        if row.owner != me and (known is None or (known.sequence, known.leaf_index) < place):
            latest[row.owner] = row
    return [parse_signal(row.value) for _, row in sorted(latest.items())]


def _capable(shelf: Shelf, me: int) -> Mapping[str, Mapping[int, int]]:
    """By kind of work and owner: how many machines are known that can do it."""
    rows = shelf.rows
    orders = {row.subject for row in rows.find(OrderRow, coordinator=me)}
    numbers = {row.machine for row in rows.among(AssignmentRow, "order", orders)} | set(_offered(shelf, me))
    found: defaultdict[str, defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
    for machine in rows.among(MachineRow, "number", numbers):
        if machine.retired_at:
            continue
        try:
            capability = find_capability(shelf.book, machine.claims_root)
        except PlanError:
            continue  # what it declares cannot be read, so nothing is known of it
        for kind in {one.kind for one in capability}:
            found[kind][machine.owner] += 1
    return found


def _offered(shelf: Shelf, me: int) -> Iterator[int]:
    for call in shelf.planning.calls():
        if call.coordinator == me:
            yield from (Offer.parse(row.value).machine for row in shelf.planning.leaves(call.digest, What.OFFER))


def _part(needed: document.NeededCapacity, count: int, whole: int) -> document.NeededCapacity:
    """Rounded up, so that what all are told is enough."""
    minutes, low, high = (
        tuple(-(-one * count // whole) for one in values) for values in (needed.minutes, needed.low, needed.high)
    )
    return document.NeededCapacity(needed.kind, minutes, low, high)


# Exports for Catena-X (CX-0128, Demand and Capacity Management): WeekBasedMaterialDemand 3.0.1 of a forecast, and
# WeekBasedCapacityGroup 3.0.1 of an owner's calendar.
# Nothing is assumed: business partner numbers, sites and material numbers are those that the company states in a file.

MAX_PARTIES_BYTES: Final = 1 << 16
_BPNL, _BPNS = re.compile("BPNL[a-zA-Z0-9]{12}"), re.compile("BPNS[a-zA-Z0-9]{12}")
_UNITS: Final = {
    "H87": "unit:piece",
    "C62": "unit:piece",
    "KGM": "unit:kilogram",
    "GRM": "unit:gram",
    "LTR": "unit:litre",
}
_CATEGORY: Final[dict[str, Json]] = {"demandCategoryCode": "0001"}
"""Default: demand of which no kind is stated."""
_MINUTE: Final = "unit:minuteUnitOfTime"
_SLOT_S: Final = 300
"""Shifts count in whole slots of so many seconds."""


@dataclass(frozen=True, slots=True)
class Material:
    """A product as its customer, and perhaps its supplier, call it."""

    number: str
    description: str
    supplier_number: str | None = None


@dataclass(frozen=True, slots=True)
class Parties:
    """Who demands, who supplies, where, and what the products are called between them."""

    customer: str
    """BPNL."""
    supplier: str
    """BPNL."""
    customer_site: str
    """BPNS."""
    supplier_site: str
    """BPNS."""
    materials: Mapping[str, Material]
    """By product."""


def parse_parties(data: bytes) -> Parties:
    """Reads {"customer", "supplier", "customer_site", "supplier_site", "materials": {product: {"number", "description",
    "supplier_number"}}}. Raises ForecastError naming what is missing or malformed."""
    try:
        value = parse_json(data, max_bytes=MAX_PARTIES_BYTES, max_depth=4)
    except CanonicalError as error:
        raise ForecastError(f"the file on the parties is malformed: {error.cause}") from None
    members = {"customer", "supplier", "customer_site", "supplier_site", "materials"}
    if not isinstance(value, Mapping) or value.keys() != members or not isinstance(value["materials"], Mapping):
        raise ForecastError(
            "the file on the parties is malformed", hint=f"it has the members {', '.join(sorted(members))}"
        )
    named = {name: _number(value, name, _BPNL) for name in ("customer", "supplier")}
    named |= {name: _number(value, name, _BPNS) for name in ("customer_site", "supplier_site")}
    return Parties(**named, materials={str(key): _material(str(key), one) for key, one in value["materials"].items()})


def build_material_demands(forecast: document.ForecastDocument, parties: Parties) -> list[dict[str, Json]]:
    """One aspect for each product: its forecast quantities by the Monday of each week. Raises ForecastError for a
    product whose material number is not stated, or a unit that the model lacks."""
    return [_demand(forecast, one, parties) for one in forecast.totals()]


def build_capacity_groups(
    calendar: Calendar, parties: Parties, first: date, weeks: int, changed_s: int
) -> list[dict[str, Json]]:
    """One aspect for each kind of work that the calendar's machines do, in minutes: `maximumCapacity` is
    what the shifts have, `actualCapacity` what is left of them without the closures. A machine that does several kinds
    counts for each. No capacity is agreed by it."""
    kinds = sorted({kind for plan in calendar.machines for kind in plan.minutes})
    mondays = document.weeks_from(first, weeks)
    return [_group(calendar, parties, kind, mondays, changed_s) for kind in kinds]


def _demand(forecast: document.ForecastDocument, series: document.SeriesForecast, parties: Parties) -> dict[str, Json]:
    product, unit = series.key.product, _UNITS.get(series.key.unit)
    material = parties.materials.get(product)
    if material is None:
        raise ForecastError(f"the parties' number for {product} is not stated", hint="add it to materials")
    if unit is None:
        raise ForecastError(f"Catena-X has no unit {series.key.unit[:8]!r}")
    demands: list[Json] = [
        {"demand": count, "pointInTime": monday.isoformat()}
        for monday, count in zip(forecast.mondays, series.quantities, strict=True)
    ]
    found: dict[str, Json] = {
        "materialDemandId": _uuid("demand", parties, material.number),
        "customer": parties.customer,
        "supplier": parties.supplier,
        "materialNumberCustomer": material.number,
        "materialDescriptionCustomer": material.description,
        "unitOfMeasure": unit,
        "unitOfMeasureIsOmitted": False,
        "materialDemandIsInactive": False,
        "changedAt": _moment(forecast.cut.time_s),
        "demandSeries": [
            {
                "customerLocation": parties.customer_site,
                "expectedSupplierLocation": parties.supplier_site,
                "demandCategory": _CATEGORY,
                "demands": demands,
            }
        ],
    }
    if material.supplier_number is not None:
        found["materialNumberSupplier"] = material.supplier_number
    return found


def _group(
    calendar: Calendar, parties: Parties, kind: str, mondays: tuple[date, ...], changed_s: int
) -> dict[str, Json]:
    linked: list[Json] = [
        {
            "materialNumberCustomer": material.number,
            "customerLocation": parties.customer_site,
            "demandCategory": _CATEGORY,
        }
        for _, material in sorted(parties.materials.items())
    ]
    return {
        "capacityGroupId": _uuid("capacity", parties, kind),
        "name": kind,
        "customer": parties.customer,
        "supplier": parties.supplier,
        "supplierLocations": [parties.supplier_site],
        "unitOfMeasure": _MINUTE,
        "unitOfMeasureIsOmitted": False,
        "capacityGroupIsInactive": False,
        "changedAt": _moment(changed_s),
        "linkedDemandSeries": linked,
        "capacities": list(_capacities(calendar, kind, mondays)),
    }


def _capacities(calendar: Calendar, kind: str, mondays: tuple[date, ...]) -> Iterator[Json]:
    plans = [plan for plan in calendar.machines if kind in plan.minutes]
    always = Calendar(calendar.file.model_copy(update={"closure": []}))
    for monday in mondays:
        actual = sum(_minutes(calendar, plan, monday) for plan in plans)
        most = sum(_minutes(always, plan.model_copy(update={"closure": []}), monday) for plan in plans)
        yield {"pointInTime": monday.isoformat(), "actualCapacity": actual, "maximumCapacity": most}


def _minutes(calendar: Calendar, plan: MachinePlan, monday: date) -> int:
    grid = Grid(document.begin_s(monday), _SLOT_S, document.WEEK_S // _SLOT_S)
    return sum(calendar.on(plan, grid).works) * _SLOT_S // 60


def _number(value: Mapping[str, Json], name: str, form: re.Pattern[str]) -> str:
    found = value[name]
    if not isinstance(found, str) or not form.fullmatch(found):
        raise ForecastError(
            f"{name} is not a business partner number", hint=f"write {form.pattern[:4]} and 12 characters"
        )
    return found


def _material(product: str, value: Json) -> Material:
    fitting = isinstance(value, Mapping) and {"number", "description"} <= value.keys() <= {
        "number", "description", "supplier_number",
    }  # fmt: skip
    if not isinstance(value, Mapping) or not fitting or not all(isinstance(one, str) and one for one in value.values()):
        raise ForecastError(f"the material of {product} is malformed", hint="state its number and its description")
    other = value.get("supplier_number")
    return Material(str(value["number"]), str(value["description"]), None if other is None else str(other))


def _uuid(what: str, parties: Parties, name: str) -> str:
    """The same for the same parties and thing, so that a later export replaces the earlier one."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"millmark:{what}:{parties.customer}:{parties.supplier}:{name}"))


def _moment(seconds: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
