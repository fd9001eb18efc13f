"""A linear ARX by least squares: what the network has to beat, column by column. Needs numpy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from millmark.quality.process.records import ONE, System

Floats = NDArray[np.float64]


def fit_arx(runs: Sequence[Floats], shares: Sequence[Floats], predicted: int, order: int, ridge: float) -> System:
    """x(t+1) = sum over i < order of A_i x(t-i) + B_i u(t-i), + B eta, e + c, fitted one step ahead.

    `runs`: words (r, c) of each run; `shares`: eta and e (r, 2) of the same rows, or (r, 0). `ridge`: the penalty of a
    squared weight, per row. The system's memory is the earlier rows.
    """
    columns = runs[0].shape[1]
    inputs, outputs = [], []
    for run, share in zip(runs, shares, strict=True):
        if len(run) <= order:
            continue
        last = len(run) - 1
        lagged = [run[order - 1 - lag : last - lag] for lag in range(order)]
        now = share[order - 1 : last]
        inputs.append(np.hstack([*lagged, now, np.ones((len(now), 1))]))
        outputs.append(run[order:, :predicted])
    design, wanted = np.vstack(inputs), np.vstack(outputs)
    penalty = np.full(design.shape[1], ridge * len(design))
    penalty[-1] = 0
    # The normal equations with a ridge are well conditioned, collinear columns included.
    weights = np.linalg.solve(design.T @ design + np.diag(penalty + 1e-9 * len(design)), design.T @ wanted).T
    return _companion(weights, columns, predicted, order)


def _companion(weights: Floats, columns: int, predicted: int, order: int) -> System:
    """The system whose memory holds the earlier rows, so that one step is one product."""
    memory = (order - 1) * columns
    rows = predicted + memory
    shared = weights.shape[1] - 1 - order * columns
    # The words of a step: state, memory (the earlier rows, the latest first), the other columns, eta and e.
    width = rows + columns - predicted + shared
    linear = np.zeros((rows, width))
    linear[:predicted, :predicted] = weights[:, :predicted] - np.eye(predicted)
    linear[:predicted, rows : rows + columns - predicted] = weights[:, predicted:columns]
    linear[:predicted, predicted:rows] = weights[:, columns : order * columns]
    linear[:predicted, width - shared :] = weights[:, order * columns : order * columns + shared]
    encoder = np.zeros((rows, order * columns))
    for lag in range(1, order):
        block = predicted + (lag - 1) * columns
        linear[block : block + columns, block : block + columns] -= np.eye(columns)
        if lag == 1:
            linear[block : block + predicted, :predicted] += np.eye(predicted)
            linear[block + predicted : block + columns, rows : rows + columns - predicted] += np.eye(
                columns - predicted
            )
        else:
            linear[block : block + columns, block - columns : block] += np.eye(columns)
        encoder[block : block + columns, (order - 1 - lag) * columns : (order - lag) * columns] = np.eye(columns)
    bias = np.zeros(rows)
    bias[:predicted] = weights[:, -1]
    return System(
        anchored=False,
        history=order,
        memory=memory,
        encoder=to_integers(encoder),
        linear=to_integers(linear),
        bias=to_integers(bias, 2),
        inner=np.zeros((0, width), dtype=np.int64),
        inner_bias=np.zeros(0, dtype=np.int64),
        outer=np.zeros((rows, 0), dtype=np.int64),
    )


def to_integers(values: Floats, scales: int = 1) -> NDArray[np.int64]:
    """Weights with 16 bits after the point; biases, which are added to products, with twice as many."""
    found: NDArray[np.int64] = np.rint(values * float(ONE) ** scales).astype(np.int64)
    return found
