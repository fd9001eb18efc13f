"""Captured EPCIS events, found by what they say, with their captures and named queries."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, delete, func, or_, select, tuple_

from ledger.store import Book, Rows
from services.interop.epcis.tables import (
    EpcisCaptureRow,
    EpcisEventRow,
    EpcisQueryRow,
    EpcisTermRow,
    epcis_captures,
    epcis_events,
    epcis_queries,
    epcis_terms,
)

__all__ = ["EpcisRepository", "EventQuery", "Like", "Saying", "Span"]


@dataclass(frozen=True, slots=True)
class Like:
    """A pattern of values."""

    start: str
    """How values begin, case-sensitive: not every database's LIKE distinguishes A from a."""
    pattern: str
    """The whole value, in the syntax of LIKE, with a backslash before literal % and _."""


@dataclass(frozen=True, slots=True)
class Saying:
    """Events that say one of `values`, or what fits one of `patterns`, in one of `fields`."""

    fields: tuple[str, ...]
    values: tuple[str, ...]
    patterns: tuple[Like, ...] = ()


@dataclass(frozen=True, slots=True)
class Span:
    """Events whose time lies in a span: milliseconds since 1970, the end not included."""

    column: str
    """`event_time_ms` or `record_time_ms`."""
    since_ms: int | None = None
    until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Conditions, all of which an event meets, and the order of the events."""

    sayings: tuple[Saying, ...] = ()
    spans: tuple[Span, ...] = ()
    order: str = "event_time_ms"
    descending: bool = True


class EpcisRepository:
    """Reads and writes within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows = Rows(connection)

    def kept(self, participant: int, keys: Collection[str]) -> set[str]:
        """Those of the keys that a participant's events have already."""
        return self._rows.values(EpcisEventRow, "key", "key", keys, participant=participant)

    def next_numbers(self) -> tuple[int, int]:
        """Of the next event, and of the next capture: writers take turns, so nobody else gets them."""
        last, call = (self._rows.greatest(kind, "number") for kind in (EpcisEventRow, EpcisCaptureRow))
        return last + 1, call + 1

    def add(self, events: Sequence[EpcisEventRow], terms: Sequence[EpcisTermRow]) -> None:
        """Events, whose evidence is in the book, and what they say, nothing twice."""
        self._rows.insert(events)
        self._rows.insert(terms)

    def add_capture(self, row: EpcisCaptureRow) -> None:
        self._rows.insert([row])

    def capture(self, id_: str) -> EpcisCaptureRow | None:
        return self._rows.get(EpcisCaptureRow, id_)

    def captures(self, participant: int | None, before: int | None, limit: int) -> list[EpcisCaptureRow]:
        """The newest first; of one participant, or of all."""
        query = select(epcis_captures).order_by(epcis_captures.c.number.desc()).limit(limit)
        if participant is not None:
            query = query.where(epcis_captures.c.participant == participant)
        if before is not None:
            query = query.where(epcis_captures.c.number < before)
        return [EpcisCaptureRow(*row) for row in self._connection.execute(query)]

    def add_query(self, row: EpcisQueryRow) -> None:
        self._rows.insert([row])

    def query(self, participant: int, name: str) -> EpcisQueryRow | None:
        return self._rows.get(EpcisQueryRow, participant, name)

    def queries(self, participant: int, after: int, limit: int) -> list[EpcisQueryRow]:
        """Of one participant, in the order in which they were made, behind a number."""
        mine = select(epcis_queries).where(epcis_queries.c.participant == participant, epcis_queries.c.number > after)
        found = self._connection.execute(mine.order_by(epcis_queries.c.number).limit(limit))
        return [EpcisQueryRow(*row) for row in found]

    def next_query_number(self, participant: int) -> int:
        return self._rows.greatest(EpcisQueryRow, "number", participant=participant) + 1

    def drop_query(self, participant: int, name: str) -> bool:
        """Whether it was there."""
        mine = (epcis_queries.c.participant == participant) & (epcis_queries.c.name == name)
        return self._connection.execute(delete(epcis_queries).where(mine)).rowcount > 0

    def find(self, query: EventQuery, after: tuple[int, int] | None, limit: int) -> list[EpcisEventRow]:
        """Events in the order of the query, behind (time, number) of the last one seen."""
        column = epcis_events.c[query.order]
        place = tuple_(column, epcis_events.c.number)
        found = select(epcis_events).where(*_conditions(query)).limit(limit)
        if after is not None:
            found = found.where(place < after if query.descending else place > after)
        order = (column, epcis_events.c.number)
        found = found.order_by(*(one.desc() if query.descending else one.asc() for one in order))
        return [EpcisEventRow(*row) for row in self._connection.execute(found)]

    def entries(self, rows: Iterable[EpcisEventRow]) -> dict[tuple[bytes, int], str]:
        """The evidence entries of events, as canonical JSON, by stream and index."""
        places: dict[bytes, list[int]] = {}
        for row in rows:
            places.setdefault(row.stream, []).append(row.index)
        book = Book(self._connection)
        return {
            (stream, index): text
            for stream, indexes in places.items()
            for index, text in book.evidence_texts(stream, indexes).items()
        }


def _conditions(query: EventQuery) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    for saying in query.sayings:
        if saying.fields == ("eventID",):
            found.append(epcis_events.c.event_id.in_(saying.values))
            continue
        value = epcis_terms.c.value
        fits = or_(value.in_(saying.values), *(_fits(value, like) for like in saying.patterns))
        said = select(_SAYING.c.number).where(or_(*(and_(epcis_terms.c.field == one, fits) for one in saying.fields)))
        said = said.join(epcis_terms, _SAYING.c.number.between(epcis_terms.c.first, _LAST))
        found.append(epcis_events.c.number.in_(said))
    for span in query.spans:
        column = epcis_events.c[span.column]
        found += [column >= span.since_ms] if span.since_ms is not None else []
        found += [column < span.until_ms] if span.until_ms is not None else []
    return found


_SAYING = epcis_events.alias("saying")
_LAST = epcis_terms.c.first + epcis_terms.c.count - 1


def _fits(value: ColumnElement[str], like: Like) -> ColumnElement[bool]:
    return and_(func.substr(value, 1, len(like.start)) == like.start, value.like(like.pattern, escape="\\"))
