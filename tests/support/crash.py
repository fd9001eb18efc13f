"""A process that crashes at a boundary: a request to the node, or a database transaction.

At each boundary it can crash before the effect ("failed, not stored") or after it ("failed, but stored").
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from millmark.ledger.chain import Transport
from millmark.ledger.store import Store


class CrashError(Exception):
    """The process has crashed."""


@dataclass
class CrashPoint:
    """Crashes at boundary number `at`, from 1. With 0 it only counts boundaries."""

    at: int = 0
    stored: bool = False
    seen: int = 0

    def before(self) -> None:
        """Call it before the effect."""
        self.seen += 1
        if self.seen == self.at and not self.stored:
            raise CrashError

    def after(self) -> None:
        """Call it after the effect."""
        if self.seen == self.at and self.stored:
            raise CrashError


class CrashingStore(Store):
    """A second handle on the same database, for the process that crashes."""

    def __init__(self, store: Store, point: CrashPoint) -> None:
        super().__init__(store._engine)
        self._point = point

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        with super().transaction() as connection:
            yield connection
            self._point.before()
        self._point.after()


class CrashingTransport:
    """A second connection to the same node, for the process that crashes."""

    def __init__(self, node: Transport, point: CrashPoint) -> None:
        self._node = node
        self._point = point

    def request(self, method: str, params: list[Any]) -> Any:
        self._point.before()
        answer = self._node.request(method, params)
        self._point.after()
        return answer
