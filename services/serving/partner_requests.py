"""One request to the gateway of another company, at the address that the directory has, within one time limit."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Mapping
from typing import Final

import httpx

from millmark.services.serving.partner_tls import explain_connection

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
