"""`disk`: the node's disk takes no more bytes, at any place of any file, and takes them again."""

from __future__ import annotations

import random
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ledger.errors import StoreError, SubmitError
from ledger.index import Follower
from ledger.store import open_store
from ledger.store.outbox import Outbox
from ledger.submit import Submitter
from services.faults.chains import running_chain
from services.faults.outcome import Outcome
from services.faults.verdict import judge
from services.faults.workload import build_events, found_site

__all__ = ["run_disk"]

_GROUP = 3
_MOST_TRIES = 4
"""For each refusal: some limits lie beyond what the step writes."""
_STUCK_S = 60.0
_PAGE = 4096


def run_disk(folder: Path, count: int, seed: int) -> Outcome:
    """`count` writes that the kernel refuses (RLIMIT_FSIZE), while events come in, are recorded and indexed. What was
    answered with an error is sent again; a step that failed is simply taken again."""
    chance = random.Random(seed)  # noqa: S311 - a replay needs a seed, not secrecy
    injected: Counter[str] = Counter()
    acknowledged: set[str] = set()
    planned = build_events(count * _GROUP * _MOST_TRIES)
    tries = 0
    with running_chain(folder) as process, open_store(f"sqlite:///{folder / 'node.sqlite'}") as store:
        site = found_site(folder, process.transport, process.profile, seed)
        chain = site.connect(process.transport)
        submitter = Submitter(chain, Outbox(store), site.signer, batch_size=2, resend_s=0.1)
        follower = Follower(chain, store)
        while injected.total() < count and tries < count * _MOST_TRIES:
            group = planned[tries * _GROUP : (tries + 1) * _GROUP]
            tries += 1
            records = [(event.key, site.record(event)) for event in group]
            steps: dict[str, Callable[[], object]] = {
                "taking in": lambda records=records: submitter.submit(records),  # type: ignore[misc]
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
        verdict = judge(site, chain, store, folder, planned[: tries * _GROUP], acknowledged)
    broken = () if injected.total() >= count else (f"only {injected.total()} writes were refused",)
    return Outcome(process.engine, injected, verdict, {"tries": tries}, broken)


def _try_full(folder: Path, step: Callable[[], object], chance: random.Random) -> int:
    """1 when the step failed, with an error that the user can read."""
    log = folder / "node.sqlite-wal"
    size = log.stat().st_size if log.exists() else 0
    with _limited(chance.randint(0, size // _PAGE + 1) * _PAGE if chance.randrange(4) else 0):
        try:
            step()
        except StoreError:
            return 1
    return 0


@contextmanager
def _limited(most_bytes: int) -> Iterator[None]:
    """No file of this process grows beyond, or is written beyond."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _insist(step: Callable[[], object]) -> None:
    """Once there is room again, the same process goes on."""
    deadline = time.monotonic() + _STUCK_S
    while True:
        try:
            step()
        except StoreError as error:
            if time.monotonic() > deadline:
                raise SubmitError(f"the node did not recover: {error}", mend="report this, with the seed") from error
        else:
            return
