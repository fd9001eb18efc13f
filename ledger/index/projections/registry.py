"""Participants, keys, machines, models (contracts/src/Registry.sol)."""

from __future__ import annotations

from ledger.index.projections.fields import ZERO, number, raw
from ledger.index.state import State
from ledger.records import ModelState, Recorded
from ledger.store.rows import KeyRow, MachineRow, ModelRow, ParticipantRow


def participant_admitted(record: Recorded, state: State) -> None:
    fields = record.fields
    admitted = number(fields, "admitted")
    state.add(
        ParticipantRow(
            number=admitted,
            sequence=record.sequence,
            roles=number(fields, "roles"),
            keys=0,
            suspended=False,
            admitted_at=record.block_time,
            claims_root=raw(fields, "claims_root"),
        )
    )
    _add_key(record, state, admitted, raw(fields, "first_key"))


def roles_set(record: Recorded, state: State) -> None:
    company = state.need(ParticipantRow, number(record.fields, "changed"))
    company.roles = number(record.fields, "roles")


def participant_suspended(record: Recorded, state: State) -> None:
    state.need(ParticipantRow, number(record.fields, "suspended")).suspended = True


def participant_reinstated(record: Recorded, state: State) -> None:
    state.need(ParticipantRow, number(record.fields, "reinstated")).suspended = False


def key_proposed(_record: Recorded, _state: State) -> None:
    """Nothing yet: the key signs only once it is added."""


def key_added(record: Recorded, state: State) -> None:
    _add_key(record, state, record.participant, record.key)


def key_revoked(record: Recorded, state: State) -> None:
    """Or declared compromised, after it was revoked."""
    key = state.need(KeyRow, raw(record.fields, "revoked"))
    key.compromised_since = number(record.fields, "compromised_since")
    if not key.revoked_at:
        key.revoked_at = record.block_time
        state.need(ParticipantRow, record.participant).keys -= 1


def machine_registered(record: Recorded, state: State) -> None:
    state.add(
        MachineRow(
            number=record.sequence,
            subject=record.subject,
            owner=record.participant,
            registered_at=record.block_time,
            retired_at=0,
            claims_root=raw(record.fields, "claims_root"),
        )
    )


def machine_retired(record: Recorded, state: State) -> None:
    state.need(MachineRow, number(record.fields, "machine")).retired_at = record.block_time


def model_registered(record: Recorded, state: State) -> None:
    _add_model(record, state, None)


def model_published(record: Recorded, state: State) -> None:
    _add_model(record, state, raw(record.fields, "code"))


def _add_model(record: Recorded, state: State, code: bytes | None) -> None:
    fields = record.fields
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
            digest=raw(fields, "digest"),
            code=code,
            card_root=raw(fields, "card_root"),
            report_root=ZERO,
            reason_root=ZERO,
        )
    )


def model_approved(record: Recorded, state: State) -> None:
    model = state.need(ModelRow, number(record.fields, "model"))
    model.state = ModelState.APPROVED
    model.approver = record.participant
    model.approved_at = record.block_time
    model.report_root = raw(record.fields, "report_root")


def model_withdrawn(record: Recorded, state: State) -> None:
    model = state.need(ModelRow, number(record.fields, "model"))
    model.state = ModelState.WITHDRAWN
    model.withdrawn_at = record.block_time
    model.defective_since = number(record.fields, "defective_since")
    model.reason_root = raw(record.fields, "reason_root")


def _add_key(record: Recorded, state: State, participant: int, address: bytes) -> None:
    state.add(KeyRow(address, participant, added_at=record.block_time, revoked_at=0, compromised_since=0))
    state.need(ParticipantRow, participant).keys += 1


PROJECTIONS = {
    "ParticipantAdmitted": participant_admitted,
    "RolesSet": roles_set,
    "ParticipantSuspended": participant_suspended,
    "ParticipantReinstated": participant_reinstated,
    "KeyProposed": key_proposed,
    "KeyAdded": key_added,
    "KeyRevoked": key_revoked,
    "MachineRegistered": machine_registered,
    "MachineRetired": machine_retired,
    "ModelRegistered": model_registered,
    "ModelPublished": model_published,
    "ModelApproved": model_approved,
    "ModelWithdrawn": model_withdrawn,
}
