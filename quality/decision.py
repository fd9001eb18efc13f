"""Turns logits into a verdict: which classes mean FAIL, and at which margin. Shared by all model families."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from millmark.quality.errors import ModelError

LOGIT_LIMIT = 2**31
"""Logits and all intermediate sums stay below this in magnitude, so that they fit in int32 in every evaluator."""
MAX_OUTPUTS = 32


class Verdict(enum.IntEnum):
    """The outcome of an inspection. 0 is unused, so that uninitialised storage never reads as a verdict."""

    PASS = 1
    FAIL = 2


@dataclass(frozen=True, slots=True)
class Decision:
    """How a model's logits become its verdict. Raises ModelError unless the three fields are in canonical form."""

    outputs: int
    """Number of logits, 1..32: a single logit scores the defect, several score one class each."""
    rejects: int
    """Bit c is set if class c means FAIL. Never 0; exactly 1 for a single logit."""
    threshold: int
    """The verdict is FAIL if the margin is at least this. Must be 0 if all of several classes are rejected."""

    def __post_init__(self) -> None:
        if not 1 <= self.outputs <= MAX_OUTPUTS:
            raise ModelError(f"number of logits is {self.outputs}, outside 1..{MAX_OUTPUTS}")
        if not 0 < self.rejects < 1 << self.outputs:
            raise ModelError(f"rejected classes {self.rejects:#x} are not among the {self.outputs} there are")
        if not -LOGIT_LIMIT < self.threshold < LOGIT_LIMIT:
            raise ModelError(f"threshold is {self.threshold}, outside {1 - LOGIT_LIMIT}..{LOGIT_LIMIT - 1}")
        # The margin is always 0 then: a negative threshold would repeat the same decision, a positive one pass all.
        if self._rejects_all and self.threshold:
            raise ModelError(f"threshold is {self.threshold}, where every class is rejected", hint="it must be 0")

    @property
    def _rejects_all(self) -> bool:
        return self.outputs > 1 and self.rejects == (1 << self.outputs) - 1

    @property
    def rejected(self) -> tuple[int, ...]:
        """Classes that mean FAIL, ascending; (0,) for a single logit."""
        return tuple(index for index in range(self.outputs) if self.rejects >> index & 1)

    @property
    def accepted(self) -> tuple[int, ...]:
        """Classes that mean PASS, ascending; empty for a single logit, or if all classes are rejected."""
        return tuple(index for index in range(self.outputs) if not self.rejects >> index & 1)

    def margin(self, logits: Sequence[int]) -> int:
        """How far the logits favour FAIL over PASS; needs up to 33 bits.

        A single logit is its own margin. Otherwise the margin is the largest rejected logit minus the largest accepted
        one; if all classes are rejected it is 0, like the threshold, so that the verdict is always FAIL.
        """
        if self.outputs == 1:
            return logits[0]
        if self._rejects_all:
            return 0
        return max(logits[index] for index in self.rejected) - max(logits[index] for index in self.accepted)

    def judge(self, logits: Sequence[int]) -> Verdict:
        """FAIL if the margin reaches the threshold, else PASS."""
        return Verdict.FAIL if self.margin(logits) >= self.threshold else Verdict.PASS

    def classify(self, logits: Sequence[int]) -> int:
        """The class to show to people: the one with the largest logit; on a tie, the lowest of them.

        For a single logit, 1 for FAIL and 0 for PASS. Verdicts do not depend on it.
        """
        if self.outputs == 1:
            return int(self.judge(logits) is Verdict.FAIL)
        # -index, so that max prefers the lowest class on a tie.
        return max(range(self.outputs), key=lambda index: (logits[index], -index))
