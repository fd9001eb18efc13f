"""Why a request is refused that no route sees, in words."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, NamedTuple


class Refusal(NamedTuple):
    """What a problem (RFC 9457) says, but for its status."""

    code: str
    title: str
    detail: str
    hint: str


URI_TOO_LONG: Final = Refusal(
    "uri-too-long", "The URI is too long", "path and query together are too long", "request fewer things"
)
REFUSALS: Final[Mapping[HTTPStatus, Refusal]] = {
    HTTPStatus.BAD_REQUEST: Refusal(
        "not-http",
        "It is not an HTTP request",
        "this server reads requests as RFC 9112 has them, and nothing that a proxy may read otherwise",
        "send it with an HTTP library",
    ),
    HTTPStatus.REQUEST_URI_TOO_LONG: URI_TOO_LONG,
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: Refusal(
        "head-too-long",
        "The header fields are too long",
        "the head of the request is too long",
        "send fewer or shorter header fields",
    ),
}
"""Those of what cannot be read."""
