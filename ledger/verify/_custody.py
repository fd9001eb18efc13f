"""Rules of custody (contracts/src/interfaces/ICustody.sol)."""

from __future__ import annotations

from ledger.events import Event, custody
from ledger.records import LotState, Verdict
from ledger.verify._state import Entry, Lot, State, hold, on

__all__ = ["CUSTODY_RULES"]

_MAX_DEPTH = 8


def _offered(entry: Entry[custody.CustodyOffered], state: State) -> None:
    lot = state.lot(entry, entry.histories[0])
    to = entry.event.to
    hold(lot.parent is None, entry, "a packed lot moves on its own")
    hold(lot.custodian == entry.participant, entry, f"participant {lot.custodian} has custody")
    hold(lot.state is LotState.HELD, entry, f"offered while {lot.state.name.lower()}")
    hold(to != entry.participant, entry, "offered to its own custodian")
    state.proved.participant(entry, to)
    _verify_way(entry, state, lot, to, 0)
    lot.state, lot.counterparty = LotState.OFFERED, to


def _accepted(entry: Entry[custody.CustodyAccepted], state: State) -> None:
    lot = _open_offer(entry, state)
    hold(lot.counterparty == entry.participant, entry, f"offered to participant {lot.counterparty}")
    hold(entry.event.from_ == lot.custodian, entry, f"participant {lot.custodian} had custody")
    _verify_way(entry, state, lot, entry.participant, 0)  # again: a gate can have closed since the offer
    lot.custodian, lot.state, lot.counterparty = entry.participant, LotState.HELD, 0


def _declined(entry: Entry[custody.CustodyDeclined], state: State) -> None:
    lot = _open_offer(entry, state)
    hold(lot.counterparty == entry.participant, entry, f"offered to participant {lot.counterparty}")
    lot.state, lot.counterparty = LotState.HELD, 0


def _withdrawn(entry: Entry[custody.CustodyWithdrawn], state: State) -> None:
    lot = _open_offer(entry, state)
    hold(lot.custodian == entry.participant, entry, f"participant {lot.custodian} has custody")
    lot.state, lot.counterparty = LotState.HELD, 0


def _open_offer(entry: Entry[Event], state: State) -> Lot:
    lot = state.lot(entry, entry.histories[0])
    hold(lot.state is LotState.OFFERED, entry, f"there is no offer: the lot is {lot.state.name.lower()}")
    return lot


def _verify_way(entry: Entry[Event], state: State, lot: Lot, to: int, depth: int) -> None:
    """Raises ReplayRefused unless every gate on the way to `to` is open, and everything packed in the lot is held.

    Not established for packed lots without a history in the bundle.
    """
    hold(depth <= _MAX_DEPTH, entry, "packed too deep", lot.subject)
    _verify_gate(entry, state, lot, to)
    for name in sorted(lot.contents):
        child = state.lots.get(name)
        if child is not None:
            hold(child.state is LotState.HELD, entry, f"what is packed is {child.state.name.lower()}", name)
            _verify_way(entry, state, child, to, depth + 1)


def _verify_gate(entry: Entry[Event], state: State, lot: Lot, to: int) -> None:
    order = state.order_of(lot)
    if order is None or order.buyer != to or not order.terms.inspector:
        return
    standing = lot.standing(order.terms.inspector)
    latest = standing.latest
    # Not established: that the inspector could act then, and that its key was not compromised. The report says that.
    open_ = (
        latest is not None
        and latest.sequence > lot.reworked
        and standing.open == 0
        and state.counts(entry, latest)
        and (latest.verdict, latest.model) == (Verdict.PASS, order.terms.model)
    )
    hold(open_, entry, "custody passes a closed gate", lot.subject)


CUSTODY_RULES = dict(
    [
        on(custody.CustodyOffered, _offered),
        on(custody.CustodyAccepted, _accepted),
        on(custody.CustodyDeclined, _declined),
        on(custody.CustodyWithdrawn, _withdrawn),
    ]
)
