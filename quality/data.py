"""Reads sensor windows and their labels from files, and converts floats to fixed-point integers. Needs numpy.

A file is NPY, CSV (`,`, `;` or tab) or TSV, optionally compressed with gzip; text has at most one header row. A *table*
has its labels in the first column, as in the UCR archive; *inputs* and *labels* are separate files. Values must be
finite numbers; a label is a number or a word.
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

from millmark.quality.errors import InputError
from millmark.quality.inputs import MAX_DECIMALS, MAX_FIXED, MAX_WIDTH
from millmark.quality.text import drop_row_names, is_number, parse_text, split_rows

DECIMALS = 6
"""Models read sensor values in millionths of the sensor's unit, unless the values are too large or small for that."""
_HEADROOM = 8
"""A model can read values up to this many times the largest one in its training data."""
_FINE = 1000
"""Fixed-point units per standard deviation of a column that suffice to tell its values apart."""
_RESIDUE = 1e-9
"""A standard deviation below this share of the largest value is rounding error of float arithmetic, not information."""
_COARSER = "use a coarser unit"
_MAX_UNPACKED = 2**29
"""Bytes that a gzip file may expand to: a small file must not exhaust memory."""
_DELIMITERS = {".csv": ",", ".tsv": "\t"}

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Table:
    """Labelled windows. Raises InputError if values and labels differ in number of rows."""

    values: Floats
    """(n, width), in the sensor's unit."""
    labels: NDArray[np.str_]
    """(n,), as people write them: see `millmark.quality.labels`."""
    sha256s: tuple[str, ...]
    """SHA-256, in hex, of each file that the table was read from."""

    def __post_init__(self) -> None:
        if len(self.values) != len(self.labels):
            raise InputError(
                f"{len(self.values)} rows of inputs but {len(self.labels)} labels",
                hint="each row needs one label; a header row must contain a word",
            )


def to_fixed(values: Floats, decimals: int = DECIMALS) -> NDArray[np.int64]:
    """Fixed-point integers in units of 10^-decimals. This is the only float operation between sensor and verdict.

    `rint(value * 10^decimals)` in IEEE 754 binary64, ties to even. The standard requires both operations to be
    correctly rounded, so the result is the same on every machine. Raises InputError for non-finite values and for
    results above 2^53 - 1 in magnitude.
    """
    if not np.isfinite(values).all():
        raise InputError("a sensor value is not finite", hint="drop or fill missing values first")
    scaled = np.rint(np.asarray(values, dtype=np.float64) * float(10**decimals))
    if scaled.size and np.abs(scaled).max() > MAX_FIXED:
        raise InputError(f"a sensor value exceeds 2^53 - 1 in units of 1e-{decimals}", hint=_COARSER)
    return scaled.astype(np.int64)


def choose_decimals(values: Floats) -> int:
    """Decimals (0..9) at which values (n, width) neither overflow nor lose information in fixed point.

    The default is 6. Large values get fewer, so that `_HEADROOM` remains; otherwise a column whose standard deviation
    would be below a thousand units gets more. Raises InputError if a value is too large even for 0 decimals.
    """
    largest = np.abs(values).max(axis=0)
    most = float(largest.max()) * _HEADROOM
    roomy = [decimals for decimals in range(MAX_DECIMALS + 1) if most * 10**decimals <= MAX_FIXED]
    if not roomy:
        raise InputError(f"sensor values of up to {most / _HEADROOM:.3g} are too large for 53 bits", hint=_COARSER)
    spreads = values.std(axis=0)
    # A constant column has a tiny deviation from rounding; counting it would demand the most decimals for nothing.
    least = spreads[spreads > largest * _RESIDUE].min(initial=np.inf)
    fine = (decimals for decimals in range(DECIMALS, MAX_DECIMALS) if least * 10**decimals >= _FINE)
    return min(roomy[-1], next(fine, MAX_DECIMALS))


def name_labels(values: NDArray[np.generic]) -> NDArray[np.str_]:
    """Labels (n,) as text: 1, 1.0 and True become "1", words stay unchanged, bytes are decoded.

    One label has one name whatever the file's type, so that a CSV file and an NPY file train the same classes.
    """
    if values.dtype.kind == "S":
        # Latin-1 decodes any byte, and each to a different character: distinct labels stay distinct.
        return np.strings.decode(values.astype(np.bytes_), "latin-1")
    if values.dtype.kind == "f":
        return np.array([f"{int(value)}" if value == int(value) else repr(float(value)) for value in values.tolist()])
    return np.array([str(int(value)) if isinstance(value, bool) else str(value) for value in values.tolist()])


