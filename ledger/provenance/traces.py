"""Traces of lots and orders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable
from typing import TypedDict, TypeVar

from millmark.ledger.canonical import to_hex
from millmark.ledger.errors import GenealogyError, NotFoundError, StoreDamagedError
from millmark.ledger.ids import SubjectKind
from millmark.ledger.provenance import answers
from millmark.ledger.provenance.answers import answer_of, moment
from millmark.ledger.provenance.openings import build_shared_measurements
from millmark.ledger.provenance.permissions import Limits
from millmark.ledger.provenance.reader import (
    HINT_INDEX,
    Direction,
    LookupGround,
    Nearest,
    Reader,
    find_subject,
    open_reader,
    unit,
    verify_name,
)
from millmark.ledger.records import Contract, LotState, NoteKind
from millmark.ledger.store import Store
from millmark.ledger.store import rows as tables

# Builds the parts of answers from rows.


def head_of(reader: Reader, subject: bytes) -> bytes:
    """The head of an order's or lot's history, 32 bytes. Raises NotFoundError if the index lacks it."""
    return reader.need(tables.HeadRow, subject).head


def build_lot(reader: Reader, row: tables.LotRow) -> answers.Lot:
    return answer_of(
        answers.Lot,
        row,
        identifier=reader.identifier(row.subject),
        unit=unit(row.unit),
        custodian=reader.party(row.custodian),
        holder=reader.party(reader.holder(row.subject)),
        counterparty=reader.some_party(row.counterparty),
        offer=row.offer if row.state in (LotState.OFFERED, LotState.RETURNING) else None,
    )


def build_orders(reader: Reader, subjects: Iterable[bytes]) -> tuple[answers.Order, ...]:
    """Build orders, in the order in which they were placed. Unknown subjects are left out."""
    rows = reader.rows.among(tables.OrderRow, "subject", subjects)
    reader.name(row.subject for row in rows)
    return tuple(_order(reader, row) for row in sorted(rows, key=lambda row: row.sequence))


def _order(reader: Reader, row: tables.OrderRow) -> answers.Order:
    return answer_of(
        answers.Order,
        row,
        identifier=reader.identifier(row.subject),
        buyer=reader.party(row.buyer),
        coordinator=reader.party(row.coordinator),
        gates=tuple(answers.Gate(reader.party(gate.inspector), gate.model or None) for gate in tables.gates_of(row)),
        unit=unit(row.unit) if row.quantity else None,
    )


def build_assignments(reader: Reader, order: bytes) -> tuple[answers.Assignment, ...]:
    """Build all assignments of an order, by operation, then by sequence."""
    current = {row.assignment for row in reader.rows.find(tables.OperationRow, order=order)}
    found = reader.rows.find(tables.AssignmentRow, order=order)
    found.sort(key=lambda row: (row.operation, row.sequence))
    return tuple(build_assignment(reader, row, row.sequence in current) for row in found)


def build_assignment(reader: Reader, row: tables.AssignmentRow, current: bool) -> answers.Assignment:
    reader.name([row.order])
    return answer_of(
        answers.Assignment,
        row,
        assignment=row.sequence,
        identifier=reader.identifier(row.order),
        current=current,
        machine=reader.machine(row.machine),
        owner=reader.party(row.owner),
        leaf_index=None if row.leaf_hash is None else row.leaf_index,
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
    rows = sorted(reader.rows.find(tables.WaiverRow, lot=lot), key=lambda row: row.sequence)
    latest = {row.inspector: row.sequence for row in rows}
    return tuple(
        answer_of(
            answers.Waiver,
            row,
            buyer=reader.party(row.buyer),
            inspector=reader.party(row.inspector),
            holds=latest[row.inspector] == row.sequence and _holds(reader, row),
            time=moment(row.waived_at),
        )
        for row in rows
    )


def _holds(reader: Reader, waiver: tables.WaiverRow) -> bool:
    """By the rules of Verdicts._isWaived in contracts/src/history."""
    lot, standing = reader.lot(waiver.lot), reader.rows.get(tables.StandingRow, waiver.lot, waiver.inspector)
    same = waiver.certificate == (0 if standing is None else standing.latest)
    return same and waiver.order == lot.order and waiver.sequence > lot.reworked


def build_transformations(reader: Reader, lots: Iterable[bytes]) -> tuple[answers.Transformation, ...]:
    """Build the transformations that made any of these lots, with all inputs and outputs, by sequence."""
    sequences = {row.sequence for row in reader.rows.among(tables.LotOutputRow, "lot", lots)}
    inputs, outputs = (
        _quantities(reader, tables.LotInputRow, sequences),
        _quantities(reader, tables.LotOutputRow, sequences),
    )
    found = reader.rows.among(tables.TransformationRow, "sequence", sequences)
    return tuple(
        answer_of(
            answers.Transformation,
            row,
            participant=reader.party(row.participant),
            unit=unit(row.unit),
            output_unit=unit(row.output_unit),
            time=moment(row.transformed_at),
            inputs=tuple(inputs[row.sequence]),
            outputs=tuple(outputs[row.sequence]),
        )
        for row in sorted(found, key=lambda row: row.sequence)
    )


def _quantities(
    reader: Reader, kind: type[tables.LotInputRow] | type[tables.LotOutputRow], sequences: set[int]
) -> dict[int, list[answers.TransformedQuantity]]:
    rows: list[tables.LotInputRow | tables.LotOutputRow] = [*reader.rows.among(kind, "sequence", sequences)]
    reader.load(row.lot for row in rows)
    found: dict[int, list[answers.TransformedQuantity]] = {sequence: [] for sequence in sequences}
    for row in rows:
        component = isinstance(row, tables.LotInputRow) and row.component
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
    """Build the answer for an existing stream, with its latest anchors: at most `most`, oldest first."""

    def latest(row: tables.StreamRow) -> list[tables.AnchorRow]:
        # By size, which grows with each anchor and is in an index of the stream.
        return reader.rows.latest(tables.AnchorRow, "size", most, stream=row.subject)[::-1]

    return _build_streams(reader, [subject], latest)[0]


def _anchors_of(reader: Reader, row: tables.StreamRow, leaves: Iterable[int]) -> list[tables.AnchorRow]:
    """The first anchor that covers each of these leaves, and the stream's latest, in their order."""
    found: list[tables.AnchorRow] = []
    for leaf in (*sorted(leaves), row.size - 1):
        if not found or found[-1].size <= leaf:
            first = reader.rows.first_after(tables.AnchorRow, "size", leaf, stream=row.subject)
            found += [] if first is None else [first]
    return found


