"""Maps labels as people write them to the numbered classes of a model. Needs numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from millmark.quality.decision import MAX_OUTPUTS
from millmark.quality.errors import InputError

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
    """Classes of all distinct labels, sorted as numbers if all are numbers, else as text.

    `reject` lists the labels that mean FAIL; if empty, all but the first do. With two labels, the rejected one becomes
    class 1. Raises InputError for fewer than 2 or more than 32 distinct labels, if `reject` has an unknown label, and
    if it has both of two labels.
    """
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
    """Booleans (n,), True where a label (n,) means FAIL: the larger of two labels, else all but the smallest.

    Raises InputError as `build_classes` does.
    """
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
