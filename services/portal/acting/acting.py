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
from millmark.services.acts import About, Form
from millmark.services.portal.acting import lots, orders, quality, things
from millmark.services.portal.acting.acts import Entered, Staged, enter

# All forms of the portal but that of an order, which needs the company's catalogue.

STAGED = (*orders.STAGED, *lots.STAGED, *quality.STAGED)


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

    staged: Staged
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

    @property
    def form(self) -> Form:
        return self.staged.form


@dataclass(frozen=True, slots=True)
class Acting:
    store: Store
    recorder: things.FormRecorder
    staged: Mapping[str, Staged]
    """All forms, by name."""

    def find(self, principal: Principal, name: str) -> Staged:
        """The form. Raises NotFoundError if there is none, or none for this caller."""
        found = self.staged.get(name)
        if found is None or not self.recorder.may(principal, found.form.operation):
            raise NotFoundError("there is no such form for you")
        return found

    def offers(self, principal: Principal, scene: things.Scene, *names: str) -> tuple[Offer, ...]:
        """The acts that the caller may do about a thing now; only those `names`, if any are given. Whether others are
        possible is then not asked, which may take many rows. What an earlier step waits for comes first."""
        able = self._able(principal, scene.thing.about)
        found = [one for one in able if (not names or one.form.name in names) and one.offered(scene)]
        found.sort(key=lambda one: not one.awaited(scene))
        return tuple(self.offer_of(one.form, scene.thing) for one in found)

    def offers_on(self, principal: Principal, about: About, key: str = "", *names: str) -> tuple[Offer, ...]:
        """Like `offers`, by the key of a thing: 64 hex digits or a number; only those `names`, if any are given. None
        any for a thing that is not in the index."""
        if not self._able(principal, about):
            return ()
        with open_reader(self.store) as reader:
            try:
                thing = things.find_thing(reader, about, key, key)
            except NotFoundError:
                return ()
            return self.offers(principal, self.scene(reader, principal, thing), *names)

    def _able(self, principal: Principal, about: About) -> list[Staged]:
        """The forms about such a thing that the caller may send, in the order of their declaration."""
        about_it = (one for one in self.staged.values() if one.form.about is about)
        return [one for one in about_it if self.recorder.may(principal, one.form.operation)]

    def offer_of(self, form: Form, thing: things.Thing, **filled: str) -> Offer:
        """The button for a form about a thing; `filled`: entries that it has already."""
        query = urlencode({**thing.query, **filled})
        return Offer(form.name, f"/portal/act/{form.name}" + (f"?{query}" if query else ""), form.grave)

    def scene(self, reader: Reader, principal: Principal, thing: things.Thing) -> things.Scene:
        return things.Scene(reader, thing, self.recorder.company(principal) or 0)

    def draft(
        self, principal: Principal, staged: Staged, named: Mapping[str, str], filled: things.Filled, seen: str | None
    ) -> Draft:
        """A form as it stands. `seen` is what a form that was sent says of the thing; None for a new one, in which
        `filled` has only what its link says. Raises NotFoundError."""
        form = staged.form
        with open_reader(self.store) as reader:
            thing = things.find_thing(reader, form.about, named.get("subject", ""), named.get("id", ""))
            scene = replace(self.scene(reader, principal, thing), filled=filled)
            if staged.proposal is not None:
                thing = replace(thing, proposal=staged.proposal(scene))
                scene = replace(scene, thing=thing)
            options = staged.list_options(scene)
            entries = filled if seen is not None else {**staged.begin(scene, options), **filled}
            about = things.describe(reader, thing)
            return Draft(
                staged=staged,
                thing=thing,
                about=about if staged.tells is None else (*about, *staged.tells(entries, scene)),
                offered=staged.offered(scene),
                filled=entries,
                options=options,
                asked=staged.asked(scene, self.recorder.parameters(form.operation), seen),
                entered=enter(staged, scene, entries, self.recorder),
                changes=() if seen is None else _changes(reader, thing, seen),
                doubts=find_doubts(reader, thing.row.subject) if form.moves and isinstance(thing.row, LotRow) else None,
                step=1 if form.then else 2 if staged.awaited(scene) else 0,
            )

    def wish(self, draft: Draft, key: str) -> things.Wish:
        """What a draft asks for. Raises InputError for one with mistakes."""
        if draft.entered.body is None:
            raise InputError("the form has mistakes", hint="correct them first")
        return things.Wish(draft.form.operation, key, draft.asked, draft.entered.body)

    def summarise(self, principal: Principal, wish: things.Wish) -> things.Summary:
        """What would stand on the ledger. Raises InputError or NotFoundError for what cannot be recorded."""
        preview = self.recorder.preview(wish, principal)
        with open_reader(self.store) as reader:
            return things.build_summary(reader, preview)


def _changes(reader: Reader, thing: things.Thing, seen: str) -> tuple[Seen, ...]:
    return tuple(Seen(one.name, *things.describe_change(reader, thing, one)) for one in thing.changes(seen))
