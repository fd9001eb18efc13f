"""Captured EPCIS events and capture jobs: their tables, and all access to them.

There is one class per table. Times are Unix times in milliseconds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select, tuple_

from millmark.ledger.store import Book, Rows, schema_of


@dataclass(slots=True)
class EpcisEventRow:
    """A captured event. Its content is the evidence entry at `index` of `stream`."""

    number: int
    """Counts captured events without gaps."""
    participant: int
    """The sender; 0 for the operator of a gateway that is open on the loopback."""
    key: str
    """Deduplication key among the events of that participant."""
    hash: str
    event_id: str
    event_time_ms: int
    record_time_ms: int
    stream: bytes
    index: int
    capture: str
    proposal: str
    """The salts and claims of the proposed records, as JSON; empty if there are none."""


@dataclass(slots=True)
class EpcisTermRow:
    """A term, by which queries find events: a field and its value, normalised as for the event hash.

    A row covers a run of consecutive events that have the term, because events of one batch share most terms."""

    field: str
    value: str
    first: int
    """Number of the first event of the run."""
    count: int
    """Length of the run."""


@dataclass(slots=True)
class EpcisCaptureRow:
    """A capture job, and the outcome of each of its events."""

    id: str
    number: int
    """Counts capture jobs without gaps."""
    participant: int
    created_ms: int
    finished_ms: int
    behaviour: str
    success: bool
    outcome: str
    """The outcome of each event, as JSON."""


_SCHEMA = schema_of("millmark.services")
epcis_events = _SCHEMA.table(
    "epcis_events",
    EpcisEventRow,
    "number",
    "participant key",
    "event_id",
    "event_time_ms number",
    "record_time_ms number",
)
epcis_terms = _SCHEMA.table("epcis_terms", EpcisTermRow, "field value first")
epcis_captures = _SCHEMA.table("epcis_captures", EpcisCaptureRow, "id", "number")


@dataclass(frozen=True, slots=True)
class Like:
    """A pattern that values must match."""

    start: str
    """Prefix of matching values, compared case-sensitively, which LIKE does not do in every database."""
    pattern: str
    """Pattern for the whole value, in LIKE syntax, with a backslash before literal % and _."""


@dataclass(frozen=True, slots=True)
class TermCondition:
    """Matches events that have one of `values`, or a value that matches one of `patterns`, in one of `fields`."""

    fields: tuple[str, ...]
    values: tuple[str, ...]
    patterns: tuple[Like, ...] = ()


@dataclass(frozen=True, slots=True)
class Span:
    """Matches events whose time is in a period, in Unix time in milliseconds; the end is excluded."""

    column: str
    """Column of the time: `event_time_ms` or `record_time_ms`."""
    since_ms: int | None = None
    until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Conditions that events must all meet, and the order of the results."""

    conditions: tuple[TermCondition, ...] = ()
    spans: tuple[Span, ...] = ()
    order: str = "event_time_ms"
    descending: bool = True


class EpcisRepository:
    """Reads and writes EPCIS events within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows = Rows(connection)

    def streams(self) -> set[bytes]:
        """The streams whose entries are events."""
        return {bytes(one) for one in self._connection.execute(select(epcis_events.c.stream).distinct()).scalars()}

    def kept(self, participant: int, keys: Collection[str]) -> set[str]:
        """The deduplication keys, out of `keys`, that events of the participant already have."""
        return self._rows.values(EpcisEventRow, "key", "key", keys, participant=participant)

    def next_numbers(self) -> tuple[int, int]:
        """Numbers of the next event and the next capture job. No other writer can get them, because writing
        transactions are serialised."""
        last, call = (self._rows.greatest(kind, "number") for kind in (EpcisEventRow, EpcisCaptureRow))
        return last + 1, call + 1

    def add(self, events: Sequence[EpcisEventRow], terms: Sequence[EpcisTermRow]) -> None:
        """Stores events, whose evidence must be in the book, with their terms, each of them once."""
        self._rows.insert(events)
        self._rows.insert(terms)

    def add_capture(self, row: EpcisCaptureRow) -> None:
        self._rows.insert([row])

    def capture(self, id_: str) -> EpcisCaptureRow | None:
        return self._rows.get(EpcisCaptureRow, id_)

    def captures(self, participant: int | None, before: int | None, limit: int) -> list[EpcisCaptureRow]:
        """Capture jobs with numbers below `before`, newest first; of one participant, or of all with None."""
        query = select(epcis_captures).order_by(epcis_captures.c.number.desc()).limit(limit)
        if participant is not None:
            query = query.where(epcis_captures.c.participant == participant)
        if before is not None:
            query = query.where(epcis_captures.c.number < before)
        return [EpcisCaptureRow(*row) for row in self._connection.execute(query)]

    def find(self, query: EventQuery, after: tuple[int, int] | None, limit: int) -> list[EpcisEventRow]:
        """Events in the order of the query, after the given (time, number)."""
        column = epcis_events.c[query.order]
        # Compared as a pair, since several events may have the same time.
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
    for condition in query.conditions:
        # Ids are a column of the events, not terms: nearly every event has another one.
        if condition.fields == ("eventID",):
            found.append(epcis_events.c.event_id.in_(condition.values))
            continue
        value = epcis_terms.c.value
        fits = or_(value.in_(condition.values), *(_fits(value, like) for like in condition.patterns))
        field = or_(*(and_(epcis_terms.c.field == one, fits) for one in condition.fields))
        matching = select(_MATCHING.c.number).where(field)
        # Terms are stored as runs of events, so the events of a term are those between the ends of its runs.
        matching = matching.join(epcis_terms, _MATCHING.c.number.between(epcis_terms.c.first, _LAST))
        found.append(epcis_events.c.number.in_(matching))
    for span in query.spans:
        column = epcis_events.c[span.column]
        found += [column >= span.since_ms] if span.since_ms is not None else []
        found += [column < span.until_ms] if span.until_ms is not None else []
    return found


_MATCHING = epcis_events.alias("matching")
_LAST = epcis_terms.c.first + epcis_terms.c.count - 1


def _fits(value: ColumnElement[str], like: Like) -> ColumnElement[bool]:
    return and_(func.substr(value, 1, len(like.start)) == like.start, value.like(like.pattern, escape="\\"))
