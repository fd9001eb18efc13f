"""The interfaces for sending JSON-RPC requests, one or several at once, and their implementation over HTTP."""

from __future__ import annotations

import base64
import http
import itertools
import json
import select
import socket
import time
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any, Protocol, runtime_checkable
from urllib.parse import SplitResult, unquote, urlsplit

from millmark.ledger.errors import ChainUnreachableError

# JSON-RPC over HTTP/1.1, bounded: answers are limited in size and time, and redirects are not followed.
#
# Uses the standard library's client instead of a better known one: a factory node starts a second faster, and each
# request takes a fraction of the processor time.

MAX_BYTES = 32 * 1024 * 1024
"""Largest answer: twice the size of the logs of the largest block."""
_CHUNK_BYTES = 1 << 16
_LONG_FREE_S = 1.0
"""Servers close connections that were free for some seconds, or minutes. One that breaks earlier has another reason."""
_GZIP = 16 + zlib.MAX_WBITS
_KINDS: dict[str, type[HTTPConnection]] = {"http": HTTPConnection, "https": HTTPSConnection}
_ELSEWHERE = (401, 403, 407, 408, 429, 502, 503, 504)
"""Statuses that say nothing about the request: access, load, and a node behind a proxy that is down."""


class ArrayRefusedError(OSError):
    """The node does not accept several requests at once, or not as many as were sent."""


