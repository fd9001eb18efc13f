"""Acts about certificates, quality models, machines and their streams."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import cast

from millmark.ledger.errors import MillmarkError, NotFoundError
from millmark.ledger.provenance.cases import LIMITS, MOST_NOTED, find_concerned, reach
from millmark.ledger.records import CertificateState, LotState, ModelState, Role, Verdict
from millmark.ledger.store import rows
from millmark.quality.errors import QualityError
from millmark.services.acts import Body, EntryError
from millmark.services.inspections.extracts import build_challenge, find_fault, find_kept_extract, find_kept_inference
from millmark.services.portal.acting import things
from millmark.services.portal.acting.acts import choose_measurement, measurement_options, stage
from millmark.services.portal.acting.lots import lot_of, order_of
from millmark.services.setpoints import SetpointState
from millmark.services.setpoints.inbox import state_of
from millmark.services.setpoints.repository import SetpointRepository, SetpointRow

_VALID_FOR = timedelta(days=365)
_MAX_STREAMS = 50


# Certificates


def _may_certify(scene: things.Scene) -> bool:
    """Whether the lot waits at a gate of the company that is by a procedure. Verdicts by a model are the node's."""
    order = order_of(scene)
    gates = () if order is None else rows.gates_of(order)
    by_procedure = any(one.inspector == scene.company and not one.model for one in gates)
    return by_procedure and lot_of(scene).state != LotState.SPENT


def _until(scene: things.Scene) -> str:
    now = datetime.fromtimestamp(scene.reader.cursor.block_time, UTC)
    return (now + _VALID_FOR).strftime("%Y-%m-%dT00:00")


def _measurements(scene: things.Scene) -> list[things.Option]:
    """The newest entries of the company's streams that are kept here."""
    streams = scene.reader.rows.latest(rows.StreamRow, "sequence", _MAX_STREAMS, owner=scene.company)
    # One that belongs to no machine, as of plans and logs, measures nothing.
    return measurement_options(scene.reader, [one for one in streams if one.machine])


def _certify(body: Body, scene: things.Scene) -> Body:
    """Certifies by a procedure, without a model: the SHA-256 of its name stands in the place of an inference."""
    procedure = str(body["claims"]["procedure"])
    digest = hashlib.sha256(procedure.encode()).hexdigest()
    return choose_measurement(
        {**body, "lots": [f"0x{scene.thing.key}"], "model": 0, "inference_digest": f"0x{digest}"}, None
    )


def _certificate(scene: things.Scene) -> rows.CertificateRow:
    return cast(rows.CertificateRow, scene.thing.row)


def _may_revoke(scene: things.Scene) -> bool:
    row = _certificate(scene)
    standing = (CertificateState.ISSUED, CertificateState.DEMANDED, CertificateState.UPHELD)
    return row.issuer == scene.company and row.state in standing


def _may_demand(scene: things.Scene) -> bool:
    """Whether it rests on an inference, and the company relies on the pass or loses by the fail."""
    row = _certificate(scene)
    if not row.model or row.state != CertificateState.ISSUED:
        return False
    lot = scene.reader.rows.get(rows.LotRow, row.lot)
    order = None if lot is None or lot.order is None else scene.reader.rows.get(rows.OrderRow, lot.order)
    if row.verdict == Verdict.PASS:
        may = order is not None and scene.company in (order.buyer, order.coordinator)
    else:
        holds = lot is not None and lot.custodian == scene.company and lot.parent is None
        identity = scene.reader.book.identity(row.lot)
        may = holds or (identity is not None and identity.creator == scene.company)
    return may or _is_auditor(scene)


def _may_open(scene: things.Scene) -> bool:
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


def _tell_outcome(_: things.Filled, scene: things.Scene) -> list[things.Line]:
    """What is to be expected of the contract, by re-execution here; nothing where that is not possible."""
    try:
        fault = find_fault(find_kept_extract(scene.reader, None, _certificate(scene)))
    except NotFoundError:
        return []
    outcome = CertificateState.UPHELD if fault is None else CertificateState.REFUTED
    return [things.Line("outcome", (things.Value("word", outcome),))]


def _is_auditor(scene: things.Scene) -> bool:
    row = scene.reader.rows.get(rows.ParticipantRow, scene.company)
    return row is not None and bool(row.roles & Role.AUDITOR)


# Models


def _model(scene: things.Scene) -> rows.ModelRow:
    return cast(rows.ModelRow, scene.thing.row)


def _is_own_model(scene: things.Scene, *states: ModelState) -> bool:
    return _model(scene).inspector == scene.company and _model(scene).state in states


def _may_withdraw(scene: things.Scene) -> bool:
    row = _model(scene)
    return row.state in (ModelState.APPROVED, ModelState.RETIRED) and scene.company in (row.inspector, row.approver)


def _since(scene: things.Scene) -> str:
    return datetime.fromtimestamp(_model(scene).approved_at or _model(scene).registered_at, UTC).strftime(
        "%Y-%m-%dT%H:%M"
    )


