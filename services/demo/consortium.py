"""The companies of the demo, with their keys and names, on one chain; in one store, or each in a store of its own."""

from __future__ import annotations

import itertools
import json
import secrets
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from millmark.ledger.canonical import Json
from millmark.ledger.chain import Chain, Deployment, EmbeddedChain, Node, Transport, call_data, deploy, find_profile
from millmark.ledger.claims import build_claims
from millmark.ledger.errors import SubmitError
from millmark.ledger.ids import Identity, SubjectKind, identifier_hash
from millmark.ledger.keys import LocalSigner
from millmark.ledger.names import NameKey, derive_identity
from millmark.ledger.records import AcceptKey, Admit, Record, Role, SetNameKey
from millmark.ledger.store import Book, Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import UNMINED, OutboxState, QueuedRecord
from millmark.ledger.submit import Submitter
from millmark.services.demo.given import ExistingChain

NOTHING = bytes(32)
COMPANIES = (
    ("Nordwind Mobility", Role.BUYER),
    ("Kestrel Coordination", Role.COORDINATOR),
    ("Alder Forge", Role.MANUFACTURER),
    ("Birch Machining", Role.MANUFACTURER),
    ("Cedar Assembly", Role.MANUFACTURER),
    ("Umbra Inspection", Role.INSPECTOR),
    ("Vector Auditing", Role.AUDITOR),
    ("Swift Freight", Role.CARRIER | Role.COORDINATOR),
)
VALIDATORS = 4
"""How many keys seal the embedded chain's blocks: one for each of the first companies, all of them in one process."""


