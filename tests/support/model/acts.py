"""All acts of a world, and what befalls its companies."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tests.support.model.custody_acts import BY_VERDICT, LAPSED, PASSES, custody_acts
from tests.support.model.layout import Change, Changes, Columns, Mask
from tests.support.model.lot_acts import lot_acts
from tests.support.model.order_acts import order_acts
from tests.support.model.world import Act, Kind, Lot, Proposed, World

__all__ = ["acts_of", "is_judged"]

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
        change[f"v{lot}"] = np.where(counted, np.uint8(PASSES), s[f"v{lot}"])
        change[f"q{lot}"] = np.where(s[f"q{lot}"] == BY_VERDICT, np.uint8(LAPSED), s[f"q{lot}"])
        change[f"y{lot}"] = 0
    return change


def _without_model(world: World, s: Columns) -> Change:
    change: Changes = {"wd": 1}
    for lot in range(world.lots):
        behind = (s[f"q{lot}"] == BY_VERDICT) & (s[f"w{lot}"] == world.inspector)
        change[f"q{lot}"] = np.where(behind, np.uint8(LAPSED), s[f"q{lot}"])
    return change
