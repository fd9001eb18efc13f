"""The hand-overs that this company owes: which are due, made once, and what came of the attempts to deliver them.

The queue follows from the final records of the index: reading them again adds nothing, so a crash at any point loses
and doubles nothing. A hand-over is sealed once and kept until it is delivered, because the recipient remembers it by
its digest: sealed anew, it would be another one.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from millmark.ledger.chain import Chain
from millmark.ledger.claims import Path
from millmark.ledger.errors import InputError, NotFoundError
from millmark.ledger.records import Contract
from millmark.ledger.signatures import Signer
from millmark.ledger.store import Connection, Feed, Position, Registry, Rows, Store
from millmark.ledger.store.rows import RecordRow
from millmark.services.handover.addressees import find_addressee
from millmark.services.handover.building import EARLY, NotDueError, Rest, build_content, find_rest
from millmark.services.handover.content import Content, encode_content
from millmark.services.handover.envelope import Envelope, Route, encode_envelope, seal
from millmark.services.handover.erasures import Erasure, find_commitment, sign_erasure, write_path
from millmark.services.handover.errors import HandoverEarlyError
from millmark.services.handover.repository import DeliveryRow, HandoverRepository
from millmark.services.handover.table import recipients_of
from millmark.services.planning.receipts import Receipt, verify_receipts
from millmark.services.planning.repository import PlanningRepository

__all__ = ["WAITS_S", "Deliveries", "State", "ask_others_to_erase", "ask_others_to_erase_all"]

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
    """It is not due any more: the offer was declined, the order rejected."""


@dataclass(frozen=True, slots=True)
class _Sealed:
    """A hand-over as it was made, which takes a while: meanwhile, something may come or be erased."""

    envelope: Envelope
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
                    return encode_envelope(made.envelope)

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
        except HandoverEarlyError as error:
            self._postpone(row, error.cause)
            return None
        text, digest = encode_envelope(made.envelope), made.envelope.head.digest
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
            raise HandoverEarlyError("the gateway's key signs for no participant that may act")
        now_s = self._clock_ms() // 1000
        try:
            content = build_content(self._store, self._chain, row.sequence, me.number, row.recipient, now_s)
        except NotDueError:
            if not erasures:
                raise
            content = Content()  # what was handed over until it ended is still to be erased
        signed = tuple(sign_erasure(ledger, one, self._signer) for one in erasures)
        route = Route(ledger.chain_id, ledger.ledger, me.number, row.recipient, key, row.sequence)
        envelope = seal(route, encode_content(replace(content, erasures=signed)), self._signer)
        return _Sealed(envelope, [claims.root for claims in content.documents], known)

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
        contract, record = ("", 0) if participant is None else find_commitment(rows, root, participant)
        for path in paths:
            handovers.erase(Erasure(root, write_path(path), contract, record, b""), now_ms)
        return handovers.given(root) if record else 0


def ask_others_to_erase_all(store: Store, roots: Iterable[bytes], participant: int | None) -> int:
    """Like `ask_others_to_erase`, for all fields of several documents: those behind the versions of an encrypted one,
    which have its name, size and hash. Returns how many hand-overs are made and sent again."""
    return sum(ask_others_to_erase(store, root, [()], participant) for root in roots)
