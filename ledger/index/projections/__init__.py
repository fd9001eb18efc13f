"""What each kind of record does to the state, as the contracts do it.

One function a kind. It checks nothing that the contract checked before it recorded; what it cannot place (a lot that no
record made, a field of another type) halts the index, because then one of the two is not what it seems.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ledger.errors import IndexHaltedError
from ledger.index.projections import certificates, custody, lots, orders, registry
from ledger.index.state import State
from ledger.records import Contract, Recorded

_LEDGER = orders.PROJECTIONS | lots.PROJECTIONS | custody.PROJECTIONS | certificates.PROJECTIONS
PROJECTIONS: Mapping[tuple[Contract, str], Callable[[Recorded, State], None]] = {
    **{(Contract.REGISTRY, kind): project for kind, project in registry.PROJECTIONS.items()},
    **{(Contract.LEDGER, kind): project for kind, project in _LEDGER.items()},
}


def apply(record: Recorded, state: State) -> None:
    """Changes `state` as the record changed the contract's. Raises IndexHaltedError for a kind that is not known."""
    project = PROJECTIONS.get((record.contract, record.kind))
    if project is None:
        raise IndexHaltedError(
            f"record {record.sequence} of the {record.contract.value} is of an unknown kind, {record.kind}",
            hint="use the version that belongs to the contracts",
        )
    project(record, state)
