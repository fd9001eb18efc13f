"""A dictionary attack on all hashes that a ledger publishes.

The attacker knows all formats, and a catalogue that contains every value behind this ledger's hashes among similar
ones: consecutive serial numbers, engravings, verdicts, measured windows. Only the salts are unknown. Guesses omit the
salts or replace them with zeros. A hit is a published hash, of any kind, that equals the hash of a guess.

A control shows that finding no hits is meaningful: the same guesses are compared with the hashes that the ledger would
have published without salts, computed by the library with zeros in their place. All of those must be hit.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path

from millmark.ledger.bundle import Bundle, WithheldRecord, parse_bundle
from millmark.ledger.canonical import Json, canonical_json, keccak256
from millmark.ledger.claims import build_claims, claims_root, parse_claims
from millmark.ledger.events import Event
from millmark.ledger.events.certificates import CertificateIssued, StreamAnchored
from millmark.ledger.events.lots import LotsTransformed
from millmark.ledger.evidence import EVIDENCE_TAG, EvidenceEntry, EvidenceLog, LeafKind
from millmark.ledger.ids import Identity, SubjectKind
from millmark.ledger.index import Follower
from millmark.ledger.merkle import Tree, leaf_hash
from millmark.ledger.products import build_order_document
from millmark.ledger.provenance import Disclosing, build_bundle
from millmark.ledger.records import Names
from millmark.ledger.store import Book, Rows, Store
from millmark.ledger.store.rows import AnchorRow, CertificateRow, DocumentRow, IdentityRow, RecordHistoryRow, RecordRow
from millmark.quality import Inference
from millmark.quality.inference import INPUT_TAG, VALUE_BYTES, ZERO
from millmark.services.demo.consortium import found_consortium
from millmark.services.demo.delivery import deliver_parts, inspect_parts
from millmark.services.demo.given import choose_options
from millmark.services.demo.plant import build_plant
from millmark.services.demo.production import Line, make_parts, place_orders
from millmark.services.inspections.statements import InspectedEntry, to_model_verdict
from millmark.services.products import Catalogue
from millmark.services.store import open_store

ORDERS = 6
_PATHS_TAG, _FIELD_TAG = b"millmark.claims-paths.v1\0", b"millmark.claims-field.v1\0"
_KINDS = (SubjectKind.ORDER, SubjectKind.LOT, SubjectKind.STREAM, SubjectKind.MACHINE)
_NO_SALT = (b"", ZERO)
"""Values that guesses use in place of the salt."""


@dataclass(frozen=True, slots=True)
class AttackResult:
    """Result for one class of hashes: numbers of hashes and of hits."""

    name: str
    published: int
    hits: int
    control: int
    """Number of hashes in the unsalted control."""
    control_hits: int

    def to_json(self) -> dict[str, object]:
        return {
            "published": self.published,
            "hits": self.hits,
            "control": self.control,
            "control_hits": self.control_hits,
        }


def measure_dictionary(guesses: int, orders: int = ORDERS) -> tuple[list[AttackResult], int]:
    """Attacks a ledger with a few orders and the bundle of a delivered part; returns results and number of guesses."""
    with (
        tempfile.TemporaryDirectory(prefix="millmark-bench-") as folder,
        open_store(f"sqlite:///{Path(folder) / 'ledger.db'}") as store,
    ):
        line = _produce(store, orders)
        secrets = collect_secrets(line)
        published = collect_published(line, [line.jobs[0].lot], secrets)
    return attack(published, secrets, guesses)


def attack(published: dict[str, set[bytes]], secrets: Secrets, guesses: int) -> tuple[list[AttackResult], int]:
    """Tries guesses, the true values first; returns results and the number of guesses.

    All true values are tried, even if `guesses` is lower than their number.
    """
    control = build_control(secrets)
    hits: set[bytes] = set()
    found: set[bytes] = set()
    everything, twin = set().union(*published.values()), set().union(*control.values())
    # All true values are always tried: otherwise the control could not be found completely.
    tried, known = 0, sum(1 for _ in _guess_known(secrets))
    for digest in itertools.islice(guess(secrets), max(guesses, known)):
        tried += 1
        if digest in everything:
            hits.add(digest)
        if digest in twin:
            found.add(digest)
    return [
        AttackResult(
            name, len(published[name]), len(hits & published[name]), len(control[name]), len(found & control[name])
        )
        for name in CLASSES
    ], tried


def build_control(secrets: Secrets) -> dict[str, set[bytes]]:
    """The hashes that would be published for the same secrets with zeros as salts, by the library's own functions."""
    control: dict[str, set[bytes]] = {name: set() for name in CLASSES}
    for kind, creator, identifier in secrets.identities:
        control["names"].add(Identity(kind, creator, identifier, ZERO).subject)
    for document in secrets.documents:
        claims = build_claims(document, salt=lambda: ZERO)
        control["claims"].add(claims.root)
        control["bundle"] |= {field.leaf_hash(path) for path, field in claims.fields if not isinstance(field, bytes)}
    for place, entries in enumerate(secrets.streams):
        log = EvidenceLog()
        control["evidence"] |= {log.append(entry.entry, ZERO, entry.kind).leaf_hash for entry in entries}
        control["evidence"] |= {log.tree.root(size) for at, size in secrets.anchored if at == place}
    for inference in secrets.inferences:
        unsalted = replace(inference, salt=ZERO)
        control["inputs"].add(unsalted.input_commitment)
        control["inferences"].add(unsalted.digest)
    return control


