"""The companies of the demo, with their keys and names, on one chain; in one store, or each in a store of its own."""

from __future__ import annotations

import itertools
import json
import secrets
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ledger.canonical import Json
from ledger.chain import Chain, Deployment, EmbeddedChain, Node, Transport, deploy, find_profile
from ledger.claims import build_claims
from ledger.errors import SubmitError
from ledger.ids import Identity, SubjectKind, identifier_hash
from ledger.keys import LocalSigner
from ledger.names import NameKey, derive_identity
from ledger.records import AcceptKey, Admit, Record, Role, SetNameKey
from ledger.store import Book, Store
from ledger.store.outbox import Outbox, OutboxState
from ledger.submit import Submitter
from services.lab.demo.existing import ExistingChain

__all__ = ["COMPANIES", "VALIDATORS", "Company", "Consortium", "Desk", "found_consortium"]

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


class Desk(Protocol):
    """Where a company's records are queued, and how to wait for them."""

    def submit(self, records: Sequence[tuple[str, Record]]) -> list[int]: ...
    def begin(self) -> None: ...
    def await_mined(self, ids: Sequence[int]) -> None: ...
    def drain(self) -> None: ...


@dataclass(slots=True)
class Company:
    """A participant, with its key, its store and its submitter."""

    name: str
    number: int
    signer: LocalSigner
    submitter: Desk
    store: Store
    """Its outbox and its private book."""
    name_seed: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    @property
    def name_key(self) -> NameKey:
        return NameKey(self.name_seed)


@dataclass(slots=True)
class _Queued:
    """Records that were queued together."""

    company: Company
    ids: list[int] = field(default_factory=list)
    """In the company's outbox."""
    sequences: list[int] = field(default_factory=list)
    """On the chain, as soon as all are in a block."""


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
    _waiting: list[_Queued] = field(default_factory=list)
    _made: list[_Queued] = field(default_factory=list)
    """What is in blocks, perhaps not in final ones."""

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
        """Makes the given records for `company`, in order; returns their sequences on the chain.

        They are in a block then; `settle` awaits that it is final, where that takes more blocks. Raises SubmitError
        naming the first one that the contract refused.
        """
        return self.record_all([(company, records)])[0]

    def record_all(self, batches: Sequence[tuple[Company, Sequence[Record]]]) -> list[list[int]]:
        """Like `record` for several companies, side by side."""
        self._await_others([company for company, _ in batches])
        queued = [self._queue(company, records) for company, records in batches]
        companies = {one.company.number: one.company for one in self._waiting}
        self.await_mined()
        if self.chain.finality_depth and len(companies) > 1:
            # A block in the place of theirs may have them in another order, and so with other sequences.
            for company in companies.values():
                company.submitter.drain()
            for one in queued:
                one.sequences = self._read_sequences(one)
        return [one.sequences for one in queued]

    def queue(self, company: Company, records: Sequence[Record], *, after_others: bool = True) -> None:
        """Has `company` make records whose sequences nobody needs, without waiting for them.

        They go onto the ledger after all that `company` queued before, and after what others queued is in blocks unless
        `after_others` says that they need none of it.
        """
        if after_others:
            self._await_others([company])
        self._queue(company, records)

    def await_mined(self) -> None:
        """Returns when all that was queued is in blocks. Raises SubmitError naming what the contract refused."""
        waiting, self._waiting = self._waiting, []
        # All are sent before one is awaited, so that they come into the same block.
        for company in {one.company.number: one.company for one in waiting}.values():
            company.submitter.begin()
        for one in waiting:
            one.company.submitter.await_mined(one.ids)
            self._collect(one)
            self._made.append(one)

    def settle(self) -> None:
        """Returns when all records are final. Raises SubmitError if one has another sequence than was returned, as a
        reorganisation can give it."""
        self.await_mined()
        for company in {one.company.number: one.company for one in self._made}.values():
            company.submitter.drain()
        for one in self._made:
            found = Outbox(one.company.store).among(one.ids)
            if [found[number].sequence for number in one.ids] != one.sequences:
                raise SubmitError(
                    f"records of {one.company.name} moved in a reorganisation", hint="run the demonstration again"
                )
        self._made.clear()

    @property
    def _is_timed(self) -> bool:
        return self.chain.profile.timed_blocks

    def _await_others(self, companies: Sequence[Company]) -> None:
        """One key's records keep their order by themselves; those of others may be needed."""
        numbers = {company.number for company in companies}
        if len(numbers) > 1 or any(one.company.number not in numbers for one in self._waiting):
            self.await_mined()

    def _queue(self, company: Company, records: Sequence[Record]) -> _Queued:
        queued = _Queued(company)
        self._waiting.append(queued)
        # One kind in each transaction, so that its gas can be attributed; everything where a transaction takes a
        # block's or a gateway's time.
        alike = self.one_store and not self._is_timed
        for _, group in itertools.groupby(records, type if alike else lambda _: None):
            queued.ids += company.submitter.submit([(f"demo-{next(self._keys)}", record) for record in group])
            if alike:
                company.submitter.drain()
        return queued

    def _collect(self, queued: _Queued) -> None:
        queued.sequences = self._read_sequences(queued)
        outbox = Outbox(queued.company.store)
        self.recorded.update(outbox.record(number).kind for number in queued.ids)

    def _read_sequences(self, queued: _Queued) -> list[int]:
        """The sequences of records, once they are in blocks. Raises SubmitError naming what the contract refused."""
        done = (OutboxState.FINAL, OutboxState.MINED) if self._is_timed else (OutboxState.FINAL,)
        sequences = []
        for number in queued.ids:
            result = Outbox(queued.company.store).record(number)
            if result.state not in done or result.sequence is None:
                raise SubmitError(f"{queued.company.name}: {result.kind} is {result.state}: {result.error}")
            sequences.append(result.sequence)
        return sequences

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
    consortium.record(consortium.owner, admissions)
    # The registry numbers participants in the order of admission, from 1.
    for number, ((name, _), signer) in enumerate(zip(companies, signers, strict=True), start=1):
        submitter = Submitter(consortium.chain, consortium.outbox, signer)
        consortium.companies.append(Company(name, number, signer, submitter, consortium.store))
    consortium.record_all(
        [(one, [AcceptKey(one.number), SetNameKey(one.name_key.hash)]) for one in consortium.companies]
    )
    with consortium.store.transaction() as connection:
        Book(connection).set_names({company.number: company.name for company in consortium.companies})
