"""Traces in a plant's store, and a chain indexed into that store."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from millmark.ledger.chain import Chain, HttpTransport, Node, find_profile, read_deployment
from millmark.ledger.index import Follower
from millmark.ledger.provenance import Limits, trace_lot
from millmark.services.serving.server import collect_rarely
from millmark.services.store import open_store
from tests.bench.peers.answer import Act, Prepare

_LIMITS = Limits(depth=256, lots=50)


def start(arguments: Mapping[str, Any]) -> Mapping[str, Prepare]:
    collect_rarely()  # as the gateway does
    store = open_store(arguments["database"])
    chain = Chain(
        Node(HttpTransport(arguments["url"])), find_profile("anvil"), read_deployment(Path(arguments["deployment"]))
    )
    follower = Follower(chain, store)
    lots = [bytes.fromhex(one) for one in arguments["lots"]]

    def trace() -> Act:
        def act() -> tuple[int, object]:
            found = [trace_lot(store, lot, limits=_LIMITS) for lot in lots]
            return len(lots), sum(len(one.upstream) for one in found)

        return act

    def index() -> Act:
        def act() -> tuple[int, object]:
            return follower.follow(arguments["blocks"]).records, None

        return act

    return {"trace": trace, "index": index}
