"""Step 11: the status of parts and certificates, at the proof block and now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ledger.bundle import Bundle
from ledger.events import Event
from ledger.headers import BlockHeader
from ledger.records import CertificateState, CertificateStatus, LotState, ModelState, Verdict
from ledger.slots import ModelSlots
from ledger.trust import TrustFile
from ledger.verify._descent import made_of
from ledger.verify._state import Certificate, Entry, Lot, State
from ledger.verify.refusals import StatusRefused
from ledger.verify.report import Party

__all__ = ["Verified", "status_of", "verify_status"]


@dataclass(frozen=True, slots=True)
class Verified:
    """A bundle that passed steps 1 to 10, with what they established."""

    bundle: Bundle
    trust: TrustFile
    headers: Sequence[BlockHeader]
    state: State
    entries: Sequence[Entry[Event]]
    identifiers: dict[bytes, str]
    now_s: int

    @property
    def time(self) -> int:
        """Time of the proof block, in seconds since 1970."""
        return self.headers[0].timestamp

    @property
    def not_followed(self) -> set[bytes]:
        """The lots that were made from the parts and are not parts themselves."""
        return made_of(self.state, self.bundle.parts) - set(self.bundle.parts)

    def party(self, number: int) -> Party:
        return Party(number, self.trust.participants.get(number))


def verify_status(verified: Verified) -> None:
    """Step 11: no part is spent or quarantined, and the certificates that decide about each pass and are valid, unless
    the buyer waived that inspector's gate.

    Judged at the proof block and now. Raises StatusRefused.
    """
    for name in verified.bundle.parts:
        lot = verified.state.lots[name]
        for latest in verified.state.deciding(lot):
            if verified.state.is_waived(lot, latest.issuer):
                continue
            status = status_of(verified, latest, max(verified.time, verified.now_s), lot)
            if status is not CertificateStatus.VALID:
                raise StatusRefused(
                    f"the part's certificate is {status.name.lower()}", subject=name, sequence=latest.sequence
                )
            if latest.verdict is not Verdict.PASS:
                raise StatusRefused("the part's verdict is fail", subject=name, sequence=latest.sequence)
        if lot.state.is_quarantined:
            raise StatusRefused(f"the part is quarantined by {verified.party(lot.counterparty)}", subject=name)
        if lot.state is LotState.SPENT:  # otherwise scrapping a quarantined part would make it acceptable
            raise StatusRefused(
                "nothing is left of the part: it was scrapped, or other lots were made from it", subject=name
            )


def status_of(verified: Verified, certificate: Certificate, time: int, lot: Lot | None = None) -> CertificateStatus:
    """A certificate's status at the proof block, for `lot` or else its own. Only expiry and an unmet demand for opening
    are judged at `time`, since they take effect without a record.
    """
    lot = verified.state.lots[certificate.lot] if lot is None else lot
    if certificate.state is CertificateState.REVOKED:
        return CertificateStatus.REVOKED
    if certificate.state is CertificateState.REFUTED:
        return CertificateStatus.REFUTED
    if certificate.sequence < lot.reworked and certificate.verdict is Verdict.PASS:
        return CertificateStatus.VOIDED
    if certificate.model and _has_fallen(verified.state.proved.models[certificate.model], certificate):
        return CertificateStatus.FALLEN
    if certificate.has_lapsed(time):
        return CertificateStatus.UNOPENED
    return CertificateStatus.EXPIRED if certificate.expires_at <= time else CertificateStatus.VALID


def _has_fallen(model: ModelSlots, certificate: Certificate) -> bool:
    """Whether the model was withdrawn as defective since a time before the certificate."""
    withdrawn = model.state is ModelState.WITHDRAWN and certificate.issued_at >= model.defective_since
    return withdrawn or not (model.state.stands or model.state is ModelState.WITHDRAWN)
