"""Costly requests, such as traces and recalls, take turns: few at a time, fewer of one caller, and paid by their size.

They wait here, before a server thread is taken, so that however many there are, other requests find a thread.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from millmark.services.access import Principal
from millmark.services.gateway.http.errors import BusyError, RateLimitedError
from millmark.services.gateway.http.rate_limits import Limiter

PER_CALLER: Final = 4
"""Costly requests of one participant that are under way, waiting ones included."""
_AT_ONCE: Final = 4
"""More would only take the interpreter lock from each other, and all finish later."""
_UNDER_WAY: Final = 64
BYTES_PER_TOKEN: Final = 50_000
"""About a hundred lots of a trace."""


class CostlyRequests:
    """The costly requests of one gateway. Belongs to the event loop."""

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter
        self._under_way: Counter[int | None] = Counter()
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def serve(self, principal: Principal, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves the request once it is its turn. Raises RateLimitedError if the caller has too many under way, and
        BusyError if all together have."""
        caller = principal.participant
        if self._under_way[caller] >= PER_CALLER:
            raise RateLimitedError(f"{PER_CALLER} costly requests of yours are under way already", retry_after_s=1)
        if self._under_way.total() >= _UNDER_WAY:
            raise BusyError("too many costly requests are under way", retry_after_s=2)
        self._under_way[caller] += 1
        try:
            await self._turns.acquire()
            turn = _Turn(self._turns, send)
            try:
                await app(scope, receive, turn.send)
            finally:
                turn.end()
                if caller is not None:
                    self._limiter.charge(caller, turn.sent_bytes // BYTES_PER_TOKEN)
        finally:
            self._under_way[caller] -= 1


class _Turn:
    """Ends when the response starts, since its reader may be slow."""

    def __init__(self, turns: asyncio.Semaphore, send: Send) -> None:
        self._turns, self._send, self._ended = turns, send, False
        self.sent_bytes = 0

    async def send(self, message: Message) -> None:
        self.end()
        self.sent_bytes += len(message.get("body", b""))
        await self._send(message)

    def end(self) -> None:
        if not self._ended:
            self._ended = True
            self._turns.release()
