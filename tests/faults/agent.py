"""The process that the lab kills: it accepts, submits and indexes events. Run as `python -m tests.faults.agent
PLAN`.

PLAN is a JSON file. The process writes lines to standard output: `ready SECONDS` with the CPU time of its start, `ack
KEY` once an event is durable, and `done`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from millmark.ledger.chain import HttpTransport, find_profile
from millmark.ledger.chain.deploying import read_deployment, write_deployment
from millmark.ledger.errors import ChainError, LeaseHeldError, StoreError
from millmark.ledger.index import Follower
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.submit import Submitter
from millmark.ledger.submit.submitter import Lease
from millmark.services.store import open_store
from tests.faults.chains import ChainProcess
from tests.faults.crashes import CrashingOutbox, CrashingStore, CrashingTransport, KillPoint
from tests.faults.disturbances import DISTURBANCES, Target
from tests.faults.workload import Event, Site, build_signer

__all__ = ["Plan", "build_plan", "main"]

_GROUP = 3
_PAUSE_S = 0.02


@dataclass(frozen=True, slots=True)
class Plan:
    """Configuration of one process, from start to end."""

    url: str
    engine: str
    finality_depth: int
    deployment: str
    """Path of the deployment file."""
    database: str
    seed: int
    orders: list[str]
    events: list[tuple[str, int, int]]
    disturbance: str = ""
    """Name of the disturbance (see `disturbances`) during this process; empty for none."""
    point: str = ""
    after: bool = False
    countdown: int = 0
    until_killed: bool = False
    """Keep running until killed from outside, even when no work is left."""
    batch_size: int = 2
    lease_s: float = 15.0
    endless: str = ""
    """Prefix for the keys of events that are created until SIGTERM; empty for none."""
    machine: int = 0
    """Machine of the endless events."""
    longest_s: float = 600.0
    """Time after which the process ends by itself if its work never gets done."""

    def write(self, path: Path) -> Path:
        path.write_text(json.dumps(dataclasses.asdict(self)))
        return path

    def site(self) -> Site:
        profile = dataclasses.replace(find_profile(self.engine), finality_depth=self.finality_depth)
        deployment = read_deployment(Path(self.deployment))
        orders = tuple(bytes.fromhex(order) for order in self.orders)
        return Site(deployment, profile, build_signer(self.seed, "buyer"), orders, len(orders))


def build_plan(
    folder: Path, process: ChainProcess, site: Site, seed: int, events: Sequence[Event], **rest: Any
) -> Plan:
    """Builds the plan of a process in `folder` on the given chain. `rest` holds fields that have defaults."""
    deployment = folder / "deployment.json"
    write_deployment(deployment, site.deployment)
    return Plan(
        url=process.url,
        engine=process.engine,
        finality_depth=site.profile.finality_depth,
        deployment=str(deployment),
        database=str(folder / "node.sqlite"),
        seed=seed,
        orders=[order.hex() for order in site.orders],
        events=[(event.key, event.machine, event.number) for event in events],
        **rest,
    )


def main(path: str) -> None:
    plan = Plan(**json.loads(Path(path).read_text()))
    site, point = plan.site(), KillPoint(plan.point, plan.after, plan.countdown)
    line = HttpTransport(plan.url)
    with open_store(f"sqlite:///{plan.database}") as store:
        chain = site.connect(CrashingTransport(line, point))
        outbox = CrashingOutbox(store, point)
        # Short intervals, so that a run of seconds reaches resending, fee bumps and takeovers.
        submitter = Submitter(
            chain,
            outbox,
            site.signer,
            batch_size=plan.batch_size,
            receipt_grace_s=0.3,
            resend_s=0.1,
            raise_s=0.5,
            lease=Lease(outbox, site.signer.address, plan.lease_s),
        )
        follower = Follower(chain, CrashingStore(store, point))
        _say(f"ready {time.process_time():.3f}")
        target = Target(site, line, store, Outbox(store), chain)
        trouble = DISTURBANCES[plan.disturbance](target) if plan.disturbance else contextlib.nullcontext()
        with trouble:
            if plan.endless:
                _take_in(submitter, follower, target, plan)
            _work(submitter, follower, target, plan)
    _say("done")


def _work(submitter: Submitter, follower: Follower, target: Target, plan: Plan) -> None:
    """Submits the planned events a few at a time, between rounds of the main loop."""
    events = [Event(*event) for event in plan.events]
    deadline, done = time.monotonic() + plan.longest_s, False
    while (events or not done or plan.until_killed) and time.monotonic() < deadline:
        group, events = events[:_GROUP], events[_GROUP:]
        _submit(submitter, target, group)
        done = _go_round(submitter, follower, target)


def _take_in(submitter: Submitter, follower: Follower, target: Target, plan: Plan) -> None:
    """Submits a new event every round until SIGTERM."""
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stop.append(number))
    for number in itertools.count():
        if stop:
            break
        _submit(submitter, target, [Event(f"{plan.endless}{number}", plan.machine, number)])
        _go_round(submitter, follower, target)


def _submit(submitter: Submitter, target: Target, events: list[Event]) -> None:
    while events:
        try:
            submitter.submit([(event.key, target.site.record(event)) for event in events])
            break
        except StoreError:  # a stopped process holds the database's lock; idempotency keys make a retry safe
            time.sleep(_PAUSE_S)
    for event in events:
        _say(f"ack {event.key}")


def _go_round(submitter: Submitter, follower: Follower, target: Target) -> bool:
    """Runs one round of the main loop. True when no work is left, for this process or for the one with the lease."""
    done = False
    try:
        done = submitter.step()
    except LeaseHeldError:
        done = target.outbox.is_idle(submitter.key)
    except (ChainError, StoreError):
        pass  # the next round continues where this one stopped
    with contextlib.suppress(ChainError, StoreError):
        follower.follow()
    target.go_on()
    time.sleep(_PAUSE_S)
    return done


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