def guess(secrets: Secrets) -> Iterator[bytes]:
    """Yields hashes of guesses endlessly: first those of all true values, then those of similar values, all kinds in
    turn.
    """
    yield from _guess_known(secrets)
    kinds = itertools.cycle((_more_names(), _more_documents(), _more_entries(), _more_inferences(secrets)))
    for kind in kinds:  # in turn, so that any number of guesses covers all kinds
        yield from itertools.islice(kind, 64)


def _guess_known(secrets: Secrets) -> Iterator[bytes]:
    for identifier in sorted({identifier for _, _, identifier in secrets.identities}):
        yield from _name(identifier)
    for document in secrets.documents:
        yield from _claims(document)
    for place, entries in enumerate(secrets.streams):
        yield from _stream(entries, [size for at, size in secrets.anchored if at == place])
    for inference in secrets.inferences:
        yield from _inference(inference)


def _name(identifier: str, creators: Iterable[int] = range(1, 9)) -> Iterator[bytes]:
    for salt in _NO_SALT:
        hashed = hashlib.sha256(salt + identifier.encode()).digest()
        yield hashed
        for kind, creator in itertools.product(_KINDS, creators):
            yield keccak256(int(kind).to_bytes(32, "big") + creator.to_bytes(32, "big") + hashed)


def _claims(document: Json) -> Iterator[bytes]:
    """Claims roots, and the hashes of single fields, which a bundle contains for withheld fields."""
    fields = build_claims(document, salt=lambda: ZERO).fields
    paths: list[Json] = [list(path) for path, _ in fields]
    first = leaf_hash(_PATHS_TAG + canonical_json(paths))
    for salt in _NO_SALT:
        leaves = [
            leaf_hash(_FIELD_TAG + salt + canonical_json([path, field.value]))
            for path, (_, field) in zip(paths, fields, strict=True)
            if not isinstance(field, bytes)
        ]
        yield from leaves
        yield claims_root(len(leaves) + 1, Tree([first, *leaves]).root())


def _stream(entries: list[EvidenceEntry], sizes: Iterable[int]) -> Iterator[bytes]:
    for salt in _NO_SALT:
        leaves = [leaf_hash(_leaf_data(entry, salt)) for entry in entries]
        yield from leaves
        tree = Tree(leaves)
        for size in sizes:
            yield tree.root(size)


