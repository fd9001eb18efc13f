"""Statements about whose hands each lot went through, on its own or packed in others."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from millmark.ledger.events import Event
from millmark.ledger.events.custody import CustodyAccepted, CustodyAcceptedInPart, CustodyReclaimed
from millmark.ledger.events.lots import LotsPacked, LotsUnpacked
from millmark.ledger.verify._state import Entry, Lot
from millmark.ledger.verify._status import Verified
from millmark.ledger.verify.report import moment
from millmark.ledger.verify.statements import Statement, say
from millmark.ledger.verify.values import Unit

__all__ = ["hands"]


def hands(verified: Verified, lot: Lot) -> Iterator[Statement]:
    """Every change of custody of a lot, oldest first."""
    for entry in _handovers(verified, lot.subject, 0, sys.maxsize):
        event = entry.event
        named: dict[str, object] = {"lot": verified.thing(lot.subject), "time": moment(entry.time)}
        named["by"] = verified.party(entry.participant)
        if isinstance(event, CustodyReclaimed):
            code, named["giver"] = "reclaimed", verified.party(event.from_)
        elif isinstance(event, CustodyAccepted | CustodyAcceptedInPart):
            code, named["giver"] = "handed_over", verified.party(verified.by_sequence[event.offer].participant)
        if isinstance(event, CustodyAcceptedInPart):
            whole = verified.state.lots[entry.histories[0]]
            unit = Unit(whole.unit.rstrip(b"\0").decode("latin-1"))
            code, named = "handed_over_in_part", {**named, "accepted": event.accepted, "unit": unit}
            named["whole"] = verified.thing(whole.subject)
        yield say(code, lot.subject, (entry.sequence,), **named)


def _handovers(verified: Verified, name: bytes, since: int, until: int) -> Iterator[Entry[Event]]:
    """The records between two others by which a lot, or whatever it was packed in by then, changed hands."""
    parent, packed = b"", 0
    for entry in verified.state.entries_of[name].values():
        if not since < entry.sequence < until:
            continue
        event, inside = entry.event, entry.histories[0] != name
        if isinstance(event, CustodyAccepted | CustodyAcceptedInPart | CustodyReclaimed):
            yield entry
        elif isinstance(event, LotsPacked) and inside:
            parent, packed = entry.histories[0], entry.sequence
        elif isinstance(event, LotsUnpacked) and inside:
            yield from _handovers(verified, parent, packed, entry.sequence)
            parent = b""
    if parent:
        yield from _handovers(verified, parent, packed, until)
