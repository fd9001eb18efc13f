"""Copies of the page that verifies in a browser, at other companies: code from who made the proof proves less."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from millmark.ledger.provenance import Trace
from millmark.ledger.store import Store
from millmark.services.directory.repository import DirectoryRepository

__all__ = ["CheckCopy", "find_copies"]

_MOST = 6


@dataclass(frozen=True, slots=True)
class CheckCopy:
    """A gateway that had the page at the last look (millmark.services.gateway.copies_watch)."""

    name: str
    address: str


def find_copies(store: Store, trace: Trace, seen: Container[str]) -> tuple[CheckCopy, ...]:
    """The copies at the companies that the passport names anyway, from the directory, of those at the gateways `seen`.
    Others stay unnamed: who is in the consortium is for its members."""
    named = {trace.lot.holder.participant, trace.lot.custodian.participant}
    named |= {one.owner.participant for one in trace.assignments}
    named |= {one.inspector.participant for one in trace.certificates}
    with store.reading() as connection:
        entries = [one for one in DirectoryRepository(connection).entries() if one.participant in named]
    return tuple(
        CheckCopy(one.name, f"{one.gateway.rstrip('/')}/check/")
        for one in entries
        if one.gateway and one.gateway in seen
    )[:_MOST]
