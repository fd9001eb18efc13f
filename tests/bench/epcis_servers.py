"""Event servers for benchmarks, each run in its own process: `python -m tests.bench.epcis_servers`.

The peers are the obvious first implementation: FastAPI, a pydantic model, one event per request, committed before the
response. They check structure and types only: no standard vocabulary, hash, deduplication, evidence or search index.
`peer` accepts EPCIS events, `plain` accepts a node's events; `...-memory` is the same without a disk.
"""

from __future__ import annotations

import sqlite3
import sys
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, Field

from millmark.services.gateway import GatewayParts, Limiter, Rates, build_policy, create_gateway
from millmark.services.serving.server import listen, serve_on
from millmark.services.store import open_store

_NO_LIMIT = 1e9


class Place(BaseModel):
    id: str


class Transaction(BaseModel):
    type: str
    bizTransaction: str  # noqa: N815 - the standard's own name


class PlainEvent(BaseModel):
    """A node's event as `plain` validates it (services/node/EVENTS.md)."""

    id: str = Field(min_length=1, max_length=128)
    time: datetime
    data: dict[str, Any]


class ObjectEvent(BaseModel):
    """An EPCIS event as `peer` validates it; other members are ignored."""

    type: Literal["ObjectEvent"]
    id: str = Field(alias="eventID")
    event_time: datetime = Field(alias="eventTime")
    zone: str = Field(alias="eventTimeZoneOffset", pattern=r"^[+-]\d\d:\d\d$")
    epcs: list[str] = Field(alias="epcList")
    action: Literal["ADD", "OBSERVE", "DELETE"]
    step: str = Field(alias="bizStep")
    disposition: str
    read_point: Place = Field(alias="readPoint")
    location: Place = Field(alias="bizLocation")
    transactions: list[Transaction] = Field(alias="bizTransactionList")


def _peer(model: type[ObjectEvent | PlainEvent], database: sqlite3.Connection | None) -> FastAPI:
    app = FastAPI()
    kept: list[str] = []

    async def add(event: ObjectEvent | PlainEvent) -> dict[str, str]:
        text = event.model_dump_json(by_alias=True)
        if database is None:
            kept.append(text)
        else:
            with database:
                database.execute("INSERT INTO events (id, content) VALUES (?, ?)", (event.id, text))
        return {"id": event.id}

    add.__annotations__["event"] = model  # FastAPI validates by the annotation, which differs between the peers
    app.post("/events", status_code=201)(add)
    return app


def _database(path: Path) -> sqlite3.Connection:
    """A database as durable as the gateway's: WAL, waiting for the disk at every commit."""
    database = sqlite3.connect(path, check_same_thread=False)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("CREATE TABLE events (number INTEGER PRIMARY KEY, id TEXT, content TEXT)")
    return database


def _app(name: str, folder: Path) -> FastAPI:
    if name == "gateway":
        store = open_store(f"sqlite:///{folder / 'gateway.sqlite'}")
        return create_gateway(
            GatewayParts(store, build_policy("loopback-open"), limiter=Limiter(Rates(_NO_LIMIT, _NO_LIMIT)))
        )
    model = ObjectEvent if name.startswith("peer") else PlainEvent
    return _peer(model, None if name.endswith("-memory") else _database(folder / f"{name}.sqlite"))


def main(name: str, folder: Path) -> None:
    """Prints its port, then serves until terminated."""
    listener = listen("127.0.0.1", 0)
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    serve_on([listener], uvicorn.Server(uvicorn.Config(_app(name, folder), log_level="warning", access_log=False)))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
