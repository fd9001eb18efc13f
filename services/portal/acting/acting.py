"""Which acts there are for a caller, and judging and recording what a form says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from millmark.ledger.errors import InputError, NotFoundError
from millmark.ledger.provenance import open_reader
from millmark.ledger.provenance.cases import Doubts, find_doubts
from millmark.ledger.provenance.reader import Reader
from millmark.ledger.store import Store
from millmark.ledger.store.rows import LotRow
from millmark.services.access import Principal
from millmark.services.portal.acting import lots, orders, quality, things
from millmark.services.portal.acting.acts import Act, Acts, Entered, enter

# All acts of the portal.

ACTS = Acts(
    (
        *orders.ORDER_ACTS,
        *orders.ASSIGNMENT_ACTS,
        *lots.LOT_ACTS,
        *lots.CONVERSION_ACTS,
        *quality.QUALITY_ACTS,
        *quality.NOTE_ACTS,
        *quality.SETPOINT_ACTS,
        *quality.RECOVERY_ACTS,
    )
)


@dataclass(frozen=True, slots=True)
class Offer:
    """A button that leads to a form."""

    name: str
    """Name of the act; the catalogue has its text as `act.NAME`."""
    path: str
    grave: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """A fact that changed since the form was made."""

    name: str
    before: things.Value
    now: things.Value


@dataclass(frozen=True, slots=True)
class Draft:
    """A form as it stands: what it is about, what is filled in, and what is wrong with it."""

    act: Act
    thing: things.Thing
    about: tuple[things.Line, ...]
    offered: bool
    filled: things.Filled
    options: Mapping[str, tuple[things.Option, ...]]
    asked: things.Asked
    entered: Entered
    changes: tuple[Seen, ...]
    """What is no longer as the form says; empty for a new form."""
    doubts: Doubts | None
    """What speaks against the lots that change hands; None if none do."""
    step: int
    """Which of two steps it is; 0 if it is the only one."""


@dataclass(frozen=True, slots=True)
class Acting:
    store: Store
    desk: things.Desk
    acts: Acts

    def find(self, principal: Principal, name: str) -> Act:
        """The act. Raises NotFoundError if there is none, or none for this caller."""
        act = self.acts.get(name)
        if act is None or not self.desk.may(principal, act.operation):
            raise NotFoundError("there is no such form for you")
        return act

    def offers(self, principal: Principal, scene: things.Scene, *names: str) -> tuple[Offer, ...]:
        """The acts that the caller may do about a thing now; only those `names`, if any are given. Whether others are
        possible is then not asked, which may take many rows. What an earlier step waits for comes first."""
        found = [
            act
            for act in self.acts.on(scene.thing.about)
            if (not names or act.name in names) and self.desk.may(principal, act.operation) and act.offered(scene)
        ]
        found.sort(key=lambda act: not act.awaited(scene))
        return tuple(self.offer_of(act, scene.thing) for act in found)

    def offers_on(self, principal: Principal, about: things.About, key: str = "", *names: str) -> tuple[Offer, ...]:
        """Like `offers`, by the key of a thing: 64 hex digits or a number; only those `names`, if any are given. None
        any for a thing that is not in the index."""
        if not any(self.desk.may(principal, act.operation) for act in self.acts.on(about)):
            return ()
        with open_reader(self.store) as reader:
            try:
                thing = things.find_thing(reader, about, key, key)
            except NotFoundError:
                return ()
            return self.offers(principal, self.scene(reader, principal, thing), *names)

    def offer_of(self, act: Act, thing: things.Thing, **filled: str) -> Offer:
        """The button for an act about a thing; `filled`: entries that its form has already."""
        query = urlencode({**thing.query, **filled})
        return Offer(act.name, f"/portal/act/{act.name}" + (f"?{query}" if query else ""), act.grave)

    def scene(self, reader: Reader, principal: Principal, thing: things.Thing) -> things.Scene:
        return things.Scene(reader, thing, self.desk.company(principal) or 0)

    def draft(
        self, principal: Principal, act: Act, named: Mapping[str, str], filled: things.Filled, seen: str | None
    ) -> Draft:
        """The form of an act. `seen` is what a form that was sent says of the thing; None for a new one, in which
        `filled` has only what its link says. Raises NotFoundError."""
        with open_reader(self.store) as reader:
            thing = things.find_thing(reader, act.about, named.get("subject", ""), named.get("id", ""))
            scene = replace(self.scene(reader, principal, thing), filled=filled)
            if act.proposal is not None:
                thing = replace(thing, proposal=act.proposal(scene))
                scene = replace(scene, thing=thing)
            options = {one.name: tuple(one.options(scene)) for one in act.fields if one.options is not None}
            entries = filled if seen is not None else {**_initial(act, scene, options), **filled}
            return Draft(
                act=act,
                thing=thing,
                about=(*things.describe(reader, thing), *(() if act.tells is None else act.tells(entries, scene))),
                offered=act.offered(scene),
                filled=entries,
                options=options,
                asked=act.asked(scene, self.desk.parameters(act.operation), seen),
                entered=enter(act, scene, entries, self.desk),
                changes=() if seen is None else _changes(reader, thing, seen),
                doubts=find_doubts(reader, thing.row.subject) if act.moves and isinstance(thing.row, LotRow) else None,
                step=1 if act.then else 2 if act.awaited(scene) else 0,
            )

    def wish(self, draft: Draft, key: str) -> things.Wish:
        """What a draft asks for. Raises InputError for one with mistakes."""
        if draft.entered.body is None:
            raise InputError("the form has mistakes", hint="correct them first")
        return things.Wish(draft.act.operation, key, draft.asked, draft.entered.body)

    def summarise(self, principal: Principal, wish: things.Wish) -> things.Summary:
        """What would stand on the ledger. Raises InputError or NotFoundError for what cannot be recorded."""
        preview = self.desk.preview(wish, principal)
        with open_reader(self.store) as reader:
            return things.build_summary(reader, preview)


def _initial(act: Act, scene: things.Scene, options: Mapping[str, tuple[things.Option, ...]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for field in act.fields:
        if field.initial is not None:
            found[field.name] = [field.initial(scene)]
        elif chosen := [one.value for one in options.get(field.name, ()) if one.chosen]:
            found[field.name] = chosen
    return found


def _changes(reader: Reader, thing: things.Thing, seen: str) -> tuple[Seen, ...]:
    return tuple(Seen(one.name, *things.describe_change(reader, thing, one)) for one in thing.changes(seen))


# Operations of the API that have no form in the portal, and why. A test finds those that are in neither place.

LEFT_TO_API: Mapping[str, str] = {
    "anchor": "nodes anchor what they capture; a root by hand would be of evidence that nobody keeps",
    "reclaimCustody": "once in years, from a company that is gone: `millmark custody reclaim`",
    "registerMachine": "what a machine can do is in a document, on which plans rest: `millmark machines register`",
    "registerModel": "a model is a file with a card: `millmark quality register`",
    "publishModel": "a model is a file with a card: `millmark quality register`",
    "supersede": "it says for good that an own record was wrong, which it names by number: `POST /v1/supersessions`",
}
