"""The process that the lab kills: takes events in, submits and indexes them. `python -m services.faults.agent PLAN`.

PLAN is a JSON file. It writes to its standard output, a line each: `ready`, `ack KEY` once an event is durable, `done`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from ledger.chain import HttpTransport, find_profile
from ledger.chain.deployment import read_deployment
from ledger.errors import ChainError
from ledger.index import Follower
from ledger.store import open_store
from ledger.store.outbox import Outbox
from ledger.submit import Submitter
from services.faults.dying import DyingOutbox, DyingStore, DyingTransport, KillPoint
from services.faults.mischief import MISCHIEF, Scene
from services.faults.workload import Event, Site, build_signer

__all__ = ["Plan", "main"]

_GROUP = 3
_PAUSE_S = 0.02
_LAST_S = 60.0
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
    mischief: str
    """What happens to this life, by name; empty for nothing."""
    point: str
    after: bool
    countdown: int

    def site(self) -> Site:
        profile = dataclasses.replace(find_profile(self.engine), finality_depth=self.finality_depth)
        deployment = read_deployment(Path(self.deployment))
        orders = tuple(bytes.fromhex(order) for order in self.orders)
        return Site(deployment, profile, build_signer(self.seed, "buyer"), orders, len(orders))


def main(path: str) -> None:
    plan = Plan(**json.loads(Path(path).read_text()))
    site, point = plan.site(), KillPoint(plan.point, plan.after, plan.countdown)
    line = HttpTransport(plan.url)
    with open_store(f"sqlite:///{plan.database}") as store:
        chain = site.connect(DyingTransport(line, point))
        outbox = DyingOutbox(store, point)
        submitter = Submitter(chain, outbox, site.signer, batch_size=2, receipt_grace_s=0.3, resend_s=0.1, raise_s=0.5)
        follower = Follower(chain, DyingStore(store, point))
        _say("ready")
        scene = Scene(site, line, store, Outbox(store), chain)
        trouble = MISCHIEF[plan.mischief](scene) if plan.mischief else contextlib.nullcontext()
        with trouble:
            _work(submitter, follower, scene, [Event(*event) for event in plan.events])
    _say("done")


def _work(submitter: Submitter, follower: Follower, scene: Scene, events: list[Event]) -> None:
    """Events come in a few at a time, between rounds of the node's main loop."""
    deadline, done = time.monotonic() + _LAST_S, False
    while (events or not done) and time.monotonic() < deadline:
        group, events = events[:_GROUP], events[_GROUP:]
        if group:
            submitter.submit([(event.key, scene.site.record(event)) for event in group])
            for event in group:
                _say(f"ack {event.key}")
        with contextlib.suppress(ChainError):
            done = submitter.step()
        with contextlib.suppress(ChainError):
            follower.follow()
        scene.go_on()
        time.sleep(_PAUSE_S)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
