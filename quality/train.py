"""Training: split, fit each recipe, export each to integers, keep the best by validation. Imports torch.

Nothing here sees test data. Training is seeded but not promised to be reproducible elsewhere: the model's bytes are
what is published.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from quality.data import DECIMALS, to_fixed
from quality.decision import Decision
from quality.errors import InputError
from quality.evaluate import load_evaluator
from quality.evaluate.scaling import apply_scales
from quality.metrics import average_precision, choose_threshold
from quality.network.floatnet import INPUT_STEP, FloatNetwork, Recipe, build_recipes
from quality.network.quantise import export, fit_scales
from quality.network.records import MAX_ACTIVATION, Network

__all__ = ["Progress", "Trained", "split_rows", "train"]

_CALIBRATION_ROWS = 512
_MIN_CLASS_ROWS = 10
_MAX_STEPS = 6000
"""Large data need fewer passes; this bounds the time."""
_PATIENCE = 25
"""Epochs without a better validation loss after which fitting stops."""

Progress = Callable[[str, int, int], None]
"""Told (recipe's name, epochs done, epochs planned) after each epoch."""
Booleans = NDArray[np.bool_]
Inputs = NDArray[np.int8]
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Trained:
    """The winner, and what its card has to say about how it came to be."""

    network: Network
    float_network: FloatNetwork
    float_threshold: float
    """The integer threshold in units of the float logit."""
    recipe: Recipe
    seed: int
    training_rows: Rows
    validation_rows: Rows

    def score(self, inputs: Inputs, batch: int = 256) -> NDArray[np.int64]:
        """Integer logits (n,) of int8 inputs (n, width)."""
        infer = load_evaluator("torch")(self.network)
        starts = range(0, len(inputs), batch)
        chunks = [infer(inputs[start : start + batch])[:, 0] for start in starts]
        return np.concatenate(chunks).astype(np.int64)

    def float_fails(self, inputs: Inputs) -> Booleans:
        """What the float network would have said of int8 inputs (n, width)."""
        logits = _float_logits(self.float_network, inputs)
        return np.asarray(logits.numpy() >= self.float_threshold, dtype=np.bool_)


def split_rows(targets: Booleans, seed: int) -> tuple[Rows, Rows]:
    """Row numbers for training (four fifths) and validation, each class split alike.

    Raises InputError when a class has fewer than 10 rows.
    """
    generator = np.random.default_rng(seed)
    validation = np.zeros(len(targets), dtype=np.bool_)
    for value in (False, True):
        rows = generator.permutation(np.flatnonzero(targets == value))
        if len(rows) < _MIN_CLASS_ROWS:
            raise InputError(f"a class has {len(rows)} rows", mend=f"give at least {_MIN_CLASS_ROWS} of each")
        validation[rows[: len(rows) // 5]] = True
    return np.flatnonzero(~validation), np.flatnonzero(validation)


def train(
    values: NDArray[np.float64],
    targets: Booleans,
    *,
    kind: str = "auto",
    seed: int = 0,
    progress: Progress | None = None,
) -> Trained:
    """Best integer network for sensor windows (n, width) and "symptom present" (n,).

    Each recipe's integer network is judged by its average precision on the validation rows; the threshold is the one
    with the best F1 there. Raises InputError for unusable data, ExportError when no integer network comes out.
    """
    recipes = build_recipes(kind, values.shape[1])
    fixed = to_fixed(values)
    rows = split_rows(targets, seed)
    candidates = [_train_one(fixed, targets, rows, recipe, seed, progress) for recipe in recipes]
    # max keeps the first of equals, and recipes come simplest first.
    return max(candidates, key=lambda candidate: candidate[0])[1]


def _train_one(
    fixed: NDArray[np.int64],
    targets: Booleans,
    rows: tuple[Rows, Rows],
    recipe: Recipe,
    seed: int,
    progress: Progress | None,
) -> tuple[float, Trained]:
    """Average precision on the validation rows, and the network that reached it."""
    training, validation = rows
    scales = fit_scales(fixed[training], shared=recipe.kind == "cnn")
    inputs = apply_scales(scales, fixed, MAX_ACTIVATION).astype(np.int8)
    fitted = _fit(recipe, inputs, targets, rows, seed, progress)
    some = np.random.default_rng(seed).permutation(training)[:_CALIBRATION_ROWS]
    exported = export(fitted, inputs[some], scales=scales, decimals=DECIMALS)
    trained = Trained(exported.network, fitted, 0.0, recipe, seed, training, validation)
    scores = trained.score(inputs[validation])
    threshold = choose_threshold(scores, targets[validation])
    network = replace(exported.network, decision=Decision(1, 1, threshold))
    precision = average_precision(scores, targets[validation])
    return precision, replace(trained, network=network, float_threshold=threshold * exported.logit_step)


def _fit(
    recipe: Recipe, inputs: Inputs, targets: Booleans, rows: tuple[Rows, Rows], seed: int, progress: Progress | None
) -> FloatNetwork:
    """The float network of the epoch with the smallest validation loss."""
    torch.manual_seed(seed)
    x, y = _to_float(inputs[rows[0]]), torch.from_numpy(targets[rows[0]].astype(np.float32))
    checked, wanted = inputs[rows[1]], torch.from_numpy(targets[rows[1]].astype(np.float32))
    network = FloatNetwork(recipe, inputs.shape[1])
    loss = nn.BCEWithLogitsLoss(pos_weight=(1 - y).sum() / y.sum())
    # A batch norm cannot learn from a single row, so a remainder of one is left out of the epoch.
    starts = [start for start in range(0, len(x), recipe.batch) if len(x) - start > 1]
    epochs = max(10, min(recipe.epochs, _MAX_STEPS // len(starts)))
    optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.rate, weight_decay=recipe.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.rate, total_steps=epochs * len(starts))
    best, best_epoch, best_state = float("inf"), 0, copy.deepcopy(network.state_dict())
    for epoch in range(epochs):
        _fit_epoch(network, recipe, x, y, starts, loss, optimiser, schedule)
        current = float(loss(_float_logits(network, checked), wanted))
        if current < best:
            best, best_epoch, best_state = current, epoch, copy.deepcopy(network.state_dict())
        if progress is not None:
            progress(recipe.name, epoch + 1, epochs)
        if epoch - best_epoch >= _PATIENCE:
            break
    network.load_state_dict(best_state)
    network.eval()
    return network


def _fit_epoch(
    network: FloatNetwork,
    recipe: Recipe,
    x: torch.Tensor,
    y: torch.Tensor,
    starts: list[int],
    loss: nn.Module,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> None:
    """One pass over the training rows, in a new order."""
    network.train()
    order = torch.randperm(len(x))
    for start in starts:
        batch = order[start : start + recipe.batch]
        shown = _augment(x[batch], network.narrowest) if recipe.augmented else x[batch]
        softened = y[batch] * (1 - recipe.smoothing) + recipe.smoothing / 2
        optimiser.zero_grad()
        loss(network(shown), softened).backward()
        optimiser.step()
        schedule.step()


def _augment(x: torch.Tensor, narrowest: int) -> torch.Tensor:
    """Each row negated or not, the batch reversed or not, and cut at random to four fifths of its width."""
    x = x * (torch.randint(0, 2, (len(x), 1)) * 2 - 1)
    if int(torch.randint(0, 2, (1,))):
        x = x.flip(1)
    width = max(narrowest, x.shape[1] * 4 // 5)
    start = int(torch.randint(0, x.shape[1] - width + 1, (1,)))
    return x[:, start : start + width]


def _to_float(inputs: Inputs) -> torch.Tensor:
    return torch.from_numpy(inputs.astype(np.float32)) * INPUT_STEP


def _float_logits(network: FloatNetwork, inputs: Inputs, batch: int = 1024) -> torch.Tensor:
    """Logits (n,) of int8 inputs (n, width), with the batch norm's running statistics."""
    network.eval()
    with torch.inference_mode():
        chunks = [network(_to_float(inputs[start : start + batch])) for start in range(0, len(inputs), batch)]
        return torch.cat(chunks)
