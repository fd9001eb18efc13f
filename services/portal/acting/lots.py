"""Acts about lots: what their holders do with them, and what inspectors and buyers may."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from millmark.ledger.canonical import Json
from millmark.ledger.provenance.cases import GOES_BACK, find_quarantines, goes_back, text_of
from millmark.ledger.provenance.reader import unit
from millmark.ledger.provenance.traces import build_waivers
from millmark.ledger.records import AssignmentState, CertificateStatus, LotState, OrderState
from millmark.ledger.store import rows
from millmark.services.acts import FORMS, Body, EntryError
from millmark.services.portal.acting import acts
from millmark.services.portal.acting.acts import MAX_OPTIONS, companies, held_lots, lot_options, stage
from millmark.services.portal.acting.orders import sort_lots
from millmark.services.portal.acting.things import Filled, Line, Option, Scene, Value

_HANDED = ("exported", "sold")
_MAX_PARTS = 64
"""Most lots of one transformation."""


def lot_of(scene: Scene) -> rows.LotRow:
    return cast(rows.LotRow, scene.thing.row)


def order_of(scene: Scene) -> rows.OrderRow | None:
    order = lot_of(scene).order
    return None if order is None else scene.reader.rows.get(rows.OrderRow, order)


def _is_mine(scene: Scene, *states: LotState) -> bool:
    """Whether the company holds it, and it is not packed."""
    row = lot_of(scene)
    return row.custodian == scene.company and row.parent is None and row.state in states


def _mine(*states: LotState) -> Callable[[Scene], bool]:
    return lambda scene: _is_mine(scene, *states)


# Custody


def _is_offered(scene: Scene) -> bool:
    """Whether it is offered to the company. Of a lot that is being returned, its row says who quarantined it."""
    row = lot_of(scene)
    if row.state == LotState.OFFERED:
        return row.counterparty == scene.company
    change = scene.reader.rows.get(rows.CustodyChangeRow, row.offer, row.subject)
    return row.state == LotState.RETURNING and change is not None and change.to_participant == scene.company


def _was_handed_over(scene: Scene) -> bool:
    """Whether the company holds the lot, and has it from another one."""
    lot, company = lot_of(scene).subject, scene.company
    taken = scene.reader.rows.find(rows.CustodyChangeRow, lot=lot, kind="CustodyAccepted", to_participant=company)
    return _is_mine(scene, LotState.HELD) and bool(taken)


def _complain(body: Body, scene: Scene) -> Body:
    return {**body, "subjects": [f"0x{scene.thing.key}"]}


def _receivers(scene: Scene) -> list[Option]:
    """All other companies; the order's buyer is chosen."""
    order = order_of(scene)
    return companies(scene, chosen=0 if order is None else order.buyer)


def _may_return(scene: Scene) -> bool:
    """Whether it is in quarantine, and another company made it, of which the book has the proof."""
    return _is_mine(scene, LotState.QUARANTINED) and not lot_of(scene).contents and _is_made_elsewhere(scene)


def _is_made_elsewhere(scene: Scene) -> bool:
    identity = scene.reader.book.identity(lot_of(scene).subject)
    return identity is not None and identity.creator != scene.company


def _reason(scene: Scene) -> Json:
    """What the company wrote when it put the lot in quarantine."""
    row = lot_of(scene)
    return find_quarantines(scene.reader, [row.subject]).get(row.subject) if row.counterparty == scene.company else None


def _reason_of_return(scene: Scene) -> str:
    return text_of(_reason(scene)) or ""


def _tell_maker(_: Filled, scene: Scene) -> list[Line]:
    identity = scene.reader.book.identity(lot_of(scene).subject)
    return [] if identity is None else [Line("maker", (Value("party", scene.reader.party(identity.creator)),))]


# Quarantine and gates


