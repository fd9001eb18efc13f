"""The float networks that training fits, before they become integers. Imports torch.

Both kinds are blocks of (linear operation, batch norm, ReLU) and one linear layer of logits; the CNN averages over time
between them. That is all that the integer format knows, so every trained network can be exported.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

__all__ = ["INPUT_STEP", "NARROWEST_CNN", "Block", "FloatNetwork", "Recipe", "build_recipes"]

INPUT_STEP = 1 / 32
"""The float network reads the int8 input times this, so -127..127 becomes about -4..4."""
NARROWEST_CNN = 24
"""Values in the narrowest window that a CNN's filters fit."""

_LONG_FILTERS = ((8, 31, 2), (16, 15, 2), (24, 9, 2), (32, 5, 2))
_SHORT_FILTERS = ((8, 7, 1), (16, 5, 2), (32, 3, 2))
_LONG_WIDTH = 160
_HIDDEN = (32, 16)


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way to train. Everything that decides the outcome besides data and seed."""

    kind: str
    """"cnn" or "mlp"."""
    filters: tuple[tuple[int, int, int], ...] = ()
    """Channels, kernel, stride of each convolution."""
    hidden: tuple[int, ...] = ()
    """Outputs of each dense block."""
    augmented: bool = False
    """Show the network reversed, negated and cut windows as well; right for stationary signals such as noise."""
    epochs: int = 60
    batch: int = 64
    rate: float = 4e-3
    decay: float = 1e-2
    smoothing: float = 0.05
    """Targets are this much closer to an even chance of all classes than to certainty."""

    @property
    def name(self) -> str:
        return f"{self.kind}, augmented" if self.augmented else self.kind


def build_recipes(kind: str, width: int) -> tuple[Recipe, ...]:
    """What to try for a kind, "mlp" or "cnn", on windows of `width` values, simplest first."""
    if kind == "mlp":
        return (Recipe("mlp", hidden=_HIDDEN),)
    filters = _LONG_FILTERS if width >= _LONG_WIDTH else _SHORT_FILTERS
    return (Recipe("cnn", filters=filters), Recipe("cnn", filters=filters, augmented=True))


class Block(nn.Module):
    """relu(norm(op(x))); the operation has no bias of its own, since the norm has one."""

    def __init__(self, op: nn.Conv1d | nn.Linear, outputs: int) -> None:
        super().__init__()
        self.op = op
        self.norm = nn.BatchNorm1d(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        activations: torch.Tensor = torch.relu(self.norm(self.op(x)))
        return activations


class FloatNetwork(nn.Module):
    """(n, width) to logits (n, logits)."""

    def __init__(self, recipe: Recipe, width: int, logits: int) -> None:
        super().__init__()
        self.pools = recipe.kind == "cnn"
        self.narrowest = 1
        """Fewest positions that a CNN can read."""
        for _, kernel, stride in reversed(recipe.filters):
            self.narrowest = (self.narrowest - 1) * stride + kernel
        blocks: list[Block] = []
        inputs = 1 if self.pools else width
        for outputs, kernel, stride in recipe.filters:
            blocks.append(Block(nn.Conv1d(inputs, outputs, kernel, stride, bias=False), outputs))
            inputs = outputs
        for outputs in recipe.hidden:
            blocks.append(Block(nn.Linear(inputs, outputs, bias=False), outputs))
            inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(inputs, logits)

    def spread(self, x: torch.Tensor) -> torch.Tensor:
        """(n, width) to what the first block reads: (n, 1, width) for a CNN."""
        return x.unsqueeze(1) if self.pools else x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.blocks(self.spread(x))
        if self.pools:
            x = x.mean(dim=2)
        logits: torch.Tensor = self.head(x)
        return logits
