"""Content of credentials, read from the index: the facts of a certificate, and the statuses of all certificates."""

from __future__ import annotations

from datetime import datetime

from ledger.errors import NotFoundError
from ledger.provenance import certificate
from ledger.provenance.reader import open_reader
from ledger.records import CertificateStatus
from ledger.store import Store
from ledger.store.rows import CertificateRow
from services.interop.credentials.certificate import CertificateFacts

__all__ = ["read_facts", "read_statuses"]


def read_facts(store: Store, sequence: int, *, chain_id: int, ledger: bytes) -> CertificateFacts:
    """The facts of the certificate that record `sequence` issued, at the index's block.

    Raises NotFoundError if the record issued none, or if the lot's identifier is not known here; a credential needs a
    subject that its reader can name.
    """
    found = certificate(store, sequence)
    if found.identifier is None:
        raise NotFoundError(
            f"the identifier of certificate {sequence}'s lot is not known here",
            hint="ask the lot's maker for identifier and salt",
        )
    return CertificateFacts(
        chain_id=chain_id,
        ledger=ledger,
        sequence=sequence,
        lot=found.lot,
        identifier=found.identifier,
        inspector=found.inspector.participant,
        model=found.model.model,
        inference_digest=found.inference_digest,
        verdict=found.verdict,
        claims_root=found.claims_root,
        issued_at=_seconds(found.issued_at),
        expires_at=_seconds(found.expires_at),
    )


def read_statuses(store: Store) -> dict[int, CertificateStatus]:
    """Status of every certificate at the index's block, by sequence. Raises NotFoundError if nothing is indexed."""
    with open_reader(store) as reader:
        return {row.sequence: reader.status(row) for row in reader.rows.find(CertificateRow)}


def _seconds(moment: datetime | None) -> int:
    return 0 if moment is None else int(moment.timestamp())