def _may_quarantine(scene: Scene) -> bool:
    row, order = lot_of(scene), order_of(scene)
    if row.state not in (LotState.HELD, LotState.OFFERED):
        return False
    inspects = order is not None and any(one.inspector == scene.company for one in rows.gates_of(order))
    return inspects or (row.custodian == scene.company and row.parent is None)


def _may_release(scene: Scene) -> bool:
    row = lot_of(scene)
    if row.state != LotState.QUARANTINED:
        return False
    return row.counterparty == scene.company or (_is_mine(scene, LotState.QUARANTINED) and _is_liftable(scene))


def _is_liftable(scene: Scene) -> bool:
    """Whether the reason for the quarantine is gone: the order is delivered, the certificate behind it is not valid any
    more, no certificate is behind it and who imposed it has no roles any more, or the buyer waived that inspector's
    gate. By the rules of Verdicts._isLiftable in contracts/src/history."""
    row, order = lot_of(scene), order_of(scene)
    if order is not None and order.state == OrderState.DELIVERED:
        return True
    standing = scene.reader.rows.get(rows.StandingRow, row.subject, row.counterparty)
    number = 0 if standing is None else standing.quarantining
    certificate = scene.reader.rows.get(rows.CertificateRow, number) if number else None
    if certificate is not None and scene.reader.status(certificate) is not CertificateStatus.VALID:
        return True
    imposer = scene.reader.rows.get(rows.ParticipantRow, row.counterparty)
    if certificate is None and imposer is not None and (imposer.inactive_since or not imposer.roles):
        return True
    waivers = build_waivers(scene.reader, row.subject)
    return any(bool(one.holds) and one.inspector.participant == row.counterparty for one in waivers)


def _gates(scene: Scene) -> list[Option]:
    order = order_of(scene)
    gates = () if order is None else rows.gates_of(order)
    named = [(one.inspector, scene.reader.party(one.inspector).name) for one in gates]
    return [Option(str(number), name or f"# {number}", chosen=len(gates) == 1) for number, name in named]


def _may_waive(scene: Scene) -> bool:
    order = order_of(scene)
    return order is not None and order.buyer == scene.company and bool(order.gates) and _is_left(scene)


def _is_left(scene: Scene) -> bool:
    """Whether the lot still exists and is not with the company yet."""
    return lot_of(scene).state != LotState.SPENT and lot_of(scene).custodian != scene.company


def _may_unbind(scene: Scene) -> bool:
    order = order_of(scene)
    free = lot_of(scene).parent is None and lot_of(scene).state in (LotState.HELD, LotState.QUARANTINED)
    if order is None or not free:
        return False
    bought = lot_of(scene).custodian == order.buyer
    return order.buyer == scene.company or (order.coordinator == scene.company and not order.gates and not bought)


# Making


def _operations(scene: Scene) -> list[Option]:
    """Operations of the lot's order that the company has started: under one of them it may rework."""
    order = lot_of(scene).order
    if order is None:
        return []
    works = scene.reader.rows.find(
        rows.AssignmentRow, order=order, owner=scene.company, state=int(AssignmentState.STARTED)
    )
    return [Option(str(row.operation), str(row.operation + 1), chosen=len(works) == 1) for row in works]


def _may_rework(scene: Scene) -> bool:
    """Whether it is the company's and, if it is of an order, the company has started an operation of that."""
    able = _is_mine(scene, LotState.HELD, LotState.QUARANTINED) and not lot_of(scene).contents
    return able and (lot_of(scene).order is None or bool(_operations(scene)))


def in_order(body: Body, scene: Scene) -> Body:
    """Raises EntryError for a lot of an order without the operation."""
    order, operation = lot_of(scene).order, body.get("operation")
    if order is not None and operation is None:
        raise EntryError("entry.operation")
    return {**body, "operation": operation or 0}


def _transformation(scene: Scene, kind: str, **values: object) -> Body:
    """The body of a transformation of lots that keep unit and quantity."""
    row = lot_of(scene)
    order = {} if row.order is None else {"order": f"0x{row.order.hex()}"}
    same: Body = {"unit": unit(row.unit), "output_unit": unit(row.unit), "loss": 0, "yield_in": 1, "yield_out": 1}
    return {"kind": kind, "operation": 0, **same, **order, **values}


