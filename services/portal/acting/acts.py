"""What people may have recorded in the portal: one declaration for each form.

An act says which operation of the API it performs, what a person fills in, what follows from the thing that it is
about, and when it is offered. Body, roles and rule are those of the operation. ACTING.md says how to declare one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pydantic import BaseModel, ValidationError

from millmark.ledger.store.rows import AssignmentRow
from millmark.services.portal.acting.desk import Asked, Desk
from millmark.services.portal.acting.fields import Body, EntryError, Field, FieldKind, Filled, set_member
from millmark.services.portal.acting.summaries import Line
from millmark.services.portal.acting.things import About, Scene

__all__ = ["Act", "Acts", "Entered", "enter"]

Follows: TypeAlias = "Callable[[Scene], Body]"
Tells: TypeAlias = "Callable[[Filled, Scene], Sequence[Line]]"
_ENTRIES = {
    "missing": "entry.missing",
    "int_type": "entry.number",
    "greater_than_equal": "entry.least",
    "less_than_equal": "entry.most",
    "string_too_short": "entry.missing",
    "string_too_long": "entry.long",
    "too_short": "entry.missing",
    "too_long": "entry.many",
    "string_pattern_mismatch": "entry.form",
    "not_agreed": "entry.agree",
}
"""Catalogue keys for what the body's model says of a value; of others, `entry.wrong`."""


def _nothing(_: Scene) -> Body:
    return {}


def _always(_: Scene) -> bool:
    return True


def _never(_: Scene) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Act:
    """A form. The catalogue has `act.NAME` (what the button says), `act.NAME.title` (heading) and `act.NAME.will` (what
    will stand on the ledger, in a sentence); where more is to be known, `act.NAME.done` (what holds once it does,
    and who acts next, with the values of an Outcome), and
    `act.reach.NAME` or that of the operation (which companies are sent what is written beside it)."""

    operation: str
    """Operation id of the API."""
    about: About = About.NOTHING
    fields: tuple[Field, ...] = ()
    follows: Follows = _nothing
    """Members of the body that follow from the thing."""
    offered: Callable[[Scene], bool] = _always
    """Whether thing and company are such that the contract could accept it. Decides which buttons are shown."""
    complete: Callable[[Body, Scene], Body] | None = None
    """Makes the body of the filled members, if they are not members of it as they are. Raises EntryError."""
    tells: Tells | None = None
    """What the form says above its fields, beside what is known of the thing."""
    proposal: Callable[[Scene], int] | None = None
    """The `id` in a path that has a subject, too; 0 if there is none now."""
    called: str = ""
    """Name in the form's address, if one operation has several forms."""
    later: tuple[str, ...] = ()
    """Fields of the record that are not known before it is made, so that the summary cannot show them."""
    grave: bool = False
    """Whether it ends something: its button stands apart."""
    moves: bool = False
    """Whether something changes hands or is packed by it: then the form says what speaks against the lots."""
    then: str = ""
    """Name of the act that has to follow: this one is the first of two steps, and its record's page leads there."""
    awaited: Callable[[Scene], bool] = _never
    """Whether an earlier step was recorded for the sake of this one: then its button comes before all others."""
    opens: str = ""
    """The pages of what its record opens, as of cases, which are named by the record's sequence."""
    leads_to: str = ""
    """The page to which its record's page leads back; by default that of the thing."""

    @property
    def name(self) -> str:
        return self.called or self.operation

    @property
    def is_short(self) -> bool:
        """Whether nothing has to be filled in, so that the summary can be shown at once."""
        return not any(field.required and field.kind is not FieldKind.HIDDEN for field in self.fields)

    def asked(self, scene: Scene, parameters: Collection[str], seen: str | None) -> Asked:
        """The values of the parameters that the operation's path has. `seen`: what a form that was sent says of the
        thing."""
        found: dict[str, str | int] = {}
        if "subject" in parameters:
            row = scene.thing.row
            found["subject"] = f"0x{row.order.hex() if isinstance(row, AssignmentRow) else scene.thing.key}"
        if "id" in parameters:
            found["id"] = int(scene.thing.key) if self.proposal is None else scene.thing.asked(seen)
        return found


class Acts:
    """All acts, by name."""

    def __init__(self, acts: Iterable[Act]) -> None:
        self._acts: Mapping[str, Act] = {act.name: act for act in acts}

    def get(self, name: str) -> Act | None:
        return self._acts.get(name)

    def __iter__(self) -> Iterator[Act]:
        return iter(self._acts.values())

    def on(self, about: About) -> tuple[Act, ...]:
        """Those about one kind of thing, in the order of their declaration."""
        return tuple(act for act in self._acts.values() if act.about is about)


@dataclass(frozen=True, slots=True)
class Entered:
    """A form that was sent, judged."""

    body: BaseModel | None
    """None if something is wrong with it."""
    wrong: Mapping[str, tuple[str, Mapping[str, object]]]
    """By field, the catalogue key of what is wrong, and the values in its text; under "" what belongs to no field."""


def enter(act: Act, scene: Scene, filled: Filled, desk: Desk) -> Entered:
    """Judges the entries of a form by the operation's body."""
    wrong: dict[str, tuple[str, Mapping[str, object]]] = {}
    body: Body = {}
    for field in act.fields:
        try:
            value = field.parse(filled.get(field.name, ()))
        except EntryError as error:
            wrong[field.name] = (error.key, error.values)
            continue
        if value is not None:
            set_member(body, field.target, value)
    if wrong:
        return Entered(None, wrong)
    try:
        made = body if act.complete is None else act.complete(body, scene)
        return Entered(desk.body(act.operation).model_validate({**act.follows(scene), **made}), {})
    except EntryError as error:
        return Entered(None, {"": (error.key, error.values)})
    except ValidationError as error:
        return Entered(None, dict(_told(act, one) for one in error.errors(include_url=False, include_input=False)))


def _told(act: Act, error: Mapping[str, object]) -> tuple[str, tuple[str, Mapping[str, object]]]:
    place = ".".join(str(part) for part in error["loc"] if isinstance(part, str))  # type: ignore[attr-defined]  # pydantic's
    field = next((one.name for one in act.fields if one.target == place), "")
    if not field:
        field = next((one.name for one in act.fields if one.target.startswith(place.partition(".")[0] + ".")), "")
    context = error.get("ctx")
    values = (
        {name: value for name, value in context.items() if isinstance(value, int | str)}
        if isinstance(context, dict)
        else {}
    )
    return field, (_ENTRIES.get(str(error["type"]), "entry.wrong"), values)