def _build_streams(
    reader: Reader, subjects: Collection[bytes], anchors_of: Callable[[tables.StreamRow], Iterable[tables.AnchorRow]]
) -> tuple[answers.Stream, ...]:
    reader.name(subjects)
    found = sorted(reader.rows.among(tables.StreamRow, "subject", subjects), key=lambda row: row.sequence)
    return tuple(
        answer_of(
            answers.Stream,
            row,
            identifier=reader.identifier(row.subject),
            machine=reader.some_machine(row.machine),
            anchors=tuple(
                answers.Anchor(anchor.sequence, anchor.size, anchor.root, moment(anchor.anchored_at))
                for anchor in anchors_of(row)
            ),
        )
        for row in found
    )


def build_records(reader: Reader, subject: bytes) -> tuple[answers.HistoryRecord, ...]:
    """Build the history of an order or lot, oldest first."""
    sequences = {row.sequence for row in reader.rows.find(tables.RecordHistoryRow, subject=subject)}
    # The registry numbers its records apart, so that a sequence alone also finds records that are not of the ledger.
    found = reader.rows.among(tables.RecordRow, "sequence", sequences, contract=Contract.LEDGER.value)
    # Of those in this history: a correction of a record that enters several may stand in the history of one alone.
    notes = reader.rows.among(tables.NoteRow, "sequence", sequences, note_kind=int(NoteKind.CORRECTION))
    corrected = {(one.about, one.participant): one.sequence for one in sorted(notes, key=lambda one: one.sequence)}
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
            corrected_by=corrected.get((row.sequence, row.participant)),
            fields=row.event(),
        )
        for row in sorted(found, key=lambda row: row.sequence)
    )


L = TypeVar("L", bound=Hashable)
_MAX_SHOWN = 8
"""Lots of a cycle that an error names."""


