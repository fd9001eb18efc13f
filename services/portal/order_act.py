"""The last steps of the order wizard: the terms of an order for a configured product, and placing it."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from millmark.ledger import canonical, claims, errors
from millmark.ledger.products import Configuration, Product, build_order_document, money, verify_specification
from millmark.ledger.records import ModelState, Role
from millmark.ledger.store.rows import ModelRow, OrderRow, ParticipantRow, gates_of
from millmark.ledger.verify.printable import printable
from millmark.services.acts import Body, EntryError
from millmark.services.planning.reading import find_claims
from millmark.services.portal.acting import acts, things
from millmark.services.portal.ordering import Arrival, earliest_of
from millmark.services.products import Catalogue

ORDER_PRODUCT = "orderProduct"
_MAX_OPTIONS = 64 * 1024
_COUNTED = re.compile(r"(.*?)([0-9]{1,9})")
_NUMBER = re.compile(r"[0-9]{1,12}")
_PIECE = "H87"
_MOST_LOOKED = 50
"""Most orders among which the last of the product is looked for: the document of each is read."""


def build_order_act(home: Path | None) -> acts.Staged:
    """`home`: the folder with the company's products and calendar."""
    return acts.stage(
        ORDER_PRODUCT,
        options={"coordinator": _coordinators, "gates": lambda scene: _gates(home, scene)},
        initial={"identifier": _suggest_name},
        complete=lambda body, _: _complete(home, body),
        tells=lambda filled, _: _tell(home, filled),
    )


def _complete(home: Path | None, body: Body) -> Body:
    """The body of the order. Raises EntryError if the product or its options are not what they were."""
    made = _configured(home, str(body.pop("product")), str(body.pop("options")))
    gates, terms = _read_gates(body.pop("gates", [])), body["terms"]
    if any(gate["inspector"] == terms["coordinator"] for gate in gates):
        raise EntryError("entry.gate_coordinator")
    terms |= {"operations": len(made.operations), "claims": build_order_document(made), "gates": gates, "unit": _PIECE}
    return body


def _configured(home: Path | None, digest: str, options: str) -> Configuration:
    """Raises EntryError."""
    if not re.fullmatch("[0-9a-f]{64}", digest) or len(options) > _MAX_OPTIONS:
        raise EntryError("entry.product_gone")
    product = Catalogue(home).find_digest(bytes.fromhex(digest))
    if product is None:
        raise EntryError("entry.product_gone")
    try:
        found: object = json.loads(options)
        if not isinstance(found, dict):
            raise EntryError("entry.options_wrong")
        return verify_specification(product, found)
    except (ValueError, RecursionError, errors.SpecificationError):
        raise EntryError("entry.options_wrong") from None


def _tell(home: Path | None, filled: things.Filled) -> Sequence[things.Line]:
    """What is being ordered, what it costs, and when it can be ready."""
    try:
        made = _configured(home, _one(filled, "product"), _one(filled, "options"))
    except EntryError:
        return ()
    product = made.product
    lines = [
        things.Line("product", (things.Value("names", product.names),)),
        things.Line("options", tuple(_options(made))),
        things.Line("price", (things.Value("text", money(made.price, product.currency)),)),
    ]
    if not filled.get("gates"):
        lines.append(things.Line("gates", (things.Value("said", "act.gates.none"),)))
    return (*lines, *_arrival(earliest_of(home, made)))


def _options(made: Configuration) -> Iterable[things.Value]:
    for option in made.product.options:
        value = made.options[option.key]
        if value == "":
            continue
        names = next((one.names for one in getattr(option, "choices", ()) if one.value == value), None)
        yield things.Value("option", (option.names, names or {"en": f"{value} {getattr(option, 'unit', '')}".strip()}))


def _arrival(arrival: Arrival) -> Iterable[things.Line]:
    return () if arrival.at is None else (things.Line("ready_at", (things.Value("moment", arrival.at),)),)


def _coordinators(scene: things.Scene) -> Sequence[things.Option]:
    return _companies(scene, Role.COORDINATOR)


