"""The obvious durable ingest: pydantic reads an event, eth-account signs it or checks its signature, pymerkle takes it
into a tree in memory, and SQLite commits it (WAL, synchronous = FULL) before it is acknowledged."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.messages import encode_defunct, encode_typed_data
from pydantic import BaseModel, Field
from pymerkle import InmemoryTree

from tests.bench.peers.answer import Act, Prepare

_DOMAIN = {"name": "Millmark", "version": "1", "chainId": 1}
_TYPES = {"Event": [{"name": "data", "type": "bytes"}, {"name": "nonce", "type": "uint256"}]}


class Event(BaseModel):
    """As services/node/EVENTS.md has it, types alone."""

    id: str = Field(min_length=1, max_length=128)
    time: datetime
    data: dict[str, Any]


def start(arguments: Mapping[str, Any]) -> Mapping[str, Prepare]:
    account = Account.create()
    folder = tempfile.TemporaryDirectory(prefix="millmark-bench-")
    database = sqlite3.connect(Path(folder.name) / "peer.sqlite")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("CREATE TABLE events (id TEXT, content BLOB, signature BLOB)")
    tree = InmemoryTree(algorithm="sha256")
    turns = iter(range(10**9))

    def keep(event: Event, body: bytes, signature: bytes) -> None:
        tree.append_entry(body)
        with database:
            database.execute("INSERT INTO events VALUES (?, ?, ?)", (event.id, body, signature))

    def ingest() -> Act:
        bodies = _bodies(next(turns), arguments["singles"])

        def act() -> tuple[int, object]:
            assert folder is not None
            for body in bodies:
                event = Event.model_validate_json(body)
                keep(event, body, account.sign_message(encode_defunct(body)).signature)
            return len(bodies), len(bodies)

        return act

    def check() -> Act:
        bodies = _bodies(next(turns), arguments["singles"])
        signed = [(body, account.sign_message(_message(body)).signature) for body in bodies]

        def act() -> tuple[int, object]:
            for body, signature in signed:
                event = Event.model_validate_json(body)
                assert Account.recover_message(_message(body), signature=signature) == account.address
                keep(event, body, signature)
            return len(signed), len(signed)

        return act

    return {"ingest": ingest, "check": check}


def _message(body: bytes) -> Any:
    return encode_typed_data(_DOMAIN, _TYPES, {"data": body, "nonce": 0})


def _bodies(turn: int, count: int) -> list[bytes]:
    data = {"force_n": 500, "temperature_mk": 293_150, "program": "shaft-12"}
    return [
        json.dumps({"id": f"press-{turn}-{number}", "time": "2025-01-01T00:00:00Z", "data": data}).encode()
        for number in range(count)
    ]
