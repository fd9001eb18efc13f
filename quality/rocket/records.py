"""The rocket model as dataclasses that enforce the rules of the format, including the bounds of all sums. The
specification is section 3.2 of `quality/FORMAT.md`. Needs neither numpy nor torch."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import ClassVar

from millmark.quality import inference
from millmark.quality.errors import ModelError

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
        inference.require_range("kernel", self.kernel, 0, len(KERNELS) - 1)
        inference.require_range("bias of a feature", self.bias, -MAX_RESPONSE, MAX_RESPONSE - 1)
        for weight in self.weights:
            inference.require_range("weight", weight, -MAX_WEIGHT, MAX_WEIGHT)
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
        inference.require_range("dilation", self.dilation, 1, (inference.MAX_WIDTH - 1) // REACH)
        keys = [(feature.kernel, feature.bias) for feature in self.features]
        if not keys or any(left >= right for left, right in pairwise(keys)):
            raise ModelError("features of a section are not in ascending order, or there are none")

    def positions(self, width: int) -> int:
        """Number of responses in a window of `width` words; 0 or negative if the kernel does not fit."""
        return width if self.padded else width - REACH * self.dilation


@dataclass(frozen=True, slots=True)
class Rocket:
    """A rocket model. Construction checks that every kernel fits and that no sum can overflow. Raises ModelError. Not
    established: that the model is accurate; its card reports how it performed, and on which data."""

    family: ClassVar[str] = "rocket"
    word_size: ClassVar[int] = 1
    word_limit: ClassVar[int] = MAX_WORD

    width: int
    """Sensor values in one window."""
    decimals: int
    """Sensor values are integers in units of 10^-decimals of the sensor's unit (6: millionths)."""
    decision: inference.Decision
    scales: tuple[inference.Scale, ...]
    """One for the whole window, or one per column."""
    biases: tuple[int, ...]
    """One int32 per logit."""
    sections: tuple[Section, ...]
    """Ascending by (dilation, padded)."""

    def __post_init__(self) -> None:
        # Built for its checks only.
        inference.Header(self.decimals, self.decision, self.width, self.scales)
        inference.require_scales(self.width, self.scales)
        inference.require_range("number of sections", len(self.sections), 1, MAX_SECTIONS)
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
            inference.require_range("bias of a logit", bias, 1 - inference.LOGIT_LIMIT, inference.LOGIT_LIMIT - 1)
        for index, bound in enumerate(self.worst_sums()):
            if bound >= inference.LOGIT_LIMIT:
                raise ModelError(f"logit {index} can reach {bound}, the limit is {inference.LOGIT_LIMIT - 1}")

    def worst_sums(self) -> tuple[int, ...]:
        """Largest magnitude that any partial sum of each logit can reach, in any order of addition."""
        bounds = [abs(bias) for bias in self.biases]
        for section in self.sections:
            positions = section.positions(self.width)
            for feature in section.features:
                for index, weight in enumerate(feature.weights):
                    bounds[index] += positions * abs(weight)
        return tuple(bounds)


# Canonical bytes of a rocket model after the header: section 3.2 of `quality/FORMAT.md`.
# A model has exactly one byte form, and `parse_body` accepts no other.

MAGIC = b"MMQR"

_COUNT = struct.Struct(">H")  # sections
_SECTION = struct.Struct(">HBH")  # dilation, padded, features


def _feature_layout(outputs: int) -> struct.Struct:
    return struct.Struct(f">Bh{outputs}h")  # kernel, bias, weights


def build_body(model: Rocket) -> bytes:
    """Bytes that follow the scales."""
    layout = _feature_layout(model.decision.outputs)
    parts = [struct.pack(f">{len(model.biases)}i", *model.biases), _COUNT.pack(len(model.sections))]
    for section in model.sections:
        parts.append(_SECTION.pack(section.dilation, section.padded, len(section.features)))
        parts += [layout.pack(feature.kernel, feature.bias, *feature.weights) for feature in section.features]
    return b"".join(parts)


def parse_body(header: inference.Header, reader: inference.Reader) -> Rocket:
    """Parse a rocket model from its header and the untrusted bytes that follow. Raises ModelError."""
    outputs = header.decision.outputs
    biases = reader.take(struct.Struct(f">{outputs}i"))
    (sections,) = reader.take(_COUNT)
    layout = _feature_layout(outputs)
    return Rocket(
        width=header.width,
        decimals=header.decimals,
        decision=header.decision,
        scales=header.scales,
        biases=biases,
        sections=tuple(_parse_section(reader, layout) for _ in range(sections)),
    )


def _parse_section(reader: inference.Reader, layout: struct.Struct) -> Section:
    dilation, padded, count = reader.take(_SECTION)
    if padded > 1:
        raise ModelError(f"a section states {padded} for whether it is padded", hint="must be 0 or 1")
    # All features of a section at once: their length is checked before any of them is built.
    rows = layout.iter_unpack(reader.take_bytes(count * layout.size))
    return Section(dilation, bool(padded), tuple(Feature(row[0], row[1], row[2:]) for row in rows))


def describe(model: Rocket) -> tuple[list[str], list[int]]:
    """Lines for the card, one per section, and the largest magnitude that the sums of each logit can reach."""
    lines = [
        f"{len(section.features)} features, dilation {section.dilation}, {'padded' if section.padded else 'inside'}"
        for section in model.sections
    ]
    return lines, list(model.worst_sums())


# The rocket model in pure Python: slow, short and without dependencies.


def quantise_row(model: Rocket, window: Sequence[int]) -> tuple[int, ...]:
    """Input (width words) from one window of fixed-point sensor values (width integers in units of 10^-decimals).
    Raises InputError if the window has another width, or a value above 2^53 - 1 in magnitude."""
    return inference.apply_scales(model.scales, window, width=model.width, limit=MAX_WORD)


def infer_row(model: Rocket, words: Sequence[int]) -> tuple[int, ...]:
    """Logits of one input (width words in -127..127)."""
    logits = list(model.biases)
    for section in model.sections:
        taps = _spread(section, words)
        # Weights are 2 on three taps and -1 on all others: three times the three taps, minus the sum of all nine.
        totals = [sum(column) for column in zip(*taps, strict=True)]
        for feature in section.features:
            first, second, third = (taps[tap] for tap in KERNELS[feature.kernel])
            responses = (3 * (a + b + c) - total for a, b, c, total in zip(first, second, third, totals, strict=True))
            count = sum(response > feature.bias for response in responses)
            logits = [logit + count * weight for logit, weight in zip(logits, feature.weights, strict=True)]
    return tuple(logits)


def _spread(section: Section, words: Sequence[int]) -> list[Sequence[int]]:
    """The word that each of the nine taps reads, at every position."""
    margin = [0] * (REACH // 2 * section.dilation if section.padded else 0)
    padded = [*margin, *words, *margin]
    positions = section.positions(len(words))
    return [padded[start : start + positions] for start in range(0, TAPS * section.dilation, section.dilation)]
