"""Parses query parameters, and returns pages of events, in the words that the standard has for its HTTP."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Final, cast
from urllib.parse import quote, urlencode

import msgspec
from fastapi import Request, Response
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException

from millmark.ledger.canonical import Json
from millmark.ledger.errors import InputError
from millmark.ledger.store import Store
from millmark.services.access import Principal
from millmark.services.gateway.http.problems import CursorError, Problem
from millmark.services.gateway.http.routes import Pager
from millmark.services.interop.epcis import event_queries
from millmark.services.interop.epcis.capture import Behaviour
from millmark.services.interop.epcis.event_queries import EventQueries, ParsedQuery, QueryError
from millmark.services.interop.epcis.repository import EpcisCaptureRow
from millmark.services.views import RecordStatus

MAX_EVENTS = 1000
MAX_BYTES = 4 << 20
_VERSION = "2.0.0"
VERSIONS = {"GS1-EPCIS-Version": _VERSION, "GS1-CBV-Version": _VERSION}
"""Headers of every response."""
DISCOVERY = {
    **VERSIONS,
    **{f"GS1-{standard}-{edge}": _VERSION for standard in ("EPCIS", "CBV") for edge in ("Min", "Max")},
    "GS1-EPC-Format": "Never_Translates",
    "GS1-Vendor-Version": f"millmark/{version('millmark')}",
}
"""Headers of the response to OPTIONS."""
CAPTURE_HEADERS = {
    "GS1-EPCIS-Capture-Limit": str(MAX_EVENTS),
    "GS1-EPCIS-Capture-File-Size-Limit": str(MAX_BYTES),
    "GS1-Capture-Error-Behaviour": "all",
}
_READ = ("application/json", "application/ld+json")
_NUMBER = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){0,2}")


def verify_media_type(headers: Headers) -> None:
    """Checks that the body is declared as JSON. Raises HTTPException 415."""
    if headers.get("content-type", "").partition(";")[0].strip().lower() not in _READ:
        raise HTTPException(415)


def verify_acceptable(headers: Headers) -> None:
    """Checks that the caller accepts an available representation. Raises HTTPException 406 if it demands another format
    or version, or translated keys."""
    kinds = [kind.partition(";")[0].strip().lower() for kind in headers.get("accept", "*/*").split(",")]
    # Weights do not matter, because there is only one format.
    if not any(kind in ("application/json", "application/ld+json", "application/*", "*/*") for kind in kinds):
        raise HTTPException(406)
    for standard in ("EPCIS", "CBV"):
        least, most = (_parse_version(headers.get(f"GS1-{standard}-{edge}")) for edge in ("Min", "Max"))
        if (least is not None and least > (2, 0, 0)) or (most is not None and most < (2, 0, 0)):
            raise HTTPException(406)
    if headers.get("GS1-EPC-Format", "No_Preference").startswith("Always_"):
        raise HTTPException(406)


def _parse_version(text: str | None) -> tuple[int, ...] | None:
    """Raises HTTPException 406 for a malformed version."""
    if text is None:
        return None
    if not _NUMBER.fullmatch(text):
        raise HTTPException(406)
    parts = [int(part) for part in text.split(".")]
    return tuple(parts + [0] * (3 - len(parts)))


def parse_behaviour(headers: Headers) -> Behaviour:
    """Reads the header GS1-Capture-Error-Behaviour. Raises InputError unless it is absent, `rollback` or `proceed`."""
    given = headers.get("GS1-Capture-Error-Behaviour", Behaviour.ROLLBACK)
    if given not in list(Behaviour):
        raise InputError("GS1-Capture-Error-Behaviour is neither rollback nor proceed", hint="use one of the two")
    return Behaviour(given)


PREFIX: Final = "/epcis/v2"
_NAMES: Final[Mapping[int, str]] = {
    400: "ValidationException",
    401: "SecurityException",
    403: "SecurityException",
    404: "NoSuchResourceException",
    406: "NotAcceptableException",
    409: "ResourceAlreadyExistsException",
    413: "CaptureLimitExceededException",
    414: "URITooLongException",
    415: "UnsupportedMediaTypeException",
    500: "ImplementationException",
    502: "ImplementationException",
    503: "ImplementationException",
}


_QUERY_PROBLEMS: Final[Mapping[str, tuple[int, str]]] = {
    QueryError.code: (400, "QueryParameterException"),
    CursorError.code: (400, "QueryParameterException"),
    event_queries.QueryTooLargeError.code: (413, "QueryTooLargeException"),
    event_queries.QueryTooComplexError.code: (413, "QueryTooComplexException"),
}
"""Status and exception type by problem code."""


def reword_problem(path: str, problem: Problem) -> Problem:
    """Returns the problem with its exception type in EPCIS 2.0 (REST bindings), if the path is an EPCIS path. A problem
    for which the standard has no type is returned unchanged."""
    if not path.startswith(f"{PREFIX}/"):
        return problem
    # EPCIS has no 422: there, malformed parameters are 400.
    status = 400 if problem.status == 422 else problem.status
    code = problem.type.rpartition(":")[2]
    if code not in _QUERY_PROBLEMS and status not in _NAMES:
        return problem
    status, name = _QUERY_PROBLEMS.get(code) or (status, _NAMES[status])
    return replace(problem, status=status, type=f"epcisException:{name}")


# Bodies of the EPCIS routes' responses: query documents and capture jobs.

SIMPLE: Final = "SimpleEventQuery"
"""The standard's predefined query, with its parameters in the URL."""
_SHOWN_MEMBERS: Final = ("kind", "state", "done", "sequence", "refusal")
"""Members of a record's status that a capture job includes."""


