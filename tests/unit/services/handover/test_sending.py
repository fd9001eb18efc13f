"""A gateway that answers slowly, wrongly, with another's certificate or not at all: one line, in bounded time."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from cryptography import x509

from millmark.ledger.errors import SettingsError
from millmark.ledger.keys import LocalSigner
from millmark.services.directory.client import fetch_directory
from millmark.services.directory.document import DirectoryUnreachableError
from millmark.services.handover.delivering import Answer, send
from millmark.services.serving.partners import build_partner_tls
from tests.support.authority import Authority

DIGEST, TEXT = b"\7" * 32, b"{}\nAAAA\n"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def sent(
    serve: Serve,
    authority: Authority | None = None,
    name: str = "",
    timeout_s: float = 5.0,
    trusted: ssl.SSLContext | None = None,
) -> Answer:
    """`name`: whose certificate the gateway shows; the client trusts its authority, unless `trusted` is given."""

    async def run() -> Answer:
        tls = None if authority is None else ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        believed = trusted or ssl.create_default_context(cafile=authority.path if authority else None)
        if authority is not None and tls is not None:
            tls.load_cert_chain(*authority.issue(name, [x509.DNSName(name)], server=True))
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
        port = server.sockets[0].getsockname()[1]
        async with server:
            url = f"{'http' if tls is None else 'https'}://localhost:{port}"
            answer = await send(url, DIGEST, TEXT, believed, timeout_s)
            await asyncio.sleep(0.1)  # until the server has seen that the client has gone
            return answer

    return asyncio.run(run())


def answering(*pieces: bytes, pause_s: float = 0.0) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(TEXT)
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(pause_s)
            if reader.at_eof():  # the client has gone
                break
        writer.close()

    return serve


def response(status: str, body: bytes = b"") -> bytes:
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


def test_one_that_keeps_it() -> None:
    answer = sent(answering(response("200 OK", b"{}")))
    assert (answer.is_kept, answer.reason) == (True, "")


@pytest.mark.parametrize(
    ("status", "refused", "unreachable"),
    [
        ("422 X", True, False),
        ("409 X", False, False),
        ("404 X", False, False),
        ("503 X", False, True),
        ("429 X", False, True),
    ],
)
def test_one_that_does_not(status: str, refused: bool, unreachable: bool) -> None:
    body = b'{"detail":"record 7 is\\n not final \\u001b[31m","status":409}'
    answer = sent(answering(response(status, body)))
    assert (answer.is_kept, answer.is_refused, answer.is_unreachable) == (False, refused, unreachable)
    assert answer.reason == f"its gateway answered {status[:3]}: record 7 is not final [31m"


def test_a_redirect_is_not_followed() -> None:
    answer = sent(answering(b"HTTP/1.1 307 X\r\nlocation: http://localhost:1/\r\ncontent-length: 0\r\n\r\n"))
    assert (answer.status, answer.is_kept) == (307, False)


@pytest.mark.parametrize(
    ("serve", "says"),
    [
        (answering(response("200 OK", b"x" * 2_100_000)), "its gateway's answer is too long"),
        (answering(b"SSH-2.0\r\n\r\n"), "no connection to its gateway"),
        (answering(), "no connection to its gateway"),
    ],
)
def test_one_that_answers_nonsense(serve: Serve, says: str) -> None:
    answer = sent(serve)
    assert (answer.status, answer.is_unreachable) == (0, True)
    assert answer.reason.startswith(says)


@pytest.mark.parametrize("beginning", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n"])
def test_one_that_answers_byte_by_byte(beginning: bytes) -> None:
    began_s = time.monotonic()
    answer = sent(answering(beginning, *[b"x"] * 900, pause_s=0.05), timeout_s=0.3)
    assert answer == Answer(0, "its gateway did not answer within 0.3 s")
    assert time.monotonic() - began_s < 3


def test_one_that_does_not_listen() -> None:
    answer = asyncio.run(send("http://127.0.0.1:1", DIGEST, TEXT, ssl.create_default_context(), 5))
    assert answer == Answer(0, "no connection to its gateway: Connection refused") or answer.status == 0


def test_one_with_anothers_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "root")
    assert sent(answering(response("200 OK", b"{}")), authority, "localhost").is_kept
    answer = sent(answering(response("200 OK")), authority, "other.example")
    assert answer.status == 0
    assert answer.reason.startswith("its gateway's certificate is not valid for its address: Hostname mismatch")


def test_one_of_a_private_authority(tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path, "ours"), Authority(tmp_path, "theirs")
    serve = answering(response("200 OK", b"{}"))
    assert sent(serve, ours, "localhost", trusted=build_partner_tls(ours.path)).is_kept
    for trusted in (build_partner_tls(None), build_partner_tls(theirs.path)):
        answer = sent(serve, ours, "localhost", trusted=trusted)
        assert answer.status == 0
        assert answer.reason.startswith("its gateway's certificate is of an authority that is not in partner_ca: ")


def test_the_directory_of_a_gateway_with_a_private_authority(tmp_path: Path) -> None:
    """As far as TLS goes: this server has no directory."""
    ours = Authority(tmp_path, "ours")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(response("404 Not Found", b'{"detail":"no such thing"}'))
        writer.close()

    async def fetch(name: str, tls: ssl.SSLContext) -> str:
        server_tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        server_tls.load_cert_chain(*ours.issue(name, [x509.DNSName(name)], server=True))
        async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_tls) as server:
            url = f"https://localhost:{server.sockets[0].getsockname()[1]}"
            with pytest.raises(DirectoryUnreachableError) as found:
                await asyncio.to_thread(fetch_directory, url, LocalSigner.generate(), 1, tls=tls)
        assert "\n" not in str(found.value)
        return found.value.cause

    assert asyncio.run(fetch("localhost", build_partner_tls(ours.path))).endswith("no such thing")
    assert "not in partner_ca" in asyncio.run(fetch("localhost", build_partner_tls(None)))
    assert "not valid for its address: Hostname" in asyncio.run(fetch("other.example", build_partner_tls(ours.path)))


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_of_authorities_that_cannot_be_used(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "partners.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsError, match=r"partner_ca: .*partners\.pem cannot be used"):
        build_partner_tls(path)


@pytest.mark.parametrize("url", ["http://gateway.example", "ftp://x", "", "http://localhost.example:80", "https://"])
def test_an_address_that_is_none(url: str) -> None:
    answer = asyncio.run(send(url, DIGEST, TEXT, ssl.create_default_context(), 5))
    assert (answer.status, answer.is_unreachable) == (0, True)
    assert answer.reason
