"""Routes of traces, certificates and recalls, of search, causes and lots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Literal, Protocol, TypeAlias
from urllib.parse import unquote

from fastapi import Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from millmark.ledger import ids, provenance
from millmark.ledger.provenance import (
    MAX_RECALLED,
    MAX_TRACED,
    Certificate,
    Direction,
    Limits,
    OrderTrace,
    Recall,
    Trace,
    listings,
)
from millmark.ledger.provenance.answers import CustodyChange, Holder, Lot, RecallCounts
from millmark.ledger.provenance.footprints import LotFootprint, lot_footprint
from millmark.ledger.provenance.search import MAX_FOUND, MAX_TEXT, Found, FoundKind, FoundThings, search
from millmark.ledger.records import CertificateStatus, LotState, ModelState
from millmark.ledger.store import Store
from millmark.services.access import EXAMINERS, Scope
from millmark.services.access.rules import Rule
from millmark.services.cache import StateCache
from millmark.services.gateway.http import example_values as examples
from millmark.services.gateway.http import routes as http
from millmark.services.gateway.http.authentication import CurrentPrincipal
from millmark.services.gateway.http.problems import NoSignerError
from millmark.services.gateway.http.route_table import RouteTable
from millmark.services.planning.feedback import repository
from millmark.services.planning.feedback.repository import CauseFound
from millmark.services.serving.requests import WholeNumber

_TRACE = "/v1/trace/"
_DEFAULT = Limits()
_CACHED_BYTES = 32 * 1024 * 1024

Identifier = Annotated[
    str,
    Path(
        min_length=1,
        max_length=ids.MAX_IDENTIFIER_LENGTH,
        description="Identifier of a lot or an order in any spelling (GS1 Digital Link, EPC URN, did, urn), or its "
        "subject as 0x and 64 hex digits. Either percent-encode all of it, or append it unencoded, including its "
        "slashes: if the colon after its scheme is unencoded, nothing in it is decoded.",
        examples=[examples.IDENTIFIER, "urn:epc:id:sgtin:9506000.001345.A0001"],
    ),
]
ModelNumber = Annotated[
    WholeNumber | None, Query(ge=1, le=http.MAX_SEQUENCE, description="Number of a quality model.", examples=[9])
]
LotName = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=ids.MAX_IDENTIFIER_LENGTH,
        description="Identifier or subject of a lot.",
        examples=[examples.IDENTIFIER],
    ),
]
MachineName = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=ids.MAX_IDENTIFIER_LENGTH,
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
    routes = http.Routes(table, "provenance", http.PROBLEMS_400_404)
    _add_trace(routes, CachedTraces(store))
    _add_certificate(routes, store)
    _add_recall(routes, store)


def _add_trace(routes: http.Routes, traces: CachedTraces) -> None:
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
        if_none_match: http.IfNoneMatch = None,
    ) -> Response:
        """For a lot, returns where it comes from, who made and inspected it, who has it, and what became of it; for an
        order, its progress.

        Results beyond the limits are left out and reported in `cuts`."""
        found = traces.trace(_as_written(request, identifier), direction, Limits(depth, lots), principal.viewer)
        return http.with_etag(Response(found, media_type="application/json"), if_none_match)


def _add_certificate(routes: http.Routes, store: Store) -> None:
    @routes.one(
        "/v1/certificates/{id}",
        "getCertificate",
        "Get a certificate and its validity",
        Certificate,
        rule=Rule(Scope.PROVENANCE),
        examples={"valid": examples.certificate},
    )
    def certificate(
        principal: CurrentPrincipal, sequence: http.Number, if_none_match: http.IfNoneMatch = None
    ) -> Response:
        """Returns a verdict on a lot, and whether it is valid, expired, revoked, or invalid because its model was
        withdrawn."""
        return http.reply_with_etag(provenance.certificate(store, sequence, viewer=principal.viewer), if_none_match)


def _add_recall(routes: http.Routes, store: Store) -> None:
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
        if_none_match: http.IfNoneMatch = None,
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
        return http.reply_with_etag(found, if_none_match)


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


Text = Annotated[
    str,
    Query(
        min_length=1,
        max_length=MAX_TEXT,
        description="The text to look for: an identifier in any spelling or its last part, the content of a scanned "
        "code or a printed label, a subject, a number, or a part of a company's name.",
        examples=["A0001", examples.IDENTIFIER],
    ),
]


def add_search(table: RouteTable, store: Store) -> None:
    routes = http.Routes(table, "provenance", http.PROBLEMS_400_404)

    @routes.get(
        "/v1/search",
        "search",
        "Find what a text names",
        FoundThings,
        rule=Rule(Scope.PROVENANCE, cost=4, by_name=True),
        examples={"lot": _found},
    )
    def find(principal: CurrentPrincipal, text: Text) -> Response:
        """Returns orders, lots, machines, streams, companies, models and certificates that the text names, at most 50.
        What does not exist for the caller is left out."""
        found = search(store, text, principal.viewer)
        return http.reply(FoundThings(found, len(found) >= MAX_FOUND))


def _found() -> FoundThings:
    return FoundThings((Found(FoundKind.LOT, "0x" + "11" * 32, examples.IDENTIFIER, 380),), truncated=False)


# Routes of causes: what happened at machines, what it led to, and what people say to it.

_OWN_READ, _OWN_LIST = Rule(Scope.PROVENANCE, owner=True), Rule(Scope.PROVENANCE, owner=True, cost=4)
_WRITE = Rule(Scope.RECORDING, owner=True)
_CAUSE = b"\x4d" * 32
CauseName = Annotated[
    str,
    Path(alias="id", pattern="^0x[0-9a-f]{64}$", description="What names the cause.", examples=["0x" + _CAUSE.hex()]),
]
MachineNumber = Annotated[WholeNumber, Path(ge=1, lt=2**40, description="Number of the machine.", examples=[17])]
_TEXT = Field(min_length=1, max_length=200, description="One line for people.")


class CauseService(Protocol):
    """What routes ask of the gateway's feedback."""

    def has_reported(self, form: str) -> bool: ...
    def report(self, machine: int, kind: str, text: str, form: str = "") -> repository.CauseRow: ...
    def dismiss(self, name: bytes, reason: str) -> None: ...
    def repair(self, machine: int, reason: str, *, overhauled: bool = False) -> None: ...


