"""Webhook subscriptions, and how far each was delivered. Times are milliseconds since 1970; 0 means "never"."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.store import schema_of


@dataclass(slots=True)
class WebhookRow:
    """A subscription. `registry_sequence` and `ledger_sequence` are its cursor: of both contracts, the last record that
    its receiver has taken, or that was not for it."""

    id: str
    participant: int
    """Whose view it has; 0 for whoever runs a gateway that is open on the loopback."""
    owner: bool
    """Whether it was made in the name of the company that runs the gateway, and so has all of its view."""
    url: str
    mode: str
    kinds: str
    """Words separated by spaces; empty for all."""
    subjects: str
    """Hex separated by spaces; empty for all."""
    secrets: str
    """JSON: of each secret that still signs, the newest first, itself and until when. They sign, so they are kept as
    they are."""
    created_ms: int
    registry_sequence: int
    ledger_sequence: int
    state: str
    reason: str
    """Why the last try did not go through; empty when it did."""
    attempts: int
    """Tries of the next delivery that did not go through."""
    next_try_ms: int
    delivered_ms: int
    holder: str
    """Process that delivers; empty for none."""
    held_until_ms: int
    credential: str
    """Public part of the API key that it ends with; empty for none."""


_SCHEMA = schema_of("services")
webhooks = _SCHEMA.table("webhooks", WebhookRow, "id", "participant", "state next_try_ms")
