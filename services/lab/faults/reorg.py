"""`reorg`: the chain takes its latest blocks back, one to twelve at a time, while events are recorded and indexed."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import random
import time
from collections import Counter
from pathlib import Path

from ledger.chain import Chain
from ledger.errors import ChainError, ChainUnreachableError, SubmitError
from ledger.index import Follower
from ledger.store import Store
from ledger.store.outbox import Outbox
from ledger.submit import Submitter
from services.lab.faults.chains import ChainProcess, running_chain
from services.lab.faults.outcome import Outcome
from services.lab.faults.verdict import Verdict, judge
from services.lab.faults.workload import build_events, found_site
from services.store import open_store

__all__ = ["run_reorg"]

_DEPTH = 12
_EVENTS = 4
"""Come in before each reorganisation."""
_MOST_BLOCKS = 6
_STUCK_S = 120.0
_MOST_A_CHAIN = 50
"""Anvil 1.7.1 loses the code of contracts after some hundred reorganisations, whoever uses it."""


def run_reorg(folder: Path, count: int, seed: int) -> Outcome:
    """`count` reorganisations, on as many chains as that takes; the index follows before and after each, or only
    after."""
    parts = []
    for number, start in enumerate(range(0, count, _MOST_A_CHAIN)):
        part = folder / str(number)
        part.mkdir()
        parts.append(_run_part(part, min(count - start, _MOST_A_CHAIN), seed + number))
    depths = sum((Counter(part.injected) for part in parts), Counter[str]())
    undone = sum(part.figures["undone_blocks"] for part in parts)
    verdict = functools.reduce(Verdict.join, (part.verdict for part in parts))
    return Outcome(parts[0].engine, depths, verdict, {"undone_blocks": undone, "chains": len(parts)})


def _run_part(folder: Path, count: int, seed: int) -> Outcome:
    events = build_events(count * _EVENTS)
    chance = random.Random(seed)  # noqa: S311 - a replay needs a seed, not secrecy
    depths: Counter[str] = Counter()
    undone = 0
    with (
        running_chain(folder, need_anvil=True) as process,
        open_store(f"sqlite:///{folder / 'node.sqlite'}") as store,
    ):
        founded = found_site(folder, process.transport, process.profile, seed)
        _mine(process, _DEPTH)
        site = dataclasses.replace(founded, profile=dataclasses.replace(process.profile, finality_depth=_DEPTH))
        chain = site.connect(process.transport)
        submitter = Submitter(chain, Outbox(store), site.signer, batch_size=2, receipt_grace_s=_STUCK_S, resend_s=0.05)
        for number in range(count):
            sent = events[number * _EVENTS : (number + 1) * _EVENTS]
            submitter.submit([(event.key, site.record(event)) for event in sent])
            _step(submitter)
            _mine(process, chance.randint(0, _MOST_BLOCKS))
            if chance.randrange(2):
                undone += _follow(chain, store)
            depth = chance.randint(1, _DEPTH)
            process.transport.request("anvil_reorg", [depth, []])
            depths[f"depth {depth}"] += 1
            _step(submitter)
            undone += _follow(chain, store)
        _settle(process, submitter)
        keys = {event.key for event in events}
        verdict = judge(site, chain, store, folder, events, keys)
    return Outcome(process.engine, depths, verdict, {"undone_blocks": undone})


def _step(submitter: Submitter) -> None:
    """Anvil has no answer now and then while it reorganises: the next round goes on."""
    with contextlib.suppress(ChainUnreachableError):
        submitter.step()


def _follow(chain: Chain, store: Store) -> int:
    """Blocks that the index took back."""
    with contextlib.suppress(ChainUnreachableError):
        return Follower(chain, store).follow().undone
    return 0


def _mine(process: ChainProcess, blocks: int) -> None:
    if blocks:
        process.transport.request("anvil_mine", [hex(blocks)])


def _settle(process: ChainProcess, submitter: Submitter) -> None:
    deadline, done = time.monotonic() + _STUCK_S, False
    while not done:
        if time.monotonic() > deadline:
            raise SubmitError("records still wait after the last reorganisation", hint="report this, with the seed")
        _mine(process, 1)
        with contextlib.suppress(ChainError):
            done = submitter.step()
    _mine(process, _DEPTH)