class ReportedCause(BaseModel):
    """What happened at a machine of the company."""

    model_config = ConfigDict(extra="forbid")

    machine: int = Field(ge=1, lt=2**40, description="Number of the machine.")
    kind: str = Field(pattern="^(machine-down|drift)$", description="machine-down or drift; records show the others.")
    text: str = _TEXT


class Said(BaseModel):
    """Why a person overrides what feedback did."""

    model_config = ConfigDict(extra="forbid")

    reason: str = _TEXT


class Mended(Said):
    """What was done to a machine."""

    overhauled: bool = Field(default=False, description="Whether nothing is held against it any more, on any rung.")


def add_causes(table: RouteTable, store: Store, causes: CauseService | None) -> None:
    """Without `causes`, the gateway records nothing, and only reading is possible."""
    routes = http.Routes(table, "planning", http.PROBLEMS_404)
    _add_reading(routes, store)
    _add_reporting(routes, store, causes)
    _add_overriding(routes, store, causes)


def _add_reading(routes: http.Routes, store: Store) -> None:
    @routes.page(
        "/v1/causes", "listCauses", "List causes", CauseFound, rule=_OWN_LIST, examples=examples.page_examples(_drift)
    )
    def list_causes(paging: http.Paging) -> Response:
        """Returns what happened at the company's machines, and what bears on its plans, in the order of the causes'
        names, each with what it led to."""
        after = None if paging.after is None else bytes.fromhex(str(paging.after[0]))
        with store.reading() as connection:
            found = repository.show_page(repository.FeedbackRepository(connection), after, paging.limit + 1)
        shown = found[: paging.limit]
        return paging.answer(shown, (shown[-1].cause.hex(),) if len(found) > paging.limit else None)

    @routes.one("/v1/causes/{id}", "getCause", "Get a cause", CauseFound, rule=_OWN_READ, examples={"drift": _drift})
    def get_cause(id_: CauseName, if_none_match: http.IfNoneMatch = None) -> Response:
        """Returns the cause, its evidence, and what it led to."""
        with store.reading() as connection:
            return http.reply_with_etag(
                repository.show_cause(repository.FeedbackRepository(connection), http.parse_subject(id_)), if_none_match
            )


