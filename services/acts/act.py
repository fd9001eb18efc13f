"""How an act is declared: everything that people have recorded, with what they state, once.

The gateway makes a route and a request body of it (services/gateway/recording/writes.py), the command line a command
(services/commands/acts/act.py), and the portal a form (services/portal/acting/acts.py). ACTING.md in services/portal
shows one act in all four places. Nothing here imports what those three are made with, so that a command starts fast.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeAlias

from millmark.ledger.ids import SubjectKind
from millmark.ledger.records import Role

Body: TypeAlias = "dict[str, Any]"
"""The JSON form of a request body, or a part of it."""
HOLDERS = Role.BUYER | Role.COORDINATOR | Role.MANUFACTURER | Role.INSPECTOR | Role.CARRIER
"""Roles that handle parts."""
_NUMBER = re.compile(r"[0-9]{1,16}")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?")


class EntryError(ValueError):
    """An entry of a form cannot be used; `key` is that of the catalogue's text, in which `values` stand."""

    def __init__(self, key: str, **values: object) -> None:
        self.key, self.values = key, values
        super().__init__(key)


class About(enum.Enum):
    """The kind of thing that an act is about, by its name in addresses."""

    NOTHING = ""
    ORDER = "orders"
    LOT = "lots"
    ASSIGNMENT = "assignments"
    CERTIFICATE = "certificates"
    MACHINE = "machines"
    MODEL = "models"
    SETPOINT = "setpoints"

    @property
    def is_subject(self) -> bool:
        """Whether it is named by a subject; others by a number."""
        return self in (About.ORDER, About.LOT)

    @property
    def parameter(self) -> str:
        """The parameter of an address that names it."""
        return "subject" if self.is_subject else "id"


class Kind(enum.Enum):
    """What a field states, and so how forms and commands ask for it."""

    TEXT = "one line"
    LONG = "several lines"
    NUMBER = "a whole number, of the field's `least` or more"
    MOMENT = "a date and time, UTC"
    CHOICE = "one of several values"
    MANY = "any number of several values"
    TICK = "yes or no"
    HIDDEN = "in a form: sent along, for what its link says"
    NAME = "the identifier of a new thing"
    CLAIMS = "a document: in a form a remark in it, on the command line a file"
    ORDER = "an order"
    LOT = "a lot"
    LOTS = "several lots"
    STREAM = "an evidence stream"
    MACHINE = "a machine"
    COMPANY = "a participant"
    OPERATION = "an operation of an order; people count from 1"
    THING = "follows: the thing that the act is about"
    CONSIGNMENT = "follows: the lot that the act is about, with all that is packed in it"
    OFFER = "follows: the standing offer of that lot"

    @property
    def follows(self) -> bool:
        """Whether nobody is asked for it."""
        return self in (Kind.THING, Kind.CONSIGNMENT, Kind.OFFER)

    @property
    def input(self) -> Kind:
        """The kind of a form's input."""
        return _INPUTS.get(self, self)


_INPUTS = {
    Kind.NAME: Kind.TEXT,
    Kind.CLAIMS: Kind.LONG,
    Kind.LOTS: Kind.MANY,
    **dict.fromkeys((Kind.ORDER, Kind.LOT, Kind.STREAM, Kind.MACHINE, Kind.COMPANY, Kind.OPERATION), Kind.CHOICE),
}
_NUMERIC = (Kind.NUMBER, Kind.MACHINE, Kind.COMPANY, Kind.OPERATION)


