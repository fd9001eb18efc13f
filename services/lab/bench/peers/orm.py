"""Lineage by SQLAlchemy: a recursive query, and each lot loaded as an object. On the store's own file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from services.lab.bench.orm_peer import Peer
from services.lab.bench.peers.answer import Prepare, answer
from services.lab.bench.peers.walks import build_tasks


def start(arguments: Mapping[str, Any]) -> Mapping[str, Prepare]:
    peer = Peer(arguments["database"])
    ways = {"ancestors": partial(peer.query_objects, up=True), "descendants": partial(peer.query_objects, up=False)}
    return build_tasks(ways, arguments["lots"])


if __name__ == "__main__":
    answer(start)
