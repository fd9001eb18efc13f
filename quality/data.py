"""Tables of sensor windows: reading them, and the one step from float to integer.

A file is NPY, CSV (`,`) or TSV (tab); text has no header or one header row. A *table* carries its label in the first
column, as the UCR archive does; *inputs* and *labels* are files of their own. Values must be finite numbers.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quality.errors import InputError
from quality.inputs import MAX_FIXED, MAX_WIDTH

__all__ = ["DECIMALS", "Table", "build_targets", "load_inputs", "load_labels", "load_table", "parse_text", "to_fixed"]

DECIMALS = 6
"""Trained models read sensor values in millionths of the sensor's unit."""
_DELIMITERS = {".csv": ",", ".tsv": "\t"}

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Table:
    """Labelled windows. Raises InputError when the two parts do not have the same number of rows."""

    values: Floats
    """(n, width), in the sensor's unit."""
    labels: Floats
    """(n,), as found: see `build_targets`."""
    sha256s: tuple[str, ...]
    """Hex digests of the files this was read from."""

    def __post_init__(self) -> None:
        if len(self.values) != len(self.labels):
            raise InputError(f"{len(self.values)} rows of inputs but {len(self.labels)} labels", mend="give one a row")


def to_fixed(values: Floats, decimals: int = DECIMALS) -> NDArray[np.int64]:
    """Fixed-point integers in units of 10^-decimals: the only float step between sensor and verdict.

    `rint(value * 10^decimals)` in IEEE 754 binary64, ties to even; both operations are correctly rounded by the
    standard, so the result is the same on every machine. Raises InputError for non-finite values and for results
    beyond 2^53 - 1.
    """
    if not np.isfinite(values).all():
        raise InputError("a sensor value is not finite", mend="drop or fill missing values first")
    scaled = np.rint(np.asarray(values, dtype=np.float64) * float(10**decimals))
    if scaled.size and np.abs(scaled).max() > MAX_FIXED:
        raise InputError(f"a sensor value exceeds 2^53 - 1 in units of 1e-{decimals}", mend="give it in a coarser unit")
    return scaled.astype(np.int64)


def build_targets(labels: Floats, positive: float | None = None) -> NDArray[np.bool_]:
    """True where the label says "symptom present", which an inspection answers with FAIL.

    There must be two classes; `positive` names the symptom's label, and is the larger of the two unless given.
    Raises InputError otherwise.
    """
    classes = np.unique(labels)
    if len(classes) != 2:
        shown = ", ".join(f"{value:g}" for value in classes[:5]) + (", ..." if len(classes) > 5 else "")
        raise InputError(f"labels have {len(classes)} classes ({shown})", mend="give exactly two, such as 0 and 1")
    symptom = float(classes[1]) if positive is None else positive
    if symptom not in classes:
        raise InputError(f"no label equals {symptom:g}", mend=f"choose {classes[0]:g} or {classes[1]:g}")
    return np.asarray(labels == symptom, dtype=np.bool_)


def load_table(path: Path) -> Table:
    """Windows with their labels in the first column, UCR fashion. Raises InputError."""
    values, digest = _load(path)
    if values.ndim != 2 or values.shape[1] < 2:
        raise InputError(f"{path} has shape {values.shape}", mend="give a label and at least one value a row")
    return Table(values=_require_width(path, values[:, 1:]), labels=values[:, 0], sha256s=(digest,))


def load_inputs(path: Path) -> tuple[Floats, str]:
    """Windows (n, width) without labels, and the file's SHA-256 in hex. Raises InputError."""
    values, digest = _load(path)
    if values.ndim != 2:
        raise InputError(f"{path} has shape {values.shape}", mend="give two dimensions: (rows, values a row)")
    return _require_width(path, values), digest


def load_labels(path: Path) -> tuple[Floats, str]:
    """Labels (n,), and the file's SHA-256 in hex. Raises InputError."""
    values, digest = _load(path)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise InputError(f"{path} has shape {values.shape}", mend="give one label a row")
    return values, digest


def _require_width(path: Path, values: Floats) -> Floats:
    if not 1 <= values.shape[1] <= MAX_WIDTH:
        raise InputError(f"{path} has {values.shape[1]} values a row", mend=f"give 1..{MAX_WIDTH}")
    return values


def _load(path: Path) -> tuple[Floats, str]:
    """Finite float64 values of a file, and its SHA-256 in hex."""
    suffix = path.suffix.lower()
    if suffix != ".npy" and suffix not in _DELIMITERS:
        raise InputError(f"{path} is not .npy, .csv or .tsv", mend="convert it, or rename it")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", mend="check the path") from error
    values = _parse_npy(path, content) if suffix == ".npy" else parse_text(str(path), content, _DELIMITERS[suffix])
    if not len(values):
        raise InputError(f"{path} has no rows", mend="give at least one")
    finite = np.isfinite(values)
    if not finite.all():
        row = int(np.argwhere(~finite)[0][0]) + 1
        raise InputError(f"{path}: data row {row} has a non-finite value", mend="drop or fill missing values first")
    return values, hashlib.sha256(content).hexdigest()


def _parse_npy(path: Path, content: bytes) -> Floats:
    try:
        values = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"{path} is not a readable NPY array of numbers", mend="write it with numpy.save") from error
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiub" or values.ndim == 0:
        raise InputError(f"{path} does not hold an array of numbers", mend="store float or integer values")
    return values.astype(np.float64)


def parse_text(name: str, content: bytes, delimiter: str) -> Floats:
    """Values (rows, columns) of delimited text; `name` is how errors call it. Blank lines are skipped.

    A first row holding a word, or counting 0, 1, 2, ... as table programs do, is a header. Raises InputError.
    """
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{name} is not UTF-8 text", mend="save it as plain text") from error
    rows = [(number, line.split(delimiter)) for number, line in enumerate(lines, 1) if line.strip()]
    if rows and _is_header(rows[0][1]):
        del rows[0]
    values, width = [], len(rows[0][1]) if rows else 0
    for number, cells in rows:
        if len(cells) != width:
            raise InputError(
                f"{name}: line {number} has {len(cells)} values, the first has {width}", mend="even it out"
            )
        try:
            values.append([float(cell) for cell in cells])
        except ValueError as error:
            raise InputError(f"{name}: line {number} holds something that is no number", mend="fix the cell") from error
    return np.array(values, dtype=np.float64)


def _is_header(cells: list[str]) -> bool:
    names = [cell.strip().strip('"') for cell in cells]
    counting = len(names) > 1 and names == [str(index) for index in range(len(names))]
    return counting or any(name and not _is_number(name) for name in names)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
