"""What the demonstration is given or invents: windows, orders, calendars, the factories for a product, and a chain.

A file has windows. A folder has any of `windows.csv` or `windows.tsv`, `orders.csv`, and one `COMPANY.toml` for each
maker whose calendar is not the invented one, such as `alder-forge.toml` (CALLS.md specifies it).
"""

from __future__ import annotations

import csv
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Final

from millmark.ledger.canonical import Json
from millmark.ledger.chain import Chain, EngineProfile, HttpTransport, Node, first_fees, send_values
from millmark.ledger.chain.deploying import DEPLOY_GAS
from millmark.ledger.errors import FundsError, InputError
from millmark.ledger.products import (
    ChoiceOption,
    Configuration,
    FromOption,
    IntegerOption,
    Option,
    Product,
    Step,
    Value,
    build_mark,
    complete,
    configure,
    element_string,
    parse_choices,
)
from millmark.ledger.signatures import Signer
from millmark.ledger.submit.submitter import GAS_PER_RECORD
from millmark.services.files import read_bounded
from millmark.services.planning.calendar import parse_calendar

FACTORIES: Final = 3
MARKED: Final = ("10", "11", "17", "21")
"""Application identifiers that the last factory can mark a piece with: batch, production date, expiry, serial."""
_EQUIPMENT: Final[Mapping[str, tuple[str, str]]] = {
    "forging": ("FORGE", "forging press"),
    "turning": ("LATHE", "turning centre"),
    "assembly": ("CELL", "assembly cell"),
    "milling": ("MILL", "five-axis milling centre"),
    "cleaning": ("BATH", "cleaning and finishing line"),
    "packing": ("PACK", "sterile packing line"),
    "moulding": ("MOULD", "injection moulding machine"),
    "electrical-test": ("TEST", "electrical safety tester"),
    "cutting": ("CUTTER", "cutting table"),
    "sewing": ("SEWER", "sewing line"),
    "finishing": ("PRESS", "finishing press"),
}
"""Name of the machines for a kind of operation, and what they are."""


@dataclass(frozen=True, slots=True)
class Factory:
    """A maker's two machines, which are alike."""

    kinds: tuple[str, ...]
    """Kinds of operation, in the route's order."""
    name: str
    equipment: str
    capability: tuple[Json, ...]
    """What both machines declare (millmark.ledger.plans.call)."""


@dataclass(frozen=True, slots=True)
class Supplies:
    """What one piece is made from."""

    material: str
    """Beginning of the batch numbers of what the first factory works on."""
    material_item: str
    """Its item reference, the digits of the GTIN behind the company prefix."""
    component: str
    """Beginning of the batch numbers of what the last factory adds, of which a piece takes one."""
    component_item: str
    components: str
    """What that is, in the plural."""
    grams: int
    loss_g: int
    """Grams that the first operation loses."""


_SUPPLIES: Final[Mapping[str, Supplies]] = {
    "crankshaft": Supplies("HEAT", "00101", "BOX", "00202", "bearings", 5_000, 200),
    "implant": Supplies("BAR", "00303", "TRAY", "00404", "sterile trays", 1_400, 1_050),
    "appliance": Supplies("SACK", "00505", "KIT", "00606", "test labels", 640, 40),
    "garment": Supplies("ROLL", "00707", "BAG", "00808", "garment bags", 310, 60),
}
_OTHERWISE: Final = Supplies("BATCH", "00909", "BOX", "01010", "components", 1_000, 100)


def find_supplies(product: Product) -> Supplies:
    """What a piece of the product is made from; for a product that is not shipped, an invented material."""
    return _SUPPLIES.get(product.product, _OTHERWISE)


