"""Requests to the gateways of other companies: which authorities are believed, and why a connection failed."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import httpx

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


_LOOPBACK: Final = re.compile(r"http://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?/?")


class UnansweredError(Exception):
    """The gateway gave no usable answer; the text says why."""


async def ask_partner(
    gateway: str,
    method: str,
    path: str,
    tls: ssl.SSLContext,
    *,
    timeout_s: float,
    max_bytes: int,
    content: bytes = b"",
    headers: Mapping[str, str] | None = None,
) -> tuple[int, bytes]:
    """The status and the body of the answer. `timeout_s`: from name look-up to the end of the answer; `max_bytes`: the
    longest body. Raises UnansweredError."""
    if not gateway.startswith("https://") and not _LOOPBACK.fullmatch(gateway):
        raise UnansweredError("the directory's address of its gateway is not https")
    body = b""
    try:
        # No proxy, no redirects, no credentials of the environment: the request is for this gateway alone.
        client = httpx.AsyncClient(verify=tls, trust_env=False, follow_redirects=False, timeout=None)  # noqa: S113 - below
        # One limit for all of it: with one for each step, a gateway could hold the connection byte by byte.
        async with (
            asyncio.timeout(timeout_s),
            client,
            client.stream(method, f"{gateway.rstrip('/')}{path}", content=content, headers=headers) as answer,
        ):
            async for piece in answer.aiter_raw():
                body += piece
                if len(body) > max_bytes:
                    raise UnansweredError("its gateway's answer is too long")
    except TimeoutError:
        raise UnansweredError(f"its gateway did not answer within {timeout_s:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        raise UnansweredError(explain_connection(error)) from None
    return answer.status_code, body
