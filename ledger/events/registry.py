"""Participants, keys, machines, models (IRegistry)."""

from __future__ import annotations

from dataclasses import dataclass

from millmark.ledger.events._base import RegistryEvent
from millmark.ledger.records import (
    U16,
    U40,
    Address,
    Bytes32,
    ClaimsRoot,
    MachineNumber,
    ModelNumber,
    ParticipantNumber,
)


@dataclass(frozen=True, slots=True)
class ParticipantAdmitted(RegistryEvent):
    admitted: ParticipantNumber
    roles: U16
    first_key: Address
    claims_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class RolesSet(RegistryEvent):
    changed: ParticipantNumber
    roles: U16


@dataclass(frozen=True, slots=True)
class ParticipantSuspended(RegistryEvent):
    suspended: ParticipantNumber
    reason_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class ParticipantReinstated(RegistryEvent):
    reinstated: ParticipantNumber


@dataclass(frozen=True, slots=True)
class TrusteeNamed(RegistryEvent):
    absent: ParticipantNumber
    trustee: ParticipantNumber
    """0 if nobody is trusted any longer."""


@dataclass(frozen=True, slots=True)
class ParticipantDeparted(RegistryEvent):
    claims_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class KeyProposed(RegistryEvent):
    proposed: Address
    roles: U16
    admin: bool


@dataclass(frozen=True, slots=True)
class KeyAdded(RegistryEvent):
    """A key was added to a participant. The record is signed by the new key itself."""

    roles: U16
    admin: bool


@dataclass(frozen=True, slots=True)
class KeyChanged(RegistryEvent):
    changed: Address
    roles: U16
    admin: bool


@dataclass(frozen=True, slots=True)
class KeyRevoked(RegistryEvent):
    revoked: Address
    compromised_since: U40


@dataclass(frozen=True, slots=True)
class RecoveryProposed(RegistryEvent):
    recovered: ParticipantNumber
    proposed: Address
    effective_at: U40


@dataclass(frozen=True, slots=True)
class RecoveryObjected(RegistryEvent):
    effective_at: U40


@dataclass(frozen=True, slots=True)
class RecoveryOverruled(RegistryEvent):
    recovered: ParticipantNumber


@dataclass(frozen=True, slots=True)
class RecoveryAccepted(RegistryEvent):
    """The key that signed is the participant's only one from then on, an admin key with all roles."""


@dataclass(frozen=True, slots=True)
class NameKeySet(RegistryEvent):
    name_key_hash: Bytes32


@dataclass(frozen=True, slots=True)
class Published(RegistryEvent):
    kind_: U16
    digest: Bytes32


@dataclass(frozen=True, slots=True)
class OwnershipOffered(RegistryEvent):
    """The registry is offered to another owner; zeros: an offer is taken back."""

    proposed: Address


@dataclass(frozen=True, slots=True)
class OwnershipAccepted(RegistryEvent):
    """The registry has another owner: the key that signed."""

    previous: Address


@dataclass(frozen=True, slots=True)
class Closed(RegistryEvent):
    """The ledgers of the registry take no new orders and no lots from outside."""

    ledger: Address
    """The one that goes on."""


@dataclass(frozen=True, slots=True)
class MachineRegistered(RegistryEvent):
    identifier_hash: Bytes32
    claims_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class MachineRetired(RegistryEvent):
    machine: MachineNumber
    reason_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class ModelRegistered(RegistryEvent):
    digest: Bytes32
    card_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class ModelPublished(RegistryEvent):
    digest: Bytes32
    code: Address
    card_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class ModelApproved(RegistryEvent):
    model: ModelNumber
    report_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class ModelOpened(RegistryEvent):
    model: ModelNumber
    open: bool


@dataclass(frozen=True, slots=True)
class ModelRetired(RegistryEvent):
    model: ModelNumber
    reason_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class ModelWithdrawn(RegistryEvent):
    model: ModelNumber
    defective_since: U40
    reason_root: ClaimsRoot
