"""Hands over to other companies: how they are reached, what each gets, and the queue and thread that deliver it."""

from __future__ import annotations

import asyncio
import enum
import json
import ssl
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from structlog.typing import FilteringBoundLogger

from millmark.ledger.bundle import parse_bundle
from millmark.ledger.canonical import Json, parse_json
from millmark.ledger.chain import Chain
from millmark.ledger.claims import Claims, Path, parse_claims
from millmark.ledger.errors import CanonicalError, InputError, MillmarkError, NotFoundError
from millmark.ledger.events import HISTORY_EVENTS, decode
from millmark.ledger.evidence import WINDOW_ID
from millmark.ledger.ids import Identity
from millmark.ledger.provenance import Disclosing, build_bundle
from millmark.ledger.provenance.bundles import choose_fields
from millmark.ledger.records import Contract
from millmark.ledger.signatures import Signer
from millmark.ledger.store import Book, Connection, Feed, Position, Registry, Rows, Store
from millmark.ledger.store.rows import CertificateRow, RecordRow
from millmark.services.directory.document import RecipientKeyError, verify_statement
from millmark.services.directory.repository import DirectoryRepository
from millmark.services.handover import content
from millmark.services.handover.repository import DeliveryRow, HandoverRepository
from millmark.services.handover.table import (
    Allowance,
    Gets,
    allow,
    find_record,
    is_standing,
    recipients_of,
    roots_of_order,
)
from millmark.services.planning.omission import Receipt, parse_receipts, verify_receipts
from millmark.services.planning.repository import PlanningRepository
from millmark.services.planning.stream_entries import OpenedLeaf, open_leaves
from millmark.services.serving.loop import Loop, Trouble, withhold_addresses
from millmark.services.serving.partners import UnansweredError, ask_partner


@dataclass(frozen=True, slots=True)
class Addressee:
    """A company, as the directory in force says; looked up at each use."""

    name: str
    gateway: str | None
    """URL of its gateway; None if it has none."""
    key: bytes | None
    """Its X25519 key, 32 bytes; None if it has none that an active key of it signed."""


def find_addressee(store: Store, participant: int) -> Addressee | None:
    """Looks a company up; None if the directory does not list it."""
    with store.reading() as connection:
        entry = DirectoryRepository(connection).entry(participant)
        if entry is None:
            return None
        statement = entry.recipient_key
        try:
            if statement is not None:
                verify_statement(Registry(connection), participant, statement)
        except RecipientKeyError:
            statement = None
    return Addressee(entry.name, entry.gateway, None if statement is None else statement.public_key)


# Makes the content of a hand-over from index and private book: what the table says, as far as it is known here.

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


class NotDueError(content.HandoverError):
    """Nothing is handed over to this company because of this record any more."""

    code = "handover-not-due"


def build_content(
    store: Store, chain: Chain, sequence: int, sender: int, recipient: int, now_s: int
) -> content.Content:
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
    return content.Content(names, documents, entries=entries, objectives=objectives, bundle=bundle)


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
        raise content.HandoverEarlyError(EARLY, hint="its buyer's gateway sends them")


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
        raise content.HandoverEarlyError("the node has not put the certificate's inference into the book yet")


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
        claims = content.apply_erasures(parse_claims(json.loads(document)), (one for one in erased if one.root == root))
        chosen = set(choose_fields(claims, Disclosing(fields=tuple(wanted[root]))))
        if chosen:
            found.append(claims.erase(path for path in claims.paths if path not in chosen))
    return tuple(sorted(found, key=lambda one: one.root))


# The hand-overs that this company owes: which are due, made once, and what came of the attempts to deliver them.
#
# The queue follows from the final records of the index: reading them again adds nothing, so a crash at any point loses
# and doubles nothing. A hand-over is sealed once and kept until it is delivered, because the recipient remembers it by
# its digest: sealed anew, it would be another one.

WAITS_S = (1, 5, 30, 120, 600, 1800, 3600)
"""Wait before each further attempt; the last one repeats for ever."""
_AT_ONCE = 200
"""Records read per step."""


class State(enum.StrEnum):
    """What became of a hand-over."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    """The recipient's gateway has kept it."""
    PARTIAL = "partial"
    """The recipient's gateway has kept it, without the order's document, which had not arrived here. It follows."""
    OVER = "over"
    """It is not due any more: the offer was declined, the order cancelled."""


