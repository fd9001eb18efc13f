"""Labels as people write them, and the classes that models count with. Needs numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quality.decision import MAX_OUTPUTS
from quality.errors import InputError

__all__ = ["Classes", "build_classes", "find_defects", "sort_labels"]

Labels = NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class Classes:
    """Which label stands for which class, and which classes mean FAIL."""

    labels: tuple[str, ...]
    """By class. Of two, the second is the defect."""
    rejects: int
    """Bit c set when class c means FAIL; of two classes always 2."""

    @property
    def outputs(self) -> int:
        """Logits of a model for them: one score of the defect for two classes, else one a class."""
        return 1 if len(self.labels) == 2 else len(self.labels)

    @property
    def mask(self) -> int:
        """The rejects of a model's decision: with one logit, bit 0 is the defect."""
        return 1 if self.outputs == 1 else self.rejects

    def index(self, labels: Labels) -> NDArray[np.int64]:
        """Classes (n,) of labels (n,). Raises InputError for a label that is none of these."""
        known = {label: index for index, label in enumerate(self.labels)}
        unknown = sort_labels({str(label) for label in labels} - known.keys())
        if unknown:
            raise InputError(f"label {unknown[0]} is none of the model's ({_show(self.labels)})", hint="fix the labels")
        return np.array([known[str(label)] for label in labels], dtype=np.int64)

    def fails(self, classes: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of classes (n,) mean FAIL."""
        return np.asarray(self.rejects >> classes & 1, dtype=np.bool_)


def build_classes(labels: Sequence[str] | Labels, reject: Sequence[str] = ()) -> Classes:
    """Classes of all distinct labels, sorted as numbers where all are numbers, else as text.

    `reject` names the labels that mean FAIL; when empty, all but the first do. Of two labels the rejected one becomes
    class 1. Raises InputError for fewer than 2 or more than 32 distinct labels, and for a `reject` that does not fit.
    """
    distinct = sort_labels({str(label) for label in labels})
    if not 2 <= len(distinct) <= MAX_OUTPUTS:
        hint = f"give 2..{MAX_OUTPUTS} distinct ones, such as 0 and 1"
        raise InputError(f"labels have {len(distinct)} classes ({_show(distinct)})", hint=hint)
    unknown = [label for label in reject if label not in distinct]
    if unknown:
        raise InputError(f"no label equals {unknown[0]}", hint=f"choose among {_show(distinct)}")
    rejected = set(reject) or set(distinct[1:])
    if len(distinct) == 2:
        if len(rejected) == 2:
            raise InputError("both labels are rejected", hint="name the one that means FAIL")
        return Classes(tuple(sorted(distinct, key=lambda label: label in rejected)), 2)
    return Classes(tuple(distinct), sum(1 << index for index, label in enumerate(distinct) if label in rejected))


def find_defects(labels: Labels) -> NDArray[np.bool_]:
    """True where a label (n,) means FAIL: the larger of two, all but the first of several. Raises InputError."""
    classes = build_classes(labels)
    return classes.fails(classes.index(labels))


def sort_labels(labels: set[str]) -> list[str]:
    """As numbers where all are numbers, else as text."""
    try:
        return sorted(labels, key=lambda label: (float(label), label))
    except ValueError:
        return sorted(labels)


def _show(labels: Sequence[str]) -> str:
    return ", ".join(labels[:5]) + (", ..." if len(labels) > 5 else "")