@dataclass(slots=True)
class Consortium:
    """All participants on one chain. `store` is the owner's, which the others may share."""

    chain: Chain
    store: Store
    owner: Company
    companies: list[Company] = field(default_factory=list)
    one_store: bool = True
    """Whether the companies share a store, and this process submits for all of them."""
    recorded: Counter[str] = field(default_factory=Counter)
    """Number of records by kind."""
    _keys: itertools.count[int] = field(default_factory=itertools.count)
    _waiting: list[Queued] = field(default_factory=list)
    _made: list[Queued] = field(default_factory=list)
    """What is in blocks, perhaps not in final ones, in the order in which it was queued."""
    _acts: list[Callable[[], None]] = field(default_factory=list)
    """What is done once all of it is final."""
    _held: list[tuple[Queued, Company, Sequence[Record]]] = field(default_factory=list)
    """What is needed, and what a company queues once that is final."""

    @property
    def outbox(self) -> Outbox:
        return Outbox(self.store)

    @property
    def buyer(self) -> Company:
        return self.companies[0]

    @property
    def coordinator(self) -> Company:
        return self.companies[1]

    @property
    def makers(self) -> list[Company]:
        """The three manufacturers: forge, machining, assembly."""
        return self.companies[2:5]

    @property
    def inspector(self) -> Company:
        return self.companies[5]

    @property
    def auditor(self) -> Company:
        return self.companies[6]

    @property
    def carrier(self) -> Company:
        return self.companies[7]

    def record(self, company: Company, records: Sequence[Record]) -> list[int]:
        """Makes the given records for `company`, in order; returns their sequences on the chain, which are final.

        Raises SubmitError naming the first one that the contract refused.
        """
        return self.record_all([(company, records)])[0]

    def record_all(
        self, batches: Sequence[tuple[Company, Sequence[Record]]], *, after_others: bool = True
    ) -> list[list[int]]:
        """Like `record` for several companies, side by side. `after_others`: as of `queue`."""
        if after_others:
            self._await_others([company for company, _ in batches])
        queued = [self._queue(company, records) for company, records in batches]
        self.finish(queued)
        return [one.sequences() for one in queued]

    def queue(self, company: Company, records: Sequence[Record], *, after_others: bool = True) -> Queued:
        """Has `company` make records, without waiting for them.

        They go onto the ledger after all that `company` queued before, and after what others queued is in blocks unless
        `after_others` says that they need none of it.
        """
        if after_others:
            self._await_others([company])
        return self._queue(company, records)

    def queue_naming(self, company: Company, named: Sequence[Queued], build: Callable[[], Sequence[Record]]) -> Queued:
        """Like `queue`, for records that name others by their sequences: `build` is called when all that was queued
        before is in blocks, and again if what is `named` moved in a reorganisation. Each can be made without the
        others."""
        self.await_mined()
        if self._may_move:
            self._await_again(named)
        return self._queue(company, build(), build)

    def queue_after(self, needed: Queued, company: Company, records: Sequence[Record]) -> None:
        """Queues records of `company` that must not come before those in `needed`: the contracts would accept them, and
        then refuse the needed ones for good. Where blocks may move, the next `release` queues them. Otherwise they are
        queued once the needed records are in a block, or at once if the same company queued those."""
        if self._may_move:
            self._held.append((needed, company, records))
        else:
            self.queue(company, records, after_others=needed.company is not company)

    def release(self) -> None:
        """Queues what `queue_after` holds, once what it needs is final. Raises SubmitError as `await_mined` does."""
        held, self._held = self._held, []
        if held:
            self.finish([needed for needed, _, _ in held])
        for _, company, records in held:
            self._queue(company, records)

    def send(self) -> None:
        """Sends what is queued, without waiting until it is in blocks; to be called before something takes long. What
        is queued later comes in other transactions. What a reorganisation took out of blocks is sent again, too."""
        if self._is_timed:
            self._begin([*self._made, *self._waiting] if self._may_move else self._waiting)
            self._repair(self._made)

    def await_mined(self) -> None:
        """Returns when all that was queued is in blocks. Raises SubmitError naming what the contract refused."""
        waiting, self._waiting = self._waiting, []
        # All are sent before one is awaited, so that they come into the same block.
        self._begin(waiting)
        self._made += waiting
        self._await_again(waiting)
        for one in waiting:
            one.sequences()
            self.recorded.update(record.kind for record in one.records())

    def finish(self, queued: Sequence[Queued]) -> None:
        """Returns when all that was queued is in blocks, and these are in final ones. Raises SubmitError as
        `await_mined` does."""
        self.await_mined()
        if self._may_move:
            self._finish(queued)

    def when_final(self, queued: Queued, act: Callable[[list[int]], None]) -> None:
        """Calls `act` with the sequences of the queued records once these are final: at once where blocks do not move,
        otherwise when everything queued so far is `settle`d."""
        if self._may_move:
            self._acts.append(lambda: act(queued.sequences()))
        else:
            self.await_mined()
            act(queued.sequences())

    def settle(self) -> None:
        """Returns when all records are final, and all that waited for it is done. Raises SubmitError naming what the
        contract refused."""
        self.release()
        self.await_mined()
        self._finish(self._made)
        if self._may_move:
            for one in self._made:
                one.verify_names()
        self._made.clear()
        acts, self._acts = self._acts, []
        for act in acts:
            act()

    def latest_time(self, queued: Sequence[Queued]) -> int:
        """The time of the latest block that has one of these records, in seconds since 1970."""
        numbers = set()
        for one in queued:
            outbox = Outbox(one.company.store)
            numbers |= {sent.block_number for number in one.ids if (sent := outbox.latest_transaction(number))}
        return max(self.chain.header(number).timestamp for number in numbers if number is not None)

    @property
    def _is_timed(self) -> bool:
        return self.chain.profile.timed_blocks

    @property
    def _may_move(self) -> bool:
        """Whether another block may take the place of one, with its records in another order."""
        return self.chain.finality_depth > 0

    def _await_others(self, companies: Sequence[Company]) -> None:
        """One key's records keep their order by themselves; those of others may be needed."""
        numbers = {company.number for company in companies}
        if len(numbers) > 1 or any(one.company.number not in numbers for one in self._waiting):
            self.await_mined()

    def _queue(
        self, company: Company, records: Sequence[Record], build: Callable[[], Sequence[Record]] | None = None
    ) -> Queued:
        queued = Queued(company, [], build)
        self._waiting.append(queued)
        # One kind in each transaction, so that its gas can be attributed; everything where a transaction takes a
        # block's or a gateway's time.
        alike = self.one_store and not self._is_timed
        for _, group in itertools.groupby(records, type if alike else lambda _: None):
            queued.ids += company.submitter.submit([(self._next_key(), record) for record in group])
            if alike:
                company.submitter.drain()
        return queued

    def _next_key(self) -> str:
        return f"demo-{next(self._keys)}"

    def _begin(self, queued: Sequence[Queued]) -> None:
        for company in _companies_of(queued):
            company.submitter.begin()

    def _await_again(self, queued: Sequence[Queued]) -> None:
        """Returns when these are in blocks."""
        left = queued
        while left:
            for one in left:
                one.company.submitter.await_mined(one.ids)
            # While one was awaited, another one may have come out of its block.
            left = [one for one in queued if self._may_move and one.is_waiting()]
        self._repair(queued)

    def _finish(self, queued: Sequence[Queued]) -> None:
        """Returns when these are final."""
        for one in queued:
            one.company.submitter.await_final(one.ids)
        self._repair(queued)

    def _repair(self, queued: Sequence[Queued]) -> None:
        """Makes again what a reorganisation had refused, if that is so for one of these.

        A record that needs another one may come into a block before it, and be refused for good by the time when that
        one is back. So all is made again that was refused, in its order, each when all before it is final. Raises
        SubmitError if something is refused then.
        """
        if not self._may_move or not any(one.has_failed() for one in queued):
            return
        for company in _companies_of(self._made):
            company.submitter.drain()
        for one in self._made:
            if one.has_failed():
                one.queue_again(self._next_key)
                one.company.submitter.drain()
                one.sequences()

    def gas_by_kind(self) -> dict[str, tuple[int, int]]:
        """(number of records, gas) by kind, of the transactions with records of one kind only."""
        found: dict[str, tuple[int, int]] = {}
        for store in {id(one.store): one.store for one in (self.owner, *self.companies)}.values():
            for kind, (records, gas) in Outbox(store).gas_by_kind().items():
                before = found.get(kind, (0, 0))
                found[kind] = (before[0] + records, before[1] + gas)
        return found

    def name(self, kind: SubjectKind, company: Company, identifier: str) -> Identity:
        """Creates a subject of `company` and stores its identity in the book."""
        identity = derive_identity(self.chain, [company.name_key], kind, company.number, identifier)
        with company.store.transaction() as connection:
            Book(connection).add_identity(identity)
        return identity

    def document(self, company: Company, document: Json) -> bytes:
        """Stores a claims document with its salts in the company's book; returns its claims root."""
        claims = build_claims(document)
        with company.store.transaction() as connection:
            Book(connection).put_document(claims.root, json.dumps(claims.to_json()))
        return claims.root


