"""Walks through the lots of a large plant, in a store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ledger.store import Lineage
from services.lab.bench.peers.answer import Prepare, answer
from services.lab.bench.peers.walks import build_tasks
from services.store import open_store

_DEPTH, _MOST = 256, 1_000_000


def start(arguments: Mapping[str, Any]) -> Mapping[str, Prepare]:
    store = open_store(arguments["database"])

    def ancestors(lot: bytes) -> set[bytes]:
        with store.reading() as connection:
            return {one for one, depth in Lineage(connection).upstream([lot], _DEPTH, _MOST) if depth}

    def descendants(lot: bytes) -> set[bytes]:
        with store.reading() as connection:
            return {one for one, depth in Lineage(connection).downstream([lot], _DEPTH, _MOST) if depth}

    return build_tasks({"ancestors": ancestors, "descendants": descendants}, arguments["lots"])


if __name__ == "__main__":
    answer(start)
