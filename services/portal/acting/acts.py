"""The forms of acts (services/acts) at a thing: what follows from it, what there is to choose from, and when they are
offered. What a person fills in is declared with the act; body, roles and rule are those of its operation."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias, cast

from pydantic import BaseModel, ValidationError

from millmark.ledger.provenance.reader import Reader, unit
from millmark.ledger.records import LotState, Role
from millmark.ledger.store.rows import AssignmentRow, LotRow, MachineRow, ParticipantRow, StreamRow
from millmark.services.acts import FORMS, Body, EntryError, Field, Form, Kind, set_member
from millmark.services.portal.acting import things

Tells: TypeAlias = "Callable[[things.Filled, things.Scene], Sequence[things.Line]]"
Options: TypeAlias = "Callable[[things.Scene], Sequence[things.Option]]"
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


@dataclass(frozen=True, slots=True)
class Staged:
    """A form, with what depends on the thing that it is about."""

    form: Form
    offered: Callable[[things.Scene], bool] = lambda _: True
    """Whether thing and company are such that the contract could accept it. Decides which buttons are shown."""
    follows: Callable[[things.Scene], Body] = lambda _: {}
    """Members of the body that follow from the thing, beside those that the act declares."""
    options: Mapping[str, Options] = field(default_factory=dict)
    """What there is to choose from, by the names of the fields."""
    initial: Mapping[str, Callable[[things.Scene], str]] = field(default_factory=dict)
    """What a form has that nobody has filled in."""
    complete: Callable[[Body, things.Scene], Body] | None = None
    """Makes the body of the filled members, if they are not members of it as they are. Raises EntryError."""
    tells: Tells | None = None
    """What the form says above its fields, beside what is known of the thing."""
    proposal: Callable[[things.Scene], int] | None = None
    """The `id` in a path that has a subject, too; 0 if there is none now."""
    awaited: Callable[[things.Scene], bool] = lambda _: False
    """Whether an earlier step was recorded for the sake of this one: then its button comes before all others."""

    def list_options(self, scene: things.Scene) -> dict[str, tuple[things.Option, ...]]:
        """What there is to choose from now, for each field that is a choice."""
        found = {
            **{one.name: _BY_KIND.get(one.kind, partial(list_declared, one)) for one in self.form.fields},
            **self.options,
        }
        chosen = [one.name for one in self.form.fields if one.kind.input in (Kind.CHOICE, Kind.MANY)]
        return {name: tuple(found[name](scene)) for name in chosen}

    def begin(self, scene: things.Scene, options: Mapping[str, Sequence[things.Option]]) -> dict[str, list[str]]:
        """The entries of a form that nobody has filled in."""
        found: dict[str, list[str]] = {}
        for one in self.form.fields:
            if one.name in self.initial:
                found[one.name] = [self.initial[one.name](scene)]
            elif one.default is not None:
                found[one.name] = [str(one.default)]
            elif chosen := [option.value for option in options.get(one.name, ()) if option.chosen]:
                found[one.name] = chosen
        return found

    def asked(self, scene: things.Scene, parameters: Collection[str], seen: str | None) -> things.Asked:
        """The values of the parameters in the operation's path. `seen`: the state of the thing that a sent form was
        made from."""
        found: dict[str, str | int] = {}
        if "subject" in parameters:
            row = scene.thing.row
            found["subject"] = f"0x{row.order.hex() if isinstance(row, AssignmentRow) else scene.thing.key}"
        if "id" in parameters:
            found["id"] = int(scene.thing.key) if self.proposal is None else scene.thing.asked(seen)
        return found


def stage(name: str, offered: Callable[[things.Scene], bool] = lambda _: True, **depending: Any) -> Staged:
    """The form of that name, with what depends on its thing."""
    return Staged(FORMS[name], offered, **depending)


@dataclass(frozen=True, slots=True)
class Entered:
    """A form that was sent, judged."""

    body: BaseModel | None
    """None if something is wrong with it."""
    wrong: Mapping[str, tuple[str, Mapping[str, object]]]
    """By field, the catalogue key of what is wrong, and the values in its text; under "" what belongs to no field."""


def enter(staged: Staged, scene: things.Scene, filled: things.Filled, recorder: things.FormRecorder) -> Entered:
    """Judges the entries of a form by the operation's body."""
    form = staged.form
    wrong: dict[str, tuple[str, Mapping[str, object]]] = {}
    body: Body = {}
    for one in form.fields:
        try:
            value = one.parse(filled.get(one.name, ()))
        except EntryError as error:
            wrong[one.name] = (error.key, error.values)
            continue
        if value is not None:
            set_member(body, one.target, value)
    if wrong:
        return Entered(None, wrong)
    follows = {one.target: _FOLLOWS[one.kind](scene) for one in form.follows}
    try:
        made = body if staged.complete is None else staged.complete(body, scene)
        whole = {**form.states, **follows, **staged.follows(scene), **made}
        return Entered(recorder.body(form.operation).model_validate(whole), {})
    except EntryError as error:
        return Entered(None, {"": (error.key, error.values)})
    except ValidationError as error:
        return Entered(None, dict(_told(form, one) for one in error.errors(include_url=False, include_input=False)))


