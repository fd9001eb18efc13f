"""Deliveries to receivers that mean harm: whatever they do, it is bounded in time and bytes, and follows nothing."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import pytest
from cryptography import x509

from millmark.services.webhooks.http_post import DeliveryResult, Target, post
from tests.support.authority import Authority
from tests.support.patience import MAX_S
from tests.support.ports import closed_port

Receive = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
_MAX_HEAD_BYTES = 8192
_OK = b"HTTP/1.1 200 OK\r\n\r\n"


@dataclass
class Hostile:
    """A receiver on a real socket."""

    receive: Receive
    tls: ssl.SSLContext | None = None
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    """One for each connection."""

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self.receive(reader, writer)
        except (OSError, EOFError, asyncio.LimitOverrunError):
            pass  # it was hung up on, as it should be
        finally:
            writer.transport.abort()

    def send(
        self,
        body: bytes = b"{}",
        headers: Mapping[str, str] = MappingProxyType({}),
        *,
        timeout_s: float = MAX_S,
        trusting: Authority | None = None,
    ) -> DeliveryResult:
        """A delivery to it, under a name that stands for 127.0.0.1."""
        context = ssl.create_default_context(cafile=None if trusting is None else trusting.path)

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.tasks.append(asyncio.ensure_future(self._accept(reader, writer)))

        async def run() -> DeliveryResult:
            async with await asyncio.start_server(accept, "127.0.0.1", 0, ssl=self.tls) as server:
                target = Target("", trusting is not None, "erp.example", server.sockets[0].getsockname()[1], "/hook")
                try:
                    return await post(
                        target, headers, body, resolve=_resolve, loopback=True, timeout_s=timeout_s, tls=context
                    )
                finally:
                    for task in self.tasks:
                        task.cancel()
                    await asyncio.gather(*self.tasks, return_exceptions=True)
                    await asyncio.sleep(0)  # lets what was aborted end

        return asyncio.run(run())


async def _resolve(_host: str, _port: int) -> Sequence[str]:
    return ["127.0.0.1"]


def answering(*parts: bytes, pause_s: float = 0.0) -> Receive:
    """Reads the request's head, then sends parts, with pauses between them, until the other side hangs up."""

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause_s)

    return receive


def flooding(part: bytes, sent: list[int]) -> Receive:
    """Sends without end."""

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        while True:
            writer.write(part)
            await writer.drain()
            sent.append(len(part))

    return receive


