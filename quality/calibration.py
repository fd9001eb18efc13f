"""Calibrates scores to log odds, so that thresholds, costs and reliability plots can use probabilities. Needs numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
_STEPS = 100
"""Newton steps at most."""
_PRIOR = 1e-3
"""Weight of an L2 penalty on the slope, which keeps it finite for perfectly separated scores."""


def probabilities(logits: Floats) -> Floats:
    """Probabilities (n, classes) of logits (n, outputs): the logistic function of one logit, the softmax of several."""
    if logits.shape[1] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    # Subtracting the maximum changes no ratio and keeps exp from overflowing.
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: Floats = powers / powers.sum(axis=1, keepdims=True)
    return shares


def log_loss(logits: Floats, classes: Integers) -> float:
    """Mean of -log(probability of the true class), with probabilities of at least 1e-12."""
    true = probabilities(logits)[np.arange(len(classes)), classes]
    return float(-np.log(np.maximum(true, 1e-12)).mean())


def fit_log_odds(scores: Floats, positive: NDArray[np.bool_]) -> tuple[float, float]:
    """Platt scaling: (slope, offset) for which `slope * score + offset` fits the log odds of positive (n,) best.

    Damped Newton's method on the logistic loss, with Platt's targets, slightly inside 0 and 1, against overfitting.
    J. Platt, "Probabilistic Outputs for Support Vector Machines", 1999.
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
        # 1e-9 keeps the matrix invertible when every chance is nearly 0 or 1.
        curvature = (design * (chance * (1 - chance))[:, np.newaxis]).T @ design + np.diag(pull + 1e-9)
        step = np.linalg.solve(curvature, gradient)
        # Halve the step until it does not increase the loss: a full Newton step may overshoot.
        share = 1.0
        while share > 1e-6 and loss(fitted - share * step) > loss(fitted):
            share /= 2
        fitted = fitted - share * step
        if np.abs(share * step).max() < 1e-8:
            break
    return float(fitted[0]), float(fitted[1])


def fit_temperature(scores: Floats, classes: Integers) -> float:
    """Temperature scaling: the factor that turns scores (n, classes) into the logits of least log loss.

    Found by trying 81 factors from 0.1 to 1000, evenly spaced on a logarithmic scale.
    """
    factors: list[float] = [10.0 ** (exponent / 20) for exponent in range(-20, 61)]
    return min(factors, key=lambda factor: log_loss(scores * factor, classes))
