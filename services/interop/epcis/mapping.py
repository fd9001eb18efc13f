"""Mapping of EPCIS events to ledger records. What cannot be mapped stays evidence only.

| event | records |
|---|---|
| ObjectEvent ADD | `ReceiveLot` for every EPC (quantity 1, unit C62) and every lot with a quantity, as stated |
| ObjectEvent DELETE | `ScrapLot` for the lots it names: sold if the disposition is retail_sold or dispensed, lost if it
  is stolen or unknown, otherwise scrapped |
| ObjectEvent OBSERVE, shipping | `OfferCustody` to the participant that is the only new possessor (else owner), one
  for each lot it names that is not packed in another of them, with all that is packed in it |
| the same, of a quarantined lot that goes to its maker | `ReturnLot` |
| ObjectEvent OBSERVE, receiving | `AcceptCustody`, one for each such lot that is offered |
| AggregationEvent, AssociationEvent ADD, DELETE | `PackLots`, `UnpackLots` for parent and children |
| TransformationEvent | `TransformLots`, a conversion of the inputs into the outputs, whose yield is their quantities |
| other ObjectEvent OBSERVE | `Note`, an observation on all known lots that it names |
| TransactionEvent | none: the ledger has no such record |

A transformation's inputs are conserved if they have one unit; what comes out in that unit, beside another, is what was
left. Inputs of several units are components, except those in the only unit of the outputs. With other mixtures it is
not clear what was made of what.

An event names neither order nor operation. So nothing is commissioned under an assignment, and a lot that belongs to an
order is never transformed by an event; its maker records that. Nor do records follow from classes without a lot number,
parts of a lot, unknown lots, quantities that are not a whole number of a unit, error declarations, and transformations
spread over several events. Every such reason is reported; the event is stored as evidence in any case.

Records are proposals: nothing is signed or sent here, and the ledger may refuse them. The gateway records them if the
caller requests it (millmark.services.gateway.epcis.capture).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from typing import Final

from millmark.ledger import records
from millmark.ledger.canonical import Json, to_hex
from millmark.ledger.claims import Claims, build_claims
from millmark.ledger.errors import IdentifierError
from millmark.ledger.ids import Identity, canonical_identifier, identifier_hash, parse_digital_link
from millmark.ledger.records import Item, Record
from millmark.services.interop.epcis.schema import ACTIONS

_ONE: Final = "C62"
"""Unit of a serialised thing: one (UN/ECE Recommendation 20)."""
_FINER: Final = {"KGM": "GRM", "LTR": "MLT", "MTR": "MMT"}
"""For each unit, the unit that is a thousandth of it."""
_NONE: Final = bytes(32)
_OBSERVED: Final = ("ObjectEvent", "OBSERVE")
_MOVES: Final = ("shipping", "receiving")
_MAX_SUBJECTS: Final = 64
"""Notes.MOST_SUBJECTS."""
_LEFT: Final = {
    "retail_sold": records.Disposition.SOLD,
    "dispensed": records.Disposition.SOLD,
    "stolen": records.Disposition.LOST,
    "unknown": records.Disposition.LOST,
}
"""How a quantity left, by the event's disposition."""
_SINGLES: Final = ("epcList", "childEPCs", "inputEPCList", "outputEPCList")
_SEVERAL: Final = ("quantityList", "inputQuantityList", "outputQuantityList")


