"""`reorg`: the chain repeatedly replaces its latest one to twelve blocks while events are recorded and indexed."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import random
import time
from collections import Counter
from pathlib import Path

from millmark.ledger.chain import Chain
from millmark.ledger.errors import ChainError, ChainUnreachableError, SubmitError
from millmark.ledger.index import Follower
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.submit import Submitter
from millmark.services.store import open_store
from tests.faults.chains import ChainProcess, running_chain
from tests.faults.ledger_check import LedgerCheck, Outcome, check_ledger
from tests.faults.workload import build_events, found_site

__all__ = ["run_reorg"]

_DEPTH = 12
_EVENTS = 4
"""Events submitted before each reorganisation."""
_MAX_BLOCKS = 6
_STUCK_S = 120.0
_PAUSE_S = 0.005
_MAX_A_CHAIN = 50
"""Reorganisations per chain: anvil 1.7.1 itself loses contract code after a few hundred."""


def run_reorg(folder: Path, count: int, seed: int) -> Outcome:
    """Causes `count` reorganisations, on as many chains as needed. The index is updated after each, and before a random
    half of them as well."""
    parts = []
    for number, start in enumerate(range(0, count, _MAX_A_CHAIN)):
        part = folder / str(number)
        part.mkdir()
        parts.append(_run_part(part, min(count - start, _MAX_A_CHAIN), seed + number))
    depths = sum((Counter(part.injected) for part in parts), Counter[str]())
    undone = sum(part.figures["undone_blocks"] for part in parts)
    check = functools.reduce(LedgerCheck.join, (part.check for part in parts))
    return Outcome(parts[0].engine, depths, check, {"undone_blocks": undone, "chains": len(parts)})


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
        _mine(process, _DEPTH)  # the founding records are final before any block is replaced
        site = dataclasses.replace(founded, profile=dataclasses.replace(process.profile, finality_depth=_DEPTH))
        chain = site.connect(process.transport)
        submitter = Submitter(chain, Outbox(store), site.signer, batch_size=2, receipt_grace_s=_STUCK_S, resend_s=0.05)
        for number in range(count):
            sent = events[number * _EVENTS : (number + 1) * _EVENTS]
            submitter.submit([(event.key, site.record(event)) for event in sent])
            _step(submitter)
            _await_empty_pool(process)
            _mine(process, chance.randint(0, _MAX_BLOCKS))
            if chance.randrange(2):
                undone += _follow(chain, store)
            depth = chance.randint(1, _DEPTH)
            process.transport.request("anvil_reorg", [depth, []])
            depths[f"depth {depth}"] += 1
            _step(submitter)
            undone += _follow(chain, store)
        _settle(process, submitter)
        keys = {event.key for event in events}
        check = check_ledger(site, chain, store, folder, events, keys)
    return Outcome(process.engine, depths, check, {"undone_blocks": undone})


def _step(submitter: Submitter) -> None:
    """One round of the submitter. Anvil may fail to answer during a reorganisation; the next round retries."""
    with contextlib.suppress(ChainUnreachableError):
        submitter.step()


def _follow(chain: Chain, store: Store) -> int:
    """Updates the index; returns the number of blocks that it undid."""
    with contextlib.suppress(ChainUnreachableError):
        return Follower(chain, store).follow().undone
    return 0


def _mine(process: ChainProcess, blocks: int) -> None:
    if blocks:
        process.transport.request("anvil_mine", [hex(blocks)])


def _await_empty_pool(process: ChainProcess) -> None:
    """Anvil mines in a task of its own. One that is at it while blocks are replaced leaves a state without what is in
    blocks that stay: it then counts fewer transactions of a key than it has in them."""
    deadline = time.monotonic() + _STUCK_S
    while int(process.transport.request("txpool_status", [])["pending"], 16):
        if time.monotonic() > deadline:
            raise SubmitError("anvil mines nothing any more", hint="report this, with the seed")
        time.sleep(_PAUSE_S)


def _settle(process: ChainProcess, submitter: Submitter) -> None:
    deadline, done = time.monotonic() + _STUCK_S, False
    while not done:
        if time.monotonic() > deadline:
            raise SubmitError("records are still queued after the last reorg", hint="report this, with the seed")
        _mine(process, 1)
        with contextlib.suppress(ChainError):
            done = submitter.step()
    _mine(process, _DEPTH)
