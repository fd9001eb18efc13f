"""Routes of the inbox of proposed setpoints. They show the company's own machines, and to that company alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

from millmark.ledger.records import Role
from millmark.services.access import Scope
from millmark.services.access.rules import Rule
from millmark.services.gateway.http import example_values as examples
from millmark.services.gateway.http.authentication import CurrentPrincipal
from millmark.services.gateway.http.paging import Paging
from millmark.services.gateway.http.responses import (
    PROBLEMS_400_404,
    PROBLEMS_404,
    IfNoneMatch,
    Number,
    reply,
    reply_with_etag,
)
from millmark.services.gateway.http.route_table import RouteTable
from millmark.services.gateway.http.routes import Routes
from millmark.services.setpoints import Inbox, SetpointDocument, SetpointShown, SetpointValue
from millmark.services.setpoints.document import MAX_VALUES, Forecast
from millmark.services.setpoints.inbox import MOST_OPEN_S, ForecastShown, ValueShown

_READ, _LIST = Rule(Scope.PROVENANCE, owner=True), Rule(Scope.PROVENANCE, owner=True, cost=4)
_PROPOSE = Rule(Scope.RECORDING, Role.MANUFACTURER, owner=True, cost=4)
_STRICT = ConfigDict(extra="forbid", strict=True)
_INTEGER = 2**53 - 1


class WantedValue(BaseModel):
    """One setpoint, in units of 10^-decimals of the sensor's unit."""

    model_config = _STRICT
    name: str = Field(max_length=32)
    decimals: int = Field(ge=0, le=9)
    before: int = Field(ge=-_INTEGER, le=_INTEGER, description="What the machine has.")
    value: int = Field(ge=-_INTEGER, le=_INTEGER)


class WantedForecast(BaseModel):
    """What the model says of some setpoints over the horizon."""

    model_config = _STRICT
    cost: int = Field(ge=-_INTEGER, le=_INTEGER)
    energy_wh: int = Field(ge=0, le=_INTEGER)
    eta_ppm: int = Field(ge=0, le=1_000_000, description="Availability at the end, in millionths.")
    e_ppm: int = Field(ge=0, le=1_000_000, description="Effectiveness x quality ratio at the end, in millionths.")


class WantedSetpoint(BaseModel):
    """Setpoints that are proposed for a machine."""

    model_config = _STRICT
    machine: int = Field(ge=1, le=2**48 - 1, description="Its number.")
    model: str = Field(pattern="^0x[0-9a-f]{64}$", description="Digest of the process model.")
    values: list[WantedValue] = Field(min_length=1, max_length=MAX_VALUES)
    horizon_s: int = Field(ge=1, le=2**31)
    expected: WantedForecast = Field(description="With the proposed setpoints.")
    kept: WantedForecast = Field(description="With those that the machine has.")
    unit: str = Field(max_length=20, description="What one unit of cost is.")
    cause: str = Field("", max_length=200, description="Why it was looked for, such as a drift alarm.")
    open_s: int = Field(3600, ge=1, le=MOST_OPEN_S, description="For how many seconds it can be accepted.")
    stream: Annotated[str, Field(pattern="^0x[0-9a-f]{64}$")] | None = Field(
        None, description="Stream of the machine in which the answer is recorded; by default its only one."
    )


def add_setpoints(table: RouteTable, inbox: Inbox, owner: int | None) -> None:
    """`owner`: the company that runs the gateway, for callers without a credential, where it lets them in."""
    routes = Routes(table, "machines", PROBLEMS_404)

    @routes.page(
        "/v1/setpoints",
        "listSetpoints",
        "List proposed setpoints",
        SetpointShown,
        rule=_LIST,
        examples=examples.page_examples(_open),
    )
    def list_setpoints(paging: Paging) -> Response:
        """Returns the proposals for this company's machines, the latest first, with what became of each."""
        found = inbox.page(paging.number, paging.limit + 1)
        shown = found[: paging.limit]
        return paging.answer(shown, (shown[-1].setpoint,) if len(found) > paging.limit else None)

    @routes.one(
        "/v1/setpoints/{id}",
        "getSetpoint",
        "Get proposed setpoints",
        SetpointShown,
        rule=_READ,
        examples={"open": _open},
    )
    def get_setpoint(number: Number, if_none_match: IfNoneMatch = None) -> Response:
        """Returns the proposal, with the operator's answer if there is one."""
        return reply_with_etag(inbox.get(number), if_none_match)

    @routes.post(
        "/v1/setpoints",
        "proposeSetpoint",
        "Propose setpoints for a machine",
        SetpointShown,
        rule=_PROPOSE,
        examples={"open": _open},
        body_example=_WANTED,
        responses=PROBLEMS_400_404,
        status_code=201,
    )
    def propose_setpoint(principal: CurrentPrincipal, body: WantedSetpoint) -> Response:
        """Puts a proposal into the inbox of the machine's operator. Nothing is recorded, and nothing takes effect,
        until it is accepted. It takes the place of an earlier one for the machine that is not answered. Sent again
        while it is open, it stays one proposal."""
        stream = None if body.stream is None else bytes.fromhex(body.stream[2:])
        made = inbox.propose(principal.participant or owner, _document(body), body.open_s, stream)
        return reply(made, 201, Location=f"/v1/setpoints/{made.setpoint}")


def _document(body: WantedSetpoint) -> SetpointDocument:
    return SetpointDocument(
        machine=body.machine,
        model=body.model[2:],
        values=tuple(SetpointValue(**one.model_dump()) for one in body.values),
        horizon_s=body.horizon_s,
        expected=Forecast(**body.expected.model_dump()),
        kept=Forecast(**body.kept.model_dump()),
        unit=body.unit,
        cause=body.cause,
    )


# Examples


_WANTED = {
    "machine": 17,
    "model": "0x" + "9d" * 32,
    "values": [{"name": "speed_set", "decimals": 1, "before": 420, "value": 365}],
    "horizon_s": 720,
    "expected": {"cost": 6878, "energy_wh": 2381, "eta_ppm": 877_105, "e_ppm": 714_340},
    "kept": {"cost": 7958, "energy_wh": 2423, "eta_ppm": 603_866, "e_ppm": 764_984},
    "unit": "EUR/100",
    "cause": "drift of model 9",
}


def _open() -> SetpointShown:
    return SetpointShown(
        setpoint=7,
        machine=17,
        state="open",
        stream=examples.STREAM,
        entry=None,
        reason=None,
        proposed_at=examples.NOW,
        until_at=examples.NOW + timedelta(hours=1),
        model=b"\x9d" * 32,
        values=(ValueShown("speed_set", 1, 420, 365),),
        horizon_s=720,
        expected=ForecastShown(6878, 2381, 877_105, 714_340, 626_551),
        kept=ForecastShown(7958, 2423, 603_866, 764_984, 461_947),
        unit="EUR/100",
        cause="drift of model 9",
        document=b"\x3c" * 32,
    )
