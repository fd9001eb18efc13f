"""Control charts of a model: of its scores, of their moving ranges, and of the share of lots that it failed.

Limits are those of the model's reference period: its first `REFERENCE` inspections and its first
`REFERENCE_GROUPS` groups of `GROUP`, in the order of the certificates. Scores are in the private book; verdicts are on
the ledger, for every company.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from millmark.ledger.provenance import Reader
from millmark.ledger.records import Verdict
from millmark.ledger.store.rows import CertificateRow
from millmark.quality.control import ControlChart, Group, Individuals, chart_individuals, chart_proportions
from millmark.services.inspections.windows import Models, score_of

REFERENCE = 20
"""Inspections from which the limits of scores are computed."""
GROUP = 20
"""Inspections in a group of which the share that failed is charted."""
REFERENCE_GROUPS = 10
SHOWN = 60
"""Most points of a chart: the latest."""


@dataclass(frozen=True, slots=True)
class ScoreChart:
    certificates: tuple[int, ...]
    """The certificate of each point."""
    charts: Individuals
    threshold: int
    reference: tuple[int, int]
    """First and last certificate of the reference period."""


@dataclass(frozen=True, slots=True)
class ProportionChart:
    certificates: tuple[tuple[int, int], ...]
    """First and last certificate of each group."""
    groups: tuple[Group, ...]
    chart: ControlChart


@dataclass(frozen=True, slots=True)
class ModelControl:
    """The charts of one model; None where there are too few inspections for limits."""

    scores: ScoreChart | None
    scored: int
    """Inspections whose scores are known here, at most `REFERENCE` + `SHOWN` of them counted."""
    proportions: ProportionChart | None
    inspections: int
    """All certificates on the model."""

    @property
    def signals(self) -> int:
        """Points at which a rule fired, in all charts."""
        charts: list[ControlChart] = [] if self.proportions is None else [self.proportions.chart]
        charts += [] if self.scores is None else [self.scores.charts.values, self.scores.charts.ranges]
        return sum(len({one.place for one in chart.signals}) for chart in charts)


def control(reader: Reader, model: int) -> ModelControl:
    """The charts of a model, by all of its certificates. Without the model's bytes there are no scores."""
    certificates = reader.rows.find(CertificateRow, model=model)
    first, latest = certificates[:REFERENCE], certificates[-SHOWN:]
    scores = _scores(reader, model, {row.sequence for row in (*first, *latest)})
    return ModelControl(
        scores=_chart_scores(reader, model, scores, first, latest),
        scored=len(scores),
        proportions=_chart_proportions(certificates),
        inspections=len(certificates),
    )


def _scores(reader: Reader, model: int, sequences: set[int]) -> dict[int, int]:
    parsed, kept = Models(reader).find(model), reader.book.inferences(sequences)
    found = {number: score_of(parsed, json.loads(row.logits)) for number, row in kept.items()}
    return {number: score for number, score in found.items() if score is not None}


def _chart_scores(
    reader: Reader,
    model: int,
    scores: dict[int, int],
    first: Sequence[CertificateRow],
    latest: Sequence[CertificateRow],
) -> ScoreChart | None:
    # A reference period with gaps would be another one on each company's page.
    if len(first) < REFERENCE or any(row.sequence not in scores for row in first):
        return None
    parsed = Models(reader).find(model)
    shown = [row.sequence for row in latest if row.sequence in scores]
    if parsed is None or not shown:
        return None
    reference = [float(scores[row.sequence]) for row in first]
    charts = chart_individuals(reference, [float(scores[number]) for number in shown])
    span = first[0].sequence, first[-1].sequence
    return ScoreChart(tuple(shown), charts, parsed.decision.threshold, span)


def _chart_proportions(certificates: Sequence[CertificateRow]) -> ProportionChart | None:
    """Only complete groups count."""
    whole = len(certificates) // GROUP
    if whole < REFERENCE_GROUPS:
        return None
    parts = [certificates[number * GROUP : (number + 1) * GROUP] for number in range(whole)]
    groups = [Group(sum(row.verdict == Verdict.FAIL for row in part), GROUP) for part in parts]
    shown = slice(max(0, whole - SHOWN), whole)
    chart = chart_proportions(groups[:REFERENCE_GROUPS], groups[shown])
    spans = tuple((part[0].sequence, part[-1].sequence) for part in parts[shown])
    return ProportionChart(spans, tuple(groups[shown]), chart)
