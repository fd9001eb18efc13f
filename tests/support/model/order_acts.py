"""Acts on the order: its operations, its revisions and its end; as the manuals of the contracts say."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tests.support.model.layout import Change, Changes, Column, Columns, Mask
from tests.support.model.world import (
    BUYER,
    MAKER,
    Act,
    Kind,
    Lot,
    Operation,
    Order,
    Proposed,
    World,
    absent,
    active,
    chosen,
)

__all__ = ["order_acts"]

NO_PROPOSAL = {"pk": 0, "pc": 0, "po": 0}


def order_acts(world: World) -> Iterator[Act]:
    if world.any_order:
        yield from _any_moves(world)
        return
    for company in world.numbers():
        yield from _lifecycle(world, company)
        for operation in range(world.operations):
            yield from _assignments(world, company, operation)
        yield from _agreements(world, company)
        yield _abandonment(world, company)
    for company in world.numbers():
        for lot in range(world.lots):
            yield _delivery(world, company, lot)


def _any_moves(world: World) -> Iterator[Act]:
    moves: list[Change] = [{"os": state} for state in Order]
    moves += [{"a0": state} for state in (Operation.IDLE, Operation.STARTED)]
    moves += [{"co": company} for company in {world.coordinator, BUYER}]
    if world.inspector:
        yield Act(Kind.ORDER_MOVES, 0, len(moves), _always, lambda s: _new_gate(world, s))
    for number, move in enumerate(moves):
        yield _move(number, move)


def _move(number: int, change: Change) -> Act:
    return Act(Kind.ORDER_MOVES, 0, number, _always, lambda _: change)


def _always(s: Columns) -> Mask:
    return np.ones(len(s["os"]), dtype=bool)


def _new_gate(world: World, s: Columns) -> Change:
    """What the new inspector's gate asks for, nobody has certified yet."""
    change: Changes = {"gi": BUYER}
    for lot in range(world.lots):
        for name in "vcxor":
            change |= chosen(s["gi"] != BUYER, s, f"{name}{lot}", 0)
    return change


def _coordinates(s: Columns, company: int) -> Mask:
    return active(s, company) & (s["co"] == company)


def _sides(s: Columns, company: int) -> Mask:
    """Whether the company is buyer or coordinator."""
    return active(s, company) & ((s["co"] == company) | (company == BUYER))


def _in(s: Columns, *states: Order) -> Mask:
    found = s["os"] == states[0]
    for state in states[1:]:
        found = found | (s["os"] == state)
    return found


def is_live(state: Columns, operation: int) -> Mask:
    a = state[f"a{operation}"]
    return (a != Operation.IDLE) & (a != Operation.FINISHED)


def _is_unfinished(world: World, s: Columns) -> Mask:
    """Whether an operation is open: never finished, or assigned once more."""
    found = np.zeros(len(s["os"]), dtype=bool)
    for operation in range(world.operations):
        found |= (s[f"f{operation}"] == 0) | is_live(s, operation)
    return found


def _closing(state: Order) -> Change:
    """The order is over; what was proposed is, too."""
    return {"os": state, **NO_PROPOSAL}


def _lifecycle(world: World, company: int) -> Iterator[Act]:
    def placed(s: Columns) -> Mask:
        return _coordinates(s, company) & _in(s, Order.PLACED)

    def cancellable(s: Columns) -> Mask:
        if company == BUYER:
            return active(s, company) & _in(s, Order.PLACED, Order.ACCEPTED)
        return _coordinates(s, company) & _in(s, Order.ACCEPTED)

    def completed(s: Columns) -> Mask:
        return _coordinates(s, company) & _in(s, Order.IN_PRODUCTION) & ~_is_unfinished(world, s)

    yield Act(Kind.ACCEPT_ORDER, company, 0, placed, lambda _: {"os": Order.ACCEPTED})
    yield Act(Kind.REJECT_ORDER, company, 0, placed, lambda _: _closing(Order.CLOSED))
    yield Act(Kind.CANCEL_ORDER, company, 0, cancellable, lambda _: _closing(Order.CLOSED))
    yield Act(Kind.COMPLETE_ORDER, company, 0, completed, lambda _: {"os": Order.COMPLETED})


