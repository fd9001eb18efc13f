"""The interface between training and a model family: `Problem` in, `Fitted` out. Needs numpy, not torch.

A family's module `train` has functions of type `Fit`, which `millmark.quality.train` lists in `KINDS`. A fit sees
training data only. It holds out rows of its own for early stopping, and to score rows that the scoring model was not
fitted to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from millmark.quality.data import DECIMALS, to_fixed
from millmark.quality.decision import Decision
from millmark.quality.model import Model

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
        among them.
        """

    @property
    def held_out_logits(self) -> Integers:
        """Integer logits (m, outputs) of those rows, in the model's units."""

    def float_logits(self, fixed: Integers) -> Floats:
        """Logits (n, outputs) of the float model, before any rounding, on fixed-point windows (n, width)."""


class Fit(Protocol):
    """Fits a model to a problem.

    Raises InputError if the kind cannot learn from the data, and ExportError if the result does not fit the integer
    format. Not established: that the same seed gives the same model on another machine.
    """

    def __call__(self, problem: Problem, *, seed: int, progress: Progress) -> Fitted: ...


def undecided(outputs: int) -> Decision:
    """A placeholder decision until training chooses one: threshold 0, every class but the first rejected."""
    return Decision(outputs, 1 if outputs == 1 else (1 << outputs) - 2, 0)
