"""The rows that a batch of records touches, kept in memory until the batch is complete; and how far the index has
come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, TypeAlias, TypeVar, get_type_hints

from millmark.ledger.canonical import to_hex
from millmark.ledger.errors import IndexHaltedError, StoreError
from millmark.ledger.events import Event, Recorded, once
from millmark.ledger.store import Cell, Rows, Store, key_of, values_of
from millmark.ledger.store.repository import Change
from millmark.ledger.store.rows import ChainIdentityRow, CursorRow

R = TypeVar("R")
E = TypeVar("E", bound=Event)
ONLY = 1
"""Primary key in tables with one row."""
_HINT = "rebuild the index"
_Place = tuple[type, tuple[Cell, ...]]


class State:
    """Reads each row once, always returns the same object for it, and writes new and changed rows at `flush`."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._kept: dict[_Place, object] = {}
        self._stored: dict[_Place, dict[str, object]] = {}

    def get(self, kind: type[R], *key: Cell) -> R | None:
        """The row with a primary key, or None. Changes to it are written at `flush`."""
        place = (kind, key)
        if place not in self._kept:
            found = self._rows.get(kind, *key)
            if found is None:
                return None
            self._kept[place] = found
            self._stored[place] = values_of(found)
        kept = self._kept[place]
        assert isinstance(kept, kind)  # noqa: S101  # narrows the type: the place names the kind
        return kept

    def need(self, kind: type[R], *key: Cell) -> R:
        """The row with a primary key. Raises IndexHaltedError if no earlier record created it."""
        row = self.get(kind, *key)
        if row is None:
            name = kind.__name__.removesuffix("Row").lower()
            shown = ", ".join(to_hex(part) if isinstance(part, bytes) else str(part) for part in key)
            raise IndexHaltedError(f"a record names {name} {shown}, which no earlier record created", hint=_HINT)
        return row

    def find(self, kind: type[R], **equals: Cell) -> list[R]:
        """The rows whose columns have the given values, also those of this batch. Changes to them are written at
        `flush`. The columns must not be ones that change."""
        for row in self._rows.find(kind, **equals):
            self.get(kind, *key_of(row))
        return [
            row
            for row in self._kept.values()
            if isinstance(row, kind) and all(getattr(row, name) == value for name, value in equals.items())
        ]

    def add(self, row: object) -> None:
        """Add a new row. Whether its key is free is checked at `flush`."""
        # Without a look-up here: it would cost a query for each of the many rows that are always new.
        self._kept[(type(row), key_of(row))] = row

    def flush(self) -> list[Change]:
        """Write new and changed rows, and empty the cache. Returns each written row's state before. Raises
        IndexHaltedError if a new row's key is taken."""
        new: dict[type, list[object]] = {}
        changed: dict[type, list[object]] = {}
        changes: list[Change] = []
        for place, row in self._kept.items():
            before = self._stored.get(place)
            if before is None:
                new.setdefault(place[0], []).append(row)
            elif before != values_of(row):
                changed.setdefault(place[0], []).append(row)
            else:
                continue
            changes.append(Change(*place, before))
        try:
            for rows in new.values():
                self._rows.insert(rows)
        except StoreError as error:
            cause = f"a record creates something that exists already: {error.cause}"
            raise IndexHaltedError(cause, hint=_HINT) from error
        for rows in changed.values():
            self._rows.update(rows)
        self._kept.clear()
        self._stored.clear()
        return changes


_ZERO: dict[object, object] = {int: 0, bool: False, bytes: bytes(32), bytes | None: None}


def row_of(kind: type[R], /, *sources: object, **given: object) -> R:
    """A new row. A column has its value in `given`, else that of the first source's field of the same name; the rest
    is zero, as in the contract's storage. Sources are events and the structs in them."""
    copied, rest = _plan(kind, tuple(map(type, sources)))
    values = {name: getattr(sources[place], name) for name, place in copied if name not in given}
    return kind(**{**rest, **values, **given})


def copy_to(row: object, source: object, /, **given: object) -> None:
    """Changes the columns of a row that have the name of one of the source's fields, or are in `given`."""
    for name, _ in _plan(type(row), (type(source),))[0]:
        setattr(row, name, given[name] if name in given else getattr(source, name))


@once
def _plan(kind: type, sources: tuple[type, ...]) -> tuple[tuple[tuple[str, int], ...], dict[str, object]]:
    """The columns that sources have, each with the place of the first one, and the zeros of the others."""
    # Fields alone: an event has a `kind` and `subjects` besides, which are no values of columns so called.
    named = [{field.name for field in fields(source)} for source in sources]
    places = {field.name: [place for place, names in enumerate(named) if field.name in names] for field in fields(kind)}
    copied = tuple((name, found[0]) for name, found in places.items() if found)
    hints = get_type_hints(kind)
    return copied, {name: _ZERO[hints[name]] for name, found in places.items() if not found and hints[name] in _ZERO}


Projection: TypeAlias = Callable[[Recorded[Any], State], None]


def on(kind: type[E], project: Callable[[Recorded[E], State], None]) -> tuple[type[Event], Projection]:
    """Build an entry of a table of projections. The signature makes mypy check that the function takes events of this
    kind."""
    return kind, project


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """How far the index has come, and which ledger it follows."""

    chain_id: int
    registry: bytes
    ledger: bytes
    block_number: int
    block_hash: bytes
    block_time: int
    """Seconds since 1970; 0 before the first block."""
    registry_sequence: int
    """Number of indexed records of the registry; the ledger's records are numbered apart."""
    ledger_sequence: int
    digest: bytes
    """32 bytes; equal for two indexes that have indexed the same records in the same order."""


def fetch_status(store: Store) -> IndexStatus | None:
    """How far the index has come; None if no chain has been followed yet."""
    with store.reading() as connection:
        rows = Rows(connection)
        identity, cursor = rows.get(ChainIdentityRow, ONLY), rows.get(CursorRow, ONLY)
    if identity is None or cursor is None:
        return None
    return IndexStatus(
        chain_id=identity.chain_id,
        registry=identity.registry,
        ledger=identity.ledger,
        block_number=cursor.block_number,
        block_hash=cursor.block_hash,
        block_time=cursor.block_time,
        registry_sequence=cursor.registry_sequence,
        ledger_sequence=cursor.ledger_sequence,
        digest=cursor.digest,
    )
