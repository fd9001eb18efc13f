"""Delimited text as table programs write it: headers, row names, quotes. Needs numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quality.errors import InputError

__all__ = ["drop_row_names", "is_number", "parse_text", "split_rows"]

_SHOWN = 20
"""Characters of a cell that an error shows."""


def split_rows(name: str, content: bytes, delimiter: str) -> list[tuple[int, list[str]]]:
    """(line number, cells) of every line that is not blank. Raises InputError.

    Where commas are decimal, people put `;` between cells: it counts when the first line has no `,`.
    """
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{name} is not UTF-8 text", mend="save it as plain text") from error
    if delimiter == "," and lines and "," not in lines[0] and ";" in lines[0]:
        delimiter = ";"
    return [(number, line.split(delimiter)) for number, line in enumerate(lines, 1) if line.strip()]


def parse_text(name: str, content: bytes, delimiter: str) -> NDArray[np.float64]:
    """Values (rows, columns) of delimited text; `name` is how errors call it. Blank lines are skipped.

    A first row holding a word, or counting 0, 1, 2, ... as table programs do, is a header. Raises InputError.
    """
    rows, headed = drop_row_names(split_rows(name, content, delimiter))
    if headed or (rows and _is_header(rows[0][1])):
        del rows[0]
    values, width = [], len(rows[0][1]) if rows else 0
    for number, cells in rows:
        if len(cells) != width:
            raise InputError(
                f"{name}: line {number} has {len(cells)} values, the first has {width}", mend="even it out"
            )
        values.append([_read_number(name, number, cell) for cell in cells])
    return np.array(values, dtype=np.float64)


def drop_row_names(rows: list[tuple[int, list[str]]]) -> tuple[list[tuple[int, list[str]]], bool]:
    """Without the first column if it only names the rows, as table programs write it; and whether that was so.

    Such a column has no name itself, under a header of words or of 0, 1, 2, ...
    """
    names = [cell.strip().strip('"') for cell in rows[0][1]] if rows else []
    if len(names) < 2 or names[0] or not (_is_header(names[1:]) or names[1:] == ["0"]):
        return rows, False
    return [(number, cells[1:]) for number, cells in rows], True


def _read_number(name: str, line: int, cell: str) -> float:
    """A number, possibly in quotes. Raises InputError."""
    word = cell.strip().strip('"')
    try:
        return float(word)
    except ValueError as error:
        shown = repr(word if len(word) <= _SHOWN else word[:_SHOWN] + "...") if word else "an empty cell"
        mend = "give words as numbers first" if word else "drop or fill missing values first"
        raise InputError(f"{name}: line {line} holds {shown}, which is no number", mend=mend) from error


def _is_header(cells: list[str]) -> bool:
    names = [cell.strip().strip('"') for cell in cells]
    counting = len(names) > 1 and names == [str(index) for index in range(len(names))]
    return counting or any(name and not is_number(name) for name in names)


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
