"""One POST to an address that was judged, over a connection of its own: no proxy, no redirect, no cookie, no second
look-up, and of the answer no more than its head is read."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast

import httpcore

from services.webhooks.delivery import Answer
from services.webhooks.targets import Resolve, Target, TargetRefusedError

__all__ = ["look_up", "post"]

_MOST_HEAD_BYTES: Final = 8192
"""Of everything up to the end of the final head, interim answers (1xx) with it."""


async def look_up(host: str, port: int) -> Sequence[str]:
    """The system's own resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return [cast(str, address[0]) for *_, address in found]


async def post(
    target: Target,
    headers: Mapping[str, str],
    body: bytes,
    *,
    resolve: Resolve,
    loopback: bool,
    timeout_s: float,
    tls: ssl.SSLContext,
) -> Answer:
    """Sends it, and waits for the head of the answer. Raises nothing for what goes wrong on the way: that is an answer
    as well."""
    try:
        async with asyncio.timeout(timeout_s):
            address = await target.address(resolve, loopback=loopback)
            return _judge(await _exchange(target, address, headers, body, tls))
    except TargetRefusedError as error:
        return Answer(0, error.cause)
    except TimeoutError:
        return Answer(0, f"no answer within {timeout_s:g} s")
    except (OSError, httpcore.NetworkError, httpcore.TimeoutException) as error:
        return Answer(0, _explain(error))
    except (ValueError, httpcore.ProtocolError):
        return Answer(0, "what came back is no HTTP")


async def _exchange(target: Target, address: str, headers: Mapping[str, str], body: bytes, tls: ssl.SSLContext) -> int:
    """The status of the answer."""
    scheme, host = b"https" if target.secure else b"http", target.host.encode("ascii")
    lines = {"host": target.authority, "content-length": str(len(body)), "connection": "close", **headers}
    request = httpcore.Request(
        b"POST",
        httpcore.URL(scheme=scheme, host=host, port=target.port, target=target.path.encode("ascii")),
        headers=[(name.encode("ascii"), value.encode("ascii")) for name, value in lines.items()],
        content=body,
    )
    network = _PinnedNetwork(address)
    connection = httpcore.AsyncHTTPConnection(request.url.origin, ssl_context=tls, network_backend=network)
    try:
        return (await connection.handle_async_request(request)).status
    finally:
        with contextlib.suppress(Exception):  # what it says while it goes is of no interest
            await network.aclose()


class _PinnedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to one address, whatever the name stands for by now."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._stream: httpcore.AsyncNetworkStream | None = None

    async def connect_tcp(
        self,
        host: str,  # noqa: ARG002 - httpcore's signature; the name goes into the handshake and the Host header alone
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        network = httpcore.AnyIOBackend()
        self._stream = await network.connect_tcp(self._address, port, timeout, local_address, socket_options)
        return _BoundedStream(self._stream)

    async def aclose(self) -> None:
        """Also a connection whose handshake was broken off, which nothing else holds."""
        if self._stream is not None:
            await self._stream.aclose()


class _BoundedStream(httpcore.AsyncNetworkStream):
    """Reads so many bytes and no more: httpcore's own limit is a hundred KiB for each head, and heads without end."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream, self._left = stream, _MOST_HEAD_BYTES

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if not self._left:
            raise ValueError("the head is too long")
        data = await self._stream.read(min(max_bytes, self._left), timeout)
        self._left -= len(data)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        return _BoundedStream(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _judge(status: int) -> Answer:
    if 300 <= status < 400:
        return Answer(status, f"answered {status}: redirects are not followed")
    return Answer(status, "" if 200 <= status < 300 else f"answered {status}")


def _explain(error: BaseException) -> str:
    """In the words of the operating system or the TLS library, which are at the end of the chain."""
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, ssl.SSLError):
        return f"no TLS: {error.reason or 'the handshake failed'}"
    return f"no connection: {getattr(error, 'strerror', None) or type(error).__name__}"