def _add_reporting(routes: http.Routes, store: Store, causes: CauseService | None) -> None:
    @routes.post(
        "/v1/causes",
        "reportCause",
        "Report a cause",
        CauseFound,
        rule=_WRITE,
        examples={"drift": _drift},
        body_example={"machine": 17, "kind": "machine-down", "text": "the spindle is worn"},
        status_code=201,
        responses={409: http.PROBLEM, **http.PROBLEMS_422},
    )
    def report_cause(reported: ReportedCause) -> Response:
        """Writes what happened at a machine of the company into the machine's stream, and does what follows from it."""
        row = _need(causes).report(reported.machine, reported.kind, reported.text)
        with store.reading() as connection:
            return http.reply(repository.show_cause(repository.FeedbackRepository(connection), row.id), 201)


def _add_overriding(routes: http.Routes, store: Store, causes: CauseService | None) -> None:
    problems = {409: http.PROBLEM, **http.PROBLEMS_404}

    @routes.post(
        "/v1/causes/{id}/dismissal",
        "dismissCause",
        "Dismiss a cause",
        CauseFound,
        rule=_WRITE,
        examples={"dismissed": _dismissed},
        body_example={"reason": "the sensor was being cleaned"},
        responses=problems,
    )
    def dismiss_cause(id_: CauseName, said: Said) -> Response:
        """Says that a cause does not count, and why. The step that it led to is taken back, unless another one
        followed; what was proposed or withdrawn because of it stays as it is."""
        name = http.parse_subject(id_)
        _need(causes).dismiss(name, said.reason)
        with store.reading() as connection:
            return http.reply(repository.show_cause(repository.FeedbackRepository(connection), name))

    @routes.post(
        "/v1/machines/{machine}/mended",
        "mendMachine",
        "Say that a machine is mended",
        rule=_WRITE,
        body_example={"reason": "the spindle was replaced"},
        status_code=204,
        responses=problems,
    )
    def repair_machine(machine: MachineNumber, said: Mended) -> Response:
        """Has a machine offered again that feedback took out of plans; its verdicts decide about the rest. With
        `overhauled`, nothing is held against it any more, whether or not its offers were withdrawn: what was measured
        before an overhaul says nothing about the machine after it."""
        _need(causes).repair(machine, said.reason, overhauled=said.overhauled)
        return Response(status_code=204)


def _need(causes: CauseService | None) -> CauseService:
    if causes is None:
        raise NoSignerError("this gateway records nothing", hint="set gateway_signer and gateway_participant")
    return causes


# Examples


def _drift() -> CauseFound:
    now = examples.NOW
    return CauseFound(
        cause=_CAUSE,
        kind="drift",
        machine=17,
        text="the temperature drifts",
        began_at=now,
        at=now,
        record=None,
        stream=examples.STREAM,
        leaf=12,
        outcome="acted",
        reason="",
        rung=1,
        efficiency_per_mille=1000,
        steps=(repository.StepShown("setpoint", "waiting", now, examples.STREAM, 13, "feed 180 in place of 200"),),
    )


def _dismissed() -> CauseFound:
    now = examples.NOW
    step = repository.StepShown("lift", "done", now, examples.STREAM, 14, "the sensor was being cleaned")
    return replace(_drift(), outcome="dismissed", reason="the sensor was being cleaned", rung=0, steps=(step,))


# Routes of lots, their custody and their certificates. Callers get only what millmark.ledger.provenance.permissions
# makes visible to them.

_LotState: TypeAlias = Literal["held", "offered", "quarantined", "spent", "returning"]
_OWN = Rule(Scope.PROVENANCE, owner=True, cost=4)
"""Claims are shown by the company that has them, to whom it chooses: in bundles and passports."""
_READ, _LIST = Rule(Scope.PROVENANCE), Rule(Scope.PROVENANCE, cost=4)