@dataclass(frozen=True, slots=True)
class Known:
    """The lots and participants that the sender's events can name. All identifiers are canonical."""

    lots: Mapping[str, Item] = field(default_factory=dict)
    """Usable lots, with their orders, by identifier."""
    participants: Mapping[str, int] = field(default_factory=dict)
    """Participants by the identifier of a party or place."""
    contents: Mapping[bytes, tuple[Item, ...]] = field(default_factory=dict)
    """What is packed directly in a lot, by its subject."""
    offers: Mapping[bytes, int] = field(default_factory=dict)
    """The offer that stands, by the lot's subject."""
    returnable: Mapping[bytes, tuple[int, bytes]] = field(default_factory=dict)
    """Maker and identifier hash of quarantined lots, by subject."""
    taken: Collection[str] = ()
    """Identifiers that lots already have, including lots whose record is queued or was refused."""
    name: Callable[[str], Identity] | None = None
    """Names a new lot of the company whose records are made; None if events are stored as evidence only."""

    def after(self, proposal: Proposal) -> Known:
        """These names plus those of a proposal. If that is recorded, its lots and packings are usable by the next event
        at once, because records are sent in order."""
        if not proposal.records:
            return self
        lots = {name: Item(identity.subject, _NONE) for name, identity in proposal.names.items()}
        contents = dict(self.contents)
        for record in proposal.records:
            if isinstance(record, (records.PackLots, records.UnpackLots)):
                contents[record.parent] = self._packed(record)
        lots = {**self.lots, **lots}
        return replace(self, lots=lots, contents=contents, taken={*self.taken, *proposal.names})

    def _packed(self, record: records.PackLots | records.UnpackLots) -> tuple[Item, ...]:
        """What is in the parent after the record."""
        left = tuple(item for item in self.contents.get(record.parent, ()) if item.lot not in record.lots)
        if isinstance(record, records.UnpackLots):
            return left
        return (*left, *(item for item in self.lots.values() if item.lot in record.lots))


@dataclass(frozen=True, slots=True)
class Proposal:
    """The records that follow from one event, with the secrets that open their hashes."""

    records: tuple[Record, ...]
    names: Mapping[str, Identity]
    """Identities of the new lots, by identifier."""
    claims: Claims | None
    """Document that all claims roots and reason roots of the records commit to; None without records."""
    evidence_only: tuple[str, ...]
    """Why parts of the event, or all of it, led to no record."""

    def to_json(self) -> Json:
        """The secrets that must be stored so that the records can be opened later."""
        if self.claims is None:
            return {}
        salts: Json = {name: identity.salt.hex() for name, identity in self.names.items()}
        return {"salts": salts, "claims": self.claims.to_json()}


class _Unmapped(Exception):  # noqa: N818 - an outcome, not an error
    """Carries the reason why something maps to no record."""


@dataclass(slots=True)
class _Draft:
    """An unfinished proposal."""

    known: Known
    event_hash: str
    records: list[Record] = field(default_factory=list)
    names: dict[str, Identity] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    claims: Claims | None = None
    _root: bytes = b""

    @property
    def root(self) -> bytes:
        """The claims root for every record; the claims are built when the first record needs it."""
        if self.claims is None:
            self.claims = build_claims({"event": self.event_hash, "source": "EPCIS 2.0"})
            self._root = self.claims.root
        return self._root

    def lot(self, epc: str) -> Item:
        name = _identifier(epc)
        found = self.known.lots.get(name)
        if found is None and name in self.known.taken:
            raise _Unmapped(
                f"{epc[:120]}: the record of a lot with that identifier is queued or was refused; "
                "once the lot is on the ledger, send the event again to have it recorded"
            )
        if found is None:
            raise _Unmapped(f"{epc[:120]}: no lot with that identifier is known here")
        return found

    def new(self, epc: str) -> bytes:
        """Names a new lot and returns its identifier hash."""
        name = _identifier(epc)
        if name in self.known.lots or name in self.known.taken or name in self.names:
            raise _Unmapped(f"{epc[:120]}: a lot already has that identifier")
        if name.startswith("https://id.gs1.org/01/") and len(parse_digital_link(name).elements) == 1:
            raise _Unmapped(f"{epc[:120]} identifies a kind of thing, not a lot")
        if self.known.name is None:
            raise _Unmapped(f"{epc[:120]}: a new lot is named by its company's gateway, when records are made there")
        identity = self.names[name] = self.known.name(name)
        return identifier_hash(identity.salt, name)


