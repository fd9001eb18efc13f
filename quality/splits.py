"""Which rows train and which judge, each class split alike. Needs numpy."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from quality.errors import InputError

__all__ = ["require_rows", "split_folds", "split_rows", "take_sample"]

Rows = NDArray[np.int64]
_MIN_ROWS = 10
_MIN_CLASS_ROWS = 2
"""One to learn from, and one to judge by."""


def split_rows(classes: NDArray[np.int64], seed: int) -> tuple[Rows, Rows]:
    """Row numbers for training (four fifths) and validation. At least one row of each class validates."""
    generator = np.random.default_rng(seed)
    validation = np.zeros(len(classes), dtype=np.bool_)
    for value in np.unique(classes):
        rows = generator.permutation(np.flatnonzero(classes == value))
        validation[rows[: max(1, len(rows) // 5)]] = True
    return np.flatnonzero(~validation), np.flatnonzero(validation)


def split_folds(classes: NDArray[np.int64], folds: int, seed: int) -> Iterator[tuple[Rows, Rows]]:
    """Row numbers that train and that judge, once a fold that has rows; every row judges in one of them."""
    generator = np.random.default_rng(seed)
    fold = np.zeros(len(classes), dtype=np.int64)
    for value in np.unique(classes):
        rows = generator.permutation(np.flatnonzero(classes == value))
        fold[rows] = (np.arange(len(rows)) + generator.integers(folds)) % folds
    for index in np.unique(fold):
        yield np.flatnonzero(fold != index), np.flatnonzero(fold == index)


def take_sample(classes: NDArray[np.int64], most: int, seed: int) -> Rows:
    """At most about `most` row numbers, ascending; classes keep their shares, but none falls below 30 of its rows."""
    if len(classes) <= most:
        return np.arange(len(classes))
    generator = np.random.default_rng(seed)
    taken = []
    for value in np.unique(classes):
        rows = generator.permutation(np.flatnonzero(classes == value))
        taken.append(rows[: max(30, len(rows) * most // len(classes))])
    return np.sort(np.concatenate(taken))


def require_rows(classes: NDArray[np.int64]) -> None:
    """Raise InputError for fewer than 10 rows, or 2 of a class."""
    if len(classes) < _MIN_ROWS:
        raise InputError(f"there are {len(classes)} rows", hint=f"give at least {_MIN_ROWS}")
    fewest = int(np.bincount(classes).min())
    if fewest < _MIN_CLASS_ROWS:
        raise InputError(f"a class has {fewest} rows", hint=f"give at least {_MIN_CLASS_ROWS} of each")
