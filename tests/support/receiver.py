"""A webhook receiver on a real socket that can misbehave, crash and restart."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.patience import MAX_S

__all__ = ["Receiver"]


class Receiver:
    """Stores what it accepts. `answer`: the status for delivery number N, from 1; None to hang."""

    def __init__(self, answer: Callable[[int], int | None] = lambda _: 200, port: int = 0) -> None:
        self.answer = answer
        self.seen: list[tuple[dict[str, str], bytes]] = []
        self.taken: list[dict[str, Any]] = []
        self._release = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                status = receiver.note({name.lower(): value for name, value in self.headers.items()}, body)
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def note(self, headers: dict[str, str], body: bytes) -> int:
        self.seen.append((headers, body))
        status = self.answer(len(self.seen))
        if status is None:
            self._release.wait(MAX_S)
            return 503
        if 200 <= status < 300:
            self.taken.append(json.loads(body))
        return status

    @property
    def sequences(self) -> list[tuple[str, int]]:
        """Contract and sequence of each accepted record, in order of arrival."""
        return [(one["data"]["contract"], one["data"]["sequence"]) for one in self.taken]

    def close(self) -> None:
        self._release.set()
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Receiver:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
