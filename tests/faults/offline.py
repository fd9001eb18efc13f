"""`offline`: a backlog as after a day without the chain is sent at once, with three kills on the way."""

from __future__ import annotations

import random
import resource
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from millmark.ledger.errors import SubmitError
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.submit import Submitter
from millmark.services.store import open_store
from tests.faults.agent import build_plan
from tests.faults.chains import running_chain
from tests.faults.ledger_check import Outcome, check_ledger
from tests.faults.workload import build_events, found_site

__all__ = ["run_offline"]

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
