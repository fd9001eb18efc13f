"""Verifies hand-overs of other companies, and keeps in the company's own book what is in them.

    1. Text: the canonical text of a hand-over, within the limits.
    2. Address: it is for this ledger and this company.
    3. Sender: an active key of the sender signed it.
    4. Record: it is final here, and by the table the sender hands over to this company because of it.
    5. Seal: it opens with this company's key, for exactly this route.
    6. Content: canonical, within the limits.
    7. Bundle: verified like any bundle, with this company's node as the root of trust, and about no other lots.
    8. Names: of things in this company's index, by salts that their creators could not choose.
    9. Documents: each has the claims root of a record that the table or the bundle names; erasures are their authors'.
   10. Entries: each is in the tree that the record anchored, and one that its sender may make.

Nothing is kept unless all of it is verified, and all of it is kept in one transaction, with the note that it was.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from millmark.ledger.ages import MAX_ANCESTRY
from millmark.ledger.bundle import Bundle, encode_bundle, parse_bundle
from millmark.ledger.canonical import canonical_json, sha256, to_hex
from millmark.ledger.chain import Chain, fetch_headers, fetch_seals, fetch_trust
from millmark.ledger.claims import Claims, Field, parse_claims
from millmark.ledger.errors import BundleError, ProofError
from millmark.ledger.headers import parse_header
from millmark.ledger.ids import Identity, SubjectKind
from millmark.ledger.names import subjects_of, verify_name
from millmark.ledger.provenance import MAX_TRACED
from millmark.ledger.provenance.footprints import find_opened
from millmark.ledger.provenance.permissions import Visibility
from millmark.ledger.signatures import Signer
from millmark.ledger.store import Book, Connection, Feed, Lineage, Registry, Rows, Store
from millmark.ledger.store.rows import (
    CertificateRow,
    ChainIdentityRow,
    LotRow,
    MachineRow,
    ModelFileRow,
    ModelRow,
    NameKeyRow,
    OrderRow,
    PackingRow,
    RecordHistoryRow,
    StreamRow,
)
from millmark.ledger.trust import BelievedBlock
from millmark.ledger.verify import VerificationError, verify_bundle
from millmark.services.documents.encryption import read_recipient_key
from millmark.services.handover.content import (
    Content,
    Envelope,
    Erasure,
    HandoverEarlyError,
    HandoverRefusedError,
    Head,
    apply_erasures,
    is_handover,
    open_envelope,
    parse_content,
    parse_envelope,
    verify_erasure,
)
from millmark.services.handover.delivering import roots_in
from millmark.services.handover.repository import DeliveryRow, HandoverRepository, KeptRow
from millmark.services.handover.table import (
    WHOLE,
    Allowance,
    Gets,
    allow_incoming,
    find_record,
    is_handed_over,
    is_standing,
    recipients_of,
)
from millmark.services.planning.arriving import (
    Arrival,
    CallUnknownError,
    acknowledge,
    is_coordinated,
    keep_arrival,
    verify_arrival,
)
from millmark.services.planning.errors import PlanningError
from millmark.services.planning.repository import PlanningRepository, ReceiptRow

# Whether names, documents and bundles of another company are those of the ledger, by this company's node and index.

_HINT = "ask its sender to send it again"
_TABLES: Mapping[SubjectKind, type[OrderRow | LotRow | MachineRow | StreamRow]] = {
    SubjectKind.ORDER: OrderRow,
    SubjectKind.LOT: LotRow,
    SubjectKind.MACHINE: MachineRow,
    SubjectKind.STREAM: StreamRow,
}


def verify_with_node(chain: Chain, data: bytes) -> Bundle:
    """Verifies a bundle with this company's node as the root of trust, whatever the status of its parts and its age.

    Raises HandoverEarlyError if the node does not have its block yet, HandoverRefusedError if it is not verified, and
    ChainError.
    """
    try:
        bundle = parse_bundle(data)
        proof_block, believed = parse_header(bundle.headers[0]), parse_header(bundle.headers[-1])
    except (BundleError, ProofError, IndexError) as error:
        cause = getattr(error, "cause", "it has no block header")
        raise HandoverRefusedError(f"its bundle is malformed: {cause}", hint=_HINT) from None
    if believed.number > chain.final_number():
        raise HandoverEarlyError(
            f"block {believed.number} of its bundle is not final on this company's node yet",
            hint="wait until the node is that far; it is then taken",
        )
    if chain.header(believed.number).hash != believed.hash:
        raise HandoverRefusedError(
            f"block {believed.number} of its bundle is not that of this company's node", hint=_HINT
        )
    trust = fetch_trust(chain, {}, BelievedBlock(believed.number, believed.hash))
    try:
        verify_bundle(data, trust, now_s=proof_block.timestamp, any_status=True)
    except VerificationError as error:
        raise HandoverRefusedError(f"its bundle is not verified: {error.cause}", hint=_HINT) from None
    return bundle


def verify_names(rows: Rows, ledger: ChainIdentityRow, names: Sequence[Identity], allowed: Collection[bytes]) -> None:
    """Verifies the names of things that are in no bundle. Raises HandoverRefusedError."""
    for name in names:
        if name.subject not in allowed:
            raise HandoverRefusedError(
                f"{name.identifier}: its salt does not lead to a thing that this hand-over is about", hint=_HINT
            )
        keys = rows.find(NameKeyRow, participant=name.creator)
        hashes = [row.hash for row in keys[: len(name.proofs)]]
        try:
            verify_name(ledger, name.kind, name.creator, name.identifier, name.proofs, hashes)
        except ProofError as error:
            raise HandoverRefusedError(f"the salt of {name.identifier}: {error.cause}", hint=_HINT) from None
        _verify_place(rows, name, keys)


def _verify_place(rows: Rows, name: Identity, keys: Sequence[NameKeyRow]) -> None:
    """The subject is in the index, recorded before its creator replaced the key, and nothing is under earlier keys."""
    table = _TABLES.get(name.kind)
    row = None if table is None else next(iter(rows.among(table, "subject", [name.subject])), None)
    if table is None or row is None:
        raise HandoverRefusedError(f"{name.identifier} does not lead to anything on the ledger", hint=_HINT)
    for earlier in subjects_of(name.kind, name.creator, name.identifier, name.proofs[:-1]):
        if rows.among(table, "subject", [earlier]):
            raise HandoverRefusedError(
                f"{name.identifier} names another thing, under an earlier name key: {to_hex(earlier)}", hint=_HINT
            )
    made_at = next((getattr(row, one) for one in ("placed_at", "created_at", "registered_at") if hasattr(row, one)), 0)
    if len(keys) > len(name.proofs) and made_at >= keys[len(name.proofs)].set_at:
        raise HandoverRefusedError(
            f"{name.identifier} was recorded under a name key that its creator had replaced", hint=_HINT
        )


def extend_to_present(chain: Chain, data: bytes) -> bytes:
    """The bundle with headers up to the node's last final block, so that it verifies with a present trust file; as it
    is if that is too far away. It must be well-formed. Raises ChainError."""
    bundle = parse_bundle(data)
    first, last = parse_header(bundle.headers[0]).number, chain.final_number()
    if last - first > MAX_ANCESTRY:
        return data
    headers = fetch_headers(chain.node, first, last)
    return encode_bundle(replace(bundle, headers=headers, signatures=(), seals=fetch_seals(chain, last)))


# Writes what was handed over, and verified, into the private book, within the caller's transaction.


def keep(
    connection: Connection,
    content: Content,
    bundle: Bundle | None,
    models: Iterable[ModelFileRow],
    now_ms: int,
) -> int:
    """Keeps names, documents, models, inferences, register readings and entries of evidence, and erases what is to be
    erased. Returns how many documents the bundle had in full."""
    book, handovers = Book(connection), HandoverRepository(connection)
    for name in names_in(content, bundle):
        book.add_identity(name)
    for erasure in content.erasures:
        handovers.erase(erasure, now_ms)
        _erase(book, erasure)
    for claims in content.documents:
        _keep_document(book, handovers, claims)
    for model in models:
        book.put_model(model.digest, model.content, model.card)
    if bundle is None:
        return 0
    documents = list(_documents(bundle))
    for claims in documents:
        _keep_document(book, handovers, claims)
    for stream, entry in find_opened(bundle):
        book.put_opened(stream, entry)
    for inference in bundle.inferences:
        if book.inference(inference.record) is None:
            book.put_inference(inference.record, inference.salt, inference.window, inference.logits)
    _keep_entries(book, Rows(connection), bundle)
    return len(documents)


def names_in(content: Content, bundle: Bundle | None) -> list[Identity]:
    """The names in a hand-over, in its bundle and beside it."""
    shown = () if bundle is None else bundle.identities
    return [*content.names, *(Identity(one.kind, one.creator, one.identifier, one.salt, one.proofs) for one in shown)]


def _keep_entries(book: Book, rows: Rows, bundle: Bundle) -> None:
    """Keeps the entries that certificates name. Those of finished operations stay in the bundle: their proofs lead to
    the stream as it was in the bundle's block, which no record of the ledger names."""
    for evidence in bundle.evidence:
        shown = evidence.shown
        if shown is not None and rows.get(CertificateRow, evidence.record) is not None:
            book.put_certified_entry(evidence.record, shown.kind, shown.salt, shown.entry, evidence.inclusion)