def _told(form: Form, error: Mapping[str, object]) -> tuple[str, tuple[str, Mapping[str, object]]]:
    place = ".".join(str(part) for part in error["loc"] if isinstance(part, str))  # type: ignore[attr-defined]  # pydantic's
    field = next((one.name for one in form.fields if one.target == place), "")
    if not field:
        field = next((one.name for one in form.fields if one.target.startswith(place.partition(".")[0] + ".")), "")
    context = error.get("ctx")
    values = (
        {name: value for name, value in context.items() if isinstance(value, int | str)}
        if isinstance(context, dict)
        else {}
    )
    return field, (_ENTRIES.get(str(error["type"]), "entry.wrong"), values)


# What several acts offer to choose from: companies, machines, streams, measurements, lots. All are bounded.

MAX_OPTIONS = 200
_MAX_CHOSEN = 1000
"""Companies or machines of a list, in which a browser finds one by its first letters."""
_MAX_ENTRIES = 20
"""Newest entries of a stream that are offered."""
_MAX_STREAMS = 5
_MAX_CONSIGNMENT = 1000


def name_of(reader: Reader, subject: bytes) -> str:
    """What people call a thing: the last part of its identifier, or the beginning of its subject."""
    reader.name([subject])
    identifier = reader.identifier(subject)
    if identifier is None:
        return f"0x{subject.hex()[:8]}…"
    return identifier.rstrip("/").rpartition("/")[2].rpartition(":")[2] or identifier


def companies(scene: things.Scene, role: Role | None = None, chosen: int = 0) -> list[things.Option]:
    """Other companies that may act, with a role if one is given. The one that is chosen is never cut off."""
    rows = scene.reader.rows.find(ParticipantRow, inactive_since=0)
    fit = [one.number for one in rows if one.number != scene.company and (role is None or one.roles & role)]
    fit.sort(key=lambda number: (number != chosen, number))
    shown = sorted(fit[:_MAX_CHOSEN])
    parties = [(number, scene.reader.party(number).name) for number in shown]
    found = [things.Option(str(number), name or f"# {number}", chosen=number == chosen) for number, name in parties]
    return [*found, *_cut(len(fit))]


def machines(scene: things.Scene) -> list[things.Option]:
    """Machines that are in use, with their owners."""
    # One more than is shown, to know whether there are more.
    rows = scene.reader.rows.page(MachineRow, "number", None, _MAX_CHOSEN + 1, retired_at=0)
    total, rows = len(rows), rows[:_MAX_CHOSEN]
    scene.reader.name(row.subject for row in rows)
    found = []
    for row in rows:
        owner = scene.reader.party(row.owner).name or f"# {row.owner}"
        found.append(things.Option(str(row.number), f"{name_of(scene.reader, row.subject)} · {owner}"))
    return [*found, *_cut(total)]


