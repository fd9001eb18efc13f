"""Where a lot comes from and what became of it; how far an order is."""

from __future__ import annotations

from ledger.errors import NotFoundError
from ledger.ids import SubjectKind
from ledger.provenance import views
from ledger.provenance.names import find_subject, verify_name
from ledger.provenance.parts import (
    build_assignments,
    build_custody,
    build_lot,
    build_order,
    build_records,
    build_streams,
    build_transformations,
    head_of,
)
from ledger.provenance.reader import Limits, Reader, open_reader
from ledger.store import Store
from ledger.store.rows import CertificateRow, LotRow, OrderRow

_DEFAULT = Limits()


def trace(store: Store, name: str | bytes, *, limits: Limits = _DEFAULT) -> views.Trace | views.OrderTrace:
    """What the index knows of a lot or an order, by identifier or subject.

    Raises NotFoundError when it knows nothing, InputError when several things have that identifier, IdentifierError
    for what is no identifier.
    """
    verify_name(name)
    with open_reader(store) as reader:
        kind, subject = find_subject(reader, name, SubjectKind.LOT, SubjectKind.ORDER)
        return _trace_lot(reader, subject, limits) if kind is SubjectKind.LOT else _trace_order(reader, subject, limits)


def trace_lot(store: Store, name: str | bytes, *, limits: Limits = _DEFAULT) -> views.Trace:
    """As `trace`, for lots alone."""
    verify_name(name)
    with open_reader(store) as reader:
        return _trace_lot(reader, find_subject(reader, name, SubjectKind.LOT)[1], limits)


def trace_order(store: Store, name: str | bytes, *, limits: Limits = _DEFAULT) -> views.OrderTrace:
    """As `trace`, for orders alone."""
    verify_name(name)
    with open_reader(store) as reader:
        return _trace_order(reader, find_subject(reader, name, SubjectKind.ORDER)[1], limits)


def certificate(store: Store, sequence: int) -> views.Certificate:
    """A certificate by the sequence of its issuing record. Raises NotFoundError when there is none."""
    with open_reader(store) as reader:
        row = reader.rows.get(CertificateRow, sequence)
        if row is None:
            raise NotFoundError(
                f"record {sequence} issued no certificate up to block {reader.cursor.block_number}",
                mend="give the sequence of the issuing record",
            )
        return reader.certificates([row])[0]


def _trace_lot(reader: Reader, subject: bytes, limits: Limits) -> views.Trace:
    row = reader.lot(subject)
    order = None if row.order is None else build_order(reader, reader.need(OrderRow, row.order))
    assignments = () if row.order is None else build_assignments(reader, row.order)
    certificates = reader.certificates(reader.rows.find(CertificateRow, lot=subject))
    contents, more_in = reader.nearest(reader.lineage.contents, [subject], limits)
    inside = [subject, *(lot for lot, _ in contents)]
    upstream, more_up = reader.nearest(reader.lineage.upstream, inside, limits)
    downstream, more_down = reader.nearest(reader.lineage.downstream, [subject], limits)
    return views.Trace(
        as_of=reader.as_of(),
        lot=build_lot(reader, row),
        head=head_of(reader, subject),
        order=order,
        assignments=assignments,
        certificates=certificates,
        custody=build_custody(reader, subject, limits),
        packed_in=reader.related(reader.carriers(subject)),
        contents=reader.related(contents),
        upstream=reader.related(upstream),
        downstream=reader.related(downstream),
        transformations=build_transformations(reader, [*inside, *(lot for lot, _ in (*upstream, *downstream))]),
        truncated=more_in or more_up or more_down,
        streams=build_streams(reader, assignments, certificates),
        records=build_records(reader, subject),
    )


def _trace_order(reader: Reader, subject: bytes, limits: Limits) -> views.OrderTrace:
    assignments = build_assignments(reader, subject)
    lots = sorted(reader.rows.find(LotRow, order=subject), key=lambda row: row.number)
    shown = [row.subject for row in lots[: limits.lots]]
    certificates = reader.certificates(reader.rows.among(CertificateRow, "lot", shown))
    return views.OrderTrace(
        as_of=reader.as_of(),
        order=build_order(reader, reader.need(OrderRow, subject)),
        head=head_of(reader, subject),
        assignments=assignments,
        lots=reader.related([(lot, 0) for lot in shown]),
        certificates=certificates,
        truncated=len(lots) > len(shown),
        streams=build_streams(reader, assignments, certificates),
        records=build_records(reader, subject),
    )
