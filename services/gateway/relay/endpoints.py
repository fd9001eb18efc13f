"""Routes through which other participants have their signed requests sent."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from millmark.ledger import errors, records
from millmark.ledger.forward_requests import MAX_REQUEST_BYTES
from millmark.ledger.store.outbox_records import OutboxState
from millmark.services.access import Scope
from millmark.services.access.rules import Rule
from millmark.services.gateway.http import authentication, route_table
from millmark.services.gateway.http.example_values import CHAIN_ID
from millmark.services.gateway.http.routes import PROBLEMS_422, Routes, reply
from millmark.services.gateway.relay import relay as relaying

_WRITTEN: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["format", "from", "to", "nonce", "deadline", "gas", "data", "signature"],
                    "description": "A signed forward request in its canonical form (ledger/RELAY.md).",
                }
            }
        },
    }
}
Digest = Annotated[
    str,
    Path(
        pattern="^0x[0-9a-f]{64}$",
        description="EIP-712 digest of the request, which was signed.",
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
    """A call to simulate before it is signed."""

    model_config = ConfigDict(extra="forbid")

    contract: records.Contract
    data: str = Field(pattern="^0x([0-9a-f]{2})+$", max_length=MAX_REQUEST_BYTES, description="Calldata of records.")
    key: str = Field(pattern="^0x[0-9a-fA-F]{40}$", description="Address of the key that would sign it.")


def add_relay(table: route_table.RouteTable, relay: relaying.Relay | None) -> None:
    """Adds the routes. If `relay` is None, they answer 404."""
    routes = Routes(table, "relay", PROBLEMS_422)
    _add_requests(routes, relay)
    _add_preparation(routes, relay)


def _add_requests(routes: Routes, relay: relaying.Relay | None) -> None:
    @routes.post(
        "/v1/relay",
        "relayRequest",
        "Send a signed request",
        relaying.RelayedRequest,
        rule=Rule(Scope.RELAY, cost=4),
        examples={"queued": partial(_request, OutboxState.QUEUED)},
        status_code=202,
        openapi_extra=_WRITTEN,
    )
    async def relay_request(request: Request, principal: authentication.CurrentPrincipal) -> Response:
        """The request is stored before it is acknowledged, and then sent until it is on the ledger or has failed. It is
        identified by its digest: submitting it again returns its current state, so no Idempotency-Key is needed. A
        request that the ledger would reject is refused with the contract's own error."""
        # The body is read as bytes, not by FastAPI's parser: only the canonical form is accepted, which parsing would
        # lose.
        active = _active(relay)
        body = await request.body()
        return reply(await run_in_threadpool(active.accept, body, principal), 202)

    @routes.one(
        "/v1/relay/{digest}",
        "getRelayedRequest",
        "Get the status of a relayed request",
        relaying.RelayedRequest,
        rule=Rule(Scope.RELAY),
        examples={"final": partial(_request, OutboxState.FINAL), "queued": partial(_request, OutboxState.QUEUED)},
    )
    def look(digest: Digest, principal: authentication.CurrentPrincipal) -> Response:
        """Returns the state of a request. 404 if it belongs to another participant."""
        return reply(_active(relay).look(bytes.fromhex(digest[2:]), principal))


def _add_preparation(routes: Routes, relay: relaying.Relay | None) -> None:
    @routes.get(
        "/v1/relay/keys/{address}",
        "getRelayTerms",
        "Get what a key's next request must satisfy",
        relaying.RelayTerms,
        rule=Rule(Scope.RELAY),
        examples={"now": _terms},
    )
    def terms(address: KeyAddress) -> Response:
        """Returns the terms, read from the chain. They are visible to every participant."""
        return reply(_active(relay).terms(bytes.fromhex(address[2:])))

    @routes.post(
        "/v1/relay/simulations",
        "simulateRelay",
        "Simulate a call before signing it",
        relaying.Simulation,
        rule=Rule(Scope.RELAY, cost=4),
        examples={"taken": lambda: relaying.Simulation(84_000, None, None), "refused": _refused},
    )
    def simulate(body: Call, principal: authentication.CurrentPrincipal) -> Response:
        """Simulates the call as sent by the key through the forwarder, on the current state. Changes nothing."""
        data, key = bytes.fromhex(body.data[2:]), bytes.fromhex(body.key[2:])
        return reply(_active(relay).simulate(body.contract, data, key, principal))


def _active(relay: relaying.Relay | None) -> relaying.Relay:
    if relay is None:
        raise errors.NotFoundError("this gateway does not relay requests", hint="use another participant's gateway")
    return relay


_DEADLINE = 1_772_444_100
_TOPICS = (b"\x1b" * 32, (31).to_bytes(32, "big"), (5).to_bytes(32, "big"), b"\x2c" * 32)


def _request(state: OutboxState) -> relaying.RelayedRequest:
    final = state is OutboxState.FINAL
    return relaying.RelayedRequest(
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
        logs=(relaying.RelayedLog(b"\x22" * 20, _TOPICS, b"\x5c" * 32, 0),) if final else (),
    )


def _terms() -> relaying.RelayTerms:
    return relaying.RelayTerms(
        CHAIN_ID, b"\x4d" * 20, 31, 31, _DEADLINE - 304, _DEADLINE - 300, relaying.MAX_GAS, relaying.LONGEST_S
    )


def _refused() -> relaying.Simulation:
    error = "GateClosed(lot=0x1a1a, inspector=6, model=9, ...); have that inspector certify the lot as the gate asks"
    return relaying.Simulation(None, "GateClosed", error)
