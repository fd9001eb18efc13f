"""Outbox, store and transport that kill their own process with SIGKILL right before or after a named step."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from millmark.ledger.chain import Transport
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Entry, LeaseRow, Outbox, OutboxWriter

__all__ = ["CrashingOutbox", "CrashingOutboxWriter", "CrashingStore", "CrashingTransport", "KillPoint"]

_SEND = "eth_sendRawTransaction"
WRITER = "millmark.ledger.store.outbox_writer"
RELAY = "millmark.ledger.submit.relay"
CRASH_POINTS: Mapping[str, Sequence[str]] = {
    "millmark.ledger.store.outbox": ("enqueue", "take_lease"),
    WRITER: (
        *("together", "start", "store_signed", "replace_signed", "mark_sent", "settle", "mark_final"),
        *("mark_reorganised", "requeue", "mark_replaced", "fail_record", "fill"),
    ),
    "millmark.ledger.submit.sender": ("send",),
    "millmark.ledger.index.follower": ("index",),
    RELAY: ("allocate", "store_signed", "mark_sent", "mark_mined", "mark_final"),
}
"""By module: the methods, and the commit of a batch of blocks, before and after which the process is killed; those of
the relay are the writer's moves with which relayed records get onto the ledger."""
_MOVES = {*CRASH_POINTS[WRITER], *CRASH_POINTS[RELAY]} - {"together"}  # a context manager, and overridden below


@dataclass(slots=True)
class KillPoint:
    """Where to crash: at the step `name`, the `countdown`-th time that it is reached; never if the name is empty."""

    name: str = ""
    after: bool = False
    countdown: int = 1
    act: Callable[[], None] = lambda: _die()  # it is defined below
    """What happens there."""

    @contextmanager
    def around(self, name: str) -> Iterator[None]:
        """Crashes before or after the `with` block if `name` is the step; after it also if it failed, as a transaction
        does that is sent a second time and known to the node: this time is the countdown's, and no other will be."""
        here = name == self.name
        self.countdown -= here
        # Looked at once: what happens may set the next point.
        due = here and self.countdown == 0
        if due and not self.after:
            self.act()
        try:
            yield
        finally:
            if due and self.after:
                self.act()


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)  # unlike an exception, runs no handler, `finally` or atexit function


class CrashingOutboxWriter(OutboxWriter):
    """Crashes at the methods that CRASH_POINTS lists for millmark.ledger.store.outbox_writer and
    millmark.ledger.submit.relay."""

    def __init__(self, writer: OutboxWriter, store: Store, signer: bytes, point: KillPoint, *, relayed: bool) -> None:
        super().__init__(store, signer, writer.fence, relayed=relayed)
        self._point = point

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name not in _MOVES:
            return found
        point = super().__getattribute__("_point")

        def step(*values: Any, **named: Any) -> Any:
            with point.around(name):
                return found(*values, **named)

        return step

    @contextmanager
    def together(self) -> Iterator[None]:
        with self._point.around("together"), super().together():
            yield


class CrashingOutbox(Outbox):
    """Crashes at `enqueue` and `take_lease`, and returns a CrashingOutboxWriter."""

    def __init__(self, store: Store, point: KillPoint, *, relayed: bool = False) -> None:
        super().__init__(store, relayed=relayed)
        self._point, self._by_relay = point, relayed

    def enqueue(self, signer: bytes, entries: Sequence[Entry]) -> list[int]:
        with self._point.around("enqueue"):
            return super().enqueue(signer, entries)

    def take_lease(self, signer: bytes, seen: LeaseRow | None, holder: str, fence: int) -> OutboxWriter:
        with self._point.around("take_lease"):
            writer = super().take_lease(signer, seen, holder, fence)
            return CrashingOutboxWriter(writer, self._store, signer, self._point, relayed=self._by_relay)


class CrashingStore(Store):
    """Crashes at the commits of the follower."""

    def __init__(self, store: Store, point: KillPoint) -> None:
        super().__init__(store._engine)
        self._point = point

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        with self._point.around("index"), super().transaction() as connection:
            yield connection


class CrashingTransport:
    """Crashes when a transaction is sent: before the node has it, or after."""

    def __init__(self, node: Transport, point: KillPoint) -> None:
        self._node = node
        self._point = point

    def request(self, method: str, params: list[Any]) -> Any:
        if method != _SEND:
            return self._node.request(method, params)
        with self._point.around("send"):
            return self._node.request(method, params)