def sort_lots(steps: Iterable[tuple[L, L]], show: Callable[[L], str] = str) -> list[L]:
    """Sort all lots of (input, output) pairs, each after its inputs; otherwise in the order of the pairs.

    On the chain, no lot can be made from itself: a transformation's outputs are new, and its inputs exist before it.
    Data from elsewhere have no such guarantee, so importers sort them here first.

    Takes time proportional to the number of pairs (Kahn's algorithm). Raises GenealogyError if a lot is made from
    itself; `show` formats the lots that the error names.
    """
    outputs: dict[L, list[L]] = {}
    missing: dict[L, int] = defaultdict(int)
    for before, after in dict.fromkeys(steps):
        outputs.setdefault(before, []).append(after)
        outputs.setdefault(after, [])
        missing[after] += 1
    ready = [lot for lot in outputs if not missing[lot]]
    for lot in ready:  # grows during the loop
        for after in outputs[lot]:
            missing[after] -= 1
            if not missing[after]:
                ready.append(after)
    if len(ready) < len(outputs):
        _refuse(_find_cycle(outputs, set(ready)), show)
    return ready


def _find_cycle(outputs: dict[L, list[L]], sorted_: set[L]) -> list[L]:
    # Every lot that is left has an input that is left, so walking backwards from any of them ends in a cycle.
    before = {after: lot for lot, made in outputs.items() if lot not in sorted_ for after in made}
    lot = next(iter(before))
    seen: dict[L, int] = {}
    while lot not in seen:
        seen[lot] = len(seen)
        lot = before[lot]
    return list(seen)[seen[lot] :][::-1]


def _refuse(cycle: list[L], show: Callable[[L], str]) -> None:
    shown = [show(lot) for lot in cycle[:_MAX_SHOWN]]
    if len(cycle) > _MAX_SHOWN:
        shown.append(f"... ({len(cycle) - _MAX_SHOWN} more)")
    path = " -> ".join([*shown, show(cycle[0])])
    raise GenealogyError(f"a lot is made from itself: {path}", hint="correct the data: one of these steps is wrong")


_DEFAULT = Limits()


class _Family(TypedDict):
    """What an answer states about the family of its lots."""

    upstream: tuple[answers.RelatedLot, ...]
    downstream: tuple[answers.RelatedLot, ...]
    transformations: tuple[answers.Transformation, ...]
    truncated: bool
    cuts: tuple[answers.Cut, ...]


def trace(
    store: Store,
    name: str | bytes,
    *,
    direction: Direction = Direction.BOTH,
    limits: Limits = _DEFAULT,
    viewer: int | None = None,
) -> answers.Trace | answers.OrderTrace:
    """Trace a lot or an order, by identifier or subject, in one or both directions.

    For a `viewer`, the number of a participant, only what is visible to it exists
    (millmark.ledger.provenance.permissions). Raises NotFoundError if the name is unknown, InputError if several things
    have the identifier, IdentifierError for a malformed name, StoreDamagedError if a lot is made from itself in the
    index.
    """
    verify_name(name)
    with open_reader(store, viewer) as reader:
        return build_trace(reader, name, direction, limits)


def build_trace(
    reader: Reader, name: str | bytes, direction: Direction, limits: Limits
) -> answers.Trace | answers.OrderTrace:
    """Like `trace`, with a reader, for a name that `verify_name` accepted."""
    kind, subject = find_subject(reader, name, SubjectKind.LOT, SubjectKind.ORDER)
    build = build_lot_trace if kind is SubjectKind.LOT else _trace_order
    return build(reader, subject, direction, limits)


def trace_lot(
    store: Store, name: str | bytes, *, direction: Direction = Direction.BOTH, limits: Limits = _DEFAULT
) -> answers.Trace:
    """Like `trace`, for lots only."""
    verify_name(name)
    with open_reader(store) as reader:
        return build_lot_trace(reader, find_subject(reader, name, SubjectKind.LOT)[1], direction, limits)


def trace_order(
    store: Store, name: str | bytes, *, direction: Direction = Direction.BOTH, limits: Limits = _DEFAULT
) -> answers.OrderTrace:
    """Like `trace`, for orders only."""
    verify_name(name)
    with open_reader(store) as reader:
        return _trace_order(reader, find_subject(reader, name, SubjectKind.ORDER)[1], direction, limits)


def certificate(store: Store, sequence: int, *, viewer: int | None = None) -> answers.Certificate:
    """A certificate by the sequence of the record that issued it. Raises NotFoundError if it or its lot does not exist
    for the `viewer`."""
    with open_reader(store, viewer) as reader:
        return reader.certificates([find_certificate_row(reader, sequence)])[0]


