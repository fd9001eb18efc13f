"""Where a lot comes from and what became of it; how far an order is."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from ledger.errors import GenealogyError, NotFoundError, StoreDamagedError
from ledger.ids import SubjectKind
from ledger.provenance import answers
from ledger.provenance.build_answers import (
    build_assignments,
    build_custody,
    build_lot,
    build_orders,
    build_records,
    build_streams,
    build_transformations,
    head_of,
)
from ledger.provenance.genealogy import sort_lots
from ledger.provenance.limits import Limits
from ledger.provenance.reader import MEND_INDEX, Direction, Nearest, Reader, open_reader
from ledger.provenance.resolve import find_subject, verify_name
from ledger.store import Store
from ledger.store.rows import CertificateRow, LotRow

_DEFAULT = Limits()


@dataclass(frozen=True, slots=True)
class _Family:
    """What some lots came of, what became of them, and the steps between."""

    upstream: Nearest
    downstream: Nearest
    transformations: tuple[answers.Transformation, ...]
    cuts: tuple[answers.Cut, ...]


def trace(
    store: Store,
    name: str | bytes,
    *,
    direction: Direction = Direction.BOTH,
    limits: Limits = _DEFAULT,
    viewer: int | None = None,
) -> answers.Trace | answers.OrderTrace:
    """What the index knows of a lot or an order, by identifier or subject. What lies the other way than `direction` is
    left out. For a `viewer`, a participant, there is only what ledger.provenance.permissions says.

    Raises NotFoundError when it knows nothing, InputError when several things have that identifier, IdentifierError
    for what is no identifier, StoreDamagedError when the index says that a lot came of itself.
    """
    verify_name(name)
    with open_reader(store, viewer) as reader:
        return build_trace(reader, name, direction, limits)


def build_trace(
    reader: Reader, name: str | bytes, direction: Direction, limits: Limits
) -> answers.Trace | answers.OrderTrace:
    """As `trace`, as the reader sees it, of a name that `verify_name` took."""
    kind, subject = find_subject(reader, name, SubjectKind.LOT, SubjectKind.ORDER)
    tell = build_lot_trace if kind is SubjectKind.LOT else _trace_order
    return tell(reader, subject, direction, limits)


def trace_lot(
    store: Store, name: str | bytes, *, direction: Direction = Direction.BOTH, limits: Limits = _DEFAULT
) -> answers.Trace:
    """As `trace`, for lots alone."""
    verify_name(name)
    with open_reader(store) as reader:
        return build_lot_trace(reader, find_subject(reader, name, SubjectKind.LOT)[1], direction, limits)


def trace_order(
    store: Store, name: str | bytes, *, direction: Direction = Direction.BOTH, limits: Limits = _DEFAULT
) -> answers.OrderTrace:
    """As `trace`, for orders alone."""
    verify_name(name)
    with open_reader(store) as reader:
        return _trace_order(reader, find_subject(reader, name, SubjectKind.ORDER)[1], direction, limits)


def certificate(store: Store, sequence: int, *, viewer: int | None = None) -> answers.Certificate:
    """A certificate by the sequence of its issuing record. Raises NotFoundError when there is none, also for a `viewer`
    for whom its lot is not there."""
    with open_reader(store, viewer) as reader:
        return reader.certificates([find_certificate_row(reader, sequence)])[0]


def find_certificate_row(reader: Reader, sequence: int) -> CertificateRow:
    """Raises as `certificate`."""
    row = reader.rows.get(CertificateRow, sequence)
    if row is None or not (reader.view is None or reader.view.has(SubjectKind.LOT, row.lot)):
        raise NotFoundError(
            f"record {sequence} issued no certificate up to block {reader.cursor.block_number}",
            hint="give the sequence of the issuing record",
        )
    return row


def build_lot_trace(reader: Reader, subject: bytes, direction: Direction, limits: Limits) -> answers.Trace:
    """The trace of a lot that is in the index, as the reader sees it."""
    row = reader.lot(subject)
    order = None if row.order is None else build_orders(reader, [row.order])[0]
    assignments = () if row.order is None else build_assignments(reader, row.order)
    certificates = reader.certificates(reader.rows.find(CertificateRow, lot=subject))
    contents, cut = reader.nearest("contents", reader.lineage.contents, [subject], limits)
    family = _family(reader, [subject, *(lot for lot, _ in contents)], [subject], direction, limits)
    return answers.Trace(
        as_of=reader.as_of(),
        lot=build_lot(reader, row),
        head=head_of(reader, subject),
        order=order,
        assignments=assignments,
        certificates=certificates,
        custody=build_custody(reader, subject, limits),
        packed_in=reader.related(reader.carriers(subject)),
        contents=reader.related(contents),
        upstream=reader.related(family.upstream),
        downstream=reader.related(family.downstream),
        transformations=family.transformations,
        truncated=bool(cut or family.cuts),
        cuts=(*cut, *family.cuts),
        streams=build_streams(reader, assignments, certificates),
        records=build_records(reader, subject),
    )


def _trace_order(reader: Reader, subject: bytes, direction: Direction, limits: Limits) -> answers.OrderTrace:
    assignments = build_assignments(reader, subject)
    lots = sorted(reader.rows.find(LotRow, order=subject), key=lambda row: row.number)
    shown = [row.subject for row in lots[: limits.lots]]
    cut = (answers.Cut("lots", "lots", limits.lots),) if len(lots) > len(shown) else ()
    certificates = reader.certificates(reader.rows.among(CertificateRow, "lot", shown))
    family = _family(reader, shown, shown, direction, limits)
    return answers.OrderTrace(
        as_of=reader.as_of(),
        order=build_orders(reader, [subject])[0],
        head=head_of(reader, subject),
        assignments=assignments,
        lots=reader.related([(lot, 0) for lot in shown]),
        certificates=certificates,
        upstream=reader.related(family.upstream),
        downstream=reader.related(family.downstream),
        transformations=family.transformations,
        truncated=bool(cut or family.cuts),
        cuts=(*cut, *family.cuts),
        streams=build_streams(reader, assignments, certificates),
        records=build_records(reader, subject),
    )


def _family(
    reader: Reader, of: Collection[bytes], by: Collection[bytes], direction: Direction, limits: Limits
) -> _Family:
    """What went into the lots `of`, and what was made of the lots `by`."""
    up: Nearest = []
    down: Nearest = []
    cuts: list[answers.Cut] = []
    if direction is not Direction.DOWN:
        up, cut = reader.nearest("upstream", reader.lineage.upstream, of, limits)
        cuts.extend(cut)
    if direction is not Direction.UP:
        down, cut = reader.nearest("downstream", reader.lineage.downstream, by, limits)
        cuts.extend(cut)
    steps = build_transformations(reader, {*of, *(lot for lot, _ in (*up, *down))})
    _verify_no_circle(steps)
    return _Family(up, down, steps, tuple(cuts))


def _verify_no_circle(steps: Collection[answers.Transformation]) -> None:
    """The chain makes none; a database that was written to by others may hold one."""
    try:
        sort_lots(
            ((taken.lot, made.lot) for step in steps for taken in step.inputs for made in step.outputs),
            lambda lot: "0x" + lot.hex(),
        )
    except GenealogyError as error:
        raise StoreDamagedError(f"the index is wrong: {error.cause}", hint=MEND_INDEX) from error
