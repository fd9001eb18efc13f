"""Problems of the EPCIS routes, with the exception types of the standard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from services.gateway.http.errors import CursorError
from services.gateway.http.problems import Problem
from services.interop.epcis.named_queries import QueryNameTakenError, SubscriptionError, UnknownQueryError
from services.interop.epcis.query_parameters import QueryError, QueryTooComplexError, QueryTooLargeError

__all__ = ["PREFIX", "reword_problem"]

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
