"""Tasks of programs that find lots from lots. Needs the standard library alone, as `answer` does."""

import hashlib
from collections.abc import Callable, Mapping, Sequence

from tests.bench.peers.answer import Act, Prepare


def build_tasks(
    ways: Mapping[str, Callable[[bytes], set[bytes]]], lots: Mapping[str, Sequence[str]]
) -> Mapping[str, Prepare]:
    """For each way, a task that asks for all of its lots, and one that returns a digest of the answers.

    The last word of a way's name is the kind of its lots in `lots`.
    """

    def task(way: Callable[[bytes], set[bytes]], asked: Sequence[bytes], *, shown: bool) -> Prepare:
        def prepare() -> Act:
            def act() -> tuple[int, object]:
                found = [way(lot) for lot in asked]
                return len(found), [_digest(one) for one in found] if shown else sum(map(len, found))

            return act

        return prepare

    asked = {name: [bytes.fromhex(one) for one in lots[name.rpartition(" ")[2]]] for name in ways}
    tasks = {name: task(way, asked[name], shown=False) for name, way in ways.items()}
    return tasks | {f"show {name}": task(way, asked[name], shown=True) for name, way in ways.items()}


def _digest(lots: set[bytes]) -> str:
    return hashlib.sha256(b"".join(sorted(lots))).hexdigest()
