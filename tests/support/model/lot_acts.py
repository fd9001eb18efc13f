"""Acts on lots where they are: made, packed, set apart, reworked, scrapped; as the manuals of the contracts say."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tests.support.model.layout import Change, Columns, Mask
from tests.support.model.world import BUYER, MAKER, OF_A_LOT, Act, Kind, Lot, Operation, Order, World, active, chosen

__all__ = ["contents", "is_empty", "lot_acts", "mine", "spent"]

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


def spent(lot: int, state: Lot) -> Change:
    """Nothing is asked of a lot that is no more."""
    return {**{f"{name}{lot}": 0 for name in OF_A_LOT}, f"s{lot}": state}


def _making(world: World, company: int, lot: int) -> Iterator[Act]:
    made: Change = {f"h{lot}": company, f"s{lot}": Lot.HELD}

    def makable(s: Columns) -> Mask:
        return active(s, company) & (company == MAKER) & (s[f"s{lot}"] == Lot.NONE) & is_being_made(world, s)

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
        return may & is_being_made(world, s) & world.rules.M15_lot_leaves_its_order

    def deallocatable(s: Columns) -> Mask:
        side = active(s, company) & world.rules.M15_lot_leaves_its_order
        if company != BUYER:
            left = (s["os"] == Order.ENDED) & ~active(s, BUYER)
            side &= (s["co"] == company) & (left | (s["gi"] == 0))
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
