"""Named queries (EPCIS 2.0 REST bindings, `/queries`): their definitions, and their storage per participant."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from millmark.ledger.canonical import Json, canonical_json, parse_json
from millmark.ledger.errors import CanonicalError, InputError, NotFoundError
from millmark.ledger.store import Connection, Store
from millmark.services.interop.epcis.event_queries import COUNTS, QueryError, parse_query
from millmark.services.interop.epcis.repository import EpcisQueryRow, EpcisRepository
from millmark.services.interop.epcis.tree import millis_of

NAME: Final = r"^[A-Za-z0-9._~-]{1,64}$"
_RESERVED: Final = ("SimpleEventQuery", "SimpleMasterDataQuery")
"""Names that the standard reserves."""
_MAX_QUERIES: Final = 100
"""Maximum number of queries of one participant."""
_MAX_BYTES: Final = 32 << 10
_WITHOUT: Final = ("perPage", "nextPageToken")
"""Paging parameters, which belong to a single request and not to a definition."""
_SINGLE: Final = ("GE_", "LT_", "order")
"""Prefixes of parameters whose value is a single string; the other parameters are lists."""


class UnknownQueryError(NotFoundError):
    """No query has that name."""

    code = "epcis-query-unknown"


class QueryNameTakenError(InputError):
    """A query already has that name."""

    code = "epcis-query-name-taken"


class SubscriptionError(InputError):
    """A subscription to a query is not possible as asked."""

    code = "epcis-subscription-refused"


@dataclass(frozen=True, slots=True)
class Definition:
    """A validated query with its name."""

    name: str
    query: Mapping[str, Json]
    """The query as received."""

    @property
    def parameters(self) -> list[tuple[str, str]]:
        """The parameters as they would be written in the URL of a query."""
        return [(name, _text(name, value)) for name, value in self.query.items() if name != "@context"]

    def to_json(self) -> dict[str, Json]:
        return {"name": self.name, "query": dict(self.query)}


def parse_definition(body: bytes) -> Definition:
    """Parses a definition. Raises InputError if it is malformed, QueryError if its query is not supported."""
    try:
        value = parse_json(body, max_bytes=_MAX_BYTES, max_depth=8)
    except CanonicalError as error:
        raise InputError(error.cause, hint="send JSON") from None
    if not isinstance(value, dict) or value.keys() != {"name", "query"}:
        raise InputError(
            "a definition has exactly a name and a query", hint='send {"name": "...", "query": {...}} and nothing else'
        )
    name, query = value["name"], value["query"]
    if not isinstance(name, str) or not re.fullmatch(NAME, name) or not isinstance(query, dict):
        raise InputError(
            "the name is not 1 to 64 letters, digits and ._~-, or the query is not an object", hint="see the schema"
        )
    # Canonical JSON may be longer than what was sent: it writes 1e20 as 21 digits.
    if len(canonical_json(query)) > _MAX_BYTES:
        raise InputError("the query is too long when its numbers are written out", hint="shorten its numbers")
    definition = Definition(name, query)
    # Only for its errors: a query that cannot be run is refused before it is stored.
    parse_query(definition.parameters, most_per_page=1, per_page=1)
    return definition


def _text(name: str, value: Json) -> str:
    """A parameter's value as written in a URL. Raises QueryError for a value of the wrong type."""
    if name in _WITHOUT:
        raise QueryError(f"{name} does not belong in a definition", hint="give it when you request a page")
    if name in COUNTS and type(value) is int:
        return str(value)
    if name.startswith("EXISTS_") and (value is None or value in (0, 1)):
        return "false" if value is not None and value == 0 else "true"
    if name.startswith(_SINGLE) and isinstance(value, str):
        return value
    single = name in COUNTS or name.startswith(("EXISTS_", *_SINGLE))
    texts = [one for one in value if isinstance(one, str) and "|" not in one] if isinstance(value, list) else []
    if single or not isinstance(value, list) or not texts or len(texts) < len(value):
        raise QueryError(f"the value of {name[:80]!a} has the wrong type", hint="see the schema of EPCIS queries")
    return "|".join(texts)


