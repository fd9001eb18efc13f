"""Challenges: records that open a certificate on chain, with the outcome expected from re-execution here."""

from __future__ import annotations

from dataclasses import dataclass

from millmark.ledger.errors import InputError
from millmark.ledger.provenance import Reader, find_certificate, find_issue, open_reader
from millmark.ledger.records import Challenge, Inference, Issued, Item, Measured, Statement, Verdict
from millmark.ledger.store import Store
from millmark.ledger.store.rows import CertificateRow, ModelRow
from millmark.quality.audit import Extract, audit, build_context, build_window_leaf_data
from millmark.quality.decision import Verdict as QualityVerdict
from millmark.quality.digest import Inference as QualityInference
from millmark.quality.digest import build_input_commitment
from millmark.quality.errors import AuditError, QualityError
from millmark.quality.inputs import pack_window
from millmark.services.inspections.extracts import OpenedInference
from millmark.services.inspections.statements import to_ledger_verdict


@dataclass(frozen=True, slots=True)
class PreparedChallenge:
    """A challenge that is ready to be signed."""

    record: Challenge
    certificate: int
    executable: bool
    """Whether the model's bytes are on chain. Otherwise the contract only compares the verdict in the digest with the
    stated one."""
    fault: str | None
    """Fault that re-execution found here; None if the certificate is right."""


def prepare_challenge(store: Store, name: str, extract: Extract, certificate: int | None = None) -> PreparedChallenge:
    """Builds the record that opens a lot's certificate, by default the one that decides about it, with an extract.

    Raises NotFoundError, and InputError if the extract does not open the certificate; the contract would refuse it.
    """
    opened = OpenedInference(
        extract.binding, extract.salt, pack_window(extract.window), extract.logits, extract.inclusion
    )
    # One read transaction: certificate and model must belong to the same state of the index.
    with open_reader(store) as reader:
        row = find_certificate(reader, name, certificate)
        record = build_challenge(reader, row, opened)
        executable = reader.need(ModelRow, row.model).code is not None
    return PreparedChallenge(record, row.sequence, executable, find_fault(extract))


def build_challenge(reader: Reader, row: CertificateRow, opened: OpenedInference) -> Challenge:
    """The record that opens a certificate with its inference. Raises InputError if the inference does not open the
    certificate; the contract would refuse it."""
    if not row.model:
        raise InputError(f"certificate {row.sequence} is by a procedure: there is no inference to open")
    model = reader.need(ModelRow, row.model)
    return Challenge(
        certificate=row.sequence,
        key=find_issue(reader, row.sequence).key,
        issued=Issued(build_statement(row), row.anchor_size, row.anchor_root),
        inference=Inference(opened.window, opened.salt, opened.logits, _find_verdict(row, model, opened)),
        measured=Measured(
            build_window_leaf_data(opened.binding, build_input_commitment(opened.salt, opened.window)),
            opened.inclusion,
        ),
    )


def build_statement(row: CertificateRow) -> Statement:
    """The statement with which a certificate was issued."""
    return Statement(
        items=(Item(row.lot, row.order or bytes(32)),),
        model=row.model,
        verdict=Verdict(row.verdict),
        expires_at=row.expires_at,
        inference_digest=row.inference_digest,
        claims_root=row.claims_root,
        stream=row.stream,
        leaf_index=row.leaf_index,
        leaf_hash=row.leaf_hash,
    )


def _find_verdict(row: CertificateRow, model: ModelRow, opened: OpenedInference) -> int:
    """The verdict that the digest commits to, which may differ from the stated one. Raises InputError."""
    # The digest hides the verdict, so each possible one is tried: a lying inspector committed to another one.
    for verdict in QualityVerdict:
        try:
            inference = QualityInference(
                context=build_context(opened.binding),
                model_digest=model.digest,
                salt=opened.salt,
                window=opened.window,
                logits=opened.logits,
                verdict=verdict,
            )
        except QualityError as error:
            raise InputError(f"the extract is not a valid inference: {error.cause}") from error
        if inference.digest == row.inference_digest:
            return to_ledger_verdict(verdict).value
    raise InputError(
        f"the extract does not open certificate {row.sequence}, whose digest commits to another inference",
        hint="demand the opening instead: `millmark certificates demand`",
    )


def find_fault(extract: Extract) -> str | None:
    """The fault that re-execution finds; None if the certificate is right, so that opening it upholds it."""
    try:
        audit(extract)
    except AuditError as error:
        return str(error)
    return None
