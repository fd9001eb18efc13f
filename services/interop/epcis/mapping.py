"""Which ledger records follow from an EPCIS event, and what stays evidence alone.

| event | records |
|---|---|
| ObjectEvent ADD | `ReceiveLot` of every EPC (quantity 1, unit C62) and every lot with a quantity, on its word |
| ObjectEvent DELETE | `ScrapLot` of the lots it names |
| ObjectEvent OBSERVE, shipping | `OfferCustody` to the participant that is the one new possessor (else owner) |
| ObjectEvent OBSERVE, receiving | `AcceptCustody` of the lots it names |
| AggregationEvent, AssociationEvent ADD, DELETE | `PackLots`, `UnpackLots` of parent and children |
| TransformationEvent | `TransformLots`, a conversion: what goes in, what comes out, one unit on either side |
| TransactionEvent, other OBSERVE | none: the ledger has no record for it |

An event says neither order nor operation, so nothing is commissioned under an assignment, and a lot that belongs to an
order is never transformed from an event: its maker records that. Classes without a lot number, parts of a lot, lots
that are not known here, quantities that are no whole number of a unit, declarations of error and transformations spread
over several events give no record either. Each such reason is told; the event is evidence in every case.

A record is a proposal: nothing is signed or sent here, and the ledger may refuse it. The gateway records it when the
caller asks for it (services.gateway.epcis.recording).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from typing import Final, cast

from ledger.canonical import Json
from ledger.claims import Claims, build_claims
from ledger.errors import IdentifierError
from ledger.ids import SubjectKind, canonical_identifier, identifier_hash, new_salt, parse_digital_link, subject
from ledger.records import (
    AcceptCustody,
    Input,
    Item,
    OfferCustody,
    Output,
    PackLots,
    ReceiveLot,
    Record,
    ScrapLot,
    Transformation,
    TransformationKind,
    TransformLots,
    UnpackLots,
)

__all__ = ["Known", "Proposal", "names_of", "propose"]

_ONE: Final = "C62"
"""Unit of a serialised thing (UN/ECE Recommendation 20)."""
_FINER: Final = {"KGM": "GRM", "LTR": "MLT", "MTR": "MMT"}
"""Unit -> the one of which it holds a thousand."""
_NONE: Final = bytes(32)
_OBSERVED: Final = ("ObjectEvent", "OBSERVE")
_MOVES: Final = ("shipping", "receiving")
_SINGLES: Final = ("epcList", "childEPCs", "inputEPCList", "outputEPCList")
_SEVERAL: Final = ("quantityList", "inputQuantityList", "outputQuantityList")


@dataclass(frozen=True, slots=True)
class Known:
    """What this participant can name on the ledger. Identifiers are canonical."""

    lots: Mapping[str, Item] = field(default_factory=dict)
    """Identifier -> lot, with its order."""
    participants: Mapping[str, int] = field(default_factory=dict)
    """Identifier of a party or place -> participant."""
    taken: Collection[str] = ()
    """Names that lots have already, also lots that are still on their way to the ledger."""
    creator: int | None = None
    """In whose name records are made; None where none are, and events are evidence alone."""

    def after(self, proposal: Proposal) -> Known:
        """With the lots that a proposal makes, where it is recorded: records go out in their order, so that the next
        event can use them at once."""
        if not proposal.salts:
            return self
        lots = {} if self.creator is None else {name: self._made(name, salt) for name, salt in proposal.salts.items()}
        return replace(self, lots={**self.lots, **lots}, taken={*self.taken, *proposal.salts})

    def _made(self, name: str, salt: bytes) -> Item:
        return Item(subject(SubjectKind.LOT, cast("int", self.creator), identifier_hash(salt, name)), _NONE)


@dataclass(frozen=True, slots=True)
class Proposal:
    """Records that follow from one event, with the secrets behind their hashes."""

    records: tuple[Record, ...]
    salts: Mapping[str, bytes]
    """New identifier -> salt of its hash."""
    claims: Claims | None
    """Document behind every claims or reason root in the records; none where there are no records."""
    evidence_only: tuple[str, ...]
    """What gave no record, and why."""

    def to_json(self) -> Json:
        """What must be kept so that the records can be sent and opened later; secret."""
        if self.claims is None:
            return {}
        return {"salts": {name: salt.hex() for name, salt in self.salts.items()}, "claims": self.claims.to_json()}


class _Unmapped(Exception):  # noqa: N818 - an outcome, not an error
    """Carries the reason for which something gives no record."""


@dataclass(slots=True)
class _Draft:
    """A proposal in the making."""

    known: Known
    event_hash: str
    records: list[Record] = field(default_factory=list)
    salts: dict[str, bytes] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    claims: Claims | None = None
    _root: bytes = b""

    @property
    def root(self) -> bytes:
        """Claims root of every record; the claims are made for the first."""
        if self.claims is None:
            self.claims = build_claims({"event": self.event_hash, "source": "EPCIS 2.0"})
            self._root = self.claims.root
        return self._root

    def lot(self, epc: str) -> Item:
        name = _identifier(epc)
        found = self.known.lots.get(name)
        if found is None and name in self.known.taken:
            raise _Unmapped(
                f"{epc[:120]}: a lot of that name is on its way to the ledger, or was refused: "
                "send the event again when it is there, and it is recorded then"
            )
        if found is None:
            raise _Unmapped(f"{epc[:120]}: no lot of that name is known here")
        return found

    def new(self, epc: str) -> bytes:
        """The identifier hash of a lot that is not there yet."""
        name = _identifier(epc)
        if name in self.known.lots or name in self.known.taken or name in self.salts:
            raise _Unmapped(f"{epc[:120]}: a lot of that name is there already")
        if name.startswith("https://id.gs1.org/01/") and len(parse_digital_link(name).elements) == 1:
            raise _Unmapped(f"{epc[:120]}: names a kind of thing, not a lot")
        self.salts[name] = new_salt()
        return identifier_hash(self.salts[name], name)


def propose(event: Mapping[str, Json], event_hash: str, known: Known) -> Proposal:
    """The records that follow from a valid event, by the table above. Raises nothing for what gives none."""
    draft = _Draft(known, event_hash)
    try:
        if "errorDeclaration" in event:
            raise _Unmapped("a declaration of error: what it corrects is for a person to supersede")
        build = _BUILDERS.get((str(event["type"]), str(event.get("action", ""))))
        if build is None:
            raise _Unmapped("the ledger has no record for such an event")
        build(event, draft)
    except _Unmapped as reason:
        draft.reasons.append(str(reason))
    if not draft.records:
        return Proposal((), {}, None, tuple(draft.reasons))
    return Proposal(tuple(draft.records), draft.salts, draft.claims, tuple(draft.reasons))


def names_of(event: Mapping[str, Json]) -> set[str]:
    """Canonical identifiers of the lots on which the records of a valid event depend; empty where it has none."""
    kind = (str(event["type"]), str(event.get("action", "")))
    if kind not in _BUILDERS or (kind == _OBSERVED and _step(event) not in _MOVES):
        return set()
    singles = [epc for name in _SINGLES for epc in _texts(event, name)]
    several = [str(one["epcClass"]) for name in _SEVERAL for one in _quantities(event, name)]
    found = set()
    for epc in [*singles, *several, str(event.get("parentID", ""))]:
        with suppress(_Unmapped):
            found.add(_identifier(epc))
    return found


def _step(event: Mapping[str, Json]) -> str:
    return str(event.get("bizStep", "")).rpartition("-")[2]


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
    """Whole quantity and unit of a quantity element; a finer unit where that makes it whole."""
    epc, quantity, unit = str(element["epcClass"]), element.get("quantity"), str(element.get("uom", _ONE))
    if quantity is None:
        raise _Unmapped(f"{epc[:120]}: no quantity is given")
    amount = Decimal(str(quantity))
    if amount % 1 and unit in _FINER:
        amount, unit = amount * 1000, _FINER[unit]
    if amount % 1 or not 0 < amount < 1 << 40:
        raise _Unmapped(f"{epc[:120]}: {quantity} {unit} is no whole number of a unit that the ledger can hold")
    return int(amount), unit


def _unit(code: str) -> bytes:
    return code.encode().ljust(3, b"\0")


def _each(draft: _Draft, items: Sequence[Callable[[], Record]]) -> None:
    """Adds the record of every item that has one; one that has none does not stop the others."""
    for item in items:
        try:
            draft.records.append(item())
        except _Unmapped as reason:
            draft.reasons.append(str(reason))


def _receive(event: Mapping[str, Json], draft: _Draft) -> None:
    def single(epc: str) -> Record:
        return ReceiveLot(draft.new(epc), 1, _unit(_ONE), draft.root)

    def several(element: Mapping[str, Json]) -> Record:
        quantity, unit = _measure(element)
        return ReceiveLot(draft.new(str(element["epcClass"])), quantity, _unit(unit), draft.root)

    _each(draft, [partial(single, epc) for epc in _texts(event, "epcList")])
    _each(draft, [partial(several, one) for one in _quantities(event, "quantityList")])


def _scrap(event: Mapping[str, Json], draft: _Draft) -> None:
    def single(epc: str) -> Record:
        return ScrapLot(draft.lot(epc).lot, 1, draft.root)

    def several(element: Mapping[str, Json]) -> Record:
        lot = draft.lot(str(element["epcClass"])).lot
        return ScrapLot(lot, _measure(element)[0], draft.root)

    _each(draft, [partial(single, epc) for epc in _texts(event, "epcList")])
    _each(draft, [partial(several, one) for one in _quantities(event, "quantityList")])


def _observe(event: Mapping[str, Json], draft: _Draft) -> None:
    step = _step(event)
    if step not in _MOVES:
        raise _Unmapped("an observation: evidence of where things were, no change of state")
    if _quantities(event, "quantityList"):
        raise _Unmapped("custody passes for whole lots, not for quantities of them")
    items = tuple(sorted((draft.lot(epc) for epc in _texts(event, "epcList")), key=lambda item: item.lot))
    if not items:
        raise _Unmapped("the event names no thing")
    if step == "receiving":
        draft.records.append(AcceptCustody(items, draft.root))
    else:
        draft.records.append(OfferCustody(items, _receiver(event, draft.known), draft.root))


def _receiver(event: Mapping[str, Json], known: Known) -> int:
    destinations = _quantities(event, "destinationList")
    for kind in ("possessing_party", "owning_party"):
        found = [str(one["destination"]) for one in destinations if str(one["type"]).rpartition("-")[2] == kind]
        if len(found) == 1:
            participant = known.participants.get(_identifier(found[0]))
            if participant is None:
                raise _Unmapped(f"{found[0][:120]}: no participant of that name is known here")
            return participant
    raise _Unmapped("shipped, but to no single party")


def _grouped(event: Mapping[str, Json], draft: _Draft) -> None:
    if _quantities(event, "childQuantityList"):
        raise _Unmapped("quantities of lots are packed: the ledger packs whole lots")
    children = tuple(sorted(draft.lot(epc).lot for epc in _texts(event, "childEPCs")))
    if not children or "parentID" not in event:
        raise _Unmapped("parent or children are not named")
    record = PackLots if event["action"] == "ADD" else UnpackLots
    draft.records.append(record(draft.lot(str(event["parentID"])).lot, children))


def _transform(event: Mapping[str, Json], draft: _Draft) -> None:
    if "transformationID" in event:
        raise _Unmapped("one of several events of a transformation: its inputs and outputs are not all here")
    measured = [(str(one["epcClass"]), *_measure(one)) for one in _quantities(event, "inputQuantityList")]
    inputs = [*((epc, 1, _ONE) for epc in _texts(event, "inputEPCList")), *measured]
    measured = [(str(one["epcClass"]), *_measure(one)) for one in _quantities(event, "outputQuantityList")]
    outputs = [*((epc, 1, _ONE) for epc in _texts(event, "outputEPCList")), *measured]
    units = [{unit for _, _, unit in side} for side in (inputs, outputs)]
    if any(len(side) != 1 for side in units):
        raise _Unmapped("several units on one side: the ledger converts one unit into one other")
    lots = sorted(((draft.lot(epc), quantity) for epc, quantity, _ in inputs), key=lambda one: one[0].lot)
    if any(item.order != _NONE for item, _ in lots):
        raise _Unmapped("a lot of an order goes on under an assignment: its maker records that")
    draft.records.append(
        TransformLots(
            Transformation(
                kind=TransformationKind.CONVERSION,
                order=_NONE,
                operation=0,
                unit=_unit(units[0].pop()),
                output_unit=_unit(units[1].pop()),
                loss=0,
                yield_in=sum(quantity for _, quantity in lots),
                yield_out=sum(quantity for _, quantity, _ in outputs),
                claims_root=draft.root,
                inputs=tuple(Input(item.lot, quantity) for item, quantity in lots),
                outputs=tuple(Output(draft.new(epc), quantity, draft.root) for epc, quantity, _ in outputs),
            )
        )
    )


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
