"""Makes the content of a hand-over from index and private book: what the table says, as far as it is known here."""

from __future__ import annotations

import enum
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from millmark.ledger.bundle import parse_bundle
from millmark.ledger.canonical import Json
from millmark.ledger.chain import Chain
from millmark.ledger.claims import Claims, parse_claims
from millmark.ledger.events import HISTORY_EVENTS, decode
from millmark.ledger.evidence import WINDOW_ID
from millmark.ledger.ids import Identity
from millmark.ledger.provenance import Disclosing, build_bundle
from millmark.ledger.provenance.bundles import choose_fields
from millmark.ledger.store import Book, Connection, Rows, Store
from millmark.ledger.store.rows import CertificateRow, RecordRow
from millmark.services.handover.allowances import roots_of_order
from millmark.services.handover.content import Content
from millmark.services.handover.erasures import apply_erasures
from millmark.services.handover.errors import HandoverEarlyError, HandoverError
from millmark.services.handover.repository import HandoverRepository
from millmark.services.handover.table import Allowance, Gets, allow, find_record, is_standing
from millmark.services.planning.handing import open_leaves
from millmark.services.planning.leaves import OpenedLeaf

__all__ = ["EARLY", "NotDueError", "Rest", "build_content", "find_rest", "roots_in"]

_PASSPORT = (("passport",),)
_PATIENCE_S = 3600
"""How long an assignment's hand-over waits for the order's document, which the buyer hands over to the coordinator, and
a certificate's for the inference."""


EARLY = "the order's name or document has not arrived here yet"
"""Why a hand-over waits that needs what another company hands over."""


class Rest(enum.Enum):
    """What of the order's document a hand-over still lacks."""

    NONE = "nothing"
    MISSING = "it has not arrived here"
    HERE = "it has arrived here, and can be handed over"


class NotDueError(HandoverError):
    """Nothing is handed over to this company because of this record any more."""

    code = "handover-not-due"


def build_content(store: Store, chain: Chain, sequence: int, sender: int, recipient: int, now_s: int) -> Content:
    """The content for one record and recipient, in the present state of index and book.

    Raises NotDueError if none is due, HandoverEarlyError while a document is missing that another company still has to
    hand over, or an inference that the own node still has, and what `build_bundle` raises.
    """
    with store.reading() as connection:
        rows, book = Rows(connection), Book(connection)
        record, allowed = _need(rows, sequence, sender, recipient)
        names = tuple(sorted(_names(book, allowed.names), key=lambda one: one.subject))
        wanted = dict(allowed.documents)
        _verify_here(book, record, allowed, now_s)
        _verify_kept(rows, book, record, allowed, now_s)
        entries, objectives = _entries(rows, book, record, allowed)
    bundle = _bundle(store, chain, allowed, recipient)
    if bundle and Gets.PASSPORTS in allowed.gets:
        for root in roots_in(bundle):
            wanted[root] = (*wanted.get(root, ()), *_PASSPORT)
    with store.reading() as connection:
        documents = _documents(connection, wanted)
    return Content(names, documents, entries=entries, objectives=objectives, bundle=bundle)


def find_rest(connection: Connection, sequence: int, sender: int, recipient: int, given: Collection[bytes]) -> Rest:
    """What a hand-over that had the documents `given` still lacks of the order's document."""
    rows, book = Rows(connection), Book(connection)
    record = find_record(rows, sequence)
    allowed = None if record is None else allow(rows, record, sender, recipient)
    if record is None or allowed is None or Gets.ORDER_PART not in allowed.gets or not is_standing(rows, record):
        return Rest.NONE
    roots = [root for root in roots_of_order(rows, record) if root in allowed.documents and root not in given]
    if not all(book.document(root) for root in roots):
        return Rest.MISSING
    # A document of which the recipient gets no field is never in a hand-over.
    return Rest.HERE if _documents(connection, {root: allowed.documents[root] for root in roots}) else Rest.NONE


def roots_in(bundle: bytes) -> set[bytes]:
    """The claims roots of the records that a bundle, which must be well-formed, shows in full."""
    shown = [(HISTORY_EVENTS[record.kind], record.data) for record in parse_bundle(bundle).records]
    return {root for kind, data in shown for root in decode(kind, data)[2].roots()}


