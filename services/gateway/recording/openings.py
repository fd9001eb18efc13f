"""The record with which a certificate's issuer answers a demand: it opens the inference, out of the company's book."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from millmark.ledger.errors import InputError
from millmark.ledger.provenance.reader import Reader
from millmark.ledger.provenance.traces import find_certificate_row
from millmark.ledger.records import CertificateState
from millmark.ledger.store.rows import CertificateRow
from millmark.services.inspections.challenge import build_challenge
from millmark.services.inspections.extracts import find_kept_inference

__all__ = ["find_demanded"]


def find_demanded(reader: Reader, asked: Mapping[str, Any]) -> dict[str, object]:
    """The fields of a challenge of the company's own certificate, of which nothing comes from the caller.

    Raises NotFoundError if the certificate, or what it was made on, is not kept here; InputError for one of another
    company, or one whose opening is not demanded or too late: the contract would refuse that, and what was measured
    would be in a transaction all the same. Asked again for what may be on the ledger already, it is built in any state.
    """
    row = find_certificate_row(reader, asked["id"])
    _verify_own(row, asked["creator"])
    if not asked["again"]:  # what is on the ledger already has changed the state that it found
        _verify_demanded(reader, row)
    record = build_challenge(reader, row, find_kept_inference(reader, row))
    return {
        "certificate": record.certificate,
        "key": record.key,
        "issued": record.issued,
        "inference": record.inference,
        "measured": record.measured,
    }


def _verify_own(row: CertificateRow, company: int) -> None:
    if row.issuer != company:
        raise InputError(
            f"certificate {row.sequence} is of another company",
            hint="whoever holds the measurement opens it with `millmark quality challenge`",
        )


def _verify_demanded(reader: Reader, row: CertificateRow) -> None:
    if row.state != CertificateState.DEMANDED:
        raise InputError(
            f"nobody demands now that certificate {row.sequence} be opened",
            hint="to open it all the same: `millmark quality challenge`",
        )
    if row.opening_deadline <= reader.cursor.block_time:
        raise InputError(f"it is too late to open certificate {row.sequence}", hint="issue another one")
