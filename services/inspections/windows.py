"""Measured windows behind verdicts, from the private book, with the score of each and the model's threshold; and the
control charts that they make."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from millmark.ledger import errors, phrases, records
from millmark.ledger.provenance import Reader
from millmark.ledger.provenance.answers import Certificate
from millmark.ledger.store.rows import CertificateRow, InferenceRow, ModelRow
from millmark.quality.control import ControlChart, Group, Individuals, chart_individuals, chart_proportions
from millmark.quality.errors import QualityError
from millmark.quality.inference import unpack_window
from millmark.quality.model import Model, model_digest, parse_model


@dataclass(frozen=True, slots=True)
class MeasuredWindow:
    """The measurement that one verdict was made on."""

    certificate: Certificate
    values: tuple[int, ...]
    """In units of 10^-decimals of the sensor's unit."""
    decimals: int | None
    """None if the model is not stored here."""
    score: int | None
    """The margin of the logits: the verdict is FAIL if it is at least the threshold. None as for `decimals`."""
    threshold: int | None


class Models:
    """The parsed models of one state of the store."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._parsed: dict[int, Model | None] = {}

    def find(self, number: int) -> Model | None:
        """The model; None if its bytes are not stored here, or are not those of the registered digest."""
        if number not in self._parsed:
            self._parsed[number] = self._parse(number)
        return self._parsed[number]

    def _parse(self, number: int) -> Model | None:
        row = self._reader.rows.get(ModelRow, number)
        kept = None if row is None else self._reader.book.model(row.digest)
        if row is None or kept is None or model_digest(kept.content) != row.digest:
            return None
        return parse_model(kept.content)


def find_window(reader: Reader, certificate: int) -> MeasuredWindow:
    """The window behind a certificate. Raises NotFoundError if the certificate or its inference is not known here."""
    row = reader.rows.get(CertificateRow, certificate)
    kept = None if row is None else reader.book.inference(certificate)
    if row is None or kept is None:
        raise errors.NotFoundError(f"the inference of certificate {certificate} is not stored here")
    return _build(Models(reader), reader.certificates([row])[0], kept)


def find_latest_windows(reader: Reader, most: int, model: int | None = None) -> tuple[MeasuredWindow, ...]:
    """The windows of the latest certificates whose inference is stored here, newest first, of one model or of all."""
    if model is None:
        # The book may be ahead of the index, by what is recorded and not final.
        latest = reader.rows.latest(InferenceRow, "certificate", 2 * most)
        rows = reader.rows.among(CertificateRow, "sequence", [one.certificate for one in latest])
        kept = {one.certificate: one for one in latest}
    else:
        rows = reader.rows.latest(CertificateRow, "sequence", 2 * most, model=model)
        kept = reader.book.inferences(row.sequence for row in rows)
    known = sorted((row for row in rows if row.sequence in kept), key=lambda row: -row.sequence)[:most]
    built = {one.certificate: one for one in reader.certificates(known)}
    models = Models(reader)
    return tuple(_build(models, built[row.sequence], kept[row.sequence]) for row in known)


def score_of(model: Model | None, logits: Sequence[int]) -> int | None:
    """The margin of logits; None if the model is unknown, or they are not a model's of this shape."""
    if model is None or len(logits) != model.decision.outputs:
        return None
    return model.decision.margin(logits)


def _build(models: Models, certificate: Certificate, kept: InferenceRow) -> MeasuredWindow:
    model = None if certificate.model is None else models.find(certificate.model.model)
    try:
        values = tuple(unpack_window(kept.window))
    except QualityError:
        values = ()
    return MeasuredWindow(
        certificate=certificate,
        values=values,
        decimals=None if model is None else model.decimals,
        score=score_of(model, json.loads(kept.logits)),
        threshold=None if model is None else model.decision.threshold,
    )


# Control charts of a model: of its scores, of their moving ranges, and of the share of lots that it failed.
#
# Limits are those of the model's reference period: its first `REFERENCE` inspections and its first `REFERENCE_GROUPS`
# groups of `GROUP`, in the order of the certificates. Scores are in the private book; verdicts are on the ledger, for
# every company.

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
    groups = [Group(sum(row.verdict == records.Verdict.FAIL for row in part), GROUP) for part in parts]
    shown = slice(max(0, whole - SHOWN), whole)
    chart = chart_proportions(groups[:REFERENCE_GROUPS], groups[shown])
    spans = tuple((part[0].sequence, part[-1].sequence) for part in parts[shown])
    return ProportionChart(spans, tuple(groups[shown]), chart)


class HealthGround(phrases.Phrase):
    """Why nothing can be said about how a model does. Its value is the error's cause; `words` are those of the quality
    package."""

    NOT_STORED = "model and card are not stored here"
    CARD_UNREADABLE = "the card is not JSON"
    CARD_UNFIT = "the card cannot be used: {words}"
