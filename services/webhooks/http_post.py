"""Sends one POST to a verified address, on a separate connection: no proxy, redirects, cookies or second name look-up.
Only the head of the response is read.

Also: the grounds on which it is not sent, its target, and its signature.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import enum
import hashlib
import hmac
import ipaddress
import json
import re
import secrets
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

import httpcore

from millmark.ledger import canonical, errors, phrases

# Why a webhook is refused, or a delivery failed: each ground is declared once.


class WebhookGround(phrases.Phrase):
    """A ground. Its value is the error's cause, or the reason that is kept with the webhook. `words` are those of the
    operating system or of another program."""

    # The receiver
    NO_URL = "not an https URL with a lower-case host, and without user or fragment"
    NOT_CANONICAL = "{host:s} is not in canonical form"
    NOT_HTTPS = "the URL is not https"
    PORT = "port {port:d} is not allowed"
    LOCALHOST = "localhost is not allowed"
    UNRESOLVED = "{host:s} does not resolve to an address"
    NO_ADDRESS = "{text} is not an IP address"
    NOT_PUBLIC = "{address:s} is not on the public internet"
    NO_HOST = "{host:s} is not a host name"
    NO_PUBLIC_NAME = "{host:s} is not a public name"
    # What is sent
    MANY_WEBHOOKS = "the participant has {most:d} webhooks already"
    LONG_FILTER = "the filter has more than {most:d} kinds or subjects"
    NO_KIND = "{text} is not a kind of record"
    # Deliveries
    PARTICIPANT_SUSPENDED = "its participant is suspended"
    PERSON_GONE = "the person who had it was removed, or may no longer receive records"
    KEY_ENDED = "API key {key:s} was revoked, or has expired"
    NO_ANSWER = "no answer within {seconds:s} s"
    NO_HTTP = "the response is not valid HTTP"
    REDIRECTED = "answered {status:d}: redirects are not followed"
    ANSWERED = "answered {status:d}"
    NO_TLS = "no TLS: {words}"
    NO_CONNECTION = "no connection: {words}"


# Which URLs webhooks may be sent to: only those that a participant could reach without us (no SSRF).
#
# A target is https on a public address. Its name is resolved once per delivery, every resulting address is verified,
# and the connection goes to a verified one, so changing the DNS answer in between (DNS rebinding) achieves nothing.
# Loopback, also over http, is allowed only if the operator says so.

PORTS: Final = frozenset({443, 8443})
_MAX_CHARACTERS: Final = 2048
_URL: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[(?=[^\]]*:)[0-9a-f:.]{2,45}\]|[a-z0-9.-]{1,253})(?::(?P<port>[1-9][0-9]{0,4}))?"
    r"(?P<path>/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?(?P<query>\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?"
)
"""Scheme and host in lower case; no user, fragment, backslash, space or non-ASCII character."""
_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_NUMERIC: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""Last label of a host that some programs parse as an IPv4 address, in decimal, octal or hexadecimal."""
_EMBEDDING: Final = [
    ipaddress.ip_network(one)
    for one in ("::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")
]
"""IPv6 ranges that embed an IPv4 address, which may be a private one."""
_NOT_PUBLIC: Final = [
    ipaddress.ip_network(one)
    for one in (
        "192.88.99.0/24",  # relays of 6to4 (RFC 7526)
        "fec0::/10",  # site-local, as some networks still use it (RFC 3879)
        "3fff::/20",  # documentation (RFC 9637)
        "5f00::/16",  # segment routing (RFC 9602)
    )
]
"""Ranges that `ipaddress` takes for public, in some versions of Python at least."""
_LOOPBACK: Final = frozenset(map(ipaddress.ip_address, ("127.0.0.1", "::1")))
_HINT: Final = "give an https:// URL that is reachable from the internet"

Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""Resolves a host name and a port to addresses."""


class TargetRefusedError(errors.InputError):
    """A receiver's URL, or an address it resolves to, is not allowed."""

    code = "webhook-target-refused"