def _companies_of(queued: Sequence[Queued]) -> Collection[Company]:
    """Each once."""
    return {one.company.number: one.company for one in queued}.values()


def hash_of(identity: Identity) -> bytes:
    """The identifier hash that records carry."""
    return identifier_hash(identity.salt, identity.identifier)


def found_consortium(
    store: Store,
    transport: Transport | None = None,
    companies: Sequence[tuple[str, Role]] = COMPANIES,
    existing: ExistingChain | None = None,
) -> Consortium:
    """Deploys the contracts and admits the companies, on an embedded chain unless another one is given: by its
    transport if it is for development, else as an `existing` one."""
    outbox = Outbox(store)
    owner, signers = LocalSigner.generate(), [LocalSigner.generate() for _ in companies]
    if existing is None:
        node, profile = Node(transport or EmbeddedChain()), find_profile("embedded")
        node.fund(owner.address)
    else:
        node, profile = existing.node(), existing.profile
        existing.endow([owner.address, *(one.address for one in signers)], deploys=True)
    deployment: Deployment = deploy(node, profile, owner)
    chain = Chain(node, profile, deployment)
    operator = Company("consortium operator", 0, owner, Submitter(chain, outbox, owner), store)
    consortium = Consortium(chain, store, operator)
    _admit(consortium, companies, signers)
    return consortium


