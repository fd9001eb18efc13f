"""Sends one hand-over to the recipient's gateway, within one time limit. Nothing in the answer is believed.

Receipts in it are verified by their signatures, and kept only then (services.planning.receipts)."""

from __future__ import annotations

import asyncio
import re
import ssl
from dataclasses import dataclass
from typing import Final

import httpx

from ledger.canonical import parse_json
from ledger.errors import CanonicalError
from services.handover.envelope import MEDIA_TYPE
from services.planning.receipts import Receipt, parse_receipts
from services.serving.partner_tls import explain_connection

__all__ = ["TIMEOUT_S", "Answer", "send"]

TIMEOUT_S: Final = 30.0
"""Longest time from name look-up to the end of the answer."""
_MAX_ANSWER_BYTES: Final = 2 << 20
"""The receipts of as many offers as a hand-over can have."""
_MAX_PROBLEM_BYTES: Final = 16 * 1024
_MAX_REASON: Final = 200
_LOOPBACK: Final = re.compile(r"http://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?/?")
_REFUSED: Final = 422
"""The recipient verified it, and will never take this text."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The status that the gateway answered with, or why there was none."""

    status: int
    """0 if the gateway gave no usable answer."""
    reason: str
    receipts: tuple[Receipt, ...] = ()
    """For the offers in it, not verified."""

    @property
    def is_kept(self) -> bool:
        return self.status in (200, 201)

    @property
    def is_refused(self) -> bool:
        """Whether the same text will be refused again."""
        return self.status == _REFUSED

    @property
    def is_unreachable(self) -> bool:
        """Whether other hand-overs to the same gateway would fare no better now."""
        return self.status in (0, 429, 503) or self.status >= 500


async def send(gateway: str, digest: bytes, text: bytes, tls: ssl.SSLContext, timeout_s: float = TIMEOUT_S) -> Answer:
    """Sends a hand-over. Failures are returned as answers, never raised."""
    if not gateway.startswith("https://") and not _LOOPBACK.fullmatch(gateway):
        return Answer(0, "the directory's address of its gateway is not https")
    url = f"{gateway.rstrip('/')}/v1/handovers/{digest.hex()}"
    try:
        # One limit for all of it: with one for each step, a gateway could hold the connection byte by byte.
        async with asyncio.timeout(timeout_s):
            return await _put(url, text, tls)
    except TimeoutError:
        return Answer(0, f"its gateway did not answer within {timeout_s:g} s")
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        return Answer(0, explain_connection(error))


async def _put(url: str, text: bytes, tls: ssl.SSLContext) -> Answer:
    # No proxy, no redirects, no credentials of the environment: what is sent is for this gateway alone.
    client = httpx.AsyncClient(verify=tls, trust_env=False, follow_redirects=False, timeout=None)  # noqa: S113 - `send` has one
    headers, content = {"Content-Type": MEDIA_TYPE}, b""
    async with client, client.stream("PUT", url, content=text, headers=headers) as answer:
        async for piece in answer.aiter_raw():
            content += piece
            if len(content) > _MAX_ANSWER_BYTES:
                return Answer(0, "its gateway's answer is too long")
    if answer.status_code in (200, 201):
        return Answer(answer.status_code, "", parse_receipts(content))
    return Answer(answer.status_code, f"its gateway answered {answer.status_code}{_detail(content)}")


def _detail(content: bytes) -> str:
    """The problem's own words, on one line and bounded: they come from another company."""
    try:
        problem = parse_json(content, max_bytes=_MAX_PROBLEM_BYTES, max_depth=8)
    except CanonicalError:
        return ""
    detail = problem.get("detail") if isinstance(problem, dict) else None
    if not isinstance(detail, str):
        return ""
    shown = " ".join("".join(one if one.isprintable() else " " for one in detail).split())
    return f": {shown[:_MAX_REASON]}"
