"""Sends one POST to a verified address, on a separate connection: no proxy, redirects, cookies or second name look-up.
Only the head of the response is read."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import json
import socket
import ssl
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import httpcore

from millmark.ledger.canonical import Json
from millmark.services.webhooks.grounds import WebhookGround
from millmark.services.webhooks.targets import Resolve, Target, TargetRefusedError


class Mode(enum.StrEnum):
    """How a CloudEvent is put into HTTP (CloudEvents HTTP protocol binding 1.0)."""

    STRUCTURED = "structured"
    """The whole event is in the body."""
    BINARY = "binary"
    """The event's data is in the body, its other attributes in `ce-` headers."""


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """The receiver's status, or why there was none."""

    status: int
    """0 if the receiver sent no usable response."""
    reason: str

    @property
    def is_accepted(self) -> bool:
        return 200 <= self.status < 300

    @property
    def ends_subscription(self) -> bool:
        """Whether retries are pointless: 410 Gone is how a receiver ends its subscription."""
        return self.status == 410


def build_request(event: Mapping[str, Json], mode: Mode) -> tuple[dict[str, str], bytes]:
    """Builds headers and body of the request, without the signature headers."""
    if mode is Mode.STRUCTURED:
        return {"content-type": "application/cloudevents+json"}, _encode(event)
    named = {name: value for name, value in event.items() if name not in ("data", "datacontenttype")}
    headers = {f"ce-{name}": str(value) for name, value in named.items()}
    return {"content-type": str(event["datacontenttype"]), **headers}, _encode(event["data"])


def _encode(value: Json) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


_MAX_HEAD_BYTES: Final = 8192
"""Limit for all heads of a response together, interim responses (1xx) included."""


async def resolve_host(host: str, port: int) -> Sequence[str]:
    """Resolves a name as the system does."""
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
) -> DeliveryResult:
    """Sends the request and waits for the head of the response. Failures are returned as results, never raised."""
    try:
        # One limit for the whole delivery: with one per step, a receiver could hold it by answering byte by byte.
        async with asyncio.timeout(timeout_s):
            address = await target.address(resolve, loopback=loopback)
            return _judge(await _exchange(target, address, headers, body, tls))
    except TargetRefusedError as error:
        return DeliveryResult(0, error.cause)
    except TimeoutError:
        return DeliveryResult(0, WebhookGround.NO_ANSWER.write(seconds=f"{timeout_s:g}"))
    except (OSError, httpcore.NetworkError, httpcore.TimeoutException) as error:
        return DeliveryResult(0, _explain(error))
    except (ValueError, httpcore.ProtocolError):
        return DeliveryResult(0, WebhookGround.NO_HTTP.write())


async def _exchange(target: Target, address: str, headers: Mapping[str, str], body: bytes, tls: ssl.SSLContext) -> int:
    """Returns the status of the response."""
    # "host" is the name, though the connection goes to an address: virtual hosts need it.
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
        with contextlib.suppress(Exception):  # the result is known; errors while closing do not change it
            await network.aclose()


class _PinnedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to the one address that was verified, so that a changed DNS answer cannot redirect the request."""

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
        """Closes the connection. httpcore does not close one whose TLS handshake was interrupted."""
        if self._stream is not None:
            await self._stream.aclose()


class _BoundedStream(httpcore.AsyncNetworkStream):
    """Limits the bytes read. httpcore limits each head to 100 KiB, but not the number of interim responses."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream, self._left = stream, _MAX_HEAD_BYTES

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
        # The handshake reads from the inner stream, so a long certificate chain does not count against the limit.
        return _BoundedStream(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _judge(status: int) -> DeliveryResult:
    if 300 <= status < 400:
        return DeliveryResult(status, WebhookGround.REDIRECTED.write(status=status))
    return DeliveryResult(status, "" if 200 <= status < 300 else WebhookGround.ANSWERED.write(status=status))


def _explain(error: BaseException) -> str:
    """The words of the operating system or the TLS library, which are in the innermost cause."""
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, ssl.SSLError):
        return WebhookGround.NO_TLS.write(words=error.reason or "the handshake failed")
    return WebhookGround.NO_CONNECTION.write(words=getattr(error, "strerror", None) or type(error).__name__)
