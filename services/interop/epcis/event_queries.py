"""Queries over captured events, restricted to those that the caller may see.

The company that runs the gateway sees all events. Another participant sees those that it sent, and those of which every
named thing, including lots with a quantity, is a lot visible to it (millmark.ledger.provenance.permissions). An event
that also names something else is hidden, because showing it would disclose that identifier.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, cast

from millmark.ledger.canonical import Json
from millmark.ledger.errors import IdentifierError, InputError, NotFoundError
from millmark.ledger.ids import canonical_identifier, link_uri, parse_epc
from millmark.ledger.provenance.reader import Named
from millmark.ledger.store import Lineage, Rows, Store
from millmark.services.interop.epcis.documents import Event
from millmark.services.interop.epcis.repository import (
    EpcisCaptureRow,
    EpcisEventRow,
    EpcisRepository,
    EventQuery,
    Like,
    Span,
    TermCondition,
)
from millmark.services.interop.epcis.schema import ACTIONS, EVENT_TYPES
from millmark.services.interop.epcis.tree import CBV, CLASSES, THINGS, millis_of, namespaces_of, text_of

# EPC patterns (`urn:epc:idpat:...`, GS1 EPC Tag Data Standard 2.0): all things of one kind, or of one company.
#
# Wildcards are allowed from the right: the serial number, then the kind of thing (of a piece, first the number of
# pieces and the piece), then the company. Keys are stored as Digital Links, so a pattern is translated to an SQL LIKE
# pattern over these: `_` for each unknown digit, `%` for an unknown serial number.

PATTERN: Final = "urn:epc:idpat:"
_OPEN: Final = "*"
_PREFIX: Final = re.compile(r"[0-9]{6,12}")


@dataclass(frozen=True, slots=True)
class _Scheme:
    """How the keys of an EPC scheme are written as Digital Links."""

    ai: str
    digits: int
    """Number of digits of company prefix, reference and check digit; 0 if the reference is alphanumeric, without a
    check digit."""
    serial: str | None = None
    """Text between key and serial number; None for a scheme without serial numbers."""
    lead: str = ""
    indicator: bool = False
    """Whether the reference's first digit precedes the company prefix."""
    serial_optional: bool = False
    pieces: bool = False
    """Whether the piece and the number of pieces, two digits each, follow the check digit."""

    @property
    def fields(self) -> int:
        return (2 if self.serial is None else 3) + (2 if self.pieces else 0)


_SCHEMES: Final[Mapping[str, _Scheme]] = {
    "sgtin": _Scheme("01", 14, "/21/", indicator=True),
    "upui": _Scheme("01", 14, "/235/", indicator=True),
    "sscc": _Scheme("00", 18, indicator=True),
    "sgln": _Scheme("414", 13, "", serial_optional=True),
    "pgln": _Scheme("417", 13),
    "grai": _Scheme("8003", 13, "", lead="0"),
    "gdti": _Scheme("253", 13, ""),
    "sgcn": _Scheme("255", 13, ""),
    "giai": _Scheme("8004", 0),
    "ginc": _Scheme("401", 0),
    "gsin": _Scheme("402", 17),
    "gsrn": _Scheme("8018", 18),
    "gsrnp": _Scheme("8017", 18),
    "cpi": _Scheme("8010", 0, "/8011/"),
    "itip": _Scheme("8006", 14, "/21/", indicator=True, pieces=True),
}
SCHEMES: Final = tuple(_SCHEMES)
"""Schemes that patterns may use."""


def parse_pattern(text: str, *, kinds: bool) -> Like:
    """The LIKE pattern of an EPC pattern; with `kinds`, for keys of kinds of things, without serial numbers.

    Raises IdentifierError for a malformed pattern or an unsupported scheme."""
    name, _, body = text.removeprefix(PATTERN).partition(":")
    scheme, parts = _SCHEMES.get(name), body.split(".")
    if scheme is None:
        raise IdentifierError(f"patterns of {name[:20]!a} are not supported", hint=f"use one of {', '.join(SCHEMES)}")
    closed = parts.index(_OPEN) if _OPEN in parts else len(parts)
    if len(parts) != scheme.fields or closed == len(parts) or set(parts[closed:]) != {_OPEN}:
        raise IdentifierError(
            f"a pattern of {name} has {scheme.fields} fields, the last of which are *",
            hint=f"write it like {PATTERN}{name}:9506000.{'.'.join('*' * (scheme.fields - 1))}",
        )
    key = _digits(scheme, name, parts[:closed]) if scheme.digits else _letters(scheme, parts[:closed])
    start = link_uri([(scheme.ai, "")])
    return Like(start, f"{_escape(start)}{key}{'' if kinds else _serial(scheme)}")


