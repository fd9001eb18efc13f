"""Detects drift: compares a model's recent inputs and margins with a reference made at training. Does not need torch.

Inspections are taken in order, in groups of `GROUP`. The statistics of an inspection are its margin and, for a table,
the word in each column; for a series, the level, range and roughness of the window. Over bins bounded by the
reference's quantiles, the histogram of a group is compared with that of the reference by the population stability
index:

    PSI = sum over bins of (p - q) * ln(p / q)      p observed, q reference; 0.5 added to each count so that none is 0

ALARM RULE: the PSI of a statistic is above 0.25 in two consecutive groups. In 600 groups of unchanged data, with 700
reference rows, the largest PSI of a group had a median of 0.10, was below 0.21 in 99 of 100 groups, and above 0.25 in
only one (0.26), so never twice in a row. With fewer reference rows it is raised by data that do not change, the more
often the fewer there are (`ACTING_ROWS`): then it informs a person, and nothing acts on it by itself. Floats suffice
here: no hash covers the results.

Not established: that verdicts are wrong when there is an alarm, or right when there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from millmark.quality.errors import InputError

GROUP = 200
"""Inspections that are compared with the reference at a time."""
ALARM_PSI = 0.25
ALARM_GROUPS = 2
"""Consecutive groups above `ALARM_PSI` that raise an alarm."""
ACTING_ROWS = 400
"""Reference rows below which an alarm only informs. Ten columns of data that do not change, ten groups: a false alarm
in every run with 20, 30 or 50 rows, in 96 % with 80, 56 % with 120, 9 % with 200, and in none of 200 with 400."""
MARGIN = "margin"
BINS = 10
"""Quantile bins within the reference's range; one more on either side counts values outside it."""
MAX_TABLE_COLUMNS = 64
"""Wider windows are treated as series and summarised by a few statistics."""
MAX_STATISTICS = MAX_TABLE_COLUMNS + 1
"""The columns of the widest table, and the margin."""

Integers = NDArray[np.int64]
Columns = Mapping[str, Integers]


@dataclass(frozen=True, slots=True)
class Histogram:
    """Distribution of a statistic. Raises InputError unless edges ascend and there is one more count than edges."""

    edges: tuple[int, ...]
    """Bin b counts values from edge b - 1 (inclusive) to edge b (exclusive); the first and last bins are open."""
    counts: tuple[int, ...]
    """Reference rows in each bin."""

    def __post_init__(self) -> None:
        if not 2 <= len(self.edges) <= BINS + 2 or len(self.counts) != len(self.edges) + 1:
            raise InputError(
                f"a histogram of the drift reference has {len(self.edges)} edges and {len(self.counts)} counts",
                hint=f"expected 2..{BINS + 2} edges, and one more count than edges",
            )
        if any(low >= high for low, high in zip(self.edges, self.edges[1:], strict=False)):
            raise InputError("the edges of a histogram of the drift reference do not ascend")
        if min(self.counts) < 0 or not any(self.counts):
            raise InputError("a histogram of the drift reference is empty, or has a negative count")

    def stability(self, values: Integers) -> float:
        """Population stability index of values (n,) relative to this histogram."""
        observed = _shares(np.bincount(np.searchsorted(self.edges, values, side="right"), minlength=len(self.counts)))
        expected = _shares(np.array(self.counts))
        return float(np.sum((observed - expected) * np.log(observed / expected)))


@dataclass(frozen=True, slots=True)
class Reference:
    """Distribution of every statistic on the model's validation rows."""

    rows: int
    histograms: Mapping[str, Histogram]
    """By name of the statistic."""

    @property
    def is_acting(self) -> bool:
        """Whether something may follow from an alarm beside this reference without a person."""
        return self.rows >= ACTING_ROWS

    def describe(self) -> dict[str, object]:
        """JSON form, as the model card contains it: integers only."""
        return {
            "rows": self.rows,
            "statistics": {
                name: {"edges": list(histogram.edges), "counts": list(histogram.counts)}
                for name, histogram in self.histograms.items()
            },
        }


@dataclass(frozen=True, slots=True)
class Drift:
    """A model's inspections compared with its reference."""

    reference: Reference
    inspections: int
    groups: int
    """Number of complete groups."""
    latest: Mapping[str, float]
    """PSI of each statistic in the latest complete group; empty before the first."""
    alarms: tuple[str, ...]
    """Statistics above `ALARM_PSI` in the two latest complete groups."""
    history: tuple[Mapping[str, float], ...] = ()
    """PSI of each statistic in each complete group, oldest first."""


def build_reference(inputs: NDArray[np.signedinteger], margins: Integers) -> Reference:
    """Reference from a model's words (n, width) and margins (n,) on rows that it was not trained on. Raises InputError
    for fewer than 20 rows, since ten bins would then say nothing."""
    if len(inputs) < 2 * BINS:
        raise InputError(
            f"a drift reference cannot be built from {len(inputs)} rows", hint=f"needs at least {2 * BINS}"
        )
    columns = _observe(inputs, margins)
    return Reference(len(inputs), {name: _histogram(values) for name, values in columns.items()})


def watch(reference: Reference, inputs: NDArray[np.signedinteger], margins: Integers) -> Drift:
    """Compare inspections, in order, with the reference: words (n, width) and margins (n,). Rows after the last
    complete group do not count yet. Raises InputError if the reference does not have the statistics of these inputs."""
    columns = _observe(inputs, margins)
    if columns.keys() != reference.histograms.keys():
        raise InputError("the drift reference belongs to another model", hint="use the card that came with the model")
    groups = len(inputs) // GROUP
    history = [
        {
            name: histogram.stability(columns[name][group * GROUP : (group + 1) * GROUP])
            for name, histogram in reference.histograms.items()
        }
        for group in range(groups)
    ]
    # Only the latest groups can raise the present alarm.
    recent = history[-ALARM_GROUPS:]
    alarms = [name for name in columns if len(recent) == ALARM_GROUPS and all(psi[name] > ALARM_PSI for psi in recent)]
    return Drift(reference, len(inputs), groups, history[-1] if history else {}, tuple(alarms), tuple(history))


def parse_reference(described: object) -> Reference:
    """Parse the reference in an untrusted model card. Raises InputError."""
    if not isinstance(described, dict) or described.keys() != {"rows", "statistics"}:
        raise InputError("the card has no drift reference", hint="train the model again with this release")
    statistics = described["statistics"]
    if not isinstance(statistics, dict) or not 1 <= len(statistics) <= MAX_STATISTICS:
        raise InputError("the card's drift reference has no statistics, or too many", hint=f"at most {MAX_STATISTICS}")
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
    """Level, range and roughness of each window (n, width), in words. Sums, not means, so that they stay integers."""
    return {
        "sum": windows.sum(axis=1),
        "lowest": windows.min(axis=1),
        "highest": windows.max(axis=1),
        "sum of magnitudes": np.abs(windows).sum(axis=1),
        "sum of steps": np.abs(np.diff(windows, axis=1)).sum(axis=1),
    }


def _histogram(values: Integers) -> Histogram:
    quantiles = np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1], method="closest_observation")
    # A set, since quantiles of a statistic with few distinct values coincide.
    edges = sorted({int(values.min()), *(int(edge) for edge in quantiles), int(values.max()) + 1})
    counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
    return Histogram(tuple(edges), tuple(counts.tolist()))


def _shares(counts: NDArray[np.signedinteger]) -> NDArray[np.float64]:
    # An empty bin would make the logarithm infinite.
    raised = counts + 0.5
    shares: NDArray[np.float64] = raised / raised.sum()
    return shares