def load_table(path: Path) -> Table:
    """Read windows with their labels in the first column, as in the UCR archive. Raises InputError."""
    values, digest = _load(path)
    if values.ndim != 2 or values.shape[1] < 2:
        raise InputError(f"{path} has shape {values.shape}", hint="each row needs a label and at least one value")
    return Table(values=_require_width(path, values[:, 1:]), labels=name_labels(values[:, 0]), sha256s=(digest,))


def load_inputs(path: Path) -> tuple[Floats, str]:
    """Read windows (n, width) without labels; also returns the file's SHA-256. Raises InputError.

    The digest (hex) is that of the uncompressed content: compressing a file again does not change what it identifies.
    """
    values, digest = _load(path)
    if values.ndim != 2:
        raise InputError(f"{path} has shape {values.shape}", hint="expected two dimensions: (rows, values per row)")
    return _require_width(path, values), digest


def load_labels(path: Path) -> tuple[NDArray[np.str_], str]:
    """Read labels (n,) as text; also returns the SHA-256 (hex) of the uncompressed content. Raises InputError."""
    suffix, content = _read(path)
    if suffix == ".npy":
        labels = _squeeze(path, _parse_npy(path, content, "fiubUS"))
        if labels.dtype.kind == "f" and not np.isfinite(labels.astype(np.float64)).all():
            raise InputError(f"{path} has a non-finite label", hint="drop or fill missing labels first")
        named = name_labels(labels)
    else:
        named = _parse_labels(path, content, _DELIMITERS[suffix])
    if not len(named):
        raise InputError(f"{path} has no rows", hint="at least one is needed")
    return named, hashlib.sha256(content).hexdigest()


def _squeeze(path: Path, labels: NDArray[np.generic]) -> NDArray[np.generic]:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise InputError(f"{path} has shape {labels.shape}", hint="expected one label per row")
    return labels


def _parse_labels(path: Path, content: bytes, delimiter: str) -> NDArray[np.str_]:
    """Labels in one column of text. The first row is a header if it is a word that no other row repeats."""
    rows, headed = drop_row_names(split_rows(str(path), content, delimiter))
    if any(len(cells) != 1 for _, cells in rows):
        raise InputError(f"{path} has more than one column", hint="expected one label per row")
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
        raise InputError(f"{path} has {values.shape[1]} values per row", hint=f"expected 1..{MAX_WIDTH}")
    return values


def _load(path: Path) -> tuple[Floats, str]:
    """Finite float64 values of a file, and the SHA-256 (hex) of its uncompressed content."""
    suffix, content = _read(path)
    if suffix == ".npy":
        values: Floats = _parse_npy(path, content, "fiub").astype(np.float64)
    else:
        values = parse_text(str(path), content, _DELIMITERS[suffix])
    if not len(values):
        raise InputError(f"{path} has no rows", hint="at least one is needed")
    finite = np.isfinite(values)
    if not finite.all():
        row = int(np.argwhere(~finite)[0][0]) + 1
        raise InputError(f"{path}: data row {row} has a non-finite value", hint="drop or fill missing values first")
    return values, hashlib.sha256(content).hexdigest()


def _read(path: Path) -> tuple[str, bytes]:
    """A supported file's suffix (without .gz) and its content, uncompressed if the name ends in .gz."""
    packed = path.suffix.lower() == ".gz"
    suffix = Path(path.stem if packed else path.name).suffix.lower()
    if suffix != ".npy" and suffix not in _DELIMITERS:
        raise InputError(f"{path} is not .npy, .csv or .tsv", hint="convert or rename it")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", hint="check the path") from error
    return suffix, _unpack(path, content) if packed else content


def _unpack(path: Path, content: bytes) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            # One byte past the limit shows that the file exceeds it, without uncompressing the rest.
            unpacked = file.read(_MAX_UNPACKED + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} is not a gzip file, or is cut off", hint="compress it again") from error
    if len(unpacked) > _MAX_UNPACKED:
        raise InputError(f"{path} unpacks to more than {_MAX_UNPACKED} bytes", hint="unpack it first")
    return unpacked


def _parse_npy(path: Path, content: bytes, kinds: str) -> NDArray[np.generic]:
    try:
        _require_content(content)
        # Pickled objects would run code of the file's author.
        values = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"{path} is not a readable NPY array of numbers", hint="write it with numpy.save") from error
    if not isinstance(values, np.ndarray) or values.dtype.kind not in kinds or values.ndim == 0:
        words = " or words" if "U" in kinds else ""
        raise InputError(f"{path} does not contain an array of numbers{words}", hint="store float or integer values")
    return values


def _require_content(content: bytes) -> None:
    """Raise ValueError if an NPY header announces more data than the file has: numpy would allocate memory for it."""
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    if math.prod(shape) * dtype.itemsize > len(content):
        raise ValueError("the array is cut off")