class NamedQueries:
    """The named queries of one participant."""

    def __init__(self, store: Store, participant: int) -> None:
        self._store, self._participant = store, participant

    def add(self, definition: Definition, now_ms: int) -> None:
        """Stores a query. Raises QueryNameTakenError, or InputError if the participant has too many."""
        with self._store.transaction() as connection:
            repository = EpcisRepository(connection)
            if definition.name in _RESERVED or repository.query(self._participant, definition.name) is not None:
                raise QueryNameTakenError(f"{definition.name} is taken", hint="use another name, or delete that query")
            # Counted inside the transaction, so that concurrent requests cannot exceed the limit.
            if len(repository.queries(self._participant, 0, _MAX_QUERIES)) == _MAX_QUERIES:
                raise InputError(f"there are already {_MAX_QUERIES} queries", hint="delete one")
            number = repository.next_query_number(self._participant)
            text = canonical_json(dict(definition.query)).decode()
            repository.add_query(EpcisQueryRow(self._participant, definition.name, number, now_ms, text))

    def get(self, name: str) -> Definition:
        """The query of that name. Raises UnknownQueryError."""
        with self._store.reading() as connection:
            return read_query_named(connection, self._participant, name)

    def find(self, after: int, limit: int) -> list[tuple[int, Definition]]:
        """Queries with numbers above `after`, in the order of creation, with their numbers."""
        with self._store.reading() as connection:
            rows = EpcisRepository(connection).queries(self._participant, after, limit)
        return [(row.number, _definition(row)) for row in rows]

    def drop(self, name: str, unsubscribe: Callable[[Connection], object] = lambda _: None) -> None:
        """Deletes the query of that name, and its subscriptions in the same transaction. Raises UnknownQueryError."""
        with self._store.transaction() as connection:
            unsubscribe(connection)
            if not EpcisRepository(connection).drop_query(self._participant, name):
                raise UnknownQueryError(f"no query is named {name[:80]!a}", hint="see the list of queries")


def read_query_named(connection: Connection, participant: int, name: str) -> Definition:
    """A participant's query of that name. Raises UnknownQueryError."""
    row = EpcisRepository(connection).query(participant, name)
    if row is None:
        raise UnknownQueryError(f"no query is named {name[:80]!a}", hint="create it, or see the list of queries")
    return _definition(row)


def _definition(row: EpcisQueryRow) -> Definition:
    value = parse_json(row.definition.encode(), max_bytes=_MAX_BYTES, max_depth=8)
    return Definition(row.name, value if isinstance(value, dict) else {})


# Schedules of EPCIS query subscriptions (EPCIS 2.0, QuerySchedule): when a query is executed, in UTC.
#
# A field lists numbers and ranges, such as `0,[15-20]`. A time matches if all fields match. A field that is left out
# matches every value, but for `second`, which is then 0: no query is executed more than once a minute.

