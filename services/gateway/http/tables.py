"""The gateway's own secrets."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.store import schema_of


@dataclass(slots=True)
class SecretRow:
    """Random bytes that the gateway drew for itself, once."""

    name: str
    value: bytes


_SCHEMA = schema_of("services")
secrets = _SCHEMA.table("secrets", SecretRow, "name")
