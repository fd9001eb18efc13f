"""The process that is killed, at named steps or at any: it accepts, submits and indexes events.

Run as `python -m tests.faults.agent PLAN`.

PLAN is a JSON file. The process writes lines to standard output: `ready SECONDS` with the CPU time of its start, `ack
KEY` once an event is durable, and `done`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from millmark.ledger.chain import HttpTransport, Transport, find_profile
from millmark.ledger.chain.deploying import read_deployment, write_deployment
from millmark.ledger.errors import ChainError, LeaseHeldError, StoreError
from millmark.ledger.index import Follower
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import Entry, LeaseRow
from millmark.ledger.store.outbox_writer import OutboxWriter
from millmark.ledger.submit import Submitter
from millmark.ledger.submit.submitter import Lease
from millmark.services.store import open_store
from tests.faults.chains import ChainProcess
from tests.faults.disturbances import DISTURBANCES, Target
from tests.faults.workload import Event, Site, build_signer

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


_SEND = "eth_sendRawTransaction"
WRITER = "millmark.ledger.store.outbox_writer"
RELAY = "millmark.ledger.submit.relay"
CRASH_POINTS: Mapping[str, Sequence[str]] = {
    "millmark.ledger.store.outbox": ("enqueue", "take_lease"),
    WRITER: (
        *("together", "start", "store_signed", "replace_signed", "mark_sent", "settle", "mark_final"),
        *("mark_reorganised", "requeue", "mark_replaced", "fail_record", "fill"),
    ),
    "millmark.ledger.submit.sender": ("send",),
    "millmark.ledger.index.follower": ("index",),
    RELAY: ("allocate", "store_signed", "mark_sent", "mark_mined", "mark_final"),
}
"""By module: the methods, and the commit of a batch of blocks, before and after which the process is killed; those of
the relay are the writer's moves with which relayed records get onto the ledger."""
_MOVES = {*CRASH_POINTS[WRITER], *CRASH_POINTS[RELAY]} - {"together"}  # a context manager, and overridden below


@dataclass(slots=True)
class KillPoint:
    """Where to crash: at the step `name`, the `countdown`-th time that it is reached; never if the name is empty."""

    name: str = ""
    after: bool = False
    countdown: int = 1
    act: Callable[[], None] = lambda: _die()  # it is defined below
    """What happens there."""

    @contextmanager
    def around(self, name: str) -> Iterator[None]:
        """Crashes before or after the `with` block if `name` is the step; after it also if it failed, as a transaction
        does that is sent a second time and known to the node: this time is the countdown's, and no other will be."""
        here = name == self.name
        self.countdown -= here
        # Looked at once: what happens may set the next point.
        due = here and self.countdown == 0
        if due and not self.after:
            self.act()
        try:
            yield
        finally:
            if due and self.after:
                self.act()


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)  # unlike an exception, runs no handler, `finally` or atexit function


class CrashingOutboxWriter(OutboxWriter):
    """Crashes at the methods that CRASH_POINTS lists for millmark.ledger.store.outbox_writer and
    millmark.ledger.submit.relay."""

    def __init__(self, writer: OutboxWriter, store: Store, signer: bytes, point: KillPoint, *, relayed: bool) -> None:
        super().__init__(store, signer, writer.fence, relayed=relayed)
        self._point = point

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name not in _MOVES:
            return found
        point = super().__getattribute__("_point")

        def step(*values: Any, **named: Any) -> Any:
            with point.around(name):
                return found(*values, **named)

        return step

    @contextmanager
    def together(self) -> Iterator[None]:
        with self._point.around("together"), super().together():
            yield


class CrashingOutbox(Outbox):
    """Crashes at `enqueue` and `take_lease`, and returns a CrashingOutboxWriter."""

    def __init__(self, store: Store, point: KillPoint, *, relayed: bool = False) -> None:
        super().__init__(store, relayed=relayed)
        self._point, self._by_relay = point, relayed

    def enqueue(self, signer: bytes, entries: Sequence[Entry]) -> list[int]:
        with self._point.around("enqueue"):
            return super().enqueue(signer, entries)

    def take_lease(self, signer: bytes, seen: LeaseRow | None, holder: str, fence: int) -> OutboxWriter:
        with self._point.around("take_lease"):
            writer = super().take_lease(signer, seen, holder, fence)
            return CrashingOutboxWriter(writer, self._store, signer, self._point, relayed=self._by_relay)


class CrashingStore(Store):
    """Crashes at the commits of the follower."""

    def __init__(self, store: Store, point: KillPoint) -> None:
        super().__init__(store._engine)
        self._point = point

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        with self._point.around("index"), super().transaction() as connection:
            yield connection


class CrashingTransport:
    """Crashes when a transaction is sent: before the node has it, or after."""

    def __init__(self, node: Transport, point: KillPoint) -> None:
        self._node = node
        self._point = point

    def request(self, method: str, params: list[Any]) -> Any:
        if method != _SEND:
            return self._node.request(method, params)
        with self._point.around("send"):
            return self._node.request(method, params)


if __name__ == "__main__":
    main(sys.argv[1])
