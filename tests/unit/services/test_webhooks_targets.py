"""Where webhooks may go: tricks with addresses, with names, with answers that change, and what is never followed."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence

import pytest

from millmark.services.webhooks.http_post import (
    DeliveryResult,
    Target,
    TargetRefusedError,
    parse_target,
    post,
    verify_address,
)
from tests.support.patience import MAX_S

REFUSED = [
    # not https, or not a web address at all
    "http://erp.example/", "ftp://erp.example/", "file:///etc/passwd", "gopher://erp.example/", "//erp.example/",
    "erp.example", "", "https:erp.example", "https:/erp.example/", "https:///hook", "https://", "javascript:alert(1)",
    # addresses in every spelling
    "https://127.0.0.1/", "https://127.1/", "https://127.0.1/", "https://2130706433/", "https://0x7f000001/",
    "https://0x7f.0.0.1/", "https://0177.0.0.1/", "https://017700000001/", "https://127.0.0.01/", "https://0/",
    "https://0.0.0.0/", "https://10.1.2.3/", "https://172.16.0.1/", "https://192.168.1.1/", "https://169.254.169.254/",
    "https://100.64.0.1/", "https://198.18.0.1/", "https://192.0.2.1/", "https://224.0.0.1/", "https://255.255.255.255/",
    "https://240.0.0.1/", "https://1.2.3/", "https://1.2.3.4.5/", "https://999.1.1.1/", "https://8.8.8.0x8/",
    # IPv6, and IPv4 within it
    "https://[::1]/", "https://[::]/", "https://[0:0:0:0:0:0:0:1]/", "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/", "https://[::ffff:8.8.8.8]/", "https://[::127.0.0.1]/", "https://[64:ff9b::7f00:1]/",
    "https://[2002:7f00:1::]/", "https://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/", "https://[fe80::1]/",
    "https://[fec0::1]/", "https://192.88.99.1/", "https://[3fff::1]/", "https://[5f00::1]/",
    "https://[fe80::1%25eth0]/", "https://[fc00::1]/", "https://[ff02::1]/", "https://[2001:db8::1]/",
    "https://[::1", "https://::1/", "https://[127.0.0.1]/",
    # names
    "https://localhost/", "https://localhost./", "https://LOCALHOST/", "https://erp/", "https://erp.example./",
    "https://-erp.example/", "https://erp-.example/", "https://erp..example/", "https://.example/",
    "https://" + "a" * 64 + ".example/", "https://erp.example.1/", "https://erp.0x1/",
    # who is asked is not who seems to be
    "https://erp.example@127.0.0.1/", "https://user:pass@erp.example/", "https://erp.example:443@127.0.0.1/",
    "https://127.0.0.1#@erp.example/", "https://127.0.0.1\\@erp.example/", "https://erp.example#.evil.example",
    "https://erp.example\\evil.example/", "https://erp.example/#fragment", "https://erp.example /", " https://erp.example/",
    "https://erp.example/\n", "https://erp.example/\r\nHost: internal", "https://erp.example/\thook",
    "https://erp.example/h k",
    "https://%31%32%37.0.0.1/", "https://erp%2eexample/", "https://erp.example%00.evil.example/",
    # letters that only look like ASCII
    "https://１２７.0.0.1/", "https://127。0。0。1/", "https://①②⑦.0.0.1/", "https://еrp.example/", "https://erp.examplе/",
    "https://ⓛocalhost/", "https://erp.example/ü",
    # ports
    "https://erp.example:22/", "https://erp.example:80/", "https://erp.example:6379/", "https://erp.example:0/",
    "https://erp.example:65536/", "https://erp.example:99999999/", "https://erp.example:-1/", "https://erp.example:/",
    "https://erp.example:443:22/", "https://erp.example:0443/", "https://erp.example:４４３/",
    "https://erp.example/" + "a" * 2048,
]  # fmt: skip
TAKEN = [
    ("https://erp.example/hook?tenant=1", "erp.example", 443, "/hook?tenant=1", "erp.example"),
    ("https://erp.example", "erp.example", 443, "/", "erp.example"),
    ("https://erp.example:8443/a%20b", "erp.example", 8443, "/a%20b", "erp.example:8443"),
    ("https://xn--rp-gja.example/", "xn--rp-gja.example", 443, "/", "xn--rp-gja.example"),
    ("https://8.8.8.8/", "8.8.8.8", 443, "/", "8.8.8.8"),
    ("https://[2606:4700:4700::1111]/", "2606:4700:4700::1111", 443, "/", "[2606:4700:4700::1111]"),
]
TLS = ssl.create_default_context()


def test_there_are_enough_tricks() -> None:
    assert len(set(REFUSED)) >= 100


@pytest.mark.parametrize("loopback", [False, True])
@pytest.mark.parametrize("url", REFUSED)
def test_tricks_are_refused(url: str, loopback: bool) -> None:
    if loopback and url.startswith(("https://127.0.0.1/", "https://[::1]/", "https://localhost/")):
        return  # what the operator allowed
    with pytest.raises(TargetRefusedError):
        parse_target(url, loopback=loopback)


@pytest.mark.parametrize(("url", "host", "port", "path", "authority"), TAKEN)
def test_what_is_sent_to(url: str, host: str, port: int, path: str, authority: str) -> None:
    target = parse_target(url)
    assert (target.host, target.port, target.path, target.authority) == (host, port, path, authority)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:5000/", "http://localhost:1024/", "https://[::1]:65535/", "http://[::1]:8080/"]
)
def test_loopback_where_it_is_allowed(url: str) -> None:
    assert parse_target(url, loopback=True).url == url
    with pytest.raises(TargetRefusedError):
        parse_target(url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:22/", "http://127.0.0.2:5000/", "http://10.0.0.1:5000/"])
def test_loopback_is_no_more_than_it_says(url: str) -> None:
    with pytest.raises(TargetRefusedError):
        parse_target(url, loopback=True)


@pytest.mark.parametrize("address", ["127.0.0.1", "::ffff:127.0.0.1", "10.0.0.1", "fe80::1%eth0", "erp.example", ""])
def test_addresses_that_a_name_may_not_stand_for(address: str) -> None:
    with pytest.raises(TargetRefusedError):
        verify_address(address, secure=True, loopback=False)


def send(
    target: Target, resolve: Callable[[str, int], Awaitable[Sequence[str]]], *, loopback: bool = False
) -> DeliveryResult:
    return asyncio.run(post(target, {}, b"{}", resolve=resolve, loopback=loopback, timeout_s=MAX_S, tls=TLS))


class Resolver:
    """Answers in turn with what it was told, as a name server of an attacker does."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers, self.asked = list(answers), 0

    async def __call__(self, _host: str, _port: int) -> Sequence[str]:
        self.asked += 1
        return self.answers[min(self.asked, len(self.answers)) - 1]


