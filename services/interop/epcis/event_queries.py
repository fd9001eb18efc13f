"""Queries over captured events, restricted to those that the caller may see.

The company that runs the gateway sees all events. Another participant sees those that it sent, and those of which every
named thing, including lots with a quantity, is a lot visible to it (millmark.ledger.provenance.permissions). An event
that also names something else is hidden, because showing it would disclose that identifier.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, TypeAlias, cast

from millmark.ledger.canonical import Json
from millmark.ledger.errors import IdentifierError, NotFoundError
from millmark.ledger.ids import canonical_identifier
from millmark.ledger.provenance.reader import Named
from millmark.ledger.store import Lineage, Rows, Store
from millmark.services.interop.epcis.documents import Event
from millmark.services.interop.epcis.query_parameters import QueryTooComplexError
from millmark.services.interop.epcis.repository import (
    EpcisCaptureRow,
    EpcisEventRow,
    EpcisRepository,
    EventQuery,
    TermCondition,
)
from millmark.services.interop.epcis.terms import CLASSES, THINGS
from millmark.services.interop.epcis.tree import namespaces_of

CONTEXT: Final = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"
_MAX_SCANNED: Final = 1_000
"""Maximum number of events examined for one page, for callers that may not see all."""
_AT_ONCE: Final = 500
_MAX_RUNS, _RUNS_AT_ONCE = 5_000, 100
"""Maximum number of runs of a list's terms that are read for one page; and how many at once."""
ALL_RUNS: Final = 2**63 - 1
"""In a place in a list of values: all runs of the value are done with."""
Place: TypeAlias = "tuple[str, int]"
"""In a list of values: a value, and the first event of the last of its runs that was read."""
_NAMING: Final = frozenset((*THINGS, *CLASSES))
_STANDARD: Final = namespaces_of(None)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of events in the order of the query."""

    events: list[Json]
    last: tuple[int, int] | None
    """Time and number after which the next page starts; None if there is no next page."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """Events in the order in which they were recorded."""

    events: list[tuple[int, Json]]
    """Each with its number."""
    end: int
    """Number of the last event that was examined."""
    is_whole: bool
    """Whether no event follows that one."""


class EventQueries:
    """Reads the events in a store for one caller, `participant`. `viewer` is None if the caller may see everything."""

    def __init__(self, store: Store, participant: int, viewer: int | None) -> None:
        self._store, self._participant, self._viewer = store, participant, viewer

    def find(self, query: EventQuery, after: tuple[int, int] | None, limit: int, *, whole: bool = False) -> Page:
        """One page of at most `limit` visible events after the given position.

        The number of events examined for a page is bounded, so a page may be short or even empty although more events
        follow. With `whole`, QueryTooComplexError is raised in that case.
        """
        # One read transaction: events and the visibility of their names must belong to the same state.
        with self._store.reading() as connection:
            repository = EpcisRepository(connection)
            named = Named(Rows(connection), Lineage(connection), self._viewer)
            rows, last = self._look(repository, named, query, after, limit)
            entries = repository.entries(rows)
        if whole and last is not None and len(rows) < limit:
            raise QueryTooComplexError(
                "the query would have to examine too many events",
                hint="restrict it to a thing or a shorter period, or read it page by page",
            )
        return Page([_event(row, entries[row.stream, row.index]) for row in rows], last)

    def recorded(self, query: EventQuery, after: int, limit: int) -> Recorded:
        """At most `limit` visible events with numbers above `after`, in the order in which they were recorded. As in
        `find`, the number of events examined is bounded."""
        ordered = replace(query, order="number", descending=False)
        # One read transaction: an event that is recorded between two would be left out.
        with self._store.reading() as connection:
            repository = EpcisRepository(connection)
            named = Named(Rows(connection), Lineage(connection), self._viewer)
            rows, last = self._look(repository, named, ordered, (after, after), limit)
            entries, end = repository.entries(rows), repository.last_number()
        events = [(row.number, _event(row, entries[row.stream, row.index])) for row in rows]
        return Recorded(events, end if last is None else last[1], last is None)

    def event(self, event_id: str) -> Json:
        """The last captured event with that id; for a corrected event, that is the error declaration.

        Raises NotFoundError if no event with that id is visible to the caller.
        """
        page = self.find(
            EventQuery((TermCondition(("eventID",), (event_id,)),), order="record_time_ms"), None, 1, whole=True
        )
        if not page.events:
            raise NotFoundError("no event has that id", hint="look it up in its capture job, or ask its sender")
        return page.events[0]

    def values(self, fields: Collection[str], without: str, after: Place, limit: int) -> tuple[list[str], Place | None]:
        """At most `limit` values of the events that the caller sent, or of all if it may see everything, ascending, but
        for those that begin as `without` says (nothing if it is empty); and where the next page starts, None at the
        end.

        As in `find`, what is read for a page is bounded, so it may be short or even empty although more values follow.
        """
        found: list[str] = []
        with self._store.reading() as connection:
            repository = EpcisRepository(connection)
            for _ in range(0, _MAX_RUNS, _RUNS_AT_ONCE):
                runs = repository.runs(fields, after, _RUNS_AT_ONCE)
                for value, first, sender in runs:
                    if value == after[0] and after[1] == ALL_RUNS:
                        continue  # this value is done with
                    hidden = self._viewer is not None and sender != self._participant
                    omitted = bool(without) and value.startswith(without)
                    if not hidden and not omitted:
                        if len(found) == limit:
                            return found, after
                        found.append(value)
                    after = (value, first if hidden and not omitted else ALL_RUNS)
                if len(runs) < _RUNS_AT_ONCE:
                    return found, None
        return found, after

    def capture(self, id_: str) -> EpcisCaptureRow:
        """A capture job of the caller, or of anyone if the caller may see everything. Raises NotFoundError."""
        with self._store.reading() as connection:
            row = EpcisRepository(connection).capture(id_)
        if row is None or (self._viewer is not None and row.participant != self._participant):
            raise NotFoundError("no capture job has that id", hint="use the Location header of the capture's response")
        return row

    def captures(self, before: int | None, limit: int) -> list[EpcisCaptureRow]:
        """Capture jobs with numbers below `before`, newest first: the caller's, or all if it may see everything."""
        with self._store.reading() as connection:
            return EpcisRepository(connection).captures(
                None if self._viewer is None else self._participant, before, limit
            )

    def _look(
        self, repository: EpcisRepository, named: Named, query: EventQuery, after: tuple[int, int] | None, limit: int
    ) -> tuple[list[EpcisEventRow], tuple[int, int] | None]:
        """At most `limit` visible events, and the position after which to continue (None at the end)."""
        found: list[EpcisEventRow] = []
        # One more than wanted shows whether another page follows. Where events may be hidden, larger batches are read.
        at_once = limit + 1 if self._viewer is None else _AT_ONCE
        for _ in range(0, _MAX_SCANNED, _AT_ONCE):
            rows = repository.find(query, after, at_once)
            found += rows if self._viewer is None else self._own(repository, named, rows)
            if len(found) > limit:
                return found[:limit], _place(query, found[limit - 1])
            if len(rows) < at_once:
                return found, None
            after = _place(query, rows[-1])
        return found, after

    def _own(self, repository: EpcisRepository, named: Named, rows: Sequence[EpcisEventRow]) -> list[EpcisEventRow]:
        others = [row for row in rows if row.participant != self._participant]
        entries = repository.entries(others)
        things = {row.number: _names(entries[row.stream, row.index]) for row in others}
        seen = named.visible({name for names in things.values() for name in names})
        # An event that names nothing is visible to its sender only.
        visible = {number for number, names in things.items() if names and seen.issuperset(names)}
        return [row for row in rows if row.participant == self._participant or row.number in visible]


