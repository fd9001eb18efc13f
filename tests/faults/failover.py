"""`failover`: the database's primary is lost at every named step, and its synchronous standby takes over.

Outbox and index are on PostgreSQL, durable as in production, under a URL that names both servers. The process goes on.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from millmark.ledger.errors import ChainError, StoreError
from millmark.ledger.index import Follower
from millmark.ledger.submit import Submitter
from millmark.ledger.submit.submitter import Lease
from millmark.services.store import open_store
from tests.faults.chains import running_chain
from tests.faults.crashes import CrashingOutbox, CrashingStore, CrashingTransport, KillPoint
from tests.faults.ledger_check import Outcome, check_ledger
from tests.faults.workload import Event, Site, build_events, found_site
from tests.support import cluster

__all__ = ["run_failover"]

_STEPS = ("start", "enqueue", "settle", "send", "index", "together", "take_lease")
_EVENTS = 4
"""Events submitted before each failover."""
_PAUSE_S = 0.05
_STUCK_S = 120.0
"""Time after which a round that does not end counts as a failure."""


def run_failover(folder: Path, count: int, seed: int) -> Outcome:
    """Loses the primary `count` times, before and after the steps in turn. Raises StoreError without PostgreSQL."""
    events, broken = build_events(count * _EVENTS), list[str]()
    injected: Counter[str] = Counter()
    with running_chain(folder) as process, cluster.running_pair() as pair, open_store(pair.url) as store:
        site, point = found_site(folder, process.transport, process.profile, seed), KillPoint(act=pair.fail_over)
        outbox = CrashingOutbox(store, point)
        chain = site.connect(CrashingTransport(process.transport, point))
        lease = Lease(outbox, site.signer.address, lease_s=1.0)
        submitter = Submitter(chain, outbox, site.signer, batch_size=2, receipt_grace_s=0.3, resend_s=0.1, lease=lease)
        follower = Follower(chain, CrashingStore(store, point))
        for number in range(count):
            turn = number + seed
            point.name, point.after, point.countdown = _STEPS[turn % len(_STEPS)], bool(turn // len(_STEPS) % 2), 1
            told = f"{'after' if point.after else 'before'} {point.name}"
            if not _work(submitter, follower, site, events[number * _EVENTS : (number + 1) * _EVENTS]):
                broken.append(f"work did not end after a failover {told}")
            injected[told] += point.countdown < 1
        check = check_ledger(site, site.connect(process.transport), store, folder, events, [one.key for one in events])
    return Outcome(process.engine, injected, check, broken=tuple(broken))


def _work(submitter: Submitter, follower: Follower, site: Site, events: Sequence[Event]) -> bool:
    """Submits events and goes on until all is done. A sender repeats what was not acknowledged, under the same key."""
    deadline, waiting, done = time.monotonic() + _STUCK_S, list(events), False
    while not done and time.monotonic() < deadline:
        with contextlib.suppress(ChainError, StoreError):
            if waiting:
                submitter.submit([(event.key, site.record(event)) for event in waiting])
                waiting = []
            done = submitter.step()
            follower.follow()
        time.sleep(_PAUSE_S)
    return done