@pytest.mark.parametrize(
    "answer", [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::ffff:169.254.169.254"], ["64:ff9b::a00:1"], []]
)
def test_a_name_that_stands_for_a_place_within_is_not_sent_to(answer: list[str]) -> None:
    resolver = Resolver(answer)
    found = send(parse_target("https://erp.example/"), resolver)
    assert (found.status, resolver.asked) == (0, 1)
    assert "public internet" in found.reason or "does not resolve" in found.reason


def test_a_name_is_looked_up_once_and_the_address_that_was_judged_is_connected_to() -> None:
    """The second answer, for whoever looked up again when connecting, is a server that listens."""
    with socket.create_server(("127.0.0.1", 0)) as within:
        within.settimeout(0.2)
        port = within.getsockname()[1]
        resolver = Resolver(["::1"], ["127.0.0.1"])
        target = Target(f"https://erp.example:{port}/", True, "erp.example", port, "/")
        found = send(target, resolver, loopback=True)
        assert (resolver.asked, found.status) == (1, 0)
        with pytest.raises(TimeoutError):
            within.accept()


def serve(*answers: bytes) -> tuple[list[bytes], DeliveryResult]:
    """What a receiver got, and what we made of its answer."""

    async def run() -> tuple[list[bytes], DeliveryResult]:
        got: list[bytes] = []

        async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            got.append(await reader.readuntil(b"\r\n\r\n"))
            for part in answers:
                writer.write(part)
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(receive, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        target = parse_target(f"http://127.0.0.1:{port}/hook", loopback=True)
        async with server:
            answer = await post(target, {"a": "b"}, b"{}", resolve=Resolver(), loopback=True, timeout_s=MAX_S, tls=TLS)
        return got, answer

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("answers", "status", "reason"),
    [
        ([b"HTTP/1.1 204 No Content\r\n\r\n"], 204, ""),
        ([b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"], 200, ""),
        ([b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\n\r\n"], 302, "redirects are not followed"),
        ([b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /elsewhere\r\n\r\n"], 307, "redirects are not followed"),
        ([b"HTTP/1.1 500 Oh\r\n\r\n"], 500, "answered 500"),
        ([b"HTTP/1.1 410 Gone\r\n\r\n"], 410, "answered 410"),
        ([b"SSH-2.0-OpenSSH_9.2\r\n\r\n"], 0, "not valid HTTP"),
        ([b"HTTP/2 200\r\n\r\n"], 0, "not valid HTTP"),
        ([b""], 0, "not valid HTTP"),
        ([b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000], 0, "not valid HTTP"),
        ([b"HTTP/1.1 100 Continue\r\n\r\n" * 5], 0, "not valid HTTP"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n" + b"x" * 100_000], 200, ""),
    ],
)
def test_answers(answers: list[bytes], status: int, reason: str) -> None:
    got, answer = serve(*answers)
    assert len(got) == 1
    assert (answer.status, reason in answer.reason) == (status, True)
    assert answer.is_accepted == (200 <= status < 300)


def test_the_request_is_plain() -> None:
    [head], _ = serve(b"HTTP/1.1 200 OK\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /hook HTTP/1.1"
    names = [line.partition(":")[0] for line in lines[1:-2]]
    assert names == ["host", "content-length", "connection", "a"]


def test_a_closed_port_and_one_that_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        target = parse_target(f"http://127.0.0.1:{silent.getsockname()[1]}/", loopback=True)
        answer = asyncio.run(post(target, {}, b"{}", resolve=Resolver(), loopback=True, timeout_s=0.2, tls=TLS))
        assert answer == DeliveryResult(0, "no answer within 0.2 s")
    assert send(target, Resolver(), loopback=True).reason.startswith("no connection: ")
