"""JSON-RPC 2.0 over HTTP for an embedded chain. For development only: it has no authentication."""

from __future__ import annotations

import json
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool

from ledger.chain import EmbeddedChain, RpcError, Transport
from ledger.errors import ChainError

__all__ = ["create_devchain"]

_MOST_BYTES = 4 * 1024 * 1024
_MOST_REQUESTS = 1000
_PARSE_ERROR, _INVALID_REQUEST, _TOO_LARGE, _SERVER_ERROR = -32700, -32600, -32600, -32000


def create_devchain(chain: Transport | None = None) -> FastAPI:
    """Builds the application; it serves a new chain in memory unless one is given."""
    served = EmbeddedChain() if chain is None else chain
    app = FastAPI(title="Millmark devchain", docs_url=None, redoc_url=None, openapi_url=None)

    @app.post("/")
    async def serve(request: Request) -> Response:
        body = await _read(request)
        if body is None:
            return _json(_failure(None, _TOO_LARGE, f"requests are limited to {_MOST_BYTES} bytes"), 413)
        # Executing transactions takes long; meanwhile the event loop must answer other connections.
        return _json(await run_in_threadpool(_answer, served, body))

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    return app


async def _read(request: Request) -> bytes | None:
    """The body; None if it is too large, as soon as it exceeds the limit."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            return None
    return bytes(body)


def _answer(chain: Transport, body: bytes) -> Any:
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        return _failure(None, _PARSE_ERROR, "the request is not JSON")
    if not isinstance(asked, list):
        return _answer_one(chain, asked)
    if not 0 < len(asked) <= _MOST_REQUESTS:
        return _failure(None, _INVALID_REQUEST, f"a batch holds 1 to {_MOST_REQUESTS} requests")
    return [_answer_one(chain, one) for one in asked]


def _answer_one(chain: Transport, asked: Any) -> dict[str, Any]:
    if not isinstance(asked, dict) or not isinstance(asked.get("method"), str):
        return _failure(None, _INVALID_REQUEST, "a request is an object with a method")
    params = asked.get("params", [])
    if not isinstance(params, list):
        return _failure(asked.get("id"), _INVALID_REQUEST, "params is a list")
    try:
        return {"jsonrpc": "2.0", "id": asked.get("id"), "result": chain.request(asked["method"], params)}
    except RpcError as error:
        return _failure(asked.get("id"), error.code, error.message, error.data)
    except ChainError as error:  # when the served chain is itself a client of another one
        return _failure(asked.get("id"), _SERVER_ERROR, str(error))


def _failure(identity: Any, code: int, message: str, data: bytes | None = None) -> dict[str, Any]:
    error: dict[str, Any] = {"code": code, "message": message}
    if data is not None:
        error["data"] = "0x" + data.hex()
    return {"jsonrpc": "2.0", "id": identity, "error": error}


def _json(value: Any, status: int = 200) -> Response:
    return Response(json.dumps(value), status_code=status, media_type="application/json")
