"""Webhook subscriptions and the progress of their deliveries. Times are milliseconds since 1970; 0 means "never"."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.store import schema_of


@dataclass(slots=True)
class WebhookRow:
    """A subscription. `registry_sequence` and `ledger_sequence` are its cursor: the last record of each contract that
    the receiver accepted or that was not meant for it."""

    id: str
    participant: int
    """The participant whose permissions apply; 0 for one that the operator created without a credential."""
    owner: bool
    """Whether it was created for the company that runs the gateway, and so receives every record."""
    url: str
    mode: str
    kinds: str
    """Words separated by spaces; empty for all."""
    subjects: str
    """Hex separated by spaces; empty for all."""
    secrets: str
    """JSON: pairs of a secret and when it expires (milliseconds since 1970, 0 for never), the newest first. Stored in
    plain text, because signing needs them."""
    created_ms: int
    registry_sequence: int
    ledger_sequence: int
    state: str
    reason: str
    """Why the last attempt failed; empty after a success."""
    attempts: int
    """Failed attempts at the next delivery."""
    next_try_ms: int
    delivered_ms: int
    holder: str
    """The process that delivers; empty for none."""
    held_until_ms: int
    credential: str
    """Public part of the API key to which it is bound; empty for none."""


_SCHEMA = schema_of("services")
webhooks = _SCHEMA.table("webhooks", WebhookRow, "id", "participant", "state next_try_ms")