def _escape(text: str) -> str:
    """Escapes text so that LIKE matches it literally."""
    return re.sub(r"([\\%_])", r"\\\1", text)


def _serial(scheme: _Scheme) -> str:
    if scheme.serial is None:
        return ""
    return "%" if scheme.serial_optional else scheme.serial + "_%"


def _digits(scheme: _Scheme, name: str, closed: Sequence[str]) -> str:
    width = len(scheme.lead) + scheme.digits + (4 if scheme.pieces else 0)
    if not closed:
        known = scheme.lead
    elif len(closed) == 1:
        known = scheme.lead + ("_" if scheme.indicator else "") + _company(closed[0])
    else:
        # With any serial number and pieces the fields make a complete EPC, whose key has the right check digit.
        pieces = ["01", "99"][len(closed) - 2 :] if scheme.pieces else []
        [(_, value), *_] = parse_epc(f"urn:epc:id:{name}:{'.'.join([*closed, *pieces, '0'])}").elements
        known = value[: len(scheme.lead) + scheme.digits + 2 * (len(closed) - 2)]
    return known.ljust(width, "_")


def _letters(scheme: _Scheme, closed: Sequence[str]) -> str:
    if len(closed) < 2:
        return (_company(closed[0]) if closed else "") + "_%"
    [(_, value), *_] = parse_epc(f"urn:epc:id:cpi:{'.'.join(closed)}.0").elements
    return _escape(link_uri([(scheme.ai, value)]).removeprefix(link_uri([(scheme.ai, "")])))


def _company(prefix: str) -> str:
    if not _PREFIX.fullmatch(prefix):
        raise IdentifierError(f"{prefix[:20]!a} is not a company prefix of 6 to 12 digits")
    return prefix


# EPCIS 2.0 SimpleEventQuery: translates URL parameters to a query of the store.
#
# Lists are delimited by `|`. Values are normalised as for the event hash, so that every spelling of a key, step or
# place finds the same events. Parameters of the standard that are not supported are refused by name, never ignored.

MAX_CHARACTERS = 4096
"""Maximum length of one parameter's value."""
_MAX_VALUES: Final = 100
_MAX_PATTERNS: Final = 4
"""Maximum number of patterns in one query: each scans all values of its field."""
_MATCHES: Final[Mapping[str, tuple[str, ...]]] = {
    "MATCH_epc": ("epc",),
    "MATCH_parentID": ("parentID",),
    "MATCH_inputEPC": ("inputEPC",),
    "MATCH_outputEPC": ("outputEPC",),
    "MATCH_anyEPC": THINGS,
    "MATCH_epcClass": ("epcClass",),
    "MATCH_inputEPCClass": ("inputEPCClass",),
    "MATCH_outputEPCClass": ("outputEPCClass",),
    "MATCH_anyEPCClass": CLASSES,
}
_EQUALS: Final[Mapping[str, tuple[str, str]]] = {
    "EQ_bizStep": ("bizStep", "bizStep"),
    "EQ_disposition": ("disposition", "disposition"),
    "EQ_persistentDisposition_set": ("persistentDisposition_set", "set"),
    "EQ_persistentDisposition_unset": ("persistentDisposition_unset", "unset"),
    "EQ_readPoint": ("readPoint", "id"),
    "EQ_bizLocation": ("bizLocation", "id"),
    "EQ_transformationID": ("transformationID", "transformationID"),
    "EQ_correctiveEventID": ("errorDeclaration_correctiveEventIDs", "correctiveEventIDs"),
}
"""For each parameter, the field of the terms, and the field of events by whose rules its values are normalised."""
_LINKED: Final = ("bizTransaction", "source", "destination")
"""Fields of the parameters `EQ_bizTransaction_TYPE` and so on, whose names contain the type."""
_SPANS: Final = {"eventTime": "event_time_ms", "recordTime": "record_time_ms"}
_NAMESPACES: Final = namespaces_of(None)
_PLAIN: Final = ("eventType", "EQ_action", "EQ_eventID", "EQ_errorReason", "EXISTS_errorDeclaration")
COUNTS: Final = ("eventCountLimit", "maxEventCount")
_PAGING: Final = ("orderBy", "orderDirection", *COUNTS, "perPage", "nextPageToken")
PARAMETERS: Final = (
    *_PLAIN,
    *(f"{edge}_{name}" for name in _SPANS for edge in ("GE", "LT")),
    *_EQUALS,
    *(f"EQ_{name}_TYPE" for name in _LINKED),
    *_MATCHES,
    *_PAGING,
)
"""All supported parameters."""


