"""All acts of a world, as the manuals of the contracts say: on lots where they are, on the order, by which lots pass
between companies, and the verdicts that open an order's gate to them; and what befalls its companies."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tests.proofs.model.world import (
    BUYER,
    MAKER,
    OF_A_LOT,
    Act,
    Change,
    Changes,
    Column,
    Columns,
    Kind,
    Lot,
    Mask,
    Operation,
    Order,
    Proposed,
    World,
    absent,
    active,
    chosen,
)

PALLET = 0
"""The lot that others are packed in."""


def lot_acts(world: World) -> Iterator[Act]:
    for company in world.numbers():
        for lot in range(world.lots):
            yield from _making(world, company, lot)
            yield from _leaving(world, company, lot)
            yield from _apart(world, company, lot)
            yield from _belonging(world, company, lot)
        for lot in range(1, world.lots):
            yield from _packing(world, company, lot)


def contents(world: World, lot: int) -> range:
    return range(1, world.lots) if lot == PALLET else range(0)


def is_empty(world: World, s: Columns, lot: int) -> Mask:
    empty = np.ones(len(s["os"]), dtype=bool)
    for inner in contents(world, lot):
        empty &= s[f"k{inner}"] == 0
    return empty


def mine(s: Columns, company: int, lot: int, *states: Lot) -> Mask:
    """The company has custody of the lot, which is not packed, and in one of the states."""
    found = s[f"s{lot}"] == states[0]
    for state in states[1:]:
        found = found | (s[f"s{lot}"] == state)
    return active(s, company) & (s[f"h{lot}"] == company) & (s[f"k{lot}"] == 0) & found


def is_being_made(world: World, s: Columns) -> Mask:
    started = np.zeros(len(s["os"]), dtype=bool)
    for operation in range(world.operations):
        started |= s[f"a{operation}"] == Operation.STARTED
    return started


def takes_more(world: World, s: Columns) -> Mask:
    """The order that is being made has not ended, so that lots are made under it."""
    return is_being_made(world, s) & (s["os"] != Order.ENDED)


def spent(lot: int, state: Lot) -> Change:
    """Nothing is asked of a lot that is no more."""
    return {**{f"{name}{lot}": 0 for name in OF_A_LOT}, f"s{lot}": state}


def _making(world: World, company: int, lot: int) -> Iterator[Act]:
    made: Change = {f"h{lot}": company, f"s{lot}": Lot.HELD}

    def makable(s: Columns) -> Mask:
        return active(s, company) & (company == MAKER) & (s[f"s{lot}"] == Lot.NONE) & takes_more(world, s)

    def receivable(s: Columns) -> Mask:
        return active(s, company) & (s[f"s{lot}"] == Lot.NONE)

    def reworkable(s: Columns) -> Mask:
        under_order = (s[f"b{lot}"] == 0) | is_being_made(world, s)
        may = mine(s, company, lot, Lot.HELD, Lot.QUARANTINED) & (company == MAKER)
        return may & under_order & is_empty(world, s, lot)

    def rework(s: Columns) -> Change:
        return {**chosen(s[f"v{lot}"] != 0, s, f"r{lot}", 1), f"z{lot}": 0, f"y{lot}": 0}

    yield Act(Kind.COMMISSION, company, lot, makable, lambda _: {**made, f"b{lot}": 1})
    if company == MAKER and lot == PALLET:
        yield Act(Kind.RECEIVE, company, lot, receivable, lambda _: made)
    yield Act(Kind.REWORK, company, lot, reworkable, rework)


def _leaving(world: World, company: int, lot: int) -> Iterator[Act]:
    def scrappable(s: Columns) -> Mask:
        return mine(s, company, lot, Lot.HELD, Lot.QUARANTINED) & is_empty(world, s, lot)

    def sellable(s: Columns) -> Mask:
        return mine(s, company, lot, Lot.HELD) & is_empty(world, s, lot) & world.rules.goods_are_sold

    yield Act(Kind.SCRAP, company, lot, scrappable, lambda _: spent(lot, Lot.SPENT))
    yield Act(Kind.SELL, company, lot, sellable, lambda _: spent(lot, Lot.SOLD))


def _apart(world: World, company: int, lot: int) -> Iterator[Act]:
    h, state, w, q = f"h{lot}", f"s{lot}", f"w{lot}", f"q{lot}"

    def quarantinable(s: Columns) -> Mask:
        inspects = (s["gi"] == company) | (world.second == company)
        may = (s[h] == company) & (s[f"k{lot}"] == 0) | (s[f"b{lot}"] == 1) & inspects
        return active(s, company) & may & ((s[state] == Lot.HELD) | (s[state] == Lot.OFFERED))

    def releasable(s: Columns) -> Mask:
        liftable = np.zeros(len(s[h]), dtype=bool)
        if world.rules.M4_delivered_is_released:
            liftable |= (s[f"b{lot}"] == 1) & (s["os"] == Order.DELIVERED)
        if world.rules.M5_lapsed_is_released:
            liftable |= s[q] == 2
        if world.rules.F2_gone_is_lifted:
            for number in world.numbers():
                liftable |= (s[q] == 0) & (s[w] == number) & ~active(s, number)
        if world.waivers:
            liftable |= (s[f"z{lot}"] == 1) & (s[f"b{lot}"] == 1) & (s[w] == s["gi"])
        own = active(s, company) & (s[w] == company) & (s[state] == Lot.QUARANTINED)
        return own | liftable & mine(s, company, lot, Lot.QUARANTINED)

    yield Act(Kind.QUARANTINE, company, lot, quarantinable, lambda _: {state: Lot.QUARANTINED, w: company, q: 0})
    yield Act(Kind.RELEASE, company, lot, releasable, lambda _: {state: Lot.HELD, w: 0, q: 0})


def _belonging(world: World, company: int, lot: int) -> Iterator[Act]:
    b = f"b{lot}"

    def allocatable(s: Columns) -> Mask:
        may = mine(s, company, lot, Lot.HELD) & (company == MAKER) & (s[b] == 0)
        return may & takes_more(world, s) & world.rules.M15_lot_leaves_its_order

    def deallocatable(s: Columns) -> Mask:
        side = active(s, company) & world.rules.M15_lot_leaves_its_order
        if company != BUYER:
            left = (s["os"] == Order.ENDED) & ~active(s, BUYER)
            side &= (s["co"] == company) & (left | (s["gi"] == 0)) & (s[f"h{lot}"] != BUYER)
        free = (s[f"s{lot}"] == Lot.HELD) | (s[f"s{lot}"] == Lot.QUARANTINED)
        return side & (s[b] == 1) & (s[f"k{lot}"] == 0) & free

    yield Act(Kind.ALLOCATE, company, lot, allocatable, lambda _: {b: 1})
    yield Act(Kind.DEALLOCATE, company, lot, deallocatable, lambda _: {b: 0})


def _packing(world: World, company: int, lot: int) -> Iterator[Act]:
    def packable(s: Columns) -> Mask:
        return mine(s, company, PALLET, Lot.HELD) & mine(s, company, lot, Lot.HELD)

    def unpackable(s: Columns) -> Mask:
        states = (Lot.HELD, Lot.QUARANTINED) if world.rules.H7_quarantined_is_unpacked else (Lot.HELD,)
        return mine(s, company, PALLET, *states) & (s[f"k{lot}"] == 1)

    yield Act(Kind.PACK, company, lot, packable, lambda _: {f"h{lot}": 0, f"k{lot}": 1})
    yield Act(Kind.UNPACK, company, lot, unpackable, lambda _: {f"h{lot}": company, f"k{lot}": 0})


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
        party = active(s, company) if company == BUYER else _coordinates(s, company)
        return party & _in(s, Order.PLACED, Order.ACCEPTED)

    def completed(s: Columns) -> Mask:
        return _coordinates(s, company) & _in(s, Order.IN_PRODUCTION) & ~_is_unfinished(world, s)

    yield Act(Kind.ACCEPT_ORDER, company, 0, placed, lambda _: {"os": Order.ACCEPTED})
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


PASSES, FAILS = 1, 2
ISSUED, DEMANDED, REVOKED = 0, 1, 2
BY_HAND, BY_VERDICT, LAPSED = 0, 1, 2
"""What is behind a quarantine: nothing, a certificate that counts, or one that does not count any more."""


def custody_acts(world: World) -> Iterator[Act]:
    for company in world.numbers():
        for lot in range(world.lots):
            for to in world.numbers():
                if to != company:
                    yield _offer(world, company, lot, to)
            yield from _answers(world, company, lot)
            yield _return(world, company, lot)
            yield from _reclaims(world, company, lot)
            if not world.rules.H7_only_the_gate_sets_apart and company not in (BUYER, MAKER):
                yield _foreign_verdict(company, lot)
            if world.inspector:
                yield from _verdicts(world, company, lot)
                if company == world.second:
                    yield from _second_verdicts(company, lot)
                if world.waivers:
                    yield _waiver(company, lot)
                if world.demands:
                    yield from _doubts(world, company, lot)


def _passes(world: World, s: Columns, lot: int) -> Mask:
    """Whether the lot may pass the gate to the buyer."""
    if not world.inspector:
        return np.ones(len(s["os"]), dtype=bool)
    second = np.ones(len(s["os"]), dtype=bool)
    if world.second:
        second = (s[f"y{lot}"] == 1) & active(s, world.second)
    counts = (s[f"v{lot}"] == PASSES) & (s[f"c{lot}"] == ISSUED) & (s[f"x{lot}"] == 0)
    closed = (s[f"o{lot}"] == 1) | (s[f"r{lot}"] == 1) | ((s["wd"] == 1) & (s["gi"] == world.inspector))
    first = counts & ~closed & _inspects_now(world, s) | (s[f"z{lot}"] == 1)
    return (s[f"b{lot}"] == 0) | first & second


def _inspects_now(world: World, s: Columns) -> Mask:
    found = np.zeros(len(s["gi"]), dtype=bool)
    for number in world.numbers():
        found |= (s["gi"] == number) & active(s, number)
    return found


def _all_pass(world: World, s: Columns, lot: int, to: int, *states: Lot) -> Mask:
    """Whether the lot and all that is packed in it, which must be in one of the states, may go to a company."""
    fine = _passes(world, s, lot) if to == BUYER else np.ones(len(s["os"]), dtype=bool)
    for inner in contents(world, lot):
        moves = np.zeros(len(fine), dtype=bool)
        for state in states:
            moves |= s[f"s{inner}"] == state
        if to == BUYER:
            moves &= _passes(world, s, inner)
        fine = fine & ((s[f"k{inner}"] == 0) | moves)
    return fine


def _offer(world: World, company: int, lot: int, to: int) -> Act:
    def guard(s: Columns) -> Mask:
        may = mine(s, company, lot, Lot.HELD) & active(s, to)
        return may & _all_pass(world, s, lot, to, Lot.HELD)

    change: Change = {f"s{lot}": Lot.OFFERED, f"w{lot}": to}
    return Act(Kind.OFFER, company, lot << 4 | to, guard, lambda _: change)


def _answers(world: World, company: int, lot: int) -> Iterator[Act]:
    def offered(s: Columns) -> Mask:
        to_me = (s[f"s{lot}"] == Lot.OFFERED) & (s[f"w{lot}"] == company)
        if company == MAKER:
            to_me |= s[f"s{lot}"] == Lot.RETURNING
        return active(s, company) & to_me

    def over(s: Columns) -> Change:
        return _offer_over(s, lot)

    yield Act(
        Kind.ACCEPT,
        company,
        lot,
        lambda s: offered(s) & _all_pass(world, s, lot, company, Lot.HELD),
        lambda s: {**over(s), f"h{lot}": company},
    )
    yield Act(Kind.DECLINE, company, lot, offered, over)
    yield Act(Kind.WITHDRAW, company, lot, lambda s: mine(s, company, lot, Lot.OFFERED, Lot.RETURNING), over)


def _offer_over(s: Columns, lot: int) -> Change:
    returning = s[f"s{lot}"] == Lot.RETURNING
    offered = s[f"s{lot}"] == Lot.OFFERED
    state = np.where(returning, np.uint8(Lot.QUARANTINED), np.where(offered, np.uint8(Lot.HELD), s[f"s{lot}"]))
    return {f"s{lot}": state, **chosen(offered, s, f"w{lot}", 0)}


def _return(world: World, company: int, lot: int) -> Act:
    def guard(s: Columns) -> Mask:
        may = mine(s, company, lot, Lot.QUARANTINED) & is_empty(world, s, lot) & (company != MAKER)
        return may & active(s, MAKER) & world.rules.H6_failed_goes_back

    return Act(Kind.RETURN, company, lot, guard, lambda _: {f"s{lot}": Lot.RETURNING})


def _reclaims(world: World, company: int, lot: int) -> Iterator[Act]:
    def free(s: Columns) -> Mask:
        state, held = s[f"s{lot}"], np.zeros(len(s["os"]), dtype=bool)
        for holder in world.numbers():
            held |= (s[f"h{lot}"] == holder) & absent(s, holder)
        there = held & (s[f"k{lot}"] == 0) & (state != Lot.SPENT) & (state != Lot.SOLD)
        moves = _all_pass(world, s, lot, company, Lot.HELD, Lot.QUARANTINED)
        return active(s, company) & there & moves & world.rules.H8_absent_is_reclaimed

    def party(s: Columns) -> Mask:
        return (s[f"b{lot}"] == 1) & ((s["co"] == company) | (company == BUYER))

    def change(s: Columns) -> Change:
        return {**_offer_over(s, lot), f"h{lot}": company}

    yield Act(Kind.RECLAIM, company, lot, lambda s: free(s) & party(s), change)
    yield Act(Kind.RECLAIM_ENTRUSTED, company, lot, free, change)


def _verdicts(world: World, company: int, lot: int) -> Iterator[Act]:
    """Of the gate's inspector: what others find moves nothing."""

    def guard(s: Columns) -> Mask:
        fallen = (s["wd"] == 1) & (company == world.inspector)
        return active(s, company) & (s["gi"] == company) & _is_there(s, lot) & ~fallen

    def issued(s: Columns, verdict: int) -> Changes:
        open_ = s[f"o{lot}"] & (s[f"r{lot}"] == 0)
        return {f"v{lot}": verdict, f"c{lot}": ISSUED, f"x{lot}": 0, f"r{lot}": 0, f"o{lot}": open_, f"z{lot}": 0}

    def passes(s: Columns) -> Change:
        return {**issued(s, PASSES), **_lifted(s, company, lot)}

    def fails(s: Columns) -> Change:
        return {**issued(s, FAILS), **_failed(company, lot)}

    yield Act(Kind.PASS, company, lot, guard, passes)
    yield Act(Kind.FAIL, company, lot, guard, fails)


