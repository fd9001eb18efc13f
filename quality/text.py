"""Reads delimited text as spreadsheet and data-frame programs write it: headers, row names, quotes. Needs numpy."""

from __future__ import annotations

import csv
import io

import numpy as np
from numpy.typing import NDArray

from millmark.quality.errors import InputError

_SHOWN = 20
"""Characters of a cell that an error message shows."""


def split_rows(name: str, content: bytes, delimiter: str) -> list[tuple[int, list[str]]]:
    """(line number, cells) of every line that is not blank; spaces and quotes around cells are removed.

    A `;` or a tab in the first line overrides `delimiter`: programs write `;` where the comma is the decimal separator,
    and some write a tab. In a file with `;`, a comma inside a number is a decimal comma. Raises InputError, which calls
    the file `name`.
    """
    try:
        # -sig drops the byte order mark that spreadsheets write; it would become part of the first cell.
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{name} is not UTF-8 text", hint="save it as text in UTF-8") from error
    first = text.partition("\n")[0]
    found = next((other for other in (";", "\t") if other in first), delimiter)
    # csv skips empty lines, but would read a line of spaces as one empty cell.
    lines = (line if line.strip() else "\n" for line in io.StringIO(text, newline=""))
    reader = csv.reader(lines, delimiter=found, skipinitialspace=found != "\t")
    try:
        rows = [(reader.line_num, list(map(str.strip, cells))) for cells in reader if cells]
    except csv.Error as error:
        where = f"{name}: line {reader.line_num}"
        raise InputError(f"{where} cannot be read: {error}", hint="save it as comma-separated values") from error
    if found == ";":
        rows = [(number, [_point(cell) for cell in cells]) for number, cells in rows]
    return rows


def _point(cell: str) -> str:
    """Replace a decimal comma by a point; text that is not a number stays unchanged."""
    pointed = cell.replace(",", ".")
    return pointed if cell.count(",") == 1 and is_number(pointed) else cell


def parse_text(name: str, content: bytes, delimiter: str) -> NDArray[np.float64]:
    """Values (rows, columns) of delimited text. Blank lines are skipped.

    The first row is a header if it contains a word, or if it counts 0, 1, 2, ... as data-frame programs do. Raises
    InputError, which calls the file `name`.
    """
    rows, headed = drop_row_names(split_rows(name, content, delimiter))
    if headed or (rows and _is_header(rows[0][1])):
        del rows[0]
    values, width = [], len(rows[0][1]) if rows else 0
    for number, cells in rows:
        if len(cells) != width:
            raise InputError(
                f"{name}: line {number} has length {len(cells)}, the first row has {width}",
                hint="make every row the same length",
            )
        try:
            values.append(np.fromiter(map(float, cells), np.float64, width))
        except ValueError:
            values.append(np.array([_read_number(name, number, cell) for cell in cells]))  # raises: it says which one
    return np.array(values, dtype=np.float64)


def drop_row_names(rows: list[tuple[int, list[str]]]) -> tuple[list[tuple[int, list[str]]], bool]:
    """Drop a first column that only names or numbers the rows. Returns the rows, and whether there was such a column.

    Data-frame programs write such an index column. Its own header cell is empty, beside headers that are words or
    count 0, 1, 2, ...
    """
    names = rows[0][1] if rows else []
    if len(names) < 2 or names[0] or not (_is_header(names[1:]) or names[1:] == ["0"]):
        return rows, False
    return [(number, cells[1:]) for number, cells in rows], True


def _read_number(name: str, line: int, cell: str) -> float:
    try:
        return float(cell)
    except ValueError as error:
        shown = repr(cell if len(cell) <= _SHOWN else cell[:_SHOWN] + "...") if cell else "an empty cell"
        hint = "encode words as numbers first" if cell else "drop or fill missing values first"
        raise InputError(f"{name}: line {line} contains {shown}, which is not a number", hint=hint) from error


def _is_header(cells: list[str]) -> bool:
    # A single 0 says nothing: it may as well be the first value of a column.
    counting = len(cells) > 1 and cells == [str(index) for index in range(len(cells))]
    return counting or any(cell and not is_number(cell) for cell in cells)


def is_number(text: str) -> bool:
    """Whether Python reads `text` as a float; "nan" and "inf" count as numbers."""
    try:
        float(text)
    except ValueError:
        return False
    return True
