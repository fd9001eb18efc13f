"""`clock`: two nodes share a database and a key; the leader is suspended again and again, and every clock jumps.
`offline`: a backlog of events, killed on its way."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from millmark.ledger.errors import SubmitError
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import LeaseRow
from millmark.ledger.submit import Submitter
from millmark.services.store import open_store
from tests.faults.agent import build_plan
from tests.faults.chains import running_chain
from tests.faults.ledger_check import Outcome, check_ledger
from tests.faults.workload import Event, build_events, found_site

_LEASE_S = 1.0
_NAMES = ("first", "second")
_WAIT_S = 60.0
_PAUSE_S = 0.05


def run_clock(folder: Path, count: int, seed: int) -> Outcome:
    """Suspends the leading node `count` times, each time until a moment after the other one has taken the lead.

    A leader that resumes must not be able to write: its fencing number is outdated.
    """
    chance = random.Random(seed)  # noqa: S311 - a replay needs a seed, not secrecy
    acknowledged: set[str] = set()
    injected: Counter[str] = Counter()
    with running_chain(folder) as process:
        site = found_site(folder, process.transport, process.profile, seed)
        plans = []
        for machine, name in enumerate(_NAMES):
            rest = {"disturbance": "jump", "endless": f"{name}-", "machine": machine, "lease_s": _LEASE_S}
            plans.append(build_plan(folder, process, site, seed, [], **rest).write(folder / f"{name}.json"))
        with open_store(f"sqlite:///{folder / 'node.sqlite'}") as store:
            outbox, key = Outbox(store), site.signer.address
            with contextlib.ExitStack() as nodes:
                for plan in plans:
                    nodes.enter_context(_running(plan, acknowledged))
                fences = [_await_leader(outbox, key, 0).fence]
                for _ in range(count):
                    fences.append(_pause_leader(outbox, key, folder / "node.sqlite", chance))
                    injected["leader stopped"] += 1
            events = [Event(name, _NAMES.index(name.split("-")[0]), int(name.split("-")[1])) for name in acknowledged]
            chain = site.connect(process.transport)
            check = check_ledger(site, chain, store, folder, events, acknowledged)
    broken = () if sorted(set(fences)) == fences else ("a fencing number was issued twice",)
    return Outcome(process.engine, injected, check, {"leaders": len(fences)}, broken)


@contextlib.contextmanager
def _running(plan: Path, acknowledged: set[str]) -> Iterator[None]:
    """Runs a node that submits events until exit, and then waits for it to finish. Raises SubmitError if it fails."""
    command = [sys.executable, "-m", "tests.faults.agent", str(plan)]
    with (
        plan.with_suffix(".txt").open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):

        def listen() -> None:
            for line in process.stdout or ():
                word, _, key = line.strip().partition(" ")
                if word == "ack":
                    acknowledged.add(key)

        listener = threading.Thread(target=listen)  # reads all the time: a full pipe would block the node
        listener.start()
        try:
            yield
        finally:
            process.terminate()
            code = process.wait(_WAIT_S)
            listener.join()
        if code != 0:
            raise SubmitError(f"a node ended with {code}", hint=plan.with_suffix(".txt").read_text()[-500:])


def _await_leader(outbox: Outbox, key: bytes, above: int) -> LeaseRow:
    deadline = time.monotonic() + _WAIT_S
    while time.monotonic() < deadline:
        row = outbox.lease(key)
        if row is not None and row.fence > above:
            return row
        time.sleep(_PAUSE_S)
    raise SubmitError("no node took over from the suspended leader", hint="report this as a bug, with the seed")


def _pause_leader(outbox: Outbox, key: bytes, database: Path, chance: random.Random) -> int:
    """Suspends the leader until the other node leads; returns the fencing number of the new leader."""
    # Tries again when the leader happens to hold the database's write lock: then no node can take over.
    while True:
        time.sleep(chance.random() * _LEASE_S)
        leader = _await_leader(outbox, key, 0)
        number = int(leader.holder.rsplit("/", 2)[1])
        os.kill(number, signal.SIGSTOP)
        try:
            if _is_locked(database):
                continue
            follower = _await_leader(outbox, key, leader.fence)
            time.sleep(chance.random() * _LEASE_S)
            return follower.fence
        finally:
            os.kill(number, signal.SIGCONT)


def _is_locked(database: Path) -> bool:
    """Whether the suspended process holds SQLite's only write lock; then no other node can lead, or do any harm."""
    with contextlib.closing(sqlite3.connect(database, timeout=_LEASE_S, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
    return False


_RESTARTS = 3
_GROUP = 500
_BATCH = 50
_LONGEST_S = 3600.0
_POLL_S = 0.1
_POLL_SHARE = 20
"""How many times as long as counting took it waits before it counts again: a million rows take a while."""


def run_offline(folder: Path, count: int, seed: int) -> Outcome:
    """Queues `count` events, then kills the node three times while it sends them."""
    chance = random.Random(seed)  # noqa: S311 - a replay needs a seed, not secrecy
    events, injected = build_events(count), Counter({"restarts": 0})
    with running_chain(folder) as process, open_store(f"sqlite:///{folder / 'node.sqlite'}") as store:
        site = found_site(folder, process.transport, process.profile, seed)
        chain, outbox = site.connect(process.transport), Outbox(store)
        waiting = Submitter(chain, outbox, site.signer)
        started = time.monotonic()
        for start in range(0, count, _GROUP):
            waiting.submit([(event.key, site.record(event)) for event in events[start : start + _GROUP]])
        taken_s = time.monotonic() - started
        plan = build_plan(folder, process, site, seed, [], batch_size=_BATCH, longest_s=_LONGEST_S).write(
            folder / "plan.json"
        )
        started = time.monotonic()
        # After the first tenth, so that every kill interrupts the sending of a backlog.
        marks = sorted(chance.sample(range(count // 10, count), _RESTARTS))
        for mark in marks:
            injected["restarts"] += _run_once(plan, outbox, mark)
        _run_once(plan, outbox, None)
        drained_s, worked_s = time.monotonic() - started, _processor_s()
        check = check_ledger(site, chain, store, folder, events, {event.key for event in events})
    figures = {
        "taken_in_per_s": round(count / taken_s),
        "drained_per_s": round(count / drained_s),
        "drained_per_processor_s": round(count / worked_s),
    }
    broken = () if injected["restarts"] == _RESTARTS else ("the backlog was empty before the last restart",)
    return Outcome(process.engine, injected, check, figures, broken)


def _processor_s() -> float:
    """CPU time of all node processes so far, including their starts; the chain still runs and is not counted."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _run_once(plan: Path, outbox: Outbox, mark: int | None) -> int:
    """Runs the node, and kills it once `mark` events are final. 1 if it was killed, 0 if it ended by itself."""
    command = [sys.executable, "-m", "tests.faults.agent", str(plan)]
    deadline = time.monotonic() + _LONGEST_S
    with (
        plan.with_suffix(".txt").open("a") as errors,
        subprocess.Popen(command, stdout=errors, stderr=errors) as process,
    ):
        while process.poll() is None:
            began = time.monotonic()
            if mark is not None and outbox.counts().get("final", 0) >= mark:
                process.kill()
                return 1
            counted_s = time.monotonic() - began
            if time.monotonic() > deadline:
                process.kill()
                raise SubmitError("the backlog was not sent within an hour", hint="report this, with the seed")
            time.sleep(max(_POLL_S, _POLL_SHARE * counted_s))
    if process.returncode != 0:
        raise SubmitError(f"the node ended with {process.returncode}", hint=plan.with_suffix(".txt").read_text()[-500:])
    return 0
