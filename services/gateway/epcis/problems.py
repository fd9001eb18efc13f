"""Problems of the EPCIS routes, under the names that the standard gives to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from services.gateway.errors import CursorError
from services.gateway.problems import Problem
from services.interop.epcis.questions import QueryError

__all__ = ["PREFIX", "in_epcis_words"]

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


def in_epcis_words(problem: Problem) -> Problem:
    """With the type that EPCIS 2.0 has for it (REST bindings); one that it does not have stays as it is."""
    status = 400 if problem.status == 422 else problem.status
    if status not in _NAMES:
        return problem
    is_query = problem.type.rpartition(":")[2] in (QueryError.code, CursorError.code)
    name = "QueryParameterException" if is_query else _NAMES[status]
    return replace(problem, status=status, type=f"epcisException:{name}")