def build_factories(product: Product) -> tuple[Factory, ...]:
    """Shares the route among three factories: the first and the last do what the route begins and ends with, the second
    everything between.

    Raises InputError for a route that cannot be shared so that every order visits all three.
    """
    first, last = product.route[0], product.route[-1]
    between = [step for step in product.route if step.need.kind not in (first.need.kind, last.need.kind)]
    always = [step for step in (first, *between, last) if step.when is None]
    if first.when or last.when or first.need.kind == last.need.kind or len(always) < FACTORIES:
        raise InputError(
            f"the demonstration's three factories cannot share the route of {product.product}",
            hint="its first and last step, and one of another kind between them, must be done for every order",
        )
    unknown = [ai for ai in product.marks if ai not in MARKED]
    if unknown:
        raise InputError(f"the demonstration cannot mark a piece with ({unknown[0]})", hint=f"it can {MARKED}")
    main = next(step for step in between if step.when is None)
    kinds = [(first.need.kind,), tuple(dict.fromkeys(step.need.kind for step in between)), (last.need.kind,)]
    named = [_EQUIPMENT.get(one.need.kind, (one.need.kind.upper(), one.need.kind)) for one in (first, main, last)]
    return tuple(
        Factory(one, name, equipment, tuple(_capability(product, kind) for kind in one))
        for one, (name, equipment) in zip(kinds, named, strict=True)
    )


def _capability(product: Product, kind: str) -> Json:
    """Limits of a machine that can do every step of a kind, whatever is chosen."""
    limits: dict[str, list[Value]] = {}
    for step in product.route:
        if step.need.kind == kind:
            for key, possible in _values(product, step).items():
                limits.setdefault(key, []).extend(possible)
    return {"kind": kind, "limits": {key: _limit(values) for key, values in limits.items()}}


def _values(product: Product, step: Step) -> dict[str, Sequence[Value]]:
    """The values that a step can need; of a number, the least and the most."""
    known, found = product.by_key, dict[str, Sequence[Value]]()
    for key, needed in step.need.values.items():
        option = known[needed.key] if isinstance(needed, FromOption) else None
        if isinstance(option, ChoiceOption):
            found[key] = option.values
        elif isinstance(option, IntegerOption):
            found[key] = (option.least, option.most)
        elif not isinstance(needed, FromOption):
            found[key] = (needed,)
    return found


def _limit(values: Iterable[Value]) -> Json:
    texts = sorted({one for one in values if isinstance(one, str)})
    numbers = [one for one in values if isinstance(one, int)]
    return list(texts) if texts else [min(numbers), max(numbers)]


TEXTS: Final = ("for Mara", "No. 7", "Team Blue", "1998", "M. K.", "Ahoy", "MK", "JO", "A-1007", "B-2210")
"""What buyers have written on their pieces, where it fits."""


def choose_options(product: Product, index: int) -> Configuration:
    """The configuration of an order, counted from 0. Raises InputError if the product's constraints allow none."""
    random = Random(f"{product.product}-{index}")  # noqa: S311 - not a secret: the same orders in every run

    def order(option: Option, values: Sequence[Value]) -> list[Value]:
        return _order(random, option, values)

    made = complete(product, {}, order)
    if made is None:
        raise InputError(f"no specification satisfies the constraints of {product.product}")
    return made


def _order(random: Random, option: Option, values: Sequence[Value]) -> list[Value]:
    """Values in the order in which they are tried: a drawn one first."""
    numbers = [one for one in values if isinstance(one, int)]
    if isinstance(option, IntegerOption):
        return [random.randint(min(numbers), max(numbers)), *values]
    if isinstance(option, ChoiceOption):
        return random.sample(values, len(values))
    allowed = None if option.characters is None else set(option.characters)
    fitting = [
        one for one in TEXTS if option.least <= len(one) <= option.most and (allowed is None or set(one) <= allowed)
    ]
    empty = [""] if option.least == 0 else []
    return [*random.sample([*fitting, *empty], len(fitting) + len(empty)), *values]


_SHELF_LIFE_S: Final = 5 * 365 * 24 * 3600
"""From the day on which it is due; for pieces that are marked with their expiry."""


