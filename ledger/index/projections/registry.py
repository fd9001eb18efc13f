"""Participants, keys, machines, models (contracts/src/Registry.sol)."""

from __future__ import annotations

from millmark.ledger.events import Event, Recorded, registry
from millmark.ledger.ids import SubjectKind, subject
from millmark.ledger.index.state import State, on, row_of
from millmark.ledger.records import ALL_ROLES, ModelState
from millmark.ledger.store import rows


def participant_admitted(record: Recorded[registry.ParticipantAdmitted], state: State) -> None:
    """The first key is only proposed: it is added when it accepts."""
    state.add(
        row_of(
            rows.ParticipantRow,
            record.event,
            number=record.event.admitted,
            sequence=record.sequence,
            admitted_at=record.block_time,
        )
    )


def roles_set(record: Recorded[registry.RolesSet], state: State) -> None:
    company = state.need(rows.ParticipantRow, record.event.changed)
    company.roles = record.event.roles


def participant_suspended(record: Recorded[registry.ParticipantSuspended], state: State) -> None:
    company = state.need(rows.ParticipantRow, record.event.suspended)
    company.suspended, company.inactive_since = True, record.block_time


def participant_reinstated(record: Recorded[registry.ParticipantReinstated], state: State) -> None:
    company = state.need(rows.ParticipantRow, record.event.reinstated)
    company.suspended = company.departed = False
    company.inactive_since = company.trustee = 0


def participant_departed(record: Recorded[registry.ParticipantDeparted], state: State) -> None:
    company = state.need(rows.ParticipantRow, record.participant)
    company.departed, company.inactive_since = True, record.block_time


def trustee_named(record: Recorded[registry.TrusteeNamed], state: State) -> None:
    state.need(rows.ParticipantRow, record.event.absent).trustee = record.event.trustee


def published(record: Recorded[registry.Published], state: State) -> None:
    event = record.event
    found = state.get(rows.PublicationRow, event.kind_)
    if found is None:
        state.add(rows.PublicationRow(event.kind_, event.digest, record.sequence, record.block_time))
    else:
        found.digest, found.sequence, found.published_at = event.digest, record.sequence, record.block_time


def ownership_offered(_record: Recorded[registry.OwnershipOffered], _state: State) -> None:
    """Changes no row: the owner stays, and is not a participant."""


def ownership_accepted(_record: Recorded[registry.OwnershipAccepted], _state: State) -> None:
    """Changes no row: the owner is not a participant."""


def closed(_record: Recorded[registry.Closed], _state: State) -> None:
    """Changes no row: only orders and lots that the contract refuses would be judged by it."""


def key_proposed(_record: Recorded[registry.KeyProposed], _state: State) -> None:
    """Changes no row: the proposed key may sign only once it is added."""


def key_added(record: Recorded[registry.KeyAdded], state: State) -> None:
    _add_key(record, state, record.event.roles, record.event.admin)


def key_changed(record: Recorded[registry.KeyChanged], state: State) -> None:
    key = state.need(rows.KeyRow, record.event.changed)
    key.roles, key.admin = record.event.roles, record.event.admin


def key_revoked(record: Recorded[registry.KeyRevoked], state: State) -> None:
    """Revokes the key, or dates the compromise of a key that was revoked before."""
    key = state.need(rows.KeyRow, record.event.revoked)
    if record.event.compromised_since:
        key.compromised_since, key.declared_at = record.event.compromised_since, record.block_time
    if not key.revoked_at:  # the first revocation counts
        key.revoked_at = record.block_time
        state.need(rows.ParticipantRow, record.participant).keys -= 1


def recovery_proposed(record: Recorded[registry.RecoveryProposed], state: State) -> None:
    event = record.event
    found = state.get(rows.RecoveryRow, event.recovered)
    if found is None:
        found = rows.RecoveryRow(event.recovered, event.proposed, 0, 0, objected=False, overruled=False, accepted_at=0)
        state.add(found)
    found.key, found.proposed_at, found.effective_at = event.proposed, record.block_time, event.effective_at
    found.objected, found.overruled, found.accepted_at = False, False, 0


def recovery_objected(record: Recorded[registry.RecoveryObjected], state: State) -> None:
    recovery = state.need(rows.RecoveryRow, record.participant)
    recovery.objected, recovery.effective_at = True, record.event.effective_at


def recovery_overruled(record: Recorded[registry.RecoveryOverruled], state: State) -> None:
    state.need(rows.RecoveryRow, record.event.recovered).overruled = True


