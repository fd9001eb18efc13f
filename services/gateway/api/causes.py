"""Routes of causes: what happened at machines, what it led to, and what people say to it."""

from __future__ import annotations

from typing import Annotated, Protocol

from fastapi import Path, Response
from pydantic import BaseModel, ConfigDict, Field

from millmark.ledger.store import Store
from millmark.services.access import Scope
from millmark.services.access.rules import Rule
from millmark.services.gateway.api.filters import parse_subject
from millmark.services.gateway.http import example_values as examples
from millmark.services.gateway.http.errors import NoSignerError
from millmark.services.gateway.http.paging import Key, Paging
from millmark.services.gateway.http.responses import (
    PROBLEM,
    PROBLEMS_404,
    PROBLEMS_422,
    IfNoneMatch,
    reply,
    reply_with_etag,
)
from millmark.services.gateway.http.route_table import RouteTable
from millmark.services.gateway.http.routes import Routes
from millmark.services.planning.feedback.repository import (
    CauseFound,
    CauseRow,
    FeedbackRepository,
    StepShown,
    show_cause,
    show_page,
)
from millmark.services.serving.parameters import WholeNumber

_READ, _LIST = Rule(Scope.PROVENANCE, owner=True), Rule(Scope.PROVENANCE, owner=True, cost=4)
_WRITE = Rule(Scope.RECORDING, owner=True)
_CAUSE = b"\x4d" * 32
CauseName = Annotated[
    str,
    Path(alias="id", pattern="^0x[0-9a-f]{64}$", description="What names the cause.", examples=["0x" + _CAUSE.hex()]),
]
MachineNumber = Annotated[WholeNumber, Path(ge=1, lt=2**40, description="Number of the machine.", examples=[17])]
_TEXT = Field(min_length=1, max_length=200, description="One line for people.")


class CauseDesk(Protocol):
    """What routes ask of the gateway's feedback."""

    def has_reported(self, form: str) -> bool: ...
    def report(self, machine: int, kind: str, text: str, form: str = "") -> CauseRow: ...
    def dismiss(self, name: bytes, reason: str) -> None: ...
    def mend(self, machine: int, reason: str, *, overhauled: bool = False) -> None: ...


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


def add_causes(table: RouteTable, store: Store, desk: CauseDesk | None) -> None:
    """Without a desk, the gateway records nothing, and only reading is possible."""
    routes = Routes(table, "planning", PROBLEMS_404)
    _add_reading(routes, store)
    _add_reporting(routes, store, desk)
    _add_overriding(routes, store, desk)


def _add_reading(routes: Routes, store: Store) -> None:
    @routes.page(
        "/v1/causes", "listCauses", "List causes", CauseFound, rule=_LIST, examples=examples.page_examples(_drift)
    )
    def list_causes(paging: Paging) -> Response:
        """Returns what happened at the company's machines, and what bears on its plans, in the order of the causes'
        names, each with what it led to."""
        after = None if paging.after is None else bytes.fromhex(str(paging.after[0]))
        with store.reading() as connection:
            found = show_page(FeedbackRepository(connection), after, paging.limit + 1)
        return paging.answer(found[: paging.limit], _next(paging.limit, found))

    @routes.one("/v1/causes/{id}", "getCause", "Get a cause", CauseFound, rule=_READ, examples={"drift": _drift})
    def get_cause(id_: CauseName, if_none_match: IfNoneMatch = None) -> Response:
        """Returns the cause, its evidence, and what it led to."""
        with store.reading() as connection:
            return reply_with_etag(show_cause(FeedbackRepository(connection), parse_subject(id_)), if_none_match)


def _add_reporting(routes: Routes, store: Store, desk: CauseDesk | None) -> None:
    @routes.post(
        "/v1/causes",
        "reportCause",
        "Report a cause",
        CauseFound,
        rule=_WRITE,
        examples={"drift": _drift},
        body_example={"machine": 17, "kind": "machine-down", "text": "the spindle is worn"},
        status_code=201,
        responses={409: PROBLEM, **PROBLEMS_422},
    )
    def report_cause(reported: ReportedCause) -> Response:
        """Writes what happened at a machine of the company into the machine's stream, and does what follows from it."""
        row = _need(desk).report(reported.machine, reported.kind, reported.text)
        with store.reading() as connection:
            return reply(show_cause(FeedbackRepository(connection), row.id), 201)


def _add_overriding(routes: Routes, store: Store, desk: CauseDesk | None) -> None:
    problems = {409: PROBLEM, **PROBLEMS_404}

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
        name = parse_subject(id_)
        _need(desk).dismiss(name, said.reason)
        with store.reading() as connection:
            return reply(show_cause(FeedbackRepository(connection), name))

    @routes.post(
        "/v1/machines/{machine}/mended",
        "mendMachine",
        "Say that a machine is mended",
        rule=_WRITE,
        body_example={"reason": "the spindle was replaced"},
        status_code=204,
        responses=problems,
    )
    def mend_machine(machine: MachineNumber, said: Mended) -> Response:
        """Has a machine offered again that feedback took out of plans; its verdicts decide about the rest. With
        `overhauled`, nothing is held against it any more, whether or not its offers were withdrawn: what was measured
        before an overhaul says nothing about the machine after it."""
        _need(desk).mend(machine, said.reason, overhauled=said.overhauled)
        return Response(status_code=204)


def _need(desk: CauseDesk | None) -> CauseDesk:
    if desk is None:
        raise NoSignerError("this gateway records nothing", hint="set gateway_signer and gateway_participant")
    return desk


def _next(limit: int, found: list[CauseFound]) -> Key | None:
    return None if len(found) <= limit else (found[limit - 1].cause.hex(),)


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
        steps=(StepShown("setpoint", "waiting", now, examples.STREAM, 13, "feed 180 in place of 200"),),
    )


def _dismissed() -> CauseFound:
    now = examples.NOW
    step = StepShown("lift", "done", now, examples.STREAM, 14, "the sensor was being cleaned")
    fields = {name: getattr(_drift(), name) for name in CauseFound.__dataclass_fields__}
    said = "the sensor was being cleaned"
    return CauseFound(**{**fields, "outcome": "dismissed", "reason": said, "rung": 0, "steps": (step,)})