def _cut(total: int) -> list[things.Option]:
    """An option that cannot be sent, and says that there are more than those before it."""
    return [things.Option("", key="act.cut")] if total > _MAX_CHOSEN else []


def held_lots(scene: things.Scene, most: int = MAX_OPTIONS) -> list[LotRow]:
    """The newest lots that the company holds and could do something with: not offered, in quarantine or packed."""
    return scene.reader.rows.latest(
        LotRow, "number", most, custodian=scene.company, state=int(LotState.HELD), parent=None
    )


def lot_options(reader: Reader, rows: Iterable[LotRow], *, chosen: bool = False) -> list[things.Option]:
    found = list(rows)
    reader.name(row.subject for row in found)
    return [
        things.Option(
            f"0x{row.subject.hex()}",
            f"{name_of(reader, row.subject)} · {row.quantity} {unit(row.unit)}",
            chosen=chosen,
        )
        for row in found
    ]


def list_consignment(reader: Reader, row: LotRow) -> list[str]:
    """A lot and all that is packed in it, in the order that the contract wants: each lot, then its contents, ascending.
    A consignment that is too long for one record is cut, and the contract refuses it."""
    found: list[str] = []
    left = [row]
    while left and len(found) <= _MAX_CONSIGNMENT:
        one = left.pop()
        found.append(f"0x{one.subject.hex()}")
        inside = reader.rows.find(LotRow, parent=one.subject) if one.contents else []
        left += sorted(inside, key=lambda child: child.subject, reverse=True)
    return found


def measurement_options(reader: Reader, streams: Iterable[StreamRow], least: int = 0) -> list[things.Option]:
    """The newest anchored entries of streams that are kept here, as `stream:index`."""
    found = []
    for stream in list(streams)[:_MAX_STREAMS]:
        name = name_of(reader, stream.subject)
        for index in range(stream.size - 1, max(stream.size - 1 - _MAX_ENTRIES, least - 1, -1), -1):
            entry = reader.book.evidence_entry(stream.subject, index)
            if entry is not None:
                event = entry.entry.get("id") if isinstance(entry.entry, Mapping) else None
                label = f"{name} · {event if isinstance(event, str) else ''} · {index}"
                found.append(things.Option(f"0x{stream.subject.hex()}:{index}", label))
    return found


def choose_measurement(body: Body, stream: bytes | None) -> Body:
    """Replaces the member `measurement` of a form by stream and entry. Raises EntryError if neither it nor the number
    of an entry of `stream` is given."""
    chosen = cast("str | None", body.pop("measurement", None))
    if chosen is not None:
        named, _, index = chosen.partition(":")
        if not (index.isascii() and index.isdecimal() and len(index) <= 13):
            raise EntryError("entry.wrong")
        return {**body, "stream": named, "leaf_index": int(index)}
    if body.get("leaf_index") is None:
        raise EntryError("entry.measurement")
    return body if stream is None else {**body, "stream": f"0x{stream.hex()}"}


def list_declared(one: Field, _: things.Scene) -> list[things.Option]:
    """The values that the act declares."""
    return [things.Option(value, key=key, chosen=value == one.default) for value, key in one.choices.items()]


_BY_KIND: Mapping[Kind, Options] = {Kind.COMPANY: companies, Kind.MACHINE: machines}
_FOLLOWS: Mapping[Kind, Callable[[things.Scene], object]] = {
    Kind.THING: lambda scene: f"0x{scene.thing.key}" if scene.thing.about.is_subject else int(scene.thing.key),
    Kind.CONSIGNMENT: lambda scene: list_consignment(scene.reader, cast(LotRow, scene.thing.row)),
    Kind.OFFER: lambda scene: cast(LotRow, scene.thing.row).offer,
}
