"""The user's own data for the demo: measured windows, orders, and the makers' calendars.

A file has windows. A folder has any of `windows.csv` or `windows.tsv`, `orders.csv`, and one `COMPANY.toml` for each
maker whose calendar is not the invented one, such as `alder-forge.toml` (CALLS.md specifies it).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from millmark.ledger.errors import InputError
from millmark.ledger.products import Configuration, Product, configure, parse_choices
from millmark.services.files import read_bounded
from millmark.services.planning.calendar import parse_calendar

__all__ = ["MAX_ORDERS", "Given", "Wanted", "read_given"]

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