def _companies(scene: things.Scene, role: Role) -> Sequence[things.Option]:
    """Those that may act, by name; the company itself last."""
    rows = scene.reader.rows.find(ParticipantRow, suspended=False)
    found = [scene.reader.party(row.number) for row in rows if Role(row.roles) & role and not row.departed]
    found.sort(key=lambda one: (one.participant == scene.company, one.name or "", one.participant))
    return [
        things.Option(str(one.participant), one.name or f"{one.participant}", chosen=len(found) == 1) for one in found
    ]


def _gates(home: Path | None, scene: things.Scene) -> Sequence[things.Option]:
    """Inspectors, each by procedure, and on each of its approved models. Chosen are those of the company's last order
    of the product; without one, the only inspector there is, on its newest model."""
    found = []
    inspectors = _companies(scene, Role.INSPECTOR)
    for one in inspectors:
        found.append(things.Option(one.value, one.text))
        models = scene.reader.rows.find(ModelRow, inspector=int(one.value), state=int(ModelState.APPROVED))
        for row in models[-20:]:
            values = {"name": printable(one.text), "model": row.number}
            found.append(things.Option(f"{one.value}:{row.number}", key="act.gate.model", values=values))
    last = _last_order(home, scene)
    if last is not None:
        usual = {f"{gate.inspector}:{gate.model}" if gate.model else str(gate.inspector) for gate in gates_of(last)}
    else:
        # The only coordinator cannot be a gate's inspector as well.
        busy = {one.value for one in _coordinators(scene) if one.chosen}
        usual = {found[-1].value} if len(inspectors) == 1 and inspectors[0].value not in busy else set()
    return [replace(one, chosen=one.value in usual) for one in found]


def _last_order(home: Path | None, scene: things.Scene) -> OrderRow | None:
    """The company's latest order of the product that the form is about, at whatever price; None if it has none among
    its latest."""
    digest = _one(scene.filled, "product")
    product = Catalogue(home).find_digest(bytes.fromhex(digest)) if re.fullmatch("[0-9a-f]{64}", digest) else None
    if product is None:
        return None
    rows = scene.reader.rows.latest(OrderRow, "sequence", _MOST_LOOKED, buyer=scene.company)
    return next((row for row in rows if _orders(scene, row, product)), None)


def _orders(scene: things.Scene, row: OrderRow, product: Product) -> bool:
    """Whether the document of an order names the product, or one of its name with other options or prices."""
    document = find_claims(scene.reader.book, row.claims_root)
    fields = () if document is None else document.fields
    shown = {path: field.value for path, field in fields if isinstance(field, claims.Field)}
    if shown.get(("specification", "product")) == f"0x{product.digest.hex()}":
        return True
    try:
        ordered = json.loads(str(shown.get(("product",), "")))
    except (ValueError, RecursionError):
        return False
    return isinstance(ordered, dict) and ordered.get("product") == product.product


def _read_gates(gates: Iterable[str]) -> list[dict[str, canonical.Json]]:
    """As the contract wants them: by ascending inspector. Raises EntryError for an inspector with several."""
    found: dict[int, dict[str, canonical.Json]] = {}
    for text in gates:
        inspector, _, model = text.partition(":")
        if not _NUMBER.fullmatch(inspector) or (model and not _NUMBER.fullmatch(model)) or int(inspector) in found:
            raise EntryError("entry.gates")
        gate: dict[str, canonical.Json] = {"inspector": int(inspector)}
        found[int(inspector)] = {**gate, "model": int(model)} if model else gate
    return [found[inspector] for inspector in sorted(found)]


def _suggest_name(scene: things.Scene) -> str:
    """The name after the company's latest order's, if that ends in a number; else one that nobody else has."""
    rows = scene.reader.rows.latest(OrderRow, "sequence", 1, buyer=scene.company)
    identifier = scene.reader.identifier(rows[0].subject) if rows else None
    counted = None if identifier is None else _COUNTED.fullmatch(identifier)
    # A GS1 key has a check digit, so the next number is not a key.
    if counted is not None and cast("str", identifier).startswith("urn:"):
        return f"{counted[1]}{int(counted[2]) + 1:0{len(counted[2])}d}"
    return f"urn:uuid:{uuid.uuid4()}"


def _one(filled: things.Filled, name: str) -> str:
    return next(iter(filled.get(name, ())), "")
