"""JSON-RPC 2.0 over HTTP for an embedded chain. For development only: it has no authentication.

The server runs as a program of its own, or in a background thread of another program, such as the gateway.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool

from millmark.ledger.chain import EmbeddedChain, RpcError, Transport
from millmark.ledger.errors import CanonicalError, ChainError, SettingsError
from millmark.ledger.event_json import parse_value
from millmark.services.devchain.journal import JournaledChain
from millmark.services.serving.hosts import LOOPBACK_HOSTS, HostCheck
from millmark.services.serving.server import listen

_MAX_BYTES = 4 * 1024 * 1024
_MAX_DEPTH = 64
_MAX_REQUESTS = 1000
_PARSE_ERROR, _INVALID_REQUEST, _TOO_LARGE, _SERVER_ERROR = -32700, -32600, -32600, -32000


def create_devchain(chain: Transport | None = None, hosts: frozenset[str] | None = LOOPBACK_HOSTS) -> FastAPI:
    """Builds the application; it serves a new chain in memory unless one is given, under these host names."""
    served = EmbeddedChain() if chain is None else chain
    app = FastAPI(title="Millmark devchain", docs_url=None, redoc_url=None, openapi_url=None)

    @app.post("/")
    async def serve(request: Request) -> Response:
        # A page of any site may have a browser send text; JSON only with our consent, which we never give (CORS).
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return _json(_failure(None, _INVALID_REQUEST, "send Content-Type: application/json"), 415)
        body = await _read(request)
        if body is None:
            return _json(_failure(None, _TOO_LARGE, f"requests are limited to {_MAX_BYTES} bytes"), 413)
        # Executing transactions takes long; meanwhile the event loop must answer other connections.
        return _json(await run_in_threadpool(_answer, served, body))

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    app.add_middleware(HostCheck, hosts=hosts)
    return app


async def _read(request: Request) -> bytes | None:
    """The body; None if it is too large, as soon as it exceeds the limit."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_BYTES:
            return None
    return bytes(body)


def _answer(chain: Transport, body: bytes) -> Any:
    try:
        asked = parse_value(body, max_bytes=_MAX_BYTES, max_depth=_MAX_DEPTH).value
    except CanonicalError as error:
        return _failure(None, _PARSE_ERROR, str(error))
    if not isinstance(asked, list):
        return _answer_one(chain, asked)
    if not 0 < len(asked) <= _MAX_REQUESTS:
        return _failure(None, _INVALID_REQUEST, f"a batch holds 1 to {_MAX_REQUESTS} requests")
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


_HOSTS = ("127.0.0.1", "localhost")
_STOP_S = 10.0


@contextmanager
def host_journal(path: Path, url: str | None) -> Iterator[None]:
    """Serves the journal's chain at `url` during the `with` block, and journals the blocks made meanwhile.

    Raises SettingsError if the journal does not exist, or if the address is taken or is not on the loopback (the chain
    has no authentication); StoreDamagedError for a damaged journal.
    """
    host, port = _split(url)
    if not path.is_file():
        raise SettingsError(f"{path} does not exist", hint="correct devchain_journal, or run `millmark demo` again")
    with closing(JournaledChain(path)) as chain, listen(host, port) as listener:
        # No log configuration: the hosting program has its own. The thread is a daemon, and the wait for it bounded,
        # so that neither a crash nor a stuck client keeps that program from ending.
        server = uvicorn.Server(uvicorn.Config(create_devchain(chain), log_config=None, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="devchain", daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.should_exit = True
            thread.join(_STOP_S)


def _split(url: str | None) -> tuple[str, int]:
    try:
        parts = urlsplit(url or "")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    if host not in _HOSTS or not port or url != f"http://{host}:{port}":
        raise SettingsError(
            "devchain_journal is set, but chain_url is not a port of this machine",
            hint="set chain_url to the address to serve the chain at, such as http://127.0.0.1:8601",
        )
    return host, port
