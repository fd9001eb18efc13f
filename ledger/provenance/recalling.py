"""What a bad model or a bad lot reached."""

from __future__ import annotations

from ledger.errors import InputError, NotFoundError
from ledger.ids import SubjectKind
from ledger.provenance import views
from ledger.provenance.names import find_subject, verify_name
from ledger.provenance.parts import build_lot
from ledger.provenance.reader import Limits, Nearest, Reader, open_reader
from ledger.records import LotState
from ledger.store import Store
from ledger.store.rows import CertificateRow, ModelRow

_DEFAULT = Limits(depth=256, lots=100_000)
"""A recall that leaves something out is worse than a slow one."""


def recall(
    store: Store, *, model: int | None = None, lot: str | bytes | None = None, limits: Limits = _DEFAULT
) -> views.Recall:
    """Everything that a model certified, or a lot with what is packed in it; and all that was made of that.

    `lot` is an identifier or subject. Raises InputError unless one of the two is given, NotFoundError when it is not
    known.
    """
    if (model is None) == (lot is None):
        raise InputError("a recall is of a model or of a lot", mend="give one of the two")
    if lot is not None:
        verify_name(lot)
    with open_reader(store) as reader:
        if model is not None:
            return _recall_model(reader, model, limits)
        assert lot is not None  # noqa: S101  # narrows the type: one of the two is given
        return _recall_lot(reader, find_subject(reader, lot, SubjectKind.LOT)[1], limits)


def _recall_model(reader: Reader, model: int, limits: Limits) -> views.Recall:
    if reader.rows.get(ModelRow, model) is None:
        raise NotFoundError(
            f"record {model} registered no model up to block {reader.cursor.block_number}",
            mend="give the sequence of the record that registered it",
        )
    rows = reader.rows.find(CertificateRow, model=model)
    start = sorted({row.lot for row in rows})
    return _recall(reader, start, limits, model=reader.model(model), certificates=reader.certificates(rows))


def _recall_lot(reader: Reader, lot: bytes, limits: Limits) -> views.Recall:
    contents, more = reader.nearest(reader.lineage.contents, [lot], limits)
    start = [lot, *(inner for inner, _ in contents)]
    return _recall(reader, start, limits, lot=build_lot(reader, reader.lot(lot)), truncated=more)


def _recall(
    reader: Reader,
    start: list[bytes],
    limits: Limits,
    *,
    model: views.Model | None = None,
    lot: views.Lot | None = None,
    certificates: tuple[views.Certificate, ...] = (),
    truncated: bool = False,
) -> views.Recall:
    made, more = reader.nearest(reader.lineage.downstream, start, limits)
    reached: Nearest = [*((subject, 0) for subject in start), *made]
    lots = reader.related(reached)
    holders = {item.holder.participant: item.holder for item in lots if item.state is not LotState.SPENT}
    return views.Recall(
        as_of=reader.as_of(),
        model=model,
        lot=lot,
        certificates=certificates,
        lots=lots,
        holders=tuple(holders[participant] for participant in sorted(holders)),
        truncated=truncated or more,
    )