def _lifted(s: Columns, company: int, lot: int) -> Change:
    """A pass lifts the quarantine that its inspector imposed."""
    apart = (s[f"s{lot}"] == Lot.QUARANTINED) | (s[f"s{lot}"] == Lot.RETURNING)
    lifted = apart & (s[f"w{lot}"] == company)
    change: Changes = {}
    for name, value in (("s", Lot.HELD), ("w", 0), ("q", 0)):
        change |= chosen(lifted, s, f"{name}{lot}", value)
    return change


def _failed(company: int, lot: int) -> Change:
    return {f"s{lot}": Lot.QUARANTINED, f"w{lot}": company, f"q{lot}": BY_VERDICT}


def _is_there(s: Columns, lot: int) -> Mask:
    there = (s[f"s{lot}"] != Lot.NONE) & (s[f"s{lot}"] != Lot.SPENT) & (s[f"s{lot}"] != Lot.SOLD)
    return there & (s[f"b{lot}"] == 1)


def _second_verdicts(company: int, lot: int) -> Iterator[Act]:
    def guard(s: Columns) -> Mask:
        return active(s, company) & _is_there(s, lot)

    y = f"y{lot}"
    yield Act(Kind.PASS_SECOND, company, lot, guard, lambda s: {y: 1, **_lifted(s, company, lot)})
    yield Act(Kind.FAIL_SECOND, company, lot, guard, lambda _: {y: 0, **_failed(company, lot)})