def add_lots(table: RouteTable, store: Store) -> None:
    lots = http.Routes(table, "lots", http.PROBLEMS_404)
    _add_lots(lots, store)
    _add_histories(lots, store)
    _add_certificates(http.Routes(table, "provenance", http.PROBLEMS_404), store)


def _add_lots(routes: http.Routes, store: Store) -> None:
    @routes.page("/v1/lots", "listLots", "List lots", Lot, rule=_LIST, examples=examples.page_examples(examples.lot))
    def list_lots(
        principal: CurrentPrincipal,
        paging: http.Paging,
        state: Annotated[
            _LotState | None, Query(description="Only lots in this state.", examples=["quarantined"])
        ] = None,
        custodian: http.OfParticipant = None,
        order: http.OfOrder = None,
        assignment: http.OfAssignment = None,
        identifier: http.Called = None,
    ) -> Response:
        """Returns the lots visible to the caller (see ACCESS.md), in order of creation."""
        wanted = http.build_filters(
            state=http.state_value(LotState, state),
            custodian=custodian,
            order=None if order is None else http.parse_subject(order),
            assignment=assignment,
        )
        found = listings.lots(store, principal.viewer, paging.number, paging.limit, wanted, identifier)
        return http.reply_page(paging, found)

    @routes.one("/v1/lots/{subject}", "getLot", "Get a lot", Lot, rule=_READ, examples={"part": examples.lot})
    def get_lot(principal: CurrentPrincipal, subject: http.Subject, if_none_match: http.IfNoneMatch = None) -> Response:
        """Returns the lot's remaining quantity, holder and state. Use a trace to see where it came from."""
        return http.reply_with_etag(listings.lot(store, http.parse_subject(subject), principal.viewer), if_none_match)


def _add_histories(routes: http.Routes, store: Store) -> None:
    @routes.one(
        "/v1/lots/{subject}/footprint",
        "getFootprint",
        "Get the energy and emissions of a lot",
        LotFootprint,
        rule=_OWN,
        examples={"part": examples.footprint},
    )
    def get_footprint(
        principal: CurrentPrincipal, subject: http.Subject, if_none_match: http.IfNoneMatch = None
    ) -> Response:
        """Returns what the lot's maker states in its claims (`passport.footprint`), with the operations, material and
        transport that it consists of. A bundle of the lot proves it from the register readings."""
        return http.reply_with_etag(lot_footprint(store, http.parse_subject(subject), principal.viewer), if_none_match)

    @routes.page(
        "/v1/lots/{subject}/custody",
        "listCustody",
        "List a lot's changes of custody",
        CustodyChange,
        rule=_LIST,
        examples=examples.page_examples(examples.custody_change),
        responses=http.PROBLEMS_400_404,
    )
    def list_custody(principal: CurrentPrincipal, paging: http.Paging, subject: http.Subject) -> Response:
        """Returns every offer, acceptance and return of the lot, or of the lot it was packed in at the time, oldest
        first."""
        found = listings.custody(store, http.parse_subject(subject), principal.viewer, paging.number, paging.limit)
        return http.reply_page(paging, found)


def _add_certificates(routes: http.Routes, store: Store) -> None:
    @routes.page(
        "/v1/certificates",
        "listCertificates",
        "List certificates",
        Certificate,
        rule=_LIST,
        examples=examples.page_examples(examples.certificate),
    )
    def list_certificates(
        principal: CurrentPrincipal,
        paging: http.Paging,
        lot: http.OfLot = None,
        inspector: http.OfParticipant = None,
        model: http.OfModel = None,
    ) -> Response:
        """Returns the certificates of lots visible to the caller, in order of issue."""
        wanted = http.build_filters(lot=None if lot is None else http.parse_subject(lot), issuer=inspector, model=model)
        return http.reply_page(
            paging, listings.certificates(store, principal.viewer, paging.number, paging.limit, wanted)
        )
