"""AdamW under a one-cycle schedule: the update rule of torch without its optimiser classes, which import torch's
compiler when created. That takes seconds at every start, and nothing here is compiled."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import cast

import torch
from torch.optim.adamw import adamw

_WARM_UP = 0.3
"""Part of the steps in which the rate rises."""
_FIRST, _LAST = 1 / 25, 1e-4 / 25
"""Rates of the first and the last step, as parts of the highest."""
_MOMENTUM = (0.95, 0.85)
"""At the lowest and at the highest rate: a fast step relies less on the steps before."""
_SQUARES, _EPSILON = 0.999, 1e-8


class OneCycleAdamW:
    """Updates parameters by their gradients.

    AdamW as in Loshchilov and Hutter, "Decoupled Weight Decay Regularization" (2019); schedule as in Smith and Topin,
    "Super-Convergence" (2018), with cosine phases. The same steps as torch's `AdamW` and `OneCycleLR` with their
    defaults.
    """

    def __init__(
        self, parameters: Iterable[torch.Tensor], *, highest_rate: float, weight_decay: float, steps: int
    ) -> None:
        self._parameters = list(parameters)
        self._highest, self._decay, self._steps = highest_rate, weight_decay, steps
        self._means = [torch.zeros_like(one) for one in self._parameters]
        self._squares = [torch.zeros_like(one) for one in self._parameters]
        self._counts = [torch.tensor(0.0) for _ in self._parameters]
        self._taken = 0

    def zero_grad(self) -> None:
        for one in self._parameters:
            one.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Takes one of the `steps`; every parameter needs a gradient. Raises ValueError after the last."""
        rate, momentum = self._schedule(self._taken)
        adamw(
            self._parameters,
            [cast("torch.Tensor", one.grad) for one in self._parameters],
            self._means,
            self._squares,
            [],
            self._counts,
            foreach=False,
            amsgrad=False,
            beta1=momentum,
            beta2=_SQUARES,
            lr=rate,
            weight_decay=self._decay,
            eps=_EPSILON,
            maximize=False,
        )
        self._taken += 1

    def _schedule(self, step: int) -> tuple[float, float]:
        """Rate and momentum of a step, counted from 0."""
        if step >= self._steps:
            raise ValueError(f"the schedule has {self._steps} steps")
        peak = _WARM_UP * self._steps - 1
        slow, fast = _MOMENTUM
        if step <= peak:
            part = step / peak
            return _between(_FIRST * self._highest, self._highest, part), _between(slow, fast, part)
        part = (step - peak) / (self._steps - 1 - peak)
        return _between(self._highest, _LAST * self._highest, part), _between(fast, slow, part)


def _between(first: float, last: float, part: float) -> float:
    """Cosine interpolation."""
    return last + (first - last) / 2 * (1 + math.cos(math.pi * part))
