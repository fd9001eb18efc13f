"""Stratified splits and samples of rows: every class is split in the same proportion. Needs numpy."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from millmark.quality.errors import InputError

Rows = NDArray[np.int64]
_MIN_ROWS = 10
_MIN_CLASS_ROWS = 2
"""One to train on and one to validate on."""


def split_rows(classes: NDArray[np.int64], seed: int) -> tuple[Rows, Rows]:
    """Row numbers for training (about four fifths) and validation. Validation has at least one row of each class."""
    generator = np.random.default_rng(seed)
    validation = np.zeros(len(classes), dtype=np.bool_)
    for value in np.unique(classes):
        rows = generator.permutation(np.flatnonzero(classes == value))
        # At least one row, although a fifth of a rare class may round down to none.
        validation[rows[: max(1, len(rows) // 5)]] = True
    return np.flatnonzero(~validation), np.flatnonzero(validation)


def split_folds(classes: NDArray[np.int64], folds: int, seed: int) -> Iterator[tuple[Rows, Rows]]:
    """(training rows, held-out rows) for each fold of a cross-validation; every row is held out exactly once.

    Folds without rows, which occur with very few rows, are left out.
    """
    generator = np.random.default_rng(seed)
    fold = np.zeros(len(classes), dtype=np.int64)
    for value in np.unique(classes):
        rows = generator.permutation(np.flatnonzero(classes == value))
        # A random first fold per class: else the first folds would get the surplus rows of every class.
        fold[rows] = (np.arange(len(rows)) + generator.integers(folds)) % folds
    for index in np.unique(fold):
        yield np.flatnonzero(fold != index), np.flatnonzero(fold == index)


def take_sample(classes: NDArray[np.int64], most: int, seed: int) -> Rows:
    """About `most` row numbers, ascending, or all if there are fewer.

    Classes keep their proportions, but each keeps at least 30 of its rows, or all that it has.
    """
    if len(classes) <= most:
        return np.arange(len(classes))
    generator = np.random.default_rng(seed)
    taken = []
    for value in np.unique(classes):
        rows = generator.permutation(np.flatnonzero(classes == value))
        taken.append(rows[: max(30, len(rows) * most // len(classes))])
    return np.sort(np.concatenate(taken))


def require_rows(classes: NDArray[np.int64]) -> None:
    """Raise InputError for fewer than 10 rows in all, or fewer than 2 of any class."""
    if len(classes) < _MIN_ROWS:
        raise InputError(f"there are only {len(classes)} rows", hint=f"at least {_MIN_ROWS} are needed")
    fewest = int(np.bincount(classes).min())
    if fewest < _MIN_CLASS_ROWS:
        raise InputError(f"a class has too few rows ({fewest})", hint=f"at least {_MIN_CLASS_ROWS} of each are needed")