def _delivery(world: World, company: int, lot: int) -> Act:
    def guard(s: Columns) -> Mask:
        may = active(s, company) & (company == BUYER) & _in(s, Order.COMPLETED)
        if not world.rules.M14_delivery_is_counted:
            return may
        there = (s[f"h{lot}"] == company) & (s[f"s{lot}"] == Lot.HELD) & (s[f"k{lot}"] == 0)
        return may & there & (s[f"b{lot}"] == 1)

    return Act(Kind.CONFIRM_DELIVERY, company, lot, guard, lambda _: _closing(Order.DELIVERED))


def _assignments(world: World, company: int, operation: int) -> Iterator[Act]:
    yield from _coordinators_assignments(world, company, operation)
    yield from _owners_assignments(company, operation)


def _coordinators_assignments(world: World, company: int, operation: int) -> Iterator[Act]:
    """Proposed and cancelled: by the coordinator, or by the buyer once that one is gone."""
    a = f"a{operation}"

    def proposable(s: Columns) -> Mask:
        open_ = _is_going(s)
        if world.rules.H5_completed_is_assigned:
            open_ |= _in(s, Order.COMPLETED)
        return _coordinates(s, company) & open_ & ~is_live(s, operation) & active(s, MAKER) & (s["gi"] != MAKER)

    def propose(s: Columns) -> Change:
        state = np.where(s["os"] == Order.COMPLETED, np.uint8(Order.IN_PRODUCTION), s["os"])
        return {a: Operation.PROPOSED, "os": state}

    def cancellable(s: Columns) -> Mask:
        may = s["co"] == company
        if company == BUYER and world.rules.H8_coordinator_is_replaced:
            may |= _is_coordinator_gone(world, s)
        return active(s, company) & may & is_live(s, operation)

    yield Act(Kind.PROPOSE_ASSIGNMENT, company, operation, proposable, propose)
    yield Act(Kind.CANCEL_ASSIGNMENT, company, operation, cancellable, lambda _: {a: Operation.IDLE})


def _owners_assignments(company: int, operation: int) -> Iterator[Act]:
    """Answered, started and finished, by the owner of the machine."""
    a, f = f"a{operation}", f"f{operation}"

    def owned(s: Columns, state: Operation) -> Mask:
        return active(s, company) & (company == MAKER) & (s[a] == state)

    def acceptable(s: Columns) -> Mask:
        return owned(s, Operation.PROPOSED) & _is_going(s)

    def startable(s: Columns) -> Mask:
        return owned(s, Operation.ACCEPTED) & _is_going(s) & (s["gi"] != MAKER)

    def start(s: Columns) -> Change:
        state = np.where(s["os"] == Order.ACCEPTED, np.uint8(Order.IN_PRODUCTION), s["os"])
        return {a: Operation.STARTED, "os": state}

    def becomes(kind: Kind, state: Operation, change: Change) -> Act:
        return Act(kind, company, operation, lambda s: owned(s, state), lambda _: change)

    yield Act(Kind.ACCEPT_ASSIGNMENT, company, operation, acceptable, lambda _: {a: Operation.ACCEPTED})
    yield becomes(Kind.DECLINE_ASSIGNMENT, Operation.PROPOSED, {a: Operation.IDLE})
    yield Act(Kind.START_ASSIGNMENT, company, operation, startable, start)
    yield becomes(Kind.FINISH_ASSIGNMENT, Operation.STARTED, {a: Operation.FINISHED, f: 1})


def _is_going(s: Columns) -> Mask:
    return _in(s, Order.ACCEPTED, Order.IN_PRODUCTION)


def _is_coordinator_gone(world: World, s: Columns) -> Mask:
    gone = np.zeros(len(s["co"]), dtype=bool)
    for number in world.numbers():
        gone |= (s["co"] == number) & ~active(s, number)
    return gone


def _revisable(world: World, s: Columns) -> Mask:
    open_ = _in(s, Order.PLACED, Order.ACCEPTED, Order.IN_PRODUCTION)
    return open_ | _in(s, Order.COMPLETED) if world.rules.H5_completed_is_revised else open_


