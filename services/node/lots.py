"""What a node asks about lots that it certifies: the subject, in its book, and the order, of the contract.

A certificate names the lot's order, and the contract refuses it under any other. The sender's word alone is therefore
not enough: a verdict that is refused later is a verdict lost.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TypeVar, cast

from millmark.ledger.canonical import Json
from millmark.ledger.chain import Chain
from millmark.ledger.errors import ChainError, MillmarkError, Retry
from millmark.ledger.ids import SubjectKind, canonical_identifier
from millmark.ledger.records import Contract, Value
from millmark.ledger.store import Book, Rows, Store
from millmark.ledger.store.rows import LotRow
from millmark.services.node.errors import EventRefusedError

_FRESH_S = 10.0
"""For how long an answer of the contract is used again."""
_QUIET_S = 30.0
"""For how long nobody is asked at the door after a failure: senders must not wait for time-outs one after another."""
_DOOR_S = 1.0
"""Seconds of every `_FRESH_S` that may be spent asking at the door. A batch may name thousands of lots."""
_MAX_KEPT = 10_000
_NONE = bytes(32)
K = TypeVar("K")
V = TypeVar("V")


class OrderUnknownError(MillmarkError):
    """Nobody can be asked for a lot's order at present."""

    code = "order-unknown"
    retry = Retry.UNCHANGED


class LotUnrecordedError(OrderUnknownError):
    """The lot is not on the ledger, or not yet."""


class Lots:
    """Threads may share it: the door asks, and so does the certifier."""

    def __init__(self, store: Store, *, asks: bool = True) -> None:
        """`asks`: whether the node reaches the contract; one that sends through a relay does not."""
        self._store = store
        self._asks = asks
        self._chain: Chain | None = None
        self._answers: dict[tuple[str, bytes], tuple[float, Mapping[str, Value]]] = {}
        self._subjects: dict[str, tuple[float, bytes]] = {}
        self._quiet_until_s = 0.0
        self._door_s = (0.0, 0.0)
        """Beginning of the present span of `_FRESH_S`, and seconds spent in it."""

    def connect(self, chain: Chain) -> None:
        """Call with each chain that was checked against the configuration."""
        self._chain = chain

    def verify_event(self, event: Mapping[str, Json]) -> None:
        """Refuses an event with a lot that could only be certified for the wrong order. Raises EventRefusedError.

        What cannot be decided now passes: a lot that is not known yet, or a chain that does not answer, or not fast
        enough. It is decided before the certificate is made.
        """
        order = event.get("order")
        if not self._asks:
            self._choose_unasked(order)
        elif self._chain is not None and self._has_time():
            begun = time.monotonic()
            try:
                self.find_order(self.find_subject(str(event["lot"])), order if isinstance(order, str) else None)
            except LotUnrecordedError:
                return
            except OrderUnknownError:
                self._quiet_until_s = time.monotonic() + _QUIET_S
            except EventRefusedError as error:
                if error.reason != "lot-unknown":  # the book may learn of it until the certificate is made
                    raise
            finally:
                began, spent = self._door_s
                self._door_s = began, spent + time.monotonic() - begun

    def _has_time(self) -> bool:
        now_s = time.monotonic()
        if now_s - self._door_s[0] > _FRESH_S:
            self._door_s = now_s, 0.0
        return now_s >= self._quiet_until_s and self._door_s[1] < _DOOR_S

    def find_subject(self, name: str) -> bytes:
        """The subject of the lot by a subject or an identifier. Raises EventRefusedError and StoreError."""
        if name.startswith("0x"):
            return bytes.fromhex(name[2:])
        at_s, subject = self._subjects.get(name, (0.0, b""))
        if not at_s or time.monotonic() - at_s > _FRESH_S:
            subject = self._look_up(name)
            _keep(self._subjects, name, (time.monotonic(), subject))
        return subject

    def _look_up(self, name: str) -> bytes:
        identifier = canonical_identifier(name)
        with self._store.reading() as connection:
            found = [one for one in Book(connection).identities(identifier) if one.kind is SubjectKind.LOT]
        # Several companies may use the same identifier: certifying any one of the lots would be a guess.
        if len(found) != 1:
            raise EventRefusedError(
                "lot-unknown",
                f"this node knows {len(found)} lots by that identifier",
                hint="add the lot to this node's book, or use its subject in the event",
            )
        return found[0].subject

    def find_order(self, lot: bytes, stated: str | None) -> bytes:
        """The subject of the order that the lot belongs to, zero bytes if there is none. `stated`: the event's word.

        Raises EventRefusedError if the event names another order, or none although the lot has one that this node's
        index does not show; LotUnrecordedError if the lot is not on the ledger; OrderUnknownError if nobody answers.
        """
        if not self._asks:
            return self._choose_unasked(stated)
        found = self._ask("lotOf", lot)
        if found["number"] == 0:
            raise LotUnrecordedError(f"lot 0x{lot.hex()} is not on the ledger")
        sequence = cast(int, found["order"])
        if stated is not None:
            return self._choose_stated(lot, bytes.fromhex(stated[2:]), sequence)
        order = self._indexed(lot) if sequence else _NONE
        if self._sequence(order) != sequence:
            raise EventRefusedError(
                "order-missing",
                f"lot 0x{lot.hex()} belongs to the order of record {sequence}, which the event does not name",
                hint="send the order's subject with the event",
            )
        return order

    @staticmethod
    def _choose_unasked(stated: object) -> bytes:
        if not isinstance(stated, str):
            raise EventRefusedError(
                "order-missing",
                "this node sends through a relay and cannot ask for the lot's order",
                hint=f"send the order's subject with the event, or 0x{_NONE.hex()} if the lot has none",
            )
        return bytes.fromhex(stated[2:])

    def _choose_stated(self, lot: bytes, order: bytes, sequence: int) -> bytes:
        if self._sequence(order) != sequence:
            place = f"to the order of record {sequence}" if sequence else "to no order"
            raise EventRefusedError(
                "order-wrong",
                f"lot 0x{lot.hex()} belongs {place}, and not to 0x{order.hex()}",
                hint="send the subject of the lot's order",
            )
        return order

    def _sequence(self, order: bytes) -> int:
        """Sequence of the order's first record; 0 for no order, -1 for one that is not on the ledger."""
        return 0 if order == _NONE else cast(int, self._ask("orderOf", order)["sequence"]) or -1

    def _indexed(self, lot: bytes) -> bytes:
        with self._store.reading() as connection:
            row = Rows(connection).get(LotRow, lot)
        return _NONE if row is None or row.order is None else row.order

    def _ask(self, function: str, subject: bytes) -> Mapping[str, Value]:
        at_s, found = self._answers.get((function, subject), (0.0, {}))
        if at_s and time.monotonic() - at_s <= _FRESH_S:
            return found
        if self._chain is None:
            raise OrderUnknownError("the chain was not reached yet")
        try:
            found = self._chain.read_struct(Contract.LEDGER, function, subject)
        except ChainError as error:
            raise OrderUnknownError(error.cause, hint=error.hint) from None
        # What is not there is asked again: it may be recorded at any moment.
        if found.get("number") or found.get("sequence"):
            _keep(self._answers, (function, subject), (time.monotonic(), found))
        return found


def _keep(kept: dict[K, V], key: K, value: V) -> None:
    if len(kept) >= _MAX_KEPT:
        kept.clear()
    kept[key] = value
