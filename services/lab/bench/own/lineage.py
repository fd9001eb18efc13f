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
            return Lineage(connection).all_upstream([lot], _DEPTH, _MOST) - {lot}

    def descendants(lot: bytes) -> set[bytes]:
        with store.reading() as connection:
            return Lineage(connection).all_downstream([lot], _DEPTH, _MOST) - {lot}

    return build_tasks({"ancestors": ancestors, "descendants": descendants}, arguments["lots"])


if __name__ == "__main__":
    answer(start)
