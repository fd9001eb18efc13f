"""Acts about certificates, quality models, machines and their streams."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import cast

from millmark.ledger.errors import MillmarkError, NotFoundError
from millmark.ledger.provenance.cases import LIMITS, MOST_NOTED, find_concerned, reach
from millmark.ledger.records import CertificateState, LotState, ModelState, NoteKind, Role, Verdict
from millmark.ledger.store.rows import (
    CertificateRow,
    LotRow,
    MachineRow,
    ModelRow,
    OrderRow,
    ParticipantRow,
    RecoveryRow,
    StreamRow,
    gates_of,
)
from millmark.quality.errors import QualityError
from millmark.services.inspections.extracts import build_challenge, find_fault, find_kept_extract, find_kept_inference
from millmark.services.portal.acting.acts import Act, choose_measurement, measurement_options
from millmark.services.portal.acting.lots import lot_of, order_of
from millmark.services.portal.acting.orders import REASON
from millmark.services.portal.acting.things import (
    About,
    Body,
    EntryError,
    Field,
    FieldKind,
    Filled,
    Line,
    Option,
    Scene,
    Value,
    named,
)
from millmark.services.setpoints import SetpointState
from millmark.services.setpoints.inbox import ACCEPTED, REFUSED, state_of
from millmark.services.setpoints.repository import SetpointRepository, SetpointRow

_VALID_FOR = timedelta(days=365)
_MAX_STREAMS = 50


# Certificates


def _may_certify(scene: Scene) -> bool:
    """Whether the lot waits at a gate of the company that is by a procedure. Verdicts by a model are the node's."""
    order = order_of(scene)
    gates = () if order is None else gates_of(order)
    by_procedure = any(one.inspector == scene.company and not one.model for one in gates)
    return by_procedure and lot_of(scene).state != LotState.SPENT


def _verdicts(_: Scene) -> list[Option]:
    return [Option(one.name.lower(), key=f"act.verdict.{one.name}") for one in (Verdict.PASS, Verdict.FAIL)]


def _until(scene: Scene) -> str:
    now = datetime.fromtimestamp(scene.reader.cursor.block_time, UTC)
    return (now + _VALID_FOR).strftime("%Y-%m-%dT00:00")


def _measurements(scene: Scene) -> list[Option]:
    """The newest entries of the company's streams that are kept here."""
    streams = scene.reader.rows.latest(StreamRow, "sequence", _MAX_STREAMS, owner=scene.company)
    # One that belongs to no machine, as of plans and logs, measures nothing.
    return measurement_options(scene.reader, [one for one in streams if one.machine])


def _certify(body: Body, scene: Scene) -> Body:
    """Certifies by a procedure, without a model: the SHA-256 of its name stands in the place of an inference."""
    procedure = str(body["claims"]["procedure"])
    digest = hashlib.sha256(procedure.encode()).hexdigest()
    return choose_measurement(
        {**body, "lots": [f"0x{scene.thing.key}"], "model": 0, "inference_digest": f"0x{digest}"}, None
    )


def _certificate(scene: Scene) -> CertificateRow:
    return cast(CertificateRow, scene.thing.row)


def _may_revoke(scene: Scene) -> bool:
    row = _certificate(scene)
    standing = (CertificateState.ISSUED, CertificateState.DEMANDED, CertificateState.UPHELD)
    return row.issuer == scene.company and row.state in standing


def _may_demand(scene: Scene) -> bool:
    """Whether it rests on an inference, and the company may want to see that."""
    row = _certificate(scene)
    if not row.model or row.state != CertificateState.ISSUED:
        return False
    lot = scene.reader.rows.get(LotRow, row.lot)
    order = None if lot is None or lot.order is None else scene.reader.rows.get(OrderRow, lot.order)
    holds = lot is not None and lot.custodian == scene.company and lot.parent is None
    party = order is not None and scene.company in (order.buyer, order.coordinator)
    return holds or party or _is_auditor(scene)


def _may_open(scene: Scene) -> bool:
    """Whether its opening is awaited, and the record can be built of what is kept here."""
    row = _certificate(scene)
    awaited = row.state == CertificateState.DEMANDED and row.opening_deadline > scene.reader.cursor.block_time
    if row.issuer != scene.company or not awaited:
        return False
    try:
        build_challenge(scene.reader, row, find_kept_inference(scene.reader, row))
    except (MillmarkError, QualityError):  # something of it is missing here, or is not what was certified
        return False
    return True