def find_material(made: Configuration) -> str:
    """What it is made of, as ordered."""
    found = next((key for key in ("material", "fabric") if key in made.options), None)
    return "PP" if found is None else str(made.options[found])


def find_letter(product: Product, step: Step) -> str:
    """Beginning of the serial numbers of what a step makes: its first letter, and its place if another one has that."""
    names = [one.name for one in product.route]
    letter, place = step.name[0].upper(), names.index(step.name)
    return letter if all(name[0].upper() != letter for name in names[:place]) else f"{letter}{place + 1}-"


def build_marks(product: Product, serial: str, batch: str, due_at: int) -> dict[str, Json]:
    """What the finished piece is marked with beside its GTIN, where the product asks for it. `due_at` is Unix time in
    seconds."""
    if not product.marks:
        return {}
    due, expiry = (
        datetime.fromtimestamp(time_s, UTC).strftime("%y%m%d") for time_s in (due_at, due_at + _SHELF_LIFE_S)
    )
    values = {"10": batch, "11": due, "17": expiry, "21": serial}
    return {"udi": element_string(build_mark(product, {ai: values[ai] for ai in product.marks}))}


MAX_ORDERS = 500
_MAX_BYTES = 1 << 20
_WINDOWS, _ORDERS = ("windows.csv", "windows.tsv"), "orders.csv"
_DUE = "due_hours"


@dataclass(frozen=True, slots=True)
class Wanted:
    """One order: what is ordered, and in how many seconds it is due; None for the demo's own due dates."""

    made: Configuration
    due_s: int | None


@dataclass(frozen=True, slots=True)
class Given:
    """What the user gave; the demo invents the rest."""

    windows: Path | None = None
    orders: tuple[Wanted, ...] = ()
    calendars: Mapping[str, str] = field(default_factory=dict)
    """Text of the calendar files, by the name of the company in lower case with hyphens."""


def read_given(path: Path | None, product: Product) -> Given:
    """Raises InputError, SpecificationError and CalendarError, naming file and line."""
    if path is None or not path.is_dir():
        return Given(windows=path)
    windows = next((path / name for name in _WINDOWS if (path / name).is_file()), None)
    orders = path / _ORDERS
    calendars = {one.stem: read_bounded(one, _MAX_BYTES).decode() for one in sorted(path.glob("*.toml"))}
    given = Given(windows, tuple(_read_orders(orders, product)) if orders.is_file() else (), calendars)
    if given == Given():
        raise InputError(
            f"{path} has none of {', '.join((*_WINDOWS, _ORDERS))} and COMPANY.toml",
            hint="see RUN.md for what they have",
        )
    for name, text in calendars.items():
        parse_calendar(text.encode(), f"{name}.toml")  # refused before an earlier demo is deleted
    return given


def _read_orders(path: Path, product: Product) -> Iterator[Wanted]:
    """A line for each order: a column for each option, and `due_hours` if it is given."""
    rows = list(csv.DictReader(read_bounded(path, _MAX_BYTES).decode("utf-8-sig").splitlines()))
    if not 0 < len(rows) <= MAX_ORDERS:
        raise InputError(f"{path} has {len(rows)} orders", hint=f"give 1 to {MAX_ORDERS}, below a line of column names")
    for number, row in enumerate(rows, 2):
        try:
            yield _read_order(row, product)
        except InputError as error:
            raise InputError(f"{path}, line {number}: {error.cause}", hint=error.hint) from None


def _read_order(row: Mapping[str | None, str | Sequence[str] | None], product: Product) -> Wanted:
    cells = {key: text for key, text in row.items() if key is not None and isinstance(text, str)}
    if len(cells) < len(row):
        raise InputError("the line does not have as many cells as the first one")
    due = cells.pop(_DUE, "")
    if due and not (due.isascii() and due.isdigit() and 0 < int(due) <= 10_000):
        raise InputError(f"{_DUE} {due[:20]!a} is not a number of hours from 1 to 10000")
    chosen = parse_choices(product, [f"{key}={text}" for key, text in cells.items()])
    return Wanted(configure(product, chosen), int(due) * 3600 if due else None)


