"""What EPCIS 2.0 states about its HTTP: headers, versions, formats, limits, faulty events, and types of exceptions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException

from millmark.ledger.errors import InputError
from millmark.services.gateway.http.errors import CursorError
from millmark.services.gateway.http.problems import Problem
from millmark.services.interop.epcis.capture import Behaviour
from millmark.services.interop.epcis.event_queries import QueryError, QueryTooComplexError, QueryTooLargeError
from millmark.services.interop.epcis.named_queries import QueryNameTakenError, SubscriptionError, UnknownQueryError

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
_ACCEPTED = ("application/json", "application/ld+json", "application/*", "*/*")
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
    if not any(kind in _ACCEPTED for kind in kinds):
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
    QueryTooLargeError.code: (413, "QueryTooLargeException"),
    QueryTooComplexError.code: (413, "QueryTooComplexException"),
    UnknownQueryError.code: (404, "NoSuchNameException"),
    QueryNameTakenError.code: (409, "ResourceAlreadyExistsException"),
    SubscriptionError.code: (400, "SubscriptionControlsException"),
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
