"""The capacity signal: what a forecast needs of machines, told to their owners, each its own part.

A company that coordinates orders splits the minutes of each kind of work evenly over the machines that it knows to be
capable of it: those that worked on its orders, or were offered for its calls. An owner is told the part of its own
machines, in an entry of the coordinator's stream that is opened to it alone: kinds, weeks and minutes, no product, no
buyer, and not what others are told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from millmark.ledger.canonical import Json, canonical_json, parse_hex32, to_hex
from millmark.ledger.errors import CanonicalError, PlanError
from millmark.ledger.plans.offer import parse_offer
from millmark.ledger.store.rows import AssignmentRow, MachineRow, OrderRow
from millmark.services.planning.errors import ForecastError
from millmark.services.planning.forecast.document import MAX_WEEKS, ForecastDocument, NeededCapacity, parse_capacity
from millmark.services.planning.forecast.weeks import parse_week, week_text, weeks_from
from millmark.services.planning.reading import Shelf, find_capability
from millmark.services.planning.repository import LeafRow, What

SIGNAL_FORMAT: Final = "millmark.capacity-signal"
_MEMBERS: Final = {
    *("format", "version", "chain_id", "ledger", "forecast", "from", "to"),
    *("first_week", "weeks", "level_percent", "capacity"),
}
_MOST_KINDS: Final = 64


@dataclass(frozen=True, slots=True)
class CapacitySignal:
    """What one owner's machines are expected to be asked for."""

    chain_id: int
    ledger: bytes
    forecast: bytes
    """Digest of the forecast that it is a part of."""
    sender: int
    """Participant that forecast."""
    to: int
    """Owner of the machines."""
    first_week: date
    """Monday."""
    weeks: int
    level_percent: int
    """Level of the intervals."""
    capacity: tuple[NeededCapacity, ...]

    @property
    def mondays(self) -> tuple[date, ...]:
        return weeks_from(self.first_week, self.weeks)

    def to_json(self) -> dict[str, Json]:
        return {
            "format": SIGNAL_FORMAT,
            "version": 1,
            "chain_id": self.chain_id,
            "ledger": to_hex(self.ledger),
            "forecast": to_hex(self.forecast),
            "from": self.sender,
            "to": self.to,
            "first_week": week_text(self.first_week),
            "weeks": self.weeks,
            "level_percent": self.level_percent,
            "capacity": [one.to_json() for one in self.capacity],
        }


def parse_signal(value: Json) -> CapacitySignal:
    """Raises ForecastError."""
    try:
        made = _parse(value)
    except (CanonicalError, KeyError, TypeError, ValueError) as error:
        raise ForecastError(f"a capacity signal is malformed: {getattr(error, 'cause', error)}") from None
    if canonical_json(made.to_json()) != canonical_json(value):
        raise ForecastError("a capacity signal is malformed: its members do not go together")
    return made


def find_signals(shelf: Shelf, me: int, document: ForecastDocument) -> list[CapacitySignal]:
    """What the owners of machines are told of a forecast, one entry each; this company itself is told nothing."""
    machines = _capable(shelf, me)
    parts: defaultdict[int, list[NeededCapacity]] = defaultdict(list)
    for needed in document.capacity:
        owners = machines.get(needed.kind, {})
        whole = sum(owners.values())
        for owner, count in owners.items():
            if owner != me:
                parts[owner].append(_part(needed, count, whole))
    when = document.first_week, document.weeks, document.level_percent
    return [
        CapacitySignal(document.chain_id, document.ledger, document.digest, me, owner, *when, tuple(found))
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
            yield from (parse_offer(row.value).machine for row in shelf.planning.leaves(call.digest, What.OFFER))


def _part(needed: NeededCapacity, count: int, whole: int) -> NeededCapacity:
    """Rounded up, so that what all are told is enough."""
    minutes, low, high = (
        tuple(-(-one * count // whole) for one in values) for values in (needed.minutes, needed.low, needed.high)
    )
    return NeededCapacity(needed.kind, minutes, low, high)


def _parse(value: Any) -> CapacitySignal:
    if not isinstance(value, dict) or value.keys() != _MEMBERS:
        raise ValueError("it has other members")
    if (value["format"], value["version"]) != (SIGNAL_FORMAT, 1):
        raise ValueError("it is not one of version 1")
    chain_id, sender, to, weeks, level = (_count(value[name]) for name in _NUMBERS)
    capacity = value["capacity"]
    if not 1 <= weeks <= MAX_WEEKS or not isinstance(capacity, list) or not 1 <= len(capacity) <= _MOST_KINDS:
        raise ValueError("it has no weeks or kinds, or too many")
    ledger = bytes.fromhex(str(value["ledger"])[2:])
    place = chain_id, ledger, parse_hex32(str(value["forecast"])), sender, to, parse_week(value["first_week"])
    return CapacitySignal(*place, weeks, level, tuple(parse_capacity(one, weeks) for one in capacity))


_NUMBERS: Final = ("chain_id", "from", "to", "weeks", "level_percent")


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value < 2**53:
        raise ValueError("a number is not an integer from 0 on")
    return value
