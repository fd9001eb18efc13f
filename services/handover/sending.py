"""Sends one hand-over to the recipient's gateway, within one time limit. Nothing in the answer is believed.

Receipts in it are verified by their signatures, and kept only then (millmark.services.planning.receipts)."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Final

from millmark.ledger.canonical import parse_json
from millmark.ledger.errors import CanonicalError
from millmark.services.handover.envelope import MEDIA_TYPE
from millmark.services.planning.receipts import Receipt, parse_receipts
from millmark.services.serving.partner_requests import UnansweredError, ask_partner

__all__ = ["TIMEOUT_S", "Answer", "send"]

TIMEOUT_S: Final = 30.0
"""Longest time from name look-up to the end of the answer."""
_MAX_ANSWER_BYTES: Final = 2 << 20
"""The receipts of as many offers as a hand-over can have."""
_MAX_PROBLEM_BYTES: Final = 16 * 1024
_MAX_REASON: Final = 200
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
    try:
        status, content = await ask_partner(
            gateway,
            "PUT",
            f"/v1/handovers/{digest.hex()}",
            tls,
            timeout_s=timeout_s,
            max_bytes=_MAX_ANSWER_BYTES,
            content=text,
            headers={"Content-Type": MEDIA_TYPE},
        )
    except UnansweredError as error:
        return Answer(0, str(error))
    if status in (200, 201):
        return Answer(status, "", parse_receipts(content))
    return Answer(status, f"its gateway answered {status}{_detail(content)}")


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
