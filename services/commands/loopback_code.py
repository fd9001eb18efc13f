"""Waits for the code that a browser brings to a program on the same machine, or that a person types."""

from __future__ import annotations

import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TextIO
from urllib.parse import parse_qs, urlsplit

from ledger.errors import InputError

__all__ = ["Listening", "await_code", "listen_for_code"]

_MAX_CODE = 256
_PAGE = "<!doctype html><title>Millmark</title><p>Signed in. You can close this page.<p>已登录，可关闭此页面。".encode()


@dataclass
class Listening:
    """A server on a port of the loopback that the system chose."""

    server: HTTPServer
    codes: list[str] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])


@contextmanager
def listen_for_code() -> Iterator[Listening]:
    codes: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        timeout = 5

        def do_GET(self) -> None:
            given = parse_qs(urlsplit(self.path).query).get("code", [""])[0]
            if 0 < len(given) <= _MAX_CODE:
                codes.append(given)
            self.send_response(200 if codes else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(_PAGE if codes else b"")

        def log_message(self, *_: object) -> None:
            """Requests hold the code, which is for nobody's terminal."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    try:
        yield Listening(server, codes)
    finally:
        server.server_close()


def await_code(listening: Listening, longest_s: float, typed: TextIO | None) -> str:
    """The code. Raises InputError after `longest_s`."""
    deadline = time.monotonic() + longest_s
    while time.monotonic() < deadline:
        watched: list[HTTPServer | TextIO] = [listening.server, *([typed] if typed is not None else [])]
        ready, _, _ = select.select(watched, [], [], min(1.0, longest_s))
        if listening.server in ready:
            listening.server.handle_request()
        elif ready and typed is not None and (line := typed.readline().strip()):
            return line[:_MAX_CODE]
        if listening.codes:
            return listening.codes[0]
    raise InputError("nobody agreed in the browser in time", hint="start again: `millmark login`")