def _tell_outcome(_: Filled, scene: Scene) -> list[Line]:
    """What is to be expected of the contract, by re-execution here; nothing where that is not possible."""
    try:
        fault = find_fault(find_kept_extract(scene.reader, None, _certificate(scene)))
    except NotFoundError:
        return []
    outcome = CertificateState.UPHELD if fault is None else CertificateState.REFUTED
    return [Line("outcome", (Value("word", outcome),))]


def _is_auditor(scene: Scene) -> bool:
    row = scene.reader.rows.get(ParticipantRow, scene.company)
    return row is not None and bool(row.roles & Role.AUDITOR)


# Models


def _model(scene: Scene) -> ModelRow:
    return cast(ModelRow, scene.thing.row)


def _may_approve(scene: Scene) -> bool:
    return _model(scene).state == ModelState.REGISTERED and _model(scene).inspector != scene.company


def _is_own_model(scene: Scene, *states: ModelState) -> bool:
    return _model(scene).inspector == scene.company and _model(scene).state in states


def _may_withdraw(scene: Scene) -> bool:
    row = _model(scene)
    return row.state in (ModelState.APPROVED, ModelState.RETIRED) and scene.company in (row.inspector, row.approver)


def _since(scene: Scene) -> str:
    return datetime.fromtimestamp(_model(scene).approved_at or _model(scene).registered_at, UTC).strftime(
        "%Y-%m-%dT%H:%M"
    )


# Machines


def _is_own_machine(scene: Scene) -> bool:
    row = cast(MachineRow, scene.thing.row)
    return row.owner == scene.company and not row.retired_at


QUALITY_ACTS = (
    Act(
        "issueCertificate",
        About.LOT,
        (
            Field("verdict", FieldKind.CHOICE, options=_verdicts),
            Field("procedure", FieldKind.LONG, "claims.procedure"),
            Field("measurement", FieldKind.CHOICE, options=_measurements),
            Field("expires_at", FieldKind.MOMENT, initial=_until),
        ),
        offered=_may_certify,
        complete=_certify,
        called="certifyLot",
    ),
    Act("demandOpening", About.CERTIFICATE, offered=_may_demand),
    Act(
        "openCertificate",
        About.CERTIFICATE,
        (Field("publish_window", FieldKind.TICK),),
        offered=_may_open,
        tells=_tell_outcome,
    ),
    Act("revokeCertificate", About.CERTIFICATE, (REASON,), offered=_may_revoke, grave=True),
    Act(
        "approveModel",
        About.MODEL,
        (Field("report", FieldKind.LONG, "report.text"),),
        offered=_may_approve,
    ),
    Act(
        "openModel",
        About.MODEL,
        (Field("open", FieldKind.TICK),),
        offered=lambda scene: _is_own_model(scene, ModelState.REGISTERED, ModelState.APPROVED),
    ),
    Act(
        "retireModel",
        About.MODEL,
        (REASON,),
        offered=lambda scene: _is_own_model(scene, ModelState.APPROVED),
        grave=True,
    ),
    Act(
        "withdrawModel",
        About.MODEL,
        (Field("defective_since", FieldKind.MOMENT, initial=_since), REASON),
        offered=_may_withdraw,
        grave=True,
    ),
    Act(
        "openStream",
        About.MACHINE,
        (Field("identifier", label="stream_name"),),
        follows=lambda scene: {"machine": int(scene.thing.key)},
        offered=_is_own_machine,
    ),
    Act("retireMachine", About.MACHINE, (REASON,), offered=_is_own_machine, grave=True),
)


# Acts of quality cases: a recall notice, and what answers it. All are notes on lots.

_LOTS = Field("lots", FieldKind.HIDDEN, label="notedLots")
"""Numbers of lots, which are shorter than their subjects: they have to fit into an address."""
_MAX_DIGITS = 15


def name_lots(lots: Sequence[LotRow]) -> str:
    """The entry for the lots that a note is about."""
    return "-".join(str(lot.number) for lot in lots)


def _complete(kind: NoteKind, body: Body, scene: Scene) -> Body:
    """Raises EntryError for what names no lots."""
    numbers = str(body.pop("lots", ""))
    rows = _lots(scene, numbers)
    if len(rows) != len(set(numbers.split("-"))):
        raise EntryError("entry.wrong")
    return {**body, "subjects": sorted(f"0x{row.subject.hex()}" for row in rows), "kind": int(kind)}


