"""Sends many JSON-RPC requests in few HTTP requests: as arrays, of a size that the node takes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

from millmark.ledger.chain.http import ArrayRefusedError, RpcClient

__all__ = ["Arrays", "Call"]

Call = tuple[str, list[Any]]
"""Method and parameters."""
_MAX_CALLS = 100
_MAX_CHARACTERS = 2_000_000
"""Largest request: engines take five megabytes."""
_FEW = 16
"""Calls that no node takes for too many: if they were not answered in time, the node was slow."""
_SMALL_S = 600.0
"""Time for which arrays stay small after one was refused; then a large one is tried again."""
_TOO_LARGE = "too large"
"""In geth's message for those answers of an array that would make it too large."""


class Arrays:
    """The requests to one node. A node that refuses an array gets shorter ones, down to single requests."""

    def __init__(self, client: RpcClient) -> None:
        self._client = client
        self._most = _MAX_CALLS
        self._small_until = 0.0

    def ask_all(self, calls: Sequence[Call]) -> list[Any]:
        """Return the JSON of each answer, in the order of the calls; None for each that is not answered.

        Raises OSError if there is no answer. Then it is unknown which of the calls the node received.
        """
        answers: list[Any] = []
        while len(answers) < len(calls):
            part = list(self._next(calls, len(answers)))
            try:
                answers += self._ask_part(part)
            except ArrayRefusedError:
                self._shrink(len(part))
            except TimeoutError:
                # Perhaps because there were too many: then fewer may be answered in time. A few never were too many.
                if len(part) > _FEW:
                    self._shrink(len(part))
                raise
        return answers

    def _ask_part(self, part: Sequence[Call]) -> list[Any]:
        if len(part) == 1:
            return [self._client.ask(*part[0])]
        found = self._client.ask_all(part)
        return [
            self._client.ask(*call) if _is_too_large(answer) else answer
            for call, answer in zip(part, found, strict=True)
        ]

    def _next(self, calls: Sequence[Call], start: int) -> Iterator[Call]:
        if time.monotonic() >= self._small_until:
            self._most = _MAX_CALLS
        left = _MAX_CHARACTERS
        for place, call in enumerate(calls[start : start + self._most]):
            left -= _length(call)
            if place and left < 0:
                return
            yield call

    def _shrink(self, size: int) -> None:
        self._most = max(size // 2, 1)
        self._small_until = time.monotonic() + _SMALL_S


def _length(call: Call) -> int:
    """Length of the parameters in JSON, nearly."""
    return sum(
        len(value) if isinstance(value, str) else sum(len(str(one)) for one in value.values())
        for value in call[1]
        if isinstance(value, str | dict)
    )


def _is_too_large(answer: Any) -> bool:
    error = answer.get("error") if isinstance(answer, dict) else None
    return isinstance(error, dict) and _TOO_LARGE in str(error.get("message"))
