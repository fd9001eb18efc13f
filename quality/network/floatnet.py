"""The float networks that training fits before they are quantised. Imports torch.

Both kinds consist of blocks of (linear operation, batch norm, ReLU) followed by a linear layer for the logits; the CNN
averages over time before that layer. The integer format supports exactly this, so every trained network has a layer
structure that can be exported.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

INPUT_STEP = 1 / 32
"""The float network reads the int8 input multiplied by this: -127..127 becomes about -4..4."""
NARROWEST_CNN = 24
"""Values in the narrowest window that a CNN accepts."""

_LONG_FILTERS = ((8, 31, 2), (16, 15, 2), (24, 9, 2), (32, 5, 2))
_SHORT_FILTERS = ((8, 7, 1), (16, 5, 2), (32, 3, 2))
_LONG_WIDTH = 160
_HIDDEN = (32, 16)


@dataclass(frozen=True, slots=True)
class Recipe:
    """Hyperparameters: everything besides data and seed that determines a trained network."""

    kind: str
    """"cnn" or "mlp"."""
    filters: tuple[tuple[int, int, int], ...] = ()
    """(channels, kernel, stride) of each convolution."""
    hidden: tuple[int, ...] = ()
    """Outputs of each dense block."""
    augmented: bool = False
    """Train on reversed, negated and cropped windows too; suits stationary signals such as noise."""
    epochs: int = 60
    batch: int = 64
    """Rows per optimiser step."""
    rate: float = 4e-3
    """Largest learning rate of the one-cycle schedule."""
    decay: float = 1e-2
    """Weight decay of AdamW."""
    smoothing: float = 0.05
    """Label smoothing: the share of each target that is spread evenly over all classes."""

    @property
    def name(self) -> str:
        """The recipe as the card states it."""
        return f"{self.kind}, augmented" if self.augmented else self.kind


def build_recipes(kind: str, width: int) -> tuple[Recipe, ...]:
    """The recipes to try for a kind ("mlp" or "cnn") on windows of `width` values, simplest first."""
    if kind == "mlp":
        return (Recipe("mlp", hidden=_HIDDEN),)
    filters = _LONG_FILTERS if width >= _LONG_WIDTH else _SHORT_FILTERS
    return (Recipe("cnn", filters=filters), Recipe("cnn", filters=filters, augmented=True))


class Block(nn.Module):
    """relu(norm(op(x))). The operation has no bias, since the batch norm adds one."""

    def __init__(self, op: nn.Conv1d | nn.Linear, outputs: int) -> None:
        super().__init__()
        self.op = op
        self.norm = nn.BatchNorm1d(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        activations: torch.Tensor = torch.relu(self.norm(self.op(x)))
        return activations


class FloatNetwork(nn.Module):
    """Maps inputs (n, width), multiplied by `INPUT_STEP`, to logits (n, logits)."""

    def __init__(self, recipe: Recipe, width: int, logits: int) -> None:
        super().__init__()
        self.pools = recipe.kind == "cnn"
        self.narrowest = 1
        """Width of the narrowest window that the filters fit; 1 for an MLP."""
        # Backwards from one position behind the last filter: what each filter must read to write that many.
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
        """Reshape (n, width) to what the first block reads: (n, 1, width) for a CNN."""
        return x.unsqueeze(1) if self.pools else x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.blocks(self.spread(x))
        if self.pools:
            x = x.mean(dim=2)
        logits: torch.Tensor = self.head(x)
        return logits
