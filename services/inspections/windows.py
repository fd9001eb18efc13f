"""Measured windows behind verdicts, from the private book, with the score of each and the model's threshold."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from millmark.ledger.errors import NotFoundError
from millmark.ledger.provenance import Reader
from millmark.ledger.provenance.answers import Certificate
from millmark.ledger.store.rows import CertificateRow, InferenceRow, ModelRow
from millmark.quality.errors import QualityError
from millmark.quality.inputs import unpack_window
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
        raise NotFoundError(f"the inference of certificate {certificate} is not stored here")
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
