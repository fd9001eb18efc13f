"""`failover`: PostgreSQL's primary is lost. `disk`: the disk is full or fails, and later works again.

Half of the faults affect submitter and index: the kernel refuses writes beyond a file size (RLIMIT_FSIZE). The other
half affect the log and the database of an unmodified node in its own process (strace's `inject=...:error=`).
"""

from __future__ import annotations

import contextlib
import itertools
import random
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from millmark.ledger.errors import ChainError, StoreError, SubmitError
from millmark.ledger.index import Follower
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.submit import Submitter
from millmark.ledger.submit.submitter import Lease
from millmark.services.store import open_store
from tests.faults.agent import CrashingOutbox, CrashingStore, CrashingTransport, KillPoint
from tests.faults.chains import running_chain
from tests.faults.factory import (
    Factory,
    Machine,
    check_factory,
    connect,
    find_strace,
    finish,
    found_factory,
    inject,
    running_node,
)
from tests.faults.ledger_check import Outcome, check_ledger
from tests.faults.workload import Event, Site, build_events, found_site
from tests.support import cluster

_GROUP = 3
_MAX_TRIES = 4
"""Attempts per wanted fault: some limits are beyond what the step writes."""
_STUCK_S = 60.0
_PAGE = 4096
_FAULTS_A_RUN = 6
_WINDOWS_A_RUN = 16
_FIRST = 12
"""Minimum number of calls before the first failure: the node needs some to start."""
_INJECTED = "(INJECTED)"
_LOG, _DATABASE = "streams/bench/log", "millmark.sqlite-wal"
FAILURES = {
    "log: disk full": ("pwrite64", _LOG, "ENOSPC", 2),
    "EIO writing the log": ("pwrite64", _LOG, "EIO", 2),
    "EIO synchronising the log": ("fdatasync", _LOG, "EIO", 3),
    "database: disk full": ("pwrite64", _DATABASE, "ENOSPC", 60),
    "EIO writing the database": ("pwrite64", _DATABASE, "EIO", 60),
    "EIO synchronising the database": ("fdatasync", _DATABASE, "EIO", 12),
    "EIO synchronising drafts": ("fsync", "drafts", "EIO", 2),
}
"""By name: system call, file or folder below the data folder, error, and the minimum number of calls between two
failures, which is more than one transaction takes."""


