"""A client of the gateway without a socket, a world to query, and a fake chain with a node for the gateway."""

from __future__ import annotations

import asyncio
import atexit
import functools
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import httpx
from fastapi import FastAPI

from millmark.ledger.events import Header
from millmark.ledger.events.lots import LotReceived
from millmark.ledger.ids import Identity, SubjectKind
from millmark.ledger.records import Contract
from millmark.ledger.store import Book, Store
from tests.support.fake_ledger import NONE, PIECE, FakeChain, digest
from tests.support.fake_world import SMITH, World, build_world

LINK = "https://id.gs1.org/01/09506000134352/21/A-1"
SLASHED = "https://id.gs1.org/01/09506000134352/21/A%2F1"
"""A link whose serial number contains a slash, which is not a path separator."""

if find_spec("sniffio") is None:
    # httpx tries to import it with every request; so that is refused without a search of all folders.
    sys.modules["sniffio"] = None  # type: ignore[assignment]  # as the import system allows


@functools.cache
def _main_loop() -> asyncio.Runner:
    """Of the main thread, for all its requests: each new loop would start a new worker thread."""
    runner = asyncio.Runner()
    atexit.register(runner.close)
    return runner


@contextmanager
def running(app: FastAPI) -> Iterator[Caller]:
    """Runs the application's threads; for the main thread."""
    lifespan = app.router.lifespan_context(app)
    _main_loop().run(lifespan.__aenter__())
    try:
        yield Caller(app)
    finally:
        _main_loop().run(lifespan.__aexit__(None, None, None))


@dataclass(frozen=True)
class Caller:
    """Calls the application."""

    app: FastAPI

    def ask(self, path: str, method: str = "GET", body: object = None, **headers: str) -> httpx.Response:
        """Sends a request. Underscores in header names stand for hyphens. A body that is not bytes is sent as JSON."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            named["Content-Type"] = "application/json"
        request = self._ask(method, path, named, body)
        if threading.current_thread() is threading.main_thread():
            return _main_loop().run(request)
        return asyncio.run(request)

    async def _ask(self, method: str, path: str, headers: dict[str, str], body: bytes | None) -> httpx.Response:
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, path, headers=headers, content=body)

    def problem(self, path: str, method: str = "GET") -> dict[str, Any]:
        answer = self.ask(path, method)
        assert answer.headers["content-type"] == "application/problem+json"
        found: dict[str, Any] = answer.json()
        assert found["status"] == answer.status_code
        assert found["request_id"] == answer.headers["x-request-id"]
        assert "Traceback" not in answer.text
        return found


@dataclass
class FakeNode:
    chain: FakeChain

    def header(self, number: int | None = None) -> Header:
        return self.chain.header(-1 if number is None else number)


@dataclass
class ServedChain(FakeChain):
    """A fake chain that can be unreachable, or raise other errors."""

    broken: Exception | None = None
    node: FakeNode = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.node = FakeNode(self)

    def genesis_hash(self) -> bytes:
        self._verify_up()
        return super().genesis_hash()

    def sequence(self, contract: Contract) -> int:
        self._verify_up()
        return self.sequences[contract]

    def _verify_up(self) -> None:
        if self.broken is not None:
            raise self.broken


def build_linked_world(store: Store) -> World:
    """The small world, with two lots under GS1 Digital Links."""
    world = build_world(store)
    for link in (LINK, SLASHED):
        identity = Identity(SubjectKind.LOT, SMITH, link, digest("salt", link))
        lot = identity.subject
        world.fake.chain.record(LotReceived(1, PIECE, NONE), SMITH, lot, (lot,))
        with store.transaction() as connection:
            Book(connection).add_identity(identity)
        world.lots[link] = lot
    world.follow()
    return world
