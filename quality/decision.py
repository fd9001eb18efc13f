"""From logits to verdict: which classes mean FAIL, and from which margin on. Shared by every family of models."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from quality.errors import ModelError

__all__ = ["LOGIT_LIMIT", "MAX_OUTPUTS", "Decision", "Verdict"]

LOGIT_LIMIT = 2**31
"""Logits and every sum on the way to them stay below this in magnitude, so that they are int32 everywhere."""
MAX_OUTPUTS = 32


class Verdict(enum.IntEnum):
    """What an inspection says of a part. 0 is left out, so that nothing uninitialised reads as a verdict."""

    PASS = 1
    FAIL = 2


@dataclass(frozen=True, slots=True)
class Decision:
    """How a model's logits become its verdict. Raises ModelError unless the three fields are in canonical form."""

    outputs: int
    """Number of logits, 1..32: one logit is a score of the defect, more are one score a class."""
    rejects: int
    """Bit c is set when class c means FAIL; exactly 1 when there is one logit, never 0."""
    threshold: int
    """The verdict is FAIL when the margin is at least this. 0 when every one of several classes is rejected."""

    def __post_init__(self) -> None:
        if not 1 <= self.outputs <= MAX_OUTPUTS:
            raise ModelError(f"number of logits is {self.outputs}, outside 1..{MAX_OUTPUTS}")
        if not 0 < self.rejects < 1 << self.outputs:
            raise ModelError(f"rejected classes {self.rejects:#x} are not among the {self.outputs} there are")
        if not -LOGIT_LIMIT < self.threshold < LOGIT_LIMIT:
            raise ModelError(f"threshold is {self.threshold}, outside {1 - LOGIT_LIMIT}..{LOGIT_LIMIT - 1}")
        if self._rejects_all and self.threshold:
            raise ModelError(f"threshold is {self.threshold} where every class is rejected", hint="it must be 0")

    @property
    def _rejects_all(self) -> bool:
        return self.outputs > 1 and self.rejects == (1 << self.outputs) - 1

    @property
    def rejected(self) -> tuple[int, ...]:
        """Classes that mean FAIL, ascending; (0,) when there is one logit."""
        return tuple(index for index in range(self.outputs) if self.rejects >> index & 1)

    @property
    def accepted(self) -> tuple[int, ...]:
        """Classes that mean PASS, ascending; empty when there is one logit or all are rejected."""
        return tuple(index for index in range(self.outputs) if not self.rejects >> index & 1)

    def margin(self, logits: Sequence[int]) -> int:
        """How much more the logits speak for FAIL than for PASS; up to 33 bits.

        One logit is its own margin; of several, the largest among the rejected less the largest among the accepted.
        0, like the threshold, when every class is rejected: the verdict is then always FAIL.
        """
        if self.outputs == 1:
            return logits[0]
        if self._rejects_all:
            return 0
        return max(logits[index] for index in self.rejected) - max(logits[index] for index in self.accepted)

    def judge(self, logits: Sequence[int]) -> Verdict:
        """FAIL from the threshold on, else PASS."""
        return Verdict.FAIL if self.margin(logits) >= self.threshold else Verdict.PASS

    def classify(self, logits: Sequence[int]) -> int:
        """The class to show to people: the largest logit, the first of equals; with one logit 1 for FAIL, 0 for PASS.

        No verdict depends on it.
        """
        if self.outputs == 1:
            return int(self.judge(logits) is Verdict.FAIL)
        return max(range(self.outputs), key=lambda index: (logits[index], -index))
