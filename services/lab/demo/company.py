"""A company of the demonstration, and where its records are queued."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from millmark.ledger.keys import LocalSigner
from millmark.ledger.names import NameKey
from millmark.ledger.records import Record
from millmark.ledger.store import Store

__all__ = ["Company", "Desk"]


class Desk(Protocol):
    """Where a company's records are queued, and how to wait for them."""

    def submit(self, records: Sequence[tuple[str, Record]]) -> list[int]: ...
    def begin(self) -> None: ...
    def await_mined(self, ids: Sequence[int]) -> None: ...
    def await_final(self, ids: Sequence[int]) -> None: ...
    def drain(self) -> None: ...


@dataclass(slots=True)
class Company:
    """A participant, with its key, its store and its submitter."""

    name: str
    number: int
    signer: LocalSigner
    submitter: Desk
    store: Store
    """Its outbox and its private book."""
    name_seed: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    @property
    def name_key(self) -> NameKey:
        return NameKey(self.name_seed)
