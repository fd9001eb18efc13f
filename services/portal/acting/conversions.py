"""Conversions: one or several lots become another thing, as in machining, mixing and assembly."""

from __future__ import annotations

from millmark.ledger.provenance.reader import unit
from millmark.ledger.records import LotState
from millmark.ledger.store.rows import LotRow
from millmark.services.portal.acting.acts import Act
from millmark.services.portal.acting.choices import MAX_OPTIONS, held_lots, lot_options
from millmark.services.portal.acting.fields import Body, EntryError, Field, FieldKind, Option
from millmark.services.portal.acting.lots import OPERATION, in_order, lot_of, mates
from millmark.services.portal.acting.orders import NOTE
from millmark.services.portal.acting.things import About, Scene

__all__ = ["CONVERSION_ACTS"]


def _may_convert(scene: Scene) -> bool:
    row = lot_of(scene)
    held = row.custodian == scene.company and row.parent is None and row.state == LotState.HELD
    return held and not row.contents


def _with(scene: Scene) -> list[Option]:
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
    found = [row, *(one for one in mates(scene) if _name(one) in more)]
    parts = [one for one in held_lots(scene) if _name(one) in built_in]
    inputs = [{"lot": _name(one), "quantity": one.quantity, "component": False} for one in found]
    inputs[0]["quantity"] = used
    inputs += [{"lot": _name(one), "quantity": one.quantity, "component": True} for one in parts]
    going_in = used + sum(one.quantity for one in found[1:])
    order = {} if row.order is None else {"order": f"0x{row.order.hex()}"}
    output_unit = body.pop("unit")
    output = {"identifier": body.pop("identifier"), "quantity": made, "unit": output_unit}
    return {
        "kind": "conversion",
        "unit": unit(row.unit),
        "output_unit": output_unit,
        "loss": 0,
        "yield_in": going_in,
        "yield_out": made,
        "inputs": sorted(inputs, key=lambda one: str(one["lot"])),
        "outputs": [output],
        **order,
        **in_order(body, scene),
    }


def _name(row: LotRow) -> str:
    return f"0x{row.subject.hex()}"


def _quantity(scene: Scene) -> str:
    return str(lot_of(scene).quantity)


CONVERSION_ACTS = (
    Act(
        "transformLots",
        About.LOT,
        (
            Field("used", FieldKind.NUMBER, initial=_quantity),
            Field("lots", FieldKind.MANY, required=False, options=_with, label="converted"),
            Field("components", FieldKind.MANY, required=False, options=_components),
            Field("identifier"),
            Field("made", FieldKind.NUMBER),
            Field("unit", initial=lambda scene: unit(lot_of(scene).unit)),
            OPERATION,
            NOTE,
        ),
        offered=_may_convert,
        complete=_convert,
        called="convertLots",
    ),
)
