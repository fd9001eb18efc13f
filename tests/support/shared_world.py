"""A chain of lots across several companies, with keys for all of them, and the documents of one company.

ore (SUPPLIER) -> billet (OWNER) -> bolt (OWNER, then DESCENDANT)
       `-------> plate (OWNER, then SIBLING)
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from millmark.ledger.index import Follower
from millmark.ledger.records import Gate, TransformationKind
from millmark.ledger.store import Book, Registry, Rows, Store
from millmark.ledger.store.rows import KeyRow, ParticipantRow
from millmark.services.directory.document import KeyStatement, sign_statement
from millmark.services.documents import Documents, Draft, KeyRing, Recipients, new_version_id
from millmark.services.documents.views import Document, Mode
from tests.support.fake_ledger import FakeLedger
from tests.support.gateway_client import HOST, build_caller
from tests.support.sign_in import NOW_S, add_keys, open_session, signer_of

OWNER, SUPPLIER, DESCENDANT, SIBLING, NAMED, OTHER, OFFERED, SUSPENDED, REVOKED = range(1, 10)
EVERYBODY = (OWNER, SUPPLIER, DESCENDANT, SIBLING, NAMED, OTHER, OFFERED, SUSPENDED, REVOKED)
CONTENT = b"%PDF-1.7 canary-content " + bytes(range(256)) * 1200
"""Long enough for more than one piece."""
NAME = "canary-name.pdf"
BILLET = "urn:example:billet"


@dataclass
class SharedWorld:
    """The companies and their lots, and the document service of OWNER."""

    store: Store
    documents: Documents
    recipients: Recipients
    ring: KeyRing
    fake: FakeLedger = field(default_factory=FakeLedger)
    lots: dict[str, bytes] = field(default_factory=dict)
    order: bytes = b""
    private_keys: dict[int, X25519PrivateKey] = field(default_factory=dict)

    def statement(
        self, participant: int, public_key: bytes, issued_at: int = NOW_S, chain_id: int = 0, ledger: bytes = b""
    ) -> KeyStatement:
        """Signed by the participant, for the ledger of this world or for another one."""
        with self.store.reading() as connection:
            identity = Registry(connection).identity()
        assert identity is not None
        signer = signer_of(participant)
        return sign_statement(chain_id or identity.chain_id, ledger or identity.ledger, public_key, issued_at, signer)

    def publish(self, participant: int, issued_at: int = NOW_S) -> None:
        """Publishes a new recipient key of the participant."""
        key = X25519PrivateKey.generate()
        stated = self.statement(participant, key.public_key().public_bytes_raw(), issued_at)
        self.recipients.publish(participant, stated.public_key, issued_at, stated.signature, NOW_S)
        self.private_keys[participant] = key

    def add(self, mode: Mode, about: str | None = BILLET, content: bytes = CONTENT, name: str = NAME) -> Document:
        with Draft(new_version_id(), name, "application/pdf") as draft:
            for start in range(0, len(content), 100_000):
                draft.write(content[start : start + 100_000])
            return self.documents.add(draft, mode, about, NOW_S)

    def fetch(self, document: str, participant: int, viewer: int | None, version: int = 1) -> bytes:
        return b"".join(self.documents.fetch(document, version, participant, viewer).stream())

    def follow(self) -> None:
        self.fake.chain.mine()
        Follower(self.fake.chain, self.store).follow()


def build_shared_world(store: Store, folder: Path) -> SharedWorld:
    """Gives every participant a signing key and a published recipient key. Then one is suspended and one has its key
    revoked."""
    ring = KeyRing(folder / "document-keys.json")
    shared = SharedWorld(store, Documents(store, ring), Recipients(store), ring)
    _record(shared)
    shared.follow()
    with store.transaction() as connection:
        for identity in shared.fake.identities.values():
            Book(connection).add_identity(identity)
    add_keys(store, *EVERYBODY)
    for participant in EVERYBODY:
        shared.publish(participant)
    with store.transaction() as connection:
        rows = Rows(connection)
        suspended = rows.get(ParticipantRow, SUSPENDED)
        key = rows.get(KeyRow, signer_of(REVOKED).address)
        assert suspended is not None
        assert key is not None
        suspended.suspended, key.revoked_at = True, 1
        rows.update([suspended])
        rows.update([key])
    return shared


def _record(shared: SharedWorld) -> None:
    fake, lots = shared.fake, shared.lots
    for participant in EVERYBODY:
        fake.admit(participant)
        fake.accept_key(participant)
    shared.order = fake.place("screws", DESCENDANT, OTHER, Gate(OTHER, 1), operations=1)
    lots["ore"] = fake.receive("ore", SUPPLIER, 10)
    fake.offer(lots["ore"], OWNER)
    fake.take(lots["ore"])
    fake.chain.mine()
    (lots["billet"],) = fake.transform(TransformationKind.SPLIT, {lots["ore"]: 5}, {"billet": 5})
    (lots["plate"],) = fake.transform(TransformationKind.SPLIT, {lots["ore"]: 5}, {"plate": 5})
    (lots["bolt"],) = fake.transform(TransformationKind.SPLIT, {lots["billet"]: 1}, {"bolt": 1})
    for name, to in (("bolt", DESCENDANT), ("plate", SIBLING)):
        fake.offer(lots[name], to)
        fake.take(lots[name])
    fake.offer(lots["billet"], OFFERED)


class Partner:
    """Asks OWNER's gateway as one participant, signed in."""

    def __init__(self, shared: SharedWorld, participant: int, now_s: int = NOW_S) -> None:
        self._caller = build_caller(shared.store, OWNER, keys=shared.ring, clock=lambda: now_s)
        self._bearer = f"Bearer {open_session(shared.store, participant, now_s)}"

    def __call__(self, path: str, method: str = "GET", body: object = None, **headers: str) -> httpx.Response:
        headers.setdefault("Idempotency_Key", secrets.token_hex(8))
        return self._caller.ask(path, method, body, Host=HOST, Authorization=self._bearer, **headers)
