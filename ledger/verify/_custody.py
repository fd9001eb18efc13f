"""Rules of custody and of waived gates (contracts/src/interfaces: ICustody.sol, IGates.sol)."""

from __future__ import annotations

from millmark.ledger.events import Event, custody
from millmark.ledger.records import Gate, LotState, Verdict
from millmark.ledger.verify._quantities import own
from millmark.ledger.verify._state import Entry, Lot, State, Waiver, broken, hold, on

__all__ = ["CUSTODY_RULES"]

_MAX_DEPTH = 8
_OFFERED = (LotState.OFFERED, LotState.RETURNING)


def _offered(entry: Entry[custody.CustodyOffered], state: State) -> None:
    to = entry.event.to
    lot = _offer(entry, state, to)
    if lot.state is not LotState.HELD:
        raise broken(entry, f"offered while {lot.state.name.lower()}")
    _verify_way(entry, state, lot, to)
    lot.state, lot.counterparty = LotState.OFFERED, to


def _return_offered(entry: Entry[custody.ReturnOffered], state: State) -> None:
    to = entry.event.to
    lot = _offer(entry, state, to)
    hold(lot.state is LotState.QUARANTINED, entry, f"returned while {lot.state.name.lower()}")
    hold(to == lot.maker, entry, f"returned to participant {to}, but made by {lot.maker}")
    hold(not lot.contents, entry, "returned with lots packed in it")
    lot.state = LotState.RETURNING  # the counterparty stays the one who quarantined it


def _offer(entry: Entry[Event], state: State, to: int) -> Lot:
    lot = own(entry, state.lot(entry, entry.histories[0]))
    hold(to != entry.participant, entry, "offered to its own custodian")
    state.proved.participant(entry, to)
    lot.offer = entry.sequence
    return lot


def _accepted(entry: Entry[custody.CustodyAccepted], state: State) -> None:
    _take(entry, state, entry.event.offer)


def _accepted_in_part(entry: Entry[custody.CustodyAcceptedInPart], state: State) -> None:
    lot = _take(entry, state, entry.event.offer)
    # After withheld records, `quantity` is the most that can be left.
    hold(entry.event.accepted < lot.quantity, entry, "all of it is accepted in part")


def _declined(entry: Entry[custody.CustodyDeclined], state: State) -> None:
    _end_offer(_answered(entry, state, entry.event.offer))


def _withdrawn(entry: Entry[custody.CustodyWithdrawn], state: State) -> None:
    lot = _open_offer(entry, state)
    hold(lot.custodian == entry.participant, entry, f"participant {lot.custodian} has custody")
    _end_offer(lot)


def _reclaimed(entry: Entry[custody.CustodyReclaimed], state: State) -> None:
    """Not established: that the custodian had not been able to act for 14 days, and that a participant that is not a
    party of the order was its trustee. The proved state has neither as it was at the time.
    """
    lot = state.lot(entry, entry.histories[0])
    from_ = entry.event.from_
    state.proved.participant(entry, from_)
    hold(lot.parent is None, entry, "a packed lot moves on its own")
    hold(lot.custodian == from_, entry, f"participant {lot.custodian} had custody")
    hold(from_ != entry.participant, entry, "reclaimed from itself")
    hold(lot.state is not LotState.SPENT, entry, "reclaimed when nothing was left")
    _verify_way(entry, state, lot, entry.participant, reclaimed=True)
    if lot.state in _OFFERED:
        _end_offer(lot)
    lot.custodian = entry.participant


def _take(entry: Entry[Event], state: State, offer: int) -> Lot:
    lot = _answered(entry, state, offer)
    _verify_way(entry, state, lot, entry.participant)  # again: a gate can have closed since the offer
    _end_offer(lot)
    lot.custodian = entry.participant
    return lot


