"""Participants, keys, machines, models (IRegistry)."""

from __future__ import annotations

from dataclasses import dataclass

from millmark.ledger import records
from millmark.ledger.events._base import RegistryEvent


@dataclass(frozen=True, slots=True)
class ParticipantAdmitted(RegistryEvent):
    admitted: records.ParticipantNumber
    roles: records.U16
    first_key: records.Address
    claims_root: records.ClaimsRoot


@dataclass(frozen=True, slots=True)
class RolesSet(RegistryEvent):
    changed: records.ParticipantNumber
    roles: records.U16


@dataclass(frozen=True, slots=True)
class ParticipantSuspended(RegistryEvent):
    suspended: records.ParticipantNumber
    reason_root: records.ClaimsRoot


@dataclass(frozen=True, slots=True)
class ParticipantReinstated(RegistryEvent):
    reinstated: records.ParticipantNumber


@dataclass(frozen=True, slots=True)
class TrusteeNamed(RegistryEvent):
    absent: records.ParticipantNumber
    trustee: records.ParticipantNumber
    """0 if nobody is trusted any longer."""


@dataclass(frozen=True, slots=True)
class ParticipantDeparted(RegistryEvent):
    claims_root: records.ClaimsRoot


@dataclass(frozen=True, slots=True)
class KeyProposed(RegistryEvent):
    proposed: records.Address
    roles: records.U16
    admin: bool


@dataclass(frozen=True, slots=True)
class KeyAdded(RegistryEvent):
    """A key was added to a participant. The record is signed by the new key itself."""

    roles: records.U16
    admin: bool


@dataclass(frozen=True, slots=True)
class KeyChanged(RegistryEvent):
    changed: records.Address
    roles: records.U16
    admin: bool


@dataclass(frozen=True, slots=True)
class KeyRevoked(RegistryEvent):
    revoked: records.Address
    compromised_since: records.U40


@dataclass(frozen=True, slots=True)
class RecoveryProposed(RegistryEvent):
    recovered: records.ParticipantNumber
    proposed: records.Address
    effective_at: records.U40


@dataclass(frozen=True, slots=True)
class RecoveryObjected(RegistryEvent):
    effective_at: records.U40


@dataclass(frozen=True, slots=True)
class RecoveryOverruled(RegistryEvent):
    recovered: records.ParticipantNumber


@dataclass(frozen=True, slots=True)
class RecoveryAccepted(RegistryEvent):
    """The key that signed is the participant's only one from then on, an admin key with all roles."""


@dataclass(frozen=True, slots=True)
class NameKeySet(RegistryEvent):
    name_key_hash: records.Bytes32


@dataclass(frozen=True, slots=True)
class Published(RegistryEvent):
    kind_: records.U16
    digest: records.Bytes32


@dataclass(frozen=True, slots=True)
class OwnershipOffered(RegistryEvent):
    """The registry is offered to another owner; zeros: an offer is taken back."""

    proposed: records.Address


@dataclass(frozen=True, slots=True)
class OwnershipAccepted(RegistryEvent):
    """The registry has another owner: the key that signed."""

    previous: records.Address


@dataclass(frozen=True, slots=True)
class Closed(RegistryEvent):
    """The ledgers of the registry take no new orders and no lots from outside."""

    ledger: records.Address
    """The one that goes on."""


@dataclass(frozen=True, slots=True)
class MachineRegistered(RegistryEvent):
    identifier_hash: records.Bytes32
    claims_root: records.ClaimsRoot


@dataclass(frozen=True, slots=True)
class MachineRetired(RegistryEvent):
    machine: records.MachineNumber
    reason_root: records.ClaimsRoot


@dataclass(frozen=True, slots=True)
class ModelRegistered(RegistryEvent):
    digest: records.Bytes32
    card_root: records.ClaimsRoot


@dataclass(frozen=True, slots=True)
class ModelPublished(RegistryEvent):
    digest: records.Bytes32
    code: records.Address
    card_root: records.ClaimsRoot


@dataclass(frozen=True, slots=True)
class ModelApproved(RegistryEvent):
    model: records.ModelNumber
    report_root: records.ClaimsRoot


@dataclass(frozen=True, slots=True)
class ModelOpened(RegistryEvent):
    model: records.ModelNumber
    open: bool


@dataclass(frozen=True, slots=True)
class ModelRetired(RegistryEvent):
    model: records.ModelNumber
    reason_root: records.ClaimsRoot


@dataclass(frozen=True, slots=True)
class ModelWithdrawn(RegistryEvent):
    model: records.ModelNumber
    defective_since: records.U40
    reason_root: records.ClaimsRoot
