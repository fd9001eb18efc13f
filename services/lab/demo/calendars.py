"""The makers' calendars and the coordinator's objective in the demo: invented, and the same in every run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from millmark.ledger.canonical import Json
from millmark.ledger.products import Product

__all__ = ["OBJECTIVE", "write_calendar"]

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
