"""`rpc`: submitter and follower behind a JSON-RPC connection that fails and returns false answers."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from millmark.ledger.chain import HttpTransport
from millmark.ledger.errors import ChainError, SubmitError
from millmark.ledger.index import Follower
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.submit import Submitter
from millmark.services.store import open_store
from tests.faults.chains import running_chain
from tests.faults.ledger_check import Outcome, check_ledger
from tests.faults.proxy import Schedule, fault_proxy
from tests.faults.workload import build_events, found_site

__all__ = ["run_rpc"]

_EVENTS_PERCENT = 40
"""Events recorded per hundred faults."""
_FAULT_PERCENT = 35
_BATCH = 2
_GROUP = 8
_TIMEOUT_S = 5.0
_GRACE_S = 0.3
"""So short that the transaction behind a nonce is looked for many times."""
_STUCK_S = 120.0


def run_rpc(folder: Path, count: int, seed: int) -> Outcome:
    """Injects at least `count` faults while events are recorded and indexed. There are two events for every five
    faults.
    """
    events = build_events(max(count * _EVENTS_PERCENT // 100, _GROUP))
    with (
        running_chain(folder) as process,
        open_store(f"sqlite:///{folder / 'node.sqlite'}") as store,
        fault_proxy(process.url, None) as (proxy, url),
    ):
        site = found_site(folder, process.transport, process.profile, seed)
        chain = site.connect(HttpTransport(url, _TIMEOUT_S))
        proxy.schedule = Schedule(seed, _FAULT_PERCENT)
        submitter = Submitter(
            chain, Outbox(store), site.signer, batch_size=_BATCH, receipt_grace_s=_GRACE_S, resend_s=0.1
        )
        for start in range(0, len(events), _GROUP):
            submitter.submit([(event.key, site.record(event)) for event in events[start : start + _GROUP]])
            _settle(submitter, Follower(chain, store))
        while proxy.faults.total() < count:  # the events are through; idle rounds take the remaining faults
            _attempt(submitter, Follower(chain, store))
        proxy.schedule = None
        check = check_ledger(
            site, site.connect(process.transport), store, folder, events, {event.key for event in events}
        )
    return Outcome(process.engine, proxy.faults, check, {"requests": proxy.requests})


def _settle(submitter: Submitter, follower: Follower) -> None:
    deadline = time.monotonic() + _STUCK_S
    while not _attempt(submitter, follower):
        if time.monotonic() > deadline:
            raise SubmitError(
                "records are still queued although some requests succeed", hint="report this, with the seed"
            )


def _attempt(submitter: Submitter, follower: Follower) -> bool:
    """One round of submitter and follower, as in a node's main loop: the next round retries what failed."""
    done = False
    with contextlib.suppress(ChainError):
        done = submitter.step()
    with contextlib.suppress(ChainError):
        follower.follow()
    return done
