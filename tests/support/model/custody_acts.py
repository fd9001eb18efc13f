"""Acts by which lots pass between companies, and the verdicts that open an order's gate to them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tests.support.model.layout import Change, Changes, Column, Columns, Mask
from tests.support.model.lot_acts import contents, is_empty, mine
from tests.support.model.world import BUYER, MAKER, Act, Kind, Lot, World, absent, active, chosen

__all__ = ["custody_acts"]

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
        custodian = (s[f"h{lot}"] == company) & (s[f"k{lot}"] == 0)
        side = (s[f"b{lot}"] == 1) & ((s["co"] == company) | (company == BUYER))
        return active(s, company) & (custodian | side) & (s[v] != 0) & (s[c] == ISSUED)

    def demand(s: Columns) -> Change:
        counted: Column = s[f"o{lot}"] | (s[f"r{lot}"] == 0)
        return {c: DEMANDED, f"o{lot}": counted}

    yield Act(Kind.REVOKE, company, lot, revocable, revoke)
    yield Act(Kind.DEMAND, company, lot, demandable, demand)