async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def deaf(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    """Takes the connection and never reads."""
    await asyncio.sleep(5)


@pytest.mark.parametrize("part", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"])
def test_interim_answers_without_end_are_cut_off(part: bytes) -> None:
    sent: list[int] = []
    hostile = Hostile(flooding(part, sent))
    assert hostile.send() == DeliveryResult(0, "the response is not valid HTTP")
    assert sent


def test_a_head_without_end_is_cut_off() -> None:
    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        await flooding(b"X-Padding: " + b"a" * 500 + b"\r\n", [])(reader, writer)

    assert Hostile(receive).send() == DeliveryResult(0, "the response is not valid HTTP")


@pytest.mark.parametrize(("size", "taken"), [(_MAX_HEAD_BYTES, True), (_MAX_HEAD_BYTES + 1, False)])
def test_the_bound_of_a_head_is_exact(size: int, taken: bool) -> None:
    begin, end = b"HTTP/1.1 200 OK\r\nx: ", b"\r\n\r\n"
    head = begin + b"a" * (size - len(begin) - len(end)) + end
    assert len(head) == size
    assert Hostile(answering(head)).send().is_accepted is taken


def test_a_body_is_not_read() -> None:
    """However large it says that it is, and whatever its encoding: the connection is closed behind the head."""
    sent: list[int] = []

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n")
        await flooding(b"ffff\r\n" + b"\0" * 0xFFFF + b"\r\n", sent)(reader, writer)

    assert Hostile(receive).send().is_accepted
    assert sum(sent) < 64 << 20, "what the sockets hold, and not without end"


@pytest.mark.parametrize(
    "receive",
    [
        silent,
        deaf,
        answering(*[bytes([one]) for one in b"HTTP/1.1 200 OK" + b"k" * 100], pause_s=0.02),
        answering(_OK[:-2], pause_s=5),
    ],
    ids=["silent", "deaf", "a letter at a time", "all but the end"],
)
def test_a_receiver_that_takes_its_time_gets_no_more_than_there_is(receive: Receive) -> None:
    begun = time.monotonic()
    assert Hostile(receive).send(timeout_s=0.3) == DeliveryResult(0, "no answer within 0.3 s")
    assert time.monotonic() - begun < 5


def test_a_receiver_that_does_not_read_a_large_delivery_is_given_up() -> None:
    assert Hostile(deaf).send(b"x" * (32 << 20), timeout_s=0.3) == DeliveryResult(0, "no answer within 0.3 s")


def test_an_answer_that_comes_before_the_delivery_was_read_counts() -> None:
    """As of a server that refuses by size."""

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answering(b"HTTP/1.1 413 Content Too Large\r\n\r\n")(reader, writer)
        await reader.read()

    assert Hostile(receive).send(b"x" * 1000).status == 413


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(status: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as within:
        within.settimeout(0.05)
        where = f"http://127.0.0.1:{within.getsockname()[1]}/"
        hostile = Hostile(answering(f"HTTP/1.1 {status} Over there\r\nLocation: {where}\r\n\r\n".encode()))
        assert hostile.send() == DeliveryResult(status, f"answered {status}: redirects are not followed")
        assert len(hostile.tasks) == 1
        with pytest.raises(TimeoutError):
            within.accept()


def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.settimeout(0.05)
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        assert Hostile(answering(_OK)).send().is_accepted
        with pytest.raises(TimeoutError):
            proxy.accept()


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 600 Beyond\r\n\r\n",
        b"HTTP/1.1 099 Below\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 200OK\r\n\r\n",
        b"HTTP/1.1  200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: a\0b\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200,
        b"\r\n\r\n",
        b"\0" * 10_000,
    ],
)
def test_what_is_not_a_good_answer_takes_no_delivery(head: bytes) -> None:
    assert not Hostile(answering(head)).send().is_accepted


def test_the_name_is_in_the_request_and_the_handshake_but_the_address_is_connected_to(tmp_path: Path) -> None:
    """The certificate is judged by the name of the target, although the name was not looked up again."""
    authority = Authority(tmp_path, "authority")
    names: list[str | None] = []
    heads: list[bytes] = []
    tls = _server_tls(authority, "erp.example")
    tls.sni_callback = lambda _, name, __: names.append(name)

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(_OK)
        await writer.drain()

    assert Hostile(receive, tls).send(trusting=authority).is_accepted
    assert names == ["erp.example"]
    assert b"\r\nhost: erp.example:" in heads[0]


def test_a_certificate_of_another_name_or_authority_gets_nothing(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path, "authority"), Authority(tmp_path, "other")
    for tls in (_server_tls(authority, "evil.example"), _server_tls(other, "erp.example")):
        hostile = Hostile(answering(_OK), tls)
        assert hostile.send(trusting=authority) == DeliveryResult(0, "no TLS: CERTIFICATE_VERIFY_FAILED")


def test_handshakes_that_lead_nowhere(tmp_path: Path) -> None:
    """No TLS, the end instead of an answer, and no answer at all."""

    async def hang_up(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        return

    authority = Authority(tmp_path, "authority")

    async def speak(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    assert Hostile(speak).send(trusting=authority).reason.startswith("no TLS: ")
    assert Hostile(hang_up).send(trusting=authority).reason.startswith(("no TLS: ", "no connection: "))
    assert Hostile(silent).send(trusting=authority, timeout_s=0.3) == DeliveryResult(0, "no answer within 0.3 s")


def test_a_closed_port_is_told() -> None:
    port = closed_port()

    async def run() -> DeliveryResult:
        target = Target("", False, "127.0.0.1", port, "/")
        context = ssl.create_default_context()
        return await post(target, {}, b"{}", resolve=_resolve, loopback=True, timeout_s=MAX_S, tls=context)

    assert asyncio.run(run()).reason.startswith("no connection: Connect")


@pytest.mark.parametrize("value", ["a\r\nhost: evil.example", "a\nb", "a\0b", "ü"])
def test_no_header_can_be_smuggled_into_a_request(value: str) -> None:
    got: list[bytes] = []

    async def receive(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        got.append(await reader.read(1000))

    assert Hostile(receive).send(headers={"ce-subject": value}).status == 0
    assert b"".join(got) == b""


def _server_tls(authority: Authority, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue(f"server-{name}-{authority.name}", [x509.DNSName(name)], server=True))
    return context
