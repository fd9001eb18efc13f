"""Ensures one submitter per key: a lease in the database, with a fencing number that increases with each holder.

The holder renews the lease while it runs. Another submitter takes over when the holder's process is gone, or after
seeing no renewal for `lease_s` on its own monotonic clock, so that no jump of a wall clock results in two holders. If
the old holder was merely suspended, its next write is refused because of its outdated fencing number. All that it could
still send are stored bytes, which may safely be sent twice.
"""

from __future__ import annotations

import os
import time

from millmark.ledger.errors import LeaseHeldError
from millmark.ledger.store.outbox import LeaseRow, Outbox, OutboxWriter
from millmark.ledger.store.process_identity import describe_process, is_gone

__all__ = ["Lease"]

_LEASE_S = 15.0
"""Longer than the timeout of a request to a node, so that a submitter that waits for an answer keeps its lease."""
_RENEWALS = 3
"""Renewals within the duration of a lease."""


class Lease:
    """One submitter's lease on a key."""

    def __init__(self, outbox: Outbox, signer: bytes, lease_s: float = _LEASE_S) -> None:
        self._outbox = outbox
        self._signer = signer
        self._lease_s = lease_s
        self._holder = describe_process(os.getpid())
        self._writer: OutboxWriter | None = None
        self._renewed_at = 0.0
        self._seen: LeaseRow | None = None
        """Another holder's lease, unchanged since `_seen_at`."""
        self._seen_at = 0.0

    def hold(self) -> OutboxWriter:
        """Take or renew the lease if necessary, and return the writer that it fences.

        Raises LeaseHeldError while another submitter holds it.
        """
        if self._writer is not None and time.monotonic() - self._renewed_at < self._lease_s / _RENEWALS:
            return self._writer
        row = self._outbox.lease(self._signer)
        if row is not None and self._writer is not None and row.fence == self._writer.fence:
            fence = row.fence  # still ours: renewed under the same number
        elif row is None or self._is_free(row):
            fence = 1 if row is None else row.fence + 1
        else:
            raise LeaseHeldError(row.holder)
        self._writer = self._outbox.take_lease(self._signer, row, self._holder, fence)
        self._renewed_at = time.monotonic()
        return self._writer

    def drop(self) -> None:
        """Forget the lease after losing it to another submitter; the next `hold` has to take it again."""
        self._writer = None

    def _is_free(self, row: LeaseRow) -> bool:
        if row.holder == self._holder or is_gone(row.holder):
            # Two submitters in one process take turns. If a process is wrongly believed to be gone, fencing stops it.
            return True
        if self._seen != row:
            self._seen, self._seen_at = row, time.monotonic()
        return time.monotonic() - self._seen_at >= self._lease_s