def _documents(bundle: Bundle) -> Iterator[Claims]:
    """The documents that a bundle discloses in full. Of others it lacks the leaf hashes that the book stores."""
    for shown in bundle.claims:
        fields = shown.disclosure.fields
        if len(fields) == len(shown.disclosure.paths):
            yield Claims(tuple((path, fields[path]) for path in shown.disclosure.paths))


def _keep_document(book: Book, handovers: HandoverRepository, claims: Claims) -> None:
    """Adds the fields that are new here to those that are known: nothing takes any away but an erasure."""
    stored = book.document(claims.root)
    known = {} if stored is None else dict(parse_claims(json.loads(stored)).fields)
    fields = tuple(
        (path, kept if isinstance(kept := known.get(path), Field) else field) for path, field in claims.fields
    )
    left = apply_erasures(Claims(fields), handovers.erasures([claims.root]))
    book.put_document(claims.root, json.dumps(left.to_json()))


def _erase(book: Book, erasure: Erasure) -> None:
    stored = book.document(erasure.root)
    if stored is not None:
        left = apply_erasures(parse_claims(json.loads(stored)), [erasure])
        book.put_document(erasure.root, json.dumps(left.to_json()))


# Names that arrive here after the lots that they concern were handed on: hand-overs of several companies overtake each
# other. What was handed on without them is made and sent again, so that names get as far as the lots do.


