"""A gateway's process stops within a write: `python -m tests.proofs.frozen_writer 60`, on PostgreSQL.

The process holds the database's write lock and the lease on a signing key, and is stopped (SIGSTOP) for that number of
seconds. Meanwhile another process writes with 20 threads, reads with 4, and wants the lease. Prints what it saw. Exit
code 1 unless all reads succeeded within a second, and writes and lease were there within 20 s.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from millmark.ledger.errors import LeaseHeldError, MillmarkError
from millmark.ledger.store import Book, Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.submit.submitter import Lease
from millmark.services.store import open_store
from tests.support import cluster

__all__ = ["HOLDER", "KEY", "holds"]

KEY = bytes(20)
HOLDER = """
import sys
from millmark.ledger.store import open_store, postgresql
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.submit.submitter import Lease
postgresql._WRITER_IDLE_S = int(sys.argv[2])
store = open_store(sys.argv[1])
Lease(Outbox(store), bytes(20)).hold()
with store.transaction():
    print("writing", flush=True)
    sys.stdin.readline()
"""
"""The process that is stopped; takes a database URL and the longest pause within a write."""
_WRITERS, _READERS, _LIMIT_S, _READ_S = 20, 4, 20.0, 1.0


class _Watch:
    """What one process sees while the other is stopped. Times are seconds since the start."""

    def __init__(self, store: Store, seconds: float) -> None:
        self._store, self._began = store, time.monotonic()
        self._end = self._began + seconds
        self._lock = threading.Lock()
        self.reads: list[float] = []
        self.writes: list[float] = []
        self.refused: dict[str, int] = {}
        self.failed_reads = 0
        self.lease_s: float | None = None

    def _since(self) -> float:
        return time.monotonic() - self._began

    def read(self) -> None:
        while time.monotonic() < self._end:
            before = time.monotonic()
            try:
                with self._store.reading() as connection:
                    Book(connection).names()
            except MillmarkError:
                self.failed_reads += 1
            with self._lock:
                self.reads.append(time.monotonic() - before)
            time.sleep(0.02)

    def write(self, number: int) -> None:
        while time.monotonic() < self._end:
            try:
                with self._store.transaction() as connection:
                    Book(connection).put_document(number.to_bytes(32), "{}")
                with self._lock:
                    self.writes.append(self._since())
            except MillmarkError as error:
                with self._lock:
                    self.refused[error.code] = self.refused.get(error.code, 0) + 1
            time.sleep(0.1)

    def want_lease(self) -> None:
        lease = Lease(Outbox(self._store), KEY)
        while time.monotonic() < self._end and self.lease_s is None:
            try:
                if holds(lease):
                    self.lease_s = self._since()
            except MillmarkError:
                pass  # the write lock is still held
            time.sleep(0.1)


def holds(lease: Lease) -> bool:
    """Whether the lease could be taken."""
    try:
        lease.hold()
    except LeaseHeldError:
        return False
    return True


def main(seconds: float) -> int:
    with cluster.running_cluster() as url, open_store(url) as store:
        command = [sys.executable, "-c", HOLDER, url, "10"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
            assert holder.stdout is not None
            holder.stdout.readline()
            os.kill(holder.pid, signal.SIGSTOP)
            watch = _Watch(store, seconds)
            with ThreadPoolExecutor(_WRITERS + _READERS + 1) as pool:
                for number in range(_WRITERS):
                    pool.submit(watch.write, number)
                for _ in range(_READERS):
                    pool.submit(watch.read)
                pool.submit(watch.want_lease)
            holder.kill()
    found = {
        "stopped_s": seconds,
        "reads": len(watch.reads),
        "failed_reads": watch.failed_reads,
        "slowest_read_s": round(max(watch.reads), 3),
        "first_write_s": round(min(watch.writes, default=-1.0), 1),
        "writes": len(watch.writes),
        "refused_writes": watch.refused,
        "lease_taken_over_s": None if watch.lease_s is None else round(watch.lease_s, 1),
    }
    sys.stdout.write(json.dumps(found) + "\n")
    late = not watch.writes or min(watch.writes) > _LIMIT_S or watch.lease_s is None or watch.lease_s > _LIMIT_S
    return 1 if late or watch.failed_reads or max(watch.reads) > _READ_S else 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1])))