def query_document(events: Sequence[Json]) -> dict[str, Json]:
    """The response to a query."""
    return {
        "@context": [event_queries.CONTEXT],
        "type": "EPCISQueryDocument",
        "schemaVersion": "2.0",
        "creationDate": format_moment(int(datetime.now(UTC).timestamp() * 1000)),
        "epcisBody": {"queryResults": {"queryName": SIMPLE, "resultsBody": {"eventList": list(events)}}},
    }


def recorded_of(row: EpcisCaptureRow) -> set[int]:
    """Ids of the records that were queued for the events of a capture job."""
    if '"recorded":' not in row.outcome:  # cheaper than decoding, and true of most jobs
        return set()
    return {one["id"] for event in msgspec.json.decode(row.outcome) for one in event.get("recorded", ())}


def describe_capture(row: EpcisCaptureRow, statuses: Mapping[int, RecordStatus] | None = None) -> dict[str, Json]:
    """A capture job. The extension `events` reports on each event; `statuses` are those of its records."""
    events = msgspec.json.decode(row.outcome)
    for event in events:
        for one in event.get("recorded", ()):
            one |= _status((statuses or {}).get(one["id"]))
    errors: list[Json] = [
        {
            "type": "epcisException:ValidationException",
            "title": "The event violates the standard",
            "status": 400,
            "detail": f"{reason['pointer'] or event['event'] or 'the event'}: {reason['reason']}",
        }
        for event in events
        for reason in event.get("reasons", ())
    ]
    return {
        "captureID": row.id,
        "createdAt": format_moment(row.created_ms),
        "finishedAt": format_moment(row.finished_ms),
        "running": False,
        "success": row.success,
        "captureErrorBehaviour": row.behaviour,
        "errors": errors,
        "events": events,
    }


def _status(status: RecordStatus | None) -> dict[str, Json]:
    if status is None:
        return {}
    members = cast("dict[str, Json]", status.to_json())
    return {name: members[name] for name in _SHOWN_MEMBERS if members[name] is not None}


def format_moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


_PER_PAGE: Final = 30
_MAX_PER_PAGE: Final = 200


def number_of(principal: Principal) -> int:
    """The caller's participant number; 0 for the operator of a gateway that is open on the loopback."""
    return principal.participant or 0


def open_event_queries(store: Store, principal: Principal) -> EventQueries:
    """Queries over the events that the caller may see."""
    return EventQueries(store, number_of(principal), principal.viewer)


def find_events(request: Request, principal: Principal, queries: EventQueries) -> Response:
    """A page of events that match the URL's parameters. Raises QueryError."""
    verify_acceptable(request.headers)
    parsed = read_query(request)
    after = read_token(request, principal, parsed)
    bound = parsed.at_most or parsed.refuse_above
    if bound is None:
        page = queries.find(parsed.query, after, parsed.per_page)
        return reply_json(query_document(page.events), 200, **link_to_next(request, principal, page.last))
    if bound > _MAX_PER_PAGE:
        raise QueryError(f"the limit is more than {_MAX_PER_PAGE} events", hint="page through the events instead")
    refusing = parsed.refuse_above is not None
    # One more than allowed is read, to find out whether there are too many.
    page = queries.find(parsed.query, after, bound + refusing, whole=True)
    if refusing and len(page.events) > bound:
        raise event_queries.QueryTooLargeError(
            f"more than {bound} events match", hint="narrow the query, or page through the events"
        )
    return reply_json(query_document(page.events), 200)


def read_query(request: Request, only: set[str] | None = None) -> ParsedQuery:
    """Parses the URL's parameters. If `only` is given, those that it does not name are refused. Raises QueryError."""
    given = request.query_params.multi_items()
    for name, _ in given:
        if only is not None and name not in only:
            raise QueryError(
                f"the parameter {name[:80]!a} is not supported here", hint=f"supported: {', '.join(sorted(only))}"
            )
    return event_queries.parse_query(given, most_per_page=_MAX_PER_PAGE, per_page=_PER_PAGE)


def _scope(request: Request, principal: Principal) -> str:
    """Identifies the list, its filters and the caller. A page token is valid for this scope only."""
    filters = sorted(one for one in request.query_params.multi_items() if one[0] not in ("nextPageToken", "perPage"))
    return json.dumps([request.scope["path"], filters, principal.participant])


def read_token(request: Request, principal: Principal, parsed: ParsedQuery) -> tuple[int, int] | None:
    """The position after which the page starts; None for the first page. Raises CursorError."""
    if parsed.token is None:
        return None
    pager: Pager = request.app.state.pager
    first, second = pager.open(_scope(request, principal), parsed.token)
    return int(first), int(second)


def link_to_next(request: Request, principal: Principal, last: tuple[int, int] | None) -> dict[str, str]:
    """The Link header for the next page (RFC 8288); empty on the last one."""
    if last is None:
        return {}
    pager: Pager = request.app.state.pager
    # The link repeats the other parameters, because the token is valid only together with them.
    kept = [one for one in request.query_params.multi_items() if one[0] != "nextPageToken"]
    token = pager.seal(_scope(request, principal), last)
    target = f"{quote(request.scope['path'])}?{urlencode([*kept, ('nextPageToken', token)])}"
    return {"Link": f'<{target}>; rel="next"'}


def reply_json(value: Any, status: int, **headers: str) -> Response:
    return Response(msgspec.json.encode(value), status, {**VERSIONS, **headers}, media_type="application/json")
