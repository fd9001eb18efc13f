"""The check after a fault run: compares the ledger with what was acknowledged, and the index with the ledger."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from millmark.ledger.chain import Chain
from millmark.ledger.errors import ChainUnreachableError
from millmark.ledger.events.orders import RevisionProposed
from millmark.ledger.index import Follower, fetch_status
from millmark.ledger.records import Contract
from millmark.ledger.store import Rows, Store
from millmark.ledger.store.rows import HeadRow, RecordRow
from millmark.services.store import open_store
from tests.faults.workload import Event, Site

_ASKING_S, _PAUSE_S = 30.0, 1.0
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LedgerCheck:
    """Result of the check. The counts from `lost` on must be 0, and the last two fields true."""

    events: int
    acknowledged: int
    failed: int
    """Events refused to the sender, which therefore must not be on the ledger."""
    unknown: int
    """Events without an answer, which may or may not be on the ledger."""
    lost: int
    """Acknowledged events that are not on the ledger."""
    duplicate: int
    """Surplus copies of events on the ledger."""
    phantom: int
    """Events on the ledger that failed or were never sent."""
    misordered: int
    """Events after a later event of the same machine."""
    replay_equal: bool
    """Whether the index has the digest of a new replay."""
    heads_equal: bool
    """Whether heads and sequences of the index equal those in the contracts."""

    def join(self, other: LedgerCheck) -> LedgerCheck:
        """The result of two runs together."""
        fields = [field.name for field in dataclasses.fields(LedgerCheck) if not field.name.endswith("_equal")]
        return LedgerCheck(
            **{name: getattr(self, name) + getattr(other, name) for name in fields},
            replay_equal=self.replay_equal and other.replay_equal,
            heads_equal=self.heads_equal and other.heads_equal,
        )

    @property
    def passed(self) -> bool:
        wrong = self.lost + self.duplicate + self.phantom + self.misordered
        return wrong == 0 and self.replay_equal and self.heads_equal


def check_ledger(
    site: Site,
    chain: Chain,
    index: Store,
    folder: Path,
    events: Sequence[Event],
    acknowledged: Collection[str],
    failed: Collection[str] = (),
) -> LedgerCheck:
    """Compares ledger and index with the events; `acknowledged` and `failed` hold their keys.

    `chain` is a direct connection without faults. The index is brought up to date first; a second one is built from
    scratch. Raises ChainUnreachableError as `ask_again` does.
    """
    return ask_again(lambda: _check(site, chain, index, folder, events, acknowledged, failed))


def ask_again(act: Callable[[], T]) -> T:
    """Repeats what asks the chain until it is answered: at a high load, anvil was seen to give no block for a number
    that it had. Raises ChainUnreachableError if that lasts for 30 s."""
    deadline = time.monotonic() + _ASKING_S
    while True:
        try:
            return act()
        except ChainUnreachableError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE_S)


def _check(
    site: Site,
    chain: Chain,
    index: Store,
    folder: Path,
    events: Sequence[Event],
    acknowledged: Collection[str],
    failed: Collection[str],
) -> LedgerCheck:
    # Replayed from scratch in a database of its own: the node's index is part of what is checked.
    fresh_path = folder / "fresh.sqlite"
    fresh_path.unlink(missing_ok=True)
    with open_store(f"sqlite:///{fresh_path}") as fresh:
        Follower(chain, fresh).follow()
        Follower(chain, index).follow()
        read = _read(site, fresh)
        ours, theirs = fetch_status(index), fetch_status(fresh)
        equal = heads_equal(chain, index) and heads_equal(chain, fresh)
    counts = Counter(read)
    known = {event.root: event for event in events}
    # An event that failed must not be on the ledger; one without an answer may be.
    may_be_there = {event.root for event in events if event.key not in failed}
    return LedgerCheck(
        events=len(events),
        acknowledged=len(acknowledged),
        failed=len(failed),
        unknown=sum(event.key not in acknowledged and event.key not in failed for event in events),
        lost=sum(event.key in acknowledged and event.root not in counts for event in events),
        duplicate=sum(count - 1 for count in counts.values()),
        phantom=sum(root not in may_be_there for root in counts),
        misordered=count_misordered([known[root] for root in read if root in known]),
        replay_equal=ours is not None and theirs is not None and ours.digest == theirs.digest,
        heads_equal=equal and len(read) + site.records == chain.sequence(Contract.LEDGER),
    )


def _read(site: Site, store: Store) -> list[bytes]:
    """Claims roots of the events' records, in the order of the ledger."""
    with store.reading() as connection:
        rows = Rows(connection).find(RecordRow, contract=Contract.LEDGER.value)
    events = [row.event() for row in rows if row.subject in site.orders]
    return [event.terms.claims_root for event in events if isinstance(event, RevisionProposed)]


def count_misordered(read: Sequence[Event]) -> int:
    """The number of events, in the order of the ledger, after a later event of the same machine."""
    latest: dict[int, int] = {}
    wrong = 0
    for event in read:
        wrong += event.number < latest.get(event.machine, -1)
        latest[event.machine] = max(event.number, latest.get(event.machine, -1))
    return wrong


def heads_equal(chain: Chain, store: Store) -> bool:
    """Whether sequences and heads of the index equal those in the contracts."""
    with store.reading() as connection:
        heads = Rows(connection).find(HeadRow)
    status = fetch_status(store)
    sequences = [] if status is None else [status.registry_sequence, status.ledger_sequence]
    if sequences != [chain.sequence(contract) for contract in (Contract.REGISTRY, Contract.LEDGER)]:
        return False
    return bool(heads) and all(chain.head(row.subject) == row.head for row in heads)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The faults that a run injected, the ledger's content afterwards, and other measurements."""

    engine: str
    injected: Mapping[str, int]
    """Number of injected faults by kind."""
    check: LedgerCheck
    figures: Mapping[str, float | int] = field(default_factory=dict)
    """Other measurements; each name ends in the unit."""
    broken: tuple[str, ...] = ()
    """Other guarantees of the run that did not hold, one line each."""
    table: tuple[str, ...] = ()
    """Measurements for people, in lines."""
