"""Traces of lots and orders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable
from typing import TypedDict, TypeVar

from millmark.ledger.canonical import to_hex
from millmark.ledger.errors import GenealogyError, NotFoundError, StoreDamagedError
from millmark.ledger.ids import SubjectKind
from millmark.ledger.provenance import answers
from millmark.ledger.provenance.build_answers import (
    build_assignments,
    build_custody,
    build_lot,
    build_orders,
    build_records,
    build_streams,
    build_transformations,
    build_waivers,
    head_of,
)
from millmark.ledger.provenance.grounds import LookupGround
from millmark.ledger.provenance.limits import Limits
from millmark.ledger.provenance.measurements import build_shared_measurements
from millmark.ledger.provenance.reader import HINT_INDEX, Direction, Nearest, Reader, open_reader
from millmark.ledger.provenance.resolve import find_subject, verify_name
from millmark.ledger.store import Store
from millmark.ledger.store.rows import CertificateRow, LotRow

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
    """A certificate by the sequence of the record that issued it.

    Raises NotFoundError if it or its lot does not exist for the `viewer`.
    """
    with open_reader(store, viewer) as reader:
        return reader.certificates([find_certificate_row(reader, sequence)])[0]


def find_certificate_row(reader: Reader, sequence: int) -> CertificateRow:
    """The row of a certificate. Raises as `certificate` does."""
    row = reader.rows.get(CertificateRow, sequence)
    if row is None or not (reader.visibility is None or reader.visibility.has(SubjectKind.LOT, row.lot)):
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
    lots = sorted(reader.rows.find(LotRow, order=subject), key=lambda row: row.number)
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
                if not step.in_place
                for taken in step.inputs
                for made in step.outputs
            ),
            to_hex,
        )
    except GenealogyError as error:
        raise StoreDamagedError(LookupGround.INDEX_DAMAGED.write(words=error.cause), hint=HINT_INDEX) from error
