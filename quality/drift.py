"""Is what a model sees still what it learnt from? Population statistics against a reference made at training.

Inspections are taken in groups of `GROUP`, in order. Of each a few integers are watched: the margin, and of the input
either every column (a table) or how high, wide and rough the window is (a series). Each has a histogram over bins that
the reference's quantiles cut, and the population stability index compares it with the reference's:

    PSI = sum over bins of (p - q) * ln(p / q)      p observed, q reference, each count 0.5 up so that none is 0

ALARM RULE: the PSI of one statistic is above 0.25 in two groups in a row. Of 600 groups of unchanged data beside 700
reference rows, the largest PSI of a group was 0.10 at the median, below 0.21 in 99 of 100, and 0.26 once: two in a row
were never above. Floats are enough here: nothing of this is hashed.
Not established: that verdicts are wrong when there is an alarm, or right when there is none. Needs numpy, not torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from quality.errors import InputError

__all__ = [
    "ALARM_PSI",
    "GROUP",
    "MAX_TABLE_COLUMNS",
    "Drift",
    "Histogram",
    "Reference",
    "build_reference",
    "parse_reference",
    "watch",
]

GROUP = 200
"""Inspections that are judged together."""
ALARM_PSI = 0.25
ALARM_GROUPS = 2
MARGIN = "margin"
BINS = 10
"""Quantile bins inside the reference's range; one more on either side holds what is outside."""
MAX_TABLE_COLUMNS = 64
"""Wider windows are series: their columns are summed up."""
MAX_STATISTICS = MAX_TABLE_COLUMNS + 1

Integers = NDArray[np.int64]
Columns = Mapping[str, Integers]


@dataclass(frozen=True, slots=True)
class Histogram:
    """How a statistic is spread. Raises InputError unless edges ascend and there is one more count than edges."""

    edges: tuple[int, ...]
    """Bin b holds what is below edge b and not below edge b - 1."""
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        if not 2 <= len(self.edges) <= BINS + 2 or len(self.counts) != len(self.edges) + 1:
            raise InputError("a histogram of the reference has no bins, or not one more than edges")
        if any(low >= high for low, high in zip(self.edges, self.edges[1:], strict=False)):
            raise InputError("a histogram's edges do not ascend")
        if min(self.counts) < 0 or not any(self.counts):
            raise InputError("a histogram of the reference counts nothing")

    def stability(self, values: Integers) -> float:
        """Population stability index of values (n,) against this."""
        observed = _shares(np.bincount(np.searchsorted(self.edges, values, side="right"), minlength=len(self.counts)))
        expected = _shares(np.array(self.counts))
        return float(np.sum((observed - expected) * np.log(observed / expected)))


@dataclass(frozen=True, slots=True)
class Reference:
    """How everything that is watched was spread where the model was validated."""

    rows: int
    histograms: Mapping[str, Histogram]
    """By name of the statistic."""

    def describe(self) -> dict[str, object]:
        """As a model card holds it: integers only."""
        return {
            "rows": self.rows,
            "statistics": {
                name: {"edges": list(histogram.edges), "counts": list(histogram.counts)}
                for name, histogram in self.histograms.items()
            },
        }


@dataclass(frozen=True, slots=True)
class Drift:
    """What a model's inspections look like beside its reference."""

    inspections: int
    groups: int
    """Whole groups among them."""
    latest: Mapping[str, float]
    """PSI of each statistic in the latest whole group; empty before the first."""
    alarms: tuple[str, ...]
    """Statistics that the rule sounds for now: in the latest group and in the one before it."""


def build_reference(inputs: NDArray[np.signedinteger], margins: Integers) -> Reference:
    """Reference of a model's words (n, width) and margins (n,) on rows that did not train it.

    Raises InputError for fewer than 20 rows.
    """
    if len(inputs) < 2 * BINS:
        raise InputError(f"a drift reference of {len(inputs)} rows", hint=f"give at least {2 * BINS}")
    columns = _observe(inputs, margins)
    return Reference(len(inputs), {name: _histogram(values) for name, values in columns.items()})


def watch(reference: Reference, inputs: NDArray[np.signedinteger], margins: Integers) -> Drift:
    """Judge inspections in their order: words (n, width) and margins (n,). Rows after the last whole group wait.

    Raises InputError when the reference watches other statistics than such inputs have.
    """
    columns = _observe(inputs, margins)
    if columns.keys() != reference.histograms.keys():
        raise InputError("the drift reference is another model's", hint="take the card that came with the model")
    groups = len(inputs) // GROUP
    history = [
        {
            name: histogram.stability(columns[name][group * GROUP : (group + 1) * GROUP])
            for name, histogram in reference.histograms.items()
        }
        for group in range(max(0, groups - ALARM_GROUPS), groups)
    ]
    alarms = [
        name for name in columns if len(history) == ALARM_GROUPS and all(psi[name] > ALARM_PSI for psi in history)
    ]
    return Drift(len(inputs), groups, history[-1] if history else {}, tuple(alarms))


def parse_reference(described: object) -> Reference:
    """The reference in an untrusted card. Raises InputError."""
    if not isinstance(described, dict) or described.keys() != {"rows", "statistics"}:
        raise InputError("the card has no drift reference", hint="train the model anew with this release")
    statistics = described["statistics"]
    if not isinstance(statistics, dict) or not 1 <= len(statistics) <= MAX_STATISTICS:
        raise InputError("the card's drift reference has no statistics, or too many")
    parsed = {
        str(name): Histogram(_edges(fields, "edges"), _edges(fields, "counts")) for name, fields in statistics.items()
    }
    return Reference(_require_integer(described["rows"]), parsed)


def _edges(fields: object, name: str) -> tuple[int, ...]:
    values = fields.get(name) if isinstance(fields, dict) else None
    if not isinstance(values, list):
        raise InputError(f"a statistic of the drift reference has no {name}")
    return tuple(_require_integer(value) for value in values)


def _require_integer(value: object) -> int:
    if type(value) is not int or abs(value) >= 2**62:
        raise InputError(f"{value!r} in the drift reference is not an integer")
    return value


def _observe(inputs: NDArray[np.signedinteger], margins: Integers) -> Columns:
    if inputs.shape[1] <= MAX_TABLE_COLUMNS:
        words = {f"column {place}": inputs[:, place].astype(np.int64) for place in range(inputs.shape[1])}
    else:
        words = _sum_up(inputs.astype(np.int64))
    return {MARGIN: margins.astype(np.int64), **words}


def _sum_up(windows: Integers) -> dict[str, Integers]:
    """Of a series: level, width and roughness, in words; sums rather than means, so that they stay integers."""
    return {
        "sum": windows.sum(axis=1),
        "lowest": windows.min(axis=1),
        "highest": windows.max(axis=1),
        "sum of magnitudes": np.abs(windows).sum(axis=1),
        "sum of steps": np.abs(np.diff(windows, axis=1)).sum(axis=1),
    }


def _histogram(values: Integers) -> Histogram:
    quantiles = np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1], method="closest_observation")
    edges = sorted({int(values.min()), *(int(edge) for edge in quantiles), int(values.max()) + 1})
    counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
    return Histogram(tuple(edges), tuple(counts.tolist()))


def _shares(counts: NDArray[np.signedinteger]) -> NDArray[np.float64]:
    raised = counts + 0.5
    shares: NDArray[np.float64] = raised / raised.sum()
    return shares
