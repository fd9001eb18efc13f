"""For whose orders machines work: one question to the database, which ends at the first order that answers it, however
many a machine has worked for. SQLite and PostgreSQL both run the query."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, Connection, Integer, Select, literal_column, or_, select

from millmark.ledger.records import AssignmentState
from millmark.ledger.store.statements import AMONG, Cell, Querying, parameter
from millmark.ledger.store.tables import assignments, machines, orders

AGREED = (AssignmentState.ACCEPTED, AssignmentState.STARTED, AssignmentState.FINISHED)
"""States of an assignment that a machine's owner agreed to."""
WITHDRAWN = (AssignmentState.DECLINED, AssignmentState.CANCELLED)
"""States of one that does not make its order known to the machine's owner."""


def find_engaged(connection: Connection, numbers: Collection[int], participant: int) -> set[int]:
    """Which of these machines have an agreed assignment of an order of which the participant is buyer, coordinator or
    inspector, or for which a machine of its own was proposed or agreed to."""
    values: dict[str, Cell] = {
        "participant": participant,
        "first_gate": f"{participant}:%",
        "other_gate": f"% {participant}:%",
    }
    return {number for (number,) in Querying(connection).fetch_among(_ENGAGED, numbers, values)}


def _among(states: Collection[AssignmentState]) -> list[ColumnElement[int]]:
    # As text, since only values that are passed by name become parameters.
    return [literal_column(str(int(state)), Integer()) for state in states]


def _engaged() -> Select[Any]:
    own = assignments.alias("own")
    participant = parameter("participant")
    is_own = select(own.c.sequence).where(
        own.c.order == orders.c.subject, own.c.owner == participant, own.c.state.not_in(_among(WITHDRAWN))
    )
    is_party = or_(
        orders.c.buyer == participant,
        orders.c.coordinator == participant,
        # Gates are `inspector:model`, separated by spaces (rows.gates_of).
        orders.c.gates.like(parameter("first_gate")),
        orders.c.gates.like(parameter("other_gate")),
        is_own.exists(),
    )
    work = (
        select(assignments.c.sequence)
        .join(orders, orders.c.subject == assignments.c.order)
        .where(assignments.c.machine == machines.c.number, assignments.c.state.in_(_among(AGREED)), is_party)
    )
    return select(machines.c.number).where(machines.c.number.in_(AMONG), work.exists())


_ENGAGED = _engaged()
