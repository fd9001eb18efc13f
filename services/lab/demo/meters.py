"""Energy in the demo: simulated meters, one per machine, and the footprints that follow from their readings.

What a meter shows is invented; that footprints follow from readings is not: a bundle of a part proves it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from millmark.ledger.canonical import Json
from millmark.ledger.evidence import EvidenceEntry, LeafKind
from millmark.ledger.footprint import (
    Amounts,
    Factor,
    FactorKind,
    FactorTable,
    Moment,
    Other,
    Own,
    Part,
    Reading,
    RegisterEntry,
    Step,
    Taken,
    build_footprint,
    build_register_data,
)
from millmark.ledger.plans.plan import Row
from millmark.ledger.records import Input
from millmark.services.lab.demo.plant import Machine

__all__ = ["Footprints", "Measured", "build_table"]

_FIRST_WH = 120_000
_IDLE_WH, _IDLE_S = 40, 120
"""What a machine uses between two jobs, and how long that takes."""
_SPREAD_WH = 7
"""How much more each next job takes than was planned, up to ten times."""
_SLOT_S = 900
_MATERIAL, _COMPONENT, _LOCATION, _MARKET = "raw-material", "component", "grid-location", "supplier-market"
_SOURCE = "illustrative value of the demonstration"


def build_table(now: int) -> FactorTable:
    """The factors of the demo, which hold in the year of `now` (Unix time in seconds) and the next."""
    year = datetime.fromtimestamp(now, UTC).year
    days = (date(year, 1, 1), date(year + 1, 12, 31))
    rows = (
        (_COMPONENT, FactorKind.MATERIAL, 450_000, "mg/piece"),
        (_LOCATION, FactorKind.LOCATION, 380_000, "mg/kWh"),
        (_MATERIAL, FactorKind.MATERIAL, 1_900_000, "mg/kg"),
        (_MARKET, FactorKind.MARKET, 120_000, "mg/kWh"),
    )
    return FactorTable(tuple(Factor(*row, _SOURCE, "DE", *days) for row in rows))


@dataclass(frozen=True, slots=True)
class Measured:
    """The two readings of an operation."""

    assignment: int
    wh: int
    finish: EvidenceEntry


@dataclass(slots=True)
class Footprints:
    """The machines' meters, and the footprints of all lots so far."""

    table: FactorTable
    time_s: int
    """When the first reading is taken, Unix time."""
    amounts: dict[bytes, Amounts] = field(default_factory=dict)
    """By lot."""
    sizes: dict[bytes, int] = field(default_factory=dict)
    """By lot, what it was made with."""
    taken: dict[bytes, int] = field(default_factory=dict)
    """By lot, what was taken of it."""
    own: Amounts = field(default_factory=Amounts)
    """What the operations used by themselves, all together."""
    registers: dict[int, tuple[int, int]] = field(default_factory=dict)
    """By machine: what its meter shows, in Wh, and the time."""

    def measure(self, machine: Machine, assignment: int, row: Row, index: int) -> Measured:
        """Reads the machine's register at the start and at the finish of a planned job; both are entries of its log."""
        wh, seconds = self.registers.get(machine.number, (_FIRST_WH, self.time_s))
        wh, seconds = wh + _IDLE_WH, seconds + _IDLE_S
        used, took = row.wh + index % 10 * _SPREAD_WH, (row.end - row.start) * _SLOT_S
        start = RegisterEntry(Reading(seconds, wh, Moment.START, assignment))
        first = _note(machine, start)
        wh, seconds = wh + used, seconds + took
        reading = Reading(seconds, wh, Moment.FINISH, assignment)
        last = _note(machine, RegisterEntry(reading, start=first.index, start_hash=first.leaf_hash))
        self.registers[machine.number] = (wh, seconds)
        return Measured(assignment, used, last)

    def receive(self, lot: bytes, quantity: int, grams: int | None) -> dict[str, Json]:
        """The footprint of material from outside, by a secondary factor: its supplier stated none. `grams` is None
        for pieces."""
        other = (
            Other("raw material", _MATERIAL, grams) if grams is not None else Other("component", _COMPONENT, quantity)
        )
        return self._build(Step(made=((lot, quantity),)), lot, (), (other,))

    def make(self, lot: bytes, inputs: Sequence[Input], loss: int, measured: Measured) -> dict[str, Json]:
        """The footprint of a lot of one piece, of what went into it and the operation's energy. Called in the order in
        which the transformations are recorded: each takes what the ones before left."""
        step = Step(tuple(Taken(one.lot, one.quantity, one.component) for one in inputs), ((lot, 1),), loss=loss)
        own = Own(measured.wh, _LOCATION, _MARKET, measured.assignment)
        return self._build(step, lot, (own,), ())

    def _build(self, step: Step, lot: bytes, own: Sequence[Own], other: Sequence[Other]) -> dict[str, Json]:
        found = build_footprint(
            step,
            lot,
            sources={one.lot: (self.amounts[one.lot], self._take(one)) for one in step.taken},
            own=own,
            other=other,
            table=self.table,
            time_s=self.time_s,
        )
        if own:
            self.own += sum((found.amounts_of_own(one) for one in own), Amounts())
        self.amounts[lot], self.sizes[lot] = found.totals, dict(step.made)[lot]
        return found.to_json()

    def _take(self, one: Taken) -> Part:
        start = self.taken.get(one.lot, 0)
        self.taken[one.lot] = start + one.quantity
        return Part(start, start + one.quantity, self.sizes[one.lot])


def _note(machine: Machine, entry: RegisterEntry) -> EvidenceEntry:
    return machine.log.append(build_register_data(entry), kind=LeafKind.OPERATION)