def unknown_lots(book: Book, named: Iterable[Identity]) -> set[bytes]:
    """The subjects of those lots that have no name here yet."""
    lots = {one.subject for one in named if one.kind is SubjectKind.LOT}
    return {subject for subject in lots if book.identity(subject) is None}


def send_again(connection: Connection, lots: Collection[bytes], me: int, now_ms: int) -> None:
    """Makes hand-overs due again whose bundles lack these lots' names: those of lots that were made from them, and of
    what such lots were packed in."""
    if not lots:
        return
    rows, handovers = Rows(connection), HandoverRepository(connection)
    reached = _with_carriers(rows, Lineage(connection).all_downstream(lots, MAX_TRACED.depth, MAX_TRACED.lots))
    sequences = {row.sequence for row in rows.among(RecordHistoryRow, "subject", reached)}
    for row in rows.among(DeliveryRow, "sequence", sequences):
        if row.state != "over" and _has_bundle(rows, row, me):  # also those that wait: one may be in the making
            handovers.make_again(row.sequence, row.recipient, now_ms)


def _with_carriers(rows: Rows, lots: set[bytes]) -> set[bytes]:
    """The lots, and those in which they were ever packed, at any depth."""
    found, level = set(lots), lots
    while level:
        level = {row.parent for row in rows.among(PackingRow, "child", level)} - found
        found |= level
    return found


def _has_bundle(rows: Rows, row: DeliveryRow, me: int) -> bool:
    record = find_record(rows, row.sequence)
    if record is None or not is_standing(rows, record):
        return False
    return any(Gets.LOT_PROOF in entry.gets for entry in recipients_of(rows, record, me).get(row.recipient, ()))


# Models of other companies whose cards were handed over: with it, a company monitors a model by itself.


def fetch_models(store: Store, chain: Chain, documents: Iterable[Claims]) -> list[ModelFileRow]:
    """The models that the documents are the cards of, with their bytes, as far as the book does not have them.

    Bytes that are not published on the chain stay unknown, and a card with erased fields is none. Raises ChainError.
    """
    cards = {one.root: one for one in documents if all(isinstance(field, Field) for _, field in one.fields)}
    with store.reading() as connection:
        found, book = Rows(connection).among(ModelRow, "card_root", cards), Book(connection)
        wanted = [row for row in found if (kept := book.model(row.digest)) is None or not kept.card]
    models = []
    for row in wanted:
        # The first byte of the contract code is a zero, which stops any call to it from executing the model's bytes.
        content = b"" if row.code is None else chain.node.code(row.code)[1:]
        if sha256(content) == row.digest:
            models.append(ModelFileRow(row.digest, content, canonical_json(cards[row.card_root].document).decode()))
    return models