def find_certificate_row(reader: Reader, sequence: int) -> tables.CertificateRow:
    """The row of a certificate. Raises as `certificate` does."""
    row = reader.rows.get(tables.CertificateRow, sequence)
    if row is None or not reader.visible(SubjectKind.LOT, [row.lot]):
        raise NotFoundError(
            f"record {sequence} issued no certificate up to block {reader.cursor.block_number}",
            hint="use the sequence of the record that issued it",
        )
    return row


def build_lot_trace(reader: Reader, subject: bytes, direction: Direction, limits: Limits) -> answers.Trace:
    """Build the trace of a lot that is in the index and that the reader may see."""
    row = reader.lot(subject)
    order = None if row.order is None else build_orders(reader, [row.order])[0]
    assignments = () if row.order is None else build_assignments(reader, row.order)
    certificates = reader.certificates_of([subject])
    contents, cut = reader.nearest("contents", reader.lineage.contents, [subject], limits)
    family = _family(reader, [subject, *(lot for lot, _ in contents)], [subject], direction, limits, cut)
    return answers.Trace(
        as_of=reader.as_of(),
        lot=build_lot(reader, row),
        head=head_of(reader, subject),
        order=order,
        assignments=assignments,
        certificates=certificates,
        shared_measurements=build_shared_measurements(reader, assignments, certificates),
        waivers=build_waivers(reader, subject),
        custody=build_custody(reader, subject, limits),
        packed_in=reader.related(reader.carriers(subject)),
        contents=reader.related(contents),
        streams=build_streams(reader, assignments, certificates),
        records=build_records(reader, subject),
        **family,
    )


def _trace_order(reader: Reader, subject: bytes, direction: Direction, limits: Limits) -> answers.OrderTrace:
    assignments = build_assignments(reader, subject)
    lots = sorted(reader.rows.find(tables.LotRow, order=subject), key=lambda row: row.number)
    shown = [row.subject for row in lots[: limits.lots]]
    cut = (answers.Cut("lots", "lots", limits.lots),) if len(lots) > len(shown) else ()
    certificates = reader.certificates_of(shown)
    family = _family(reader, shown, shown, direction, limits, cut)
    return answers.OrderTrace(
        as_of=reader.as_of(),
        order=build_orders(reader, [subject])[0],
        head=head_of(reader, subject),
        assignments=assignments,
        lots=reader.related([(lot, 0) for lot in shown]),
        certificates=certificates,
        shared_measurements=build_shared_measurements(reader, assignments, certificates),
        streams=build_streams(reader, assignments, certificates),
        records=build_records(reader, subject),
        **family,
    )


def _family(
    reader: Reader,
    of: Collection[bytes],
    by: Collection[bytes],
    direction: Direction,
    limits: Limits,
    cuts_before: Collection[answers.Cut],
) -> _Family:
    """Find the lots from which those in `of` were made, and the lots made from those in `by`."""
    up: Nearest = []
    down: Nearest = []
    cuts = list(cuts_before)
    if direction is not Direction.DOWN:
        up, cut = reader.nearest("upstream", reader.lineage.upstream, of, limits)
        cuts.extend(cut)
    if direction is not Direction.UP:
        down, cut = reader.nearest("downstream", reader.lineage.downstream, by, limits)
        cuts.extend(cut)
    steps = build_transformations(reader, {*of, *(lot for lot, _ in (*up, *down))})
    _verify_acyclic(steps)
    return _Family(
        upstream=reader.related(up),
        downstream=reader.related(down),
        transformations=steps,
        truncated=bool(cuts),
        cuts=tuple(cuts),
    )


def _verify_acyclic(steps: Collection[answers.Transformation]) -> None:
    # The contracts record no cycle except by a rework in place, for which the lot may have given material itself. Any
    # other comes from a manipulated database.
    try:
        sort_lots(
            (
                (taken.lot, made.lot)
                for step in steps
                if step.kind is not tables.StepKind.REWORK
                for taken in step.inputs
                for made in step.outputs
            ),
            to_hex,
        )
    except GenealogyError as error:
        raise StoreDamagedError(LookupGround.INDEX_DAMAGED.write(words=error.cause), hint=HINT_INDEX) from error