class QueryError(InputError):
    """A query parameter is not supported, or its value is malformed."""

    code = "epcis-query-refused"


class QueryTooLargeError(QueryError):
    """More events match than the caller's `maxEventCount`."""

    code = "epcis-query-too-large"


class QueryTooComplexError(QueryError):
    """The query would have to examine too many events."""

    code = "epcis-query-too-complex"


@dataclass(frozen=True, slots=True)
class ParsedQuery:
    """A validated query, with its limits and paging."""

    query: EventQuery
    at_most: int | None
    """`eventCountLimit`: number of events after which the results end."""
    refuse_above: int | None
    """`maxEventCount`: number of matching events above which the query fails."""
    per_page: int
    token: str | None
    """`nextPageToken`, not validated here."""


def parse_query(parameters: Iterable[tuple[str, str]], *, most_per_page: int, per_page: int) -> ParsedQuery:
    """Parses the parameters of a query. Raises QueryError, naming the first wrong parameter."""
    given: dict[str, str] = {}
    for name, value in parameters:
        if name in given:
            raise QueryError(f"{name[:80]} occurs twice", hint="separate several values by |")
        # PostgreSQL refuses a text with a zero character, so no stored value has one.
        if "\0" in value or not 0 < len(value) <= MAX_CHARACTERS:
            raise QueryError(f"{name[:80]} must have 1 to {MAX_CHARACTERS} characters", hint="split the query")
        given[name] = value
    # Ordering, limits, paging and times are taken out; what is left are conditions on terms.
    ordered = _order(given)
    at_most, refuse_above = (_count(given, name) for name in COUNTS)
    if at_most is not None and refuse_above is not None:
        raise QueryError("eventCountLimit and maxEventCount exclude each other", hint="give one of them")
    wanted = _count(given, "perPage") or per_page
    token = given.pop("nextPageToken", None)
    spans = tuple(
        Span(column, _moment(given, f"GE_{name}"), _moment(given, f"LT_{name}")) for name, column in _SPANS.items()
    )
    if given.get("EXISTS_errorDeclaration") == "false":
        del given["EXISTS_errorDeclaration"]  # only `true` has a meaning in the standard
    conditions = tuple(_condition(name, value) for name, value in sorted(given.items()))
    if sum(len(one.patterns) for one in conditions) > _MAX_PATTERNS:
        raise QueryTooComplexError(f"a query may have at most {_MAX_PATTERNS} patterns", hint="split the query")
    query = EventQuery(conditions, tuple(one for one in spans if one != Span(one.column)), *ordered)
    return ParsedQuery(query, at_most, refuse_above, min(wanted, most_per_page), token)


def _order(given: dict[str, str]) -> tuple[str, bool]:
    """Column to sort by, and whether in descending order, which is the standard's default."""
    order, way = given.pop("orderBy", "eventTime"), given.pop("orderDirection", "DESC")
    if order not in _SPANS:
        raise QueryError(f"orderBy {order[:80]!a} is not supported", hint="give eventTime or recordTime")
    if way not in ("ASC", "DESC"):
        raise QueryError(f"orderDirection {way[:80]!a} is neither ASC nor DESC")
    return _SPANS[order], way == "DESC"


def _count(given: dict[str, str], name: str) -> int | None:
    text = given.pop(name, None)
    if text is None:
        return None
    # Cut before conversion, because int() takes quadratic time.
    if not (text.isascii() and text.isdigit()) or not 0 < int(text[:10]) < 10**9:
        raise QueryError(f"{name} is not a number of events", hint="give a whole number of at least 1")
    return int(text)


def _moment(given: dict[str, str], name: str) -> int | None:
    text = given.pop(name, None)
    if text is None:
        return None
    try:
        if "T" not in text.upper():
            raise ValueError
        return millis_of(text.replace(" ", "+"))  # a plus sign that the caller did not encode
    except (ValueError, TypeError):
        raise QueryError(f"{name} is not a time with an offset", hint="write it like 2026-03-02T09:30:00Z") from None


