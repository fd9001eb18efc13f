"""TLS that the gateway speaks itself, and the certificates of the machines that may connect.

With a `client_ca`, a connection needs a certificate of that authority, whatever is asked on it; the credential is
needed all the same. A certificate that names a participant (subject alternative name `urn:millmark:participant:5`) is
good for that participant's credentials alone. Sessions are not resumed, so that each connection has its certificate
judged anew; since OpenSSL resumes those of TLS 1.2 whatever it is told, client certificates take TLS 1.3.
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

from ledger.errors import SettingsError, SigningError
from ledger.keys import read_private

__all__ = ["CLIENT", "CertificateProtocol", "TlsFiles", "build_tls", "choose_tls"]

CLIENT = "client_participants"
"""In a request's state: the participants that the client's certificate names."""
_PARTICIPANT = re.compile(r"urn:millmark:participant:([1-9][0-9]{0,9})")
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files."""

    certificate: Path
    """With the intermediate ones behind it."""
    key: Path
    """Mode 0600, not encrypted."""
    client_ca: Path | None = None
    """Authorities whose certificates clients may show; None when clients show none."""
    crl: Path | None = None
    """Their revocation lists. Read again when the file changes; one that has expired lets nobody in."""


def choose_tls(certificate: Path | None, key: Path | None, client_ca: Path | None, crl: Path | None) -> TlsFiles | None:
    """Out of settings; None for a gateway behind somebody else's TLS. Raises SettingsError for half a choice."""
    if certificate is not None and key is not None:
        if crl is not None and client_ca is None:
            raise SettingsError(
                "gateway_tls_crl says which certificates are revoked, of none", hint="set client_ca too"
            )
        return TlsFiles(certificate, key, client_ca, crl)
    if (certificate, key, client_ca, crl) != (None, None, None, None):
        raise SettingsError(
            "TLS needs a certificate and a key", hint="set gateway_tls_certificate and gateway_tls_key, or neither"
        )
    return None


def build_tls(files: TlsFiles) -> ssl.SSLContext:
    """A context for the server. Raises SettingsError for a key that others may read, and for files that are none."""
    context = _build(files)
    if files.crl is not None:
        renewal = _Renewal(files, context)
        context.sni_callback = renewal.choose  # runs in each handshake, also without a server name
    return context


class _Renewal:
    """The context with the revocation list as the file has it now."""

    def __init__(self, files: TlsFiles, context: ssl.SSLContext) -> None:
        self._files, self._context, self._seen = files, context, _stamp(files.crl)

    def choose(
        self, connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context: ssl.SSLContext
    ) -> int | None:
        """A list that cannot be read ends the handshake: nobody is let in on an old one."""
        try:
            stamp = _stamp(self._files.crl)
            if stamp != self._seen:
                self._context, self._seen = _build(self._files), stamp
        except SettingsError:
            return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
        connection.context = self._context
        return None


class CertificateProtocol(H11Protocol):
    """Leaves in each request's state which participants the connection's certificate names."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
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
        raise SettingsError(f"{setting}: {path} cannot be used: {reason}", hint="give a PEM file") from None


def _refuse_password() -> str:
    """Rather than have OpenSSL ask at the terminal."""
    raise ValueError


def _stamp(path: Path | None) -> tuple[int, int]:
    """Changes with the file. Raises SettingsError."""
    if path is None:
        return 0, 0
    with _named("gateway_tls_crl", path):
        found = path.stat()
    return found.st_mtime_ns, found.st_size
