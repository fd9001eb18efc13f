"""Draws a random genealogy of a plant from a seed, and writes it to a store for the genealogy benchmark.

Lots are arranged in tiers, as in assembly: purchased lots, parts made from them, parts made from those, and so on. A
step takes one to four neighbouring lots of the tier below and makes one, two or four; one step in twenty also takes a
lot from any tier below. Each of a few coils of material goes into a twentieth of the second tier. The same seed
generates the same plant on every machine. Figures measured on it do not predict those of a real plant.

The store is as the index would have it after following such a plant's records.
"""

from __future__ import annotations

import hashlib
import itertools
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from millmark.ledger.ids import Identity, SubjectKind
from millmark.ledger.records import (
    AssignmentState,
    CertificateState,
    LotState,
    ModelState,
    OrderState,
    TransformationKind,
    Verdict,
)
from millmark.ledger.store import Rows, Store
from millmark.ledger.store.rows import (
    AssignmentRow,
    CertificateRow,
    CertifiedLotRow,
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

__all__ = ["Plant", "draw_plant", "write_plant"]

_TIERS = 20
_NEAR = 6
"""Maximum distance, in lots, between a step's place and its inputs."""
_SIZES = (1, 1, 2, 4)
"""Numbers of lots that a step makes, all equally likely."""
_COIL_SHARE = 20
"""A coil goes into this fraction of the second tier: one in 20."""


@dataclass(frozen=True, slots=True)
class Step:
    """A transformation between lots, given by number. Every output is made in a single step, and its number is
    higher than those of the step's inputs."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Plant:
    """A genealogy of lots 0 to `lots - 1`, numbered in the order in which they are made."""

    lots: int
    width: int
    """Number of lots in one tier."""
    coils: tuple[int, ...]
    """Purchased lots that go into many neighbouring parts."""
    steps: tuple[Step, ...]

    @property
    def finished(self) -> range:
        """The lots of the last tier."""
        return range(self.lots - self.width, self.lots)

    def identity(self, lot: int | str) -> Identity:
        """Identity of a lot, with a zero salt."""
        return Identity(SubjectKind.LOT, 1, f"urn:example:plant:{lot}", bytes(32))

    def subject(self, lot: int) -> bytes:
        """Subject of a lot, 32 bytes."""
        return self.identity(lot).subject


def draw_plant(lots: int, seed: int) -> Plant:
    """Generates a plant of about `lots` lots, rounded down to whole tiers, with at least one lot per tier."""
    dice = random.Random(seed)  # noqa: S311  # a graph, not a secret
    width = max(1, lots // _TIERS)
    coils = tuple(range(0, width, max(1, width // 5)))
    steps = (step for tier in range(1, _TIERS) for step in _tier(dice, tier, width, coils))
    return Plant(width * _TIERS, width, coils, tuple(steps))


def _tier(dice: random.Random, tier: int, width: int, coils: tuple[int, ...]) -> Iterator[Step]:
    place = 0
    while place < width:
        size = min(dice.choice(_SIZES), width - place)
        # A set, because the same neighbour may be drawn twice.
        inputs = {_near(dice, place, width) + (tier - 1) * width for _ in range(dice.randint(1, 4))}
        if dice.random() < 1 / 20:
            inputs.add(_near(dice, place, width) + dice.randrange(tier) * width)
        if tier == 1:
            inputs.update(coil for coil in coils if 0 <= place - coil < width // _COIL_SHARE)
        made = range(tier * width + place, tier * width + place + size)
        yield Step(tuple(sorted(inputs)), tuple(made))
        place += size


def _near(dice: random.Random, place: int, width: int) -> int:
    return min(max(place + dice.randint(-_NEAR, _NEAR), 0), width - 1)


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
    yield ChainIdentityRow(1, 1, _NONE, bytes(20), bytes(20), _NONE)
    yield CursorRow(1, 1, _NONE, _START_S, 1, 1, _NONE)
    yield ModelRow(
        _MODEL, _hash("model", 0), _INSPECTOR, _AUDITOR, ModelState.APPROVED, False, _START_S, _START_S, 0, 0, 0,
        _hash("weights", 0), None, _NONE, _NONE, _NONE,
    )  # fmt: skip
    for number in range(1, _MACHINES + 1):
        yield MachineRow(number, _hash("machine", number), number % _MAKERS + 1, _START_S, 0, _NONE)


def _orders(plant: Plant, names: _Names) -> Iterator[object]:
    for order in range((plant.width - 1) // _PER_ORDER + 1):
        subject, machine = _hash("order", order), order % _MACHINES + 1
        yield OrderRow(
            subject, order + 1, _BUYER, _COORDINATOR, f"{_INSPECTOR}:{_MODEL}", 1, 1, 0, OrderState.COMPLETED,
            _START_S, 0, bytes(3), _START_S, _NONE,
        )  # fmt: skip
        yield AssignmentRow(
            order + 1, subject, 0, machine, machine % _MAKERS + 1, AssignmentState.FINISHED, _START_S, _START_S,
            _START_S, _START_S, _hash("stream", machine), 0, order, _NONE, _NONE,
        )  # fmt: skip
    for place, lot in enumerate(plant.finished):
        machine = place // _PER_ORDER % _MACHINES + 1
        yield CertificateRow(
            place + 1, names[lot].subject, _hash("order", place // _PER_ORDER), _INSPECTOR, _MODEL, Verdict.PASS,
            CertificateState.ISSUED, _START_S, _START_S + _YEAR_S, 0, 0, Verdict.NONE, 0, _NONE,
            _hash("stream", machine), place, _NONE, 1, _NONE, _NONE, _NONE,
        )  # fmt: skip
        yield CertifiedLotRow(place + 1, names[lot].subject)


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
        subject, number, number, None, None, 0, 0, 0, left, uses + left, _PIECE, holder, 0, state, 0, 0, 0, _START_S,
        _NONE,
    )  # fmt: skip


def _name(name: Identity) -> IdentityRow:
    return IdentityRow(name.subject, int(name.kind), name.creator, name.identifier, name.salt, b"".join(name.proofs))


def _hash(kind: str, number: int) -> bytes:
    return hashlib.sha256(f"plant {kind} {number}".encode()).digest()
