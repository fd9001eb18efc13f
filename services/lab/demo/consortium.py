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

        Raises SubmitError naming the first one that the contract refused.
        """
        ids: list[int] = []
        for group in self._groups(records):
            ids += company.submitter.submit([(f"demo-{next(self._keys)}", record) for record in group])
            company.submitter.drain()
        return self._collect(company, ids)

    def record_all(self, batches: Sequence[tuple[Company, Sequence[Record]]]) -> list[list[int]]:
        """Like `record` for several companies, side by side where they have gateways of their own."""
        if self.one_store:
            return [self.record(company, records) for company, records in batches]
        queued = [
            company.submitter.submit([(f"demo-{next(self._keys)}", record) for record in records])
            for company, records in batches
        ]
        for company, _ in batches:
            company.submitter.drain()
        return [self._collect(company, ids) for (company, _), ids in zip(batches, queued, strict=True)]

    def _groups(self, records: Sequence[Record]) -> list[list[Record]]:
        """What goes into one transaction: one kind, so that its gas can be attributed; everything where that takes a
        gateway's time each."""
        return [list(group) for _, group in itertools.groupby(records, type if self.one_store else lambda _: None)]

    def _collect(self, company: Company, ids: Sequence[int]) -> list[int]:
        results = [Outbox(company.store).record(number) for number in ids]
        for result in results:
            if result.state is not OutboxState.FINAL or result.sequence is None:
                raise SubmitError(f"{company.name}: {result.kind} is {result.state}: {result.error}")
            self.recorded[result.kind] += 1
        return [result.sequence for result in results if result.sequence is not None]

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
        company = consortium.companies[-1]
        consortium.record(company, [AcceptKey(number), SetNameKey(company.name_key.hash)])
    with consortium.store.transaction() as connection:
        Book(connection).set_names({company.number: company.name for company in consortium.companies})