def recovery_accepted(record: Recorded[registry.RecoveryAccepted], state: State) -> None:
    """Ends all keys that the participant had, and adds the one that signed."""
    company = state.need(rows.ParticipantRow, record.participant)
    for key in state.find(rows.KeyRow, participant=record.participant):
        if not key.revoked_at:
            key.revoked_at = record.block_time
    company.keys = 0
    _add_key(record, state, int(ALL_ROLES), admin=True)
    state.need(rows.RecoveryRow, record.participant).accepted_at = record.block_time


def name_key_set(record: Recorded[registry.NameKeySet], state: State) -> None:
    index = len(state.find(rows.NameKeyRow, participant=record.participant))
    state.add(rows.NameKeyRow(record.participant, index, record.event.name_key_hash, record.block_time))


def machine_registered(record: Recorded[registry.MachineRegistered], state: State) -> None:
    state.add(
        row_of(
            rows.MachineRow,
            record.event,
            number=record.sequence,
            subject=subject(SubjectKind.MACHINE, record.participant, record.event.identifier_hash),
            owner=record.participant,
            registered_at=record.block_time,
        )
    )


def machine_retired(record: Recorded[registry.MachineRetired], state: State) -> None:
    state.need(rows.MachineRow, record.event.machine).retired_at = record.block_time


def model_registered(record: Recorded[registry.ModelRegistered | registry.ModelPublished], state: State) -> None:
    """Without code, if only the digest is on the chain."""
    state.add(
        row_of(
            rows.ModelRow,
            record.event,
            number=record.sequence,
            subject=subject(SubjectKind.MODEL, record.participant, record.event.digest),
            inspector=record.participant,
            state=ModelState.REGISTERED,
            registered_at=record.block_time,
        )
    )


def model_approved(record: Recorded[registry.ModelApproved], state: State) -> None:
    model = state.need(rows.ModelRow, record.event.model)
    model.state = ModelState.APPROVED
    model.approver = record.participant
    model.approved_at = record.block_time
    model.report_root = record.event.report_root


def model_opened(record: Recorded[registry.ModelOpened], state: State) -> None:
    state.need(rows.ModelRow, record.event.model).open = record.event.open


def model_retired(record: Recorded[registry.ModelRetired], state: State) -> None:
    model = state.need(rows.ModelRow, record.event.model)
    model.state = ModelState.RETIRED
    model.retired_at = record.block_time
    model.reason_root = record.event.reason_root


def model_withdrawn(record: Recorded[registry.ModelWithdrawn], state: State) -> None:
    model = state.need(rows.ModelRow, record.event.model)
    model.state = ModelState.WITHDRAWN
    model.withdrawn_at = record.block_time
    model.defective_since = record.event.defective_since
    model.reason_root = record.event.reason_root


def _add_key(record: Recorded[Event], state: State, roles: int, admin: bool) -> None:
    """Add the key that signed the record, for the record's participant."""
    state.add(
        row_of(
            rows.KeyRow,
            address=record.key,
            participant=record.participant,
            roles=roles,
            admin=admin,
            added_at=record.block_time,
        )
    )
    state.need(rows.ParticipantRow, record.participant).keys += 1


PROJECTIONS = dict(
    [
        on(registry.ParticipantAdmitted, participant_admitted),
        on(registry.RolesSet, roles_set),
        on(registry.ParticipantSuspended, participant_suspended),
        on(registry.ParticipantReinstated, participant_reinstated),
        on(registry.TrusteeNamed, trustee_named),
        on(registry.ParticipantDeparted, participant_departed),
        on(registry.KeyProposed, key_proposed),
        on(registry.KeyAdded, key_added),
        on(registry.KeyChanged, key_changed),
        on(registry.KeyRevoked, key_revoked),
        on(registry.RecoveryProposed, recovery_proposed),
        on(registry.RecoveryObjected, recovery_objected),
        on(registry.RecoveryOverruled, recovery_overruled),
        on(registry.RecoveryAccepted, recovery_accepted),
        on(registry.NameKeySet, name_key_set),
        on(registry.Published, published),
        on(registry.OwnershipOffered, ownership_offered),
        on(registry.OwnershipAccepted, ownership_accepted),
        on(registry.Closed, closed),
        on(registry.MachineRegistered, machine_registered),
        on(registry.MachineRetired, machine_retired),
        on(registry.ModelRegistered, model_registered),
        on(registry.ModelPublished, model_registered),
        on(registry.ModelApproved, model_approved),
        on(registry.ModelOpened, model_opened),
        on(registry.ModelRetired, model_retired),
        on(registry.ModelWithdrawn, model_withdrawn),
    ]
)