def _waiver(company: int, lot: int) -> Act:
    def guard(s: Columns) -> Mask:
        return active(s, company) & _is_there(s, lot) & (company == BUYER)

    return Act(Kind.WAIVE, company, lot, guard, lambda _: {f"z{lot}": 1})


def _foreign_verdict(company: int, lot: int) -> Act:
    """Any inspector fails a lot of no order, such as a pallet."""

    def guard(s: Columns) -> Mask:
        there = (s[f"s{lot}"] == Lot.HELD) | (s[f"s{lot}"] == Lot.OFFERED)
        return active(s, company) & (s[f"b{lot}"] == 0) & there

    change: Change = {f"s{lot}": Lot.QUARANTINED, f"w{lot}": company, f"q{lot}": BY_HAND}
    return Act(Kind.FAIL, company, lot, guard, lambda _: change)


def _doubts(world: World, company: int, lot: int) -> Iterator[Act]:
    """The latest certificate of the gate's inspector is revoked, or its opening demanded."""
    c, v = f"c{lot}", f"v{lot}"

    def revocable(s: Columns) -> Mask:
        return active(s, company) & (s["gi"] == company) & (s[v] != 0) & (s[c] != REVOKED)

    def revoke(s: Columns) -> Change:
        behind = (s[f"q{lot}"] == BY_VERDICT) & (s[f"w{lot}"] == company)
        return {c: REVOKED, v: PASSES, f"x{lot}": 0, **chosen(behind, s, f"q{lot}", LAPSED)}

    def demandable(s: Columns) -> Mask:
        loses = ((s[f"h{lot}"] == company) & (s[f"k{lot}"] == 0)) | (company == MAKER)
        relies = (s[f"b{lot}"] == 1) & ((s["co"] == company) | (company == BUYER))
        may = ((s[v] == FAILS) & loses) | ((s[v] == PASSES) & relies)
        return active(s, company) & may & (s[c] == ISSUED)

    def demand(s: Columns) -> Change:
        counted: Column = s[f"o{lot}"] | (s[f"r{lot}"] == 0)
        return {c: DEMANDED, f"o{lot}": counted, **chosen(s[f"x{lot}"] == 1, s, v, PASSES)}

    yield Act(Kind.REVOKE, company, lot, revocable, revoke)
    yield Act(Kind.DEMAND, company, lot, demandable, demand)


