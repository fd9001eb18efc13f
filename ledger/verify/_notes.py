"""Step 6 for notes: whether who made one had a part in what it is about.

Not established: that a note of participant 0 is by the registry's owner of its time, whose address has no history. For
that, only the contracts' code can be relied on.
"""

from __future__ import annotations

from millmark.ledger.events.notes import NoteRecorded
from millmark.ledger.verify._state import Entry, Order, State, hold, inspectors_of, on

__all__ = ["NOTE_RULES"]


def _noted(entry: Entry[NoteRecorded], state: State) -> None:
    hold(entry.event.kind_ != 0, entry, "a note without a kind")
    ascending = all(first < second for first, second in zip(entry.histories, entry.histories[1:], strict=False))
    hold(ascending, entry, "the subjects of a note are not strictly ascending")
    for name in entry.histories:
        # Of what has no history in the bundle, the state that the note was made in is not known.
        if name in state.shown:
            _require_part(entry, state, name)


def _require_part(entry: Entry[NoteRecorded], state: State, name: bytes) -> None:
    order, lot = state.orders.get(name), state.lots.get(name)
    hold(order is not None or lot is not None, entry, "a note on what does not exist yet", name)
    if not entry.participant:
        return
    may = order is not None and _is_party(order, entry.participant)
    if lot is not None:
        held = lot.parent is None and lot.custodian == entry.participant
        own = state.order_of(lot)
        may = held or lot.maker == entry.participant or (own is not None and _is_party(own, entry.participant))
    hold(may, entry, "a note by a participant without a part in it", name)


def _is_party(order: Order, participant: int) -> bool:
    return participant in {order.buyer, order.coordinator} | inspectors_of(order.terms)


NOTE_RULES = dict([on(NoteRecorded, _noted)])
