"""An index of a chain's records, from nothing to the latest block: proven complete, with all state, and reorg-safe."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from millmark.ledger.chain import Chain, HttpTransport, Node, find_profile, read_deployment
from millmark.ledger.index import Follower
from millmark.services.serving.server import collect_rarely
from millmark.services.store import open_store
from tests.bench.peers.answer import Act, Prepare


def start(arguments: Mapping[str, Any]) -> Mapping[str, Prepare]:
    collect_rarely()  # as the gateway does, in which an index is kept
    deployment = read_deployment(Path(arguments["deployment"]))
    folder = tempfile.TemporaryDirectory(prefix="millmark-bench-")  # lives as long as the process
    turns = iter(range(10**9))

    def index() -> Act:
        store = open_store(f"sqlite:///{folder.name}/{next(turns)}.sqlite")
        chain = Chain(Node(HttpTransport(arguments["url"])), find_profile("anvil"), deployment)

        def act() -> tuple[int, object]:
            with store:
                return Follower(chain, store).follow().records, None

        return act

    return {"index": index}
