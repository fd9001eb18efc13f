"""The routes: parameters in, views out. What they say is the service's, how failures look is the error handler's."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from urllib.parse import unquote

from fastapi import APIRouter, Path, Query, Request, Response

from ledger.ids import MAX_IDENTIFIER_LENGTH
from ledger.provenance import Certificate, Direction, Limits, OrderTrace, Recall, Trace
from services.gateway.api.provenance_service import Service
from services.gateway.api.schemas import model_of
from services.gateway.api.status import GatewayStatus, Health
from services.gateway.docs.example_values import IDENTIFIER
from services.gateway.http.authentication import Asking
from services.gateway.http.responses import MOST_SEQUENCE, NAMED, PROBLEM, KnownTags, Number, reply, tag, tagged
from services.gateway.http.routes import Routes

__all__ = ["build_router"]

_TRACE = "/v1/trace/"
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
        examples=[IDENTIFIER, "urn:epc:id:sgtin:9506000.001345.A0001"],
    ),
]
ModelNumber = Annotated[
    int | None, Query(ge=1, le=MOST_SEQUENCE, description="Number of a quality model.", examples=[9])
]
LotName = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=MAX_IDENTIFIER_LENGTH,
        description="Identifier or subject of a lot.",
        examples=[IDENTIFIER],
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


def build_router(service: Service) -> APIRouter:
    """All routes of the API over one service."""
    router = APIRouter()
    _add_provenance(router, service)
    _add_state(router, service)
    return router


def _add_provenance(router: APIRouter, service: Service) -> None:
    routes = Routes(router, "provenance", NAMED)

    @routes.get(
        _TRACE + "{identifier:path}",
        "traceLotOrOrder",
        "Trace a lot or an order",
        response_model=model_of(Trace) | model_of(OrderTrace),
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
        found = service.trace(name, direction, limits, principal.viewer)
        return tag(Response(found, media_type="application/json"), known)

    @routes.one("/v1/certificates/{id}", "getCertificate", "A certificate and whether it counts", Certificate)
    def certificate(principal: Asking, sequence: Number, known: KnownTags = None) -> Response:
        """A verdict on a lot, and whether it is valid, expired, revoked or fallen with its model."""
        return tagged(service.certificate(sequence, principal.viewer), known)

    @routes.get("/v1/recall", "recall", "What a bad model, a bad lot or a bad machine reached", Recall)
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
        return tagged(found, known)


def _add_state(router: APIRouter, service: Service) -> None:
    routes = Routes(router, "state", {"default": PROBLEM})

    @routes.get("/v1/status", "getStatus", "How far index, chain and outbox are", GatewayStatus)
    def status() -> Response:
        """The chain is shown as the follower last saw it; this request asks nothing of its node."""
        return reply(service.status())

    @routes.get("/health", "getHealth", "Whether the process answers", Health)
    async def health() -> Response:
        """For whoever restarts processes: nothing is read, so a busy database does not look like a dead process."""
        return reply(Health("ok"))


def _as_written(request: Request, decoded: str) -> str:
    """The identifier as it was meant. In a Digital Link `%2F` and `/` are different things, so an identifier that was
    appended as it is written must not be decoded, and one that was encoded as a whole must be, once."""
    raw: bytes = request.scope.get("raw_path") or b""
    written = raw.partition(_TRACE.encode())[2].decode("ascii", "replace")
    return written if unquote(written) == decoded and ":" in written else decoded
