"""The judge: what is on the ledger at the end, against what was acknowledged, and the index against both."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from ledger.chain import Chain
from ledger.events.orders import RevisionProposed
from ledger.index import Follower, fetch_status
from ledger.records import Contract
from ledger.store import Rows, Store
from ledger.store.rows import HeadRow, RecordRow
from services.lab.faults.workload import Event, Site
from services.store import open_store

__all__ = ["Verdict", "judge"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """All but the first four are to be 0, and the last two true."""

    events: int
    acknowledged: int
    failed: int
    """Refused to the sender: he knows that they are not on the ledger."""
    unknown: int
    """Never answered: they may be on the ledger or not."""
    lost: int
    """Acknowledged, and not on the ledger."""
    duplicate: int
    """On the ledger more than once."""
    phantom: int
    """On the ledger, and failed or never sent."""
    misordered: int
    """Behind a later event of the same machine."""
    replay_equal: bool
    """The index has the digest of a fresh replay."""
    heads_equal: bool
    """Heads and sequences of the index are those in the contracts."""

    def join(self, other: Verdict) -> Verdict:
        """Of two runs together."""
        fields = [field.name for field in dataclasses.fields(Verdict) if not field.name.endswith("_equal")]
        return Verdict(
            **{name: getattr(self, name) + getattr(other, name) for name in fields},
            replay_equal=self.replay_equal and other.replay_equal,
            heads_equal=self.heads_equal and other.heads_equal,
        )

    @property
    def passed(self) -> bool:
        wrong = self.lost + self.duplicate + self.phantom + self.misordered
        return wrong == 0 and self.replay_equal and self.heads_equal


def judge(
    site: Site,
    chain: Chain,
    index: Store,
    folder: Path,
    events: Sequence[Event],
    acknowledged: Collection[str],
    failed: Collection[str] = (),
) -> Verdict:
    """Reads everything through `chain`, a line without faults. `acknowledged` and `failed` are keys of events."""
    fresh_path = folder / "fresh.sqlite"
    fresh_path.unlink(missing_ok=True)
    with open_store(f"sqlite:///{fresh_path}") as fresh:
        Follower(chain, fresh).follow()
        Follower(chain, index).follow()
        read = _read(site, fresh)
        ours, theirs = fetch_status(index), fetch_status(fresh)
        heads_equal = _heads_equal(chain, index) and _heads_equal(chain, fresh)
    counts = Counter(read)
    known = {event.root: event for event in events}
    may_be_there = {event.root for event in events if event.key not in failed}
    return Verdict(
        events=len(events),
        acknowledged=len(acknowledged),
        failed=len(failed),
        unknown=sum(event.key not in acknowledged and event.key not in failed for event in events),
        lost=sum(event.key in acknowledged and event.root not in counts for event in events),
        duplicate=sum(count - 1 for count in counts.values()),
        phantom=sum(root not in may_be_there for root in counts),
        misordered=_misordered([known[root] for root in read if root in known]),
        replay_equal=ours is not None and theirs is not None and ours.digest == theirs.digest,
        heads_equal=heads_equal and len(read) + site.records == chain.sequence(Contract.LEDGER),
    )


def _read(site: Site, store: Store) -> list[bytes]:
    """Roots of the events' records, in the order of the ledger."""
    with store.reading() as connection:
        rows = Rows(connection).find(RecordRow, contract=Contract.LEDGER.value)
    events = [row.event() for row in rows if row.subject in site.orders]
    return [event.terms.claims_root for event in events if isinstance(event, RevisionProposed)]


def _misordered(read: Sequence[Event]) -> int:
    latest: dict[int, int] = {}
    wrong = 0
    for event in read:
        wrong += event.number < latest.get(event.machine, -1)
        latest[event.machine] = max(event.number, latest.get(event.machine, -1))
    return wrong


def _heads_equal(chain: Chain, store: Store) -> bool:
    with store.reading() as connection:
        heads = Rows(connection).find(HeadRow)
    status = fetch_status(store)
    sequences = [] if status is None else [status.registry_sequence, status.ledger_sequence]
    if sequences != [chain.sequence(contract) for contract in (Contract.REGISTRY, Contract.LEDGER)]:
        return False
    return bool(heads) and all(chain.head(row.subject) == row.head for row in heads)
