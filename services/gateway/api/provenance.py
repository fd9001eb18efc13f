"""Routes of traces, certificates and recalls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Annotated
from urllib.parse import unquote

from fastapi import Path, Query, Request, Response

from millmark.ledger import provenance
from millmark.ledger.ids import MAX_IDENTIFIER_LENGTH
from millmark.ledger.provenance import (
    MAX_RECALLED,
    MAX_TRACED,
    Certificate,
    Direction,
    Limits,
    OrderTrace,
    Recall,
    Trace,
)
from millmark.ledger.provenance.answers import Holder, RecallCounts
from millmark.ledger.records import CertificateStatus, ModelState
from millmark.ledger.store import Store
from millmark.services.access import EXAMINERS, Scope
from millmark.services.access.rules import Rule
from millmark.services.cache import StateCache
from millmark.services.gateway.http import example_values as examples
from millmark.services.gateway.http.authentication import CurrentPrincipal
from millmark.services.gateway.http.example_values import IDENTIFIER
from millmark.services.gateway.http.responses import (
    MAX_SEQUENCE,
    PROBLEMS_400_404,
    IfNoneMatch,
    Number,
    reply_with_etag,
    with_etag,
)
from millmark.services.gateway.http.route_table import RouteTable
from millmark.services.gateway.http.routes import Routes
from millmark.services.serving.requests import WholeNumber

_TRACE = "/v1/trace/"
_DEFAULT = Limits()
_CACHED_BYTES = 32 * 1024 * 1024

Identifier = Annotated[
    str,
    Path(
        min_length=1,
        max_length=MAX_IDENTIFIER_LENGTH,
        description="Identifier of a lot or an order in any spelling (GS1 Digital Link, EPC URN, did, urn), or its "
        "subject as 0x and 64 hex digits. Either percent-encode all of it, or append it unencoded, including its "
        "slashes: if the colon after its scheme is unencoded, nothing in it is decoded.",
        examples=[IDENTIFIER, "urn:epc:id:sgtin:9506000.001345.A0001"],
    ),
]
ModelNumber = Annotated[
    WholeNumber | None, Query(ge=1, le=MAX_SEQUENCE, description="Number of a quality model.", examples=[9])
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
        description="Number, identifier or subject of a machine.",
        examples=["17"],
    ),
]
Moment = Annotated[datetime | None, Query(description="RFC 3339, with a time zone.", examples=["2026-03-02T09:30:00Z"])]
Way = Annotated[
    Direction,
    Query(description="`up`: what the lot was made from. `down`: what was made from it.", examples=["up"]),
]
Depth = Annotated[
    WholeNumber, Query(ge=1, le=MAX_TRACED.depth, description="Maximum number of steps from the start.", examples=[8])
]
Lots = Annotated[
    WholeNumber,
    Query(ge=1, le=MAX_TRACED.lots, description="Maximum number of lots per list, nearest first.", examples=[100]),
]
RecalledLots = Annotated[
    WholeNumber,
    Query(ge=1, le=MAX_RECALLED.lots, description="Maximum number of lots, nearest first.", examples=[1000]),
]


class CachedTraces:
    """Traces as JSON, cached while index and names stay the same: the same part is often requested repeatedly."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._cache = StateCache(_CACHED_BYTES)

    def trace(self, name: str, direction: Direction, limits: Limits, viewer: int | None) -> bytes:
        """The viewer is part of the cache key, so a response for one company is never returned to another."""
        provenance.verify_name(name)
        with provenance.open_reader(self._store, viewer) as reader:
            return self._cache.get_or_compute(
                reader.state(),
                (name, direction, limits, viewer),
                lambda: provenance.build_trace(reader, name, direction, limits).encode(),
            )


def add_provenance(table: RouteTable, store: Store) -> None:
    routes = Routes(table, "provenance", PROBLEMS_400_404)
    _add_trace(routes, CachedTraces(store))
    _add_certificate(routes, store)
    _add_recall(routes, store)


def _add_trace(routes: Routes, traces: CachedTraces) -> None:
    @routes.get(
        _TRACE + "{identifier:path}",
        "traceLotOrOrder",
        "Trace a lot or an order",
        Trace | OrderTrace,
        rule=Rule(Scope.PROVENANCE, limits=(_DEFAULT.depth, _DEFAULT.lots)),
        examples={"lot": _trace, "order": _order_trace},
    )
    def trace(
        request: Request,
        principal: CurrentPrincipal,
        identifier: Identifier,
        direction: Way = Direction.BOTH,
        depth: Depth = _DEFAULT.depth,
        lots: Lots = _DEFAULT.lots,
        if_none_match: IfNoneMatch = None,
    ) -> Response:
        """For a lot, returns where it comes from, who made and inspected it, who has it, and what became of it; for an
        order, its progress.

        Results beyond the limits are left out and reported in `cuts`."""
        found = traces.trace(_as_written(request, identifier), direction, Limits(depth, lots), principal.viewer)
        return with_etag(Response(found, media_type="application/json"), if_none_match)


