"""What people may have recorded in the portal: one declaration for each form.

An act says which operation of the API it performs, what a person fills in, what follows from the thing that it is
about, and when it is offered. Body, roles and rule are those of the operation. ACTING.md says how to declare one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

from pydantic import BaseModel, ValidationError

from millmark.ledger.provenance.reader import Reader, unit
from millmark.ledger.records import LotState, Role
from millmark.ledger.store.rows import AssignmentRow, LotRow, MachineRow, ParticipantRow, StreamRow
from millmark.services.portal.acting import things

Follows: TypeAlias = "Callable[[things.Scene], things.Body]"
Tells: TypeAlias = "Callable[[things.Filled, things.Scene], Sequence[things.Line]]"
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
class Act:
    """A form. The catalogue has `act.NAME` (what the button says), `act.NAME.title` (heading) and `act.NAME.will` (what
    will stand on the ledger, in a sentence); where more is to be known, `act.NAME.done` (what holds once it does,
    and who acts next, with the values of an Outcome), and
    `act.reach.NAME` or that of the operation (which companies are sent what is written beside it)."""

    operation: str
    """Operation id of the API."""
    about: things.About = things.About.NOTHING
    fields: tuple[things.Field, ...] = ()
    follows: Follows = lambda _: {}
    """Members of the body that follow from the thing."""
    offered: Callable[[things.Scene], bool] = lambda _: True
    """Whether thing and company are such that the contract could accept it. Decides which buttons are shown."""
    complete: Callable[[things.Body, things.Scene], things.Body] | None = None
    """Makes the body of the filled members, if they are not members of it as they are. Raises EntryError."""
    tells: Tells | None = None
    """What the form says above its fields, beside what is known of the thing."""
    proposal: Callable[[things.Scene], int] | None = None
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
    awaited: Callable[[things.Scene], bool] = lambda _: False
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
        return not any(field.required and field.kind is not things.FieldKind.HIDDEN for field in self.fields)

    def asked(self, scene: things.Scene, parameters: Collection[str], seen: str | None) -> things.Asked:
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

    def on(self, about: things.About) -> tuple[Act, ...]:
        """Those about one kind of thing, in the order of their declaration."""
        return tuple(act for act in self._acts.values() if act.about is about)


@dataclass(frozen=True, slots=True)
class Entered:
    """A form that was sent, judged."""

    body: BaseModel | None
    """None if something is wrong with it."""
    wrong: Mapping[str, tuple[str, Mapping[str, object]]]
    """By field, the catalogue key of what is wrong, and the values in its text; under "" what belongs to no field."""


def enter(act: Act, scene: things.Scene, filled: things.Filled, desk: things.Desk) -> Entered:
    """Judges the entries of a form by the operation's body."""
    wrong: dict[str, tuple[str, Mapping[str, object]]] = {}
    body: things.Body = {}
    for field in act.fields:
        try:
            value = field.parse(filled.get(field.name, ()))
        except things.EntryError as error:
            wrong[field.name] = (error.key, error.values)
            continue
        if value is not None:
            things.set_member(body, field.target, value)
    if wrong:
        return Entered(None, wrong)
    try:
        made = body if act.complete is None else act.complete(body, scene)
        return Entered(desk.body(act.operation).model_validate({**act.follows(scene), **made}), {})
    except things.EntryError as error:
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


# What several acts offer to choose from: companies, machines, streams, measurements, lots. All are bounded.

MAX_OPTIONS = 200
_MAX_CHOSEN = 1000
"""Companies or machines of a list, in which a browser finds one by its first letters."""
_MAX_ENTRIES = 20
"""Newest entries of a stream that are offered."""
_MAX_STREAMS = 5
_MAX_CONSIGNMENT = 1000
LEAF_INDEX = things.Field("leaf_index", things.FieldKind.NUMBER, required=False)
LEAF_HASH = things.Field("leaf_hash", required=False)


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


def choose_measurement(body: things.Body, stream: bytes | None) -> things.Body:
    """Replaces the member `measurement` of a form by stream and entry. Raises EntryError if neither it nor the number
    of an entry of `stream` is given."""
    chosen = cast("str | None", body.pop("measurement", None))
    if chosen is not None:
        named, _, index = chosen.partition(":")
        if not (index.isascii() and index.isdecimal() and len(index) <= 13):
            raise things.EntryError("entry.wrong")
        return {**body, "stream": named, "leaf_index": int(index)}
    if body.get("leaf_index") is None:
        raise things.EntryError("entry.measurement")
    return body if stream is None else {**body, "stream": f"0x{stream.hex()}"}
