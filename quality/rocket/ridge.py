"""Ridge regression with its strength chosen by leave-one-group-out cross-validation in closed form. Needs numpy.

A group is a row of the data and its mirrored copy, so that a row is never predicted by a fit that saw its copy. With
H = U diag(e / (e + strength)) U', where U are the left singular vectors and e the squared singular values of the
weighted and centred features, the residuals of group g in a fit without it are (I - H_gg)^-1 r_g, where r are the
residuals of the fit to all rows (Golub, Heath and Wahba, "Generalized Cross-Validation as a Method for Choosing a Good
Ridge Parameter", Technometrics 21, 1979, for groups of one row).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
STRENGTHS = tuple(10.0 ** (exponent / 2) for exponent in range(-2, 13))
"""Strengths tried, 0.1 to 10^6: penalties on squared weights of standardised features."""
_NEGLIGIBLE = 1e-10
"""Squared singular values below this share of the largest are treated as rounding errors."""


@dataclass(frozen=True, slots=True)
class Ridge:
    """A linear fit: targets are approximated by `features @ weights + biases`."""

    weights: Floats
    """(features, targets)."""
    biases: Floats
    """(targets,)."""
    strength: float
    """The chosen element of `STRENGTHS`."""
    left_out: Floats
    """(rows of the first copy, targets): predictions for each row by the fit without the row and its copies."""
    losses: tuple[float, ...]
    """Weighted mean squared error of such predictions, for each element of `STRENGTHS`."""


def fit_ridge(copies: list[Floats], targets: Floats, row_weights: Floats) -> Ridge:
    """Fit to copies of the same rows, each with features (n, f), that share targets (n, t) and row weights (n,).

    The strength chosen is that of `STRENGTHS` with the least squared error of the left-out predictions for the first
    copy.
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
    # The intercept is fitted too, by centring: its direction belongs to the hat matrix, and is not penalised.
    constant = roots.reshape(count, rows) / np.sqrt(weights.sum())
    losses, best = [], (np.inf, 0.0, targets)
    for strength in STRENGTHS:
        shares = squares / (squares + strength)
        residuals = (wanted - left @ (shares[:, np.newaxis] * projected)).reshape(count, rows, -1)
        missed = _leave_out(groups, shares, constant, residuals)[0] / roots[:rows]
        losses.append(float(np.average((missed**2).sum(axis=1), weights=row_weights)))
        # Strictly less: of equal losses the first, weakest penalty wins.
        if losses[-1] < best[0]:
            best = (losses[-1], strength, missed)
    _, strength, missed = best
    solved = scaled.T @ (left @ (projected / (squares + strength)[:, np.newaxis])) / scale[:, np.newaxis]
    return Ridge(solved, centre - mean @ solved, strength, targets - missed, tuple(losses))


def _decompose(scaled: Floats) -> tuple[Floats, Floats]:
    """Left singular vectors (rows, rank) and squared singular values (rank,).

    Computed from the smaller of the two Gram matrices, which is far cheaper than a singular value decomposition if rows
    and features differ much in number.
    """
    rows, columns = scaled.shape
    squares, vectors = np.linalg.eigh(scaled @ scaled.T if rows < columns else scaled.T @ scaled)
    kept = squares > _NEGLIGIBLE * max(squares[-1], _NEGLIGIBLE)
    squares, vectors = squares[kept], vectors[:, kept]
    return (vectors if rows < columns else scaled @ vectors / np.sqrt(squares)), squares


def _leave_out(groups: Floats, shares: Floats, constant: Floats, residuals: Floats) -> Floats:
    """Residuals (copies, rows, targets) of each group in the fit without it."""
    hats = np.einsum("anr,bnr,r->nab", groups, groups, shares, optimize=True)
    hats += np.einsum("an,bn->nab", constant, constant)
    without = np.eye(len(groups)) - hats
    solved = np.linalg.solve(without, residuals.transpose(1, 0, 2))
    return solved.transpose(1, 0, 2)