def _input(row: rows.LotRow, quantity: int) -> Body:
    return {"lot": _name(row), "quantity": quantity}


def _split(body: Body, scene: Scene) -> Body:
    """Each line of `parts` is an identifier and a quantity. Raises EntryError for other lines."""
    row, outputs = lot_of(scene), list[Body]()
    for line in str(body.pop("parts")).splitlines():
        if line.strip():
            identifier, _, quantity = line.strip().rpartition(" ")
            if not (identifier.strip() and quantity.isascii() and quantity.isdecimal() and len(quantity) <= 13):
                raise EntryError("entry.parts")
            outputs.append({"identifier": identifier.strip(), "quantity": int(quantity), "unit": unit(row.unit)})
    if not 2 <= len(outputs) <= _MAX_PARTS:
        raise EntryError("entry.parts")
    taken = sum(one["quantity"] for one in outputs)
    return {**_transformation(scene, "split", inputs=[_input(row, taken)], outputs=outputs), **body}


def mates(scene: Scene) -> list[rows.LotRow]:
    """Other lots of the company in the same unit and order, the newest first."""
    row = lot_of(scene)
    if row.order is None:
        near = held_lots(scene)
    else:
        near = sorted(scene.reader.rows.find(rows.LotRow, order=row.order), key=lambda one: one.number, reverse=True)
    return [one for one in near if _is_mate(one, row)][: _MAX_PARTS - 1]


def _is_mate(one: rows.LotRow, row: rows.LotRow) -> bool:
    alike = one.unit == row.unit and one.order == row.order and one.custodian == row.custodian
    return one.subject != row.subject and alike and one.state == LotState.HELD and not one.contents and not one.parent


def _merge(body: Body, scene: Scene) -> Body:
    row, chosen = lot_of(scene), set(body.pop("lots"))
    merged = sorted(
        [row, *(one for one in mates(scene) if f"0x{one.subject.hex()}" in chosen)], key=lambda one: one.subject
    )
    if len(merged) < 2:
        raise EntryError("entry.missing")
    output = {
        "identifier": body.pop("identifier"),
        "quantity": sum(one.quantity for one in merged),
        "unit": unit(row.unit),
    }
    inputs = [_input(one, one.quantity) for one in merged]
    return {**_transformation(scene, "merge", inputs=inputs, outputs=[output]), **body}


# Packing, scrapping


def _packable(scene: Scene) -> list[Option]:
    others = [row for row in held_lots(scene) if row.subject != lot_of(scene).subject]
    return lot_options(scene.reader, others[:MAX_OPTIONS])


def _contents(scene: Scene) -> list[Option]:
    inside = scene.reader.rows.find(rows.LotRow, parent=lot_of(scene).subject) if lot_of(scene).contents else []
    return lot_options(scene.reader, inside[:MAX_OPTIONS], chosen=True)


def _dispositions(scene: Scene) -> list[Option]:
    """What is in quarantine cannot be handed on."""
    apart = lot_of(scene).state == LotState.QUARANTINED
    [declared] = [one for one in FORMS["scrapLot"].fields if one.name == "disposition"]
    return [one for one in acts.list_declared(declared, scene) if not (apart and one.value in _HANDED)]


def _is_divisible(scene: Scene) -> bool:
    return _may_convert(scene) and lot_of(scene).quantity > 1


def _may_pack(scene: Scene) -> bool:
    return _is_mine(scene, LotState.HELD) and len(held_lots(scene, 2)) > 1  # it is one of them itself


# Conversions: one or several lots become another thing, as in machining, mixing and assembly.


def _may_convert(scene: Scene) -> bool:
    return _is_mine(scene, LotState.HELD) and not lot_of(scene).contents


def _whole(scene: Scene) -> str:
    return str(lot_of(scene).quantity)


