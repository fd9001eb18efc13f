"""The gateway's own secrets."""

from __future__ import annotations

from dataclasses import dataclass

from services.store import SERVICES


@dataclass(slots=True)
class SecretRow:
    """Random bytes that the gateway drew for itself, once."""

    name: str
    value: bytes


secrets = SERVICES.table("secrets", SecretRow, "name")
