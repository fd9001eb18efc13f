"""Health of each model: drift of its inputs, and precision and recall from findings in the field."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from millmark.ledger import provenance, records
from millmark.ledger.store import Store
from millmark.ledger.store.rows import CertificateRow, InferenceRow, ModelFileRow, ModelRow
from millmark.quality import inference, metrics
from millmark.quality.drift import ACTING_ROWS, ALARM_PSI, GROUP, Drift, Reference, parse_reference, watch
from millmark.quality.errors import InputError
from millmark.quality.model import load_family, parse_model
from millmark.services.inspections.windows import HealthGround

MAX_INSPECTIONS = 10 * GROUP
"""How many of a model's latest inspections are examined; alarms look at the last two groups."""


@dataclass(frozen=True, slots=True)
class Share:
    """A proportion with its 95 % Wilson interval, all from 0 to 1."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, hits: int, rows: int) -> Share | None:
        return cls(hits / rows, *metrics.wilson(hits, rows)) if rows else None

    def to_json(self) -> dict[str, float]:
        return {"value": round(self.value, 4), "low": round(self.low, 4), "high": round(self.high, 4)}


@dataclass(frozen=True, slots=True)
class FieldFigures:
    """Findings about certified parts, counted by verdict and by whether the part was defective."""

    hits: int
    """Parts that failed and were defective."""
    false_alarms: int
    """Parts that failed but were sound."""
    misses: int
    """Parts that passed but were defective."""
    sound: int
    """Parts that passed and were sound."""
    unknown: int
    """Certificates without a finding."""

    @property
    def precision(self) -> Share | None:
        """Share of failed parts that were defective; None if there is no finding about a failed part."""
        return Share.of(self.hits, self.hits + self.false_alarms)

    @property
    def recall(self) -> Share | None:
        """Share of defective parts that failed; None if there is no finding of a defect."""
        return Share.of(self.hits, self.hits + self.misses)


@dataclass(frozen=True, slots=True)
class ModelHealth:
    """One registered model, with its drift and its figures from the field."""

    model: int
    digest: bytes
    state: records.ModelState
    on_chain: bool
    """Whether its bytes are stored as contract code; otherwise it can be audited off chain only."""
    certificates: int
    drift: Drift | None
    why_not: str | None
    """Why drift cannot be computed; None if it was."""
    field: FieldFigures

    def describe(self) -> list[str]:
        """Lines of text for the terminal."""
        kept = "stored on chain" if self.on_chain else "only its digest on chain"
        found = self.certificates - self.field.unknown
        return [
            f"model {self.model}, {self.state.name.lower()}, {kept}: {self.certificates} certificates",
            f"  drift {self.describe_drift()}",
            f"  in the field, {found} parts with findings: precision {_text(self.field.precision)}, "
            f"recall {_text(self.field.recall)}",
        ]

    def describe_drift(self) -> str:
        """The drift in a few words."""
        drift = self.drift
        if drift is None:
            return f"unknown: {self.why_not}"
        if drift.alarms:
            alarm = f"ALARM: {', '.join(drift.alarms)}"
            rows = drift.reference.rows
            small = f"; informs only: its reference has {rows} rows of the {ACTING_ROWS} on which anything acts"
            return alarm if drift.reference.is_acting else alarm + small
        if not drift.latest:
            return f"too few inspections yet ({drift.inspections})"
        name, value = max(drift.latest.items(), key=lambda item: item[1])
        return f"none; largest index {value:.2f}, of {name}"

    def to_json(self) -> dict[str, object]:
        drift = self.drift
        return {
            "model": self.model,
            "digest": "0x" + self.digest.hex(),
            "state": self.state.name.lower(),
            "on_chain": self.on_chain,
            "certificates": self.certificates,
            "drift": None
            if drift is None
            else {
                "inspections": drift.inspections,
                "groups": drift.groups,
                "group": GROUP,
                "alarm_above": ALARM_PSI,
                "reference_rows": drift.reference.rows,
                "acting_rows": ACTING_ROWS,
                "stability_index": {name: round(value, 4) for name, value in drift.latest.items()},
                "alarms": list(drift.alarms),
            },
            "why_no_drift": self.why_not,
            "field": {
                "hits": self.field.hits,
                "false_alarms": self.field.false_alarms,
                "misses": self.field.misses,
                "sound": self.field.sound,
                "unknown": self.field.unknown,
                "precision": _json(self.field.precision),
                "recall": _json(self.field.recall),
            },
        }


def monitor(store: Store) -> list[ModelHealth]:
    """The health of every registered model, in order of registration. Raises NotFoundError if nothing is indexed."""
    with provenance.open_reader(store) as reader:
        return [find_health(reader, row) for row in reader.rows.find(ModelRow)]


def find_health(reader: provenance.Reader, row: ModelRow) -> ModelHealth:
    """The health of one registered model."""
    certificates = reader.rows.find(CertificateRow, model=row.number)
    latest = [certificate.sequence for certificate in certificates[-MAX_INSPECTIONS:]]
    # Drift needs inputs, which the chain does not have: only inspections whose inference is in the book count.
    kept = reader.book.inferences(latest)
    file = reader.book.model(row.digest)
    drift, why_not = None, None
    try:
        drift = measure_drift(file, [kept[sequence] for sequence in latest if sequence in kept])
    except InputError as error:
        why_not = error.cause
    return ModelHealth(
        model=row.number,
        digest=row.digest,
        state=records.ModelState(row.state),
        on_chain=row.code is not None,
        certificates=len(certificates),
        drift=drift,
        why_not=why_not,
        field=_field(reader, certificates),
    )


def measure_drift(file: ModelFileRow | None, inferences: Sequence[InferenceRow]) -> Drift:
    """A model's inspections, in order, beside the reference in its card. Raises InputError if that is not here, or does
    not fit, and ModelError."""
    reference, statistics = read_reference(file), read_statistics(file, inferences)
    with _telling():
        return watch(reference, *statistics)


def read_statistics(
    file: ModelFileRow | None, inferences: Sequence[InferenceRow]
) -> tuple[NDArray[np.signedinteger], NDArray[np.int64]]:
    """Words (n, width) and margins (n,) of a model's inspections, in order. Raises InputError if the model is not here,
    and ModelError."""
    model = parse_model(_require(file).content)
    windows = np.array([inference.unpack_window(row.window) for row in inferences], dtype=np.int64)
    words = load_family(model.family, "arrays").quantise(model, windows.reshape(len(inferences), model.width))
    margins = np.array([model.decision.margin(json.loads(row.logits)) for row in inferences], dtype=np.int64)
    return words, margins


def read_reference(file: ModelFileRow | None) -> Reference:
    """The reference in a model's card, which is whatever file was given with the model. Raises InputError."""
    try:
        read = json.loads(_require(file).card)
    except (ValueError, RecursionError):
        raise InputError(
            HealthGround.CARD_UNREADABLE.write(), hint="add it again with `millmark quality keep`"
        ) from None
    with _telling():
        reference: Reference = parse_reference(read.get("drift") if isinstance(read, dict) else None)
        return reference


