"""Copies of the page that verifies in a browser, at other companies: code from who made the proof proves less.

The page reads files from its own server only. So a link to a copy names the part, behind the `#`, and the copy fetches
what its own company has of it; where that is nothing, it says to bring the files that are downloaded here."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.provenance import Trace
from ledger.store import Store
from services.directory.repository import DirectoryRepository

__all__ = ["CheckCopy", "find_copies"]

_MOST = 6


@dataclass(frozen=True, slots=True)
class CheckCopy:
    """A gateway that may have the page. Not established: that it answers, or has built it."""

    name: str
    address: str


def find_copies(store: Store, trace: Trace, origin: str) -> tuple[CheckCopy, ...]:
    """The copies at the companies that the passport names anyway, from the directory. Others stay unnamed: who is in
    the consortium is for its members."""
    named = {trace.lot.holder.participant, trace.lot.custodian.participant}
    named |= {one.owner.participant for one in trace.assignments}
    named |= {one.inspector.participant for one in trace.certificates}
    with store.reading() as connection:
        entries = [one for one in DirectoryRepository(connection).entries() if one.participant in named]
    return tuple(
        CheckCopy(one.name, f"{one.gateway.rstrip('/')}/check/")
        for one in entries
        if one.gateway and one.gateway.rstrip("/") != origin
    )[:_MOST]
