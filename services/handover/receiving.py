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

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from millmark.ledger.bundle import Bundle
from millmark.ledger.chain import Chain
from millmark.ledger.provenance.permissions import Visibility
from millmark.ledger.signatures import Signer
from millmark.ledger.store import Book, Feed, Lineage, Registry, Rows, Store
from millmark.ledger.store.book_rows import ModelFileRow
from millmark.services.documents.key_files import read_recipient_key
from millmark.services.handover.building import roots_in
from millmark.services.handover.checks import verify_names, verify_with_node
from millmark.services.handover.content import Content, parse_content
from millmark.services.handover.envelope import Envelope, Head, is_handover, open_envelope, parse_envelope
from millmark.services.handover.erasures import verify_erasure
from millmark.services.handover.errors import HandoverEarlyError, HandoverRefusedError
from millmark.services.handover.keeping import keep, names_in
from millmark.services.handover.late_names import send_again, unknown_lots
from millmark.services.handover.models import fetch_models
from millmark.services.handover.repository import HandoverRepository, KeptRow
from millmark.services.handover.table import WHOLE, Allowance, allow_incoming, find_record, is_handed_over
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

__all__ = ["Kept", "Receiver"]

_HINT = "ask its sender to send it again"


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
