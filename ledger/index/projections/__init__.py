"""What each kind of record changes, as in the contracts' own state: one function per kind.

A projection does not repeat the contract's checks. A record about something unknown (a lot that no record created)
halts the index, since then either the index or the contract is not what it should be.
"""

from __future__ import annotations

from millmark.ledger.errors import IndexHaltedError
from millmark.ledger.events import Event, Recorded
from millmark.ledger.index.projections import lots, orders, registry
from millmark.ledger.index.state import State

PROJECTIONS = registry.PROJECTIONS | orders.PROJECTIONS | lots.PROJECTIONS


def apply(record: Recorded[Event], state: State) -> None:
    """Change `state` as the record changed the contract's. Raises IndexHaltedError for an unknown kind."""
    project = PROJECTIONS.get(type(record.event))
    if project is None:
        raise IndexHaltedError(
            f"record {record.sequence} of the {record.contract.value} has the unknown kind {record.kind}",
            hint="use the version of Millmark that belongs to these contracts",
        )
    project(record, state)
