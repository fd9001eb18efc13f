"""What the endpoints ask for: provenance, and how far index, chain and outbox are."""

from __future__ import annotations

from datetime import datetime

from ledger.index import fetch_status
from ledger.provenance import (
    Certificate,
    Direction,
    Limits,
    Recall,
    build_trace,
    certificate,
    open_reader,
    recall,
    verify_name,
)
from ledger.store import Store
from ledger.store.outbox import Outbox
from services.gateway.api.status import GatewayStatus, build_status
from services.gateway.api.trace_cache import Remembered
from services.gateway.follower import Following

__all__ = ["Service"]


class Service:
    """Reads one store. Raises the ledger's errors, which know no HTTP. A `viewer` is the participant for whom an answer
    is, None for the company that runs the gateway."""

    def __init__(self, store: Store, following: Following | None) -> None:
        self._store = store
        self._following = following
        self._remembered = Remembered()

    def trace(self, name: str, direction: Direction, limits: Limits, viewer: int | None) -> bytes:
        """As JSON. What was answered is remembered: the same part is asked for again and again."""
        verify_name(name)
        with open_reader(self._store, viewer) as reader:
            asked = (name, direction, limits, viewer)
            return self._remembered.get(reader.state(), asked, lambda: build_trace(reader, *asked[:3]).encode())

    def certificate(self, sequence: int, viewer: int | None) -> Certificate:
        return certificate(self._store, sequence, viewer=viewer)

    def recall(
        self,
        *,
        model: int | None,
        lot: str | None,
        machine: str | None,
        since: datetime | None,
        until: datetime | None,
        limits: Limits,
        viewer: int | None,
    ) -> Recall:
        return recall(
            self._store, model=model, lot=lot, machine=machine, since=since, until=until, limits=limits, viewer=viewer
        )

    def status(self) -> GatewayStatus:
        """Asks nothing of the chain: what the follower last saw of it is shown, with the time."""
        seen = None if self._following is None else self._following.seen()
        return build_status(fetch_status(self._store), seen, Outbox(self._store).counts())
