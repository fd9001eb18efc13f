"""The JSON-RPC client against real servers: whatever comes back is a result, a refusal, or one line of no answer."""

from __future__ import annotations

import gzip
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from millmark.ledger.chain import HttpTransport, Node, RpcError
from millmark.ledger.chain import transport as provider
from millmark.ledger.errors import ChainError, ChainUnreachableError
from tests.support.loopback import answering, closed_url
from tests.support.patience import MAX_S

pytestmark = pytest.mark.integration

Answer = Callable[[socket.socket], None]


def http(body: bytes, status: str = "200 OK", *headers: str) -> Answer:
    lines = [
        f"HTTP/1.1 {status}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]

    def send(connection: socket.socket) -> None:
        connection.sendall("\r\n".join([*lines, *headers, "", ""]).encode() + body)

    return send


def raw(data: bytes) -> Answer:
    return lambda connection: connection.sendall(data)


def rpc(**answer: object) -> Answer:
    return http(json.dumps({"jsonrpc": "2.0", "id": 0, **answer}).encode())


def ask(answer: Answer, timeout_s: float = MAX_S) -> object:
    with answering(answer) as url:
        return HttpTransport(url, timeout_s).request("eth_chainId", [])


@pytest.mark.parametrize("result", ["0x1", None, [], {}, False, "", 0, {"a": [1, "ü"]}], ids=repr)
def test_a_result_is_given_as_it_is(result: object) -> None:
    assert ask(rpc(result=result)) == result
    assert ask(rpc(result=result, error=None)) == result


@contextmanager
def closing(answers: int, *, late: bool) -> Iterator[tuple[HttpTransport, list[int], threading.Semaphore]]:
    """A server that closes each connection after so many answers: at once or, if `late`, when it has the next request,
    which it does not answer. Yields a transport to it, the number of requests on each connection, and a semaphore that
    tells of each that is closed."""
    taken: list[int] = []
    closed = threading.Semaphore(0)

    class Server(ThreadingHTTPServer):
        def shutdown_request(self, request: Any) -> None:
            super().shutdown_request(request)
            closed.release()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            taken.append(0)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            taken[-1] += 1
            self.close_connection = taken[-1] == answers + late
            if taken[-1] > answers:
                return
            self.send_response(200)
            self.send_header("Content-Length", "17")
            self.end_headers()
            self.wfile.write(b'{"result": "0x1"}')

        def log_message(self, *_: object) -> None:
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield HttpTransport(f"http://127.0.0.1:{server.server_port}", MAX_S), taken, closed
        finally:
            server.shutdown()
            thread.join()


def test_a_connection_is_kept_and_one_that_ended_is_not_used_again() -> None:
    """The server closes after each third answer; no request is lost to that."""
    with closing(3, late=False) as (transport, taken, closed):
        for number in range(9):
            assert transport.request("eth_chainId", []) == "0x1"
            assert number % 3 < 2 or closed.acquire(timeout=MAX_S)
    assert taken == [3, 3, 3]


def test_a_request_into_a_connection_that_the_server_closes_for_its_age_is_sent_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(provider, "_LONG_FREE_S", 0.0)
    with closing(2, late=True) as (transport, taken, _):
        for _ in range(6):
            assert transport.request("eth_chainId", []) == "0x1"
    assert taken == [3, 3, 2]


def test_a_request_whose_connection_breaks_although_it_was_used_just_now_is_not_sent_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(provider, "_LONG_FREE_S", MAX_S)
    with closing(2, late=True) as (transport, taken, _):
        for _ in range(2):
            assert transport.request("eth_chainId", []) == "0x1"
        with pytest.raises(ChainUnreachableError):
            transport.request("eth_chainId", [])
    assert taken == [3]


def test_name_and_password_of_the_url_are_sent_and_not_told() -> None:
    seen: list[bytes] = []

    def answer(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n" + b'{"result": 1}')

    with answering(answer, seen) as url:
        address = url.removeprefix("http://")
        assert HttpTransport(f"http://plant:p%40ss@{address}/rpc?key=1").request("eth_chainId", []) == 1
    head = seen[0].decode()
    assert head.startswith("POST /rpc?key=1 HTTP/1.1")
    assert "Authorization: Basic cGxhbnQ6cEBzcw==" in head


def test_a_compressed_answer_is_read() -> None:
    body = gzip.compress(json.dumps({"result": "0x1"}).encode())
    assert ask(http(body, "200 OK", "Content-Encoding: gzip")) == "0x1"


def test_an_answer_in_chunks_is_read() -> None:
    body = b'{"result": "0x1"}'
    chunks = b"".join(f"1\r\n{chr(byte)}\r\n".encode() for byte in body) + b"0\r\n\r\n"
    assert ask(raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)) == "0x1"


UNUSABLE: dict[str, Answer] = {
    "status 500": http(b'{"result": "0x1"}', "500 Internal Server Error"),
    "status 404": http(b"not here", "404 Not Found"),
    "status 401": http(b"{}", "401 Unauthorized"),
    "status 204": http(b"", "204 No Content"),
    "redirect": http(b"", "302 Found", "Location: http://127.0.0.1:1/"),
    "truncated JSON": http(b'{"jsonrpc": "2.0", "res'),
    "truncated body": raw(b'HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{"result": "0x1"}'),
    "truncated chunks": raw(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n11\r\n{"result": "0'),
    "to another request": http(b'{"jsonrpc": "2.0", "id": 7, "result": "0x1"}'),
    "HTML": http(b"<html><body>\nWelcome\n</body></html>"),
    "empty": http(b""),
    "no UTF-8": http(b'{"result": "\xff\xfe"}'),
    "list": http(b'[{"result": "0x1"}]'),
    "number": http(b"5"),
    "text": http(b'"0x1"'),
    "null": http(b"null"),
    "no result": http(b'{"jsonrpc": "2.0", "id": 0}'),
    "deep": http(b'{"result": ' + b"[" * 200_000),
    "broken gzip": http(b"no gzip at all", "200 OK", "Content-Encoding: gzip"),
    "no HTTP": raw(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "closed": raw(b""),
    "broken headers": raw(b"HTTP/1.1 200\r\nContent-Length: x\r\n\r\n"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_what_is_no_answer_is_one_line(name: str) -> None:
    with pytest.raises(ChainUnreachableError) as caught:
        ask(UNUSABLE[name])
    assert "\n" not in str(caught.value)
    assert "the chain at http://127.0.0.1:" in str(caught.value)
    assert caught.value.hint


def test_nobody_listens() -> None:
    with pytest.raises(ChainUnreachableError, match="does not answer"):
        HttpTransport(closed_url()).request("eth_chainId", [])


@pytest.mark.parametrize("url", ["http://", "nonsense", "ftp://127.0.0.1/", "http://[::1", "http://127.0.0.1:99999/"])
def test_a_url_that_is_none(url: str) -> None:
    with pytest.raises(ChainUnreachableError):
        HttpTransport(url).request("eth_chainId", [])


def test_a_server_that_says_nothing_is_given_up() -> None:
    given_up = threading.Event()

    def wait(_: socket.socket) -> None:
        given_up.wait(MAX_S)

    with answering(wait) as url:
        with pytest.raises(ChainUnreachableError, match="Timeout"):
            HttpTransport(url, 0.2).request("eth_chainId", [])
        given_up.set()


def test_a_server_that_drips_is_given_up() -> None:
    """Each byte comes in time, the answer never does."""
    given_up, dripped = threading.Event(), threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        for _ in range(int(MAX_S / 0.05)):
            connection.sendall(b" ")
            if given_up.wait(0.05):
                return
        dripped.set()

    with answering(drip) as url:
        with pytest.raises(ChainUnreachableError):
            HttpTransport(url, 0.3).request("eth_chainId", [])
        assert not dripped.is_set(), "it waited to the end"
        given_up.set()


@pytest.mark.parametrize("compressed", [False, True])
def test_an_answer_without_end_is_not_kept(monkeypatch: pytest.MonkeyPatch, compressed: bool) -> None:
    monkeypatch.setattr(provider, "MAX_BYTES", 1 << 20)
    body = b'{"result": "' + b"0" * (2 << 20) + b'"}'
    answer = http(gzip.compress(body), "200 OK", "Content-Encoding: gzip") if compressed else http(body)
    with pytest.raises(ChainUnreachableError):
        ask(answer)


def test_a_large_answer_is_read() -> None:
    text = "0x" + "ab" * (4 << 20)
    assert ask(rpc(result=text), timeout_s=MAX_S) == text


# Refusals


@pytest.mark.parametrize(
    ("error", "code", "message", "data"),
    [
        ({"code": -32601, "message": "no such method"}, -32601, "no such method", None),
        (
            {"code": 3, "message": "execution reverted", "data": "0xdeadbeef"},
            3,
            "execution reverted",
            b"\xde\xad\xbe\xef",
        ),
        ({"code": 3, "message": "m", "data": {"data": "0x01"}}, 3, "m", b"\1"),
        ({"code": 3, "message": "m", "data": {"result": "0x01"}}, 3, "m", b"\1"),
        ({"code": 3, "message": "m", "data": "Reverted"}, 3, "m", None),
        ({"code": 3, "message": "m", "data": {}}, 3, "m", None),
        ({"code": 3, "message": "m", "data": 5}, 3, "m", None),
        ({"message": "no code"}, -32000, "no code", None),
        ({"code": None, "message": "m"}, -32000, "m", None),
        ({"code": "x", "message": "m"}, -32000, "m", None),
        ({"code": 1.5}, -32000, "refused", None),
        ({}, -32000, "refused", None),
        ("just words", -32000, "just words", None),
        (5, -32000, "5", None),
        ({"code": 1, "message": "two\nlines\tand   gaps"}, 1, "two lines and gaps", None),
        ({"code": 1, "message": "x" * 1000}, 1, "x" * 300, None),
    ],
)
def test_a_refusal_is_read(error: object, code: int, message: str, data: bytes | None) -> None:
    with pytest.raises(RpcError) as caught:
        ask(rpc(error=error))
    assert (caught.value.code, caught.value.message, caught.value.data) == (code, message, data)


def test_a_refusal_reaches_the_user_in_one_line() -> None:
    with answering(rpc(error={"code": 1, "message": "a\nb"})) as url, pytest.raises(ChainError, match="a b") as caught:
        Node(HttpTransport(url)).chain_id()
    assert "\n" not in str(caught.value)


# Arrays


class _Arrays(BaseHTTPRequestHandler):
    """Answers arrays in reverse order, one of them with an error and one not at all; or refuses them."""

    protocol_version = "HTTP/1.1"
    refuses: bytes | None = None
    status = 200
    sizes: list[int]

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.sizes.append(len(asked) if isinstance(asked, list) else 1)
        if isinstance(asked, dict):
            self._send(200, json.dumps(self._one(asked)).encode())
        elif self.refuses is not None:
            self._send(self.status, self.refuses)
        else:
            answers = [self._one(one) for one in asked if one["params"] != ["lost"]]
            self._send(200, json.dumps(answers[::-1]).encode())

    def _one(self, asked: dict[str, Any]) -> dict[str, Any]:
        named = {"jsonrpc": "2.0", "id": asked["id"]}
        if asked["params"] == ["bad"]:
            return {**named, "error": {"code": -32000, "message": "header not found"}}
        return {**named, "result": asked["params"]}

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # the standard library's signature
        pass


@contextmanager
def arrays(refuses: bytes | None = None, status: int = 200) -> Iterator[tuple[HttpTransport, list[int]]]:
    sizes: list[int] = []
    handler = type("Handler", (_Arrays,), {"refuses": refuses, "status": status, "sizes": sizes})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield HttpTransport(f"http://127.0.0.1:{server.server_address[1]}", MAX_S), sizes
        finally:
            server.shutdown()
            thread.join()


def test_each_answer_of_an_array_is_its_requests_own_in_any_order() -> None:
    with arrays() as (transport, sizes):
        first, bad, lost, last = transport.request_all([("m", [one]) for one in ("a", "bad", "lost", "b")])
        assert (first, last) == (["a"], ["b"])
        assert isinstance(bad, RpcError)
        assert bad.message == "header not found"
        assert isinstance(lost, ChainUnreachableError)
        assert sizes == [4]
        assert transport.request_all([]) == []


@pytest.mark.parametrize(
    ("refuses", "status"),
    [
        (b'{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"batch too large"}}', 200),
        (b"no", 400),
        (b"no", 413),
        (b"null", 200),
    ],
)
def test_a_node_that_refuses_arrays_is_asked_one_by_one(refuses: bytes, status: int) -> None:
    with arrays(refuses, status) as (transport, sizes):
        first, bad = transport.request_all([("m", ["a"]), ("m", ["bad"])])
        assert first == ["a"]
        assert isinstance(bad, RpcError)
        transport.request_all([("m", ["a"])] * 3)
        assert sizes == [2, 1, 1, 1, 1, 1]


@pytest.mark.parametrize("status", [401, 429, 503])
def test_a_status_that_says_nothing_about_arrays_is_no_answer(status: int) -> None:
    with arrays(b"later", status) as (transport, sizes):
        for _ in range(2):
            with pytest.raises(ChainUnreachableError):
                transport.request_all([("m", [1]), ("m", [2])])
        assert sizes == [2, 2]


def test_half_an_array_is_no_answer() -> None:
    with (
        arrays(b'[{"jsonrpc":"2.0","id":0,"result":"0x1"', 200) as (transport, _),
        pytest.raises(ChainUnreachableError),
    ):
        transport.request_all([("m", [1]), ("m", [2])])
