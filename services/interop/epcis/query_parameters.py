"""EPCIS 2.0 SimpleEventQuery: translates URL parameters to a query of the store.

Lists are delimited by `|`. Values are normalised as for the event hash, so that every spelling of a key, step or place
finds the same events. Parameters of the standard that are not supported are refused by name, never ignored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from millmark.ledger.errors import IdentifierError, InputError
from millmark.services.interop.epcis import vocabulary as words
from millmark.services.interop.epcis.patterns import PATTERN, parse_pattern
from millmark.services.interop.epcis.repository import EventQuery, Like, Span, TermCondition
from millmark.services.interop.epcis.terms import CLASSES, THINGS, millis_of
from millmark.services.interop.epcis.tree import namespaces_of, text_of

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
EVENT_TYPES: Final = ("ObjectEvent", "AggregationEvent", "AssociationEvent", "TransactionEvent", "TransformationEvent")
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
    spans = tuple(_span(given, name, column) for name, column in _SPANS.items())
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


def _span(given: dict[str, str], name: str, column: str) -> Span:
    return Span(column, _moment(given, "GE_" + name), _moment(given, "LT_" + name))


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
        return TermCondition(("action",), _known(name, values, ("ADD", "OBSERVE", "DELETE")))
    if name == "EQ_eventID":
        return TermCondition(("eventID",), values)
    if name == "EQ_errorReason":
        reasons = (_text(one, "", "").removeprefix(words.CBV + "ER-") for one in values)
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