@dataclass(frozen=True, slots=True)
class Kept:
    """What came of a hand-over or bundle."""

    sequence: int
    """The record because of which it was handed over; 0 for a bundle."""
    sender: int
    """0 for a bundle."""
    names: int
    documents: int
    again: bool
    """Whether it was kept before, so that nothing changed now."""
    entries: int = 0
    """Entries of the anchored stream that were new here."""
    receipts: tuple[ReceiptRow, ...] = ()
    """For the offers in it that count, if this company coordinates their call and can sign."""


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class Receiver:
    """Keeps what other companies hand over to this one. Raises HandoverRefusedError, HandoverEarlyError, SigningError
    for a key file that cannot be used, and ChainError or StoreError if node or database fail. In each case nothing was
    kept."""

    def __init__(
        self,
        store: Store,
        chain: Chain,
        participant: int,
        key_file: Path,
        clock_ms: Callable[[], int] = _now_ms,
        unlock: Callable[[], Signer] | None = None,
    ) -> None:
        """`key_file`: of this company's private recipient key, read anew for each hand-over: it may be replaced.
        `unlock`: opens the company's key, which signs receipts for offers; without it none are given."""
        self._store, self._chain, self._participant, self._key_file = store, chain, participant, key_file
        self._clock_ms, self._unlock = clock_ms, unlock

    def import_file(self, data: bytes) -> Kept:
        """Verifies and keeps a hand-over or a bundle. One that was kept before changes nothing."""
        if not is_handover(data):
            return self._import_bundle(data)
        envelope = parse_envelope(data)
        self.verify_head(envelope.head)
        return self.receive(envelope)

    def verify_head(self, head: Head) -> None:
        """Steps 2 and 3."""
        route = head.route
        with self._store.reading() as connection:
            registry = Registry(connection)
            ledger = registry.identity()
            signer = registry.participant_of(head.recover_signer())
        if ledger is None:
            raise HandoverEarlyError("nothing is indexed yet", hint="follow the chain first")
        if (route.chain_id, route.ledger) != (ledger.chain_id, ledger.ledger):
            raise HandoverRefusedError("it is for another ledger", hint="import it where that ledger is followed")
        if route.recipient != self._participant:
            raise HandoverRefusedError(
                f"it is for participant {route.recipient}, not for participant {self._participant}",
                hint="give it to the company that it is for",
            )
        if signer is None or signer.number != route.sender:
            raise HandoverRefusedError(f"no active key of participant {route.sender} signed it", hint=_HINT)

    def receive(self, envelope: Envelope) -> Kept:
        """Steps 4 to 9, for an envelope whose head was verified; then keeps the content."""
        head = envelope.head
        route = head.route
        with self._store.reading() as connection:
            known = HandoverRepository(connection).kept(route.sequence, head.digest)
            if known is not None:
                return replace(_shown(known, again=True), receipts=self._acknowledge(route.sequence))
            allowed = _find_allowance(Rows(connection), Feed(connection).final_number(), head)
        content = parse_content(self._open(envelope))
        arrival = self._verify_entries(route.sequence, content, allowed)
        allowed.documents |= dict.fromkeys(arrival.roots, WHOLE)
        bundle = self._verify(content, allowed)
        models = fetch_models(self._store, self._chain, content.documents)
        identities = () if bundle is None else bundle.identities
        count = len(content.names) + len(identities), len(content.documents)
        row = KeptRow(route.sequence, head.digest, route.sender, self._clock_ms(), *count, content.bundle)
        kept = self._keep(row, content, bundle, models, arrival)
        return replace(kept, receipts=self._acknowledge(route.sequence)) if arrival.leaves else kept

    def _open(self, envelope: Envelope) -> bytes:
        """Step 5."""
        key = read_recipient_key(self._key_file)
        if key.public_key().public_bytes_raw() != envelope.head.route.recipient_key:
            raise HandoverRefusedError(
                "it is sealed to another key than this company's present recipient key", hint=_HINT
            )
        return open_envelope(envelope, key)

    def _verify(self, content: Content, allowed: Allowance) -> Bundle | None:
        """Steps 7 to 9."""
        bundle = verify_with_node(self._chain, content.bundle) if content.bundle else None
        if bundle is not None and not allowed.parts.issuperset(bundle.parts):
            raise HandoverRefusedError("its bundle is about a lot that this record did not bring here", hint=_HINT)
        with self._store.reading() as connection:
            rows, ledger = Rows(connection), Registry(connection).identity()
            if ledger is None:
                raise HandoverEarlyError("nothing is indexed yet", hint="follow the chain first")
            verify_names(rows, ledger, content.names, allowed.names)
            for erasure in content.erasures:
                verify_erasure(rows, ledger, erasure)
        roots = allowed.documents.keys() | (roots_in(content.bundle) if bundle is not None else set())
        if not all(claims.root in roots for claims in content.documents):
            raise HandoverRefusedError("a document does not have the claims root of any of its records", hint=_HINT)
        return bundle

    def _verify_entries(self, sequence: int, content: Content, allowed: Allowance) -> Arrival:
        """Step 10, before the documents are judged: it tells which may come."""
        if not content.entries and not content.objectives:
            return Arrival()
        with self._store.reading() as connection:
            rows, ledger = Rows(connection), Registry(connection).identity()
            record = find_record(rows, sequence)
            if not allowed.is_anchor or record is None or ledger is None:
                raise HandoverRefusedError("it has entries of a stream, and its record anchored none", hint=_HINT)
            brought = content.entries, content.objectives, content.documents
            try:
                return verify_arrival(rows, record, ledger, self._participant, *brought)
            except CallUnknownError as error:
                raise HandoverEarlyError(error.cause, hint=error.hint) from None
            except PlanningError as error:
                raise HandoverRefusedError(error.cause, hint=error.hint or _HINT) from None

    def _acknowledge(self, sequence: int) -> tuple[ReceiptRow, ...]:
        """The receipts for the offers that came because of a record, given now or before."""
        if self._unlock is None:
            return ()
        with self._store.reading() as connection:
            rows, planning = Rows(connection), PlanningRepository(connection)
            if not is_coordinated(rows, sequence, self._participant):
                return ()  # no key is opened for what needs none
            now_s = self._clock_ms() // 1000
            receipts = acknowledge(rows, Book(connection), planning, sequence, self._participant, self._unlock(), now_s)
        with self._store.transaction() as connection:
            planning = PlanningRepository(connection)
            planning.put_receipts(receipts)
            # Two of the same hand-over may have arrived at the same time: the first receipt counts.
            return tuple(planning.receipts(row.offer for row in receipts).values())

    def _import_bundle(self, data: bytes) -> Kept:
        if not data.startswith(b'{"bundle_version":'):
            raise HandoverRefusedError(
                "it is neither a hand-over nor a bundle",
                hint="give a file made by `millmark handovers export` or `millmark bundle`",
            )
        bundle = verify_with_node(self._chain, data)
        with self._store.reading() as connection:
            seen = Visibility(Rows(connection), Lineage(connection), self._participant).lots(bundle.parts)
        if len(seen) < len(bundle.parts):
            raise HandoverRefusedError(
                "the bundle is about a lot that never reached this company",
                hint="verify it with `millmark verify`; only what concerns this company is kept",
            )
        return self._keep(KeptRow(0, b"", 0, self._clock_ms(), len(bundle.identities), 0, b""), Content(), bundle)

    def _keep(
        self,
        row: KeptRow,
        content: Content,
        bundle: Bundle | None,
        models: Sequence[ModelFileRow] = (),
        arrival: Arrival | None = None,
    ) -> Kept:
        with self._store.transaction() as connection:
            handovers = HandoverRepository(connection)
            # Again, in the transaction that writes: the same one may have arrived twice at the same time.
            known = handovers.kept(row.sequence, row.digest) if row.sequence else None
            if known is not None:
                return _shown(known, again=True)
            new = unknown_lots(Book(connection), names_in(content, bundle))
            row.documents += keep(connection, content, bundle, models, row.kept_ms)
            send_again(connection, new, self._participant, row.kept_ms)
            entries = 0 if arrival is None else keep_arrival(PlanningRepository(connection), arrival)
            if row.sequence:
                handovers.keep(row)
        if content.erasures:
            self._store.scrub()  # what was erased is not to be read from the database's file either
        return replace(_shown(row, again=False), entries=entries)


def _find_allowance(rows: Rows, final_number: int, head: Head) -> Allowance:
    """Step 4."""
    route = head.route
    record = find_record(rows, route.sequence)
    if record is None or record.block_number > final_number:
        raise HandoverEarlyError(
            f"record {route.sequence} is not final in this company's index yet",
            hint="wait until the index is that far; it is then taken",
        )
    allowed = allow_incoming(rows, record, route.sender, route.recipient) if is_handed_over(record.kind) else None
    if allowed is None:
        raise HandoverRefusedError(
            f"because of record {route.sequence}, participant {route.sender} hands nothing over to this company",
            hint=_HINT,
        )
    return allowed


def _shown(row: KeptRow, *, again: bool) -> Kept:
    return Kept(row.sequence, row.sender, row.names, row.documents, again)
