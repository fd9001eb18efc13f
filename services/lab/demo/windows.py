"""The measured windows of the demo: which of them the parts get, and how the model does on all of them."""

from __future__ import annotations

from collections.abc import Collection
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from millmark.ledger.errors import InputError
from millmark.ledger.records import Verdict
from millmark.quality import Inspector, to_fixed
from millmark.quality.data import Table, load_table
from millmark.quality.forda import load_ford_a_test
from millmark.quality.labels import find_defects
from millmark.services.inspections.statements import to_ledger_verdict

__all__ = ["find_failing", "load_windows", "measure_accuracy", "model_bytes", "pick_windows"]

_SYMPTOM_EVERY = 6
"""Every sixth window has the symptom: more than on a real line, so that a few orders suffice to show both verdicts."""


def load_windows(data: Path | None) -> Table:
    """The labelled windows of a file, or FordA's. Raises QualityError, and InputError for windows that the model cannot
    read."""
    table = load_ford_a_test() if data is None else load_table(data)
    _check_table(table)
    return table


def _check_table(table: Table) -> None:
    """Checks that the model can read the windows and that both labels occur. Raises InputError, QualityError."""
    width = Inspector(model_bytes()).model.width
    if table.values.shape[1] != width:
        raise InputError(f"each window has {table.values.shape[1]} values", hint=f"give windows of {width} values")
    find_defects(table.labels)


def model_bytes() -> bytes:
    """The quality model's file."""
    return (resources.files("millmark.quality") / "models" / "forda.bin").read_bytes()


def pick_windows(table: Table, count: int, spoiled: Collection[int] | None) -> NDArray[np.intp]:
    """Rows of the windows used for the parts, in the order of the data: with the symptom for what was spoiled, or for
    every sixth."""
    symptom = find_defects(table.labels)
    bad, good = np.flatnonzero(symptom), np.flatnonzero(~symptom)
    index = np.arange(count)
    every = index % _SYMPTOM_EVERY == _SYMPTOM_EVERY - 1
    with_symptom = every if spoiled is None else np.isin(index, sorted(spoiled))
    number = np.cumsum(with_symptom) - 1
    return np.where(with_symptom, bad[number % len(bad)], good[index % len(good)])


def find_failing(inspector: Inspector, table: Table, windows: NDArray[np.int64]) -> int | None:
    """The last row with the symptom, if the model fails it."""
    row = int(np.flatnonzero(find_defects(table.labels))[-1])
    verdict = to_ledger_verdict(inspector.inspect_all(windows[row : row + 1])[0].verdict)
    return row if verdict is Verdict.FAIL else None


def measure_accuracy(inspector: Inspector, table: Table) -> float:
    """Share of all windows for which the verdict agrees with the label."""
    inferences = inspector.inspect_all(to_fixed(table.values, inspector.model.decimals))
    failed = np.array([to_ledger_verdict(inference.verdict) is Verdict.FAIL for inference in inferences])
    return float((failed == find_defects(table.labels)).mean())
