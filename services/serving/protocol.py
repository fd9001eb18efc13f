"""HTTP/1.1 on one connection, with deadlines for the client, and without the two spellings that proxies read otherwise.

A request with both Transfer-Encoding and Content-Length, or with a line that ends in LF alone, is refused and its
connection closed (RFC 9112, sections 2.2 and 6.1): a proxy in front that reads it differently would take the rest of it
for another request (request smuggling).

TLS, and the certificates of clients, end here too.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import ssl
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, NamedTuple

import h11
from h11._receivebuffer import ReceiveBuffer
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from millmark.ledger.errors import SettingsError, SigningError
from millmark.ledger.keys import read_private
from millmark.services.serving.connections import Connection, Connections, Waiting, name_connection
from millmark.services.serving.logs import CLIENTS

# Why a request is refused that no route sees, in words.


class Refusal(NamedTuple):
    """What a problem (RFC 9457) says, but for its status."""

    code: str
    title: str
    detail: str
    hint: str


URI_TOO_LONG: Final = Refusal(
    "uri-too-long", "The URI is too long", "path and query together are too long", "request fewer things"
)
REFUSALS: Final[Mapping[HTTPStatus, Refusal]] = {
    HTTPStatus.BAD_REQUEST: Refusal(
        "not-http",
        "It is not an HTTP request",
        "this server reads requests as RFC 9112 has them, and nothing that a proxy may read otherwise",
        "send it with an HTTP library",
    ),
    HTTPStatus.REQUEST_URI_TOO_LONG: URI_TOO_LONG,
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: Refusal(
        "head-too-long",
        "The header fields are too long",
        "the head of the request is too long",
        "send fewer or shorter header fields",
    ),
}
"""Those of what cannot be read."""


# TLS termination in the gateway itself, and client certificates.
#
# With a `client_ca`, every connection needs a certificate from that authority, in addition to the credential of each
# request. A certificate that names a participant (subject alternative name `urn:millmark:participant:5`) is valid only
# with credentials of that participant. Sessions are not resumed, so every connection's certificate is verified. OpenSSL
# resumes TLS 1.2 sessions regardless of its settings, so client certificates require TLS 1.3.

CLIENT = "client_participants"
"""Key in a request's state: the set of participants named by the client's certificate."""
_PARTICIPANT = re.compile(r"urn:millmark:participant:([1-9][0-9]{0,9})")
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Paths of the PEM files."""

    certificate: Path
    """The server's certificate, followed by the intermediate ones."""
    key: Path
    """The private key, not encrypted. Mode 0600."""
    client_ca: Path | None = None
    """CAs that issue client certificates; None if client certificates are not requested."""
    crl: Path | None = None
    """The CAs' revocation lists. Reread when the file changes; an expired list rejects every client."""


def choose_tls(certificate: Path | None, key: Path | None, client_ca: Path | None, crl: Path | None) -> TlsFiles | None:
    """Collects the TLS settings; None if TLS is terminated elsewhere. Raises SettingsError for an incomplete set."""
    if certificate is not None and key is not None:
        if crl is not None and client_ca is None:
            raise SettingsError(
                "gateway_tls_crl is set without gateway_tls_client_ca", hint="set gateway_tls_client_ca too"
            )
        return TlsFiles(certificate, key, client_ca, crl)
    if (certificate, key, client_ca, crl) != (None, None, None, None):
        raise SettingsError(
            "TLS needs a certificate and a key", hint="set gateway_tls_certificate and gateway_tls_key, or neither"
        )
    return None


def build_tls(files: TlsFiles) -> ssl.SSLContext:
    """Builds the server's context. Raises SettingsError if a file cannot be used or other users can read the key."""
    context = _build(files)
    if files.crl is not None:
        renewal = _Renewal(files, context)
        context.sni_callback = renewal.choose  # runs in each handshake, also without a server name
    return context


class _Renewal:
    """Keeps the context up to date with the file of revocation lists."""

    def __init__(self, files: TlsFiles, context: ssl.SSLContext) -> None:
        self._files, self._context, self._seen = files, context, _stamp(files.crl)

    def choose(
        self, connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context: ssl.SSLContext
    ) -> int | None:
        """SNI callback that selects the current context. Ends the handshake if the lists cannot be read, because an
        outdated one might accept a revoked certificate."""
        try:
            stamp = _stamp(self._files.crl)
            if stamp != self._seen:
                self._context, self._seen = _build(self._files), stamp
        except SettingsError:
            return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
        connection.context = self._context
        return None


