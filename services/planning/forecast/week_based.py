"""Exports for Catena-X (CX-0128, Demand and Capacity Management): WeekBasedMaterialDemand 3.0.1 of a forecast, and
WeekBasedCapacityGroup 3.0.1 of an owner's calendar.

Nothing is assumed: business partner numbers, sites and material numbers are those that the company states in a file.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from millmark.ledger.canonical import Json, parse_json
from millmark.ledger.errors import CanonicalError
from millmark.services.planning.calendar import Calendar, Grid, MachinePlan
from millmark.services.planning.errors import ForecastError
from millmark.services.planning.forecast.document import ForecastDocument, SeriesForecast
from millmark.services.planning.forecast.weeks import WEEK_S, begin_s, weeks_from

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


def build_material_demands(document: ForecastDocument, parties: Parties) -> list[dict[str, Json]]:
    """One aspect for each product: its forecast quantities by the Monday of each week. Raises ForecastError for a
    product whose material number is not stated, or a unit that the model lacks."""
    return [_demand(document, one, parties) for one in document.totals()]


def build_capacity_groups(
    calendar: Calendar, parties: Parties, first: date, weeks: int, changed_s: int
) -> list[dict[str, Json]]:
    """One aspect for each kind of work that the calendar's machines do, in minutes: `maximumCapacity` is
    what the shifts have, `actualCapacity` what is left of them without the closures. A machine that does several kinds
    counts for each. No capacity is agreed by it."""
    kinds = sorted({kind for plan in calendar.machines for kind in plan.minutes})
    mondays = weeks_from(first, weeks)
    return [_group(calendar, parties, kind, mondays, changed_s) for kind in kinds]


def _demand(document: ForecastDocument, series: SeriesForecast, parties: Parties) -> dict[str, Json]:
    product, unit = series.key.product, _UNITS.get(series.key.unit)
    material = parties.materials.get(product)
    if material is None:
        raise ForecastError(f"the parties' number for {product} is not stated", hint="add it to materials")
    if unit is None:
        raise ForecastError(f"Catena-X has no unit {series.key.unit[:8]!r}")
    demands: list[Json] = [
        {"demand": count, "pointInTime": monday.isoformat()}
        for monday, count in zip(document.mondays, series.quantities, strict=True)
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
        "changedAt": _moment(document.cut.time_s),
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
    grid = Grid(begin_s(monday), _SLOT_S, WEEK_S // _SLOT_S)
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