def propose(event: Mapping[str, Json], event_hash: str, known: Known) -> Proposal:
    """The records that follow from a valid event, by the table above. An event without records raises no error: the
    proposal then has reasons only."""
    draft = _Draft(known, event_hash)
    try:
        if "errorDeclaration" in event:
            raise _Unmapped("the event is an error declaration: a person must correct the record that it is about")
        kind = (str(event["type"]), str(event.get("action", "")))
        build = _BUILDERS.get(kind)
        if build is None:
            raise _Unmapped(_UNRECORDED.get(kind, "the ledger has no record for this kind of event"))
        build(event, draft)
    except _Unmapped as reason:
        draft.reasons.append(str(reason))
    # Names of lots without a record are dropped: there is nothing that they could name.
    if not draft.records:
        return Proposal((), {}, None, tuple(draft.reasons))
    return Proposal(tuple(draft.records), draft.names, draft.claims, tuple(draft.reasons))


def names_of(event: Mapping[str, Json]) -> set[str]:
    """Canonical identifiers of the lots that the records of a valid event depend on; empty for an event without
    records."""
    kind = (str(event["type"]), str(event.get("action", "")))
    if kind not in _BUILDERS:
        return set()
    singles = [epc for name in _SINGLES for epc in _texts(event, name)]
    several = [str(one["epcClass"]) for name in _SEVERAL for one in _quantities(event, name)]
    found = set()
    parent = [str(event["parentID"])] if "parentID" in event else []
    for epc in [*singles, *several, *parent]:
        # `propose` reports such a name; here it only means that there is nothing to look up.
        with suppress(_Unmapped):
            found.add(_identifier(epc))
    return found


def _word(event: Mapping[str, Json], member: str) -> str:
    """A value of the Core Business Vocabulary, without its namespace."""
    return str(event.get(member, "")).rpartition("-")[2]


def _identifier(epc: str) -> str:
    try:
        return canonical_identifier(epc)
    except IdentifierError as error:
        raise _Unmapped(f"{epc[:120]}: {error.cause}") from None


def _texts(event: Mapping[str, Json], name: str) -> list[str]:
    found = event.get(name, ())
    return [str(item) for item in found] if isinstance(found, (list, tuple)) else []


def _quantities(event: Mapping[str, Json], name: str) -> list[Mapping[str, Json]]:
    found = event.get(name, ())
    return [item for item in found if isinstance(item, dict)] if isinstance(found, (list, tuple)) else []


def _measure(element: Mapping[str, Json]) -> tuple[int, str]:
    """Quantity and unit of a quantity element, as a whole number; in a finer unit if that makes it whole."""
    epc, quantity, unit = str(element["epcClass"]), element.get("quantity"), str(element.get("uom", _ONE))
    if quantity is None:
        raise _Unmapped(f"{epc[:120]}: the quantity is missing")
    # Decimal, since a float of 0.1 kg times 1000 need not be a whole number of grams.
    amount = Decimal(str(quantity))
    if amount % 1 and unit in _FINER:
        amount, unit = amount * 1000, _FINER[unit]
    if amount % 1 or not 0 < amount < 1 << 40:
        raise _Unmapped(f"{epc[:120]}: {quantity} {unit} is not a whole number from 1 to 2^40 - 1 in any usable unit")
    return int(amount), unit


def _unit(code: str) -> bytes:
    return code.encode().ljust(3, b"\0")


def _each(draft: _Draft, items: Sequence[Callable[[], Record]]) -> None:
    """Adds the record of every item; an item without a record adds its reason and does not stop the others."""
    for item in items:
        try:
            draft.records.append(item())
        except _Unmapped as reason:
            draft.reasons.append(str(reason))


def _receive(event: Mapping[str, Json], draft: _Draft) -> None:
    def single(epc: str) -> Record:
        return records.ReceiveLot(draft.new(epc), 1, _unit(_ONE), draft.root)

    def several(element: Mapping[str, Json]) -> Record:
        quantity, unit = _measure(element)
        return records.ReceiveLot(draft.new(str(element["epcClass"])), quantity, _unit(unit), draft.root)

    _each(draft, [partial(single, epc) for epc in _texts(event, "epcList")])
    _each(draft, [partial(several, one) for one in _quantities(event, "quantityList")])


