"""Stratified folds: each class spread evenly over all of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quality.errors import InputError

__all__ = ["split_folds"]

Rows = NDArray[np.int64]


def split_folds(classes: NDArray[np.int64], folds: int, seed: int) -> list[tuple[Rows, Rows]]:
    """Row numbers to train on and rows to judge on, ascending, of each fold; every row is judged once.

    Raises InputError when a class has fewer rows than there are folds.
    """
    generator = np.random.default_rng(seed)
    fold_of = np.empty(len(classes), dtype=np.int64)
    dealt = 0
    for value in np.unique(classes):
        rows = generator.permutation(np.flatnonzero(classes == value))
        if len(rows) < folds:
            raise InputError(f"a class has {len(rows)} rows", mend=f"give at least {folds} of each")
        # Dealt on from where the last class ended, so that the folds' sizes differ by at most one.
        fold_of[rows] = (dealt + np.arange(len(rows))) % folds
        dealt += len(rows)
    return [(np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)) for fold in range(folds)]