ACTIVE, SUSPENDED, ABSENT = 0, 1, 2
_VERDICTS = (Kind.PASS, Kind.FAIL, Kind.PASS_SECOND, Kind.FAIL_SECOND)


def acts_of(world: World) -> list[Act]:
    return [*order_acts(world), *lot_acts(world), *custody_acts(world), *_events(world)]


def is_judged(act: Act, s: Columns) -> Mask:
    """Whether the ledger must refuse what the model refuses.

    The model leaves out verdicts that move nothing, on lots that are spent or not the order's, and keeps to its number
    of failures."""
    if act.kind == Kind.SUSPEND:
        return np.zeros(len(s["os"]), dtype=bool)
    if act.kind not in (*_VERDICTS, Kind.REVOKE, Kind.DEMAND):
        return np.ones(len(s["os"]), dtype=bool)
    state = s[f"s{act.argument}"]
    there = (state != Lot.SPENT) & (state != Lot.SOLD)
    return there & (s[f"b{act.argument}"] == 1) if act.kind in _VERDICTS else there


def _events(world: World) -> Iterator[Act]:
    for company in world.numbers():
        yield _suspension(world, company)
        yield _reinstatement(company)
    yield Act(Kind.WAIT, 0, 0, lambda s: np.ones(len(s["os"]), dtype=bool), lambda s: _later(world, s))
    if world.inspector and world.withdrawals:
        yield Act(Kind.WITHDRAW_MODEL, 0, 0, lambda s: s["wd"] == 0, lambda s: _without_model(world, s))


