"""Builds the parts of answers from rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable

from millmark.ledger.provenance import answers
from millmark.ledger.provenance.jsonform import moment
from millmark.ledger.provenance.limits import Limits
from millmark.ledger.provenance.reader import Reader, unit
from millmark.ledger.records import AssignmentState, Contract, LotState, OrderState, TransformationKind
from millmark.ledger.store.rows import (
    AnchorRow,
    AssignmentRow,
    HeadRow,
    LotInputRow,
    LotOutputRow,
    LotRow,
    OperationRow,
    OrderRow,
    RecordHistoryRow,
    RecordRow,
    StandingRow,
    StreamRow,
    SupersessionRow,
    TransformationRow,
    WaiverRow,
    gates_of,
)


def head_of(reader: Reader, subject: bytes) -> bytes:
    """The head of an order's or lot's history, 32 bytes. Raises NotFoundError if the index lacks it."""
    return reader.need(HeadRow, subject).head


def build_lot(reader: Reader, row: LotRow) -> answers.Lot:
    return answers.Lot(
        subject=row.subject,
        identifier=reader.identifier(row.subject),
        sequence=row.sequence,
        unit=unit(row.unit),
        quantity=row.quantity,
        quantity_created=row.quantity_created,
        state=LotState(row.state),
        custodian=reader.party(row.custodian),
        holder=reader.party(reader.holder(row.subject)),
        counterparty=reader.some_party(row.counterparty),
        offer=row.offer if row.state in (LotState.OFFERED, LotState.RETURNING) else None,
        order=row.order,
        parent=row.parent,
        assignment=row.assignment or None,
        created_at=moment(row.created_at),
        claims_root=row.claims_root,
    )


def build_orders(reader: Reader, subjects: Iterable[bytes]) -> tuple[answers.Order, ...]:
    """Build orders, in the order in which they were placed. Unknown subjects are left out."""
    rows = reader.rows.among(OrderRow, "subject", subjects)
    reader.name(row.subject for row in rows)
    return tuple(_order(reader, row) for row in sorted(rows, key=lambda row: row.sequence))


def _order(reader: Reader, row: OrderRow) -> answers.Order:
    return answers.Order(
        subject=row.subject,
        identifier=reader.identifier(row.subject),
        sequence=row.sequence,
        state=OrderState(row.state),
        buyer=reader.party(row.buyer),
        coordinator=reader.party(row.coordinator),
        gates=tuple(answers.Gate(reader.party(gate.inspector), gate.model or None) for gate in gates_of(row)),
        quantity=row.quantity,
        unit=unit(row.unit) if row.quantity else None,
        operations=row.operations,
        finished=row.finished,
        live=row.live,
        placed_at=moment(row.placed_at),
        due_at=moment(row.due_at),
        claims_root=row.claims_root,
    )


def build_assignments(reader: Reader, order: bytes) -> tuple[answers.Assignment, ...]:
    """Build all assignments of an order, by operation, then by sequence."""
    current = {row.assignment for row in reader.rows.find(OperationRow, order=order)}
    found = reader.rows.find(AssignmentRow, order=order)
    found.sort(key=lambda row: (row.operation, row.sequence))
    return tuple(build_assignment(reader, row, row.sequence in current) for row in found)


def build_assignment(reader: Reader, row: AssignmentRow, current: bool) -> answers.Assignment:
    return answers.Assignment(
        assignment=row.sequence,
        order=row.order,
        operation=row.operation,
        current=current,
        state=AssignmentState(row.state),
        machine=reader.machine(row.machine),
        owner=reader.party(row.owner),
        proposed_at=moment(row.proposed_at),
        accepted_at=moment(row.accepted_at),
        started_at=moment(row.started_at),
        ended_at=moment(row.ended_at),
        stream=row.stream,
        leaf_index=None if row.leaf_hash is None else row.leaf_index,
        leaf_hash=row.leaf_hash,
        claims_root=row.claims_root,
    )


def build_custody(reader: Reader, lot: bytes, limits: Limits) -> tuple[answers.CustodyChange, ...]:
    return tuple(
        answers.CustodyChange(
            sequence=row.sequence,
            kind=row.kind,
            lot=row.lot,
            from_=reader.some_party(row.from_participant),
            to=reader.party(row.to_participant),
            time=moment(row.changed_at),
        )
        for row in reader.lineage.custody(lot, limits.depth)
    )


def build_waivers(reader: Reader, lot: bytes) -> tuple[answers.Waiver, ...]:
    """Build the waivers of a lot, oldest first. Of several for one inspector, only the latest can hold."""
    rows = sorted(reader.rows.find(WaiverRow, lot=lot), key=lambda row: row.sequence)
    latest = {row.inspector: row.sequence for row in rows}
    return tuple(
        answers.Waiver(
            sequence=row.sequence,
            lot=row.lot,
            buyer=reader.party(row.buyer),
            inspector=reader.party(row.inspector),
            certificate=row.certificate or None,
            holds=latest[row.inspector] == row.sequence and _holds(reader, row),
            time=moment(row.waived_at),
            reason_root=row.reason_root,
        )
        for row in rows
    )


def _holds(reader: Reader, waiver: WaiverRow) -> bool:
    """By the rules of Verdicts._isWaived in contracts/src/history."""
    lot, standing = reader.lot(waiver.lot), reader.rows.get(StandingRow, waiver.lot, waiver.inspector)
    same = waiver.certificate == (0 if standing is None else standing.latest)
    return same and waiver.order == lot.order and waiver.sequence > lot.reworked


def build_transformations(reader: Reader, lots: Iterable[bytes]) -> tuple[answers.Transformation, ...]:
    """Build the transformations that made any of these lots, with all inputs and outputs, by sequence."""
    sequences = {row.sequence for row in reader.rows.among(LotOutputRow, "lot", lots)}
    inputs, outputs = _quantities(reader, LotInputRow, sequences), _quantities(reader, LotOutputRow, sequences)
    found = reader.rows.among(TransformationRow, "sequence", sequences)
    return tuple(
        answers.Transformation(
            sequence=row.sequence,
            kind=TransformationKind(row.kind),
            participant=reader.party(row.participant),
            order=row.order,
            unit=unit(row.unit),
            output_unit=unit(row.output_unit),
            loss=row.loss,
            yield_in=row.yield_in,
            yield_out=row.yield_out,
            time=moment(row.transformed_at),
            inputs=tuple(inputs[row.sequence]),
            outputs=tuple(outputs[row.sequence]),
        )
        for row in sorted(found, key=lambda row: row.sequence)
    )


def _quantities(
    reader: Reader, kind: type[LotInputRow] | type[LotOutputRow], sequences: set[int]
) -> dict[int, list[answers.TransformedQuantity]]:
    rows: list[LotInputRow | LotOutputRow] = [*reader.rows.among(kind, "sequence", sequences)]
    reader.load(row.lot for row in rows)
    found: dict[int, list[answers.TransformedQuantity]] = {sequence: [] for sequence in sequences}
    for row in rows:
        component = isinstance(row, LotInputRow) and row.component
        name, code = reader.identifier(row.lot), unit(reader.lot(row.lot).unit)
        found[row.sequence].append(answers.TransformedQuantity(row.lot, name, row.quantity, code, component))
    return found


def build_streams(
    reader: Reader, assignments: Iterable[answers.Assignment], certificates: Iterable[answers.Certificate]
) -> tuple[answers.Stream, ...]:
    """Build the streams that assignments and certificates refer to, in the order in which they were opened, each with
    the anchors under which the entries are proved first, and its latest."""
    named: dict[bytes, set[int]] = defaultdict(set)
    entries: list[answers.Assignment | answers.Certificate] = [*assignments, *certificates]
    for item in entries:
        if item.stream is not None:
            named[item.stream] |= set() if item.leaf_index is None else {item.leaf_index}
    # A machine's stream is anchored for years, and an answer about one part must not grow with it.
    return _build_streams(reader, named, lambda row: _anchors_of(reader, row, named[row.subject]))


def build_stream(reader: Reader, subject: bytes, most: int) -> answers.Stream:
    """Build a stream that exists, with its latest anchors, at most `most`, oldest first."""

    def latest(row: StreamRow) -> list[AnchorRow]:
        # By size, which grows with each anchor and is in an index of the stream.
        return reader.rows.latest(AnchorRow, "size", most, stream=row.subject)[::-1]

    return _build_streams(reader, [subject], latest)[0]


def _anchors_of(reader: Reader, row: StreamRow, leaves: Iterable[int]) -> list[AnchorRow]:
    """The first anchor that covers each of these leaves, and the stream's latest, in their order."""
    found: list[AnchorRow] = []
    for leaf in (*sorted(leaves), row.size - 1):
        if not found or found[-1].size <= leaf:
            first = reader.rows.first_after(AnchorRow, "size", leaf, stream=row.subject)
            found += [] if first is None else [first]
    return found


