"""Secrets that the gateway generates for itself."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.store import schema_of


@dataclass(slots=True)
class SecretRow:
    """Random bytes, generated once."""

    name: str
    value: bytes


_SCHEMA = schema_of("services")
secrets = _SCHEMA.table("secrets", SecretRow, "name")