def _leaf_data(entry: EvidenceEntry, salt: bytes) -> bytes:
    # Not `build_leaf_data`, which refuses salts of other lengths.
    text = canonical_json(entry.entry)
    if entry.kind is not LeafKind.WINDOW or not isinstance(entry.entry, dict):
        return EVIDENCE_TAG + bytes([entry.kind]) + salt + text
    lot, commitment = (bytes.fromhex(str(entry.entry[name])[2:]) for name in ("lot", "commitment"))
    return EVIDENCE_TAG + bytes([entry.kind]) + lot + commitment + hashlib.sha256(salt + text).digest()


def _inference(inference: Inference) -> Iterator[bytes]:
    for salt in _NO_SALT:
        width = (len(inference.window) // VALUE_BYTES).to_bytes(2, "big")
        yield hashlib.sha256(INPUT_TAG + salt + width + inference.window).digest()
    yield replace(inference, salt=ZERO).digest


def _more_names() -> Iterator[bytes]:
    """Consecutive serial and batch numbers of every company."""
    for number in itertools.count():
        for form in (
            "01/09506000013459/21/A{:04}",
            "01/09506000013459/21/F{:04}",
            "01/09506000001012/10/HEAT{}",
            "253/9506000000777{:04}",
        ):
            yield from _name("https://id.gs1.org/" + form.format(number))


def _more_documents() -> Iterator[bytes]:
    """Orders of the shipped product, in as many configurations, and certificates."""
    product = Catalogue().find("crankshaft")
    for number in itertools.count():
        yield from _claims(build_order_document(choose_options(product, number)))
        yield from _claims({"inspection": "acoustic, end of line", "part": number})


def _more_entries() -> Iterator[bytes]:
    for number in itertools.count():
        entry: Json = {"machine": f"FORGE-{number % 4}", "kind": "press force", "part": number // 4, "unit": "N"}
        yield from _stream([EvidenceEntry(0, ZERO, entry, ZERO)], [1])


def _more_inferences(secrets: Secrets) -> Iterator[bytes]:
    """Inferences on windows that differ slightly from the true ones, with the true contexts."""
    for change in itertools.count(1):
        for inference in secrets.inferences:
            number = int.from_bytes(inference.window, "big") + change
            changed = number.to_bytes(len(inference.window) + 1, "big")[-len(inference.window) :]
            yield from _inference(replace(inference, window=changed))


def _draw_windows(count: int, width: int) -> list[list[int]]:
    """Windows of low-entropy values, as cheap sensors produce them."""
    return [[(place * (step + 1) % 97 - 48) * 50_000 for place in range(width)] for step in range(count)]


def _produce(store: Store, orders: int) -> Line:
    consortium = found_consortium(store)
    model = (resources.files("millmark.quality") / "models" / "forda.bin").read_bytes()
    card = (resources.files("millmark.quality") / "models" / "forda.json").read_text()
    now = int(time.time())
    line = place_orders(consortium, build_plant(consortium, model, card), orders, now)
    make_parts(line)
    width = line.plant.inspector.model.width
    inspect_parts(line, line.jobs, _draw_windows(orders, width), now)
    deliver_parts(line)
    Follower(consortium.chain, store).follow()
    return line


CLASSES = ("names", "claims", "evidence", "inferences", "inputs", "bundle")
_IN_CLEAR = ("Participant", "Key", "Roles", "Model")
"""Prefixes of the registry's events whose subject is not secret: a number, or derived from a model's digest."""
_SHOWN = Disclosing(fields=(("passport",),))
"""Discloses one field of the orders' documents, so that the bundle holds hashes of all the others."""


@dataclass(slots=True)
class Secrets:
    """The values behind the hashes. The attacker knows all of them, but no salts."""

    identities: list[tuple[SubjectKind, int, str]] = field(default_factory=list)
    """Kind, creator and identifier of each subject."""
    documents: list[Json] = field(default_factory=list)
    streams: list[list[EvidenceEntry]] = field(default_factory=list)
    """The entries of each stream."""
    anchored: list[tuple[int, int]] = field(default_factory=list)
    """Anchors, each as an index into `streams` and a size."""
    inferences: list[Inference] = field(default_factory=list)


def collect_published(line: Line, lots: list[bytes], secrets: Secrets) -> dict[str, set[bytes]]:
    """The published hashes by class. `lots` are the parts of the bundle."""
    found: dict[str, set[bytes]] = {name: set() for name in CLASSES}
    store = line.consortium.store
    with store.reading() as connection:
        for row in Rows(connection).scan(RecordRow):
            if not row.kind.startswith(_IN_CLEAR):
                found["names"].add(row.subject)
            for name, value in _hashes(row.event()):
                found[name].add(value)
        found["names"] |= {row.subject for row in Rows(connection).scan(RecordHistoryRow)}
    found["inputs"] = {inference.input_commitment for inference in secrets.inferences}
    found["bundle"] = set(_read_bundle(parse_bundle(build_bundle(store, line.consortium.chain, lots, _SHOWN))))
    # Zeros mean "none" in several fields, and hide nothing.
    for values in found.values():
        values.discard(bytes(32))
    return found


def collect_secrets(line: Line) -> Secrets:
    """The secrets of the whole consortium, whose companies share one private book in the demo."""
    secrets, streams = Secrets(), {machine.stream: place for place, machine in enumerate(line.plant.machines)}
    secrets.streams = [machine.log.entries for machine in line.plant.machines]
    with line.consortium.store.reading() as connection:
        rows, book = Rows(connection), Book(connection)
        secrets.identities = [(SubjectKind(row.kind), row.creator, row.identifier) for row in rows.scan(IdentityRow)]
        secrets.documents = [parse_claims(json.loads(row.document)).document for row in rows.scan(DocumentRow)]
        secrets.anchored = [(streams[row.stream], row.size) for row in rows.scan(AnchorRow)]
        kept = [(row, book.inference(row.sequence)) for row in rows.scan(CertificateRow)]
        secrets.inferences = [
            _open_inference(line, row, one.salt, one.window, json.loads(one.logits))
            for row, one in kept
            if one is not None
        ]
    return secrets


def _open_inference(line: Line, row: CertificateRow, salt: bytes, window: bytes, logits: list[int]) -> Inference:
    chain = line.consortium.chain
    inspected = InspectedEntry(row.lot, row.stream, row.leaf_index, row.leaf_hash)
    context, verdict = inspected.build_context(chain.chain_id, chain.ledger), to_model_verdict(row.verdict)
    return Inference(context, line.plant.inspector.model_digest, salt, window, tuple(logits), verdict)


def _hashes(event: Event) -> Iterator[tuple[str, bytes]]:
    """The hashes of an event that VISIBLE.md calls a name or a hash, with their class."""
    for what in (Names.ORDER, Names.LOT, Names.STREAM):
        yield from (("names", subject) for subject in event.subjects(what))
    yield from (("claims", root) for root in event.roots())
    leaf = event.leaf()
    if leaf is not None:
        yield "evidence", leaf.hash
    if isinstance(event, LotsTransformed):
        yield from (("names", output.identifier_hash) for output in event.transformation.outputs)
    elif isinstance(event, StreamAnchored):
        yield "evidence", event.root
    elif isinstance(event, CertificateIssued):
        yield "evidence", event.anchor_root
        yield "inferences", event.statement.inference_digest


def _read_bundle(bundle: Bundle) -> Iterator[bytes]:
    """Yields all 32-byte values of a bundle. In trie nodes, values at every offset, because RLP does not align them."""
    for record in bundle.records:
        yield from (record.data[at : at + 32] for at in range(0, len(record.data), 32))
    for history in bundle.histories:
        yield history.subject
        yield from (link.inner for link in history.records if isinstance(link, WithheldRecord))
    for claims in bundle.claims:
        yield from claims.disclosure.proof
    for evidence in bundle.evidence:
        yield from (*evidence.inclusion, *evidence.consistency)
    for node in bundle.nodes:
        yield from (node[at : at + 32] for at in range(len(node) - 31))