def _build_streams(
    reader: Reader, subjects: Collection[bytes], anchors_of: Callable[[StreamRow], Iterable[AnchorRow]]
) -> tuple[answers.Stream, ...]:
    reader.name(subjects)
    found = sorted(reader.rows.among(StreamRow, "subject", subjects), key=lambda row: row.sequence)
    return tuple(
        answers.Stream(
            subject=row.subject,
            identifier=reader.identifier(row.subject),
            machine=reader.some_machine(row.machine),
            size=row.size,
            root=row.root,
            opened_at=moment(row.opened_at),
            anchors=tuple(
                answers.Anchor(anchor.sequence, anchor.size, anchor.root, moment(anchor.anchored_at))
                for anchor in anchors_of(row)
            ),
        )
        for row in found
    )


def build_records(reader: Reader, subject: bytes) -> tuple[answers.HistoryRecord, ...]:
    """Build the history of an order or lot, oldest first."""
    sequences = {row.sequence for row in reader.rows.find(RecordHistoryRow, subject=subject)}
    # The registry numbers its records apart, so that a sequence alone also finds records that are not of the ledger.
    found = reader.rows.among(RecordRow, "sequence", sequences, contract=Contract.LEDGER.value)
    later = reader.rows.among(SupersessionRow, "superseded", sequences)
    superseded = {row.superseded: row.sequence for row in sorted(later, key=lambda row: row.sequence)}
    return tuple(
        answers.HistoryRecord(
            sequence=row.sequence,
            kind=row.kind,
            participant=reader.party(row.participant),
            subject=row.subject,
            key=row.key,
            time=moment(row.block_time),
            block_number=row.block_number,
            block_hash=row.block_hash,
            transaction_hash=row.transaction_hash,
            log_index=row.log_index,
            superseded_by=superseded.get(row.sequence),
            fields=row.event(),
        )
        for row in sorted(found, key=lambda row: row.sequence)
    )
