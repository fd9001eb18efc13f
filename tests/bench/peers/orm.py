"""Lineage by SQLAlchemy: a recursive query, and each lot loaded as an object, or its subject alone. On the store's own
file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from tests.bench.orm_peer import Peer
from tests.bench.peers.answer import Prepare, answer
from tests.bench.peers.walks import build_tasks


def start(arguments: Mapping[str, Any]) -> Mapping[str, Prepare]:
    peer = Peer(arguments["database"])
    ways = {
        f"{how}{name}": partial(query, up=up)
        for how, query in (("", peer.query_objects), ("subjects of ", peer.query_subjects))
        for name, up in (("ancestors", True), ("descendants", False))
    }
    return build_tasks(ways, arguments["lots"])


if __name__ == "__main__":
    answer(start)