@dataclass(frozen=True, slots=True)
class Field:
    """What somebody states. In forms, its label is `act.field.NAME` of the catalogue, its hint `act.field.NAME.hint` if
    there is one."""

    name: str
    kind: Kind = Kind.TEXT
    member: str = ""
    """Member of the body, dotted if nested; by default `name`. A document's text is a member of the document:
    `claims.note`."""
    required: bool = True
    help: str = ""
    """The help of a command's option."""
    option: str = ""
    """The name of that option, such as `--until`, by default that of the field; in capitals: of an argument."""
    metavar: str = ""
    default: str | int | None = None
    """What holds if a command leaves it out, and what a new form has."""
    least: int = 0
    """The least that a number can be."""
    choices: Mapping[str, str] = field(default_factory=dict)
    """The values to choose from, each with its key in the catalogue; of others, the portal finds what there is."""
    label: str = ""
    """Name by which the catalogue has the label, if not that of the field."""
    example: Any = None
    """Its value in the API's example."""

    @property
    def target(self) -> str:
        return self.member or self.name

    @property
    def document(self) -> str:
        """The member with the document: the parent of the target if that is a file with claims, else the target."""
        return self.target.rpartition(".")[0] if self.kind is Kind.CLAIMS else self.target

    @property
    def is_argument(self) -> bool:
        """Whether a command takes it by its place."""
        return self.option.isupper()

    @property
    def is_written(self) -> bool:
        """Whether it is part of a document of which the ledger has the fingerprint alone."""
        return self.target.partition(".")[0] in ("claims", "reason", "report")

    @property
    def word(self) -> str:
        """Catalogue key of the label."""
        return f"act.field.{self.label or self.name}"

    def but(self, **changes: Any) -> Self:
        """The same field, where one act differs."""
        return replace(self, **changes)

    def parse(self, values: Sequence[str]) -> object:
        """The member's value from a form's entries; None for what was left out. Raises EntryError."""
        if self.kind is Kind.TICK:
            return bool(values)
        given = [one.strip() for one in values if one.strip()]
        if not given:
            if self.required:
                raise EntryError("entry.missing")
            return None
        if self.kind.input is Kind.MANY:
            return [self._one(one) for one in given]
        return self._one(given[0])

    def _one(self, text: str) -> object:
        if self.kind in _NUMERIC:
            if not _NUMBER.fullmatch(text):
                raise EntryError("entry.number")
            if int(text) < self.least:
                raise EntryError("entry.least", ge=self.least)
            return int(text)
        if self.kind is Kind.MOMENT:
            if not _MOMENT.fullmatch(text):
                raise EntryError("entry.moment")
            return f"{text[:16]}:{text[17:] or '00'}Z"
        # Forms send lines with CR LF.
        return text.replace("\r\n", "\n")


def set_member(body: Body, path: str, value: object) -> None:
    """Sets a member; those above it become objects."""
    *above, name = path.split(".")
    for part in above:
        body = body.setdefault(part, {})
    body[name] = value


@dataclass(frozen=True, slots=True)
class Command:
    """A command that does an act. In its texts, {sequence} and {subject} are the record's number and the subjects of
    what it made; others are what the user wrote, by the names of the fields and of the thing, such as {lot}."""

    operation: str
    """Name of the act."""
    words: str
    """`orders accept`."""
    example: str
    """What follows the words in the example of its help."""
    help: str
    said: str = ""
    """What is so once the record is final."""
    then: tuple[str, ...] = ()
    """The commands that come next, in their order. One with a value that was not given is left out."""
    fields: tuple[Field, ...] = ()
    thing: Field | None = None
    """How the thing is named that it is about."""
    each: bool = False
    """Whether it takes several things, and makes a record for each."""
    told: tuple[str, ...] = ()
    """Values of its texts that its step finds out."""
    states: Mapping[str, Any] = field(default_factory=dict)
    """Members of the body that it states by itself."""

    @property
    def finds_thing(self) -> bool:
        """Whether subject or number of the thing is sent, and not what follows from it alone."""
        return not any(one.kind is Kind.CONSIGNMENT for one in self.fields)


