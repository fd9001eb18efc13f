"""Companies on one chain, each with a database, a recipient key and a book of its own, that hand over to each other."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path

from millmark.ledger.canonical import Json
from millmark.ledger.claims import build_claims
from millmark.ledger.evidence import WINDOW_ID, EvidenceEntry, LeafKind, build_window_commitment, build_window_entry
from millmark.ledger.ids import Identity, SubjectKind
from millmark.ledger.index import Follower
from millmark.ledger.names import derive_identity
from millmark.ledger.records import (
    AcceptAssignment,
    AcceptCustody,
    AcceptOrder,
    Anchor,
    ApproveModel,
    CommissionLot,
    DeclineCustody,
    Gate,
    IssueCertificate,
    Item,
    Note,
    NoteKind,
    OfferCustody,
    OpenStream,
    OrderTerms,
    PlaceOrder,
    ProposeAssignment,
    ReceiveLot,
    Record,
    RegisterMachine,
    RegisterModel,
    StartAssignment,
    Statement,
    Verdict,
)
from millmark.ledger.store import Book, Rows, Store
from millmark.quality.inference import pack_window
from millmark.services.demo.consortium import Company, Consortium, hash_of
from millmark.services.directory.document import sign_statement
from millmark.services.directory.repository import DirectoryEntryRow
from millmark.services.documents.encryption import create_recipient_key
from millmark.services.handover.delivering import Deliveries, State
from millmark.services.handover.receiving import Kept, Receiver
from millmark.services.handover.repository import DeliveryRow, HandoverRepository
from millmark.services.planning.repository import LeafRow, PlanningRepository
from tests.support.bundle_world import MODEL_DIGEST, NOTHING, PIECE, YEAR_S, BundleWorld, copy_founded_world
from tests.support.stores import new_store

__all__ = ["Apart", "Home", "found_apart"]


@dataclass
class Home:
    """One company's own database, and what it hands over and receives."""

    company: Company
    consortium: Consortium
    store: Store
    key_file: Path
    public_key: bytes
    clock_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)
    deliveries: Deliveries = field(init=False)
    receiver: Receiver = field(init=False)

    def __post_init__(self) -> None:
        chain = self.consortium.chain
        self.deliveries = Deliveries(self.store, chain, self.company.signer, lambda: self.clock_ms)
        self.receiver = Receiver(self.store, chain, self.company.number, self.key_file, lambda: self.clock_ms)

    def follow(self) -> None:
        Follower(self.consortium.chain, self.store).follow()

    def queue(self) -> dict[tuple[int, int], DeliveryRow]:
        with self.store.reading() as connection:
            return {(row.sequence, row.recipient): row for row in HandoverRepository(connection).all()}

    def kept(self) -> int:
        with self.store.reading() as connection:
            return len(HandoverRepository(connection).all_kept())

    def name_of(self, subject: bytes) -> str | None:
        with self.store.reading() as connection:
            found = Book(connection).identity(subject)
        return None if found is None else found.identifier

    def document(self, root: bytes) -> dict[str, Json]:
        """The values that are known of a document, by JSON pointer."""
        with self.store.reading() as connection:
            text = Book(connection).document(root)
        fields = [] if text is None else json.loads(text)["fields"]
        return {"/" + "/".join(map(str, one["path"])): one["value"] for one in fields if "value" in one}

    def seal(self, sequence: int, recipient: int) -> bytes:
        return self.deliveries.export(sequence, recipient)

    def seal_now(self, sequence: int, recipient: int) -> bytes:
        """As `seal`, of a record that is not in the queue yet."""
        while self.deliveries.collect():
            pass
        return self.seal(sequence, recipient)


