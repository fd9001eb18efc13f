"""`handover`: two companies hand over to each other, and the process of either is killed, at every step and at random.

Sender and receiver are processes of their own, forked from this one, each with its own database and a copy of the
chain: the victim ends by SIGKILL in the middle of its work and is started again. At the end, every hand-over that the
ledger demands must have been kept, once, with its name and its document.
"""

from __future__ import annotations

import functools
import json
import os
import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from millmark.ledger.claims import build_claims
from millmark.ledger.ids import SubjectKind
from millmark.ledger.index import Follower
from millmark.ledger.names import derive_identity
from millmark.ledger.records import Item, OfferCustody, ReceiveLot
from millmark.ledger.store import Book, Rows
from millmark.services.demo.consortium import Company, Consortium, found_consortium, hash_of
from millmark.services.directory.document import sign_statement
from millmark.services.directory.repository import DirectoryEntryRow
from millmark.services.documents.encryption import create_recipient_key
from millmark.services.gateway import GatewayParts, Limiter, Rates, build_policy, create_gateway
from millmark.services.handover.delivering import Deliveries, HandoverDispatcher, State
from millmark.services.handover.receiving import Receiver
from millmark.services.handover.repository import HandoverRepository
from millmark.services.serving.logs import build_logger
from millmark.services.serving.server import listen, serve
from millmark.services.store import open_store
from tests.faults.ledger_check import LedgerCheck, Outcome

NOTHING, PIECE = bytes(32), b"H87"
STEPS: dict[str, tuple[str, type, str, bool]] = {
    "before the queue is written": ("sender", HandoverRepository, "advance", False),
    "within the write of the queue": ("sender", HandoverRepository, "advance", True),
    "before it is sealed": ("sender", Deliveries, "_seal", False),
    "before the text is stored": ("sender", Deliveries, "_seal", True),
    "before it is sent": ("sender", Deliveries, "prepare", True),
    "before it is settled": ("sender", Deliveries, "settle", False),
    "after it is settled": ("sender", Deliveries, "settle", True),
    "before it is verified": ("receiver", Receiver, "receive", False),
    "before it is kept": ("receiver", Receiver, "_keep", False),
    "within the write, after the names": ("receiver", Book, "put_document", False),
    "within the write, after the documents": ("receiver", HandoverRepository, "keep", False),
    "within the write, at its end": ("receiver", HandoverRepository, "keep", True),
    "before it is answered": ("receiver", Receiver, "_keep", True),
}
"""The steps at which a process is killed: whose, the method, and whether after it."""
_RANDOM_EVERY = 4
"""One kill in this many is at a random time."""
_LATEST_KILL_S = 0.5
_DEADLINE_S = 60.0
_WAITS_S = (0.05, 0.1, 0.2)


@dataclass(slots=True)
class _Homes:
    """The two companies, and the lots that one offers to the other."""

    folder: Path
    consortium: Consortium
    port: int
    offers: dict[int, bytes] = field(default_factory=dict)
    """Lots by the record of their offer."""
    roots: dict[int, bytes] = field(default_factory=dict)
    """Claims roots of the lots, by the record of their offer."""

    @property
    def giver(self) -> Company:
        return self.consortium.makers[0]

    @property
    def taker(self) -> Company:
        return self.consortium.buyer

    def database(self, role: str) -> str:
        return f"sqlite:///{self.folder / role}.sqlite"


def run_handover(folder: Path, count: int, seed: int) -> Outcome:
    """Kills sender or receiver `count` times."""
    chance = random.Random(seed)  # noqa: S311 - a replay needs a seed, not secrecy
    kills, broken = Counter[str](), list[str]()
    # Open in this process alone: what is forked from it opens its own.
    with open_store(f"sqlite:///{folder / 'shared.sqlite'}") as shared:
        homes = _found(folder, found_consortium(shared))
        for number in range(count):
            _offer(homes, number)
            step = "" if number % _RANDOM_EVERY == _RANDOM_EVERY - 1 else list(STEPS)[number % len(STEPS)]
            victim = STEPS[step][0] if step else chance.choice(("sender", "receiver"))
            if _run_once(homes, victim, step, chance.uniform(0.0, _LATEST_KILL_S)):
                kills[step or f"{victim} at a random time"] += 1
            else:
                broken.append(f"run {number} did not deliver everything after a kill {step or 'at a random time'}")
        check, half_imported = _check(homes)
    return Outcome("embedded", kills, check, {"half_imported": half_imported}, tuple(broken))