def _lots(scene: Scene, numbers: str) -> list[LotRow]:
    """The lots that an entry names; those of them that there are. Raises EntryError for what names none."""
    parts = numbers.split("-")
    if not 0 < len(parts) <= MOST_NOTED or not all(
        part.isascii() and part.isdecimal() and len(part) <= _MAX_DIGITS for part in parts
    ):
        raise EntryError("entry.wrong")
    return scene.reader.rows.among(LotRow, "number", {int(part) for part in parts})


def _filled_lots(filled: Filled, scene: Scene) -> list[LotRow]:
    """The lots that a form names; none for an entry that cannot be recorded."""
    try:
        return _lots(scene, next(iter(filled.get("lots", ())), ""))
    except EntryError:
        return []


def _tell_lots(filled: Filled, scene: Scene) -> list[Line]:
    """The lots that a note is about."""
    things = tuple(Value("thing", named(scene.reader, row.subject)) for row in _filled_lots(filled, scene))
    return [Line("notedLots", things)] if things else []


def _tell_reach(filled: Filled, scene: Scene) -> list[Line]:
    """The lots, how much of them and of what was made of them is left, and who is told."""
    subjects = [row.subject for row in _filled_lots(filled, scene)]
    roots, made, _ = reach(scene.reader, subjects, LIMITS)
    rows = scene.reader.rows.among(LotRow, "subject", {*roots, *(lot for lot, _ in made)})
    left = sum(row.state != LotState.SPENT for row in rows)
    concerned = sorted(find_concerned(scene.reader.rows, subjects) - {scene.company})
    told = tuple(Value("party", scene.reader.party(one)) for one in concerned) or (Value("none", None),)
    lines = _tell_lots(filled, scene)
    return [*lines, Line("reachedLots", (Value("number", left),)), Line("told", told)] if lines else []


def _text(*, required: bool) -> Field:
    return Field("text", FieldKind.LONG, "claims.text", required=required, label="noticeText")


NOTE_ACTS = (
    Act(
        "note",
        fields=(_LOTS, _text(required=True)),
        complete=lambda body, scene: _complete(NoteKind.RECALL_NOTICE, body, scene),
        called="recallNotice",
        tells=_tell_reach,
        opens="cases",
        grave=True,
        leads_to="/portal/cases",
    ),
    Act(
        "note",
        fields=(_LOTS, _text(required=False)),
        complete=lambda body, scene: _complete(NoteKind.ACKNOWLEDGEMENT, body, scene),
        called="acknowledgeNotice",
        tells=_tell_lots,
        leads_to="/portal/cases",
    ),
    Act(
        "note",
        fields=(_LOTS, _text(required=True)),
        complete=lambda body, scene: _complete(NoteKind.RESOLUTION, body, scene),
        called="resolveNotice",
        tells=_tell_lots,
        leads_to="/portal/cases",
    ),
    Act(
        "note",
        fields=(_LOTS, _text(required=True)),
        complete=lambda body, scene: _complete(NoteKind.RESOLUTION, body, scene),
        called="closeCase",
        tells=_tell_lots,
        grave=True,
        leads_to="/portal/cases",
    ),
)


# Acts about proposed setpoints, by the operator of the machine.

_WHY = Field("reason", FieldKind.LONG, "reason_text", label="why")


def _is_open(scene: Scene) -> bool:
    row = cast(SetpointRow, scene.thing.row)
    machine = scene.reader.rows.get(MachineRow, row.machine)
    if machine is None or machine.owner != scene.company:
        return False
    repository = SetpointRepository(scene.reader.rows)
    return state_of(scene.reader.book, repository, row, int(time.time())) is SetpointState.OPEN


SETPOINT_ACTS = (
    Act(
        "answerSetpoint",
        About.SETPOINT,
        follows=lambda _: {"answer": ACCEPTED},
        offered=_is_open,
        called="acceptSetpoint",
    ),
    Act(
        "answerSetpoint",
        About.SETPOINT,
        (_WHY,),
        follows=lambda _: {"answer": REFUSED},
        offered=_is_open,
        called="refuseSetpoint",
        grave=True,
    ),
)


# What a company can do against a recovery of its keys that it did not ask for.


def _is_being_recovered(scene: Scene) -> bool:
    found = scene.reader.rows.find(RecoveryRow, participant=scene.company, accepted_at=0)
    return any(not one.objected for one in found)


RECOVERY_ACTS = (Act("objectToRecovery", About.NOTHING, offered=_is_being_recovered, grave=True),)