FIELDS: Final[Mapping[str, tuple[int, int]]] = {
    "second": (0, 59),
    "minute": (0, 59),
    "hour": (0, 23),
    "dayOfMonth": (1, 31),
    "month": (1, 12),
    "dayOfWeek": (1, 7),
}
"""Least and greatest value of each field. Day 1 of the week is Monday."""
_PART: Final = re.compile(r"([0-9]{1,2})|\[([0-9]{1,2})-([0-9]{1,2})\]")
_MAX_CHARACTERS: Final = 200
_MAX_DAYS: Final = 366 * 9
"""Leap days are at most eight years apart. A schedule without a time in nine years is refused."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """The values with which each field of a time matches, ascending."""

    second: int
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]

    def next_after(self, time_ms: int) -> int | None:
        """The first time of the schedule after a time, both in milliseconds since 1970. None if there is none within
        nine years."""
        start = datetime.fromtimestamp(time_ms // 1000, UTC)
        for ahead in range(_MAX_DAYS):
            day = (start + timedelta(days=ahead)).date()
            if self._has(day) and (found := self._first(day, start)) is not None:
                return int(found.timestamp()) * 1000
        return None

    def _has(self, day: date) -> bool:
        return day.month in self.months and day.day in self.days and day.isoweekday() in self.weekdays

    def _first(self, day: date, after: datetime) -> datetime | None:
        times = (
            datetime(day.year, day.month, day.day, hour, minute, self.second, tzinfo=UTC)
            for hour in self.hours
            for minute in self.minutes
        )
        return next((one for one in times if one > after), None)


def parse_schedule(value: Json, now_ms: int) -> Schedule:
    """Parses a schedule. Raises SubscriptionError if it is malformed, too frequent, or has no time after `now_ms`."""
    if not isinstance(value, dict) or not value or not value.keys() <= FIELDS.keys():
        raise SubscriptionError(
            f"a schedule is an object with one or more of {', '.join(FIELDS)}",
            hint='send {"hour": "1", "minute": "5"} for every day at 01:05 UTC',
        )
    fields = {name: _parse_field(name, value.get(name)) for name in FIELDS}
    if len(fields["second"]) != 1:
        raise SubscriptionError(
            "the schedule is more frequent than once a minute", hint="give one second, or stream: true"
        )
    schedule = Schedule(
        fields["second"][0],
        fields["minute"],
        fields["hour"],
        *(frozenset(fields[name]) for name in ("dayOfMonth", "month", "dayOfWeek")),
    )
    if schedule.next_after(now_ms) is None:
        raise SubscriptionError(
            "no time matches the schedule in the next nine years", hint="check dayOfMonth and month"
        )
    return schedule


def _parse_field(name: str, value: Json) -> tuple[int, ...]:
    least, most = FIELDS[name]
    if value is None:
        return (0,) if name == "second" else tuple(range(least, most + 1))
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)  # the standard's own examples write both
    parts = value.split(",") if isinstance(value, str) and len(value) <= _MAX_CHARACTERS else [""]
    matches = [_PART.fullmatch(one) for one in parts]
    found: set[int] = set()
    for match in matches:
        first, last = (0, -1) if match is None else (int(match[1] or match[2]), int(match[1] or match[3]))
        if not least <= first <= last <= most:
            raise SubscriptionError(
                f"{name} {str(value)[:60]!a} is not a list of numbers and ranges from {least} to {most}",
                hint='write it like "5" or "0,[15-20]"; steps are not supported',
            )
        found.update(range(first, last + 1))
    return tuple(sorted(found))


# The body with which a client subscribes to an EPCIS query (EPCIS 2.0 REST bindings, `QuerySubscription`).

_MAX_SUBSCRIPTION_BYTES: Final = 8 << 10
_MEMBERS: Final = ("dest", "signatureToken", "stream", "schedule", "reportIfEmpty", "initialRecordTime")
_TOKEN: Final = re.compile(r"[\x21-\x7e]{16,256}")


@dataclass(frozen=True, slots=True)
class Controls:
    """When a query is executed, and what is considered."""

    schedule: Schedule | None
    """None for a stream: events are sent as soon as they are recorded."""
    report_if_empty: bool
    initial_record_ms: int | None
    """Events recorded before it are not considered; None for the time of the subscription."""
    given: Mapping[str, Json]
    """The members as received, without receiver and token."""

    def to_text(self) -> str:
        """As JSON, for `read_controls`."""
        return canonical_json(dict(self.given)).decode()


@dataclass(frozen=True, slots=True)
class Wanted:
    """A parsed body."""

    dest: str
    token: str
    """Key of the signatures; empty for deliveries that are not signed."""
    controls: Controls


def parse_subscription(body: bytes, now_ms: int) -> Wanted:
    """Parses a body. Raises SubscriptionError, and InputError if it is not JSON. Not established: that `dest` may be
    called."""
    try:
        value = parse_json(body, max_bytes=_MAX_SUBSCRIPTION_BYTES, max_depth=4)
    except CanonicalError as error:
        raise InputError(error.cause, hint="send JSON") from None
    if not isinstance(value, dict) or not value.keys() <= set(_MEMBERS):
        raise SubscriptionError(
            "a subscription is an object with no other members than " + ", ".join(_MEMBERS), hint="leave others out"
        )
    dest, token = value.get("dest"), value.get("signatureToken", "")
    if not isinstance(dest, str) or dest.lower().startswith(("ws:", "wss:")):
        raise SubscriptionError(
            "dest is not the URL of a webhook; subscriptions over WebSocket are not supported",
            hint="give the https:// URL that receives the events",
        )
    if not isinstance(token, str) or (token and not _TOKEN.fullmatch(token)):
        raise SubscriptionError(
            "signatureToken is not 16 to 256 visible ASCII characters", hint="generate a random token of 32 characters"
        )
    return Wanted(dest, token, read_controls(value, now_ms))


def read_controls(value: Mapping[str, Json], now_ms: int) -> Controls:
    """Reads the members that say when. Raises SubscriptionError."""
    stream, schedule, report = value.get("stream"), value.get("schedule"), value.get("reportIfEmpty", False)
    if (stream is not None and stream is not True) or (stream is None) == (schedule is None):
        raise SubscriptionError(
            "a subscription has either stream: true or a schedule",
            hint='send "stream": true, or a schedule such as {"minute": "5"}',
        )
    if not isinstance(report, bool) or (report and stream):
        raise SubscriptionError(
            "reportIfEmpty is not true or false, or there is no schedule",
            hint="leave it out, or give a schedule: a stream reports when there is an event",
        )
    initial = _moment(value.get("initialRecordTime"))
    if initial is not None and initial > now_ms:
        raise SubscriptionError("initialRecordTime is in the future", hint="leave it out to start now")
    given = {name: one for name, one in value.items() if name not in ("dest", "signatureToken")}
    return Controls(None if schedule is None else parse_schedule(schedule, now_ms), report, initial, given)


def verify_subscribable(definition: Definition) -> None:
    """Checks that a query can be subscribed to. Raises SubscriptionError if it limits or orders its results."""
    limits = [name for name in COUNTS if name in definition.query]
    ordered = (definition.query.get("orderBy", "recordTime"), definition.query.get("orderDirection", "ASC"))
    if limits or ordered != ("recordTime", "ASC"):
        raise SubscriptionError(
            f"{definition.name} limits its results or orders them in another way than by recordTime ascending",
            hint="subscribe to a query without eventCountLimit, maxEventCount, orderBy and orderDirection",
        )


def _moment(value: Json) -> int | None:
    if value is None:
        return None
    try:
        if not isinstance(value, str) or len(value) > 40 or "T" not in value.upper():
            raise ValueError
        return millis_of(value)
    except (ValueError, TypeError):
        raise SubscriptionError(
            "initialRecordTime is not a time with an offset", hint="write it like 2026-03-02T09:30:00Z"
        ) from None
