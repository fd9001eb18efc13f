"""What waits for inspectors: lots without a verdict that counts at a gate of their order, and demanded openings."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime

from millmark.ledger.ids import SubjectKind
from millmark.ledger.provenance import answers
from millmark.ledger.provenance.build_answers import build_lot, build_waivers
from millmark.ledger.provenance.jsonform import moment
from millmark.ledger.provenance.reader import Reader
from millmark.ledger.records import CertificateState, CertificateStatus, Contract, Gate, LotState, OrderState
from millmark.ledger.store.rows import (
    AssignmentRow,
    CertificateRow,
    LotRow,
    OrderRow,
    RecordRow,
    StandingRow,
    gates_of,
)

__all__ = ["Demand", "Waiting", "WaitingGate", "find_challenged", "find_demands", "find_gates", "find_waiting"]

_LIVE = (OrderState.ACCEPTED, OrderState.IN_PRODUCTION, OrderState.COMPLETED)
_MAX_ORDERS = 1_000
"""Orders of each state that are looked at."""


@dataclass(frozen=True, slots=True)
class WaitingGate:
    """A lot that custody of cannot pass to the buyer, because one gate of its order has no verdict that counts."""

    lot: answers.Lot
    order: bytes
    order_identifier: str | None
    buyer: answers.Party
    inspector: answers.Party
    model: int | None
    """None if the gate is by a procedure."""
    since: datetime | None
    """When the lot was made or, if it was reworked since, reworked."""
    due_at: datetime | None
    earlier: CertificateStatus
    """The status of the inspector's latest certificate, which does not count any more; `NONE` if there is none."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Lots that wait, those that are due first in front."""

    items: tuple[WaitingGate, ...]
    truncated: bool
    """Whether there are more, or orders were left out."""


@dataclass(frozen=True, slots=True)
class Demand:
    """A certificate whose inference must be opened."""

    certificate: answers.Certificate
    overdue: bool
    """Whether the deadline has passed, so that the certificate does not count."""


def find_waiting(reader: Reader, most: int) -> Waiting:
    """The lots that are visible to the reader's participant, unspent and not with the buyer, made by the order's last
    operation or by none, at gates where no certificate counts and the buyer waived nothing."""
    orders = {row.subject: row for row in _live_orders(reader)}
    rows = [row for row in _lots(reader, orders) if row.state != LotState.SPENT]
    if reader.visibility is not None:
        seen = reader.visibility.among(SubjectKind.LOT, [row.subject for row in rows])
        rows = [row for row in rows if row.subject in seen]
    reader.load(row.subject for row in rows)
    reader.name(orders)
    rows = [row for row in rows if row.order and reader.holder(row.subject) != orders[row.order].buyer]
    rows.sort(key=lambda row: (orders[row.order or b""].due_at or 2**63, row.number))
    found: list[WaitingGate] = []
    for row in rows:
        found += find_gates(reader, row, orders[row.order or b""])
        if len(found) > most:
            break
    return Waiting(tuple(found[:most]), len(found) > most or len(orders) >= _MAX_ORDERS)


def find_demands(reader: Reader, most: int) -> tuple[Demand, ...]:
    """Certificates on visible lots whose opening is demanded and has not happened, the earliest deadline first."""
    rows = _visible(reader, reader.rows.find(CertificateRow, state=int(CertificateState.DEMANDED)))
    rows.sort(key=lambda row: (row.opening_deadline, row.sequence))
    now = reader.cursor.block_time
    built = {one.certificate: one for one in reader.certificates(rows[:most])}
    return tuple(Demand(built[row.sequence], row.opening_deadline <= now) for row in rows[:most])


def find_challenged(reader: Reader, most: int) -> tuple[answers.Certificate, ...]:
    """Certificates on visible lots whose inference was opened, upheld or refuted, the latest first."""
    decided = (int(CertificateState.UPHELD), int(CertificateState.REFUTED))
    rows = _visible(reader, reader.rows.among(CertificateRow, "state", decided))
    rows.sort(key=lambda row: (row.opened_at, row.sequence), reverse=True)
    return reader.certificates(rows[:most])[::-1]


def _live_orders(reader: Reader) -> list[OrderRow]:
    rows = [row for state in _LIVE for row in reader.rows.latest(OrderRow, "sequence", _MAX_ORDERS, state=int(state))]
    rows = [row for row in rows if row.gates]
    if reader.visibility is not None:
        seen = reader.visibility.among(SubjectKind.ORDER, [row.subject for row in rows])
        rows = [row for row in rows if row.subject in seen]
    return rows


def _lots(reader: Reader, orders: dict[bytes, OrderRow]) -> list[LotRow]:
    """Lots of the orders that are finished: made in the order's last operation, or in none that the ledger knows."""
    rows = reader.rows.among(LotRow, "order", orders)
    made = {row.assignment for row in rows if row.assignment}
    operations = {row.sequence: row.operation for row in reader.rows.among(AssignmentRow, "sequence", made)}
    return [
        row
        for row in rows
        if row.order
        and operations.get(row.assignment, orders[row.order].operations) >= orders[row.order].operations - 1
    ]


def find_gates(reader: Reader, lot: LotRow, order: OrderRow) -> Iterator[WaitingGate]:
    """The gates of its order that keep a lot from the buyer. The reader has loaded the lot, and named the order."""
    standings = {row.inspector: row for row in reader.rows.find(StandingRow, lot=lot.subject)}
    waived = {one.inspector.participant for one in build_waivers(reader, lot.subject) if one.holds}
    for gate in gates_of(order):
        latest = _latest(reader, standings.get(gate.inspector))
        status = CertificateStatus.NONE if latest is None else reader.status(latest, lot)
        # A failing verdict from before a rework says nothing of what the lot is now.
        outdated = latest is not None and latest.sequence < lot.reworked
        if gate.inspector not in waived and (outdated or status is not CertificateStatus.VALID):
            yield _waiting(reader, lot, order, gate, CertificateStatus.VOIDED if outdated else status)


def _latest(reader: Reader, standing: StandingRow | None) -> CertificateRow | None:
    return None if standing is None else reader.rows.get(CertificateRow, standing.latest)


def _waiting(reader: Reader, lot: LotRow, order: OrderRow, gate: Gate, status: CertificateStatus) -> WaitingGate:
    reworked = reader.rows.get(RecordRow, Contract.LEDGER.value, lot.reworked) if lot.reworked else None
    return WaitingGate(
        lot=build_lot(reader, lot),
        order=order.subject,
        order_identifier=reader.identifier(order.subject),
        buyer=reader.party(order.buyer),
        inspector=reader.party(gate.inspector),
        model=gate.model or None,
        since=moment(lot.created_at if reworked is None else reworked.block_time),
        due_at=moment(order.due_at),
        earlier=status,
    )


def _visible(reader: Reader, rows: Collection[CertificateRow]) -> list[CertificateRow]:
    if reader.visibility is None:
        return list(rows)
    seen = reader.visibility.among(SubjectKind.LOT, {row.lot for row in rows})
    return [row for row in rows if row.lot in seen]
