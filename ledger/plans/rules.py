"""The rules of a plan, by the names that refusals have (PLANS.md explains each)."""

from __future__ import annotations

import enum
from typing import NoReturn

from millmark.ledger.canonical import to_hex
from millmark.ledger.errors import PlanRefusedError
from millmark.ledger.plans.breaches import PlanRefusal
from millmark.ledger.plans.plan import Key


class PlanRule(enum.StrEnum):
    """What a plan must hold to."""

    CALL = "call"
    """The plan is for this call."""
    OBJECTIVE = "objective"
    """The objective is the one that the call commits to."""
    REVISION = "revision"
    """The orders' terms are those in force."""
    OFFERS = "offers"
    """The plan lists all offers that count, and no others."""
    ORDER = "order"
    """There is one row for each operation of the call, and no other."""
    OFFER = "offer"
    """A row's offer is among the plan's offers, and is for that operation."""
    MACHINE = "machine"
    """Machine and owner of a row are the offer's."""
    WINDOW = "window"
    """A row starts in a window of its offer, for as long and at the price, Wh and CO2e that the offer says."""
    SLOTS = "slots"
    """Rows lie within the slots of the call, none before its order's release or the plan's first slot."""
    SEQUENCE = "sequence"
    """An operation starts after the one before has ended."""
    TRANSPORT = "transport"
    """Legs lead from owner to owner and to the destination, as the objective allows, in the time between the rows."""
    OVERLAP = "overlap"
    """A machine does one thing at a time."""
    SETUP = "setup"
    """There is time for setup between operations of different families."""
    SUMS = "sums"
    """The cost is the sum of its parts by rows, legs, lateness and carbon price."""
    BEFORE = "before"
    """Fixed rows are those of the plan before; what was dropped counted in it."""
    TIES = "ties"
    """The tie hash chooses among equal offers."""
    BOUND = "bound"
    """The bound is the value that follows from the slot prices."""


def refuse(rule: PlanRule, breach: str, key: Key | None = None) -> NoReturn:
    """Raises PlanRefusedError for the row that `key` names. `breach`: one of PlanBreach, written."""
    if key is None:
        raise PlanRefusedError(rule, PlanRefusal.OF_PLAN.write(rule=rule.value, why=breach))
    order, operation = key
    cause = PlanRefusal.AT_ROW.write(rule=rule.value, why=breach, order=to_hex(order), operation=operation + 1)
    raise PlanRefusedError(rule, cause, order=order, operation=operation)