@contextmanager
def _telling() -> Iterator[None]:
    """Whatever the quality package refuses of a card is one ground."""
    try:
        yield
    except InputError as error:
        raise InputError(HealthGround.CARD_UNFIT.write(words=error.cause), hint=error.hint) from None


def _require(file: ModelFileRow | None) -> ModelFileRow:
    if file is None or not file.card:
        raise InputError(HealthGround.NOT_STORED.write(), hint="add them with `millmark quality keep`")
    return file


def _field(reader: provenance.Reader, certificates: Sequence[CertificateRow]) -> FieldFigures:
    found = reader.book.findings(certificate.sequence for certificate in certificates)
    judged = [
        (certificate.verdict == records.Verdict.FAIL, found[certificate.sequence])
        for certificate in certificates
        if certificate.sequence in found
    ]
    return FieldFigures(
        hits=judged.count((True, True)),
        false_alarms=judged.count((True, False)),
        misses=judged.count((False, True)),
        sound=judged.count((False, False)),
        unknown=len(certificates) - len(judged),
    )


def _json(share: Share | None) -> dict[str, float] | None:
    return None if share is None else share.to_json()


def _text(share: Share | None) -> str:
    return "unknown" if share is None else f"{share.value:.0%} ({share.low:.0%} to {share.high:.0%})"