def _list_mates(scene: Scene) -> list[Option]:
    return lot_options(scene.reader, mates(scene))


def _components(scene: Scene) -> list[Option]:
    """Lots of the company that can be built in whole: of no order or of the lot's."""
    row = lot_of(scene)
    free = [one for one in held_lots(scene) if one.subject != row.subject and one.order in (None, row.order)]
    return lot_options(scene.reader, [one for one in free if not one.contents][:MAX_OPTIONS])


def _convert(body: Body, scene: Scene) -> Body:
    """The yield is what goes in, against what comes of it. Raises EntryError for a lot that is named in both lists."""
    row, used, made = lot_of(scene), int(body.pop("used")), int(body.pop("made"))
    more, built_in = set(body.pop("lots", [])), set(body.pop("components", []))
    if more & built_in:
        raise EntryError("entry.twice")
    found = [one for one in mates(scene) if _name(one) in more]
    parts = [one for one in held_lots(scene) if _name(one) in built_in]
    inputs = [_input(row, used), *(_input(one, one.quantity) for one in found)]
    inputs += [{**_input(one, one.quantity), "component": True} for one in parts]
    output = {"identifier": body.pop("identifier"), "quantity": made, "unit": body["unit"]}
    yields = {"yield_in": used + sum(one.quantity for one in found), "yield_out": made}
    lots = {"inputs": sorted(inputs, key=lambda one: str(one["lot"])), "outputs": [output]}
    whole = _transformation(scene, "conversion", output_unit=body.pop("unit"), **lots, **yields)
    return {**whole, **in_order(body, scene)}


def _name(row: rows.LotRow) -> str:
    return f"0x{row.subject.hex()}"


STAGED = (
    stage("receiveLot"),
    # An offer is answered before anything else is done.
    stage("acceptCustody", _is_offered),
    stage("declineCustody", _is_offered),
    stage("complain", _was_handed_over, complete=_complain),
    stage("offerCustody", _mine(LotState.HELD), options={"to": _receivers}),
    stage("withdrawCustody", _mine(LotState.OFFERED, LotState.RETURNING)),
    stage("reworkLot", _may_rework, options={"operation": _operations}, complete=in_order),
    stage(
        "returnLot",
        _may_return,
        initial={"note": _reason_of_return},
        tells=_tell_maker,
        awaited=lambda scene: goes_back(_reason(scene)) and _may_return(scene),
    ),
    stage("releaseLot", _may_release),
    stage("splitLot", _is_divisible, complete=_split),
    stage(
        "mergeLots",
        lambda scene: _may_convert(scene) and bool(mates(scene)),
        options={"lots": _list_mates},
        complete=_merge,
    ),
    stage("packLots", _may_pack, options={"lots": _packable}, complete=sort_lots),
    stage(
        "unpackLots",
        lambda scene: _is_mine(scene, LotState.HELD, LotState.QUARANTINED) and bool(lot_of(scene).contents),
        options={"lots": _contents},
        complete=sort_lots,
    ),
    stage("deallocateLot", _may_unbind),
    stage("waiveGate", _may_waive, options={"inspector": _gates}),
    stage(
        "sendBack",
        lambda scene: _may_convert(scene) and _is_made_elsewhere(scene),
        complete=lambda body, _: {**body, "reason": {**body["reason"], **GOES_BACK}},
        tells=_tell_maker,
    ),
    stage("quarantineLot", _may_quarantine),
    stage(
        "scrapLot",
        lambda scene: _is_mine(scene, LotState.HELD, LotState.QUARANTINED) and not lot_of(scene).contents,
        options={"disposition": _dispositions},
        initial={"quantity": _whole},
    ),
    stage(
        "convertLots",
        _may_convert,
        options={"lots": _list_mates, "components": _components, "operation": _operations},
        initial={"used": _whole, "unit": lambda scene: unit(lot_of(scene).unit)},
        complete=_convert,
    ),
)
