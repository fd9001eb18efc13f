"""Waits for the code that a browser brings to a program on the same machine, or that a person types.

Any page in the browser, and any program on the machine, can send something to the port. So what does not look like a
code is not tried, a code that is refused ends nothing, and "Signed in" is said only once a code was redeemed.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Generic, TextIO, TypeVar
from urllib.parse import parse_qs, urlsplit

from millmark.ledger.errors import InputError, MillmarkError
from millmark.services.access.people.people import CODE
from millmark.services.output import warn

T = TypeVar("T")
_MAX_TRIED = 5
"""Codes that are tried, so that nobody can have the gateway asked without end."""
_HINT = "start again: `millmark login`"
_TITLE = "<!doctype html><title>Millmark</title>"
_DONE = f"{_TITLE}<p>Signed in. You can close this page.<p>已登录，可关闭此页面。".encode()
_REFUSED = f"{_TITLE}<p>Not signed in: the program did not get a valid code.<p>未登录：程序未收到有效的代码。".encode()


@dataclass
class Listening(Generic[T]):
    """A server on a port of the loopback that the system chose, and what came of the codes."""

    server: HTTPServer
    redeem: Callable[[str], T | None]
    tried: int = 0
    redeemed: T | None = None
    failure: MillmarkError | None = None

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    def take(self, code: str) -> bool:
        """Whether the code was redeemed, now or before. One that does not look like a code is not tried."""
        if self.redeemed is None and self.failure is None and CODE.fullmatch(code) and self.tried < _MAX_TRIED:
            self.tried += 1
            try:
                self.redeemed = self.redeem(code)
            except MillmarkError as error:
                # Raised by `await_code`: a server's handler would only print it.
                self.failure = error
        return self.redeemed is not None


@contextmanager
def listen_for_code(redeem: Callable[[str], T | None]) -> Iterator[Listening[T]]:
    """`redeem` returns None for a code that is refused."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 5

        def do_GET(self) -> None:
            given = parse_qs(urlsplit(self.path).query).get("code", [""])[0]
            taken = listening.take(given)
            self.send_response(200 if taken else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(_DONE if taken else _REFUSED)

        def log_message(self, *_: object) -> None:
            """Requests hold the code, which is for nobody's terminal."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    listening = Listening(server, redeem)
    try:
        yield listening
    finally:
        server.server_close()


def await_code(listening: Listening[T], longest_s: float, typed: TextIO | None) -> T:
    """What the code was redeemed for. Raises InputError after `longest_s` or too many refused codes, and what `redeem`
    raises."""
    deadline = time.monotonic() + longest_s
    while time.monotonic() < deadline and listening.tried < _MAX_TRIED:
        watched: list[HTTPServer | TextIO] = [listening.server, *([typed] if typed is not None else [])]
        ready, _, _ = select.select(watched, [], [], min(1.0, longest_s))
        if listening.server in ready:
            listening.server.handle_request()
        elif ready and typed is not None:
            line = typed.readline()
            if not line:
                typed = None  # its end is ready for ever; the browser may still bring the code
            elif line.strip() and not listening.take(line.strip()) and listening.failure is None:
                warn("this is not a valid code")
        if listening.failure is not None:
            raise listening.failure
        if listening.redeemed is not None:
            return listening.redeemed
    if listening.tried >= _MAX_TRIED:
        raise InputError("too many codes were refused", hint=_HINT)
    raise InputError("nobody agreed in the browser in time", hint=_HINT)
