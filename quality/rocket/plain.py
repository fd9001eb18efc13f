"""The rocket model in pure Python: slow, short and without dependencies."""

from __future__ import annotations

from collections.abc import Sequence

from millmark.quality.inputs import apply_scales
from millmark.quality.rocket.records import KERNELS, MAX_WORD, REACH, TAPS, Rocket, Section


def quantise_row(model: Rocket, window: Sequence[int]) -> tuple[int, ...]:
    """Input (width words) from one window of fixed-point sensor values (width integers in units of 10^-decimals).

    Raises InputError if the window has another width, or a value above 2^53 - 1 in magnitude.
    """
    return apply_scales(model.scales, window, width=model.width, limit=MAX_WORD)


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