@dataclass(frozen=True, slots=True)
class Form:
    """A form of the portal that does an act. The catalogue has `act.NAME` (what the button says), `act.NAME.title`
    (heading) and `act.NAME.will` (what will stand on the ledger, in a sentence); where more is to be known,
    `act.NAME.done` (what holds once it does, and who acts next, with the values of an Outcome), and `act.reach.NAME` or
    that of the operation (which companies are sent what is written beside it)."""

    operation: str
    """Name of the act."""
    name: str
    """In the form's address: that of the act, unless the act has several forms."""
    about: About
    fields: tuple[Field, ...] = ()
    """What a person fills in."""
    follows: tuple[Field, ...] = ()
    """What follows from the thing."""
    states: Mapping[str, Any] = field(default_factory=dict)
    """Members of the body that it states by itself."""
    later: tuple[str, ...] = ()
    """Fields of the record that are not known before it is made, so that the summary cannot show them."""
    grave: bool = False
    """Whether it ends something: its button stands apart."""
    moves: bool = False
    """Whether something changes hands or is packed by it: then the form says what speaks against the lots."""
    then: str = ""
    """Name of the form that has to follow: this one is the first of two steps, and its record's page leads there."""
    opens: str = ""
    """The pages of what its record opens, as of cases, which are named by the record's sequence."""
    leads_to: str = ""
    """The page to which its record's page leads back; by default that of the thing."""

    @property
    def is_short(self) -> bool:
        """Whether nothing has to be filled in, so that the summary can be shown at once."""
        return not any(one.required and one.kind is not Kind.HIDDEN for one in self.fields)


@dataclass(frozen=True, slots=True)
class Act:
    """Something that people have recorded. It has a route, and a command and a form or the reason why it has none."""

    name: str
    """The operation id of the API; with a capital, that of the record's class unless `record` says another."""
    about: About
    path: str
    summary: str
    roles: Role | None
    """The contract requires one of these roles; None: any."""
    fields: tuple[Field, ...] = ()
    record: str = ""
    names: SubjectKind | None = None
    """Kind of the thing that the record creates and names."""
    example: Mapping[str, Any] = field(default_factory=dict)
    """Members of the API's example beside those of the fields."""
    body_bytes: int = 0
    """Most bytes of a request body, where that is more than in general."""
    commands: tuple[Command, ...] = ()
    forms: tuple[Form, ...] = ()
    no_command: str = ""
    """Why there is none."""
    no_form: str = ""

    @property
    def kind(self) -> str:
        """Name of the record's class."""
        return self.record or self.name[0].upper() + self.name[1:]

    @property
    def body_example(self) -> Body:
        """A request body."""
        body: Body = {}
        for one in self.fields:
            if one.example is not None:
                set_member(body, one.target, one.example)
        return {**body, **self.example}

    def asks(self, *fields: Field) -> Self:
        """The act with what is stated, or what follows from the thing."""
        return replace(self, fields=fields)

    def of(self, record: str) -> Self:
        """The act, whose record has another name."""
        return replace(self, record=record)

    def creates(self, kind: SubjectKind) -> Self:
        """The act, which makes and names a thing of that kind."""
        return replace(self, names=kind)

    def shows(self, **example: Any) -> Self:
        """The act with members of the API's example."""
        return replace(self, example=example)

    def command(self, words: str, example: str, **more: Any) -> Self:
        """The act with a command. By default it asks for the thing and the fields of the act, and its help is the
        summary."""
        thing = _name_thing(self.about, several=more.get("each", False))
        made = {"help": f"{self.summary}.", "fields": self.fields, "thing": thing, **more}
        return replace(self, commands=(*self.commands, Command(self.name, words, example, **made)))

    def says(self, text: str, *then: str) -> Self:
        """The act, whose last command says this once the record is final, and which commands come next."""
        return self._last(said=text, then=then)

    def helps(self, text: str) -> Self:
        """The act with this help of its last command."""
        return self._last(help=text)

    def _last(self, **changes: Any) -> Self:
        *before, last = self.commands
        return replace(self, commands=(*before, replace(last, **changes)))

    def form(self, *fields: Field, called: str = "", about: About | None = None, **more: Any) -> Self:
        """The act with a form. By default it has the fields of the act."""
        asked = fields or tuple(one for one in self.fields if not one.kind.follows)
        follows = tuple(one for one in self.fields if one.kind.follows)
        form = Form(self.name, called or self.name, about or self.about, asked, follows, **more)
        return replace(self, forms=(*self.forms, form))

    def without_command(self, because: str) -> Self:
        return replace(self, no_command=because)

    def without_form(self, because: str) -> Self:
        return replace(self, no_form=because)