class _StatusError(OSError):
    """The answer has a status other than 200."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(f"status {status}")


class RpcClient:
    """A client for one URL that threads may share: concurrent requests use separate connections, which are reused."""

    def __init__(self, url: str, timeout_s: float, unused_s: float = 30.0) -> None:
        """`unused_s`: time after which a free connection is closed, when the next request has been answered."""
        self._url = url
        self._timeout_s = timeout_s
        self._unused_s = unused_s
        self._numbers = itertools.count()
        self._idle: deque[tuple[HTTPConnection, float]] = deque()
        """Free connections with the monotonic time of their last use, the latest at the right."""

    @property
    def free(self) -> int:
        """Number of open connections that no request uses."""
        return len(self._idle)

    def ask(self, method: str, params: list[Any]) -> Any:
        """Send a request and return the answer's JSON, whatever it is. Raises OSError if there is none."""
        number = next(self._numbers)
        answer = self._exchange(_encode(number, method, params))
        if isinstance(answer, dict) and answer.get("id") not in (number, None):
            raise OSError("the answer is to another request")
        return answer

    def ask_all(self, calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        """Send requests in one array (JSON-RPC 2.0, section 6), and return the JSON of their answers in the same order;
        None for each that is not answered.

        Raises ArrayRefusedError if the node answers with anything but an array, OSError if there is no answer.
        """
        numbered = {next(self._numbers): call for call in calls}
        body = b"[" + b",".join(_encode(number, *call) for number, call in numbered.items()) + b"]"
        try:
            answers = self._exchange(body)
        except _StatusError as error:
            if error.status in _ELSEWHERE:
                raise
            raise ArrayRefusedError(str(error)) from error
        if not isinstance(answers, list):
            raise ArrayRefusedError("the answer is not an array")
        # By their numbers: the node may answer in any order.
        found = {one["id"]: one for one in answers if isinstance(one, dict) and type(one.get("id")) is int}
        return [found.get(number) for number in numbered]

    def _exchange(self, body: bytes) -> Any:
        try:
            return json.loads(self._post(body))
        except (HTTPException, ValueError, RecursionError, zlib.error) as error:
            raise OSError(type(error).__name__) from error

    def _post(self, body: bytes) -> bytes:
        deadline = time.monotonic() + self._timeout_s
        url = urlsplit(self._url)
        connection, free_s = self._connect(url)
        try:
            try:
                answering = _send(connection, url, body)
            except ConnectionError:
                if free_s < _LONG_FREE_S:
                    raise
                # The server closed it while the request was on its way. Nodes take every request a second time: one
                # that asks, and one with signed bytes.
                connection.close()
                answering = _send(connection, url, body)
            with answering as response:
                if response.status != http.HTTPStatus.OK:
                    raise _StatusError(response.status)
                answer = b"".join(_read(response, deadline))
        except BaseException:
            # Never reused: the rest of this answer could be taken for the answer to the next request.
            connection.close()
            raise
        self._idle.append((connection, time.monotonic()))
        self._close_unused()
        return answer

    def __del__(self) -> None:
        for connection, _ in self._idle:
            connection.close()

    def _close_unused(self) -> None:
        # A burst of requests opens connections that nothing needs afterwards. The latest is used first, so the oldest
        # is free for longest.
        while True:
            try:
                oldest = self._idle.popleft()
            except IndexError:  # another thread took it
                return
            if time.monotonic() - oldest[1] < self._unused_s:
                self._idle.appendleft(oldest)
                return
            oldest[0].close()

    def _connect(self, url: SplitResult) -> tuple[HTTPConnection, float]:
        """A connection, and for how long it was free; 0 for a new one."""
        while self._idle:
            try:
                connection, used_s = self._idle.pop()
            except IndexError:  # another thread took it
                break
            # A server may close an idle connection; a request sent into it would fail without need.
            if connection.sock is not None and not _has_ended(connection.sock):
                return connection, time.monotonic() - used_s
            connection.close()
        if url.scheme not in _KINDS or not url.hostname:
            raise OSError("not an http or https URL with a host")
        return _KINDS[url.scheme](url.hostname, url.port, timeout=self._timeout_s), 0.0


def _send(connection: HTTPConnection, url: SplitResult, body: bytes) -> HTTPResponse:
    """Sends a request, and returns once the answer begins. A connection that was closed is opened again."""
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    connection.request("POST", target, body, _headers(url))
    return connection.getresponse()


def _encode(number: int, method: str, params: list[Any]) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode()


def _headers(url: SplitResult) -> dict[str, str]:
    headers = {"Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": "gzip"}
    if url.username is not None:
        secret = f"{unquote(url.username)}:{unquote(url.password or '')}"
        headers["Authorization"] = "Basic " + base64.b64encode(secret.encode()).decode()
    return headers


def _has_ended(connection: socket.socket) -> bool:
    """Whether the server closed an idle connection: nothing else can make it readable between two requests."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))


def _read(response: HTTPResponse, deadline: float) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(_GZIP) if response.headers.get("Content-Encoding") == "gzip" else None
    left = MAX_BYTES
    while chunk := response.read1(_CHUNK_BYTES):
        # At most one byte beyond the limit is unpacked: a few kilobytes of gzip may stand for gigabytes.
        unpacked = chunk if unpacker is None else unpacker.decompress(chunk, left + 1)
        left -= len(unpacked)
        if left < 0 or time.monotonic() > deadline:
            raise TimeoutError("the answer is too large, or takes too long")
        yield unpacked
    if response.length or (unpacker is not None and not unpacker.eof):
        raise OSError("the answer is cut off")


# Sends many JSON-RPC requests in few HTTP requests: as arrays, of a size that the node takes.

Call = tuple[str, list[Any]]
"""Method and parameters."""
_MAX_CALLS = 100
_MAX_CHARACTERS = 2_000_000
"""Largest request: engines take five megabytes."""
_FEW = 16
"""Calls that no node takes for too many: if they were not answered in time, the node was slow."""
_SMALL_S = 600.0
"""Time for which arrays stay small after one was refused; then a large one is tried again."""
_TOO_LARGE = "too large"
"""In geth's message for those answers of an array that would make it too large."""


class Arrays:
    """The requests to one node. A node that refuses an array gets shorter ones, down to single requests."""

    def __init__(self, client: RpcClient) -> None:
        self._client = client
        self._most = _MAX_CALLS
        self._small_until = 0.0

    def ask_all(self, calls: Sequence[Call]) -> list[Any]:
        """Return the JSON of each answer, in the order of the calls; None for each that is not answered. Raises OSError
        if there is no answer. Then it is unknown which of the calls the node received."""
        answers: list[Any] = []
        while len(answers) < len(calls):
            part = list(self._next(calls, len(answers)))
            try:
                answers += self._ask_part(part)
            except ArrayRefusedError:
                self._shrink(len(part))
            except TimeoutError:
                # Perhaps because there were too many: then fewer may be answered in time. A few never were too many.
                if len(part) > _FEW:
                    self._shrink(len(part))
                raise
        return answers

    def _ask_part(self, part: Sequence[Call]) -> list[Any]:
        if len(part) == 1:
            return [self._client.ask(*part[0])]
        found = self._client.ask_all(part)
        return [
            self._client.ask(*call) if _is_too_large(answer) else answer
            for call, answer in zip(part, found, strict=True)
        ]

    def _next(self, calls: Sequence[Call], start: int) -> Iterator[Call]:
        if time.monotonic() >= self._small_until:
            self._most = _MAX_CALLS
        left = _MAX_CHARACTERS
        for place, call in enumerate(calls[start : start + self._most]):
            left -= _length(call)
            if place and left < 0:
                return
            yield call

    def _shrink(self, size: int) -> None:
        self._most = max(size // 2, 1)
        self._small_until = time.monotonic() + _SMALL_S


def _length(call: Call) -> int:
    """Length of the parameters in JSON, nearly."""
    return sum(
        len(value) if isinstance(value, str) else sum(len(str(one)) for one in value.values())
        for value in call[1]
        if isinstance(value, str | dict)
    )


def _is_too_large(answer: Any) -> bool:
    error = answer.get("error") if isinstance(answer, dict) else None
    return isinstance(error, dict) and _TOO_LARGE in str(error.get("message"))


_MESSAGE_CHARACTERS = 300
_UNNAMED = -32000
"""Code for an error without one: JSON-RPC's generic server error."""


class RpcError(Exception):
    """An error returned by the node: JSON-RPC code, message, and the revert data if there are any."""

    def __init__(self, code: int, message: str, data: bytes | None = None) -> None:
        self.code = code
        self.message = message
        self.data = data
        super().__init__(f"{message} (code {code})")


class Transport(Protocol):
    """Sends JSON-RPC requests: `HttpTransport` to a node, `EmbeddedChain` to itself."""

    def request(self, method: str, params: list[Any]) -> Any:
        """Return the result's JSON. Raises RpcError if the node returns an error, ChainUnreachableError if it returns
        nothing usable."""


@runtime_checkable
class ArrayTransport(Transport, Protocol):
    """A transport on which several requests cost little more than one."""

    def request_all(self, calls: Sequence[Call]) -> list[Any]:
        """Return the result of each request, in order. In its place stands RpcError where the node returned an error,
        ChainUnreachableError where it returned nothing usable.

        Raises ChainUnreachableError if it answered none; then it is unknown which of them it received.
        """


def request_each(transport: Transport, calls: Sequence[Call]) -> list[Any]:
    """Like `ArrayTransport.request_all`, on any transport."""
    if isinstance(transport, ArrayTransport):
        return transport.request_all(calls)
    results: list[Any] = []
    for method, params in calls:
        try:
            results.append(transport.request(method, params))
        except RpcError as error:
            results.append(error)
    return results


class HttpTransport:
    """A node behind a URL. Does not retry, but where the server closed an unused connection: only the caller knows how
    often something may be sent again."""

    def __init__(self, url: str, timeout_s: float = 10.0) -> None:
        self.url = url
        self._client = RpcClient(url, timeout_s)
        self._arrays = Arrays(self._client)

    def request(self, method: str, params: list[Any]) -> Any:
        try:
            answer = self._client.ask(method, params)
        except OSError as error:
            raise self._silent(error) from error
        return self._result(answer)

    def request_all(self, calls: Sequence[Call]) -> list[Any]:
        try:
            answers = self._arrays.ask_all(calls)
        except OSError as error:
            raise self._silent(error) from error
        results: list[Any] = []
        for answer in answers:
            try:
                results.append(self._result(answer))
            except (RpcError, ChainUnreachableError) as error:
                results.append(error)
        return results

    def _result(self, answer: Any) -> Any:
        if not isinstance(answer, dict) or ("result" not in answer and answer.get("error") is None):
            raise ChainUnreachableError(
                f"the chain at {self.url} returned an answer without a result",
                hint="check that the URL is that of a JSON-RPC node",
            )
        if answer.get("error") is not None:
            raise _as_error(answer["error"])
        return answer["result"]

    def _silent(self, error: OSError) -> ChainUnreachableError:
        return ChainUnreachableError(
            f"the chain at {self.url} does not answer ({type(error.__cause__ or error).__name__})",
            hint="check the URL and that the node is running, then try again; nothing was lost",
        )


def _as_error(refusal: Any) -> RpcError:
    if not isinstance(refusal, dict):
        return RpcError(_UNNAMED, _one_line(refusal))
    data = refusal.get("data")
    if isinstance(data, dict):  # some engines wrap the revert data in an object
        data = data.get("data") or data.get("result")
    try:
        revert = bytes.fromhex(data.removeprefix("0x")) if isinstance(data, str) else None
    except ValueError:
        revert = None
    code = refusal.get("code")
    return RpcError(code if type(code) is int else _UNNAMED, _one_line(refusal.get("message", "refused")), revert)


def _one_line(message: object) -> str:
    return " ".join(str(message).split())[:_MESSAGE_CHARACTERS]