@dataclass(frozen=True, slots=True)
class _Sealed:
    """A hand-over as it was made, which takes a while: meanwhile, something may come or be erased."""

    envelope: content.Envelope
    roots: list[bytes]
    """Claims roots of the documents in it."""
    erasures: int
    """How many erasures were known before."""


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class Deliveries:
    """The queue of one company."""

    def __init__(
        self,
        store: Store,
        chain: Chain,
        signer: Signer,
        clock_ms: Callable[[], int] = _now_ms,
        waits_s: Sequence[float] = WAITS_S,
    ) -> None:
        """`signer`: a key of the company, which signs the envelopes."""
        self._store, self._chain, self._signer = store, chain, signer
        self._clock_ms, self._waits_s = clock_ms, waits_s

    def collect(self) -> bool:
        """Adds to the queue what the next final records demand, and what was lacking and has arrived. Returns whether
        there may be more."""
        with self._store.transaction() as connection:
            handovers, rows = HandoverRepository(connection), Rows(connection)
            me = Registry(connection).participant_of(self._signer.address)
            if me is None:
                return False  # nothing is signed for a company that may not act; the cursor waits
            registry = rows.greatest(RecordRow, "sequence", contract=Contract.REGISTRY.value)
            found = Feed(connection).after(Position(registry, handovers.cursor()), _AT_ONCE)
            for _, record in found:
                if record.contract == Contract.LEDGER.value:
                    for recipient in sorted(recipients_of(rows, record, me.number)):
                        handovers.add(record.sequence, recipient, self._clock_ms())
                    handovers.advance(record.sequence)
            self._follow_up(connection, me.number)
        return len(found) == _AT_ONCE

    def collected(self) -> int:
        """The last record of the ledger that was looked at; what later ones demand is not in the queue yet."""
        with self._store.reading() as connection:
            return HandoverRepository(connection).cursor()

    def _follow_up(self, connection: Connection, me: int) -> None:
        """Makes those due that wait for the order's document, or went without it, once it is here."""
        handovers, now_ms = HandoverRepository(connection), self._clock_ms()
        for row in handovers.lacking(EARLY):
            given = handovers.given_in(row.sequence, row.recipient)
            rest = find_rest(connection, row.sequence, me, row.recipient, given)
            if rest is Rest.HERE:
                handovers.change(row, state=State.WAITING.value, text=b"", digest=b"", reason="", next_try_ms=now_ms)
            elif rest is Rest.NONE and row.state == State.PARTIAL:
                handovers.change(row, state=State.DELIVERED.value, changed_ms=now_ms)

    def due(self, most: int) -> list[DeliveryRow]:
        """The hand-overs whose next attempt is due."""
        with self._store.reading() as connection:
            return HandoverRepository(connection).due(self._clock_ms(), most)

    def is_waiting(self) -> bool:
        """Whether any hand-over waits, for its next attempt or for something else."""
        with self._store.reading() as connection:
            return HandoverRepository(connection).waiting().number > 0

    def prepare(self, row: DeliveryRow) -> tuple[DeliveryRow, str] | None:
        """The sealed hand-over and the recipient's gateway. None if nothing can be sent now; the queue says why."""
        addressee = find_addressee(self._store, row.recipient)
        if addressee is None or addressee.key is None:
            self._postpone(row, "the directory has no valid recipient key of it")
            return None
        if addressee.gateway is None:
            self._postpone(row, "the directory has no gateway of it: give it `millmark handovers export`")
            return None
        sealed = self._sealed(row, addressee.key)
        return None if sealed is None else (sealed, addressee.gateway)

    def export(self, sequence: int, recipient: int) -> bytes:
        """The text of a hand-over, for a company that is offline. Raises NotFoundError, InputError and what making it
        raises. It stays in the queue."""
        with self._store.reading() as connection:
            row = HandoverRepository(connection).get(sequence, recipient)
        if row is None:
            raise NotFoundError(
                f"because of record {sequence}, nothing is handed over to participant {recipient}",
                hint="see `millmark handovers list`",
            )
        addressee = find_addressee(self._store, recipient)
        if addressee is None or addressee.key is None:
            raise InputError(
                f"the directory has no valid recipient key of participant {recipient}",
                hint="import the latest directory, or ask that company to publish a key",
            )
        if row.text:
            return row.text
        while True:
            made = self._seal(row, addressee.key)
            with self._store.transaction() as connection:
                handovers = HandoverRepository(connection)
                if handovers.count_erasures() == made.erasures:
                    handovers.give(sequence, recipient, made.roots)
                    return content.encode_envelope(made.envelope)

    def settle(self, row: DeliveryRow, state: State) -> None:
        """Ends a hand-over; one that was delivered without the order's document is partial."""
        with self._store.transaction() as connection:
            handovers = HandoverRepository(connection)
            found, me = (
                handovers.get(row.sequence, row.recipient),
                Registry(connection).participant_of(self._signer.address),
            )
            if found is None or found.state != State.WAITING:
                return  # a gateway that shares this database was faster
            if state is State.DELIVERED and found.digest != row.digest:
                return  # it was to be made again while this text was on its way
            if state is State.OVER and found.changed_ms != row.changed_ms:
                return  # something came or was erased while it was found to be over: that has to be passed on
            if state is State.DELIVERED and me is not None:
                given = handovers.given_in(row.sequence, row.recipient)
                lacks = find_rest(connection, row.sequence, me.number, row.recipient, given) is not Rest.NONE
                state = State.PARTIAL if lacks else state
            handovers.change(row, state=state.value, text=b"", attempts=0, reason="", changed_ms=self._clock_ms())

    def keep_receipts(self, row: DeliveryRow, receipts: Sequence[Receipt]) -> int:
        """Keeps the valid receipts that the recipient answered with. Returns how many."""
        if not receipts:
            return 0
        with self._store.transaction() as connection:
            found = verify_receipts(Rows(connection), Registry(connection), receipts, row.recipient)
            PlanningRepository(connection).put_receipts(found)
        return len(found)

    def fail(self, row: DeliveryRow, reason: str, *, anew: bool = False) -> None:
        """Notes a failed attempt. `anew`: the recipient refused the text, so it is made again for the next one."""
        self._postpone(row, reason, **({"text": b"", "digest": b""} if anew else {}))

    def _sealed(self, row: DeliveryRow, key: bytes) -> DeliveryRow | None:
        if row.text and f'"recipient_key":"0x{key.hex()}"'.encode() in row.text[:1024]:
            return row
        try:
            made = self._seal(row, key)
        except NotDueError:
            self.settle(row, State.OVER)
            return None
        except content.HandoverEarlyError as error:
            self._postpone(row, error.cause)
            return None
        text, digest = content.encode_envelope(made.envelope), made.envelope.head.digest
        with self._store.transaction() as connection:
            handovers = HandoverRepository(connection)
            found = handovers.get(row.sequence, row.recipient)
            # Another gateway on this database may have sealed it meanwhile: then that text counts. Or something came or
            # was erased that is to be in the next text, or in none.
            if found is None or found.state != State.WAITING or found.text != row.text:
                return None
            if found.changed_ms != row.changed_ms or handovers.count_erasures() != made.erasures:
                return None
            handovers.change(row, text=text, digest=digest)
            handovers.give(row.sequence, row.recipient, made.roots)
        return replace(row, text=text, digest=digest)

    def _seal(self, row: DeliveryRow, key: bytes) -> _Sealed:
        with self._store.reading() as connection:
            registry, handovers = Registry(connection), HandoverRepository(connection)
            me, ledger = registry.participant_of(self._signer.address), registry.identity()
            erasures, known = handovers.erasures_for(row.sequence, row.recipient), handovers.count_erasures()
        if me is None or ledger is None:
            raise content.HandoverEarlyError("the gateway's key signs for no participant that may act")
        now_s = self._clock_ms() // 1000
        try:
            given = build_content(self._store, self._chain, row.sequence, me.number, row.recipient, now_s)
        except NotDueError:
            if not erasures:
                raise
            given = content.Content()  # what was handed over until it ended is still to be erased
        signed = tuple(content.sign_erasure(ledger, one, self._signer) for one in erasures)
        route = content.Route(ledger.chain_id, ledger.ledger, me.number, row.recipient, key, row.sequence)
        envelope = content.seal(route, content.encode_content(replace(given, erasures=signed)), self._signer)
        return _Sealed(envelope, [claims.root for claims in given.documents], known)

    def _postpone(self, row: DeliveryRow, reason: str, **values: object) -> None:
        wait_s = self._waits_s[min(row.attempts, len(self._waits_s) - 1)]
        next_ms = self._clock_ms() + int(wait_s * 1000)
        self._change(row, attempts=row.attempts + 1, reason=reason[:300], next_try_ms=next_ms, **values)

    def _change(self, row: DeliveryRow, **values: object) -> None:
        with self._store.transaction() as connection:
            handovers = HandoverRepository(connection)
            found = handovers.get(row.sequence, row.recipient)
            # A gateway that shares this database may have delivered it meanwhile.
            if found is not None and found.state == State.WAITING:
                handovers.change(row, **values)


