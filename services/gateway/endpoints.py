"""The routes: parameters in, views out. What they say is the service's, how failures look is the error handler's."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import unquote

from fastapi import APIRouter, Header, Path, Query, Request, Response

from ledger.ids import MAX_IDENTIFIER_LENGTH
from ledger.provenance import Certificate, Direction, Limits, OrderTrace, Recall, Trace
from ledger.provenance.jsonform import Printable
from services.gateway import examples
from services.gateway.guard import Asking
from services.gateway.problems import Problem
from services.gateway.schemas import model_of
from services.gateway.service import Service
from services.gateway.status import GatewayStatus, Health

__all__ = ["answer", "build_router", "names"]

_TRACE = "/v1/trace/"
_MOST_SEQUENCE = 2**40 - 1
"""`uint40` in the contracts."""
_TRACED = Limits()
_MOST = Limits(depth=256, lots=10_000)
_RECALL = Limits(depth=256, lots=100_000)
"""A recall that leaves something out is worse than a slow one."""

Identifier = Annotated[
    str,
    Path(
        min_length=1,
        max_length=MAX_IDENTIFIER_LENGTH,
        description="Identifier of a lot or an order in any spelling (GS1 Digital Link, EPC URN, did, urn), or its "
        "subject as 0x and 64 hex digits. Percent-encode all of it; or append it as it is written, slashes and "
        "all: where the colon of its scheme stands unencoded, nothing in it is decoded.",
        examples=[examples.IDENTIFIER, "urn:epc:id:sgtin:9506000.001345.A0001"],
    ),
]
Sequence = Annotated[
    int, Path(alias="id", ge=1, le=_MOST_SEQUENCE, description="Sequence of the issuing record.", examples=[412])
]
ModelNumber = Annotated[
    int | None, Query(ge=1, le=_MOST_SEQUENCE, description="Number of a quality model.", examples=[9])
]
LotName = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=MAX_IDENTIFIER_LENGTH,
        description="Identifier or subject of a lot.",
        examples=[examples.IDENTIFIER],
    ),
]
MachineName = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=MAX_IDENTIFIER_LENGTH,
        description="Number (as on chain), identifier or subject of a machine.",
        examples=["17"],
    ),
]
Moment = Annotated[datetime | None, Query(description="RFC 3339, with a time zone.", examples=["2026-03-02T09:30:00Z"])]
Way = Annotated[
    Direction, Query(description="`up`: what it was made from. `down`: what was made of it.", examples=["up"])
]
Depth = Annotated[int, Query(ge=1, le=_MOST.depth, description="Most steps from what is asked about.", examples=[8])]
Lots = Annotated[int, Query(ge=1, le=_MOST.lots, description="Most lots in one list, nearest first.", examples=[100])]
RecalledLots = Annotated[int, Query(ge=1, le=_RECALL.lots, description="Most lots, nearest first.", examples=[1000])]
KnownTags = Annotated[
    str | None,
    Header(alias="If-None-Match", description="ETag of an answer that is at hand.", examples=[examples.ETAG]),
]

_PROBLEM: dict[str, Any] = {"model": model_of(Problem)}
_CHECKED: dict[int | str, dict[str, Any]] = {422: _PROBLEM, "default": _PROBLEM}
_LOOKED_UP = {404: _PROBLEM, **_CHECKED}
_NAMED = {400: _PROBLEM, **_LOOKED_UP}


def build_router(service: Service) -> APIRouter:
    """All routes of the API over one service."""
    router = APIRouter()
    _add_provenance(router, service)
    _add_state(router, service)
    return router


def _add_provenance(router: APIRouter, service: Service) -> None:
    @router.get(
        _TRACE + "{identifier:path}",
        operation_id="traceLotOrOrder",
        summary="Trace a lot or an order",
        response_model=model_of(Trace) | model_of(OrderTrace),
        responses=_NAMED,
        tags=["provenance"],
    )
    def trace(
        request: Request,
        principal: Asking,
        identifier: Identifier,
        direction: Way = Direction.BOTH,
        depth: Depth = _TRACED.depth,
        lots: Lots = _TRACED.lots,
        known: KnownTags = None,
    ) -> Response:
        """Where a lot comes from, who made and inspected it, who has it, what became of it; or how far an order is.

        Whatever lies beyond the limits is left out, and `cuts` says so."""
        name, limits = _as_written(request, identifier), Limits(depth, lots)
        return answer(service.trace(name, direction, limits, principal.viewer), known)

    @router.get(
        "/v1/certificates/{id}",
        operation_id="getCertificate",
        summary="A certificate and whether it counts",
        response_model=model_of(Certificate),
        responses=_LOOKED_UP,
        tags=["provenance"],
    )
    def certificate(principal: Asking, sequence: Sequence, known: KnownTags = None) -> Response:
        """A verdict on a lot, and whether it is valid, expired, revoked or fallen with its model."""
        return answer(service.certificate(sequence, principal.viewer), known)

    @router.get(
        "/v1/recall",
        operation_id="recall",
        summary="What a bad model, a bad lot or a bad machine reached",
        response_model=model_of(Recall),
        responses=_NAMED,
        tags=["provenance"],
    )
    def recall(
        principal: Asking,
        model: ModelNumber = None,
        lot: LotName = None,
        machine: MachineName = None,
        since: Moment = None,
        until: Moment = None,
        depth: Depth = _RECALL.depth,
        lots: RecalledLots = _RECALL.lots,
        known: KnownTags = None,
    ) -> Response:
        """Everything that a model certified; a lot with what is packed in it; or what a machine made and measured from
        `since` to `until`. All that was made of that, for which orders, and who has it. Give one of `model`, `lot` and
        `machine`."""
        limits = Limits(depth, lots)
        found = service.recall(
            model=model, lot=lot, machine=machine, since=since, until=until, limits=limits, viewer=principal.viewer
        )
        return answer(found, known)


def _add_state(router: APIRouter, service: Service) -> None:
    @router.get(
        "/v1/status",
        operation_id="getStatus",
        summary="How far index, chain and outbox are",
        response_model=model_of(GatewayStatus),
        responses={"default": _PROBLEM},
        tags=["state"],
    )
    def status() -> Response:
        """The chain is shown as the follower last saw it; this request asks nothing of its node."""
        return _json(service.status())

    @router.get(
        "/health",
        operation_id="getHealth",
        summary="Whether the process answers",
        response_model=model_of(Health),
        responses={"default": _PROBLEM},
        tags=["state"],
    )
    async def health() -> Response:
        """For whoever restarts processes: nothing is read, so a busy database does not look like a dead process."""
        return _json(Health("ok"))


def _as_written(request: Request, decoded: str) -> str:
    """The identifier as it was meant. In a Digital Link `%2F` and `/` are different things, so an identifier that was
    appended as it is written must not be decoded, and one that was encoded as a whole must be, once."""
    raw: bytes = request.scope.get("raw_path") or b""
    written = raw.partition(_TRACE.encode())[2].decode("ascii", "replace")
    return written if unquote(written) == decoded and ":" in written else decoded


def answer(view: Printable, known: str | None) -> Response:
    """With a tag over the whole answer: names from the private book are part of it, so the index's digest is too
    little. Caches may keep it, and have to ask each time."""
    given = _json(view)
    tag = f'"{hashlib.sha256(bytes(given.body)).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if known is not None and names(known, tag):
        return Response(status_code=304, headers=headers)
    given.headers.update(headers)
    return given


def names(known: str, tag: str) -> bool:
    """RFC 9110, section 13.1.2: weak comparison, or any."""
    return known.strip() == "*" or tag in [one.strip().removeprefix("W/") for one in known.split(",")]


def _json(view: Printable) -> Response:
    return Response(json.dumps(view.to_json(), separators=(",", ":")), media_type="application/json")
