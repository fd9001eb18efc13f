"""Tables of sensor windows: reading them, and the one step from float to integer.

A file is NPY, CSV (`,`, `;` or tab) or TSV, possibly packed by gzip; text has no header or one header row. A *table*
carries its label in the first column, as the UCR archive does; *inputs* and *labels* are files of their own. Values
must be finite numbers; a label is a number or a word.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import math
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quality.errors import InputError
from quality.inputs import MAX_DECIMALS, MAX_FIXED, MAX_WIDTH
from quality.text import drop_row_names, is_number, parse_text, split_rows

__all__ = [
    "DECIMALS",
    "Table",
    "choose_decimals",
    "load_inputs",
    "load_labels",
    "load_table",
    "name_labels",
    "to_fixed",
]

DECIMALS = 6
"""Trained models read sensor values in millionths of the sensor's unit, unless these are too large or too small."""
_HEADROOM = 8
"""Times the largest value that training saw which a model can still read."""
_FINE = 1000
"""Units in the standard deviation of a column that are enough to tell its values apart."""
_RESIDUE = 1e-9
"""A standard deviation below this share of the largest value is float arithmetic's own."""
_COARSER = "give it in a coarser unit"
_MAX_UNPACKED = 2**29
_DELIMITERS = {".csv": ",", ".tsv": "\t"}

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Table:
    """Labelled windows. Raises InputError when the two parts do not have the same number of rows."""

    values: Floats
    """(n, width), in the sensor's unit."""
    labels: NDArray[np.str_]
    """(n,), as people write them: see `quality.labels`."""
    sha256s: tuple[str, ...]
    """Hex digests of the files this was read from."""

    def __post_init__(self) -> None:
        if len(self.values) != len(self.labels):
            raise InputError(
                f"{len(self.values)} rows of inputs but {len(self.labels)} labels",
                hint="give one a row; a header must be a word",
            )


def to_fixed(values: Floats, decimals: int = DECIMALS) -> NDArray[np.int64]:
    """Fixed-point integers in units of 10^-decimals: the only float step between sensor and verdict.

    `rint(value * 10^decimals)` in IEEE 754 binary64, ties to even; both operations are correctly rounded by the
    standard, so the result is the same on every machine. Raises InputError for non-finite values and for results
    beyond 2^53 - 1.
    """
    if not np.isfinite(values).all():
        raise InputError("a sensor value is not finite", hint="drop or fill missing values first")
    scaled = np.rint(np.asarray(values, dtype=np.float64) * float(10**decimals))
    if scaled.size and np.abs(scaled).max() > MAX_FIXED:
        raise InputError(f"a sensor value exceeds 2^53 - 1 in units of 1e-{decimals}", hint=_COARSER)
    return scaled.astype(np.int64)


def choose_decimals(values: Floats) -> int:
    """Decimals 0..9 in which fixed-point values (n, width) neither overflow nor lose what they tell: 6 if these do.

    Fewer when the values leave no room, more when a column would have less than a thousand units of standard deviation.
    Raises InputError when a value is too large for any.
    """
    largest = np.abs(values).max(axis=0)
    most = float(largest.max()) * _HEADROOM
    roomy = [decimals for decimals in range(MAX_DECIMALS + 1) if most * 10**decimals <= MAX_FIXED]
    if not roomy:
        raise InputError(f"a sensor value leaves no room below 2^53 (it is {most / _HEADROOM:.3g})", hint=_COARSER)
    spreads = values.std(axis=0)
    least = spreads[spreads > largest * _RESIDUE].min(initial=np.inf)
    fine = (decimals for decimals in range(DECIMALS, MAX_DECIMALS) if least * 10**decimals >= _FINE)
    return min(roomy[-1], next(fine, MAX_DECIMALS))


def name_labels(values: NDArray[np.generic]) -> NDArray[np.str_]:
    """Labels (n,) as text: 1, 1.0 and True are "1", words are themselves, of bytes those of Latin-1."""
    if values.dtype.kind == "S":
        return np.strings.decode(values.astype(np.bytes_), "latin-1")
    if values.dtype.kind == "f":
        return np.array([f"{int(value)}" if value == int(value) else repr(float(value)) for value in values.tolist()])
    return np.array([str(int(value)) if isinstance(value, bool) else str(value) for value in values.tolist()])


def load_table(path: Path) -> Table:
    """Windows with their labels in the first column, UCR fashion. Raises InputError."""
    values, digest = _load(path)
    if values.ndim != 2 or values.shape[1] < 2:
        raise InputError(f"{path} has shape {values.shape}", hint="give a label and at least one value a row")
    return Table(values=_require_width(path, values[:, 1:]), labels=name_labels(values[:, 0]), sha256s=(digest,))


