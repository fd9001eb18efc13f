"""Compares two groups of a machine's inspections with what was usual at that machine, and with its latest change.

Needs numpy, which not every gateway has.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from millmark.ledger.store.rows import InferenceRow, ModelFileRow
from millmark.quality.drift import ALARM_PSI, build_reference, parse_reference, watch
from millmark.services.inspections.model_health import read_reference, read_statistics


@dataclass(frozen=True, slots=True)
class Change:
    """What changed in two groups in a row."""

    index: Mapping[str, int]
    """The index of each statistic that changed, in the later group, in thousandths; empty if none did."""
    unusual: tuple[str, ...]
    """Those of them that are above the limit beside what is usual, in one of the groups at least."""
    is_acting: bool
    """Whether what is usual rests on enough rows for anything to follow without a person."""
    state: str
    """Reference made of the two groups, as JSON; empty if nothing changed."""


def find_change(file: ModelFileRow | None, inferences: Sequence[InferenceRow], usual: str, latest: str) -> Change:
    """Whether the machine differs from how it was at its latest change, or from what is usual if there was none.

    `inferences`: of one group, in which nothing can have changed yet, or of two. `usual` and `latest` are references
    as JSON; without `usual`, the one in the model's card counts, and without `latest`, what is usual. Raises
    QualityError, ValueError and ImportError for a model or card that cannot be read.
    """
    words, margins = read_statistics(file, inferences)
    reference = parse_reference(json.loads(usual)) if usual else read_reference(file)
    beside = watch(reference, words, margins)
    found = watch(parse_reference(json.loads(latest)), words, margins) if latest else beside
    if not found.alarms:
        return Change({}, (), reference.is_acting, "")
    # A machine that is again as it usually is has changed, but does not drift.
    unusual = tuple(sorted(name for name in found.alarms if any(one[name] > ALARM_PSI for one in beside.history)))
    index = {name: round(1000 * found.latest[name]) for name in found.alarms}
    return Change(index, unusual, reference.is_acting, json.dumps(build_reference(words, margins).describe()))
