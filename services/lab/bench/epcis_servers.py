"""Servers that take events, each in a process of its own: `python -m services.lab.bench.epcis_servers`.

The peers are what one writes first: FastAPI, a pydantic model, one event a request, committed before it is answered.
They check shapes and types alone: no standard words, no hash, no duplicates, no evidence, no index to ask. `peer` takes
EPCIS events, `plain` those that a node takes; `...-memory` is the same without a disk.
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

from services.gateway import GatewayParts, Limiter, Rates, build_policy, create_gateway
from services.serving.sockets import listen, serve_on
from services.store import open_store

__all__ = ["main"]

_NO_LIMIT = 1e9


class Place(BaseModel):
    id: str


class Transaction(BaseModel):
    type: str
    bizTransaction: str  # noqa: N815 - the standard's own name


class PlainEvent(BaseModel):
    """As the other peer reads one event (services/node/EVENTS.md)."""

    id: str = Field(min_length=1, max_length=128)
    time: datetime
    data: dict[str, Any]


class ObjectEvent(BaseModel):
    """As the peer reads one event; what it does not name it passes over."""

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

    add.__annotations__["event"] = model
    app.post("/events", status_code=201)(add)
    return app


def _database(path: Path) -> sqlite3.Connection:
    """As durable as the gateway's: WAL, waiting for the disk at each commit."""
    database = sqlite3.connect(path, check_same_thread=False)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("CREATE TABLE events (number INTEGER PRIMARY KEY, id TEXT, content TEXT)")
    return database


def _app(name: str, folder: Path) -> FastAPI:
    if name == "gateway":
        store = open_store(f"sqlite:///{folder / 'gateway.sqlite'}")
        return create_gateway(GatewayParts(store, build_policy(), limiter=Limiter(Rates(_NO_LIMIT, _NO_LIMIT))))
    model = ObjectEvent if name.startswith("peer") else PlainEvent
    return _peer(model, None if name.endswith("-memory") else _database(folder / f"{name}.sqlite"))


def main(name: str, folder: Path) -> None:
    """Says its port, then serves until it is told to stop."""
    listener = listen("127.0.0.1", 0)
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    serve_on(listener, uvicorn.Server(uvicorn.Config(_app(name, folder), log_level="warning", access_log=False)))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