def on(about: About, name: str, path: str, summary: str, roles: Role | None, **more: Any) -> Act:
    """An act about a thing. `path`: the whole, or the verb after that of the thing."""
    whole = path if path.startswith("/") else f"/v1/{about.value}/{{{about.parameter}}}/{path}"
    return Act(name, about, whole, summary, roles, **more)


def words(key: str, *values: str) -> dict[str, str]:
    """The values of a choice, with their keys in the catalogue."""
    return {one: f"{key}.{one.upper()}" for one in values}


# Fields of several acts.

_NAMED = "identifier, its last part, or subject"
_PRIVATE = "It stays in the private book; its salted hash goes on chain."
A_LOT, AN_ORDER, A_STREAM = ("0x" + 32 * byte for byte in ("1a", "2b", "3c"))

CLAIMS = Field(
    "note",
    Kind.CLAIMS,
    "claims.note",
    False,
    f"JSON file with what is claimed. {_PRIVATE}",
    "--claims",
    example="as agreed",
)
"""A document that stays in the company's book; the ledger has its fingerprint."""
REASON = Field("reason", Kind.LONG, "reason.text", help=f"Why. {_PRIVATE}", example="a crack at the edge")
IDENTIFIER = Field(
    "identifier",
    Kind.NAME,
    option="IDENTIFIER",
    help="Its identifier: a GS1 Digital Link, URN or DID.",
    example="https://id.gs1.org/01/09506000013459/21/A0001",
)
QUANTITY = Field("quantity", Kind.NUMBER, help="Whole number of units.", default=1, least=1, example=1)
UNIT = Field("unit", help="UN/ECE code of the unit: H87 piece, KGM kilogram, MTR metre.", default="H87", example="H87")
OPERATION = Field("operation", Kind.OPERATION, help="The operation of the order, from 1.", example=0)
ORDER = Field("order", Kind.ORDER, help=f"The order: {_NAMED}.", example=AN_ORDER)
LOT = Field("lot", Kind.LOT, help=f"The lot: {_NAMED}.", option="LOT", example=A_LOT)
LOTS = Field("lots", Kind.LOTS, help=f"The lots, each: {_NAMED}.", option="LOT...", example=[A_LOT])
COMPANY = Field("to", Kind.COMPANY, help="Its name or number.", example=8)
MACHINE = Field("machine", Kind.MACHINE, help="The machine: number, identifier or its last part.", example=17)
STREAM = Field("stream", Kind.STREAM, help=f"The evidence stream: {_NAMED}.", example=A_STREAM)
NEW_LOT = (IDENTIFIER, QUANTITY, UNIT)
"""What every new lot is given."""
LEAF_INDEX = Field(
    "leaf_index",
    Kind.NUMBER,
    required=False,
    help="In its place: the entry's index in the stream, from 0.",
    option="--entry",
    example=3,
)
LEAF_HASH = Field(
    "leaf_hash", required=False, help="With --entry, where its evidence is kept elsewhere.", example="0x" + "88" * 32
)
CONSIGNMENT = LOTS.but(kind=Kind.CONSIGNMENT)
OFFER = Field("offer", Kind.OFFER, example=600)
_NUMBER_OF = "Its number: `millmark {}s list`."
ASSIGNMENT, _CERTIFICATE, _SETPOINT = (
    Field(one, Kind.NUMBER, help=_NUMBER_OF.format(one), option=one.upper(), least=1)
    for one in ("assignment", "certificate", "setpoint")
)
_THINGS: Mapping[About, Field] = {
    About.ORDER: ORDER.but(option="ORDER"),
    About.LOT: LOT,
    About.ASSIGNMENT: ASSIGNMENT,
    About.CERTIFICATE: _CERTIFICATE,
    About.SETPOINT: _SETPOINT,
    About.MACHINE: MACHINE.but(option="MACHINE"),
}


def _name_thing(about: About, *, several: bool) -> Field | None:
    """How a command names the thing, or each of several."""
    found = _THINGS.get(about)
    return found.but(help=LOTS.help) if found is not None and several else found
