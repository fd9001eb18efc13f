"""Participants, keys, machines, models (contracts/src/Registry.sol)."""

from __future__ import annotations

from ledger.events import Event, Recorded, registry
from ledger.index.state import State, on
from ledger.records import ModelState
from ledger.store.rows import KeyRow, MachineRow, ModelRow, ParticipantRow


def participant_admitted(record: Recorded[registry.ParticipantAdmitted], state: State) -> None:
    admitted = record.event.admitted
    state.add(
        ParticipantRow(
            number=admitted,
            sequence=record.sequence,
            roles=record.event.roles,
            keys=0,
            suspended=False,
            admitted_at=record.block_time,
            claims_root=record.event.claims_root,
        )
    )
    _add_key(record, state, admitted, record.event.first_key)


def roles_set(record: Recorded[registry.RolesSet], state: State) -> None:
    company = state.need(ParticipantRow, record.event.changed)
    company.roles = record.event.roles


def participant_suspended(record: Recorded[registry.ParticipantSuspended], state: State) -> None:
    state.need(ParticipantRow, record.event.suspended).suspended = True


def participant_reinstated(record: Recorded[registry.ParticipantReinstated], state: State) -> None:
    state.need(ParticipantRow, record.event.reinstated).suspended = False


def key_proposed(_record: Recorded[registry.KeyProposed], _state: State) -> None:
    """Changes no row: the proposed key may sign only once it is added."""


def key_added(record: Recorded[registry.KeyAdded], state: State) -> None:
    _add_key(record, state, record.participant, record.key)


def key_revoked(record: Recorded[registry.KeyRevoked], state: State) -> None:
    """Revokes the key, or dates the compromise of a key that was revoked before."""
    key = state.need(KeyRow, record.event.revoked)
    key.compromised_since = record.event.compromised_since
    if not key.revoked_at:  # the first revocation counts
        key.revoked_at = record.block_time
        state.need(ParticipantRow, record.participant).keys -= 1


def machine_registered(record: Recorded[registry.MachineRegistered], state: State) -> None:
    state.add(
        MachineRow(
            number=record.sequence,
            subject=record.subject,
            owner=record.participant,
            registered_at=record.block_time,
            retired_at=0,
            claims_root=record.event.claims_root,
        )
    )


def machine_retired(record: Recorded[registry.MachineRetired], state: State) -> None:
    state.need(MachineRow, record.event.machine).retired_at = record.block_time


def model_registered(record: Recorded[registry.ModelRegistered], state: State) -> None:
    _add_model(record, state, None)


def model_published(record: Recorded[registry.ModelPublished], state: State) -> None:
    _add_model(record, state, record.event.code)


def _add_model(
    record: Recorded[registry.ModelRegistered | registry.ModelPublished], state: State, code: bytes | None
) -> None:
    state.add(
        ModelRow(
            number=record.sequence,
            subject=record.subject,
            inspector=record.participant,
            approver=0,
            state=ModelState.REGISTERED,
            registered_at=record.block_time,
            approved_at=0,
            withdrawn_at=0,
            defective_since=0,
            digest=record.event.digest,
            code=code,
            card_root=record.event.card_root,
            report_root=bytes(32),
            reason_root=bytes(32),
        )
    )


def model_approved(record: Recorded[registry.ModelApproved], state: State) -> None:
    model = state.need(ModelRow, record.event.model)
    model.state = ModelState.APPROVED
    model.approver = record.participant
    model.approved_at = record.block_time
    model.report_root = record.event.report_root


def model_withdrawn(record: Recorded[registry.ModelWithdrawn], state: State) -> None:
    model = state.need(ModelRow, record.event.model)
    model.state = ModelState.WITHDRAWN
    model.withdrawn_at = record.block_time
    model.defective_since = record.event.defective_since
    model.reason_root = record.event.reason_root


def _add_key(record: Recorded[Event], state: State, participant: int, address: bytes) -> None:
    state.add(KeyRow(address, participant, added_at=record.block_time, revoked_at=0, compromised_since=0))
    state.need(ParticipantRow, participant).keys += 1


PROJECTIONS = dict(
    [
        on(registry.ParticipantAdmitted, participant_admitted),
        on(registry.RolesSet, roles_set),
        on(registry.ParticipantSuspended, participant_suspended),
        on(registry.ParticipantReinstated, participant_reinstated),
        on(registry.KeyProposed, key_proposed),
        on(registry.KeyAdded, key_added),
        on(registry.KeyRevoked, key_revoked),
        on(registry.MachineRegistered, machine_registered),
        on(registry.MachineRetired, machine_retired),
        on(registry.ModelRegistered, model_registered),
        on(registry.ModelPublished, model_published),
        on(registry.ModelApproved, model_approved),
        on(registry.ModelWithdrawn, model_withdrawn),
    ]
)
