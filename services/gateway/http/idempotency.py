"""`Idempotency-Key`: a write that is sent several times is done once.

    def place(idempotent: Idempotent, body: NewOrder) -> Response:
        return idempotent.respond(lambda token: ...)

The response is kept for seven days under the caller, the route and the caller's key, and is sent again for the same
request. Only success is kept: a request that was refused changed nothing, and may be corrected under the same key.
Durable, in this order:

    1 the request is noted as under way
    2 the work is done
    3 its answer is noted

A crash between 1 and 2 leaves nothing done, one between 2 and 3 work without an answer. Either way the next try does
the work again, with the same `token`: work has to be such that a second time under one token changes nothing.
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

from ledger.store import Store
from ledger.store.process_identity import describe_process, is_gone
from services.gateway.http.authentication import Clock, CurrentPrincipal
from services.gateway.http.errors import InFlightError, KeyReusedError
from services.gateway.http.middleware import body_digest
from services.idempotency.repository import AnswerRepository
from services.idempotency.tables import AnswerRow

__all__ = ["KEEP_S", "REPLAYED", "IdempotencyKey", "IdempotencyStore", "Idempotent", "read_idempotent_request"]

KEEP_S = 7 * 86_400
"""How long responses are kept, at least."""
REPLAYED = "Idempotent-Replayed"
"""Header of a response that was sent before."""
_MOST_WORK_S = 120
"""A request that is under way for longer, by the clock on the wall, is over: its process died with its host."""
_KEPT_HEADERS = ("content-type", "location", "etag")

IdempotencyKey = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        pattern="^[A-Za-z0-9._~-]{8,128}$",
        description="Names the request: sent again with the same key, it is done once and answered the same, for seven "
        "days. 409 while it is under way; 422 when the key was used for another request.",
        examples=["4f2c7c1e-9d0b-4b6e-a6b1-0d5b4f1f3c2a"],
    ),
]


class IdempotencyStore:
    """The responses that writes got. Threads share it."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._holder = describe_process(os.getpid())
        self._running: set[tuple[int, str, str]] = set()
        self._lock = threading.Lock()

    def respond(self, asked: _KeyedRequest, work: Callable[[str], Response]) -> Response:
        """The response that was sent before, or the one that `work` makes now. Raises InFlightError, KeyReusedError,
        and whatever the work raises; then nothing is kept."""
        name = (asked.caller, asked.route, asked.key)
        with self._lock:
            if name in self._running:
                raise _in_flight()
            self._running.add(name)
        try:
            begun = self._begin(asked)
            return _replay(begun) if begun.status else self._work(begun, asked.token, work)
        finally:
            self._running.discard(name)

    def _begin(self, asked: _KeyedRequest) -> AnswerRow:
        now_s = self._clock()
        with self._store.transaction() as connection:
            answers = AnswerRepository(connection)
            answers.forget(now_s - KEEP_S)
            found = answers.find(asked.caller, asked.route, asked.key)
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
        """Not when it is ours: what runs here is known."""
        return row.holder != self._holder and not is_gone(row.holder) and now_s - row.begun_at < _MOST_WORK_S

    def _work(self, begun: AnswerRow, token: str, work: Callable[[str], Response]) -> Response:
        try:
            response = work(token)
        except BaseException:
            with suppress(Exception), self._store.transaction() as connection:  # the first failure is the one to tell
                AnswerRepository(connection).drop(begun)
            raise
        headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
        with self._store.transaction() as connection:
            AnswerRepository(connection).finish(begun, response.status_code, json.dumps(headers), bytes(response.body))
        return response


@dataclass(frozen=True, slots=True)
class _KeyedRequest:
    """One request under a key."""

    caller: int
    route: str
    key: str
    request: bytes

    @property
    def token(self) -> str:
        """The same at each try, and of this request alone: 64 hex digits."""
        parts = "\n".join((str(self.caller), self.route, self.key, self.request.hex()))
        return hashlib.sha256(parts.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _IdempotentRequest:
    """A request under a key, and where its response is kept."""

    store: IdempotencyStore
    asked: _KeyedRequest

    def respond(self, work: Callable[[str], Response]) -> Response:
        """As IdempotencyStore.respond. Blocks: for routes that are not coroutines. The response must not be a
        stream."""
        return self.store.respond(self.asked, work)


async def read_idempotent_request(
    request: Request, principal: CurrentPrincipal, key: IdempotencyKey
) -> _IdempotentRequest:
    """The key is bound to the exact request, including the order of members and parameters. A route that reads its body
    as a stream calls this at the end of it."""
    target = f"{request.url.path}?{request.url.query}\n".encode()
    asked = hashlib.sha256(target + await body_digest(request)).digest()
    route = f"{request.method} {request.scope['route'].path}"
    store: IdempotencyStore = request.app.state.idempotency
    return _IdempotentRequest(store, _KeyedRequest(principal.participant or 0, route, key, asked))


Idempotent = Annotated[_IdempotentRequest, Depends(read_idempotent_request)]
"""In the parameters of a route that changes something."""


def _in_flight() -> InFlightError:
    return InFlightError("the request with this Idempotency-Key is being worked on", retry_after_s=1)


def _replay(row: AnswerRow) -> Response:
    headers: dict[str, str] = json.loads(row.headers)
    return Response(row.body, row.status, {**headers, REPLAYED: "true"})