def _fits(world: World, s: Columns, proposed: Proposed) -> Mask:
    """Whether the order may be changed so at all, whoever agrees. A gate that stays as it is is not looked at."""
    if proposed == Proposed.END:
        return _in(s, Order.IN_PRODUCTION, Order.COMPLETED) & world.rules.H8_production_is_ended
    if proposed == Proposed.COORDINATOR:
        return _revisable(world, s) & (s["gi"] != _successor(s)) & world.rules.H8_coordinator_is_replaced
    new = active(s, BUYER) & ~_is_coordinator_gone(world, s)
    if not world.rules.H8_inspector_is_who_made_nothing:
        new &= ~_in(s, Order.IN_PRODUCTION, Order.COMPLETED)  # the buyer could make something
    return _revisable(world, s) & (s["co"] != BUYER) & ((s["gi"] == BUYER) | new)


def _successor(s: Columns) -> Column:
    """Who coordinates when the sides agree to another coordinator."""
    return np.where(s["co"] == BUYER, np.uint8(MAKER), np.uint8(BUYER))


def _is_successor_active(s: Columns) -> Mask:
    return np.where(s["co"] == BUYER, active(s, MAKER), active(s, BUYER))


def _agreements(world: World, company: int) -> Iterator[Act]:
    kinds = [Proposed.END, Proposed.COORDINATOR] if world.revisions else [Proposed.END]
    if world.inspector and world.revisions:
        kinds.append(Proposed.GATE)
    for proposed in kinds:
        yield _proposal(world, company, proposed)
    for proposed in kinds:
        yield _agreement(world, company, proposed)


def _abandonment(world: World, company: int) -> Act:
    def guard(s: Columns) -> Mask:
        open_ = _in(s, Order.PLACED, Order.ACCEPTED, Order.IN_PRODUCTION, Order.COMPLETED)
        gone = _is_coordinator_gone(world, s) & absent(s, BUYER)
        return active(s, company) & open_ & gone & world.rules.H8_abandoned_is_ended

    return Act(Kind.END_ABANDONED, company, 0, guard, lambda _: _closing(Order.ENDED))


def _consents(s: Columns, company: int) -> Column:
    """1 the buyer, 2 the coordinator; they may be one company."""
    return (s["co"] == company).astype(np.uint8) * np.uint8(2) + np.uint8(company == BUYER)


def _proposal(world: World, company: int, proposed: Proposed) -> Act:
    def guard(s: Columns) -> Mask:
        may = _sides(s, company) & _fits(world, s, proposed)
        if proposed == Proposed.END:
            return may
        stands = _is_successor_active(s) if proposed == Proposed.COORDINATOR else ~_is_coordinator_gone(world, s)
        return may & stands

    return Act(
        Kind.PROPOSE,
        company,
        proposed,
        guard,
        lambda s: {"pk": proposed, "pc": _consents(s, company), "po": 0},
    )


def _agreement(world: World, company: int, proposed: Proposed) -> Act:
    """Agrees to what is proposed. Who proposed it agrees again, when the other side is gone. The maker agrees to
    coordinate instead of the buyer, which alone proposes that: it is both sides."""

    def alone(s: Columns, consents: Column) -> Mask:
        if proposed == Proposed.COORDINATOR:
            return (consents == 1) & _is_coordinator_gone(world, s)
        if proposed == Proposed.GATE:
            return np.zeros(len(consents), dtype=bool)
        other = np.where(consents == 1, _is_coordinator_gone(world, s), ~active(s, BUYER))
        return other & (s["po"] == 1)

    def guard(s: Columns) -> Mask:
        consents = s["pc"] | _consents(s, company)
        agreed = _sides(s, company) & ((consents == 3) | alone(s, consents))
        if proposed == Proposed.COORDINATOR:
            agreed = np.where(s["co"] == BUYER, active(s, company) & (company == MAKER), agreed)
        return (s["pk"] == proposed) & _fits(world, s, proposed) & agreed

    def change(s: Columns) -> Change:
        if proposed == Proposed.END:
            return _closing(Order.ENDED)
        if proposed == Proposed.COORDINATOR:
            return {"co": _successor(s), **NO_PROPOSAL}
        return {**_new_gate(world, s), **NO_PROPOSAL}

    return Act(Kind.AGREE, company, proposed, guard, change)
