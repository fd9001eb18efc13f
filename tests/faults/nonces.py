"""`nonce`: the chain's node drops transactions that it accepted, and nonces are skipped in the database."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

from millmark.ledger.errors import SubmitError
from millmark.ledger.index import Follower
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.submit import Submitter
from millmark.services.store import open_store
from tests.faults.chains import ChainProcess, running_chain
from tests.faults.ledger_check import Outcome, check_ledger
from tests.faults.workload import Site, build_events, found_site

__all__ = ["run_nonce"]

_EVENTS = 6
"""Events per round, each in a transaction of its own."""
_RESEND_S = 0.0
"""Every step sends again what is pending, so that resend intervals are counted in steps, whatever the load."""
_MOST_STEPS = 2
"""Resend intervals that a gap may last."""
_GAPS_EVERY = 5
"""In one round of this many, a nonce is skipped as well."""
_STUCK_STEPS = 100
_PATIENCE_S = 600.0
"""For what the chain does by itself, on a machine under any load."""


def run_nonce(folder: Path, count: int, seed: int) -> Outcome:
    """Drops at least `count` transactions. A nonce gap may not last longer than two resend intervals."""
    chance = random.Random(seed)  # noqa: S311 - a replay needs a seed, not secrecy
    drops: Counter[str] = Counter()
    lasted: list[int] = []
    rounds = -(-count * 2 // _EVENTS)
    events = build_events(rounds * _EVENTS)
    with (
        running_chain(folder, need_anvil=True) as process,
        open_store(f"sqlite:///{folder / 'node.sqlite'}") as store,
    ):
        site = found_site(folder, process.transport, process.profile, seed)
        chain = site.connect(process.transport)
        outbox = Outbox(store)
        submitter = Submitter(chain, outbox, site.signer, batch_size=1, receipt_grace_s=_PATIENCE_S, resend_s=_RESEND_S)
        for number in range(rounds):
            process.transport.request("evm_setAutomine", [False])
            if number % _GAPS_EVERY == 0 and number:
                _skip_nonce(store)
                drops["skipped nonce"] += 1
            sent = events[number * _EVENTS : (number + 1) * _EVENTS]
            submitter.submit([(event.key, site.record(event)) for event in sent])
            submitter.step()  # all are sent while nothing is mined, so that a dropped one leaves a gap
            drops["dropped"] += _drop(process, site, outbox, chance)
            lasted.append(_refill(process, submitter, outbox))
        process.transport.request("evm_setAutomine", [True])
        Follower(chain, store).follow()
        check = check_ledger(site, chain, store, folder, events, {event.key for event in events})
    lasted.sort()
    slow = sum(steps > _MOST_STEPS for steps in lasted)
    broken = (f"{slow} gaps lasted longer than {_MOST_STEPS} resend intervals",) if slow else ()
    figures = {"gap_p50_steps": lasted[len(lasted) // 2], "gap_max_steps": lasted[-1]}
    return Outcome(process.engine, drops, check, figures, broken)


def _skip_nonce(store: Store) -> None:
    with store.transaction() as connection:
        connection.exec_driver_sql("UPDATE outbox_nonces SET next_nonce = next_nonce + 1")


def _drop(process: ChainProcess, site: Site, outbox: Outbox, chance: random.Random) -> int:
    """Drops a random half of the pending transactions; returns their number."""
    pending = [each for each in outbox.open_transactions(site.signer.address) if each.hash is not None]
    dropped = chance.sample(pending, max(len(pending) // 2, 1)) if pending else []
    for transaction in dropped:
        process.transport.request("anvil_dropTransaction", ["0x" + (transaction.hash or b"").hex()])
    return len(dropped)


def _refill(process: ChainProcess, submitter: Submitter, outbox: Outbox) -> int:
    """Runs the submitter until no nonce gap is left; returns the steps that took. Then resumes mining and drains."""
    steps, key = 0, submitter.key
    last = max(transaction.nonce for transaction in outbox.open_transactions(key))
    while int(process.transport.request("eth_getTransactionCount", ["0x" + key.hex(), "pending"]), 16) <= last:
        if steps == _STUCK_STEPS:
            raise SubmitError("a gap was never filled", hint="report this, with the seed")
        submitter.step()
        steps += 1
    process.transport.request("evm_setAutomine", [True])
    process.transport.request("evm_mine", [])
    submitter.drain(_PATIENCE_S)
    return steps
