"""Statements about certificates by companies that judged their own work, or their own goods."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from millmark.ledger.events.lots import LotReworked
from millmark.ledger.verify._origin import is_work
from millmark.ledger.verify._state import Lot
from millmark.ledger.verify._status import Verified
from millmark.ledger.verify.statements import Statement, say

__all__ = ["own_work"]

_Hands = Mapping[bytes, Mapping[int, bytes]]
"""By lot: the participants that had a hand in it or in what it was made from, and in which lot each had it."""


def own_work(verified: Verified) -> Iterator[Statement]:
    """Certificates by who made or reworked the lot or anything that it was made from, with or without an order,
    whatever became of the assignment; by who started an operation of an order that it ever belonged to; by who received
    it, or what it was made from, from outside."""
    certified = [lot for lot in verified.state.lots.values() if lot.certificates]
    if not certified:
        return
    worked = _hands(verified, lambda lot: _workers(verified, lot))
    received = _hands(verified, lambda lot: {lot.maker} if lot.from_outside else set())
    for lot in certified:
        busy = {one: name for name in sorted(lot.orders) for one in verified.state.orders[name].workers()}
        for certificate in lot.certificates:
            issuer = certificate.issuer
            code, work = "own_work", worked[lot.subject].get(issuer) or busy.get(issuer)
            if work is None:
                code, work = "own_goods", received[lot.subject].get(issuer)
            if work is not None:
                yield say(
                    code,
                    lot.subject,
                    (certificate.sequence,),
                    certificate=certificate.sequence,
                    lot=verified.thing(lot.subject),
                    inspector=verified.party(issuer),
                    work=verified.thing(work),
                )


def _workers(verified: Verified, lot: Lot) -> set[int]:
    """Who made a lot, or did operations on it; who only split or merged it did not."""
    orders = verified.state.orders
    found = {orders[order].assignments[number].owner for order, number, _ in lot.work}
    if is_work(verified, lot):
        found.add(lot.maker)
    if lot.reworked:
        records = verified.state.entries_of[lot.subject].values()
        found |= {
            one.participant for one in records if isinstance(one.event, LotReworked) and one.histories[0] == lot.subject
        }
    return found


def _hands(verified: Verified, own: Callable[[Lot], set[int]]) -> _Hands:
    """What each lot has of its own, and from what it was made of."""
    lots = verified.state.lots
    used_in: dict[bytes, list[bytes]] = {}
    for lot in lots.values():
        for name in lot.inputs:
            used_in.setdefault(name, []).append(lot.subject)
    # Handed down, each participant once per lot: walking up from every lot would take quadratic time.
    found: dict[bytes, dict[int, bytes]] = {name: {} for name in lots}
    waiting = [(name, one, name) for name, lot in lots.items() for one in own(lot)]
    waiting.reverse()  # the oldest lots first
    while waiting:
        name, participant, work = waiting.pop()
        if participant not in found[name]:
            found[name][participant] = work
            waiting += [(user, participant, work) for user in used_in.get(name, ())]
    return found
