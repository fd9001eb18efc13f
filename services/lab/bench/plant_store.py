"""Writes a generated plant to a store, as the index would have it after following such a plant's records."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Iterator
from typing import TypeAlias

from ledger.ids import Identity
from ledger.records import (
    AssignmentState,
    CertificateState,
    LotState,
    ModelState,
    OrderState,
    TransformationKind,
    Verdict,
)
from ledger.store import Rows, Store
from ledger.store.rows import (
    AssignmentRow,
    CertificateRow,
    ChainIdentityRow,
    CursorRow,
    HeadRow,
    IdentityRow,
    LotInputRow,
    LotOutputRow,
    LotRow,
    MachineRow,
    ModelRow,
    OrderRow,
    PackingRow,
    TransformationRow,
)
from services.lab.bench.graph import Plant

__all__ = ["write_plant"]

_MODEL = 1
_MAKERS = 8
_BUYER, _COORDINATOR, _INSPECTOR, _AUDITOR = 11, 12, 13, 14
_MACHINES = 20
_PER_ORDER = 25
_PER_BOX = 10
_PIECE = b"H87".ljust(32, b"\0")
_START_S = 1_760_000_000
_YEAR_S = 365 * 86_400
_NONE = bytes(32)
_Names: TypeAlias = "list[Identity]"
_AT_ONCE = 20_000
"""Number of rows collected in memory before they are written."""


def write_plant(store: Store, plant: Plant) -> None:
    """Writes the plant in one transaction.

    Every lot has an identity. Finished lots have orders, machines and certificates, and every second ten of them are in
    a box. No records are written and heads are empty, because genealogy queries read neither.
    """
    names = [plant.identity(lot) for lot in range(plant.lots)]
    with store.transaction() as connection:
        rows = Rows(connection)
        for part in (_ledger(), _orders(plant, names), _steps(plant, names), _lots(plant, names), _boxes(plant, names)):
            _write(rows, part)


def _write(rows: Rows, made: Iterator[object]) -> None:
    while part := list(itertools.islice(made, _AT_ONCE)):
        by_kind: dict[type, list[object]] = {}
        for row in part:
            by_kind.setdefault(type(row), []).append(row)
        for of_kind in by_kind.values():
            rows.insert(of_kind)


def _ledger() -> Iterator[object]:
    yield ChainIdentityRow(1, 1, _NONE, bytes(20), bytes(20))
    yield CursorRow(1, 1, _NONE, _START_S, 1, 1, _NONE)
    yield ModelRow(
        _MODEL, _hash("model", 0), _INSPECTOR, _AUDITOR, ModelState.APPROVED, _START_S, _START_S, 0, 0,
        _hash("weights", 0), None, _NONE, _NONE, _NONE,
    )  # fmt: skip
    for number in range(1, _MACHINES + 1):
        yield MachineRow(number, _hash("machine", number), number % _MAKERS + 1, _START_S, 0, _NONE)


def _orders(plant: Plant, names: _Names) -> Iterator[object]:
    for order in range((plant.width - 1) // _PER_ORDER + 1):
        subject, machine = _hash("order", order), order % _MACHINES + 1
        yield OrderRow(
            subject, order + 1, _BUYER, _COORDINATOR, _INSPECTOR, _MODEL, 1, 1, 0, OrderState.COMPLETED,
            _START_S, _START_S, _NONE,
        )  # fmt: skip
        yield AssignmentRow(
            order + 1, subject, 0, machine, machine % _MAKERS + 1, AssignmentState.FINISHED, _START_S, _START_S,
            _START_S, _START_S, _hash("stream", machine), 0, _NONE, _NONE,
        )  # fmt: skip
    for place, lot in enumerate(plant.finished):
        machine = place // _PER_ORDER % _MACHINES + 1
        yield CertificateRow(
            place + 1, names[lot].subject, _hash("order", place // _PER_ORDER), _INSPECTOR, _MODEL, Verdict.PASS,
            CertificateState.ISSUED, _START_S, _START_S + _YEAR_S, 0, 0, Verdict.NONE, 0, _NONE,
            _hash("stream", machine), 0, _NONE, 1, _NONE, _NONE, _NONE,
        )  # fmt: skip


def _steps(plant: Plant, names: _Names) -> Iterator[object]:
    for sequence, step in enumerate(plant.steps, 1):
        yield TransformationRow(
            sequence, sequence % _MAKERS + 1, TransformationKind.CONVERSION, None, 0, _PIECE, _PIECE, 0, 1, 1,
            _START_S, _NONE,
        )  # fmt: skip
        yield from (LotInputRow(sequence, names[lot].subject, 1, component=False) for lot in step.inputs)
        yield from (LotOutputRow(sequence, names[lot].subject, 1) for lot in step.outputs)


def _lots(plant: Plant, names: _Names) -> Iterator[object]:
    uses = Counter(lot for step in plant.steps for lot in step.inputs)
    finished = plant.finished
    for lot in range(plant.lots):
        row = _lot(names[lot].subject, lot, uses[lot])
        if lot in finished:
            _finish(row, lot - finished.start, plant)
        yield row
        yield _name(names[lot])
        yield HeadRow(row.subject, _NONE, 0, 0)


def _finish(row: LotRow, place: int, plant: Plant) -> None:
    """Sets a finished lot's order, assignment, certificate and box."""
    order, box = place // _PER_ORDER, place // _PER_BOX
    row.order, row.assignment, row.certificate = _hash("order", order), order + 1, place + 1
    if box % 2:
        row.parent, row.packed_by = plant.identity(f"box:{box}").subject, box


def _boxes(plant: Plant, names: _Names) -> Iterator[object]:
    for box in range(1, (plant.width - 1) // _PER_BOX + 1, 2):
        inside = plant.finished[box * _PER_BOX : (box + 1) * _PER_BOX]
        name = plant.identity(f"box:{box}")
        row = _lot(name.subject, plant.lots + box, 0)
        row.contents = len(inside)
        yield row
        yield _name(name)
        yield from (PackingRow(box, names[lot].subject, row.subject, 0) for lot in inside)


def _lot(subject: bytes, number: int, uses: int) -> LotRow:
    """A lot's row: spent if it was used by others, otherwise one piece of it is held."""
    left = 0 if uses else 1
    state, holder = LotState.HELD if left else LotState.SPENT, number % _MAKERS + 1
    return LotRow(
        subject, number, number, None, None, 0, 0, left, uses + left, _PIECE, holder, 0, state, 0, 0, _START_S, _NONE
    )  # fmt: skip


def _name(name: Identity) -> IdentityRow:
    return IdentityRow(name.subject, int(name.kind), name.creator, name.identifier, name.salt)


def _hash(kind: str, number: int) -> bytes:
    return hashlib.sha256(f"plant {kind} {number}".encode()).digest()