@dataclass(frozen=True, slots=True)
class Target:
    """A receiver's URL, checked as far as possible without resolving its name."""

    url: str
    secure: bool
    host: str
    """A name, or an IP address without brackets."""
    port: int
    path: str
    """Path and query."""

    @property
    def authority(self) -> str:
        """Value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"

    async def address(self, resolve: Resolve, *, loopback: bool) -> str:
        """Resolves the host and returns one address to connect to. Raises TargetRefusedError if it resolves to nothing,
        or if any of its addresses is not allowed."""
        found = [self.host] if _address(self.host) else list(await resolve(self.host, self.port))
        if not found:
            raise TargetRefusedError(WebhookGround.UNRESOLVED.write(host=self.host), hint="check the name")
        # A name with a single forbidden address is refused, so that nobody can rely on which one is used.
        for one in found:
            verify_address(one, secure=self.secure, loopback=loopback)
        return found[0]


def parse_target(url: str, *, loopback: bool = False, ports: frozenset[int] = PORTS) -> Target:
    """Parses and checks a URL, without resolving its name. Raises TargetRefusedError."""
    match = _URL.fullmatch(url) if len(url) <= _MAX_CHARACTERS else None
    if match is None:
        raise TargetRefusedError(WebhookGround.NO_URL.write(), hint=_HINT)
    host, secure = match["host"].removeprefix("[").removesuffix("]"), match["scheme"] == "https"
    port = int(match["port"] or (443 if secure else 80))
    address = _address(host)
    if address is None:
        _verify_name(host)
    elif str(address) != host:
        raise TargetRefusedError(WebhookGround.NOT_CANONICAL.write(host=host), hint=f"write {address}")
    local = loopback and (host == "localhost" or address in _LOOPBACK)
    if not secure and not local:
        raise TargetRefusedError(WebhookGround.NOT_HTTPS.write(), hint=_HINT)
    # Few ports, so that webhooks cannot be used to probe other services of a host.
    if not (port in ports or (local and 1024 <= port <= 65535)):
        allowed = ", ".join(map(str, sorted(ports)))
        raise TargetRefusedError(WebhookGround.PORT.write(port=port), hint=f"use one of {allowed}")
    if host == "localhost" and not loopback:
        raise TargetRefusedError(WebhookGround.LOCALHOST.write(), hint=_HINT)
    if address is not None:
        verify_address(host, secure=secure, loopback=loopback)
    return Target(url, secure, host, port, (match["path"] or "/") + (match["query"] or ""))


def verify_address(text: str, *, secure: bool, loopback: bool) -> None:
    """Verifies that an address is on the public internet. Raises TargetRefusedError."""
    # A zone id (RFC 6874) does not change what kind of address it is.
    address = _address(text.partition("%")[0])
    if address is None:
        raise TargetRefusedError(WebhookGround.NO_ADDRESS.write(text=ascii(text[:60])), hint="check the name")
    if loopback and address in _LOOPBACK:
        return
    # Plain http is only allowed on the loopback, which was accepted above: hence `not secure` refuses.
    inside = any(address in one for one in (*_EMBEDDING, *_NOT_PUBLIC))
    if inside or not address.is_global or address.is_multicast or address.is_reserved or not secure:
        raise TargetRefusedError(WebhookGround.NOT_PUBLIC.write(address=str(address)), hint=_HINT)


def _verify_name(host: str) -> None:
    labels = host.split(".")
    if not all(_LABEL.fullmatch(label) for label in labels) or _NUMERIC.fullmatch(labels[-1]):
        raise TargetRefusedError(
            WebhookGround.NO_HOST.write(host=host[:80]), hint="omit the trailing dot of a name; write addresses in full"
        )
    if len(labels) < 2 and host != "localhost":
        raise TargetRefusedError(WebhookGround.NO_PUBLIC_NAME.write(host=host), hint=_HINT)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


# Webhook signatures as specified by Standard Webhooks (standardwebhooks.com), symmetric scheme v1.
#
# HMAC-SHA256 over `ID.TIMESTAMP.BODY`, base64 after the prefix `v1,`. There is one signature for each valid secret,
# separated by spaces, so that a receiver can switch secrets while both are in use.

TOLERANCE_S: Final = 300
"""Most seconds between timestamp and receiver's clock. It limits how long an intercepted delivery can be replayed."""
_PREFIX: Final = "whsec_"
_SECRET_BYTES: Final = 32


class SignatureRefusedError(errors.MillmarkError):
    """A delivery lacks a valid signature, or its timestamp is out of range."""

    code = "webhook-signature-refused"


def new_secret(seed: bytes | None = None) -> str:
    """`whsec_` and 32 bytes in base64: `seed`, or random ones."""
    return _PREFIX + base64.b64encode(seed or secrets.token_bytes(_SECRET_BYTES)).decode()


def sign(keys: Iterable[str], message_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """The signature headers of a delivery."""
    signed = f"{message_id}.{timestamp_s}.".encode() + body
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": " ".join("v1," + _seal(key, signed) for key in keys),
    }


def verify_webhook(key: str, headers: Mapping[str, str], body: bytes, *, now_s: int) -> str:
    """Verifies a delivery, for receivers, and returns its id. It must be signed with this secret within five minutes of
    `now_s`.

    Header names have to be in lower case. Raises SignatureRefusedError. Not established: that the delivery is new;
    remember the ids of accepted ones.
    """
    try:
        message_id, timestamp, given = (headers[f"webhook-{name}"] for name in ("id", "timestamp", "signature"))
    except KeyError:
        raise SignatureRefusedError("the delivery is not signed", hint="discard it") from None
    if not (timestamp.isascii() and timestamp.isdigit()) or abs(now_s - int(timestamp[:12])) > TOLERANCE_S:
        raise SignatureRefusedError(
            f"the timestamp is malformed or more than {TOLERANCE_S} s from this clock",
            hint="discard the delivery; check the clock",
        )
    expected = "v1," + _seal(key, f"{message_id}.{timestamp}.".encode() + body)
    # All are compared, without stopping at a match, so that the time taken does not reveal which one matched.
    found = [hmac.compare_digest(expected.encode(), one.encode()) for one in given.split(" ")]
    if not any(found):
        raise SignatureRefusedError(
            "no signature was made with this secret", hint="discard the delivery; check the secret"
        )
    return message_id


def _seal(key: str, signed: bytes) -> str:
    raw = base64.b64decode(key.removeprefix(_PREFIX))
    return base64.b64encode(hmac.new(raw, signed, hashlib.sha256).digest()).decode()


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


def build_request(event: Mapping[str, canonical.Json], mode: Mode) -> tuple[dict[str, str], bytes]:
    """Builds headers and body of the request, without the signature headers."""
    if mode is Mode.STRUCTURED:
        return {"content-type": "application/cloudevents+json"}, _encode(event)
    named = {name: value for name, value in event.items() if name not in ("data", "datacontenttype")}
    headers = {f"ce-{name}": str(value) for name, value in named.items()}
    return {"content-type": str(event["datacontenttype"]), **headers}, _encode(event["data"])


def _encode(value: canonical.Json) -> bytes:
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