def _need(rows: Rows, sequence: int, sender: int, recipient: int) -> tuple[RecordRow, Allowance]:
    record = find_record(rows, sequence)
    allowed = None if record is None else allow(rows, record, sender, recipient)
    if record is None or allowed is None:
        raise NotDueError(
            f"because of record {sequence}, participant {sender} hands nothing over to participant {recipient}"
        )
    if not is_standing(rows, record):
        raise NotDueError(f"what record {sequence} began has ended since, so nothing is handed over for it any more")
    return record, allowed


def _verify_here(book: Book, record: RecordRow, allowed: Allowance, now_s: int) -> None:
    """Raises HandoverEarlyError while the order's document may still be on its way from the buyer."""
    if Gets.ORDER_PART not in allowed.gets or now_s - record.block_time > _PATIENCE_S:
        return
    missing = [root for root in allowed.documents if book.document(root) is None]
    if missing or not all(map(book.identity, allowed.names)):
        raise HandoverEarlyError(EARLY, hint="its buyer's gateway sends them")


def _verify_kept(rows: Rows, book: Book, record: RecordRow, allowed: Allowance, now_s: int) -> None:
    """Raises HandoverEarlyError while a node that shares this database still has the inference of its certificate: it
    puts it into the book when it sees that the certificate is final, which the index may see first."""
    if Gets.MEASUREMENT not in allowed.gets or now_s - record.block_time > _PATIENCE_S:
        return
    certificate = rows.get(CertificateRow, record.sequence)
    if certificate is None or not certificate.model or book.inference(record.sequence) is not None:
        return
    kept = book.evidence_entry(certificate.stream, certificate.leaf_index)
    entry = None if kept is None else kept.entry
    # Only a node cuts windows with such an id. Where the inference is kept elsewhere, nothing is waited for.
    if isinstance(entry, Mapping) and str(entry.get("id", "")).startswith(WINDOW_ID):
        raise HandoverEarlyError("the node has not put the certificate's inference into the book yet")


def _entries(
    rows: Rows, book: Book, record: RecordRow, allowed: Allowance
) -> tuple[tuple[OpenedLeaf, ...], tuple[Json, ...]]:
    """The opened entries of the anchored stream, and the objectives of calls. Raises PlanningError."""
    size = getattr(record.event(), "size", 0)
    opened = open_leaves(rows, book, record.subject, size, allowed.leaves) if allowed.leaves else []
    return tuple(opened), tuple(json.loads(text) for text in sorted(allowed.objectives))


def _names(book: Book, subjects: Iterable[bytes]) -> Iterator[Identity]:
    """Those that a receiver can verify."""
    for subject in subjects:
        identity = book.identity(subject)
        if identity is not None and identity.proofs:
            yield identity


def _bundle(store: Store, chain: Chain, allowed: Allowance, recipient: int) -> bytes:
    if not allowed.parts:
        return b""
    # Without a viewer an auditor would see nothing: it holds no lot. It gets no name but those of the lots.
    alone = Gets.PROOF_ALONE in allowed.gets
    measured = bool(allowed.measured)
    disclosing = Disclosing(
        names=not alone,
        entries=measured,
        registers=Gets.PASSPORTS in allowed.gets,  # the footprint in a passport follows from them
        inferences=measured,
        only=allowed.measured,
        nameless=True,
    )
    return build_bundle(store, chain, sorted(allowed.parts), disclosing, viewer=None if alone else recipient)


def _documents(connection: Connection, wanted: Mapping[bytes, Sequence[tuple[str, ...]]]) -> tuple[Claims, ...]:
    """The known documents, without the fields that the recipient does not get, or that are to be erased here."""
    found, erased = [], HandoverRepository(connection).erasures(wanted)
    for root, document in Book(connection).documents(wanted).items():
        # An erasure is noted before the book is changed.
        claims = apply_erasures(parse_claims(json.loads(document)), (one for one in erased if one.root == root))
        chosen = set(choose_fields(claims, Disclosing(fields=tuple(wanted[root]))))
        if chosen:
            found.append(claims.erase(path for path in claims.paths if path not in chosen))
    return tuple(sorted(found, key=lambda one: one.root))
