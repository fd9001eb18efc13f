"""A process that dies at a boundary: a request to the node, or a transaction of the database.

At each boundary it may die with the effect undone ("failed, not stored") or done ("failed, but stored").
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from ledger.chain import Transport
from ledger.store import Store


class CrashError(Exception):
    """The process is gone."""


@dataclass
class CrashPoint:
    """Dies at the boundary number `at` (1, 2 ...); 0 for none, which counts them."""

    at: int = 0
    stored: bool = False
    seen: int = 0

    def before(self) -> None:
        """The effect is not there yet."""
        self.seen += 1
        if self.seen == self.at and not self.stored:
            raise CrashError

    def after(self) -> None:
        """The effect is there."""
        if self.seen == self.at and self.stored:
            raise CrashError


class CrashingStore(Store):
    """Another handle on the same database, for the process that dies."""

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
    """Another line to the same node, for the process that dies."""

    def __init__(self, node: Transport, point: CrashPoint) -> None:
        self._node = node
        self._point = point

    def request(self, method: str, params: list[Any]) -> Any:
        self._point.before()
        answer = self._node.request(method, params)
        self._point.after()
        return answer
