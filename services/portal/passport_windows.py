"""Measured windows on a passport: those that the proof opens, and nothing else.

What a proof opens was chosen with `passport_disclose` (`inferences`), and digests were rebuilt from it. A model's scale
and threshold are shown only if its bytes are on the chain: of others, the consortium knows no more than a digest, and
whoever has the part's code must not learn more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from millmark.ledger.bundle import InferenceShown
from millmark.ledger.provenance import open_reader
from millmark.ledger.provenance.answers import Certificate
from millmark.ledger.store import Store
from millmark.ledger.store.rows import CertificateRow, ModelRow
from millmark.quality.errors import QualityError
from millmark.quality.inputs import unpack_window
from millmark.services.inspections.windows import Models, score_of
from millmark.services.pictures.window import draw_window
from millmark.services.portal.charts import measured
from millmark.services.portal.language import Catalogue

__all__ = ["MOST_WINDOWS", "OpenedWindow", "build_opened_windows"]

MOST_WINDOWS = 8
"""Most windows on a passport: the page stays small. The proof has all."""
_COLUMNS = 75


@dataclass(frozen=True, slots=True)
class OpenedWindow:
    certificate: Certificate
    picture: str
    count: int
    """Values in the window."""
    least: str
    greatest: str
    score: int | None
    """None if it does not follow from the logits without a model that is private."""
    threshold: int | None
    """None if the model is private."""


def build_opened_windows(
    store: Store, lot: bytes, opened: Sequence[InferenceShown], catalogue: Catalogue
) -> tuple[OpenedWindow, ...]:
    """The windows of the part's own certificates first, then of those of what it was made from; the newest first."""
    if not opened:
        return ()
    by_record = {one.record: one for one in opened}
    with open_reader(store) as reader:
        rows = reader.rows.among(CertificateRow, "sequence", by_record)
        rows.sort(key=lambda row: (row.lot != lot, -row.sequence))
        built = {one.certificate: one for one in reader.certificates(rows[:MOST_WINDOWS])}
        models = Models(reader)
        published = {
            one.number for one in reader.rows.among(ModelRow, "number", {row.model for row in rows}) if one.code
        }
        return tuple(
            _build(built[row.sequence], by_record[row.sequence], models if row.model in published else None, catalogue)
            for row in rows[:MOST_WINDOWS]
        )


def _build(
    certificate: Certificate, opened: InferenceShown, models: Models | None, catalogue: Catalogue
) -> OpenedWindow:
    model = None if models is None or certificate.model is None else models.find(certificate.model.model)
    try:
        values = unpack_window(opened.window)
    except QualityError:  # the digest was rebuilt from it as it is; what it means, only the model says
        values = ()
    alone = opened.logits[0] if len(opened.logits) == 1 else None
    decimals = None if model is None else model.decimals
    least, greatest = (measured(edge, decimals) for edge in (min(values, default=0), max(values, default=0)))
    label = catalogue.say(
        "passport.window", certificate=certificate.certificate, count=len(values), least=least, greatest=greatest
    )
    return OpenedWindow(
        certificate=certificate,
        picture=draw_window(values, label, _COLUMNS),
        count=len(values),
        least=least,
        greatest=greatest,
        score=alone if model is None else score_of(model, opened.logits),
        threshold=None if model is None else model.decision.threshold,
    )
