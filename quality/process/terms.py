"""The file in which an operator writes what may be proposed: prices, bounds, limits. Read strictly, in exact decimals.

[prices]                          # whole numbers, in the unit of the calendar and the objective
rate_per_hour = 5400
price_per_kwh = 31
[horizon]
moves = 3                         # of the setpoints, each held for `hold` rows
hold = 4
arrivals = 8                      # units of the backlog that arrive per row
[setpoint.speed_set]              # in the sensor's unit
low = 20
high = 43
rate = 2.5                        # largest change from one move to the next
[limit.temperature]
low = 190
high = 225
    [machine]
    overhauled_at = 1767225600        # Unix time of its last overhaul, if it had one
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation
from typing import Final

from millmark.quality.errors import InputError
from millmark.quality.process.costs import Prices
from millmark.quality.process.proposals import Bound, Step
from millmark.quality.process.records import Column, ProcessModel, Role

MAX_BYTES: Final = 1 << 16
_TABLES = ("prices", "horizon", "setpoint", "limit", "machine")


@dataclass(frozen=True, slots=True)
class Terms:
    """What may be proposed, in the integers of a model's columns."""

    prices: Prices
    step: Step
    bounds: Mapping[str, Bound]
    limits: Mapping[str, tuple[int, int]]
    arrivals: int
    overhauled_at: int | None
    """Unix time of the machine's last overhaul; None if it had none."""


def parse_terms(content: bytes, model: ProcessModel) -> Terms:
    """Parse the file. Raises InputError, naming the entry to correct."""
    if len(content) > MAX_BYTES:
        raise InputError("the file of bounds and prices is too large", hint=f"at most {MAX_BYTES} bytes")
    try:
        read = tomllib.loads(content.decode(), parse_float=Decimal)
    except (ValueError, InvalidOperation) as error:
        raise InputError(f"the file of bounds and prices is not TOML: {error}") from None
    if unknown := sorted(read.keys() - set(_TABLES)):
        raise InputError(f"the table {unknown[0][:40]!a} is not known", hint=f"use {', '.join(_TABLES)}")
    columns = {column.name: column for column in model.columns}
    horizon = _numbers(read.get("horizon", {}), "horizon", {"moves", "hold", "arrivals"})
    machine = _numbers(read.get("machine", {}), "machine", {"overhauled_at"})
    prices = _numbers(read.get("prices", {}), "prices", {field.name for field in fields(Prices)})
    return Terms(
        Prices(**{name: _whole(value, f"prices.{name}") for name, value in prices.items()}),
        Step(**{name: _whole(horizon[name], name) for name in ("moves", "hold") if name in horizon}),
        {
            name: Bound(*_entry(columns, f"setpoint.{name}", name, entry, ("low", "high", "rate")))
            for name, entry in _table(read, "setpoint")
        },
        {name: _pair(columns, name, entry) for name, entry in _table(read, "limit")},
        _arrivals(model, horizon.get("arrivals", 0)),
        _whole(machine["overhauled_at"], "machine.overhauled_at") if machine else None,
    )


def _pair(columns: Mapping[str, Column], name: str, entry: object) -> tuple[int, int]:
    low, high = _entry(columns, f"limit.{name}", name, entry, ("low", "high"))
    return low, high


def _table(read: Mapping[str, object], name: str) -> list[tuple[str, object]]:
    found = read.get(name, {})
    if not isinstance(found, dict):
        raise InputError(f"{name} is not a table")
    return list(found.items())


def _numbers(table: object, what: str, names: set[str]) -> Mapping[str, int | Decimal]:
    if not isinstance(table, dict):
        raise InputError(f"{what} is not a table")
    if unknown := sorted(table.keys() - names):
        raise InputError(f"{what}.{unknown[0][:40]} is not known", hint=f"use {', '.join(sorted(names))}")
    for name, value in table.items():
        if type(value) not in (int, Decimal):
            raise InputError(f"{what}.{name} is not a number")
    return table


def _entry(
    columns: Mapping[str, Column], what: str, name: str, entry: object, names: tuple[str, ...]
) -> tuple[int, ...]:
    if name not in columns:
        raise InputError(f"{what[:60]} is not a column of the model", hint=f"it has {', '.join(columns)}")
    numbers = _numbers(entry, what, set(names))
    if missing := [one for one in names if one not in numbers]:
        raise InputError(f"{what}.{missing[0]} is missing")
    return tuple(_scaled(numbers[one], columns[name].decimals, f"{what}.{one}") for one in names)


def _scaled(value: int | Decimal, decimals: int, what: str) -> int:
    """The value, given in the sensor's unit, as the column's integer: times 10 ** `decimals`. Raises InputError if that
    is not a whole number below 2 ** 53."""
    try:
        scaled = Decimal(value).scaleb(decimals)
        whole = int(scaled)
    except (InvalidOperation, ValueError, OverflowError):
        raise InputError(f"{what} is not a usable number") from None
    if whole != scaled or abs(whole) >= 2**53:
        raise InputError(f"{what} has more than {decimals} decimals, or is too large")
    return whole


def _whole(value: int | Decimal, what: str) -> int:
    if type(value) is not int:
        raise InputError(f"{what} is not a whole number")
    return value


def _arrivals(model: ProcessModel, value: int | Decimal) -> int:
    found = model.find(Role.BACKLOG)
    arrivals = _scaled(value, model.columns[found[0]].decimals, "horizon.arrivals") if found else 0
    if arrivals < 0:
        raise InputError("horizon.arrivals is below 0")
    return arrivals
