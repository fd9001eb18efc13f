"""Ridge regression whose strength is chosen by leaving out one group of rows at a time, in closed form. Needs numpy.

A group is a row of the data with its mirrored twin, so that a row is never judged by a fit that knew its twin. With
H = U diag(e / (e + strength)) U', where U are the left singular vectors and e the squared singular values of the
weighted and centred features, the residuals of a fit without group g are (I - H_gg)^-1 r_g, r being those of the fit
with it (Golub, Heath and Wahba, "Generalized Cross-Validation as a Method for Choosing a Good Ridge Parameter",
Technometrics 21, 1979, for groups of one).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["STRENGTHS", "Ridge", "fit_ridge"]

Floats = NDArray[np.float64]
STRENGTHS = tuple(10.0 ** (exponent / 2) for exponent in range(-2, 13))
_NEGLIGIBLE = 1e-10
"""Singular values below this share of the largest are taken for rounding."""


@dataclass(frozen=True, slots=True)
class Ridge:
    """Targets are about `features @ weights + biases`."""

    weights: Floats
    """(features, targets)."""
    biases: Floats
    """(targets,)."""
    strength: float
    left_out: Floats
    """(rows of the first copy, targets): what fits without the row and its twins say of it."""
    losses: tuple[float, ...]
    """Weighted mean square of what such fits miss, one a strength."""


def fit_ridge(copies: list[Floats], targets: Floats, row_weights: Floats) -> Ridge:
    """Ridge on copies of the same rows, features (n, f) each, with targets (n, t) and weights (n,) in common.

    The strength is the one of `STRENGTHS` whose left-out predictions of the first copy miss least, by square.
    """
    features = np.concatenate(copies)
    rows, count = len(targets), len(copies)
    weights = np.tile(row_weights, count)
    roots = np.sqrt(weights)[:, np.newaxis]
    mean = np.average(features, axis=0, weights=weights)
    deviation = np.sqrt(np.average((features - mean) ** 2, axis=0, weights=weights))
    scale = np.where(deviation > 0, deviation, 1.0)
    centre = np.average(targets, axis=0, weights=row_weights)
    scaled = (features - mean) / scale * roots
    wanted = np.tile(targets - centre, (count, 1)) * roots
    left, squares = _decompose(scaled)
    projected = left.T @ wanted
    groups = left.reshape(count, rows, -1)
    constant = roots.reshape(count, rows) / np.sqrt(weights.sum())  # the intercept's own direction
    losses, best = [], (np.inf, 0.0, targets)
    for strength in STRENGTHS:
        shares = squares / (squares + strength)
        residuals = (wanted - left @ (shares[:, np.newaxis] * projected)).reshape(count, rows, -1)
        missed = _leave_out(groups, shares, constant, residuals)[0] / roots[:rows]
        losses.append(float(np.average((missed**2).sum(axis=1), weights=row_weights)))
        if losses[-1] < best[0]:
            best = (losses[-1], strength, missed)
    _, strength, missed = best
    solved = scaled.T @ (left @ (projected / (squares + strength)[:, np.newaxis])) / scale[:, np.newaxis]
    return Ridge(solved, centre - mean @ solved, strength, targets - missed, tuple(losses))


def _decompose(scaled: Floats) -> tuple[Floats, Floats]:
    """Left singular vectors (rows, rank), squared singular values (rank,); by the smaller of the two Gram matrices."""
    rows, columns = scaled.shape
    squares, vectors = np.linalg.eigh(scaled @ scaled.T if rows < columns else scaled.T @ scaled)
    kept = squares > _NEGLIGIBLE * max(squares[-1], _NEGLIGIBLE)
    squares, vectors = squares[kept], vectors[:, kept]
    return (vectors if rows < columns else scaled @ vectors / np.sqrt(squares)), squares


def _leave_out(groups: Floats, shares: Floats, constant: Floats, residuals: Floats) -> Floats:
    """Residuals (copies, rows, targets) of the fits that left each group out."""
    hats = np.einsum("anr,bnr,r->nab", groups, groups, shares, optimize=True)
    hats += np.einsum("an,bn->nab", constant, constant)
    without = np.eye(len(groups)) - hats
    solved = np.linalg.solve(without, residuals.transpose(1, 0, 2))
    return solved.transpose(1, 0, 2)
