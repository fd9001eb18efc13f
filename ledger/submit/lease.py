"""One submitter a key: a lease in the database, with a number that grows with each holder.

A holder renews while it lives. Another one takes over when the holder's process is gone, or when it saw no renewal for
`lease_s` on its own monotonic clock; so no jump of any wall clock makes two leaders. A holder that was only asleep
finds its number outdated at its next write, which is refused: what it sent before were stored bytes, which are harmless
to send twice.
"""

from __future__ import annotations

import os
import time

from ledger.errors import LeaseHeldError
from ledger.store.outbox import LeaseRow, Outbox, OutboxWriter
from ledger.store.process_identity import describe_process, is_gone

__all__ = ["Lease"]

_LEASE_S = 15.0
"""Longer than the client waits for a node's answer: a submitter that waits for one is not taken for dead."""
_RENEWALS = 3
"""In the time of one lease."""


class Lease:
    """One submitter's claim to a key."""

    def __init__(self, outbox: Outbox, signer: bytes, lease_s: float = _LEASE_S) -> None:
        self._outbox = outbox
        self._signer = signer
        self._lease_s = lease_s
        self._holder = describe_process(os.getpid())
        self._desk: OutboxWriter | None = None
        self._renewed_at = 0.0
        self._seen: LeaseRow | None = None
        """Of another holder, as it was first seen at `_seen_at`."""
        self._seen_at = 0.0

    def hold(self) -> OutboxWriter:
        """The desk, the lease taken or renewed when it is time to. Raises LeaseHeldError while another one works."""
        if self._desk is not None and time.monotonic() - self._renewed_at < self._lease_s / _RENEWALS:
            return self._desk
        row = self._outbox.lease(self._signer)
        if row is not None and self._desk is not None and row.fence == self._desk.fence:
            fence = row.fence
        elif row is None or self._is_free(row):
            fence = 1 if row is None else row.fence + 1
        else:
            raise LeaseHeldError(row.holder)
        self._desk = self._outbox.take_lease(self._signer, row, self._holder, fence)
        self._renewed_at = time.monotonic()
        return self._desk

    def drop(self) -> None:
        """The lease is another's: it must be taken anew."""
        self._desk = None

    def _is_free(self, row: LeaseRow) -> bool:
        if row.holder == self._holder or is_gone(row.holder):
            return True  # two submitters of one process take turns; one taken for gone wrongly is kept off by its fence
        if self._seen != row:
            self._seen, self._seen_at = row, time.monotonic()
        return time.monotonic() - self._seen_at >= self._lease_s
