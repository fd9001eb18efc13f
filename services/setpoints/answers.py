"""The entry that answers a proposal: what the operator agreed to, committed to for good."""

from __future__ import annotations

from millmark.ledger.canonical import Json
from millmark.ledger.errors import InputError
from millmark.services.setpoints.repository import SetpointRow

ACCEPTED, REFUSED = "accepted", "refused"
_MAX_REASON = 500


def build_answer(row: SetpointRow, answer: str, reason: str | None, at_s: int) -> dict[str, Json]:
    """The member `setpoint` of the event's data; `at_s`: when it was answered, Unix seconds. Raises InputError for a
    refusal without a reason."""
    text = (reason or "").strip()
    if answer not in (ACCEPTED, REFUSED):
        raise InputError(f"{answer[:40]!a} is not an answer", hint=f"{ACCEPTED} or {REFUSED}")
    if answer == REFUSED and not text:
        raise InputError("a refusal has a reason", hint="say why, so that it can be learned from")
    if len(text) > _MAX_REASON:
        raise InputError(f"the reason has more than {_MAX_REASON} characters")
    document = row.parse()
    found: dict[str, Json] = {
        "answer": answer,
        "at": at_s,
        "document": f"0x{row.digest.hex()}",
        "machine": row.machine,
        "model": f"0x{document.model}",
        "values": [[one.name, one.value, one.decimals] for one in document.values],
    }
    if text:
        found["reason"] = text
    return found
