"""The interface between training and a model family: `Problem` in, `Fitted` out; and what both sides do with rows, from
their labels to splits and scales. Needs numpy, not torch.

A family's module `train` has functions of type `Fit`, which `millmark.quality.train` lists in `KINDS`. A fit sees
training data only. It holds out rows of its own for early stopping, and to score rows that the scoring model was not
fitted to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from millmark.quality.data import DECIMALS, to_fixed
from millmark.quality.errors import InputError
from millmark.quality.inference import MAX_OUTPUTS, MAX_SHIFT, Decision, Scale
from millmark.quality.model import Model

# Maps labels as people write them to the numbered classes of a model.

Labels = NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class Classes:
    """The label of each class, and which classes mean FAIL."""

    labels: tuple[str, ...]
    """Indexed by class. With two classes, the second is the defect."""
    rejects: int
    """Bit c is set if class c means FAIL; always 2 with two classes."""

    @property
    def outputs(self) -> int:
        """Number of logits of a model for these classes: one for two classes, else one per class."""
        return 1 if len(self.labels) == 2 else len(self.labels)

    @property
    def mask(self) -> int:
        """The value of `Decision.rejects`: for a single logit 1, which stands for the defect, otherwise `rejects`."""
        return 1 if self.outputs == 1 else self.rejects

    def index(self, labels: Labels) -> NDArray[np.int64]:
        """Classes (n,) of labels (n,). Raises InputError for an unknown label."""
        known = {label: index for index, label in enumerate(self.labels)}
        unknown = sort_labels({str(label) for label in labels} - known.keys())
        if unknown:
            raise InputError(
                f"label {unknown[0]} is not one of the model's ({_show(self.labels)})", hint="correct the labels"
            )
        return np.array([known[str(label)] for label in labels], dtype=np.int64)

    def fails(self, classes: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Booleans (n,), True where a class (n,) means FAIL."""
        return np.asarray(self.rejects >> classes & 1, dtype=np.bool_)


def build_classes(labels: Sequence[str] | Labels, reject: Sequence[str] = ()) -> Classes:
    """Classes of all distinct labels, sorted as numbers if all are numbers, else as text. `reject` lists the labels
    that mean FAIL; if empty, all but the first do. With two labels, the rejected one becomes class 1. Raises InputError
    for fewer than 2 or more than 32 distinct labels, if `reject` has an unknown label, and if it has both of two
    labels."""
    distinct = sort_labels({str(label) for label in labels})
    if not 2 <= len(distinct) <= MAX_OUTPUTS:
        hint = f"expected 2..{MAX_OUTPUTS}, such as 0 and 1"
        raise InputError(f"number of distinct labels is {len(distinct)} ({_show(distinct)})", hint=hint)
    unknown = [label for label in reject if label not in distinct]
    if unknown:
        raise InputError(f"unknown label {unknown[0]}", hint=f"choose from {_show(distinct)}")
    rejected = set(reject) or set(distinct[1:])
    # Two classes have a single logit, the score of class 1: that must be the defect.
    if len(distinct) == 2:
        if len(rejected) == 2:
            raise InputError("both labels are rejected", hint="name the one that means FAIL")
        return Classes(tuple(sorted(distinct, key=lambda label: label in rejected)), 2)
    return Classes(tuple(distinct), sum(1 << index for index, label in enumerate(distinct) if label in rejected))


def find_defects(labels: Labels) -> NDArray[np.bool_]:
    """Booleans (n,), True where a label (n,) means FAIL: the larger of two labels, else all but the smallest. Raises
    InputError as `build_classes` does."""
    classes = build_classes(labels)
    return classes.fails(classes.index(labels))


def sort_labels(labels: set[str]) -> list[str]:
    """Labels in ascending order, as numbers if all are numbers, else as text."""
    try:
        # The text breaks ties such as "1" and "1.0", so that the order never depends on the set's.
        return sorted(labels, key=lambda label: (float(label), label))
    except ValueError:
        return sorted(labels)


def _show(labels: Sequence[str]) -> str:
    return ", ".join(labels[:5]) + (", ..." if len(labels) > 5 else "")


# Stratified splits and samples of rows: every class is split in the same proportion.

Rows = NDArray[np.int64]
_MIN_ROWS = 10
_MIN_CLASS_ROWS = 2
"""One to train on and one to validate on."""