def ask_others_to_erase(store: Store, root: bytes, paths: Sequence[Path], participant: int | None) -> int:
    """Notes that fields of a document are erased here, and asks those who were handed it to erase them, if this company
    is its author. Returns how many hand-overs are made and sent again."""
    now_ms = _now_ms()
    with store.transaction() as connection:
        handovers, rows = HandoverRepository(connection), Rows(connection)
        contract, record = ("", 0) if participant is None else content.find_commitment(rows, root, participant)
        for path in paths:
            handovers.erase(content.Erasure(root, content.write_path(path), contract, record, b""), now_ms)
        return handovers.given(root) if record else 0


def ask_others_to_erase_all(store: Store, roots: Iterable[bytes], participant: int | None) -> int:
    """Like `ask_others_to_erase`, for all fields of several documents: those behind the versions of an encrypted one,
    which have its name, size and hash. Returns how many hand-overs are made and sent again."""
    return sum(ask_others_to_erase(store, root, [()], participant) for root in roots)


# Sends one hand-over to the recipient's gateway, within one time limit. Nothing in the answer is believed.
#
# Receipts in it are verified by their signatures, and kept only then (millmark.services.planning.omission).

TIMEOUT_S: Final = 30.0
"""Longest time from name look-up to the end of the answer."""
_MAX_ANSWER_BYTES: Final = 2 << 20
"""The receipts of as many offers as a hand-over can have."""
_MAX_PROBLEM_BYTES: Final = 16 * 1024
_MAX_REASON: Final = 200
_REFUSED: Final = 422
"""The recipient verified it, and will never take this text."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The status that the gateway answered with, or why there was none."""

    status: int
    """0 if the gateway gave no usable answer."""
    reason: str
    receipts: tuple[Receipt, ...] = ()
    """For the offers in it, not verified."""

    @property
    def is_kept(self) -> bool:
        return self.status in (200, 201)

    @property
    def is_refused(self) -> bool:
        """Whether the same text will be refused again."""
        return self.status == _REFUSED

    @property
    def is_unreachable(self) -> bool:
        """Whether other hand-overs to the same gateway would fare no better now."""
        return self.status in (0, 429, 503) or self.status >= 500


