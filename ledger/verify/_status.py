"""Step 11: the status of parts and certificates, at the proof block and now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TypeVar, cast

from millmark.ledger.ages import DEFAULT_MAX_AGE_S
from millmark.ledger.bundle import Bundle
from millmark.ledger.events import Event
from millmark.ledger.headers import BlockHeader
from millmark.ledger.records import CertificateState, CertificateStatus, LotState, ModelState, Verdict
from millmark.ledger.slots import ModelSlots
from millmark.ledger.trust import TrustFile
from millmark.ledger.verify._proofs import Reasons
from millmark.ledger.verify._state import Certificate, Entry, Lot, State, ancestors_of, made_of
from millmark.ledger.verify.report import StatusRefused, moment
from millmark.ledger.verify.statements import NamedMachine, Party, Thing

E = TypeVar("E", bound=Event)
T = TypeVar("T")


@dataclass(frozen=True)  # without slots: what is derived is kept
class Verified:
    """A bundle that passed steps 1 to 10, with what they established."""

    bundle: Bundle
    trust: TrustFile
    headers: Sequence[BlockHeader]
    reasons: Reasons
    """Why the block of the last header is believed."""
    state: State
    entries: Sequence[Entry[Event]]
    identifiers: dict[bytes, str]
    now_s: int
    max_age_s: int = DEFAULT_MAX_AGE_S
    """Maximum age of the proof block, in seconds."""
    _derived: dict[object, object] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def time(self) -> int:
        """Time of the proof block, in seconds since 1970."""
        return self.headers[0].timestamp

    @property
    def judged_at(self) -> int:
        """The time of the proof block or of the verifier's clock, whichever is later."""
        return max(self.time, self.now_s)

    @cached_property
    def not_followed(self) -> set[bytes]:
        """The lots that were made from the parts and are not parts themselves."""
        return made_of(self.state, self.bundle.parts) - set(self.bundle.parts)

    @cached_property
    def by_sequence(self) -> dict[int, Entry[Event]]:
        return {entry.sequence: entry for entry in self.entries}

    @cached_property
    def _by_kind(self) -> dict[type[Event], list[Entry[Event]]]:
        found: dict[type[Event], list[Entry[Event]]] = {}
        for entry in self.entries:
            found.setdefault(type(entry.event), []).append(entry)
        return found

    def entries_with(self, kind: type[E]) -> Sequence[Entry[E]]:
        """The records with events of a kind, oldest first."""
        return cast("list[Entry[E]]", self._by_kind.get(kind, []))

    @cached_property
    def parts(self) -> tuple[Lot, ...]:
        return tuple(self.state.lots[name] for name in self.bundle.parts)

    @cached_property
    def ancestors(self) -> dict[bytes, set[bytes]]:
        """The subjects of all lots from which each part was made, by part."""
        return {lot.subject: ancestors_of(self.state, lot) for lot in self.parts}

    @cached_property
    def line(self) -> tuple[Lot, ...]:
        """The parts, and all lots from which they were made, oldest first."""
        names = set(self.bundle.parts).union(*self.ancestors.values())
        # Lots of one step have one sequence.
        return tuple(sorted((self.state.lots[name] for name in names), key=lambda one: (one.sequence, one.subject)))

    def derive(self, make: Callable[[Verified], T]) -> T:
        """What `make` derives from the bundle. It is made once, though several sections of the report ask for it."""
        if make not in self._derived:
            self._derived[make] = make(self)
        return cast("T", self._derived[make])

    @cached_property
    def _machines(self) -> dict[int, str]:
        named = self.state.proved.named_machines
        return {number: self.identifiers[name] for name, number in named.items()}

    def party(self, number: int) -> Party:
        return Party(number, self.trust.participants.get(number))

    def thing(self, subject: bytes) -> Thing:
        return Thing(subject, self.identifiers.get(subject))

    def things(self, subjects: Iterable[bytes]) -> tuple[Thing, ...]:
        return tuple(map(self.thing, subjects))

    def machine(self, number: int) -> NamedMachine:
        return NamedMachine(number, self._machines.get(number))

    def moment_of(self, record: int) -> datetime:
        """The time of a record that the bundle contains in full."""
        return moment(self.by_sequence[record].time)


def verify_status(verified: Verified) -> None:
    """Step 11: no part is spent or quarantined, and the certificates that decide about each pass and are valid, unless
    the buyer waived that inspector's gate. Judged at the proof block and now. Raises StatusRefused."""
    for name in verified.bundle.parts:
        lot = verified.state.lots[name]
        for latest in verified.state.deciding(lot):
            if verified.state.is_waived(lot, latest.issuer):
                continue
            status = status_of(verified, latest, verified.judged_at, lot)
            if status is not CertificateStatus.VALID:
                raise StatusRefused(
                    f"the part's certificate is {status.name.lower()}", subject=name, sequence=latest.sequence
                )
            if latest.verdict is not Verdict.PASS:
                raise StatusRefused("the part's latest verdict is a fail", subject=name, sequence=latest.sequence)
        if lot.state.is_quarantined:
            raise StatusRefused(f"the part is quarantined by {verified.party(lot.counterparty)}", subject=name)
        if lot.state is LotState.SPENT:  # otherwise scrapping a quarantined part would make it acceptable
            raise StatusRefused(
                "nothing is left of the part: it was scrapped, or other lots were made from it", subject=name
            )


def foremost(verified: Verified, lot: Lot) -> Certificate | None:
    """The certificate to name first of those that decide about a lot: one that is not a valid pass, else the latest."""
    deciding = sorted(verified.state.deciding(lot), key=lambda one: -one.sequence)
    doubtful = (
        one
        for one in deciding
        if one.verdict is not Verdict.PASS
        or status_of(verified, one, verified.judged_at, lot) is not CertificateStatus.VALID
    )
    return next(doubtful, deciding[0] if deciding else None)


def status_of(verified: Verified, certificate: Certificate, time: int, lot: Lot | None = None) -> CertificateStatus:
    """A certificate's status at the proof block, for `lot` or else its own. Only expiry and an unmet demand for opening
    are judged at `time`, since they take effect without a record."""
    lot = verified.state.lots[certificate.lot] if lot is None else lot
    if certificate.state is CertificateState.REVOKED:
        return CertificateStatus.REVOKED
    if certificate.state is CertificateState.REFUTED:
        return CertificateStatus.REFUTED
    if certificate.sequence < lot.reworked and certificate.verdict is Verdict.PASS:
        return CertificateStatus.VOIDED
    return status_apart_from_rework(verified, certificate, time)


def status_apart_from_rework(verified: Verified, certificate: Certificate, time: int) -> CertificateStatus:
    """The status of a certificate as if its lot had never been reworked. It does not say whether the certificate was
    revoked or refuted."""
    if certificate.model and _has_fallen(verified.state.proved.models[certificate.model], certificate):
        return CertificateStatus.FALLEN
    if certificate.has_lapsed(time):
        return CertificateStatus.UNOPENED
    return CertificateStatus.EXPIRED if certificate.expires_at <= time else CertificateStatus.VALID


def _has_fallen(model: ModelSlots, certificate: Certificate) -> bool:
    """Whether the model was withdrawn as defective since a time before the certificate."""
    withdrawn = model.state is ModelState.WITHDRAWN and certificate.issued_at >= model.defective_since
    return withdrawn or not (model.state.stands or model.state is ModelState.WITHDRAWN)
