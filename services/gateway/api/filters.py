"""Query parameters that filter lists, and helpers that the routes of lists share."""

from __future__ import annotations

import enum
from typing import Annotated, Final, TypeAlias, TypeVar

from fastapi import Path, Query, Response

from millmark.ledger.ids import MAX_IDENTIFIER_LENGTH
from millmark.ledger.provenance import listings
from millmark.ledger.provenance.answers import Printable
from millmark.services.gateway.http.example_values import IDENTIFIER
from millmark.services.gateway.http.paging import Paging
from millmark.services.gateway.http.responses import MAX_SEQUENCE
from millmark.services.serving.requests import WholeNumber

V = TypeVar("V", bound=Printable)
_MAX_PARTICIPANT: Final = 2**32 - 1
_Filters: TypeAlias = "dict[str, int | bytes]"

ParticipantNumber = Annotated[
    WholeNumber, Path(ge=1, le=_MAX_PARTICIPANT, description="Number of a participant.", examples=[5])
]
OfOrder = Annotated[
    str | None,
    Query(pattern="^0x[0-9a-f]{64}$", description="Only those of this order (subject).", examples=["0x" + "2b" * 32]),
]
OfLot = Annotated[
    str | None,
    Query(pattern="^0x[0-9a-f]{64}$", description="Only those of this lot (subject).", examples=["0x" + "1a" * 32]),
]
OfParticipant = Annotated[
    WholeNumber | None, Query(ge=1, le=_MAX_PARTICIPANT, description="Only those of this participant.", examples=[5])
]
OfMachine = Annotated[
    WholeNumber | None, Query(ge=1, le=MAX_SEQUENCE, description="Only those of this machine (number).", examples=[17])
]
OfModel = Annotated[
    WholeNumber | None,
    Query(ge=1, le=MAX_SEQUENCE, description="Only those based on this model (number).", examples=[9]),
]
Called = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=MAX_IDENTIFIER_LENGTH,
        description="Only those with this identifier, in any spelling, or whose identifier has it as its last part, "
        "such as A0001. Use it to look up a subject.",
        examples=[IDENTIFIER],
    ),
]


def build_filters(**values: int | bytes | None) -> _Filters:
    """The filters that are set."""
    return {name: value for name, value in values.items() if value is not None}


def state_value(states: type[enum.IntEnum], word: str | None) -> int | None:
    return None if word is None else states[word.upper()].value


def parse_subject(text: str) -> bytes:
    """The 32 bytes of a parameter that its pattern has validated."""
    return bytes.fromhex(text[2:])


def reply_page(paging: Paging, page: listings.Page[V]) -> Response:
    return paging.answer(page.items, None if page.after is None else (page.after,))