def _admit(consortium: Consortium, companies: Sequence[tuple[str, Role]], signers: Sequence[LocalSigner]) -> None:
    admissions = []
    for (name, role), signer in zip(companies, signers, strict=True):
        consortium.chain.fund(signer.address)
        root = consortium.document(consortium.owner, {"legal_name": name})
        admissions.append(Admit(int(role), signer.address, root))
    consortium.queue(consortium.owner, admissions)
    consortium.await_mined()
    # The registry numbers participants in the order of admission, from 1: the order of one key's nonces, in any block.
    for number, ((name, _), signer) in enumerate(zip(companies, signers, strict=True), start=1):
        submitter = Submitter(consortium.chain, consortium.outbox, signer)
        consortium.companies.append(Company(name, number, signer, submitter, consortium.store))
    for one in consortium.companies:
        consortium.queue(one, [AcceptKey(one.number), SetNameKey(one.name_key.hash)], after_others=False)
    if not consortium.chain.profile.timed_blocks:  # else they share a block with what the companies record first
        consortium.await_mined()
    with consortium.store.transaction() as connection:
        Book(connection).set_names({company.number: company.name for company in consortium.companies})


class RecordQueue(Protocol):
    """Where a company's records are queued, and how to wait for them."""

    def submit(self, records: Sequence[tuple[str, Record]]) -> list[int]: ...
    def begin(self) -> None: ...
    def await_mined(self, ids: Sequence[int]) -> None: ...
    def await_final(self, ids: Sequence[int]) -> None: ...
    def drain(self) -> None: ...


@dataclass(slots=True)
class Company:
    """A participant, with its key, its store and its submitter."""

    name: str
    number: int
    signer: LocalSigner
    submitter: RecordQueue
    store: Store
    """Its outbox and its private book."""
    name_seed: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    @property
    def name_key(self) -> NameKey:
        return NameKey(self.name_seed)


_AT_ONCE = 500
"""Records in one question to the outbox."""
_WAITING = (OutboxState.QUEUED, *UNMINED)
_DONE = (OutboxState.MINED, OutboxState.FINAL)


@dataclass(slots=True, eq=False)
class Queued:
    """Records of one company, in the order in which they were queued."""

    company: Company
    ids: list[int]
    """In the company's outbox."""
    _build: Callable[[], Sequence[Record]] | None = None
    """Builds records that name others, from what these are now; None if they name none."""

    def records(self) -> list[QueuedRecord]:
        """The records in their present state in the outbox."""
        outbox, found = Outbox(self.company.store), dict[int, QueuedRecord]()
        for start in range(0, len(self.ids), _AT_ONCE):
            found |= outbox.among(self.ids[start : start + _AT_ONCE])
        return [found[number] for number in self.ids]

    def sequences(self) -> list[int]:
        """Those that the ledger gave them, final if their blocks are. Raises SubmitError naming the first record that
        is in no block."""
        sequences = []
        for one in self.records():
            if one.state not in _DONE or one.sequence is None:
                raise SubmitError(f"{self.company.name}: {one.kind} is {one.state}: {one.error}")
            sequences.append(one.sequence)
        return sequences

    def is_waiting(self) -> bool:
        """Whether one of them is in no block, and may still come into one."""
        return any(one.state in _WAITING for one in self.records())

    def has_failed(self) -> bool:
        """Whether the ledger refused one of them."""
        return any(one.state is OutboxState.FAILED for one in self.records())

    def queue_again(self, next_key: Callable[[], str]) -> None:
        """Queue those again that were refused. Where one names another record by a sequence that this one does not have
        any more, it is cancelled, and one with the right sequence takes its place."""
        outbox, failed = Outbox(self.company.store), self._failed()
        same = [one.idempotency_key for _, one, record in failed if record is None or call_data(record) == one.payload]
        outbox.resume(same)
        for place, one, record in failed:
            if record is not None and one.idempotency_key not in same:
                outbox.cancel([one.idempotency_key])
                [self.ids[place]] = self.company.submitter.submit([(next_key(), record)])

    def _failed(self) -> list[tuple[int, QueuedRecord, Record | None]]:
        """Place, what was refused, and what it would be now, where it names others."""
        found = self.records()
        built: Sequence[Record | None] = self._build() if self._build else [None] * len(found)
        pairs = enumerate(zip(found, built, strict=True))
        return [(place, one, record) for place, (one, record) in pairs if one.state is OutboxState.FAILED]

    def verify_names(self) -> None:
        """Raises SubmitError if one names another record than it should. All are in final blocks, and what they name
        is."""
        if self._build is None:
            return
        for one, record in zip(self.records(), self._build(), strict=True):
            if one.payload != call_data(record):
                raise SubmitError(f"{self.company.name}: {one.kind} {one.sequence} names another record than it should")
