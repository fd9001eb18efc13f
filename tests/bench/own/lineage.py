"""Walks through the lots of a large plant, in a store: with the steps that the process has kept, or for the first time.

All that a service does for a question is timed: it begins a transaction, and looks up which state of the index it sees.
"""

from collections.abc import Callable, Mapping
from typing import Any

from millmark.ledger.store import Connection, Lineage
from millmark.ledger.store.lineage import KEPT_STEPS, KeptSteps
from millmark.services.serving.server import collect_rarely
from millmark.services.store import open_store
from tests.bench.peers.answer import Prepare
from tests.bench.peers.walks import build_tasks

_DEPTH, _MOST = 256, 1_000_000


def start(arguments: Mapping[str, Any]) -> Mapping[str, Prepare]:
    collect_rarely()  # as the gateway does
    store = open_store(arguments["database"])

    def ask(find: Callable[[Connection, bytes], set[bytes]]) -> Callable[[bytes], set[bytes]]:
        def way(lot: bytes) -> set[bytes]:
            with store.reading() as connection:
                return find(connection, lot) - {lot}

        return way

    ways = {"ancestors": _ancestors, "descendants": _descendants}
    firsts = {f"first {name}": _forgetting(find) for name, find in ways.items()}
    return build_tasks({name: ask(find) for name, find in (ways | firsts).items()}, arguments["lots"])


def _ancestors(connection: Connection, lot: bytes) -> set[bytes]:
    return Lineage(connection).all_upstream([lot], _DEPTH, _MOST)


def _descendants(connection: Connection, lot: bytes) -> set[bytes]:
    return Lineage(connection).all_downstream([lot], _DEPTH, _MOST)


def _forgetting(find: Callable[[Connection, bytes], set[bytes]]) -> Callable[[Connection, bytes], set[bytes]]:
    """As a process does that has kept no step yet."""

    def find_first(connection: Connection, lot: bytes) -> set[bytes]:
        return find(connection.execution_options(**{KEPT_STEPS: KeptSteps()}), lot)

    return find_first
