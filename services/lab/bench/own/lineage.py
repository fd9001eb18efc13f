"""Walks through the lots of a large plant, and traces, in a store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ledger.provenance import Limits, trace_lot
from ledger.store import Lineage
from services.lab.bench.peers.answer import Prepare, answer
from services.lab.bench.peers.walks import build_tasks
from services.store import open_store

_DEPTH, _MOST = 256, 1_000_000
_SMALL = Limits(depth=256, lots=50)


def start(arguments: Mapping[str, Any]) -> Mapping[str, Prepare]:
    store = open_store(arguments["database"])

    def ancestors(lot: bytes) -> set[bytes]:
        with store.reading() as connection:
            return {one for one, depth in Lineage(connection).upstream([lot], _DEPTH, _MOST) if depth}

    def descendants(lot: bytes) -> set[bytes]:
        with store.reading() as connection:
            return {one for one, depth in Lineage(connection).downstream([lot], _DEPTH, _MOST) if depth}

    def trace(lot: bytes) -> set[bytes]:
        return {one.subject for one in trace_lot(store, lot, limits=_SMALL).lots}

    ways = {"ancestors": ancestors, "descendants": descendants, "trace": trace}
    return build_tasks({name: ways[name] for name in arguments["lots"]}, arguments["lots"])


if __name__ == "__main__":
    answer(start)