async def send(gateway: str, digest: bytes, text: bytes, tls: ssl.SSLContext, timeout_s: float = TIMEOUT_S) -> Answer:
    """Sends a hand-over. Failures are returned as answers, never raised."""
    try:
        status, body = await ask_partner(
            gateway,
            "PUT",
            f"/v1/handovers/{digest.hex()}",
            tls,
            timeout_s=timeout_s,
            max_bytes=_MAX_ANSWER_BYTES,
            content=text,
            headers={"Content-Type": content.MEDIA_TYPE},
        )
    except UnansweredError as error:
        return Answer(0, str(error))
    if status in (200, 201):
        return Answer(status, "", parse_receipts(body))
    return Answer(status, f"its gateway answered {status}{_detail(body)}")


def _detail(body: bytes) -> str:
    """The problem's own words, on one line and bounded: they come from another company."""
    try:
        problem = parse_json(body, max_bytes=_MAX_PROBLEM_BYTES, max_depth=8)
    except CanonicalError:
        return ""
    detail = problem.get("detail") if isinstance(problem, dict) else None
    if not isinstance(detail, str):
        return ""
    shown = " ".join("".join(one if one.isprintable() else " " for one in detail).split())
    return f": {shown[:_MAX_REASON]}"


# The thread that delivers hand-overs: recipients side by side, and the hand-overs of each one after the other.
#
#     1 add to the queue what the final records of the index demand
#     2 seal a hand-over, and keep its text
#     3 send it to the recipient's gateway
#     4 once the recipient has kept it, drop the text
#
# After a crash between 3 and 4 the same text is sent again, and the recipient knows it by its digest. A gateway that
# does not answer delays only what is for it, and is asked again after growing waits (`deliveries.WAITS_S`).

