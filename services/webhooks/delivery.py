"""One delivery: one POST to an address that was judged, and what the receiver says to it.

The bytes go over a connection of our own making: no proxy, no redirect, no cookie, no second look-up, and of the answer
not more than its head is read.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import json
import re
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from ledger.canonical import Json
from services.webhooks.errors import TargetRefusedError
from services.webhooks.targets import Resolve, Target

__all__ = ["Answer", "Mode", "build_request", "look_up", "post"]

_MOST_HEAD_BYTES: Final = 8192
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?")


class Mode(enum.StrEnum):
    """How a CloudEvent is put into HTTP (CloudEvents HTTP protocol binding 1.0)."""

    STRUCTURED = "structured"
    """All of it in the body."""
    BINARY = "binary"
    """Its data in the body, the rest in `ce-` headers."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver said, or why nothing was heard of it."""

    status: int
    """0 when there was no answer."""
    reason: str

    @property
    def is_taken(self) -> bool:
        return 200 <= self.status < 300

    @property
    def is_final(self) -> bool:
        """Whether another try would be of no use: 410 is how a receiver ends its subscription."""
        return self.status == 410


def build_request(event: Mapping[str, Json], mode: Mode) -> tuple[dict[str, str], bytes]:
    """Headers and body of an event."""
    if mode is Mode.STRUCTURED:
        return {"content-type": "application/cloudevents+json"}, _encode(event)
    named = {name: value for name, value in event.items() if name not in ("data", "datacontenttype")}
    headers = {f"ce-{name}": str(value) for name, value in named.items()}
    return {"content-type": str(event["datacontenttype"]), **headers}, _encode(event["data"])


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
            return await _exchange(target, address, headers, body, tls)
    except TargetRefusedError as error:
        return Answer(0, error.cause)
    except TimeoutError:
        return Answer(0, f"no answer within {timeout_s:g} s")
    except ssl.SSLError as error:
        return Answer(0, f"no TLS: {error.reason or 'the handshake failed'}")
    except OSError as error:
        return Answer(0, f"no connection: {error.strerror or type(error).__name__}")
    except (ValueError, EOFError):
        return Answer(0, "what came back is no HTTP")


async def _exchange(
    target: Target, address: str, headers: Mapping[str, str], body: bytes, tls: ssl.SSLContext
) -> Answer:
    secure = {"ssl": tls, "server_hostname": target.host} if target.secure else {}
    reader, writer = await asyncio.open_connection(address, target.port, limit=_MOST_HEAD_BYTES, **secure)  # type: ignore[arg-type]  # typeshed has one type for all
    try:
        lines = {"host": target.authority, "content-length": str(len(body)), "connection": "close", **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        writer.write(f"POST {target.path} HTTP/1.1\r\n{head}\r\n".encode("ascii") + body)
        await writer.drain()
        line = await _first_line(reader)
    finally:
        writer.close()
        with contextlib.suppress(Exception):  # what it says while it goes is of no interest
            await writer.wait_closed()
    match = _STATUS.fullmatch(line)
    if match is None:
        raise ValueError("no status line")
    return _judge(int(match[1]))


async def _first_line(reader: asyncio.StreamReader) -> bytes:
    """Of the final answer: 1xx are passed over. A head longer than the limit raises ValueError."""
    for _ in range(4):
        head = await _head(reader)
        line = head.partition(b"\r\n")[0]
        if not line.startswith((b"HTTP/1.1 1", b"HTTP/1.0 1")):
            return line
    raise ValueError("no end of interim answers")


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        raise ValueError("the head is too long") from None


def _judge(status: int) -> Answer:
    if 300 <= status < 400:
        return Answer(status, f"answered {status}: redirects are not followed")
    return Answer(status, "" if 200 <= status < 300 else f"answered {status}")


async def look_up(host: str, port: int) -> Sequence[str]:
    """The system's own resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return [cast(str, address[0]) for *_, address in found]


def _encode(value: Json) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
