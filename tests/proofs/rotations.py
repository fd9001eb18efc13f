"""Rotations of document keys side by side: `python -m tests.proofs.rotations 200`, on SQLite and on PostgreSQL.

Two threads rotate the key file of one gateway at the same time, COUNT times in all, each with a store and a key ring of
its own, as two processes have. A third adds documents. Afterwards each document opens, and the key file has one key.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from millmark.ledger.store import Store
from millmark.services.documents import Documents, KeyRing
from millmark.services.documents.encryption import open_sealed
from millmark.services.documents.views import Mode
from millmark.services.store import open_store
from tests.support import cluster
from tests.support.shared_world import CONTENT, OWNER, SharedWorld, build_shared_world

__all__ = ["rotate_side_by_side"]

_AT_ONCE = 2
_PAUSE_S = 0.05


def rotate_side_by_side(url: str, folder: Path, count: int) -> dict[str, int]:
    """Rotates `count` times in each of two threads. Returns how many rotations succeeded, documents were added, and
    documents do not open, and how many keys are left."""
    with open_store(url) as store:
        shared = build_shared_world(store, folder)
        ids = [shared.add(Mode.PRIVATE).document for _ in range(10)]
        keys = folder / "document-keys.json"
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            rotating = [pool.submit(_rotate, url, keys, count) for _ in range(_AT_ONCE)]
            while not all(one.done() for one in rotating):
                ids.append(shared.add(Mode.PRIVATE).document)
                time.sleep(_PAUSE_S)
            done = sum(one.result() for one in rotating)
        lost = sum(not _opens(shared, id_) for id_ in ids)
        left = len(json.loads(keys.read_bytes())["keys"])
    return {"rotations": done, "documents": len(ids), "lost": lost, "keys": left}


def _opens(shared: SharedWorld, id_: str) -> bool:
    try:
        return open_sealed(shared.fetch(id_, OWNER, None), shared.private_keys[OWNER]).content == CONTENT
    except Exception:  # whatever it is, the document is lost
        return False


def _rotate(url: str, keys: Path, count: int) -> int:
    with open_store(url) as store:
        documents = Documents(_Unscrubbed(store), KeyRing(keys))
        for _ in range(count):
            documents.rotate()
            time.sleep(_PAUSE_S)  # whoever waits for the key file looks again within that time
    return count


class _Unscrubbed(Store):
    """A second handle on a database. Its files are not rewritten after each rotation: that takes most of the time."""

    def __init__(self, store: Store) -> None:
        super().__init__(store._engine)

    def scrub(self) -> None:
        pass


@contextmanager
def _databases(folder: Path) -> Iterator[dict[str, str]]:
    found = {"SQLite": f"sqlite:///{folder / 'ledger.db'}"}
    if cluster.describe_missing() is not None:
        yield found
        return
    with cluster.running_cluster() as url:
        yield found | {"PostgreSQL": url}


def main(arguments: list[str]) -> int:
    lost = 0
    with tempfile.TemporaryDirectory() as folder, _databases(Path(folder)) as databases:
        for name, url in databases.items():
            home = Path(folder) / name
            home.mkdir()
            found = rotate_side_by_side(url, home, int(arguments[0]) // _AT_ONCE)
            lost += found["lost"]
            sys.stdout.write(f"{name}: {found}\n")
            sys.stdout.flush()
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
