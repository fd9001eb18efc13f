"""The rocket model as dataclasses that enforce the rules of the format, including the bounds of all sums.

The specification is section 3.2 of `quality/FORMAT.md`. Needs neither numpy nor torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import ClassVar

from millmark.quality.decision import LOGIT_LIMIT, Decision
from millmark.quality.errors import ModelError
from millmark.quality.header import Header, require_scales
from millmark.quality.inputs import MAX_WIDTH, Scale, require_range

TAPS = 9
REACH = TAPS - 1
"""Distance from a kernel's first tap to its last, in units of the dilation."""
KERNELS = tuple(combinations(range(TAPS), 3))
"""The 84 kernels in lexicographic order, each given by its three taps of weight 2; the other six have weight -1."""
MAX_WORD = 127
MAX_RESPONSE = 12 * MAX_WORD
"""Largest magnitude of a kernel's response: three words times 2 and six times -1."""
MAX_WEIGHT = 2**15 - 1
MAX_SECTIONS = 1024


@dataclass(frozen=True, slots=True)
class Feature:
    """The number of positions at which a kernel's response exceeds a bias. Raises ModelError if out of range."""

    kernel: int
    """Index into `KERNELS`."""
    bias: int
    """-1524..1523; outside this range the feature would be constant."""
    weights: tuple[int, ...]
    """Added to each logit per counted position; int16, never -2^15, not all 0."""

    def __post_init__(self) -> None:
        require_range("kernel", self.kernel, 0, len(KERNELS) - 1)
        require_range("bias of a feature", self.bias, -MAX_RESPONSE, MAX_RESPONSE - 1)
        for weight in self.weights:
            require_range("weight", weight, -MAX_WEIGHT, MAX_WEIGHT)
        if not any(self.weights):
            raise ModelError("a feature has no weight", hint="leave it out")


@dataclass(frozen=True, slots=True)
class Section:
    """Features of one dilation. Raises ModelError unless they ascend by (kernel, bias)."""

    dilation: int
    """Distance between neighbouring taps, in positions."""
    padded: bool
    """Whether responses at the ends of the window count, with zeros beyond its ends."""
    features: tuple[Feature, ...]
    """Ascending by (kernel, bias), at least one."""

    def __post_init__(self) -> None:
        require_range("dilation", self.dilation, 1, (MAX_WIDTH - 1) // REACH)
        keys = [(feature.kernel, feature.bias) for feature in self.features]
        if not keys or any(left >= right for left, right in pairwise(keys)):
            raise ModelError("features of a section are not in ascending order, or there are none")

    def positions(self, width: int) -> int:
        """Number of responses in a window of `width` words; 0 or negative if the kernel does not fit."""
        return width if self.padded else width - REACH * self.dilation


@dataclass(frozen=True, slots=True)
class Rocket:
    """A rocket model. Construction checks that every kernel fits and that no sum can overflow. Raises ModelError.

    Not established: that the model is accurate; its card reports how it performed, and on which data.
    """

    family: ClassVar[str] = "rocket"
    word_size: ClassVar[int] = 1
    word_limit: ClassVar[int] = MAX_WORD

    width: int
    """Sensor values in one window."""
    decimals: int
    """Sensor values are integers in units of 10^-decimals of the sensor's unit (6: millionths)."""
    decision: Decision
    scales: tuple[Scale, ...]
    """One for the whole window, or one per column."""
    biases: tuple[int, ...]
    """One int32 per logit."""
    sections: tuple[Section, ...]
    """Ascending by (dilation, padded)."""

    def __post_init__(self) -> None:
        # Built for its checks only.
        Header(self.decimals, self.decision, self.width, self.scales)
        require_scales(self.width, self.scales)
        require_range("number of sections", len(self.sections), 1, MAX_SECTIONS)
        keys = [(section.dilation, section.padded) for section in self.sections]
        if any(left >= right for left, right in pairwise(keys)):
            raise ModelError("sections are not in ascending order")
        # Sections ascend, so the last one has the largest dilation.
        if REACH * self.sections[-1].dilation >= self.width:
            raise ModelError(f"dilation {self.sections[-1].dilation} does not fit into {self.width} columns")
        counts = [len(feature.weights) for section in self.sections for feature in section.features]
        if {len(self.biases), *counts} != {self.decision.outputs}:
            raise ModelError(
                f"model needs {self.decision.outputs} biases, and as many weights per feature: one per logit"
            )
        for bias in self.biases:
            require_range("bias of a logit", bias, 1 - LOGIT_LIMIT, LOGIT_LIMIT - 1)
        for index, bound in enumerate(self.worst_sums()):
            if bound >= LOGIT_LIMIT:
                raise ModelError(f"logit {index} can reach {bound}, the limit is {LOGIT_LIMIT - 1}")

    def worst_sums(self) -> tuple[int, ...]:
        """Largest magnitude that any partial sum of each logit can reach, in any order of addition."""
        bounds = [abs(bias) for bias in self.biases]
        for section in self.sections:
            positions = section.positions(self.width)
            for feature in section.features:
                for index, weight in enumerate(feature.weights):
                    bounds[index] += positions * abs(weight)
        return tuple(bounds)