OBJECTIVE: Final[Mapping[str, Json]] = {
    "tardiness_per_day": 6000,
    "carbon_price_per_kg": 12,
    "transport_otherwise": {"minutes": 120, "cost": 1500},
}
"""A late order costs 60.00 a day, a kilogram of CO2e 0.12, and every way between two makers 15.00 and two hours."""
_HEAD = """time_zone = "Europe/Berlin"
unit = "{unit}"
windows = 24

[energy]
price_per_kwh = 24
co2e_mg_per_wh = 380
"""
_TARIFF = """tariff = [ { starts = "22:00", ends = "06:00", price_per_kwh = 15 }, \
{ starts = "17:00", ends = "20:00", price_per_kwh = 41 } ]
"""
_MACHINE = """
[[machine]]
machine = "{name}"
rate_per_hour = {rate}
depreciation_per_hour = {depreciation}
power_w = {power}
setup_minutes = 15
family = ["material"]
minutes = {{ {minutes} }}
shifts = [ {{ days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], starts = "{starts}", ends = "{ends}" }} ]
"""
_KINDS: Final = (
    {"rate": 5200, "depreciation": 900, "power": 11_000, "starts": "06:00", "ends": "22:00"},
    {"rate": 4300, "depreciation": 700, "power": 14_000, "starts": "08:00", "ends": "02:00"},
)
"""The newer machine is quicker and dearer; the other one also works in the cheap hours of the night."""
_PACE: Final = (100, 120)
"""Time that each takes, in per cent of the product's indicative time."""


def write_calendar(product: Product, names: Sequence[str], *, tariff: bool = True) -> str:
    """The calendar file of a maker with two machines, as CALLS.md specifies it. `tariff`: whether the price of energy
    changes in the course of a day; every change makes more windows."""
    longest: dict[str, int] = {}
    for step in product.route:
        longest[step.need.kind] = max(longest.get(step.need.kind, 0), step.minutes)
    machines = [
        _MACHINE.format(
            name=name,
            minutes=", ".join(f'"{kind}" = {-(-minutes * pace // 100)}' for kind, minutes in longest.items()),
            **terms,
        )
        for name, terms, pace in zip(names, _KINDS, _PACE, strict=True)
    ]
    energy = _TARIFF if tariff else ""
    return _HEAD.format(unit=product.currency) + energy + "".join(machines)


_RECORDS = 5000
_PAUSE_S = 0.2


@dataclass(frozen=True, slots=True)
class ExistingChain:
    """Where the chain is, and who pays there."""

    url: str
    profile: EngineProfile
    treasury: Signer | None = None
    """A key with funds, on a network with fees."""

    def node(self) -> Node:
        return Node(HttpTransport(self.url))

    def endow(self, keys: Sequence[bytes], *, deploys: bool = False) -> None:
        """Give keys what they need for the demonstration, and for the contracts if one of them deploys. Does nothing on
        a network without fees. Raises FundsError, ChainError."""
        node = self.node()
        fees = first_fees(node, self.profile)
        if fees.max_fee_wei == 0:
            return
        if self.treasury is None:
            raise FundsError("this network takes fees", hint="name a key that has funds: --treasury keystore:FILE")
        gas = _RECORDS * GAS_PER_RECORD + (DEPLOY_GAS if deploys else 0)
        send_values(node, self.profile, self.treasury, [(key, gas * fees.max_fee_wei) for key in keys])


def pass_time(chain: Chain, until_s: int) -> None:
    """Return when the latest final block is at this Unix time or later: at once where the engine can be told to, else
    by waiting for it."""
    while (left_s := until_s - chain.header(chain.final_number()).timestamp) > 0:
        if chain.profile.timed_blocks:
            time.sleep(_PAUSE_S)
        else:
            chain.node.wait(left_s)  # of the clock, which blocks may be ahead of: then not for the last time
