"""TLS termination in the gateway itself, and client certificates.

With a `client_ca`, every connection needs a certificate from that authority, in addition to the credential of each
request. A certificate that names a participant (subject alternative name `urn:millmark:participant:5`) is valid only
with credentials of that participant. Sessions are not resumed, so every connection's certificate is verified. OpenSSL
resumes TLS 1.2 sessions regardless of its settings, so client certificates require TLS 1.3.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from millmark.ledger.errors import SettingsError, SigningError
from millmark.ledger.keys import read_private

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