def load_inputs(path: Path) -> tuple[Floats, str]:
    """Windows (n, width) without labels, and the SHA-256 in hex of what the file holds, unpacked. Raises InputError."""
    values, digest = _load(path)
    if values.ndim != 2:
        raise InputError(f"{path} has shape {values.shape}", hint="give two dimensions: (rows, values a row)")
    return _require_width(path, values), digest


def load_labels(path: Path) -> tuple[NDArray[np.str_], str]:
    """Labels (n,) as text, and the SHA-256 in hex of what the file holds, unpacked. Raises InputError."""
    suffix, content = _read(path)
    if suffix == ".npy":
        labels = _squeeze(path, _parse_npy(path, content, "fiubUS"))
        if labels.dtype.kind == "f" and not np.isfinite(labels.astype(np.float64)).all():
            raise InputError(f"{path} has a non-finite label", hint="drop or fill missing labels first")
        named = name_labels(labels)
    else:
        named = _parse_labels(path, content, _DELIMITERS[suffix])
    if not len(named):
        raise InputError(f"{path} has no rows", hint="give at least one")
    return named, hashlib.sha256(content).hexdigest()


def _squeeze(path: Path, labels: NDArray[np.generic]) -> NDArray[np.generic]:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise InputError(f"{path} has shape {labels.shape}", hint="give one label a row")
    return labels


def _parse_labels(path: Path, content: bytes, delimiter: str) -> NDArray[np.str_]:
    """Labels of one text column. A first word that no other row repeats, above numbers or words, is a header."""
    rows, headed = drop_row_names(split_rows(str(path), content, delimiter))
    if any(len(cells) != 1 for _, cells in rows):
        raise InputError(f"{path} has more than one column", hint="give one label a row")
    cells = [cells[0] for _, cells in rows]
    if headed or (len(cells) > 1 and not is_number(cells[0]) and cells[0] not in cells[1:]):
        del cells[0]
    if "" in cells:
        raise InputError(f"{path} has an empty label", hint="drop or fill missing labels first")
    if all(is_number(cell) for cell in cells):
        numbers = np.array([float(cell) for cell in cells])
        if not np.isfinite(numbers).all():
            raise InputError(f"{path} has a non-finite label", hint="drop or fill missing labels first")
        return name_labels(numbers)
    return np.array(cells)


def _require_width(path: Path, values: Floats) -> Floats:
    if not 1 <= values.shape[1] <= MAX_WIDTH:
        raise InputError(f"{path} has {values.shape[1]} values a row", hint=f"give 1..{MAX_WIDTH}")
    return values


def _load(path: Path) -> tuple[Floats, str]:
    """Finite float64 values of a file, and the SHA-256 in hex of what it holds, unpacked."""
    suffix, content = _read(path)
    if suffix == ".npy":
        values: Floats = _parse_npy(path, content, "fiub").astype(np.float64)
    else:
        values = parse_text(str(path), content, _DELIMITERS[suffix])
    if not len(values):
        raise InputError(f"{path} has no rows", hint="give at least one")
    finite = np.isfinite(values)
    if not finite.all():
        row = int(np.argwhere(~finite)[0][0]) + 1
        raise InputError(f"{path}: data row {row} has a non-finite value", hint="drop or fill missing values first")
    return values, hashlib.sha256(content).hexdigest()


def _read(path: Path) -> tuple[str, bytes]:
    """The file's suffix, which is one that we know, and its content, unpacked where it ends in .gz."""
    packed = path.suffix.lower() == ".gz"
    suffix = Path(path.stem if packed else path.name).suffix.lower()
    if suffix != ".npy" and suffix not in _DELIMITERS:
        raise InputError(f"{path} is not .npy, .csv or .tsv", hint="convert it, or rename it")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", hint="check the path") from error
    return suffix, _unpack(path, content) if packed else content


def _unpack(path: Path, content: bytes) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            unpacked = file.read(_MAX_UNPACKED + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} is no gzip file", hint="pack it again") from error
    if len(unpacked) > _MAX_UNPACKED:
        raise InputError(f"{path} unpacks to more than {_MAX_UNPACKED} bytes", hint="unpack it yourself")
    return unpacked


def _parse_npy(path: Path, content: bytes, kinds: str) -> NDArray[np.generic]:
    try:
        _require_content(content)
        values = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"{path} is not a readable NPY array of numbers", hint="write it with numpy.save") from error
    if not isinstance(values, np.ndarray) or values.dtype.kind not in kinds or values.ndim == 0:
        words = " or words" if "U" in kinds else ""
        raise InputError(f"{path} does not hold an array of numbers{words}", hint="store float or integer values")
    return values


def _require_content(content: bytes) -> None:
    """Raise ValueError when an NPY header announces more than there is, for which numpy would make room."""
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    if math.prod(shape) * dtype.itemsize > len(content):
        raise ValueError("the array is cut off")
