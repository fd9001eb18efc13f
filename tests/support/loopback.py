"""Servers on loopback, each in its own thread, on a port chosen by the system."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette

from millmark.services.serving.server import listen
from tests.support.patience import MAX_S, wait_until
from tests.support.ports import closed_port


@contextmanager
def serving(app: Starlette) -> Iterator[str]:
    """Runs `app` in a real uvicorn, and yields its URL."""
    with listen("127.0.0.1", 0) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        with running(server, listener):
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def running(server: uvicorn.Server, listener: socket.socket) -> Iterator[None]:
    """Runs `server` on a bound socket while the block lasts. Raises AssertionError if it does not start or stop."""
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        wait_until(lambda: server.started)
        yield
    finally:
        server.should_exit = True
        thread.join(MAX_S)
    assert not thread.is_alive()


@contextmanager
def answering(answer: Callable[[socket.socket], None], seen: list[bytes] | None = None) -> Iterator[str]:
    """Runs a server that reads the first request of each connection (also into `seen`) and responds with the bytes that
    `answer` sends. Yields its URL."""
    requests = [] if seen is None else seen
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        stop = threading.Event()

        def run() -> None:
            while not stop.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                with connection:
                    connection.settimeout(MAX_S)
                    try:
                        requests.append(_read_request(connection))
                        answer(connection)
                    except OSError:
                        continue

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            stop.set()
            thread.join()


def _read_request(connection: socket.socket) -> bytes:
    """The whole request: with a part of it unread, closing the connection would reset it under the client's reading."""
    data = b""
    while piece := connection.recv(1 << 16):
        data += piece
        head, end, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if end and len(body) >= (int(length[1]) if length else 0):
            break
    return data


def closed_url() -> str:
    """A URL at which nothing will ever listen."""
    return f"http://127.0.0.1:{closed_port()}"
