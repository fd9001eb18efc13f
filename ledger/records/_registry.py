"""Records of the registry: participants, keys, machines and models (IRegistry)."""

from __future__ import annotations

from dataclasses import dataclass

from millmark.ledger.records._base import U16, U32, U40, Address, Bytes32, RegistryRecord

__all__ = [
    "AcceptKey",
    "AcceptOwnership",
    "AcceptRecovery",
    "Admit",
    "ApproveModel",
    "Close",
    "Depart",
    "Entrust",
    "ObjectToRecovery",
    "OpenModel",
    "OverruleObjection",
    "ProposeKey",
    "ProposeRecovery",
    "Publish",
    "PublishModel",
    "RegisterMachine",
    "RegisterModel",
    "Reinstate",
    "RetireMachine",
    "RetireModel",
    "RevokeKey",
    "SetKey",
    "SetNameKey",
    "SetRoles",
    "Suspend",
    "TransferOwnership",
    "WithdrawModel",
]


@dataclass(frozen=True, slots=True)
class Admit(RegistryRecord):
    event = "ParticipantAdmitted"
    roles: U16
    first_key: Address
    claims_root: Bytes32


@dataclass(frozen=True, slots=True)
class SetRoles(RegistryRecord):
    event = "RolesSet"
    participant: U32
    roles: U16


@dataclass(frozen=True, slots=True)
class Suspend(RegistryRecord):
    event = "ParticipantSuspended"
    participant: U32
    reason_root: Bytes32


@dataclass(frozen=True, slots=True)
class Reinstate(RegistryRecord):
    event = "ParticipantReinstated"
    participant: U32


@dataclass(frozen=True, slots=True)
class Entrust(RegistryRecord):
    """Names who may reclaim what a participant that may not act still holds; 0 for nobody any longer."""

    event = "TrusteeNamed"
    participant: U32
    trustee: U32


@dataclass(frozen=True, slots=True)
class Depart(RegistryRecord):
    event = "ParticipantDeparted"
    claims_root: Bytes32


@dataclass(frozen=True, slots=True)
class Publish(RegistryRecord):
    """Sets a digest on which all should agree."""

    event = "Published"
    kind: U16
    """A `PublicationKind`, or a number that the consortium agreed on."""
    digest: Bytes32


@dataclass(frozen=True, slots=True)
class Close(RegistryRecord):
    """Closes the ledgers of the registry for good: no new orders, no lots from outside."""

    event = "Closed"
    ledger: Address
    """The one that goes on."""


@dataclass(frozen=True, slots=True)
class TransferOwnership(RegistryRecord):
    """Offers the registry to another owner, who must accept."""

    event = "OwnershipOffered"
    proposed: Address
    """Zeros take an offer back."""


@dataclass(frozen=True, slots=True)
class AcceptOwnership(RegistryRecord):
    event = "OwnershipAccepted"


@dataclass(frozen=True, slots=True)
class ProposeKey(RegistryRecord):
    event = "KeyProposed"
    proposed: Address
    roles: U16
    admin: bool


@dataclass(frozen=True, slots=True)
class AcceptKey(RegistryRecord):
    event = "KeyAdded"
    participant: U32


@dataclass(frozen=True, slots=True)
class SetKey(RegistryRecord):
    """Replaces what an active key may do."""

    event = "KeyChanged"
    changed: Address
    roles: U16
    admin: bool


@dataclass(frozen=True, slots=True)
class RevokeKey(RegistryRecord):
    event = "KeyRevoked"
    revoked: Address
    compromised_since: U40


@dataclass(frozen=True, slots=True)
class ProposeRecovery(RegistryRecord):
    event = "RecoveryProposed"
    participant: U32
    proposed: Address


@dataclass(frozen=True, slots=True)
class ObjectToRecovery(RegistryRecord):
    event = "RecoveryObjected"


@dataclass(frozen=True, slots=True)
class OverruleObjection(RegistryRecord):
    event = "RecoveryOverruled"
    participant: U32


@dataclass(frozen=True, slots=True)
class AcceptRecovery(RegistryRecord):
    event = "RecoveryAccepted"
    participant: U32


@dataclass(frozen=True, slots=True)
class SetNameKey(RegistryRecord):
    event = "NameKeySet"
    name_key_hash: Bytes32


@dataclass(frozen=True, slots=True)
class RegisterMachine(RegistryRecord):
    event = "MachineRegistered"
    identifier_hash: Bytes32
    claims_root: Bytes32


@dataclass(frozen=True, slots=True)
class RetireMachine(RegistryRecord):
    event = "MachineRetired"
    machine: U40
    reason_root: Bytes32


@dataclass(frozen=True, slots=True)
class RegisterModel(RegistryRecord):
    event = "ModelRegistered"
    digest: Bytes32
    card_root: Bytes32


@dataclass(frozen=True, slots=True)
class PublishModel(RegistryRecord):
    """Registers a model, and stores its bytes on the chain as contract code."""

    event = "ModelPublished"
    content: bytes
    card_root: Bytes32


@dataclass(frozen=True, slots=True)
class ApproveModel(RegistryRecord):
    event = "ModelApproved"
    model: U40
    report_root: Bytes32


@dataclass(frozen=True, slots=True)
class OpenModel(RegistryRecord):
    event = "ModelOpened"
    model: U40
    open: bool


@dataclass(frozen=True, slots=True)
class RetireModel(RegistryRecord):
    event = "ModelRetired"
    model: U40
    reason_root: Bytes32


@dataclass(frozen=True, slots=True)
class WithdrawModel(RegistryRecord):
    event = "ModelWithdrawn"
    model: U40
    defective_since: U40
    reason_root: Bytes32