def _suspension(world: World, company: int) -> Act:
    def guard(s: Columns) -> Mask:
        gone = np.zeros(len(s["os"]), dtype=np.uint8)
        for number in world.numbers():
            gone += s[f"st{number}"] != ACTIVE
        return (s[f"st{company}"] == ACTIVE) & (gone < world.failures)

    return Act(Kind.SUSPEND, 0, company, guard, lambda _: {f"st{company}": SUSPENDED})


def _reinstatement(company: int) -> Act:
    state = f"st{company}"
    return Act(Kind.REINSTATE, 0, company, lambda s: s[state] != ACTIVE, lambda _: {state: ACTIVE})


def _later(world: World, s: Columns) -> Change:
    change: Changes = {"po": (s["pk"] == Proposed.END).astype(np.uint8)}
    for number in world.numbers():
        change[f"st{number}"] = np.where(s[f"st{number}"] == SUSPENDED, np.uint8(ABSENT), s[f"st{number}"])
    for lot in range(world.lots):
        counted = (s[f"v{lot}"] != 0) & (s[f"c{lot}"] <= 1)
        change[f"x{lot}"] = s[f"x{lot}"] | counted
        # Of what expired only who may demand its opening depends on the verdict.
        settled = counted & (s[f"c{lot}"] == DEMANDED)
        change[f"v{lot}"] = np.where(settled, np.uint8(PASSES), s[f"v{lot}"])
        change[f"q{lot}"] = np.where(s[f"q{lot}"] == BY_VERDICT, np.uint8(LAPSED), s[f"q{lot}"])
        change[f"y{lot}"] = 0
    return change


def _without_model(world: World, s: Columns) -> Change:
    change: Changes = {"wd": 1}
    for lot in range(world.lots):
        behind = (s[f"q{lot}"] == BY_VERDICT) & (s[f"w{lot}"] == world.inspector)
        change[f"q{lot}"] = np.where(behind, np.uint8(LAPSED), s[f"q{lot}"])
    return change
