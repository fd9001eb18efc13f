"""The process that the lab kills: takes events in, submits and indexes them. Run it as
`python -m services.lab.faults.agent PLAN`.

PLAN is a JSON file. It writes to its standard output, a line each: `ready SECONDS` with the processor's time that it
took to start, `ack KEY` once an event is durable, `done`.
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

from ledger.chain import HttpTransport, find_profile
from ledger.chain.deployment import read_deployment, write_deployment
from ledger.errors import ChainError, IndexHaltedError, LeaseHeldError, StoreError
from ledger.index import Follower
from ledger.store.outbox import Outbox
from ledger.submit import Submitter
from ledger.submit.lease import Lease
from services.lab.faults.chains import ChainProcess
from services.lab.faults.crashes import DyingOutbox, DyingStore, DyingTransport, KillPoint
from services.lab.faults.mischief import MISCHIEF, Scene
from services.lab.faults.workload import Event, Site, build_signer
from services.store import open_store

__all__ = ["Plan", "build_plan", "main"]

_GROUP = 3
_PAUSE_S = 0.02
_LAST_S = 600.0
"""After which a life that never gets done ends by itself."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One life."""

    url: str
    engine: str
    finality_depth: int
    deployment: str
    """Path of the deployment file."""
    database: str
    seed: int
    orders: list[str]
    events: list[tuple[str, int, int]]
    mischief: str = ""
    """What happens to this life, by name; empty for nothing."""
    point: str = ""
    after: bool = False
    countdown: int = 0
    doomed: bool = False
    """Goes on until it is killed from without, also when nothing is left to do."""
    batch_size: int = 2
    lease_s: float = 15.0
    endless: str = ""
    """How the keys of events begin that come in until SIGTERM; empty for none."""
    machine: int = 0
    """That the endless events are of."""

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
    """A life in `folder`, on that chain. `rest`: the fields that have defaults."""
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
        chain = site.connect(DyingTransport(line, point))
        outbox = DyingOutbox(store, point)
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
        follower = Follower(chain, DyingStore(store, point))
        _say(f"ready {time.process_time():.3f}")
        scene = Scene(site, line, store, Outbox(store), chain)
        trouble = MISCHIEF[plan.mischief](scene) if plan.mischief else contextlib.nullcontext()
        with trouble:
            if plan.endless:
                _take_in(submitter, follower, scene, plan)
            _work(submitter, follower, scene, plan)
    _say("done")


def _work(submitter: Submitter, follower: Follower, scene: Scene, plan: Plan) -> None:
    """Events come in a few at a time, between rounds of the node's main loop."""
    events = [Event(*event) for event in plan.events]
    deadline, done = time.monotonic() + _LAST_S, False
    while (events or not done or plan.doomed) and time.monotonic() < deadline:
        group, events = events[:_GROUP], events[_GROUP:]
        _submit(submitter, scene, group)
        done = _go_round(submitter, follower, scene)


def _take_in(submitter: Submitter, follower: Follower, scene: Scene, plan: Plan) -> None:
    """A new event each round, until the process is told to stop."""
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stop.append(number))
    for number in itertools.count():
        if stop:
            break
        _submit(submitter, scene, [Event(f"{plan.endless}{number}", plan.machine, number)])
        _go_round(submitter, follower, scene)


def _submit(submitter: Submitter, scene: Scene, events: list[Event]) -> None:
    while events:
        try:
            submitter.submit([(event.key, scene.site.record(event)) for event in events])
            break
        except StoreError:  # another process holds the database, asleep; the keys make it safe to try again
            time.sleep(_PAUSE_S)
    for event in events:
        _say(f"ack {event.key}")


def _go_round(submitter: Submitter, follower: Follower, scene: Scene) -> bool:
    """True when nothing is left to do, by this process or by the one that leads."""
    done = False
    try:
        done = submitter.step()
    except LeaseHeldError:
        done = scene.outbox.is_idle(submitter.key)
    except (ChainError, StoreError):
        pass  # the next round goes on where this one stopped
    with contextlib.suppress(ChainError, StoreError, IndexHaltedError):  # of two followers, one is told to stop
        follower.follow()
    scene.go_on()
    time.sleep(_PAUSE_S)
    return done


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
