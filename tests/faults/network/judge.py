"""The judge of a run: follows the ledger afresh through a node that was never faulty, and compares what each company
was told, what its outbox and its index say, and what there is."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from millmark.ledger.chain import Chain, Transport
from millmark.ledger.errors import IndexHaltedError
from millmark.ledger.events.orders import RevisionProposed
from millmark.ledger.index import Follower, fetch_status
from millmark.ledger.records import Contract
from millmark.ledger.store import Rows, Store
from millmark.ledger.store.outbox_records import OutboxState
from millmark.ledger.store.rows import RecordRow
from millmark.services.store import open_store
from tests.faults.ledger_check import LedgerCheck, count_misordered, heads_equal
from tests.faults.network.company import OutboxRepository, event_of
from tests.faults.workload import Site


@dataclass(frozen=True, slots=True)
class CompanyAccount:
    """What a company says it did."""

    site: Site
    number: int
    acknowledged: Sequence[int]
    """Numbers of the events that its process acknowledged."""
    database: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """The comparison, and what it found besides."""

    check: LedgerCheck
    broken: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Made:
    """A record on the ledger."""

    root: bytes
    sequence: int


def judge(folder: Path, transport: Transport, accounts: Sequence[CompanyAccount]) -> Judgement:
    """Compares. `transport` reaches a node that was never faulty."""
    site = accounts[0].site
    chain = site.connect(transport)
    with open_store(f"sqlite:///{folder / 'fresh.sqlite'}") as fresh:
        Follower(chain, fresh).follow()
        made = _read(site, fresh)
        broken: list[str] = []
        equal = True
        for account in accounts:
            with open_store(account.database) as store:
                broken += _follow(account, chain, store)
                ours, theirs = fetch_status(store), fetch_status(fresh)
                equal = equal and ours is not None and theirs is not None and ours.digest == theirs.digest
                broken += _compare_outbox(account, store, made)
        heads = heads_equal(chain, fresh) and len(made) + site.records == chain.sequence(Contract.LEDGER)
    return Judgement(_count(accounts, made, equal, heads), tuple(broken))


def _follow(account: CompanyAccount, chain: Chain, store: Store) -> list[str]:
    """Completes the company's index; what halts it, as a line."""
    try:
        Follower(chain, store).follow()
    except IndexHaltedError as error:
        return [f"company {account.number}: its index halted: {error}"]
    return []


def _read(site: Site, store: Store) -> list[_Made]:
    """The events' records, in the order of the ledger."""
    with store.reading() as connection:
        rows = Rows(connection).find(RecordRow, contract=Contract.LEDGER.value)
    events = [(row.sequence, row.event()) for row in rows if row.subject in site.orders]
    return [_Made(one.terms.claims_root, at) for at, one in events if isinstance(one, RevisionProposed)]


def _count(accounts: Sequence[CompanyAccount], made: Sequence[_Made], equal: bool, heads: bool) -> LedgerCheck:
    told = {number: [event_of(number, at) for at in account.acknowledged] for number, account in enumerate(accounts)}
    known = {event.root: event for event in itertools.chain.from_iterable(told.values())}
    # What is stored, but not acknowledged, because the process was told to stop in between, is an event all the same.
    late = {
        event.root: event
        for account in accounts
        for event in [event_of(account.number, len(account.acknowledged) + more) for more in range(100)]
    }
    counts, sent = Counter(one.root for one in made), late | known
    unknown = [root for root in counts if root not in known and root in late]
    return LedgerCheck(
        events=len(known) + len(unknown),
        acknowledged=len(known),
        failed=0,
        unknown=len(unknown),
        lost=sum(root not in counts for root in known),
        duplicate=sum(count - 1 for count in counts.values()),
        phantom=sum(root not in sent for root in counts),
        misordered=count_misordered([sent[one.root] for one in made if one.root in sent]),
        replay_equal=equal,
        heads_equal=heads,
    )


def _compare_outbox(account: CompanyAccount, store: Store, made: Sequence[_Made]) -> list[str]:
    """What the outbox says otherwise than the ledger, and records that went out under a second nonce."""
    sequences: dict[bytes, set[int]] = {}
    for one in made:
        sequences.setdefault(one.root, set()).add(one.sequence)
    with store.reading() as connection:
        outbox = OutboxRepository(connection)
        found, twice = outbox.states(), outbox.count_sent_again()
    broken = []
    events = [event_of(account.number, number) for number in account.acknowledged]
    states = Counter(str(found[event.key][0]) if event.key in found else "absent" for event in events)
    unfinished = len(events) - states.pop(OutboxState.FINAL.value, 0)
    wrong = sum(
        found[event.key][1] not in sequences.get(event.root, ())
        for event in events
        if event.key in found and found[event.key][0] is OutboxState.FINAL
    )
    if unfinished:
        broken.append(f"company {account.number}: {unfinished} acknowledged records are not final: {dict(states)}")
    if wrong:
        broken.append(f"company {account.number}: {wrong} records are final under another sequence than the ledger's")
    if twice:
        broken.append(f"company {account.number}: {twice} records went out under a second nonce")
    return broken
