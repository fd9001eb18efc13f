"""The routes by which other participants have their signed requests sent."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from ledger.errors import NotFoundError
from ledger.forward_requests import MAX_REQUEST_BYTES
from ledger.records import Contract
from services.gateway.http.authentication import Asking
from services.gateway.http.responses import CHECKED, reply
from services.gateway.http.routes import Routes
from services.gateway.relay.relay import Relaying
from services.gateway.relay.views import RelayedRequest, RelayTerms, Simulation

__all__ = ["build_relay"]

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


def build_relay(relaying: Relaying | None) -> APIRouter:
    """The routes; without `relaying` there is nothing behind them."""
    router = APIRouter()
    routes = Routes(router, "relay", CHECKED)

    @routes.post(
        "/v1/relay",
        "relayRequest",
        "Have a signed request sent",
        RelayedRequest,
        status_code=202,
        openapi_extra=_WRITTEN,
    )
    async def relay(request: Request, principal: Asking) -> Response:
        """Kept before it is acknowledged, and sent until it is on the ledger or over. Its digest names it: handed in
        again, it is the same one, and answered as it is by then; no Idempotency-Key is needed. What the ledger would
        refuse is refused here, by the contract's own error."""
        taken = _active(relaying)
        body = await request.body()
        return reply(await run_in_threadpool(taken.accept, body, principal), 202)

    @routes.one("/v1/relay/{digest}", "getRelayedRequest", "What became of a request", RelayedRequest)
    def look(digest: Digest, principal: Asking) -> Response:
        """Requests of other participants do not exist."""
        return reply(_active(relaying).look(bytes.fromhex(digest[2:]), principal))

    @routes.get("/v1/relay/keys/{address}", "getRelayTerms", "What a key's next request has to fit", RelayTerms)
    def terms(address: KeyAddress) -> Response:
        """As the chain has it, which everybody can see."""
        return reply(_active(relaying).terms(bytes.fromhex(address[2:])))

    @routes.post("/v1/relay/simulations", "simulateRelay", "What a call would do, before it is signed", Simulation)
    def simulate(body: Call, principal: Asking) -> Response:
        """As the key, through the forwarder, on the chain as it is now. Changes nothing."""
        data, key = bytes.fromhex(body.data[2:]), bytes.fromhex(body.key[2:])
        return reply(_active(relaying).simulate(body.contract, data, key, principal))

    return router


def _active(relaying: Relaying | None) -> Relaying:
    if relaying is None:
        raise NotFoundError("this gateway relays nothing", hint="ask another participant's")
    return relaying
