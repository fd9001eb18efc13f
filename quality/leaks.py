"""Columns that give the label away, come twice, count the rows or never change: found before training, not after.

Needs numpy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quality.drift import MAX_TABLE_COLUMNS
from quality.errors import InputError

__all__ = ["verify_columns"]


def verify_columns(values: NDArray[np.float64] | NDArray[np.int64], classes: NDArray[np.int64]) -> None:
    """Raise InputError when a column (n, width) is a one-to-one function of the class (n,), or equals another column.

    Also when one counts the rows, which tells their class wherever they are sorted by it, or when all are constant;
    some may be, as in padded windows. In windows too wide for a table, two moments may well be alike. Not established:
    that no column gives the label away in a less obvious manner.
    """
    count = len(np.unique(classes))
    seen: dict[bytes, int] = {}
    for index, column in enumerate(values.T):
        distinct, codes = np.unique(column, return_inverse=True)
        if len(distinct) == 1:
            continue
        if len(distinct) == count and len(np.unique(codes * count + classes)) == count:
            raise InputError(f"column {index + 1} is the label in other words", hint="leave it out of the inputs")
        if len(column) > 2 and len(np.unique(np.diff(column))) == 1:
            raise InputError(f"column {index + 1} counts the rows", hint="leave it out of the inputs")
        first = seen.setdefault(np.ascontiguousarray(column).tobytes(), index)
        if first != index and values.shape[1] <= MAX_TABLE_COLUMNS:
            raise InputError(f"columns {first + 1} and {index + 1} are the same", hint="give each column once")
    if not seen:
        raise InputError("every column is constant", hint="give columns that matter, in a unit fine enough")
