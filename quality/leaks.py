"""Refuses columns before training that leak the label, number the rows or repeat another column, and tables in which
every column is constant.

Needs numpy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quality.drift import MAX_TABLE_COLUMNS
from quality.errors import InputError

__all__ = ["verify_columns"]


def verify_columns(values: NDArray[np.float64] | NDArray[np.int64], classes: NDArray[np.int64]) -> None:
    """Raise InputError if the columns of values (n, width) cannot be trusted to predict the classes (n,).

    That is the case if a column is a one-to-one function of the class; if it numbers the rows, which reveals the class
    when rows are sorted by it; if two columns of a table are equal; or if all columns are constant. Some columns may be
    constant, as in padded windows, and two columns of a series may be equal by chance. Not established: that no column
    leaks the label in a less obvious way.
    """
    count = len(np.unique(classes))
    seen: dict[bytes, int] = {}
    # Column numbers in messages count from 1, as spreadsheets do.
    for index, column in enumerate(values.T):
        distinct, codes = np.unique(column, return_inverse=True)
        if len(distinct) == 1:
            continue
        # One-to-one: as many values as classes, and as many (value, class) pairs.
        if len(distinct) == count and len(np.unique(codes * count + classes)) == count:
            raise InputError(f"column {index + 1} determines the label", hint="remove it from the inputs")
        if len(column) > 2 and len(np.unique(np.diff(column))) == 1:
            raise InputError(f"column {index + 1} numbers the rows", hint="remove it from the inputs")
        first = seen.setdefault(np.ascontiguousarray(column).tobytes(), index)
        if first != index and values.shape[1] <= MAX_TABLE_COLUMNS:
            raise InputError(f"columns {first + 1} and {index + 1} are equal", hint="keep one of them")
    if not seen:
        raise InputError("every column is constant", hint="provide columns that vary, or use a finer unit")
