"""Slow, silent and too many connections, on real sockets: they are closed, and others are served. Gateway and node."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from http.client import HTTPResponse
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from millmark.services.gateway import GatewayParts, build_policy, create_gateway
from millmark.services.node.http_capture import create_capture
from millmark.services.node.submission import Health
from millmark.services.serving.connections import ConnectionLimits, Connections
from millmark.services.serving.logs import build_logger
from millmark.services.serving.server import build_server, listen
from millmark.services.settings import Auth
from tests.support.loopback import running
from tests.support.node_parts import open_parts
from tests.support.patience import MAX_S, wait_until
from tests.support.stores import new_store

pytestmark = pytest.mark.integration
SOON = ConnectionLimits(total=12, per_address=8, head_s=1.0, body_s=0.6, idle_s=1, linger_s=0.3, stalled_s=0.5)
PATIENT = replace(SOON, head_s=MAX_S, body_s=MAX_S)
"""For tests in which clients must not be cut off on a busy machine."""
TOKEN = "t" * 40
ANY = "0.0.0.0"  # noqa: S104  # for the time of a test


@contextmanager
def gateway(folder: Path) -> Iterator[Starlette]:
    with new_store(folder) as store:
        yield create_gateway(GatewayParts(store, build_policy(Auth.REQUIRED)))


@contextmanager
def node(folder: Path) -> Iterator[Starlette]:
    def refresh() -> Health:
        raise NotImplementedError

    with open_parts(folder) as parts:
        yield create_capture(parts.intake, parts.metrics, refresh, TOKEN, build_logger())


@pytest.fixture(params=[gateway, node], ids=["gateway", "node"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, int]]:
    with request.param(tmp_path) as app, serving(app) as found:
        yield found


@contextmanager
def serving(app: Starlette, limits: ConnectionLimits = SOON) -> Iterator[tuple[str, int]]:
    with listen("127.0.0.1", 0) as listener, running(build_server(app, "127.0.0.1", 8600, limits=limits), listener):
        yield listener.getsockname()


def connect(address: tuple[str, int], sent: bytes = b"", source: str = "127.0.0.1") -> socket.socket:
    found = socket.socket()
    found.settimeout(MAX_S)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.bind((source, 0))
    found.connect(address)
    found.sendall(sent)
    return found


def read_to_end(connection: socket.socket) -> bytes:
    """Everything until the server closes the connection, which it has to do by itself."""
    pieces = []
    try:
        while piece := connection.recv(1 << 16):
            pieces.append(piece)
    except ConnectionResetError:
        pass
    return b"".join(pieces)


def is_served(address: tuple[str, int], source: str = "127.0.0.1") -> bool:
    with connect(address, b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", source) as one:
        return read_to_end(one).startswith(b"HTTP/1.1 200")


def is_cut_off(connection: socket.socket, sent: bytes) -> bool:
    """Sends single bytes. Tells whether the server closes the connection meanwhile."""
    try:
        for byte in sent:
            connection.sendall(bytes([byte]))
            time.sleep(0.05)
    except OSError:
        return True
    return False


HALF_A_HEAD = b"GET /health HTTP/1.1\r\nHost: loc"


@pytest.mark.parametrize("sent", [b"", HALF_A_HEAD], ids=["silent", "half a head"])
def test_a_head_that_does_not_come_ends_the_connection(address: tuple[str, int], sent: bytes) -> None:
    with connect(address, sent) as one:
        assert read_to_end(one) == b""


def test_single_bytes_do_not_extend_the_time_for_the_head(address: tuple[str, int]) -> None:
    began = time.monotonic()
    with connect(address) as one:
        assert is_cut_off(one, HALF_A_HEAD * 1000)
    assert time.monotonic() - began < MAX_S


def test_a_connection_that_was_used_gets_no_longer_for_its_next_head(address: tuple[str, int]) -> None:
    with connect(address, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" + HALF_A_HEAD) as one:
        assert read_to_end(one).count(b"HTTP/1.1 200") == 1


def test_silent_connections_of_one_address_keep_nobody_out(address: tuple[str, int]) -> None:
    # Half silent, half with half a head; more than the server takes in all, from the same address as the others.
    with ExitStack() as stack:
        silent = [stack.enter_context(connect(address, (b"", HALF_A_HEAD)[n % 2])) for n in range(40)]
        assert all(is_served(address) for _ in range(5))
        assert all(is_served(address, "127.0.0.2") for _ in range(5))
        assert all(read_to_end(one) == b"" for one in silent)


def test_a_body_that_does_not_come_is_answered_first_if_nobody_asked_for_it(address: tuple[str, int]) -> None:
    head = b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
    path = b"/v1/webhooks" if is_gateway(address) else b"/v1/events"
    with connect(address, head % path) as one:
        assert read_to_end(one).startswith(b"HTTP/1.1 401")


def is_gateway(address: tuple[str, int]) -> bool:
    return httpx.get("http://{}:{}/health".format(*address), trust_env=False).headers.get("x-request-id") is not None


def ask(address: tuple[str, int], head: bytes) -> bytes:
    with connect(address, head) as one:
        return read_to_end(one)


@pytest.mark.parametrize(
    "request_",
    [
        b"POST /x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        b"GET /health HTTP/1.1\nHost: localhost\n\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\nX: y\r\n\r\n",
    ],
    ids=["two lengths", "LF", "one LF"],
)
def test_what_proxies_read_otherwise_is_refused_and_ends_the_connection(
    address: tuple[str, int], request_: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[logging.LogRecord] = []
    monkeypatch.setattr(logging.getLogger("uvicorn").handlers[0], "emit", told.append)
    answer = ask(address, request_ + b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400")
    assert answer.count(b"HTTP/1.1") == 1
    assert not told, "strangers do not fill the log"


@pytest.mark.parametrize(
    ("begin", "status", "code"),
    [
        (b"GET /", 414, "uri-too-long"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ", 431, "head-too-long"),
        (b"GET / HTTP/1.1\nHost: localhost\nX: ", 400, "not-http"),
    ],
)
def test_who_sends_too_much_for_a_head_gets_the_answer(
    address: tuple[str, int], begin: bytes, status: int, code: str
) -> None:
    """More than what arrives at once. A connection with unread data would be reset, and the answer be lost."""
    with connect(address, begin + b"a" * (1 << 20)) as one, HTTPResponse(one) as answer:
        answer.begin()
        problem = json.loads(answer.read())
        assert one.recv(1) == b"", "no more requests are taken from this connection"
    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (problem["status"], problem["type"]) == (status, f"urn:millmark:problem:{code}")
    assert problem["request_id"] == answer.headers["X-Request-ID"]
    assert is_served(address)


def test_who_sends_no_chunk_within_a_body_gets_the_answer() -> None:
    sent = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n" + b"no chunk\r\n" * (
        1 << 17
    )
    with serving(endpoint("/", swallow)) as address, connect(address, sent) as one, HTTPResponse(one) as answer:
        answer.begin()
        assert json.loads(answer.read())["type"] == "urn:millmark:problem:not-http"
        assert one.recv(1) == b""


def test_who_never_ends_a_head_that_is_too_large_is_cut_off(address: tuple[str, int]) -> None:
    with connect(address, b"GET /" + b"a" * (1 << 20)) as one:
        assert is_cut_off(one, b"a" * 1000)


async def swallow(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


async def pour(_: Request) -> Response:
    return StreamingResponse(b"x" * (1 << 20) for _ in range(64))


def endpoint(path: str, answer: Callable[..., object]) -> Starlette:
    return Starlette(routes=[Route(path, answer, methods=["GET", "POST"])])


async def drip(_: Request) -> Response:
    async def drops() -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(0.05)

    return StreamingResponse(drops())


async def refuse(_: Request) -> Response:
    return PlainTextResponse("", 404)


@pytest.mark.parametrize("answer", [refuse, drip])
@pytest.mark.parametrize("rest", [b"no length\r\n", b"1" * (1 << 18)], ids=["no chunk", "no end"])
def test_a_body_that_goes_wrong_after_its_answer_was_begun_ends_the_connection(
    answer: Callable[..., object], rest: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """No other answer follows, and strangers do not fill the log."""
    begin = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"
    with serving(endpoint("/", answer), replace(PATIENT, linger_s=0.3)) as address, connect(address, begin) as one:
        begun = one.recv(1)
        one.sendall(rest)
        found = begun + read_to_end(one)
    assert found.count(b"HTTP/1.1") == 1
    assert not caplog.records


@contextmanager
def open_gateway(folder: Path) -> Iterator[Starlette]:
    with new_store(folder) as store:
        yield create_gateway(GatewayParts(store, build_policy(Auth.LOOPBACK_OPEN)))


@pytest.mark.parametrize(
    ("build", "path"),
    [(open_gateway, b"/epcis/v2/capture"), (open_gateway, b"/portal/sign-in"), (node, b"/v1/events")],
    ids=["capture", "portal", "node"],
)
@pytest.mark.parametrize(
    "length",
    [b"Content-Length: 9\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\nno\r\n"],
    ids=["no more", "no chunk"],
)
def test_a_body_that_ends_too_soon_is_no_failure_of_the_server(
    tmp_path: Path,
    build: Callable[[Path], AbstractContextManager[Starlette]],
    path: bytes,
    length: bytes,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """It is the client's, whose every try would else be an error in the log. In the second case the head and what is no
    chunk arrive together."""
    head = b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    shown = f"Authorization: Bearer {TOKEN}\r\n".encode() if build is node else b""
    with build(tmp_path) as app, serving(app, PATIENT) as address:
        with connect(address, head % path + shown + length) as one:
            if length.endswith(b"no\r\n"):
                assert read_to_end(one).startswith(b"HTTP/1.1 400")
        assert is_served(address)
    assert '"level": "error"' not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("begin", "then"),
    [
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"no request\r\n\r\n"),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n", b"half a body"),
    ],
    ids=["no request", "half a body"],
)
def test_who_reads_an_answer_late_is_cut_off_all_the_same(begin: bytes, then: bytes) -> None:
    async def much(_: Request) -> Response:
        return Response(bytes(8 << 20))

    limits = replace(PATIENT, linger_s=1.0, stalled_s=MAX_S)
    server = build_server(endpoint("/", much), "127.0.0.1", 8600, limits=limits)
    with listen("127.0.0.1", 0) as listener, running(server, listener), connect(listener.getsockname()) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        one.sendall(begin)
        left = (8 << 20) - len(one.recv(1))
        one.sendall(then)
        time.sleep(0.2)  # it is read meanwhile, and the answer not
        while left > 0:
            left -= len(one.recv(1 << 16))
        wait_until(lambda: listener.table is not None and len(listener.table) == 0)


def test_a_body_in_drops_ends_the_connection_and_one_that_flows_does_not() -> None:
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
    strict, lenient = replace(SOON, body_bytes_per_s=1000), replace(SOON, body_bytes_per_s=1)
    with serving(endpoint("/", swallow), strict) as address, connect(address, head % 1000) as slow:
        assert is_cut_off(slow, b"x" * 1000)
    # Each byte extends the time by a second, so that it is enough however slowly this machine sends; without that, it
    # would be over before half the body is sent.
    begun = head % 4000 + b"x" * 250
    with serving(endpoint("/", swallow), lenient) as address, connect(address, begun) as steady:
        for _ in range(15):
            time.sleep(SOON.body_s / 8)
            steady.sendall(b"x" * 250)
        assert read_to_end(steady).endswith(b"4000")


def test_time_in_which_the_server_stood_still_is_not_its_clients() -> None:
    """What they had sent was waiting to be read. After a pause, all of them would have been cut off."""

    async def pause() -> tuple[bool, int]:
        table = Connections(replace(SOON, head_s=0.2))
        closed = asyncio.Event()
        assert table.admit(("127.0.0.2", 1), closed.set) is not None
        time.sleep(0.6)
        for _ in range(3):  # the sweep that is overdue, and what it calls
            await asyncio.sleep(0)
        cut_off = closed.is_set()
        await asyncio.wait_for(closed.wait(), MAX_S)
        return cut_off, table.expired

    assert asyncio.run(pause()) == (False, 1)


def test_a_reader_that_stopped_ends_the_connection() -> None:
    server = build_server(endpoint("/", pour), "127.0.0.1", 8600, limits=replace(PATIENT, stalled_s=0.5))
    with listen("127.0.0.1", 0) as listener, running(server, listener), connect(listener.getsockname()) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        one.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: listener.table is not None and listener.table.expired == 1)
        assert len(read_to_end(one)) < 64 << 20


def test_when_all_are_at_work_a_further_one_of_the_address_is_told_so_and_others_are_served() -> None:
    patient = replace(SOON, stalled_s=MAX_S, reader_s=MAX_S)
    with serving(endpoint("/health", pour), patient) as address, ExitStack() as stack:
        for _ in range(SOON.per_address):
            stack.enter_context(connect(address, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")).recv(1)
        refused = ask(address, b"")
        assert refused.startswith(b"HTTP/1.1 503")
        assert b"Retry-After: 2" in refused
        other = stack.enter_context(connect(address, b"GET /health HTTP/1.1\r\nHost: l\r\n\r\n", "127.0.0.2"))
        assert other.recv(12) == b"HTTP/1.1 200"


def test_readers_that_stopped_keep_nobody_out() -> None:
    routes = [Route("/", pour), Route("/health", swallow)]
    limits = replace(PATIENT, stalled_s=MAX_S, reader_s=0.1)
    with serving(Starlette(routes=routes), limits) as address, ExitStack() as stack:
        for _ in range(2 * PATIENT.per_address):
            stack.enter_context(connect(address, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"))
        wait_until(lambda: is_served(address))


def test_connections_from_one_port_to_several_addresses_are_all_counted() -> None:
    """Without being told apart, the first would be forgotten with the second, and could then stay for ever."""
    app = endpoint("/health", swallow)
    with listen(ANY, 0) as listener, running(build_server(app, ANY, 8600, limits=SOON), listener):
        port = listener.getsockname()[1]
        with ExitStack() as stack:
            first = stack.enter_context(connect(("127.0.0.1", port)))
            with socket.socket() as second:
                second.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                first_port = first.getsockname()[1]
                second.bind(("127.0.0.1", first_port))
                second.connect(("127.0.0.2", port))
                assert read_to_end(second) == b""
            assert read_to_end(first) == b""
