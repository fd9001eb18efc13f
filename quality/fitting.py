"""What training hands to a family of models, and what it gets back. Needs numpy, not torch.

A family's module `train` offers functions of type `Fit`, and `quality.train` names them in `KINDS`. A fit sees training
data only, and holds back by itself what it needs to stop early or to score rows that did not train.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from quality.data import DECIMALS, to_fixed
from quality.decision import Decision
from quality.model import Model

__all__ = ["Fit", "Fitted", "Problem", "Progress", "silent", "undecided"]

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]

Progress: TypeAlias = Callable[[str, int, int, Mapping[str, float]], None]
"""Told (what runs, steps done, steps planned, figures such as {"loss/training": 0.3}) after each step."""


def silent(_name: str, _done: int, _planned: int, _figures: Mapping[str, float]) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Rows to learn from."""

    values: Floats
    """(n, width), in the sensor's unit, finite."""
    classes: Integers
    """(n,) in 0..count - 1, each at least once; of two, 1 is the defect."""
    count: int
    """Number of classes, at least 2."""
    weights: tuple[float, ...]
    """How much a row of each class counts."""
    decimals: int = DECIMALS
    """The model reads sensor values in units of 10^-decimals."""

    @property
    def outputs(self) -> int:
        """Logits of a model for it: one score of the defect for two classes, else one a class."""
        return 1 if self.count == 2 else self.count

    @property
    def fixed(self) -> Integers:
        """(n, width) fixed-point, as a model reads them."""
        return to_fixed(self.values, self.decimals)

    @property
    def row_weights(self) -> Floats:
        """(n,), with mean 1."""
        weights = np.asarray(self.weights, dtype=np.float64)[self.classes]
        scaled: Floats = weights / weights.mean()
        return scaled

    def take(self, rows: Integers) -> Problem:
        """The same problem on some of its rows."""
        return Problem(self.values[rows], self.classes[rows], self.count, self.weights, self.decimals)


class Fitted(Protocol):
    """A model, and what ties it to the floats that it came from."""

    @property
    def model(self) -> Model:
        """With the decision of `undecided`; training replaces it."""

    @property
    def recipe(self) -> str:
        """How it was made, in a few words for the card."""

    @property
    def logit_step(self) -> float:
        """Float logit (log odds, or log probability up to a constant) of one unit of integer logit."""

    @property
    def held_out(self) -> Integers:
        """(m,) rows of the problem that have a score by something they did not train. All classes are among them."""

    @property
    def held_out_logits(self) -> Integers:
        """(m, outputs) integer logits of those rows, in the model's units."""

    def float_logits(self, fixed: Integers) -> Floats:
        """(n, outputs) of fixed-point windows (n, width): what the floats would have said, before any rounding."""


class Fit(Protocol):
    """Learn a model. Raises InputError for data that the kind cannot learn from, ExportError when no integers come."""

    def __call__(self, problem: Problem, *, seed: int, progress: Progress) -> Fitted: ...


def undecided(outputs: int) -> Decision:
    """Threshold 0, and every class but the first rejected: the decision of a model whose own is still to be chosen."""
    return Decision(outputs, 1 if outputs == 1 else (1 << outputs) - 2, 0)