def _found(folder: Path, consortium: Consortium) -> _Homes:
    """Databases, keys and directory of both companies."""
    with listen("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    homes = _Homes(folder, consortium, port)
    chain, taker = homes.consortium.chain, homes.taker
    key = create_recipient_key(folder / "recipient.json")
    statement = sign_statement(chain.chain_id, chain.ledger, key, 1, taker.signer)
    entry = DirectoryEntryRow(
        taker.number, taker.name, "", f"http://127.0.0.1:{port}", key, statement.issued_at, statement.signature
    )
    for role in ("sender", "receiver"):
        with open_store(homes.database(role)) as store, store.transaction() as connection:
            Rows(connection).insert([entry])
    return homes


def _offer(homes: _Homes, number: int) -> None:
    """Offers a new lot to the taker, and has both indexes follow."""
    consortium, giver = homes.consortium, homes.giver
    name = f"urn:example:lot-{number}"
    lot = derive_identity(consortium.chain, [giver.name_key], SubjectKind.LOT, giver.number, name)
    claims = build_claims({"passport": {"lot": name}})
    consortium.record(giver, [ReceiveLot(hash_of(lot), 1, PIECE, claims.root)])
    offer = OfferCustody((Item(lot.subject, NOTHING),), homes.taker.number, NOTHING)
    [sequence] = consortium.record(giver, [offer])
    homes.offers[sequence], homes.roots[sequence] = lot.subject, claims.root
    with open_store(homes.database("sender")) as store:
        with store.transaction() as connection:
            Book(connection).add_identity(lot)
            Book(connection).put_document(claims.root, json.dumps(claims.to_json()))
        Follower(consortium.chain, store).follow()
    with open_store(homes.database("receiver")) as store:
        Follower(consortium.chain, store).follow()


def _run_once(homes: _Homes, victim: str, step: str, at_s: float) -> bool:
    """Has both work until the victim is killed, starts it again, and waits until everything is delivered. Returns
    whether all of that happened."""
    peer = "receiver" if victim == "sender" else "sender"
    processes = {peer: _start(homes, peer), victim: _start(homes, victim, step)}
    try:
        if not step:
            time.sleep(at_s)
            os.kill(processes[victim], signal.SIGKILL)
        if not _ends_by_kill(processes.pop(victim)):
            return False
        processes[victim] = _start(homes, victim)
        return _wait(lambda: _is_settled(homes))
    finally:
        for process in processes.values():
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)


def _ends_by_kill(process: int) -> bool:
    status = 0

    def has_ended() -> bool:
        nonlocal status
        found, status = os.waitpid(process, os.WNOHANG)
        return found == process

    if not _wait(has_ended):
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        return False
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def _wait(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + _DEADLINE_S
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _is_settled(homes: _Homes) -> bool:
    # Not by a store: opening one compares the schema, and this is asked many times a second.
    with closing(sqlite3.connect(homes.folder / "sender.sqlite", timeout=30)) as connection:
        [[cursor]] = connection.execute("SELECT coalesce(max(sequence), 0) FROM handover_cursor")
        [[waiting]] = connection.execute("SELECT count(*) FROM handover_deliveries WHERE state = 'waiting'")
    return bool(cursor >= max(homes.offers) and not waiting)


def _start(homes: _Homes, role: str, step: str = "") -> int:
    """Forks a sender or receiver, which is killed at a step if one is given. Returns its process id."""
    process = os.fork()
    if process:
        return process
    try:
        log = os.open(homes.folder / f"{role}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        if step:
            _arm(*STEPS[step][1:])
        (_send if role == "sender" else _receive)(homes)
    finally:
        os._exit(1)  # nothing of the process from which it was forked may be closed or written here


def _arm(owner: type, name: str, after: bool) -> None:
    """Has the process kill itself at the first call of a method."""
    method = getattr(owner, name)

    @functools.wraps(method)
    def deadly(*given: Any, **named: Any) -> Any:
        if after:
            method(*given, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, deadly)


def _send(homes: _Homes) -> None:
    with open_store(homes.database("sender")) as store:
        deliveries = Deliveries(store, homes.consortium.chain, homes.giver.signer, waits_s=_WAITS_S)
        dispatcher = HandoverDispatcher(store, deliveries, build_logger(), interval_s=0.05, timeout_s=5.0)
        while True:
            time.sleep(dispatcher.step())


def _receive(homes: _Homes) -> None:
    with open_store(homes.database("receiver")) as store:
        key_file = homes.folder / "recipient.json"
        receiver = Receiver(store, homes.consortium.chain, homes.taker.number, key_file)
        policy = build_policy("required", port=homes.port)
        limiter = Limiter(Rates(1e6, 1e6))
        app = create_gateway(GatewayParts(store, policy, receiver=receiver, limiter=limiter))
        serve(app, "127.0.0.1", homes.port)


def _check(homes: _Homes) -> tuple[LedgerCheck, int]:
    """Compares what was kept with what the ledger demands. Also returns how many were kept in part."""
    with open_store(homes.database("sender")) as store, store.reading() as connection:
        handovers = HandoverRepository(connection)
        sent = Counter(row.sequence for row in handovers.all(State.DELIVERED, most=1 << 20))
    with open_store(homes.database("receiver")) as store, store.reading() as connection:
        kept = Counter(row.sequence for row in HandoverRepository(connection).all_kept(1 << 20))
        book = Book(connection)
        whole = {
            number
            for number, lot in homes.offers.items()
            if book.identity(lot) is not None and book.document(homes.roots[number]) is not None
        }
    half = len(kept.keys() - whole) + len(whole - kept.keys())
    lost = sum(number not in kept for number in homes.offers) + sum(number not in sent for number in homes.offers)
    doubled = sum(kept.values()) - len(kept)
    unasked = len(kept.keys() - homes.offers.keys())
    check = LedgerCheck(
        events=len(homes.offers),
        acknowledged=sum(sent.values()),
        failed=0,
        unknown=0,
        lost=lost,
        duplicate=doubled,
        phantom=unasked + half,
        misordered=0,
        replay_equal=_queue_equals_replay(homes, sent),
        heads_equal=True,
    )
    return check, half


def _queue_equals_replay(homes: _Homes, sent: Counter[int]) -> bool:
    """Whether the queue, derived anew from the ledger, demands exactly what was sent."""
    with open_store(f"sqlite:///{homes.folder / 'fresh.sqlite'}") as fresh:
        Follower(homes.consortium.chain, fresh).follow()
        deliveries = Deliveries(fresh, homes.consortium.chain, homes.giver.signer)
        while deliveries.collect():
            pass
        with fresh.reading() as connection:
            due = {row.sequence for row in HandoverRepository(connection).all(most=1 << 20)}
    return due == sent.keys()