def _add_certificate(routes: Routes, store: Store) -> None:
    @routes.one(
        "/v1/certificates/{id}",
        "getCertificate",
        "Get a certificate and its validity",
        Certificate,
        rule=Rule(Scope.PROVENANCE),
        examples={"valid": examples.certificate},
    )
    def certificate(principal: CurrentPrincipal, sequence: Number, if_none_match: IfNoneMatch = None) -> Response:
        """Returns a verdict on a lot, and whether it is valid, expired, revoked, or invalid because its model was
        withdrawn.
        """
        return reply_with_etag(provenance.certificate(store, sequence, viewer=principal.viewer), if_none_match)


def _add_recall(routes: Routes, store: Store) -> None:
    @routes.get(
        "/v1/recall",
        "recall",
        "Find what a bad model, lot or machine affected",
        Recall,
        rule=Rule(Scope.PROVENANCE, EXAMINERS, cost=10, limits=(MAX_RECALLED.depth, MAX_RECALLED.lots)),
        examples={"model": _recall},
    )
    def recall(
        principal: CurrentPrincipal,
        model: ModelNumber = None,
        lot: LotName = None,
        machine: MachineName = None,
        since: Moment = None,
        until: Moment = None,
        depth: Depth = MAX_RECALLED.depth,
        lots: RecalledLots = MAX_RECALLED.lots,
        if_none_match: IfNoneMatch = None,
    ) -> Response:
        """Starts from everything that a model certified, a lot and what is packed in it, or what a machine made or
        measured between `since` and `until`. Returns all that was made from it, the orders, and who has it. Give
        exactly one of `model`, `lot` and `machine`."""
        found = provenance.recall(
            store,
            model=model,
            lot=lot,
            machine=machine,
            since=since,
            until=until,
            limits=Limits(depth, lots),
            viewer=principal.viewer,
        )
        return reply_with_etag(found, if_none_match)


def _as_written(request: Request, decoded: str) -> str:
    """The identifier as the caller meant it. `%2F` and `/` differ in a Digital Link. So an identifier that was appended
    unencoded must not be decoded, and one that was encoded as a whole must be decoded exactly once."""
    raw: bytes = request.scope.get("raw_path") or b""
    written = raw.partition(_TRACE.encode())[2].decode("ascii", "replace")
    return written if unquote(written) == decoded and ":" in written else decoded


_ALONE: Mapping[str, tuple[()]] = dict.fromkeys(
    ("upstream", "downstream", "transformations", "cuts", "streams", "shared_measurements"), ()
)
"""What the examples leave empty."""


def _trace() -> Trace:
    return Trace(
        as_of=examples.as_of(),
        lot=examples.lot(),
        head=b"\x12" * 32,
        order=examples.order(),
        assignments=(),
        certificates=(examples.certificate(),),
        waivers=(),
        custody=(examples.custody_change(),),
        packed_in=(),
        contents=(),
        truncated=False,
        **_ALONE,
        records=(examples.record(),),
    )


def _order_trace() -> OrderTrace:
    return OrderTrace(
        as_of=examples.as_of(),
        order=examples.order(),
        head=b"\x34" * 32,
        assignments=(),
        lots=(examples.related(),),
        certificates=(examples.certificate(),),
        truncated=False,
        **_ALONE,
        records=(
            replace(
                examples.record(), sequence=120, kind="OrderPlaced", subject=examples.ORDER, participant=examples.BUYER
            ),
        ),
    )


def _recall() -> Recall:
    fallen = replace(examples.certificate(), status=CertificateStatus.FALLEN)
    withdrawn = replace(
        examples.model(), state=ModelState.WITHDRAWN, withdrawn_at=examples.NOW, defective_since=examples.NOW
    )
    lots = (replace(examples.related(), status=CertificateStatus.FALLEN),)
    return Recall(
        as_of=examples.as_of(),
        model=withdrawn,
        lot=None,
        machine=None,
        since=None,
        until=None,
        counts=RecallCounts(lots=1, unspent=1, quarantined=0, certificates=1, valid=0, orders=1, holders=1),
        certificates=(replace(fallen, model=withdrawn),),
        lots=lots,
        orders=(examples.order(),),
        holders=(Holder(examples.BUYER.participant, examples.BUYER.name, lots=1, quarantined=0),),
        truncated=False,
        cuts=(),
    )
