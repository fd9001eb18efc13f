"""What a form says of the thing that it is about, and of what changed about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from millmark.ledger.provenance.permissions import Limits
from millmark.ledger.provenance.reader import Reader, unit
from millmark.ledger.records import AssignmentState, CertificateState, LotState, ModelState, OrderState, Verdict
from millmark.ledger.store.rows import AssignmentRow, CertificateRow, LotRow, MachineRow, ModelRow, OrderRow
from millmark.services.portal.acting.summaries import Line, Value, machine_value, named
from millmark.services.portal.acting.things import STATES, Changed, Thing
from millmark.services.setpoints.repository import SetpointRow
from millmark.services.setpoints.views import describe_value

__all__ = ["describe", "describe_change"]

_INSIDE = Limits(depth=64, lots=100)
_PARTIES = ("coordinator", "custodian", "counterparty")
_MOMENTS = ("due_at", "opening_deadline", "revoked_at", "retired_at", "until")


def describe(reader: Reader, thing: Thing) -> tuple[Line, ...]:
    """The facts by which a person knows the thing."""
    if thing.row is None:
        return ()
    told: Callable[[Reader, Any], dict[str, Value | None]] = _TOLD[type(thing.row)]
    lines = tuple(Line(name, (value,)) for name, value in told(reader, thing.row).items() if value is not None)
    return (*lines, *_inside(reader, thing.row)) if isinstance(thing.row, LotRow) else lines


def _inside(reader: Reader, row: LotRow) -> tuple[Line, ...]:
    """What is packed in a lot, each with its verdict."""
    if not row.contents:
        return ()
    found, _ = reader.nearest("contents", reader.lineage.contents, [row.subject], _INSIDE)
    lots = sorted(reader.related(found), key=lambda one: one.identifier or "")
    return (Line("inside", tuple(Value("judged", one) for one in lots)),)


def describe_change(reader: Reader, thing: Thing, changed: Changed) -> tuple[Value, Value]:
    """The fact before and now. What a form claims is shown as text if the fact has no such value."""
    return _value(reader, thing, changed.name, changed.before), _value(reader, thing, changed.name, changed.now)


def _order(reader: Reader, row: OrderRow) -> dict[str, Value | None]:
    return {
        "order": Value("thing", named(reader, row.subject)),
        "state": Value("word", OrderState(row.state)),
        "buyer": Value("party", reader.party(row.buyer)),
        "coordinator": Value("party", reader.party(row.coordinator)),
        "quantity": Value("quantity", (row.quantity, unit(row.unit))) if row.quantity else None,
        "due_at": _moment(row.due_at),
    }


def _lot(reader: Reader, row: LotRow) -> dict[str, Value | None]:
    return {
        "lot": Value("thing", named(reader, row.subject)),
        "state": Value("word", LotState(row.state)),
        "quantity": Value("quantity", (row.quantity, unit(row.unit))),
        "custodian": Value("party", reader.party(row.custodian)) if row.custodian else None,
        "order": None if row.order is None else Value("thing", named(reader, row.order)),
    }


def _assignment(reader: Reader, row: AssignmentRow) -> dict[str, Value | None]:
    order = reader.rows.get(OrderRow, row.order)
    return {
        "order": Value("thing", named(reader, row.order)),
        "operation": Value("number", row.operation + 1),
        "machine": machine_value(reader, row.machine),
        "state": Value("word", AssignmentState(row.state)),
        "due_at": None if order is None else _moment(order.due_at),
    }


def _certificate(reader: Reader, row: CertificateRow) -> dict[str, Value | None]:
    return {
        "certificate": Value("number", row.sequence),
        "lot": Value("thing", named(reader, row.lot)),
        "verdict": Value("word", Verdict(row.verdict)),
        "state": Value("word", CertificateState(row.state)),
        "issuer": Value("party", reader.party(row.issuer)),
        "opening_deadline": _moment(row.opening_deadline),
    }


def _machine(reader: Reader, row: MachineRow) -> dict[str, Value | None]:
    return {"machine": machine_value(reader, row.number), "owner": Value("party", reader.party(row.owner))}


def _model(reader: Reader, row: ModelRow) -> dict[str, Value | None]:
    return {
        "model": Value("number", row.number),
        "state": Value("word", ModelState(row.state)),
        "inspector": Value("party", reader.party(row.inspector)),
    }


def _setpoint(reader: Reader, row: SetpointRow) -> dict[str, Value | None]:
    document = row.parse()
    return {
        "machine": machine_value(reader, row.machine),
        "settings": Value("text", "; ".join(describe_value(one) for one in document.values)),
        "cost": Value("text", f"{document.kept.cost} → {document.expected.cost} {document.unit}"),
        "cause": Value("written", document.cause) if document.cause else None,
        "until": _moment(row.until),
    }


_TOLD: Mapping[type, Callable[..., dict[str, Value | None]]] = {
    OrderRow: _order,
    LotRow: _lot,
    AssignmentRow: _assignment,
    CertificateRow: _certificate,
    MachineRow: _machine,
    ModelRow: _model,
    SetpointRow: _setpoint,
}


def _moment(seconds: int) -> Value | None:
    return Value("moment", datetime.fromtimestamp(seconds, UTC)) if seconds else None


def _value(reader: Reader, thing: Thing, name: str, text: str) -> Value:
    if name == "state":
        kind = STATES.get(type(thing.row))
        return Value("word", kind[text]) if kind is not None and text in kind.__members__ else Value("text", text)
    if not text or text == "0":
        return Value("none", None)
    if not (text.isascii() and text.isdecimal() and len(text) <= 10):
        return Value("text", text[:16])
    if name in _PARTIES:
        return Value("party", reader.party(int(text)))
    if name in _MOMENTS:
        return Value("moment", datetime.fromtimestamp(int(text), UTC))
    return Value("number", int(text))