class CertificateProtocol(H11Protocol):
    """Adds to each request's state the participants that the connection's certificate names."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        shown: dict[str, Any] = transport.get_extra_info("peercert") or {}
        names = [value for kind, value in shown.get("subjectAltName", ()) if kind == "URI"]
        found = {int(match[1]) for match in map(_PARTICIPANT.fullmatch, names) if match}
        self.app_state = {**self.app_state, CLIENT: frozenset(found)}


def _build(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    context.num_tickets = 0
    try:
        read_private(files.key)
    except SigningError as error:
        raise SettingsError(f"gateway_tls_key: {error.cause}", hint=error.hint) from None
    with _named("gateway_tls_certificate and its key", files.certificate):
        context.load_cert_chain(files.certificate, files.key, _refuse_password)
    if files.client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        with _named("gateway_tls_client_ca", files.client_ca):
            context.load_verify_locations(files.client_ca)
    if files.crl is not None:
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        with _named("gateway_tls_crl", files.crl):
            context.load_verify_locations(files.crl)
    return context


@contextmanager
def _named(setting: str, path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or "it is encrypted"
        raise SettingsError(f"{setting}: {path} cannot be used: {reason}", hint="name a file in PEM format") from None


def _refuse_password() -> str:
    """Password callback that fails: by default OpenSSL would prompt on the terminal."""
    raise ValueError


def _stamp(path: Path | None) -> tuple[int, int]:
    """Modification time and size, which change with the file. Raises SettingsError."""
    if path is None:
        return 0, 0
    with _named("gateway_tls_crl", path):
        found = path.stat()
    return found.st_mtime_ns, found.st_size


_BARE_LF = re.compile(rb"(?<!\r)\n")
_END = b"\r\n\r\n"


class _StrictBuffer(ReceiveBuffer):
    """Refuses line feeds without a carriage return, which h11 accepts in heads and trailers."""

    _checked = 0
    """How far the buffer was searched, so that a head that arrives in single bytes is not searched each time."""

    def maybe_extract_lines(self) -> list[bytearray] | None:
        end = self._data.find(_END, max(0, self._checked - len(_END)))
        stop = len(self._data) if end < 0 else end + len(_END)
        if _BARE_LF.search(self._data, max(0, self._checked - 1), stop):
            # The character before the first one searched is known, except at the start of the buffer.
            raise h11.RemoteProtocolError("a line ends in LF alone", error_status_hint=400)
        self._checked = stop
        return super().maybe_extract_lines()

    def _extract(self, count: int) -> bytearray:
        self._checked = 0
        return super()._extract(count)


class _StrictConnection(h11.Connection):
    def __init__(self, most_head_bytes: int) -> None:
        super().__init__(h11.SERVER, most_head_bytes)
        self._receive_buffer = _StrictBuffer()
        self._status = HTTPStatus.BAD_REQUEST

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        try:
            event = super().next_event()
        except h11.RemoteProtocolError as error:
            if error.error_status_hint == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
                has_line = b"\r\n" in bytes(self._receive_buffer)
                self._status = HTTPStatus(431 if has_line else 414)
            raise
        if isinstance(event, h11.Request):
            names = {name for name, _ in event.headers}
            if {b"transfer-encoding", b"content-length"} <= names:
                raise h11.RemoteProtocolError("both Transfer-Encoding and Content-Length", error_status_hint=400)
        return event

    def refuse(self) -> tuple[h11.Event, ...]:
        """The answer to what is no request, a problem (RFC 9457). No log has it: anybody could fill that."""
        code, title, detail, hint = REFUSALS[self._status]
        problem = {"type": f"urn:millmark:problem:{code}", "title": title, "status": self._status, "detail": detail}
        request_id = uuid.uuid4().hex
        body = json.dumps({**problem, "hint": hint, "request_id": request_id}).encode()
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
            (b"x-request-id", request_id.encode()),
            (b"connection", b"close"),
        ]
        head = h11.Response(status_code=self._status, headers=headers, reason=self._status.phrase)
        return head, h11.Data(data=body), h11.EndOfMessage()


class LimitedProtocol(CertificateProtocol):
    """Tells the table of connections what each one waits for. The table closes those that wait too long."""

    def __init__(
        self,
        table: Connections,
        *,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.logger = logging.getLogger(CLIENTS)
        self.conn = self._strict = _StrictConnection(config.h11_max_incomplete_event_size or 16 * 1024)
        self._table, self._limits = table, table.limits
        self._entry: Connection | None = None
        self._body_since_s, self._body_bytes = 0.0, 0
        self._is_refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        peer, own = (transport.get_extra_info(one) or () for one in ("peername", "sockname"))
        self._entry = self._table.find(name_connection(peer, own))
        if self._entry is not None:
            self._entry.reading_paused = lambda: self.flow.read_paused

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        before = self.conn.their_state
        super().data_received(data)
        entry, now_s = self._entry, self.loop.time()
        if entry is None or self._is_refused or self.transport.is_closing():
            return
        state = self.conn.their_state
        if state is h11.IDLE:
            # Only the first byte of a head starts its time: a byte now and then does not extend it.
            if entry.waiting is not Waiting.HEAD:
                entry.wait(Waiting.HEAD, now_s, self._limits.head_s)
        elif state is h11.SEND_BODY:
            if entry.waiting is not Waiting.BODY or before is not h11.SEND_BODY:
                self._body_since_s, self._body_bytes = now_s, 0
            self._body_bytes += len(data)
            granted_s = self._limits.body_s + self._body_bytes / self._limits.body_bytes_per_s
            self._wait_for_body(entry, self._body_since_s + granted_s)
        elif entry.waiting is not Waiting.READER:
            entry.wait(Waiting.SERVER, now_s, None)

    def _wait_for_body(self, entry: Connection, until_s: float) -> None:
        if self.conn.our_state in (h11.DONE, h11.MUST_CLOSE, h11.CLOSED):
            return  # answered already: the deadline that the answer set stays
        entry.wait(Waiting.BODY, self._body_since_s, None)
        entry.until_s = until_s

    def send_400_response(self, msg: str) -> None:
        """Answers what this server does not take as a request, or as the rest of one, unless the answer to that was
        begun. The connection is not closed at once, unless that answer cannot be ended: the rest would be unread then,
        and the system reset the connection before the client sees the answer."""
        may_answer = self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE)
        if self.cycle is not None and not self.cycle.response_complete:
            # What the application answers from now on is dropped; uvicorn would fail to send it, and log that.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self._entry is None or not (may_answer or self._is_answered):
            super().send_400_response(msg) if may_answer else self.transport.close()
            return
        self._is_refused = True
        for event in self._strict.refuse() if may_answer else ():
            self.transport.write(self.conn.send(event) or b"")
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._entry.wait(Waiting.BODY, self.loop.time(), self._limits.linger_s)

    def on_response_complete(self) -> None:
        entry, now_s = self._entry, self.loop.time()
        self._wait_after_answer()
        super().on_response_complete()
        # A request that was sent ahead is being worked on by now.
        if entry is not None and not self._is_answered:
            pending = self.conn.their_state is h11.SEND_BODY
            self._body_since_s, self._body_bytes = now_s, 0
            entry.wait(Waiting.BODY if pending else Waiting.SERVER, now_s, self._limits.body_s if pending else None)

    @property
    def _is_answered(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def _wait_after_answer(self) -> None:
        entry, now_s = self._entry, self.loop.time()
        if entry is None:
            return
        if self._is_refused or self.conn.their_state is h11.SEND_BODY:
            # Closed at once, the client might never see the answer: the system would reset the connection.
            entry.wait(Waiting.BODY, now_s, self._limits.linger_s)
        else:
            entry.wait(Waiting.NEXT_REQUEST, now_s, self._limits.idle_s + 1.0)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._entry is not None:
            self._entry.wait(Waiting.READER, self.loop.time(), self._limits.stalled_s)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._is_answered or self._is_refused:
            self._wait_after_answer()  # the client has taken the last of an answer: without a deadline, it could stay
        elif self._entry is not None:
            self._entry.wait(Waiting.SERVER, self.loop.time(), None)
