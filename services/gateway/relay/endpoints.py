"""Routes by which other participants have their signed requests sent."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from ledger.errors import NotFoundError
from ledger.forward_requests import MAX_REQUEST_BYTES
from ledger.records import Contract
from ledger.store.outbox import OutboxState
from services.access import Scope
from services.access.rules import Rule
from services.gateway.http.authentication import CurrentPrincipal
from services.gateway.http.example_values import CHAIN_ID
from services.gateway.http.responses import PROBLEMS_422, reply
from services.gateway.http.route_table import RouteTable
from services.gateway.http.routes import Routes
from services.gateway.relay.relay import LONGEST_S, MOST_GAS, Relaying
from services.gateway.relay.views import RelayedLog, RelayedRequest, RelayTerms, Simulation

__all__ = ["add_relay"]

_WRITTEN: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["format", "from", "to", "nonce", "deadline", "gas", "data", "signature"],
                    "description": "A signed forward request in its one form (ledger/RELAY.md).",
                }
            }
        },
    }
}
Digest = Annotated[
    str,
    Path(
        pattern="^0x[0-9a-f]{64}$",
        description="What was signed: the request's EIP-712 digest.",
        examples=["0x6d79e0d1a6a06b4b1f1ac1fd0ac8a5a4c2b15e9f3ad2b6c8a1f0e9d8c7b6a594"],
    ),
]
KeyAddress = Annotated[
    str,
    Path(
        pattern="^0x[0-9a-fA-F]{40}$",
        description="Address of the key that signs requests.",
        examples=["0x6813Eb9362372EEF6200f3b1dbC3f819671cBA69"],
    ),
]


class Call(BaseModel):
    """A call that a key would sign."""

    model_config = ConfigDict(extra="forbid")

    contract: Contract
    data: str = Field(pattern="^0x([0-9a-f]{2})+$", max_length=MAX_REQUEST_BYTES, description="Calldata of records.")
    key: str = Field(pattern="^0x[0-9a-fA-F]{40}$", description="Who would sign it.")


def add_relay(table: RouteTable, relaying: Relaying | None) -> None:
    """Without `relaying`, the routes answer 404."""
    routes = Routes(table, "relay", PROBLEMS_422)
    _add_requests(routes, relaying)
    _add_preparation(routes, relaying)


def _add_requests(routes: Routes, relaying: Relaying | None) -> None:
    @routes.post(
        "/v1/relay",
        "relayRequest",
        "Have a signed request sent",
        RelayedRequest,
        rule=Rule(Scope.RELAY, cost=4),
        examples={"queued": partial(_request, OutboxState.QUEUED)},
        status_code=202,
        openapi_extra=_WRITTEN,
    )
    async def relay(request: Request, principal: CurrentPrincipal) -> Response:
        """Kept before it is acknowledged, and sent until it is on the ledger or over. Its digest names it: handed in
        again, it is the same one, and answered as it is by then; no Idempotency-Key is needed. What the ledger would
        refuse is refused here, by the contract's own error."""
        taken = _active(relaying)
        body = await request.body()
        return reply(await run_in_threadpool(taken.accept, body, principal), 202)

    @routes.one(
        "/v1/relay/{digest}",
        "getRelayedRequest",
        "What became of a request",
        RelayedRequest,
        rule=Rule(Scope.RELAY),
        examples={"final": partial(_request, OutboxState.FINAL), "queued": partial(_request, OutboxState.QUEUED)},
    )
    def look(digest: Digest, principal: CurrentPrincipal) -> Response:
        """Requests of other participants do not exist."""
        return reply(_active(relaying).look(bytes.fromhex(digest[2:]), principal))


def _add_preparation(routes: Routes, relaying: Relaying | None) -> None:
    @routes.get(
        "/v1/relay/keys/{address}",
        "getRelayTerms",
        "What a key's next request has to fit",
        RelayTerms,
        rule=Rule(Scope.RELAY),
        examples={"now": _terms},
    )
    def terms(address: KeyAddress) -> Response:
        """As the chain has it, which everybody can see."""
        return reply(_active(relaying).terms(bytes.fromhex(address[2:])))

    @routes.post(
        "/v1/relay/simulations",
        "simulateRelay",
        "What a call would do, before it is signed",
        Simulation,
        rule=Rule(Scope.RELAY, cost=4),
        examples={"taken": lambda: Simulation(84_000, None, None), "refused": _refused},
    )
    def simulate(body: Call, principal: CurrentPrincipal) -> Response:
        """As the key, through the forwarder, on the chain as it is now. Changes nothing."""
        data, key = bytes.fromhex(body.data[2:]), bytes.fromhex(body.key[2:])
        return reply(_active(relaying).simulate(body.contract, data, key, principal))


def _active(relaying: Relaying | None) -> Relaying:
    if relaying is None:
        raise NotFoundError("this gateway relays nothing", hint="ask another participant's")
    return relaying


_DEADLINE = 1_772_444_100
_TOPICS = (b"\x1b" * 32, (31).to_bytes(32, "big"), (5).to_bytes(32, "big"), b"\x2c" * 32)


def _request(state: OutboxState) -> RelayedRequest:
    final = state is OutboxState.FINAL
    return RelayedRequest(
        digest=b"\x6d" * 32,
        key=b"\x5c" * 20,
        nonce=31,
        deadline=_DEADLINE,
        kinds=("Anchor",),
        state=state,
        error_name=None,
        error=None,
        transaction_hash=b"\x7e" * 32 if final else None,
        block_number=987 if final else None,
        block_hash=b"\x8f" * 32 if final else None,
        gas_used=71_204 if final else None,
        logs=(RelayedLog(b"\x22" * 20, _TOPICS, b"\x5c" * 32, 0),) if final else (),
    )


def _terms() -> RelayTerms:
    return RelayTerms(CHAIN_ID, b"\x4d" * 20, 31, 31, _DEADLINE - 304, _DEADLINE - 300, MOST_GAS, LONGEST_S)


def _refused() -> Simulation:
    error = (
        "GateClosed(lot=0x1a1a, inspector=6, model=9); have the order's inspector certify the lot on the order's model"
    )
    return Simulation(None, "GateClosed", error)
