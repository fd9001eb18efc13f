"""Events that were taken in, as far as there are such events for whoever asks.

To the company that runs the gateway there are all. To another participant there are its own, and those of which every
thing that they name, lots with a number included, is a lot that there is for it (ledger.provenance.permissions). An
event that also names a thing of somebody else does not exist: shown, it would tell what that is called.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, cast

from ledger.canonical import Json
from ledger.errors import IdentifierError, NotFoundError
from ledger.ids import canonical_identifier
from ledger.provenance.labels import Named
from ledger.store import Lineage, Rows, Store
from services.interop.epcis.documents import Event
from services.interop.epcis.query_parameters import QueryTooComplexError
from services.interop.epcis.repository import EpcisRepository, EventQuery, Saying
from services.interop.epcis.tables import EpcisCaptureRow, EpcisEventRow
from services.interop.epcis.terms import CLASSES, THINGS
from services.interop.epcis.tree import namespaces_of

__all__ = ["CONTEXT", "Library", "Page"]

CONTEXT: Final = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"
_MOST_SCANNED: Final = 1_000
"""Events looked at for one page of somebody who may not see all."""
_AT_ONCE: Final = 500
_NAMING: Final = frozenset((*THINGS, *CLASSES))
_STANDARD: Final = namespaces_of(None)


@dataclass(frozen=True, slots=True)
class Page:
    """Some events in the order of their query."""

    events: list[Json]
    last: tuple[int, int] | None
    """Behind which time and number to go on; None when nothing follows."""


class Library:
    """Reads one store, for one viewer: `participant` is who asks, `viewer` None for who sees all."""

    def __init__(self, store: Store, participant: int, viewer: int | None) -> None:
        self._store, self._participant, self._viewer = store, participant, viewer

    def find(self, query: EventQuery, after: tuple[int, int] | None, limit: int, *, whole: bool = False) -> Page:
        """How many events of others are looked at for one page is bounded: it may be short, or empty, and yet more may
        come. With `whole` it raises QueryTooComplexError instead."""
        with self._store.reading() as connection:
            desk = EpcisRepository(connection)
            named = Named(Rows(connection), Lineage(connection), self._viewer)
            rows, last = self._look(desk, named, query, after, limit)
            entries = desk.entries(rows)
        if whole and last is not None and len(rows) < limit:
            raise QueryTooComplexError(
                "too much would have to be looked at", hint="ask for a thing, for a shorter time, or page by page"
            )
        return Page([_event(row, entries[row.stream, row.index]) for row in rows], last)

    def event(self, event_id: str) -> Json:
        """The last one that was taken in under that id: of an event and the declaration that takes it back, the
        declaration. Raises NotFoundError when there is none."""
        page = self.find(EventQuery((Saying(("eventID",), (event_id,)),), order="record_time_ms"), None, 1, whole=True)
        if not page.events:
            raise NotFoundError("there is no event of that id", hint="see its capture job, or ask who captured it")
        return page.events[0]

    def capture(self, id_: str) -> EpcisCaptureRow:
        """One call of the participant's own, or any for who sees all. Raises NotFoundError."""
        with self._store.reading() as connection:
            row = EpcisRepository(connection).capture(id_)
        if row is None or (self._viewer is not None and row.participant != self._participant):
            raise NotFoundError("there is no capture job of that id", hint="see the Location of the answer to capture")
        return row

    def captures(self, before: int | None, limit: int) -> list[EpcisCaptureRow]:
        """The newest first."""
        with self._store.reading() as connection:
            return EpcisRepository(connection).captures(
                None if self._viewer is None else self._participant, before, limit
            )

    def _look(
        self, desk: EpcisRepository, named: Named, query: EventQuery, after: tuple[int, int] | None, limit: int
    ) -> tuple[list[EpcisEventRow], tuple[int, int] | None]:
        """At most `limit` events that there are for the viewer, and where to go on."""
        found: list[EpcisEventRow] = []
        at_once = limit + 1 if self._viewer is None else _AT_ONCE
        for _ in range(0, _MOST_SCANNED, _AT_ONCE):
            rows = desk.find(query, after, at_once)
            found += rows if self._viewer is None else self._own(desk, named, rows)
            if len(found) > limit:
                return found[:limit], _place(query, found[limit - 1])
            if len(rows) < at_once:
                return found, None
            after = _place(query, rows[-1])
        return found, after

    def _own(self, desk: EpcisRepository, named: Named, rows: Sequence[EpcisEventRow]) -> list[EpcisEventRow]:
        others = [row for row in rows if row.participant != self._participant]
        entries = desk.entries(others)
        things = {row.number: _names(entries[row.stream, row.index]) for row in others}
        seen = named.visible({name for names in things.values() for name in names})
        visible = {number for number, names in things.items() if names and seen.issuperset(names)}
        return [row for row in rows if row.participant == self._participant or row.number in visible]


def _place(query: EventQuery, row: EpcisEventRow) -> tuple[int, int]:
    return getattr(row, query.order), row.number


def _names(entry: str) -> set[str]:
    """Canonical identifiers of what an event names; what has none stays as it is, and is nobody's lot."""
    kept = json.loads(entry)
    _, terms = Event("", kept["event"], kept["namespaces"]).read()
    return {_name(value) for field, value in terms if field in _NAMING}


def _name(value: str) -> str:
    try:
        return canonical_identifier(value)
    except IdentifierError:
        return value


def _event(row: EpcisEventRow, entry: str) -> Json:
    """The event as it came, with its id, the time at which it was taken in, and a context of its own."""
    kept = cast("Mapping[str, Mapping[str, Json]]", json.loads(entry))
    event = {key: value for key, value in kept["event"].items() if key != "@context"}
    own = {prefix: space for prefix, space in kept["namespaces"].items() if _STANDARD.get(prefix) != space}
    record_time = datetime.fromtimestamp(row.record_time_ms / 1000, UTC).isoformat(timespec="milliseconds")
    context: list[Json] = [CONTEXT, own] if own else [CONTEXT]
    return {"@context": context, **event, "eventID": row.event_id, "recordTime": record_time.replace("+00:00", "Z")}
