"""From scores to log odds: what makes a threshold, a cost and a reliability plot mean something. Needs numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["fit_log_odds", "fit_temperature", "log_loss", "probabilities"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
_STEPS = 100
_PRIOR = 1e-3
"""Pull of the slope towards 0, so that perfectly separated scores keep a finite one."""


def probabilities(logits: Floats) -> Floats:
    """(n, classes) from logits (n, outputs): the logistic function of one logit, the softmax of several."""
    if logits.shape[1] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: Floats = powers / powers.sum(axis=1, keepdims=True)
    return shares


def log_loss(logits: Floats, classes: Integers) -> float:
    """Mean of -log of the probability of the true class, none taken for less than 1e-12."""
    true = probabilities(logits)[np.arange(len(classes)), classes]
    return float(-np.log(np.maximum(true, 1e-12)).mean())


def fit_log_odds(scores: Floats, positive: NDArray[np.bool_]) -> tuple[float, float]:
    """(slope, offset) for which `slope * score + offset` is best as log odds of positive (n,): Platt's scaling.

    Newton's method on the logistic loss, with Platt's targets (a little inside 0 and 1), which a damped step never
    raises. J. Platt, "Probabilistic Outputs for Support Vector Machines", 1999.
    """
    positives, negatives = int(positive.sum()), int((~positive).sum())
    wanted = np.where(positive, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    design = np.stack([scores, np.ones_like(scores)], axis=1)
    pull = np.array([_PRIOR, 0.0])

    def loss(at: Floats) -> float:
        odds = design @ at
        return float(np.sum(np.logaddexp(0, odds) - wanted * odds) + 0.5 * pull @ at**2)

    fitted = np.array([0.0, np.log((positives + 1) / (negatives + 1))])
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(design @ fitted, -50, 50)))
        gradient = design.T @ (chance - wanted) + pull * fitted
        curvature = (design * (chance * (1 - chance))[:, np.newaxis]).T @ design + np.diag(pull + 1e-9)
        step = np.linalg.solve(curvature, gradient)
        share = 1.0
        while share > 1e-6 and loss(fitted - share * step) > loss(fitted):
            share /= 2
        fitted = fitted - share * step
        if np.abs(share * step).max() < 1e-8:
            break
    return float(fitted[0]), float(fitted[1])


def fit_temperature(scores: Floats, classes: Integers) -> float:
    """The positive factor that makes scores (n, classes) the best logits: by trial of 81 between 0.1 and 1000."""
    factors: list[float] = [10.0 ** (exponent / 20) for exponent in range(-20, 61)]
    return min(factors, key=lambda factor: log_loss(scores * factor, classes))