def _place(query: EventQuery, row: EpcisEventRow) -> tuple[int, int]:
    return getattr(row, query.order), row.number


def _names(entry: str) -> set[str]:
    """Canonical identifiers of the things in an event. A name without a canonical form stays as it is and matches no
    lot, which hides the event from other participants."""
    kept = json.loads(entry)
    _, terms = Event("", kept["event"], kept["namespaces"]).read()
    return {_name(value) for field, value in terms if field in _NAMING}


def _name(value: str) -> str:
    try:
        return canonical_identifier(value)
    except IdentifierError:
        return value


def _event(row: EpcisEventRow, entry: str) -> Json:
    """The event as received, with its id, the time of its capture, and the context that it needs by itself."""
    kept = cast("Mapping[str, Mapping[str, Json]]", json.loads(entry))
    event = {key: value for key, value in kept["event"].items() if key != "@context"}
    own = {prefix: space for prefix, space in kept["namespaces"].items() if _STANDARD.get(prefix) != space}
    record_time = datetime.fromtimestamp(row.record_time_ms / 1000, UTC).isoformat(timespec="milliseconds")
    context: list[Json] = [CONTEXT, own] if own else [CONTEXT]
    return {"@context": context, **event, "eventID": row.event_id, "recordTime": record_time.replace("+00:00", "Z")}
