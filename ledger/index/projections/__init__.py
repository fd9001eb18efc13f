"""What each kind of record does to the state, as the contracts do it.

One function a kind. It checks nothing that the contract checked before it recorded; what it cannot place (a lot that no
record made) halts the index, because then one of the two is not what it seems.
"""

from __future__ import annotations

from ledger.errors import IndexHaltedError
from ledger.events import Event, Recorded
from ledger.index.projections import certificates, custody, lots, orders, registry
from ledger.index.state import State

PROJECTIONS = (
    registry.PROJECTIONS | orders.PROJECTIONS | lots.PROJECTIONS | custody.PROJECTIONS | certificates.PROJECTIONS
)


def apply(record: Recorded[Event], state: State) -> None:
    """Changes `state` as the record changed the contract's. Raises IndexHaltedError for a kind that is not known."""
    project = PROJECTIONS.get(type(record.event))
    if project is None:
        raise IndexHaltedError(
            f"record {record.sequence} of the {record.contract.value} is of an unknown kind, {record.kind}",
            hint="use the version that belongs to the contracts",
        )
    project(record, state)
