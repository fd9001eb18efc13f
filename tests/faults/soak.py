"""`soak`: a node under steady load, whose memory and number of open files must not grow. `rotate`: its keys are
replaced under load."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from millmark.ledger.chain import Chain, Transaction, call_data, first_fees, sign_transaction
from millmark.ledger.errors import SubmitError
from millmark.ledger.index import Follower
from millmark.ledger.keys import LocalSigner
from millmark.ledger.records import ALL_ROLES, AcceptKey, ProposeKey, Record, RevokeKey
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState
from millmark.ledger.submit import Submitter
from millmark.services.store import open_store
from tests.faults.chains import running_chain
from tests.faults.factory import Event as NodeEvent
from tests.faults.factory import Machine, NodeProcess, check_factory, connect, found_factory, running_node
from tests.faults.ledger_check import Outcome, check_ledger
from tests.faults.workload import Event, Site, build_events, build_signer, found_site

_RATE = 200
"""Events per second."""
_BATCH = 20
_WINDOW_EVERY_S = 10
"""Seconds between two inspected and certified parts."""
_WARM_UP = 1 / 2
"""Share of the total time during which caches, pools and the allocator's arenas may fill. At this rate, SQLite's page
caches, of 512 KiB a connection, fill for ten to fifteen minutes."""
_SAMPLE_S = 2.0
_MAX_MIB = 1.0
_TEN_MINUTES_S = 600.0
_PAGE_MIB = 4096 / 2**20

Sample = tuple[float, float, int]
"""Seconds since the start, resident memory in MiB, number of open files."""


def run_soak(folder: Path, count: int, seed: int) -> Outcome:
    """Runs for `count` seconds. `seed` only appears in the names of events."""
    with running_chain(folder) as process, open_store(f"sqlite:///{folder / 'index.sqlite'}") as index:
        factory = found_factory(folder, process, count // _WINDOW_EVERY_S + 1)
        machine, chain = Machine([], batch=_BATCH), connect(factory, process)
        windows = [event for event in factory.events() if "lot" in event]
        with running_node(factory) as node:
            samples = [] if node is None else _work(node, machine, windows, count, seed)
        check = check_factory(factory, chain, index, folder, machine)
    figures, broken = judge_growth(samples, count * _WARM_UP)
    return Outcome(process.engine, Counter({"seconds of work": count}), check, figures, broken)


def judge_growth(samples: Sequence[Sample], warm_up_s: float) -> tuple[dict[str, float], tuple[str, ...]]:
    """Figures, and what is broken: memory that grows after the warm-up, or more open files at every time of the last
    quarter than at some time of the quarter before it. Needs samples in both."""
    # Growth while caches fill is expected; a leak goes on growing.
    settled = [sample for sample in samples if sample[0] >= warm_up_s]
    slope = fit_slope([(at_s, memory) for at_s, memory, _ in settled]) * _TEN_MINUTES_S
    # Connections come and go with the requests of one moment. A file that is never closed stays under all of them.
    half = len(settled) // 2
    before, after = (min(files for _, _, files in part) for part in (settled[:half] or settled, settled[half:]))
    figures = {
        "memory_slope_mib_per_10_min": round(slope, 2),
        "memory_first_mib": round(settled[0][1], 1),
        "memory_last_mib": round(settled[-1][1], 1),
        "files_least_before": before,
        "files_least_after": after,
    }
    broken = [] if slope < _MAX_MIB else [f"memory grows by {slope:.1f} MiB in ten minutes"]
    if after > before:
        broken.append(f"at least {after} files are open in the last quarter, {before} in the quarter before it")
    return figures, tuple(broken)


def _work(node: NodeProcess, machine: Machine, windows: Sequence[NodeEvent], seconds: int, seed: int) -> list[Sample]:
    """Sends events for `seconds`."""
    samples: list[Sample] = []
    events: list[NodeEvent] = []
    machine.events = events
    begun, due = time.monotonic(), iter(windows)
    for turn in range(seconds * _RATE // _BATCH):
        time.sleep(max(begun + turn * _BATCH / _RATE - time.monotonic(), 0))
        if turn % (_WINDOW_EVERY_S * _RATE // _BATCH) == 0:
            events.append(next(due))
        start = turn * _BATCH
        events += [
            {"id": f"reading-{seed}-{number}", "data": {"spindle_rpm": 2000 + number % 97}}
            for number in range(start, start + _BATCH)
        ]
        while not machine.is_done and machine.send(node):
            pass
        at_s = time.monotonic() - begun
        if not samples or at_s - samples[-1][0] >= _SAMPLE_S:
            samples.append((at_s, *_measure(node.process.pid)))
    node.settle()
    return samples


def _measure(number: int) -> tuple[float, int]:
    """Resident memory in MiB and open files of a process (proc(5))."""
    resident = int(Path(f"/proc/{number}/statm").read_text().split()[1]) * _PAGE_MIB
    return resident, sum(1 for _ in Path(f"/proc/{number}/fd").iterdir())


def fit_slope(points: Sequence[tuple[float, float]]) -> float:
    """Slope of the least-squares line through the points; 0 for fewer than two points."""
    mean_x = sum(x for x, _ in points) / max(len(points), 1)
    mean_y = sum(y for _, y in points) / max(len(points), 1)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


_BUYER = 1
_MONEY_WEI = 10**22
_PATIENCE_S = 60.0
_PAUSE_S = 0.01
_MAX_AT_ONCE = 4
_EVENTS = 40
"""Maximum number of events per rotation."""
_TRIED = Event("a revoked key's", 0, 0)


def run_rotate(folder: Path, count: int, seed: int) -> Outcome:
    """Rotates the key `count` times."""
    injected: Counter[str] = Counter()
    with (
        running_chain(folder) as process,
        open_store(f"sqlite:///{folder / 'node.sqlite'}") as store,
    ):
        site = found_site(folder, process.transport, process.profile, seed)
        chain = site.connect(process.transport)
        with _Load(site, chain, store, random.Random(seed), count * _EVENTS) as load:  # noqa: S311 - for a replay
            for number in range(count):
                injected["records given to the next key"] += load.rotate(number, build_signer(seed, f"key/{number}"))
                injected["rotations"] += 1
        load.submitter.drain()
        Follower(chain, store).follow()
        sent = load.events[: load.queued]
        check = check_ledger(site, chain, store, folder, sent, {event.key for event in sent})
    figures = {"keys": count + 1, "refused_in_the_next_block": count - len(load.broken)}
    return Outcome(process.engine, injected, check, figures, tuple(load.broken))


class _Load:
    """Machines that report under the current key from a background thread. `submitter` belongs to that key."""

    def __init__(self, site: Site, chain: Chain, store: Store, chance: random.Random, most: int) -> None:
        self._site, self._chain, self._chance = site, chain, chance
        self._outbox = Outbox(store)
        self.events = build_events(most)
        self.queued = 0
        """Number of `events` that are acknowledged."""
        self.broken: list[str] = []
        self.submitter = self._submitter(site.signer)
        self._signer = site.signer
        self._next: Submitter | None = None
        self._failures: list[Exception] = []
        self._turn = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="millmark-load", daemon=True)

    def __enter__(self) -> _Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(_PATIENCE_S)

    def rotate(self, number: int, signer: LocalSigner) -> int:
        """Proposes the next key, has it accept and revoke the current one; returns the number of records reassigned.

        Machines report under the old key until then, so that queued records stay in order.
        """
        chain, old = self._chain, self._signer
        chain.node.fund(signer.address, _MONEY_WEI)
        following = self._submitter(signer)
        # From now on the load thread also runs the new key's submitter, which sends `accept` and `revoke` below.
        with self._turn:
            self._next = following
        self._record(self.submitter, f"propose-{number}", ProposeKey(signer.address, int(ALL_ROLES), admin=True))
        self._record(following, f"accept-{number}", AcceptKey(_BUYER))
        self._record(following, f"revoke-{number}", RevokeKey(old.address, 0))
        # No report may come between the revocation, the drain and the reassignment: it would be left with the old key.
        with self._turn:
            if not _is_refused(self._site, chain, old):
                self.broken.append(f"key {number} recorded after it was revoked")
            self.submitter.drain()
            moved = self._outbox.hand_over(old.address, signer.address)
            self.submitter, self._signer, self._next = following, signer, None
        return moved

    def _work(self) -> None:
        try:
            while not self._ended.is_set():
                with self._turn:
                    self._report()
                    self.submitter.step()
                    if self._next is not None:
                        self._next.step()
                time.sleep(_PAUSE_S)
        except Exception as error:  # raised again by `_record` in the main thread
            self._failures.append(error)

    def _report(self) -> None:
        upto = min(self.queued + self._chance.randint(0, _MAX_AT_ONCE), len(self.events))
        reported = self.events[self.queued : upto]
        self.submitter.submit([(event.key, self._site.record(event)) for event in reported])
        self.queued = upto

    def _record(self, submitter: Submitter, name: str, record: Record) -> None:
        """Records through the shared outbox and waits until it is final. Raises SubmitError."""
        with self._turn:
            [number] = submitter.submit([(name, record)])
        deadline = time.monotonic() + _PATIENCE_S
        while (found := self._outbox.record(number)).state is not OutboxState.FINAL:
            if self._failures:
                raise self._failures[0]
            if found.state is OutboxState.FAILED or time.monotonic() > deadline:
                raise SubmitError(f"{name} is {found.state}: {found.error}", hint="report this, with the seed")
            time.sleep(_PAUSE_S)

    def _submitter(self, signer: LocalSigner) -> Submitter:
        return Submitter(self._chain, self._outbox, signer, batch_size=3, receipt_grace_s=0.5, resend_s=0.0)


def _is_refused(site: Site, chain: Chain, key: LocalSigner) -> bool:
    """Whether the next block reverts a transaction of the key, sent without simulation, as a thief would send it."""
    node, data = chain.node, call_data(site.record(_TRIED))
    nonce, before = node.transaction_count(key.address), node.block_number()
    offer = first_fees(node, chain.profile).max_fee_wei
    signed = sign_transaction(Transaction(chain.chain_id, nonce, 1, offer, 1_000_000, chain.ledger, data), key)
    node.send(signed.raw)
    deadline = time.monotonic() + _PATIENCE_S
    while (receipt := node.receipt(signed.hash)) is None:
        if time.monotonic() > deadline:
            raise SubmitError("the revoked key's transaction is in no block", hint="report this, with the seed")
        time.sleep(_PAUSE_S)
    return receipt.block_number == before + 1 and not receipt.succeeded and receipt.logs == ()