def _scrap(event: Mapping[str, Json], draft: _Draft) -> None:
    disposition = _LEFT.get(_word(event, "disposition"), records.Disposition.SCRAPPED)

    def single(epc: str) -> Record:
        return records.ScrapLot(draft.lot(epc).lot, 1, disposition, draft.root)

    def several(element: Mapping[str, Json]) -> Record:
        lot = draft.lot(str(element["epcClass"])).lot
        return records.ScrapLot(lot, _measure(element)[0], disposition, draft.root)

    _each(draft, [partial(single, epc) for epc in _texts(event, "epcList")])
    _each(draft, [partial(several, one) for one in _quantities(event, "quantityList")])


def _observe(event: Mapping[str, Json], draft: _Draft) -> None:
    step = _word(event, "bizStep")
    if step not in _MOVES:
        _note(event, draft)
        return
    if _quantities(event, "quantityList"):
        raise _Unmapped("custody can only be transferred for whole lots, not for quantities")
    consignments = _consignments([draft.lot(epc) for epc in _texts(event, "epcList")], draft.known)
    if not consignments:
        raise _Unmapped("the event names no EPC")
    if step == "receiving":
        _each(draft, [partial(_accept, draft, items) for items in consignments])
    else:
        to = _receiver(event, draft.known)
        draft.records += [_offer(draft, items, to) for items in consignments]


def _accept(draft: _Draft, items: tuple[Item, ...]) -> Record:
    offer = draft.known.offers.get(items[0].lot)
    if offer is None:
        raise _Unmapped(f"lot {to_hex(items[0].lot)} is not offered, as far as is known here")
    return records.AcceptCustody(items, offer, draft.root)


def _offer(draft: _Draft, items: tuple[Item, ...], to: int) -> Record:
    """Out of quarantine a lot goes back to its maker only."""
    lot = items[0].lot
    maker, hashed = draft.known.returnable.get(lot, (0, b""))
    return (
        records.ReturnLot(lot, maker, hashed, draft.root)
        if maker == to
        else records.OfferCustody(items, to, draft.root)
    )


def _note(event: Mapping[str, Json], draft: _Draft) -> None:
    """One observation on all lots that are known; of the others, the reason is reported."""
    lots: dict[bytes, bytes] = {}
    for epc in (*_texts(event, "epcList"), *(str(one["epcClass"]) for one in _quantities(event, "quantityList"))):
        try:
            item = draft.lot(epc)
            lots[item.lot] = item.order
        except _Unmapped as reason:
            draft.reasons.append(str(reason))
    named = sorted(lots)
    for start in range(0, len(named), _MAX_SUBJECTS):
        part = tuple(named[start : start + _MAX_SUBJECTS])
        # The order is what a party of it shows; the custodian, whose events these mostly are, need show nothing.
        grounds = tuple(lots[lot] for lot in part)
        draft.records.append(records.Note(part, grounds, records.NoteKind.OBSERVATION, 0, draft.root))


def _consignments(named: Sequence[Item], known: Known) -> list[tuple[Item, ...]]:
    """One consignment for each lot that is not packed in another one: the contract takes each with all its contents."""
    whole = {item.lot: _unfold(item, known, set()) for item in named}
    inside = {item.lot for items in whole.values() for item in items[1:]}
    return [items for lot, items in sorted(whole.items()) if lot not in inside]


def _unfold(item: Item, known: Known, seen: set[bytes]) -> tuple[Item, ...]:
    """A lot and all that is packed in it, each followed by its own contents, ascending."""
    seen.add(item.lot)  # events can pack lots in a circle, which the contract refuses
    inner = sorted((one for one in known.contents.get(item.lot, ()) if one.lot not in seen), key=lambda one: one.lot)
    return (item, *(part for one in inner for part in _unfold(one, known, seen)))


def _receiver(event: Mapping[str, Json], known: Known) -> int:
    destinations = _quantities(event, "destinationList")
    # Custody follows possession; the owner counts only if no possessor is named.
    for kind in ("possessing_party", "owning_party"):
        found = [str(one["destination"]) for one in destinations if str(one["type"]).rpartition("-")[2] == kind]
        if len(found) == 1:
            participant = known.participants.get(_identifier(found[0]))
            if participant is None:
                raise _Unmapped(f"{found[0][:120]}: no participant with that identifier is known here")
            return participant
    raise _Unmapped("the event does not name exactly one party to ship to")