def run_disk(folder: Path, count: int, seed: int) -> Outcome:
    """Injects `count` faults in all. Batches answered with an error are sent again; failed steps are repeated."""
    find_strace()
    parts = []
    for name, run, share in (("records", _fill_disk, count // 2), ("node", _break_disk, count - count // 2)):
        part = folder / name
        part.mkdir()
        parts.append(run(part, share, seed))
    injected = sum((Counter(part.injected) for part in parts), Counter[str]())
    figures = {name: value for part in parts for name, value in part.figures.items()}
    broken = tuple(line for part in parts for line in part.broken)
    return Outcome(parts[0].engine, injected, parts[0].check.join(parts[1].check), figures, broken)


def _break_disk(folder: Path, count: int, seed: int) -> Outcome:
    """Runs a node several times, each time with occasional failures of one system call. It must answer with an error
    and continue."""
    chance = random.Random(seed)  # noqa: S311 - a replay needs a seed, not secrecy
    injected: Counter[str] = Counter()
    with running_chain(folder) as process, open_store(f"sqlite:///{folder / 'index.sqlite'}") as index:
        runs = max(count // _FAULTS_A_RUN, 2)
        factory = found_factory(folder, process, runs * _WINDOWS_A_RUN)
        chain, planned = connect(factory, process), factory.events()
        machine = Machine([], batch=1)
        for number, name in zip(range(runs), itertools.cycle(FAILURES), strict=False):
            machine.events = planned[: len(planned) * (number + 1) // runs]
            injected[name] += _run_once(factory, machine, name, chance)
            Follower(chain, index).follow()
        finish(factory, machine)
        check = check_factory(factory, chain, index, folder, machine)
    broken = () if injected.total() >= count else (f"only {injected.total()} of the node's calls failed",)
    return Outcome(process.engine, injected, check, {"refused_batches": len(machine.refusals)}, broken)


def _run_once(factory: Factory, machine: Machine, name: str, chance: random.Random) -> int:
    """Runs the node once; returns the number of failed calls. The machine sends all its events, and the node records
    them while its disk still fails."""
    call, path, error, least = FAILURES[name]
    report = factory.folder / "strace.txt"
    when = f"{chance.randint(_FIRST, 2 * _FIRST)}+{chance.randint(least, 2 * least)}"
    with running_node(factory, *inject(factory, call, [path], f"error={error}:when={when}", report)) as node:
        if node is None:
            return report.read_text().count(_INJECTED)  # it reported that it cannot start; the next run continues
        while not machine.is_done and machine.send(node):
            pass
        node.settle()
    return report.read_text().count(_INJECTED)


def _fill_disk(folder: Path, count: int, seed: int) -> Outcome:
    """Has writes refused while events are accepted, recorded and indexed."""
    chance = random.Random(seed)  # noqa: S311 - a replay needs a seed, not secrecy
    injected: Counter[str] = Counter()
    acknowledged: set[str] = set()
    planned = build_events(count * _GROUP * _MAX_TRIES)
    tries = 0
    with running_chain(folder) as process, open_store(f"sqlite:///{folder / 'node.sqlite'}") as store:
        site = found_site(folder, process.transport, process.profile, seed)
        chain = site.connect(process.transport)
        submitter = Submitter(chain, Outbox(store), site.signer, batch_size=2, resend_s=0.1)
        follower = Follower(chain, store)
        while injected.total() < count and tries < count * _MAX_TRIES:
            group = planned[tries * _GROUP : (tries + 1) * _GROUP]
            tries += 1
            records = [(event.key, site.record(event)) for event in group]
            steps: dict[str, Callable[[], object]] = {
                "accepting events": lambda records=records: submitter.submit(records),  # type: ignore[misc]  # mypy infers no lambda with a default
                "submitting": submitter.step,
                "indexing": follower.follow,
            }
            target = chance.choice(list(steps))
            for name, step in steps.items():
                if name == target:
                    injected[name] += _try_full(folder, step, chance)
                _insist(step)
            acknowledged |= {event.key for event in group}
        submitter.drain()
        check = check_ledger(site, chain, store, folder, planned[: tries * _GROUP], acknowledged)
    broken = () if injected.total() >= count else (f"only {injected.total()} writes were refused",)
    return Outcome(process.engine, injected, check, {"tries": tries}, broken)


def _try_full(folder: Path, step: Callable[[], object], chance: random.Random) -> int:
    """Tries a step with a limited file size; 1 if it failed with a StoreError, 0 if it succeeded."""
    log = folder / "node.sqlite-wal"
    size = log.stat().st_size if log.exists() else 0
    # A limit within the present size fails the first write, one beyond it lets the first page through.
    with _limited(chance.randint(0, size // _PAGE + 1) * _PAGE if chance.randrange(4) else 0):
        try:
            step()
        except StoreError:
            return 1
    return 0


@contextmanager
def _limited(most_bytes: int) -> Iterator[None]:
    """Limits the file size for this process during the `with` block."""
    # Python ignores SIGXFSZ, so that a write beyond the limit fails with EFBIG.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _insist(step: Callable[[], object]) -> None:
    """Repeats a step, with space available again, until it succeeds. Raises SubmitError after a minute."""
    deadline = time.monotonic() + _STUCK_S
    while True:
        try:
            step()
        except StoreError as error:
            if time.monotonic() > deadline:
                raise SubmitError(f"the node did not recover: {error}", hint="report this, with the seed") from error
        else:
            return


_STEPS = ("start", "enqueue", "settle", "send", "index", "together", "take_lease")
_EVENTS = 4
"""Events submitted before each failover."""
_PAUSE_S = 0.05
_PRIMARY_STUCK_S = 120.0
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
    deadline, waiting, done = time.monotonic() + _PRIMARY_STUCK_S, list(events), False
    while not done and time.monotonic() < deadline:
        with contextlib.suppress(ChainError, StoreError):
            if waiting:
                submitter.submit([(event.key, site.record(event)) for event in waiting])
                waiting = []
            done = submitter.step()
            follower.follow()
        time.sleep(_PAUSE_S)
    return done
