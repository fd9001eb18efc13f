"""Delimited text as table programs write it: headers, row names, quotes. Needs numpy."""

from __future__ import annotations

import csv
import io

import numpy as np
from numpy.typing import NDArray

from quality.errors import InputError

__all__ = ["drop_row_names", "is_number", "parse_text", "split_rows"]

_SHOWN = 20
"""Characters of a cell that an error shows."""


def split_rows(name: str, content: bytes, delimiter: str) -> list[tuple[int, list[str]]]:
    """(line number, cells) of every line that is not blank, without spaces and quotes around cells. Raises InputError.

    Where commas are decimal, people put `;` between cells, and some programs a tab: each counts when the first line has
    it. With `;`, a comma in a number is a decimal one.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{name} is not UTF-8 text", hint="save it as plain text") from error
    first = text.partition("\n")[0]
    found = next((other for other in (";", "\t") if other in first), delimiter)
    lines = (line if line.strip() else "\n" for line in io.StringIO(text, newline=""))
    reader = csv.reader(lines, delimiter=found, skipinitialspace=found != "\t")
    try:
        rows = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if cells]
    except csv.Error as error:
        where = f"{name}: line {reader.line_num}"
        raise InputError(f"{where} cannot be read: {error}", hint="save it as plain text") from error
    if found == ";":
        rows = [(number, [_point(cell) for cell in cells]) for number, cells in rows]
    return rows


def _point(cell: str) -> str:
    """A number with a decimal comma as one with a point, anything else as it is."""
    pointed = cell.replace(",", ".")
    return pointed if cell.count(",") == 1 and is_number(pointed) else cell


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
                f"{name}: line {number} has {len(cells)} values, the first has {width}", hint="even it out"
            )
        values.append([_read_number(name, number, cell) for cell in cells])
    return np.array(values, dtype=np.float64)


def drop_row_names(rows: list[tuple[int, list[str]]]) -> tuple[list[tuple[int, list[str]]], bool]:
    """Without the first column if it only names the rows, as table programs write it; and whether that was so.

    Such a column has no name itself, under a header of words or of 0, 1, 2, ...
    """
    names = rows[0][1] if rows else []
    if len(names) < 2 or names[0] or not (_is_header(names[1:]) or names[1:] == ["0"]):
        return rows, False
    return [(number, cells[1:]) for number, cells in rows], True


def _read_number(name: str, line: int, cell: str) -> float:
    """Raises InputError."""
    try:
        return float(cell)
    except ValueError as error:
        shown = repr(cell if len(cell) <= _SHOWN else cell[:_SHOWN] + "...") if cell else "an empty cell"
        hint = "give words as numbers first" if cell else "drop or fill missing values first"
        raise InputError(f"{name}: line {line} holds {shown}, which is no number", hint=hint) from error


def _is_header(cells: list[str]) -> bool:
    counting = len(cells) > 1 and cells == [str(index) for index in range(len(cells))]
    return counting or any(cell and not is_number(cell) for cell in cells)


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