@dataclass
class Apart:
    """The companies, and what they do. Names and documents are in the book of their author alone."""

    world: BundleWorld
    homes: dict[int, Home] = field(default_factory=dict)
    roots: dict[str, bytes] = field(default_factory=dict)
    records: dict[str, int] = field(default_factory=dict)
    """Sequences of what was recorded, by a word."""
    leaves: dict[bytes, str] = field(default_factory=dict)
    """Words of entries of calls, offers and plans, by leaf hash."""

    @property
    def consortium(self) -> Consortium:
        return self.world.consortium

    def home(self, company: Company) -> Home:
        return self.homes[company.number]

    def named(self, kind: SubjectKind, company: Company, name: str) -> Identity:
        chain = self.consortium.chain
        identity = derive_identity(chain, [company.name_key], kind, company.number, f"urn:example:{name}")
        with self.home(company).store.transaction() as connection:
            Book(connection).add_identity(identity)
        return identity

    def document(self, company: Company, word: str, document: Json) -> bytes:
        claims = build_claims(document)
        with self.home(company).store.transaction() as connection:
            Book(connection).put_document(claims.root, json.dumps(claims.to_json()))
        self.roots[word] = claims.root
        return claims.root

    def act(self, company: Company, word: str, record: Record) -> int:
        [self.records[word]] = self.consortium.record(company, [record])
        return self.records[word]

    def follow(self) -> None:
        for home in self.homes.values():
            home.follow()

    def close(self) -> None:
        for home in self.homes.values():
            home.store.close()
        self.consortium.store.close()

    def hand_over_all(self) -> list[Kept]:
        """Every home follows the chain, and delivers all that it owes, straight to the receivers."""
        kept: list[Kept] = []
        self.follow()
        for home in self.homes.values():
            while home.deliveries.collect():
                pass
        for home in self.homes.values():
            kept += self.deliver(home)
        return kept

    def deliver(self, home: Home) -> list[Kept]:
        kept = []
        for row in home.deliveries.due(1000):
            prepared = home.deliveries.prepare(row)
            if prepared is not None:
                kept.append(self.homes[row.recipient].receiver.import_file(prepared[0].text))
                home.deliveries.settle(prepared[0], State.DELIVERED)
        return kept

    def readable(self) -> dict[str, dict[str, set[str]]]:
        """What each company can read, by its first word: names of things, documents with their fields, measurements,
        and entries of calls, offers and plans with the calls' objectives."""
        found = {}
        for home in self.homes.values():
            with home.store.reading() as connection:
                book = Book(connection)
                things = {**self.world.orders, **self.world.lots}
                names = {word for word, subject in things.items() if book.identity(subject) is not None}
                measured = {word for word, number in self.records.items() if book.inference(number) is not None}
                entries = {self.leaves[row.leaf] for row in Rows(connection).scan(LeafRow)}
                entries |= {"objective" for row in PlanningRepository(connection).calls() if row.objective}
            fields = {f"{word}{pointer}" for word, root in self.roots.items() for pointer in home.document(root)}
            word = home.company.name.split()[0].lower()
            found[word] = {"names": names, "fields": fields, "measured": measured, "entries": entries}
        return found

    # What happens

    def equip(self) -> None:
        maker, inspector = self.world.maker, self.consortium.inspector
        for name, owner in (("press", maker), ("bench", inspector)):
            machine = self.named(SubjectKind.MACHINE, owner, name)
            root = self.document(owner, name, {"name": name, "equipment": "of steel"})
            self.world.machines[name] = self.act(owner, name, RegisterMachine(hash_of(machine), root))
            self.world.lots[name] = machine.subject
            stream = self.named(SubjectKind.STREAM, owner, f"{name}-log")
            self.act(owner, f"{name}-log", OpenStream(hash_of(stream), self.world.machines[name], NOTHING))
            self.world.streams[name] = stream.subject
        self._model()

    def _model(self) -> None:
        inspector = self.consortium.inspector
        card = self.document(inspector, "card", {"model": {"sha256": MODEL_DIGEST.hex()}, "accuracy": "0.99"})
        self.world.model = self.act(inspector, "model", RegisterModel(MODEL_DIGEST, card))
        self.act(self.consortium.auditor, "approval", ApproveModel(self.world.model, NOTHING))

    def place(self, name: str = "hip") -> bytes:
        buyer, coordinator = self.consortium.buyer, self.consortium.coordinator
        order = self.named(SubjectKind.ORDER, buyer, name)
        root = self.document(
            buyer,
            name,
            {
                "price": {"amount": 120, "currency": "EUR"},
                "specification": {"engraving": "für Mara"},
                "operations": [{"step": "press"}, {"step": "polish"}],
                "passport": {"productName": "hip"},
            },
        )
        gate = Gate(self.consortium.inspector.number, self.world.model)
        terms = OrderTerms(2, coordinator.number, (gate,), self.world.now() + YEAR_S, 1, PIECE, root)
        self.act(buyer, f"place {name}", PlaceOrder(hash_of(order), terms))
        self.world.orders[name] = order.subject
        return order.subject

    def assign(self, name: str = "hip") -> None:
        order, coordinator, maker = self.world.orders[name], self.consortium.coordinator, self.world.maker
        self.act(coordinator, f"accept {name}", AcceptOrder(order, NOTHING))
        root = self.document(coordinator, f"proposal {name}", {"window": "monday"})
        number = self.act(
            coordinator, f"propose {name}", ProposeAssignment(order, 0, self.world.machines["press"], root)
        )
        self.act(maker, f"take {name}", AcceptAssignment(order, 0, number, NOTHING))

    def make(self, name: str = "hip") -> bytes:
        order, maker = self.world.orders[name], self.world.maker
        number = self.records[f"propose {name}"]
        self.act(maker, f"start {name}", StartAssignment(order, 0, number, self.world.streams["press"], NOTHING))
        lot = self.named(SubjectKind.LOT, maker, f"{name}-1")
        root = self.document(maker, f"{name}-1", {"serial": f"{name}-1", "passport": {"weight": "210 g"}})
        self.act(maker, f"make {name}", CommissionLot(hash_of(lot), order, 0, 1, PIECE, root))
        self.world.lots[f"{name}-1"] = lot.subject
        return lot.subject

    def receive(self, name: str) -> bytes:
        """A lot of the maker, of no order."""
        lot = self.named(SubjectKind.LOT, self.world.maker, name)
        root = self.document(self.world.maker, name, {"supplier": "Heath Steel", "passport": {"heat": name}})
        self.act(self.world.maker, f"receive {name}", ReceiveLot(hash_of(lot), 10, PIECE, root))
        self.world.lots[name] = lot.subject
        return lot.subject

    def certify(self, name: str = "hip") -> int:
        """The inspector's pass of the order's lot, with its measurement."""
        inspector, lot, order = self.consortium.inspector, self.world.lots[f"{name}-1"], self.world.orders[name]
        window, salt = pack_window([3, *range(7, 22)]), b"\5" * 32
        entry = self._measure(inspector, lot, build_window_commitment(salt, window))
        inference = self.world.infer(lot, entry, Verdict.PASS, salt, window)
        root = self.document(inspector, f"certificate {name}", {"limits": {"noise": 9}, "passport": {"passed": True}})
        statement = Statement(
            items=(Item(lot, order),),
            model=self.world.model,
            verdict=Verdict.PASS,
            expires_at=self.world.now() + YEAR_S,
            inference_digest=inference.digest,
            claims_root=root,
            stream=self.world.streams["bench"],
            leaf_index=entry.index,
            leaf_hash=entry.leaf_hash,
        )
        number = self.act(inspector, f"certify {name}", IssueCertificate(statement))
        with self.home(inspector).store.transaction() as connection:
            Book(connection).put_inference(number, salt, window, inference.logits)
        return number

    def _measure(self, inspector: Company, lot: bytes, commitment: bytes) -> EvidenceEntry:
        stream = self.world.streams["bench"]
        store = self.home(inspector).store
        with store.transaction() as connection:
            log = Book(connection).evidence(stream)
            last = log.tree.size
            window = {**build_window_entry(lot, commitment, last, last, 0), "id": f"{WINDOW_ID}{last}/0"}  # as a node's
            entry = log.append(window, kind=LeafKind.WINDOW)
            Book(connection).add_evidence(stream, [entry])
        self.act(inspector, f"anchor {log.tree.size}", Anchor(stream, log.tree.size, log.tree.root()))
        return entry

    def offer(self, lot: bytes, giver: Company, taker: Company, word: str, order: bytes = NOTHING) -> int:
        root = self.document(giver, word, {"carrier's note": "fragile", "passport": {"packed": "well"}})
        return self.act(giver, word, OfferCustody((Item(lot, order),), taker.number, root))

    def accept(self, lot: bytes, taker: Company, offer: int, word: str, order: bytes = NOTHING) -> int:
        return self.act(taker, word, AcceptCustody((Item(lot, order),), offer, NOTHING))

    def note(self, by: Company, lot: bytes, word: str, kind: NoteKind, text: str) -> int:
        with self.home(by).store.reading() as connection:
            identity = Book(connection).identity(lot)
        ground = hash_of(identity) if identity is not None and identity.creator == by.number else NOTHING
        return self.act(by, word, Note((lot,), (ground,), int(kind), 0, self.document(by, word, {"text": text})))

    def decline(self, lot: bytes, taker: Company, offer: int, word: str) -> int:
        return self.act(taker, word, DeclineCustody(lot, offer, NOTHING))


def found_apart(folder: Path, gateways: dict[int, str] | None = None) -> Apart:
    """Eight companies. `gateways`: the addresses that the directory has; by default of all, at names that do not
    exist."""
    (folder / "shared").mkdir()
    apart, entries = Apart(copy_founded_world(new_store(folder / "shared"))[0]), []
    consortium = apart.consortium
    for company in consortium.companies:
        place = folder / str(company.number)
        place.mkdir()
        key = create_recipient_key(place / "recipient.json")
        apart.homes[company.number] = Home(company, consortium, new_store(place), place / "recipient.json", key)
        chain = consortium.chain
        statement = sign_statement(chain.chain_id, chain.ledger, key, 1_700_000_000, company.signer)
        gateway = (gateways or {}).get(company.number, f"https://gateway-{company.number}.invalid")
        entries.append(
            DirectoryEntryRow(company.number, company.name, "", gateway, key, statement.issued_at, statement.signature)
        )
    for home in apart.homes.values():
        with home.store.transaction() as connection:
            Rows(connection).insert(entries)
    return apart