def _grouped(event: Mapping[str, Json], draft: _Draft) -> None:
    if _quantities(event, "childQuantityList"):
        raise _Unmapped("the event packs quantities of lots; the ledger packs whole lots only")
    children = tuple(sorted(draft.lot(epc).lot for epc in _texts(event, "childEPCs")))
    if not children or "parentID" not in event:
        raise _Unmapped("the event does not name both a parent and children")
    record = records.PackLots if event["action"] == "ADD" else records.UnpackLots
    draft.records.append(record(draft.lot(str(event["parentID"])).lot, children))


def _transform(event: Mapping[str, Json], draft: _Draft) -> None:
    if "transformationID" in event:
        raise _Unmapped("the event is one of several events about a transformation, and lacks some inputs or outputs")
    inputs, outputs = _side(event, "input"), _side(event, "output")
    unit, output_unit = _units({unit for _, _, unit in inputs}, {unit for _, _, unit in outputs})
    known = [(draft.lot(epc), quantity, of) for epc, quantity, of in inputs]
    # The contract takes lots in ascending order.
    taken = sorted(
        (records.Input(item.lot, item.order, quantity, component=of != unit) for item, quantity, of in known),
        key=lambda one: one.lot,
    )
    if any(one.order != _NONE for one in taken):
        raise _Unmapped(
            "a lot that belongs to an order is processed under an assignment, and the lot's maker records that"
        )
    left = 0 if unit == output_unit else sum(quantity for _, quantity, of in outputs if of == unit)
    conserved = sum(one.quantity for one in taken if not one.component)
    if left >= conserved:
        raise _Unmapped(f"{left} {unit} come out of {conserved} {unit}, beside something else")
    draft.records.append(
        records.TransformLots(
            records.Transformation(
                kind=records.TransformationKind.CONVERSION,
                order=_NONE,
                operation=0,
                unit=_unit(unit),
                output_unit=_unit(output_unit),
                loss=0,
                yield_in=conserved - left,
                yield_out=sum(quantity for _, quantity, of in outputs if of == output_unit),
                claims_root=draft.root,
                inputs=tuple(taken),
                outputs=tuple(
                    records.Output(draft.new(epc), quantity, _unit(of), draft.root) for epc, quantity, of in outputs
                ),
            )
        )
    )


def _side(event: Mapping[str, Json], side: str) -> list[tuple[str, int, str]]:
    """EPC, quantity and unit of all inputs or outputs."""
    measured = [(str(one["epcClass"]), *_measure(one)) for one in _quantities(event, f"{side}QuantityList")]
    return [*((epc, 1, _ONE) for epc in _texts(event, f"{side}EPCList")), *measured]


def _units(taken: set[str], made: set[str]) -> tuple[str, str]:
    """The unit of the conserved inputs, and that of the outputs for which the yield is stated."""
    if len(taken) == 1:
        (unit,) = taken
        others = made - taken
        if made and len(others) <= 1:
            return unit, next(iter(others), unit)
    elif len(made) == 1 and made <= taken:
        (unit,) = made
        return unit, unit
    raise _Unmapped("several units on one side, and it is not clear what was made of what")


_BUILDERS: Final[Mapping[tuple[str, str], Callable[[Mapping[str, Json], _Draft], None]]] = {
    ("ObjectEvent", "ADD"): _receive,
    ("ObjectEvent", "DELETE"): _scrap,
    _OBSERVED: _observe,
    ("AggregationEvent", "ADD"): _grouped,
    ("AggregationEvent", "DELETE"): _grouped,
    ("AssociationEvent", "ADD"): _grouped,
    ("AssociationEvent", "DELETE"): _grouped,
    ("TransformationEvent", ""): _transform,
}
_UNRECORDED: Final[Mapping[tuple[str, str], str]] = {
    ("AggregationEvent", "OBSERVE"): "the ledger has no record of things that are only seen together",
    ("AssociationEvent", "OBSERVE"): "the ledger has no record of things that are only seen together",
    **{("TransactionEvent", action): "the ledger has no record of a business transaction" for action in ACTIONS},
}
"""Kinds of event with an action from which no record follows, and why."""
