"""The typed client in front of an application, without a socket."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from millmark.services.client import Client, Retries
from tests.support.gateway_client import Caller

__all__ = ["Bridge", "Pauses", "scripted_client"]


@dataclass
class Pauses:
    """A clock that only sleeping moves."""

    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def clock(self) -> float:
        return sum(self.slept)


@dataclass
class Bridge(httpx.BaseTransport):
    """Passes requests to an application. `after` is called once a record was taken, to send it."""

    caller: Caller
    after: Callable[[], None] = lambda: None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        kept = {name: value for name, value in request.headers.items() if name in ("idempotency-key", "authorization")}
        path = request.url.raw_path.decode()
        if request.method == "GET":
            answer = self.caller.ask(path, **kept)
        else:
            answer = self.caller.ask(path, request.method, request.read(), content_type="application/json", **kept)
        if answer.status_code == httpx.codes.ACCEPTED:
            self.after()
        headers = {name: answer.headers[name] for name in ("content-type", "retry-after") if name in answer.headers}
        return httpx.Response(answer.status_code, content=answer.content, headers=headers)


def scripted_client(pauses: Pauses, answer: Callable[[httpx.Request], httpx.Response], **retries: float) -> Client:
    """A client whose gateway is a function."""
    kept = Retries(sleep=pauses.sleep, clock=pauses.clock, **retries)  # type: ignore[arg-type]  # numbers alike
    return Client("http://localhost", "key", retries=kept, transport=httpx.MockTransport(answer))