# Machines


def _is_own_machine(scene: things.Scene) -> bool:
    row = cast(rows.MachineRow, scene.thing.row)
    return row.owner == scene.company and not row.retired_at


# Acts of quality cases: a recall notice, and what answers it. All are notes on lots.

_MAX_DIGITS = 15


def name_lots(lots: Sequence[rows.LotRow]) -> str:
    """The entry for the lots that a note is about."""
    return "-".join(str(lot.number) for lot in lots)


def _name_lots(body: Body, scene: things.Scene) -> Body:
    """Raises EntryError for what names no lots."""
    numbers = str(body.pop("lots", ""))
    named_lots = _lots(scene, numbers)
    if len(named_lots) != len(set(numbers.split("-"))):
        raise EntryError("entry.wrong")
    return {**body, "subjects": sorted(f"0x{row.subject.hex()}" for row in named_lots)}


def _lots(scene: things.Scene, numbers: str) -> list[rows.LotRow]:
    """The lots that an entry names; those of them that there are. Raises EntryError for what names none."""
    parts = numbers.split("-")
    if not 0 < len(parts) <= MOST_NOTED or not all(
        part.isascii() and part.isdecimal() and len(part) <= _MAX_DIGITS for part in parts
    ):
        raise EntryError("entry.wrong")
    return scene.reader.rows.among(rows.LotRow, "number", {int(part) for part in parts})


def _filled_lots(filled: things.Filled, scene: things.Scene) -> list[rows.LotRow]:
    """The lots that a form names; none for an entry that cannot be recorded."""
    try:
        return _lots(scene, next(iter(filled.get("lots", ())), ""))
    except EntryError:
        return []


def _tell_lots(filled: things.Filled, scene: things.Scene) -> list[things.Line]:
    """The lots that a note is about."""
    noted = tuple(things.Value("thing", things.named(scene.reader, row.subject)) for row in _filled_lots(filled, scene))
    return [things.Line("notedLots", noted)] if noted else []


def _tell_reach(filled: things.Filled, scene: things.Scene) -> list[things.Line]:
    """The lots, how much of them and of what was made of them is left, and who is told."""
    subjects = [row.subject for row in _filled_lots(filled, scene)]
    roots, made, _ = reach(scene.reader, subjects, LIMITS)
    reached = scene.reader.rows.among(rows.LotRow, "subject", {*roots, *(lot for lot, _ in made)})
    left = sum(row.state != LotState.SPENT for row in reached)
    concerned = sorted(find_concerned(scene.reader.rows, subjects) - {scene.company})
    told = tuple(things.Value("party", scene.reader.party(one)) for one in concerned) or (things.Value("none", None),)
    lines = _tell_lots(filled, scene)
    found = things.Line("reachedLots", (things.Value("number", left),)), things.Line("told", told)
    return [*lines, *found] if lines else []


# Acts about proposed setpoints, by the operator of the machine.


def _is_open(scene: things.Scene) -> bool:
    row = cast(SetpointRow, scene.thing.row)
    machine = scene.reader.rows.get(rows.MachineRow, row.machine)
    if machine is None or machine.owner != scene.company:
        return False
    repository = SetpointRepository(scene.reader.rows)
    return state_of(scene.reader.book, repository, row, int(time.time())) is SetpointState.OPEN


# What a company can do against a recovery of its keys that it did not ask for.


def _is_being_recovered(scene: things.Scene) -> bool:
    found = scene.reader.rows.find(rows.RecoveryRow, participant=scene.company, accepted_at=0)
    return any(not one.objected for one in found)


STAGED = (
    stage(
        "certifyLot",
        _may_certify,
        options={"measurement": _measurements},
        initial={"expires_at": _until},
        complete=_certify,
    ),
    stage("demandOpening", _may_demand),
    stage("openCertificate", _may_open, tells=_tell_outcome),
    stage("revokeCertificate", _may_revoke),
    stage(
        "approveModel",
        lambda scene: _model(scene).state == ModelState.REGISTERED and _model(scene).inspector != scene.company,
    ),
    stage("openModel", lambda scene: _is_own_model(scene, ModelState.REGISTERED, ModelState.APPROVED)),
    stage("retireModel", lambda scene: _is_own_model(scene, ModelState.APPROVED)),
    stage("withdrawModel", _may_withdraw, initial={"defective_since": _since}),
    stage("openStream", _is_own_machine),
    stage("retireMachine", _is_own_machine),
    stage("recallNotice", complete=_name_lots, tells=_tell_reach),
    stage("acknowledgeNotice", complete=_name_lots, tells=_tell_lots),
    stage("resolveNotice", complete=_name_lots, tells=_tell_lots),
    stage("closeCase", complete=_name_lots, tells=_tell_lots),
    stage("acceptSetpoint", _is_open),
    stage("refuseSetpoint", _is_open),
    stage("objectToRecovery", _is_being_recovered),
)
