"""What a future costs, in the integers that plans are in. Python alone.

    sum over t of  rate x eta + (price of energy + price of its CO2e) x Wh + tardiness x backlog
    and at the end  price of a unit x backlog

Sums are exact, and rounded up once, as each price of an offer is.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from millmark.quality.errors import InputError
from millmark.quality.process.arrays import Rollout
from millmark.quality.process.records import ONE, ProcessModel, Role

_HOUR_S = 3600
_WH_PER_KWH = 1000
_MG_PER_KG = 1_000_000
_MOST = 2**40


@dataclass(frozen=True, slots=True)
class Prices:
    """Amounts as the owner's calendar and the coordinator's objective have them. Raises InputError if one is out of
    range."""

    rate_per_hour: int = 0
    """Cost of an hour at eta = 1."""
    price_per_kwh: int = 0
    co2e_mg_per_wh: int = 0
    carbon_price_per_kg: int = 0
    tardiness_per_unit_hour: int = 0
    """Cost of a unit of the backlog that waits for an hour."""
    price_per_unit: int = 0
    """What the plan pays for a unit: what is not done by the end of the horizon has not earned it."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if type(value) is not int or not 0 <= value <= _MOST:
                raise InputError(f"{name} is {value!r}", hint=f"a price is an integer in 0..{_MOST}")

    @property
    def per_wh(self) -> Fraction:
        """Price of a watt-hour with its CO2e."""
        carbon = Fraction(self.co2e_mg_per_wh * self.carbon_price_per_kg, _MG_PER_KG)
        return Fraction(self.price_per_kwh, _WH_PER_KWH) + carbon


def energy_of(model: ProcessModel, rollout: Rollout, place: int) -> Fraction:
    """Wh of future number `place`; 0 for a model without energy. A predicted step below 0 counts as 0."""
    found = model.find(Role.ENERGY)
    if not found:
        return Fraction(0)
    total = sum(max(0, int(value)) for value in rollout.states[place, :, found[0]])
    return Fraction(total, 10 ** model.columns[found[0]].decimals)


def cost_of(model: ProcessModel, rollout: Rollout, place: int, prices: Prices) -> int:
    """Cost of future number `place`, rounded up."""
    hours = Fraction(model.step_s, _HOUR_S)
    total = energy_of(model, rollout, place) * prices.per_wh
    total += hours * prices.rate_per_hour * Fraction(int(rollout.eta[place].sum()), ONE)
    if found := model.find(Role.BACKLOG):
        units = 10 ** model.columns[found[0]].decimals
        total += hours * prices.tardiness_per_unit_hour * Fraction(int(rollout.backlog[place].sum()), units)
        total += prices.price_per_unit * Fraction(int(rollout.backlog[place, -1]), units)
    return -(-total.numerator // total.denominator)
