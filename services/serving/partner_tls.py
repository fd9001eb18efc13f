"""TLS towards gateways of other companies: which authorities are believed, and why a connection failed."""

from __future__ import annotations

import ssl
from pathlib import Path

from millmark.ledger.errors import SettingsError

_UNKNOWN_ISSUER = frozenset((18, 19, 20, 21))
"""OpenSSL's codes for a chain of certificates that ends at none of the authorities (x509_vfy.h)."""


def build_partner_tls(authorities: Path | None) -> ssl.SSLContext:
    """A client's settings, which believe the machine's authorities, and those of a PEM file. Raises SettingsError."""
    context = ssl.create_default_context()
    if authorities is not None:
        try:
            context.load_verify_locations(cafile=authorities)
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(
                f"partner_ca: {authorities} cannot be used: {getattr(error, 'strerror', None) or 'not a PEM file'}",
                hint="name a PEM file with the certificates of authorities",
            ) from None
    return context


def explain_connection(error: BaseException) -> str:
    """Why a gateway was not reached, in the words of the operating system or the TLS library, which are in the
    innermost cause."""
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]  # one of them is there
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in _UNKNOWN_ISSUER:
            return f"its gateway's certificate is of an authority that is not in partner_ca: {error.verify_message}"
        return f"its gateway's certificate is not valid for its address: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"no TLS with its gateway: {error.reason or 'the handshake failed'}"
    return f"no connection to its gateway: {getattr(error, 'strerror', None) or type(error).__name__}"
