"""Reads two public tables of the UCI archive in their original form: Steel Plates Faults and AI4I 2020. Needs numpy."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quality.errors import InputError

__all__ = ["load_ai4i", "load_steel"]

_STEEL_COLUMNS = 27
_AI4I_COLUMNS = (
    "Type",
    "Air temperature [K]",
    "Process temperature [K]",
    "Rotational speed [rpm]",
    "Torque [Nm]",
    "Tool wear [min]",
)
"""Measurements known before a failure: without serial numbers, and without the five failure modes, which are labels."""
_AI4I_LABELS = ("Machine_failure", "Machine failure")

Floats = NDArray[np.float64]
Classes = NDArray[np.int64]


def load_steel(folder: Path) -> tuple[Floats, Classes]:
    """Values (1941, 27) and classes (1941,): 0..6 in the order of the file's last seven columns. Raises InputError."""
    lines = _read(folder, "steel_plates", "Faults.NNA").splitlines()
    table = _to_numbers("Faults.NNA", [line.strip('"').split("\t") for line in lines if line.strip()])
    flags = table[:, _STEEL_COLUMNS:]
    if flags.shape[1] != 7 or not (flags.sum(axis=1) == 1).all():
        raise InputError("Faults.NNA does not mark one of seven classes per row", hint="download it from UCI again")
    return table[:, :_STEEL_COLUMNS], flags.argmax(axis=1).astype(np.int64)


def load_ai4i(folder: Path) -> tuple[Floats, Classes]:
    """Values (10000, 6), with Type L, M, H as 0, 1, 2, and classes (10000,): 1 if the machine failed.

    Raises InputError.
    """
    rows = list(csv.DictReader(_read(folder, "ai4i2020", "ai4i2020.csv").splitlines()))
    label = next((name for name in _AI4I_LABELS if rows and name in rows[0]), None)
    if label is None or not set(_AI4I_COLUMNS) <= set(rows[0]):
        raise InputError("a column of ai4i2020.csv is missing", hint="download it from UCI again")
    kinds = {"L": "0", "M": "1", "H": "2"}
    cells = [[kinds.get(row["Type"], ""), *(row[name] for name in (*_AI4I_COLUMNS[1:], label))] for row in rows]
    table = _to_numbers("ai4i2020.csv", cells)
    return table[:, :-1], (table[:, -1] == 1).astype(np.int64)


def _to_numbers(name: str, cells: list[list[str]]) -> Floats:
    try:
        return np.array([[float(cell) for cell in row] for row in cells], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} is not a table of numbers", hint="download it from UCI again") from error


def _read(folder: Path, name: str, file: str) -> str:
    path = next((path for path in (folder / file, folder / name / file) if path.is_file()), None)
    if path is None:
        raise InputError(f"{folder} has no {file}", hint="pass the folder of the data with --data")
    return path.read_text(encoding="utf-8-sig")