def split_rows(classes: NDArray[np.int64], seed: int) -> tuple[Rows, Rows]:
    """Row numbers for training (about four fifths) and validation. Validation has at least one row of each class."""
    generator = np.random.default_rng(seed)
    validation = np.zeros(len(classes), dtype=np.bool_)
    for value in np.unique(classes):
        rows = generator.permutation(np.flatnonzero(classes == value))
        # At least one row, although a fifth of a rare class may round down to none.
        validation[rows[: max(1, len(rows) // 5)]] = True
    return np.flatnonzero(~validation), np.flatnonzero(validation)


def split_folds(classes: NDArray[np.int64], folds: int, seed: int) -> Iterator[tuple[Rows, Rows]]:
    """(training rows, held-out rows) for each fold of a cross-validation; every row is held out exactly once. Folds
    without rows, which occur with very few rows, are left out."""
    generator = np.random.default_rng(seed)
    fold = np.zeros(len(classes), dtype=np.int64)
    for value in np.unique(classes):
        rows = generator.permutation(np.flatnonzero(classes == value))
        # A random first fold per class: else the first folds would get the surplus rows of every class.
        fold[rows] = (np.arange(len(rows)) + generator.integers(folds)) % folds
    for index in np.unique(fold):
        yield np.flatnonzero(fold != index), np.flatnonzero(fold == index)


def take_sample(classes: NDArray[np.int64], most: int, seed: int) -> Rows:
    """About `most` row numbers, ascending, or all if there are fewer. Classes keep their proportions, but each keeps at
    least 30 of its rows, or all that it has."""
    if len(classes) <= most:
        return np.arange(len(classes))
    generator = np.random.default_rng(seed)
    taken = []
    for value in np.unique(classes):
        rows = generator.permutation(np.flatnonzero(classes == value))
        taken.append(rows[: max(30, len(rows) * most // len(classes))])
    return np.sort(np.concatenate(taken))


def require_rows(classes: NDArray[np.int64]) -> None:
    """Raise InputError for fewer than 10 rows in all, or fewer than 2 of any class."""
    if len(classes) < _MIN_ROWS:
        raise InputError(f"there are only {len(classes)} rows", hint=f"at least {_MIN_ROWS} are needed")
    fewest = int(np.bincount(classes).min())
    if fewest < _MIN_CLASS_ROWS:
        raise InputError(f"a class has too few rows ({fewest})", hint=f"at least {_MIN_CLASS_ROWS} of each are needed")


# Fits scales to training values. Needs numpy.

_SPREAD_QUANTILE = 0.999
"""Values whose distance from the mean is above this quantile saturate: a few clipped outliers cost less than coarse
steps."""


def fit_scales(fixed: NDArray[np.int64], limit: int, *, shared: bool) -> tuple[Scale, ...]:
    """Scales that spread fixed-point training values (n, width) over -limit..limit around their mean. One scale for all
    columns if `shared` (a time series keeps its shape), else one per column (the columns of a table have different
    units). About one value in a thousand saturates."""
    columns = [fixed.ravel()] if shared else list(fixed.T)
    return tuple(_fit_scale(column, limit) for column in columns)


def _fit_scale(column: NDArray[np.int64], limit: int) -> Scale:
    zero = round(float(column.mean()))
    distances = np.abs(column - zero)
    # A column that is almost always constant has quantile 0; its extremes still carry information.
    spread = int(np.quantile(distances, _SPREAD_QUANTILE)) or int(distances.max())
    if not spread:
        # A constant column: every value becomes word 0.
        return Scale(zero=zero, multiplier=1, shift=MAX_SHIFT)
    # The largest shift with an 8-bit multiplier: the finest approximation of limit / spread that the format allows.
    shift = 0
    while shift < MAX_SHIFT and (limit << (shift + 1)) // spread <= 255:
        shift += 1
    return Scale(zero=zero, multiplier=min(255, max(1, (limit << shift) // spread)), shift=shift)


Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]

Progress: TypeAlias = Callable[[str, int, int, Mapping[str, float]], None]
"""Called after each step with (what runs, steps done, steps planned, figures such as {"loss/training": 0.3})."""


def silent(_name: str, _done: int, _planned: int, _figures: Mapping[str, float]) -> None:
    """A `Progress` that reports nothing."""


@dataclass(frozen=True, slots=True)
class Problem:
    """The training rows."""

    values: Floats
    """(n, width), in the sensor's unit, finite."""
    classes: Integers
    """(n,) in 0..count - 1, each class at least once; with two classes, 1 is the defect."""
    count: int
    """Number of classes, at least 2."""
    weights: tuple[float, ...]
    """Weight of a row, by class."""
    decimals: int = DECIMALS
    """The model reads sensor values in units of 10^-decimals of the sensor's unit."""

    @property
    def outputs(self) -> int:
        """Number of logits of a model for this problem: one for two classes, else one per class."""
        return 1 if self.count == 2 else self.count

    @property
    def fixed(self) -> Integers:
        """Values (n, width) in fixed point, as a model reads them."""
        return to_fixed(self.values, self.decimals)

    @property
    def row_weights(self) -> Floats:
        """Weight of each row (n,), with mean 1."""
        weights = np.asarray(self.weights, dtype=np.float64)[self.classes]
        # Only ratios matter: learning rates and regularisation must not depend on the scale of the weights.
        scaled: Floats = weights / weights.mean()
        return scaled

    def take(self, rows: Integers) -> Problem:
        """The problem restricted to some of its rows."""
        return Problem(self.values[rows], self.classes[rows], self.count, self.weights, self.decimals)


class Fitted(Protocol):
    """An integer model, and how it relates to the float model that it was rounded from."""

    @property
    def model(self) -> Model:
        """The model with the decision of `undecided`, which training replaces."""

    @property
    def recipe(self) -> str:
        """How the model was made, in a few words for the card."""

    @property
    def logit_step(self) -> float:
        """Float logit (log odds, or log probability up to a constant) per unit of integer logit."""

    @property
    def held_out(self) -> Integers:
        """Row numbers (m,) of the problem's rows that were scored by a model not fitted to them; all classes occur
        among them."""

    @property
    def held_out_logits(self) -> Integers:
        """Integer logits (m, outputs) of those rows, in the model's units."""

    def float_logits(self, fixed: Integers) -> Floats:
        """Logits (n, outputs) of the float model, before any rounding, on fixed-point windows (n, width)."""


class Fit(Protocol):
    """Fits a model to a problem. Raises InputError if the kind cannot learn from the data, and ExportError if the
    result does not fit the integer format. Not established: that the same seed gives the same model on another
    machine."""

    def __call__(self, problem: Problem, *, seed: int, progress: Progress) -> Fitted: ...


def undecided(outputs: int) -> Decision:
    """A placeholder decision until training chooses one: threshold 0, every class but the first rejected."""
    return Decision(outputs, 1 if outputs == 1 else (1 << outputs) - 2, 0)