def _condition(name: str, value: str) -> TermCondition:
    values = tuple(value.split("|"))
    if len(values) > _MAX_VALUES or not all(values):
        raise QueryError(f"{name[:80]} has an empty value or more than {_MAX_VALUES} values")
    if name in _MATCHES:
        patterns = tuple(_pattern(name, one) for one in values if _is_pattern(one))
        return TermCondition(
            _MATCHES[name], tuple(_matched(name, one) for one in values if not _is_pattern(one)), patterns
        )
    if name in _EQUALS:
        field, read_as = _EQUALS[name]
        return TermCondition((field,), tuple(_text(one, "", read_as) for one in values))
    for linked in _LINKED:
        if name.startswith(f"EQ_{linked}_"):
            kind = _text(name.removeprefix(f"EQ_{linked}_"), linked, "type")
            return TermCondition((f"{linked}_{kind}",), tuple(_text(one, linked, linked) for one in values))
    return _plain(name, values)


def _plain(name: str, values: tuple[str, ...]) -> TermCondition:
    if name == "eventType":
        return TermCondition(("type",), _known(name, values, EVENT_TYPES))
    if name == "EQ_action":
        return TermCondition(("action",), _known(name, values, ACTIONS))
    if name == "EQ_eventID":
        return TermCondition(("eventID",), values)
    if name == "EQ_errorReason":
        reasons = (_text(one, "", "").removeprefix(CBV + "ER-") for one in values)
        return TermCondition(("errorDeclaration_reason",), tuple(reasons))
    if name == "EXISTS_errorDeclaration":
        return TermCondition(("errorDeclaration",), _known(name, values, ("true",)))
    raise QueryError(f"the parameter {name[:80]!a} is not supported", hint=f"use one of {', '.join(PARAMETERS)}")


def _known(name: str, values: tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if value not in known:
            raise QueryError(f"{name} {value[:80]!a} is not one of {', '.join(known)}")
    return values


def _is_pattern(value: str) -> bool:
    return value.startswith(PATTERN)


def _pattern(name: str, value: str) -> Like:
    try:
        return parse_pattern(value, kinds=set(_MATCHES[name]) <= set(CLASSES))
    except IdentifierError as error:
        raise QueryError(f"{name} {value[:80]!a}: {error.cause}", hint=error.hint) from None


def _matched(name: str, value: str) -> str:
    if ":" not in value:
        raise QueryError(f"{name} {value[:80]!a} is not a URI")
    return _text(value, "", "epc")


def _text(value: str, owner: str, name: str) -> str:
    return text_of(value, owner=owner, name=name, namespaces=_NAMESPACES)


CONTEXT: Final = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"
_MAX_SCANNED: Final = 1_000
"""Maximum number of events examined for one page, for callers that may not see all."""
_AT_ONCE: Final = 500
_NAMING: Final = frozenset((*THINGS, *CLASSES))


@dataclass(frozen=True, slots=True)
class Page:
    """One page of events in the order of the query."""

    events: list[Json]
    last: tuple[int, int] | None
    """Time and number after which the next page starts; None if there is no next page."""


class EventQueries:
    """Reads the events in a store for one caller, `participant`. `viewer` is None if the caller may see everything."""

    def __init__(self, store: Store, participant: int, viewer: int | None) -> None:
        self._store, self._participant, self._viewer = store, participant, viewer

    def find(self, query: EventQuery, after: tuple[int, int] | None, limit: int, *, whole: bool = False) -> Page:
        """One page of at most `limit` visible events after the given position.

        The number of events examined for a page is bounded, so a page may be short or even empty although more events
        follow. With `whole`, QueryTooComplexError is raised in that case."""
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

    def event(self, event_id: str) -> Json:
        """The last captured event with that id; for a corrected event, that is the error declaration.

        Raises NotFoundError if no event with that id is visible to the caller."""
        page = self.find(
            EventQuery((TermCondition(("eventID",), (event_id,)),), order="record_time_ms"), None, 1, whole=True
        )
        if not page.events:
            raise NotFoundError("no event has that id", hint="look it up in its capture job, or ask its sender")
        return page.events[0]

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
    own = {prefix: space for prefix, space in kept["namespaces"].items() if _NAMESPACES.get(prefix) != space}
    record_time = datetime.fromtimestamp(row.record_time_ms / 1000, UTC).isoformat(timespec="milliseconds")
    context: list[Json] = [CONTEXT, own] if own else [CONTEXT]
    return {"@context": context, **event, "eventID": row.event_id, "recordTime": record_time.replace("+00:00", "Z")}