LATE_S = 3600.0
"""A hand-over that waits for so long is an alarm."""
_DUE_AT_ONCE = 32
_ROUND_S = 120.0
"""After this time in a round, what is left for a slow gateway waits for the next one, so that others get their turn."""
_INTERVAL_S = 1.0
_RETRY_S = 2.0


class HandoverDispatcher:
    """Delivers until stopped, despite failures of recipients, node or database."""

    def __init__(
        self,
        store: Store,
        deliveries: Deliveries,
        logger: FilteringBoundLogger,
        *,
        interval_s: float = _INTERVAL_S,
        timeout_s: float = TIMEOUT_S,
        tls: ssl.SSLContext | None = None,
        is_fresh: Callable[[], bool] = lambda: True,
    ) -> None:
        """`is_fresh` tells whether the index has the latest suspensions; nothing is sent while it has not."""
        self._store, self._deliveries, self._logger = store, deliveries, logger
        self._interval_s, self._timeout_s, self._is_fresh = interval_s, timeout_s, is_fresh
        self._tls = tls or ssl.create_default_context()
        self.loop = Loop(
            "millmark-handovers", self.step, logger, failed="hand-overs failed", retry_s=_RETRY_S, late_s=600.0
        )

    def start(self) -> None:
        self.loop.start()

    def stop(self) -> None:
        """Stops deliveries. One that is being sent is sent again after the next start."""
        self.loop.stop()

    def step(self) -> float:
        """One round. Returns the seconds until the next."""
        if not self._is_fresh():
            return self._interval_s
        more = self._deliveries.collect()
        due = self._deliveries.due(_DUE_AT_ONCE)
        if due:
            asyncio.run(self._deliver(due))
        if more or len(due) == _DUE_AT_ONCE:
            return 0.0
        # What waits is due at a time of its own, at which nobody writes.
        return self._interval_s if due or self._deliveries.is_waiting() else self.loop.idle(self._interval_s)

    def trouble(self) -> Trouble | None:
        """The alarm while a hand-over waits for long. Raises StoreError."""
        with self._store.reading() as connection:
            waiting = HandoverRepository(connection).waiting()
        age_s = time.time() - waiting.oldest_ms / 1000
        if not waiting.number or age_s < LATE_S:
            return None
        # /ready is public: neither how many there are, nor for whom, nor why.
        cause = f"hand-overs to other companies have not been delivered for {age_s:.0f} s"
        hint = "see `millmark handovers list`; give what a company cannot get over the network as a file"
        return Trouble("handovers", "handovers-waiting", cause, waiting.oldest_ms / 1000, hint)

    async def _deliver(self, due: Sequence[DeliveryRow]) -> None:
        by_recipient: dict[int, list[DeliveryRow]] = defaultdict(list)
        for row in due:
            by_recipient[row.recipient].append(row)
        await asyncio.gather(*(self._deliver_to(rows) for rows in by_recipient.values()))

    async def _deliver_to(self, rows: Sequence[DeliveryRow]) -> None:
        end_s = time.monotonic() + _ROUND_S
        for number, row in enumerate(rows):
            if self.loop.is_stopping or time.monotonic() > end_s:
                return
            answer = await self._attempt(row)
            if answer is not None and answer.is_unreachable:
                # The rest for this gateway would wait as long each, and nothing else would be delivered meanwhile.
                for later in rows[number + 1 :]:
                    self._deliveries.fail(later, answer.reason)
                return

    async def _attempt(self, row: DeliveryRow) -> Answer | None:
        """One attempt; None if nothing was sent."""
        try:
            prepared = self._deliveries.prepare(row)
        except MillmarkError as error:  # of node, book or bundle: the others go on
            self._logger.warning("hand-over not made", record=row.sequence, to=row.recipient, code=error.code)
            self._deliveries.fail(row, withhold_addresses(error.cause))
            return None
        if prepared is None:
            return None
        sealed, gateway = prepared
        answer = await send(gateway, sealed.digest, sealed.text, self._tls, self._timeout_s)
        if answer.is_kept:
            self._deliveries.settle(sealed, State.DELIVERED)
            self._deliveries.keep_receipts(sealed, answer.receipts)
            self._logger.info("handed over", record=row.sequence, to=row.recipient)
        else:
            if row.reason != answer.reason:
                self._logger.warning("hand-over waits", record=row.sequence, to=row.recipient, reason=answer.reason)
            self._deliveries.fail(sealed, answer.reason, anew=answer.is_refused)
        return answer