def _answered(entry: Entry[Event], state: State, offer: int) -> Lot:
    """The lot, if its open offer is record `offer`, and was made to the entry's participant. Raises ReplayRefused."""
    lot = _open_offer(entry, state)
    to = lot.maker if lot.state is LotState.RETURNING else lot.counterparty
    if to != entry.participant:
        raise broken(entry, f"offered to participant {to}")
    if offer != lot.offer:
        raise broken(entry, f"it answers offer {offer}, but {lot.offer} stands")
    return lot


def _open_offer(entry: Entry[Event], state: State) -> Lot:
    lot = state.lot(entry, entry.histories[0])
    if lot.state not in _OFFERED:
        raise broken(entry, f"there is no offer: the lot is {lot.state.name.lower()}")
    return lot


def _end_offer(lot: Lot) -> None:
    """A returning lot stays quarantined, by the same participant."""
    if lot.state is LotState.RETURNING:
        lot.state = LotState.QUARANTINED
    else:
        lot.state, lot.counterparty = LotState.HELD, 0


def _verify_way(
    entry: Entry[Event], state: State, lot: Lot, to: int, depth: int = 0, *, reclaimed: bool = False
) -> None:
    """Raises ReplayRefused unless every gate on the way to `to` is open, and everything packed in the lot is held, or
    quarantined if it is reclaimed.

    Not established for packed lots without a history in the bundle.
    """
    hold(depth <= _MAX_DEPTH, entry, "packed too deep", lot.subject)
    _verify_gate(entry, state, lot, to)
    for name in sorted(lot.contents):
        child = state.lots.get(name)
        if child is not None:
            moves = child.state is LotState.HELD or (reclaimed and child.state is LotState.QUARANTINED)
            hold(moves, entry, f"what is packed is {child.state.name.lower()}", name)
            _verify_way(entry, state, child, to, depth + 1, reclaimed=reclaimed)


def _verify_gate(entry: Entry[Event], state: State, lot: Lot, to: int) -> None:
    order = state.order_of(lot)
    if order is None or order.buyer != to:
        return
    for gate in order.terms.gates:
        open_ = _is_open(entry, state, lot, gate) or state.is_waived(lot, gate.inspector)
        hold(open_, entry, f"custody passes the closed gate of participant {gate.inspector}", lot.subject)


def _is_open(entry: Entry[Event], state: State, lot: Lot, gate: Gate) -> bool:
    # Not established: that the inspector could act then, and that its key was not compromised. The report says that.
    standing = lot.standing(gate.inspector)
    latest = standing.latest
    return (
        latest is not None
        and latest.sequence > lot.reworked
        and standing.open == 0
        and not latest.is_open()  # it may be one that was handed on, and is counted on the lot that it is about
        and state.counts(entry, latest)
        and (latest.verdict, latest.model) == (Verdict.PASS, gate.model)
    )


def _waived(entry: Entry[custody.GateWaived], state: State) -> None:
    lot, inspector = state.lot(entry, entry.histories[0]), entry.event.inspector
    order = state.order_of(lot)
    if order is None or not state.inspects(inspector, lot):
        raise broken(entry, f"the lot's order has no gate of participant {inspector}")
    state.proved.participant(entry, inspector)
    hold(entry.participant == order.buyer, entry, "a gate is waived by another participant than the buyer")
    hold(lot.state is not LotState.SPENT, entry, "a gate is waived when nothing was left")
    latest = lot.standing(inspector).latest
    number = 0 if latest is None else latest.sequence
    hold(entry.event.certificate == number, entry, f"the waiver names another certificate than {number}")
    lot.waivers[inspector] = Waiver(entry.sequence, order.subject, latest)


CUSTODY_RULES = dict(
    [
        on(custody.CustodyOffered, _offered),
        on(custody.ReturnOffered, _return_offered),
        on(custody.CustodyAccepted, _accepted),
        on(custody.CustodyAcceptedInPart, _accepted_in_part),
        on(custody.CustodyDeclined, _declined),
        on(custody.CustodyWithdrawn, _withdrawn),
        on(custody.CustodyReclaimed, _reclaimed),
        on(custody.GateWaived, _waived),
    ]
)
