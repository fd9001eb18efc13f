"""`Idempotency-Key`: a write that is sent several times is performed once.

    def place(idempotent: Idempotent, body: NewOrder) -> Response:
        return idempotent.respond(lambda token: ...)

The response is stored for seven days under the caller, the route and the caller's key, and is returned for every
repetition of the same request. Only success is stored: a refused request has changed nothing, and may be corrected
under the same key. The steps, each durable before the next:

    1 store that the request is in progress
    2 do the work
    3 store the response

After a crash between 1 and 2 nothing is done; after one between 2 and 3 the work is done, but its response is lost.
Either way the next attempt does the work again, with the same `token`. So work must be idempotent under a token.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request, Response

from millmark.ledger.store import Store
from millmark.ledger.store.process_identity import describe_process, is_gone
from millmark.services.gateway.http.authentication import Clock, CurrentPrincipal
from millmark.services.gateway.http.errors import InFlightError, KeyReusedError
from millmark.services.gateway.http.middleware import body_digest
from millmark.services.idempotency.repository import AnswerRepository, AnswerRow

KEEP_S = 7 * 86_400
"""Minimum time for which responses are stored."""
REPLAYED = "Idempotent-Replayed"
"""Header of a response that is a stored one."""
_MAX_WORK_S = 120
"""A request in progress for longer (wall-clock time) is treated as dead: its host went down with its process."""
_KEPT_HEADERS = ("content-type", "location", "etag")

IdempotencyKey = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        pattern="^[A-Za-z0-9._~-]{8,128}$",
        description="Identifies the request. Sent again with the same key within seven days, it is not performed again "
        "but gets the same response. 409 while it is in progress; 422 if the key was used for another request.",
        examples=["4f2c7c1e-9d0b-4b6e-a6b1-0d5b4f1f3c2a"],
    ),
]


class IdempotencyStore:
    """Stores the responses to writes. Thread-safe."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._holder = describe_process(os.getpid())
        self._running: set[tuple[int, str, str]] = set()
        self._lock = threading.Lock()

    def respond(self, asked: KeyedRequest, work: Callable[[str], Response]) -> Response:
        """Returns the stored response, or the one that `work` returns. Raises InFlightError, KeyReusedError, and
        whatever `work` raises; in that case nothing is stored."""
        name = (asked.caller, asked.route, asked.key)
        # Within this process a set is enough, and exact. The database row stops other processes.
        with self._lock:
            if name in self._running:
                raise _in_flight()
            self._running.add(name)
        try:
            begun = self._begin(asked)
            return _replay(begun) if begun.status else self._work(begun, asked.token, work)
        finally:
            self._running.discard(name)

    def find(self, caller: int, route: str, key: str) -> Response | None:
        """The stored response to a request with this key, whatever else it asked; None if there is none yet."""
        with self._store.reading() as connection:
            row = AnswerRepository(connection).find(caller, route, key)
        return None if row is None or not row.status else _replay(row)

    def _begin(self, asked: KeyedRequest) -> AnswerRow:
        now_s = self._clock()
        with self._store.transaction() as connection:
            answers = AnswerRepository(connection)
            # Expired rows are deleted here, so that no background job is needed.
            answers.forget(now_s - KEEP_S)
            found = answers.find(asked.caller, asked.route, asked.key)
            # Replaying the stored response would tell the caller that this request was performed, which it was not.
            if found is not None and found.request != asked.request:
                raise KeyReusedError("the Idempotency-Key was used for another request", hint="use a new key")
            if found is not None and (found.status or self._is_under_way(found, now_s)):
                if not found.status:
                    raise _in_flight()
                return found
            row = AnswerRow(
                asked.caller, asked.route, asked.key, asked.request, self._holder, now_s, 0, "{}", b""
            )  # fmt: skip
            answers.begin(row)
            return row

    def _is_under_way(self, row: AnswerRow, now_s: int) -> bool:
        """Whether another process works on it. A row of this process is left over: `_running` would have its name."""
        return row.holder != self._holder and not is_gone(row.holder) and now_s - row.begun_at < _MAX_WORK_S

    def _work(self, begun: AnswerRow, token: str, work: Callable[[str], Response]) -> Response:
        try:
            response = work(token)
        except BaseException:
            with (
                suppress(Exception),
                self._store.transaction() as connection,
            ):  # the first exception is the one to raise
                AnswerRepository(connection).drop(begun)
            raise
        # A crash from here on loses only the response: the work is done, and is repeated under the same token.
        # Only headers that describe the result; those of one response, such as the request id, are set anew.
        headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
        with self._store.transaction() as connection:
            AnswerRepository(connection).finish(begun, response.status_code, json.dumps(headers), bytes(response.body))
        return response


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A request together with its key."""

    caller: int
    route: str
    key: str
    request: bytes

    @property
    def token(self) -> str:
        """64 hex digits: the same for every attempt, and different for any other request."""
        return self._digest("").hex()

    @property
    def seed(self) -> bytes:
        """32 bytes, like the token; but nothing that is stored for good tells them."""
        return self._digest("millmark.request-seed.v1\n")

    def _digest(self, tag: str) -> bytes:
        parts = "\n".join((str(self.caller), self.route, self.key, self.request.hex()))
        return hashlib.sha256((tag + parts).encode()).digest()


@dataclass(frozen=True, slots=True)
class _IdempotentRequest:
    """A request with its key, and the store of its response."""

    store: IdempotencyStore
    asked: KeyedRequest

    @property
    def seed(self) -> bytes:
        """What the attempts of this request have in common, and no other request has. Secret; never stored."""
        return self.asked.seed

    def respond(self, work: Callable[[str], Response]) -> Response:
        """Like IdempotencyStore.respond. It blocks, so it is only for routes that are not coroutines. The response must
        not be streamed."""
        return self.store.respond(self.asked, work)


async def read_idempotent_request(
    request: Request, principal: CurrentPrincipal, key: IdempotencyKey
) -> _IdempotentRequest:
    """Binds the key to the exact request, including the order of members and parameters. A route that streams its body
    calls this after the end of the body."""
    target = f"{request.url.path}?{request.url.query}\n".encode()
    asked = hashlib.sha256(target + await body_digest(request)).digest()
    route = f"{request.method} {request.scope['route'].path}"
    store: IdempotencyStore = request.app.state.idempotency
    return _IdempotentRequest(store, KeyedRequest(principal.participant or 0, route, key, asked))


Idempotent = Annotated[_IdempotentRequest, Depends(read_idempotent_request)]
"""Parameter type for routes that change something."""


def _in_flight() -> InFlightError:
    return InFlightError("the request with this Idempotency-Key is still being processed", retry_after_s=1)


def _replay(row: AnswerRow) -> Response:
    headers: dict[str, str] = json.loads(row.headers)
    return Response(row.body, row.status, {**headers, REPLAYED: "true"})
