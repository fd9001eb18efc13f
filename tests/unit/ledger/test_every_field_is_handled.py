"""Every field of a declared event is handled wherever a field must be, see ledger/EVENTS.md; what is missing is named.

A place is asked what it has: the ABI, the dataclasses of records, rows and answers, the source of the projection and
the rule of the event's kind, the documents, the API's bodies, commands, forms, pages. What a place does not have is
missing there, unless LEFT_OUT has the reason.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import json
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from millmark.ledger.chain import load_abi
from millmark.ledger.events import EVENTS, ArrayOf, Event, PackedOf, Type, Word, certificates, once, struct_of
from millmark.ledger.index.projections import PROJECTIONS
from millmark.ledger.provenance import answers
from millmark.ledger.records import RECORD_TYPES, Packed, Record, snake_case
from millmark.ledger.store import rows
from millmark.ledger.store.schema import TABLES
from millmark.ledger.verify._replay import RULES
from millmark.services import acts
from millmark.services.gateway.recording.writes import WRITES, Write
from millmark.services.interop.credentials.certificate import CertificateFacts
from millmark.services.portal.acting.acting import STAGED

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True)
class Field:
    """A value in the data of an event: a field, or a member of a struct in it."""

    kind: type[Event]
    path: tuple[str, ...]
    of_call: bool = False
    """Whether it is in the call alone."""

    @property
    def label(self) -> str:
        return ".".join(((record_of(self.kind) if self.of_call else self.kind).__name__, *self.path))

    @property
    def names(self) -> tuple[str, ...]:
        """The last part, and what else it is called."""
        others = (names for pattern, names in OTHER_NAMES.items() if fnmatchcase(self.label, pattern))
        own = self.path[-1]
        return own, own.rstrip("_"), *(name for names in others for name in names.split())


def fields_of(kind: type[Event]) -> Iterator[Field]:
    """Those of the event, and those that only the call has which leaves it behind."""
    found = [Field(kind, path) for path in _paths(struct_of(kind))]
    yield from found
    if record_of(kind).event == kind.__name__:
        said = {name for field in found for name in (*field.path, *field.names)}
        yield from (Field(kind, (name,), of_call=True) for name in _members(record_of(kind)) if name not in said)


def _paths(kind: Type, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(kind, Word):
        yield before
    elif isinstance(kind, (ArrayOf, PackedOf)):
        yield from _paths(kind.item, before)
    else:
        for name, member in kind.members:
            yield from _paths(member, (*before, name))


# What a place has: names, by what the field's kind is.


@dataclass(frozen=True, slots=True)
class Thing:
    """What records are about: where its values stand. A name counts in these places alone, since a common one, such as
    `quantity`, stands somewhere in every file."""

    kinds: str
    """Patterns of names of events."""
    rows: str
    """The rows that the records make or change with what they say."""
    answers: str
    pages: str
    """Templates, with the macros that they call, and modules of pages."""
    called: str = r"\w"
    """Pattern of what stands before the point where a page names an attribute of the thing."""


THINGS: tuple[Thing, ...] = (
    Thing("Order[!s]* Revision* EndProposed", "OrderRow", "Order Gate", "order*.html"),
    Thing("Assignment*", "AssignmentRow", "Assignment", "order.html machine*.html work*.html"),
    Thing("Lot* Custody* Return*", "LotRow CustodyChangeRow PackingRow", "Lot CustodyChange", "lot*.html"),
    Thing(
        "LotsTransformed LotReworked",
        "TransformationRow LotInputRow LotOutputRow",
        "Transformation TransformedQuantity",
        "lot*.html",
    ),
    Thing("GateWaived", "WaiverRow", "Waiver", "lot*.html"),
    Thing("CertificateIssued", "CertificateRow CertifiedLotRow", "Certificate", "certificate.html", r"\bone"),
    Thing("Certificate[!I]* OpeningDemanded", "CertificateRow", "Certificate", "certificate.html", r"\bone"),
    Thing("Stream*", "StreamRow AnchorRow", "OpenedStream Stream Anchor", "stream*.html"),
    Thing("NoteRecorded", "NoteRow", "HistoryRecord", "lot.html order.html"),
    Thing("Participant* RolesSet TrusteeNamed", "ParticipantRow", "Participant", "participant*.html"),
    Thing("Key*", "KeyRow", "Key", "participant.html"),
    Thing("Recovery*", "RecoveryRow", "Recovery Participant Key", "participant.html consortium.html"),
    Thing("NameKeySet", "NameKeyRow", "", ""),
    Thing("Published", "PublicationRow", "", ""),
    Thing("OwnershipOffered OwnershipAccepted Closed", "", "", ""),
    Thing("Machine*", "MachineRow", "RegisteredMachine", "machine*.html"),
    Thing("Model*", "ModelRow", "Model", "model*.html models.py"),
)


def things_of(kind: type[Event]) -> list[Thing]:
    return [one for one in THINGS if any(fnmatchcase(kind.__name__, name) for name in one.kinds.split())]


@functools.cache
def text(*places: str) -> str:
    """All text of files; a place may be a pattern."""
    return "\n".join(path.read_text("utf-8") for place in places for path in sorted(ROOT.glob(place)))


@functools.cache
def parsed(source: str) -> ast.Module:
    return ast.parse(source)


@functools.cache
def names_in(node: ast.AST) -> set[str]:
    """The names and attributes in code."""
    found = {one.attr for one in ast.walk(node) if isinstance(one, ast.Attribute)}
    return found | {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}


@once
def said_by(function: Callable[..., Any]) -> set[str]:
    """The names in a function, and in those of its module that it calls."""
    functions = functions_in(inspect.getsource(sys.modules[function.__module__]))
    return {said for name in closure(function.__name__, functions) for said in names_in(functions[name])}


@once
def read_by(function: Callable[..., Any]) -> set[str]:
    """The members of the event that a function reads, with those of its module that it calls: what follows `event`, a
    name that stands for a part of one, or a parameter of a struct's class."""
    functions = functions_in(inspect.getsource(sys.modules[function.__module__]))
    return {read for name in closure(function.__name__, functions) for read in _read_of_event(functions[name])}


@once
def judged(kind: type[Event]) -> set[str]:
    """What the rule reads of the event; of a struct that it keeps, also what others read of that later."""
    structs = {path[0] for path in _paths(struct_of(kind)) if len(path) > 1}
    later = re.findall(r"\b(\w+)\.(\w+)\b", text("ledger/verify/*.py")) if structs else ()
    return read_by(RULES[kind]) | {name for struct, name in later if struct in structs}


@functools.cache
def _read_of_event(function: ast.FunctionDef) -> set[str]:
    given = [*function.args.args, *function.args.kwonlyargs]
    parts = {one.arg for one in given if one.annotation is not None and names_in(one.annotation) & STRUCTS}
    parts |= {"event"}
    for _ in range(3):  # names of parts of parts
        for node in ast.walk(function):
            parts |= _parts_named(node, parts)
    chains = (one for one in ast.walk(function) if isinstance(one, ast.Attribute) and _is_part(one.value, parts))
    return {one.attr for one in chains}


def _parts_named(node: ast.AST, parts: Collection[str]) -> set[str]:
    """The names that a statement gives to parts: to one itself, or to each in one."""
    if isinstance(node, ast.Assign):
        values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
        named: Sequence[ast.AST] = node.targets if any(_is_part(one, parts) for one in values) else []
    elif isinstance(node, (ast.For, ast.comprehension)):
        named = [node.target] if any(_is_part(one, parts) for one in ast.walk(node.iter)) else []
    else:
        return set()
    return {one.id for target in named for one in ast.walk(target) if isinstance(one, ast.Name)}


def _is_part(node: ast.AST, parts: Collection[str]) -> bool:
    """Whether it is an event or something in one."""
    if isinstance(node, ast.Attribute):
        return node.attr == "event" or _is_part(node.value, parts)
    if isinstance(node, ast.Subscript):
        return _is_part(node.value, parts)
    return isinstance(node, ast.Name) and node.id in parts


STRUCTS = {"Terms", "Statement", "Transformation", "Rework", "Input", "Output", "Item"}
"""The classes of what events have in them."""


@functools.cache
def functions_in(source: str) -> Mapping[str, ast.FunctionDef]:
    return {node.name: node for node in ast.walk(parsed(source)) if isinstance(node, ast.FunctionDef)}


def closure(name: str, functions: Mapping[str, ast.FunctionDef]) -> set[str]:
    """The functions that one calls, and those that these call, with itself."""
    found, waiting = set[str](), {name}
    while waiting:
        found |= waiting
        waiting = {said for one in waiting for said in names_in(functions[one]) & functions.keys()} - found
    return found


@once
def rows_of(kind: type[Event]) -> tuple[type, ...]:
    return tuple(getattr(rows, name) for thing in things_of(kind) for name in thing.rows.split())


@once
def columns_of(kind: type[Event]) -> set[str]:
    return {column.name for row in rows_of(kind) for column in dataclasses.fields(row)}


@once
def projected(kind: type[Event]) -> set[str]:
    """What the projection reads of the event by name, or copies to columns of the same name."""
    copies = said_by(PROJECTIONS[kind]) & {"row_of", "copy_to"}
    return read_by(PROJECTIONS[kind]) | (columns_of(kind) if copies else set())


@once
def answered(kind: type[Event]) -> set[str]:
    found = (getattr(answers, name) for thing in things_of(kind) for name in thing.answers.split())
    return {member.name for answer in found for member in dataclasses.fields(answer)}


@once
def record_of(kind: type[Event]) -> type[Record]:
    """The call that leaves the event behind."""
    calls = [one for one in RECORD_TYPES if one.contract is kind.contract]
    return next(one for one in calls if kind.__name__ in (one.event, one.or_event))


def _members(kind: Any) -> Iterator[str]:
    """The fields of a class, and of the classes in their types."""
    if dataclasses.is_dataclass(kind) and not isinstance(kind, Packed):
        hints = get_type_hints(kind, include_extras=True)
        for member in dataclasses.fields(kind):
            yield member.name
            yield from _members(hints[member.name])
    for inner in get_args(kind):
        yield from _members(inner)


def in_the_call(field: Field) -> bool:
    """At its place: a struct of the call has it where the event's has it."""
    said = {tuple(part.rstrip("_") for part in path) for path in _named(record_of(field.kind))}
    places = [(*field.path[:-1], name) for name in field.names]
    return any(path[-len(place) :] == place for place in places for path in said)


def _named(kind: Any, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The fields of a class, each with those that it is in."""
    if dataclasses.is_dataclass(kind) and not isinstance(kind, Packed):
        hints = get_type_hints(kind, include_extras=True)
        for member in dataclasses.fields(kind):
            yield (*before, member.name)
            yield from _named(hints[member.name], (*before, member.name))
    for inner in get_args(kind):
        yield from _named(inner, before)


def write_of(kind: type[Event]) -> Write | None:
    """The route that records it; None where only its operator does, on the command line (`NO_ACTS`)."""
    record = record_of(kind)
    return next((one for one in WRITES if one.kind is record and not one.act.record), None)


def _properties(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        yield from schema.get("properties", ())
        schema = list(schema.values())
    for inner in schema if isinstance(schema, list) else ():
        yield from _properties(inner)


@once
def asked(kind: type[Event]) -> set[str]:
    """What a caller of the API gives, and what follows from the path."""
    write = write_of(kind)
    assert write is not None
    return {*_properties(write.body.model_json_schema()), *write.found.given}


@functools.cache
def commands() -> Mapping[str, set[str]]:
    """By method of the client and by record, the options and values of the commands that call or build it."""
    found = defaultdict[str, set[str]](set)
    for path in sorted([*ROOT.glob("services/commands/**/*.py"), *ROOT.glob("quality/commands/*.py")]):
        functions = functions_in(path.read_text("utf-8"))
        for name, function in functions.items():
            given = {one for reached in closure(name, functions) for one in given_in(functions[reached])}
            for called in names_in(function) & _CALLED:
                found[called] |= given
    return found


_CALLED = {snake_case(write.operation) for write in WRITES} | {one.__name__ for one in RECORD_TYPES}


@functools.cache
def given_in(node: ast.AST) -> set[str]:
    """Names of parameters and arguments, and texts."""
    found = {one.arg for one in ast.walk(node) if isinstance(one, (ast.keyword, ast.arg)) and one.arg}
    return found | {one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str)}


@once
def commanded(kind: type[Event]) -> set[str]:
    write = write_of(kind)
    assert write is not None
    declared = {name for command in write.act.commands for name in (*stated_in(command.fields), *command.states)}
    declared |= {name for command in write.act.commands for name in steps().get(command.words, ())}
    by_step = {*commands()[snake_case(write.operation)], *commands()[write.kind.__name__]}
    return {*declared, *by_step, *write.found.given}


@functools.cache
def steps() -> Mapping[str, set[str]]:
    """By the words of a command of an act, the names and texts in its step."""
    found = {}
    for path in sorted(ROOT.glob("services/commands/acts/*.py")):
        source = path.read_text("utf-8")
        functions = functions_in(source)
        groups = dict(re.findall(r'^(\w+) = Group\("(\w+)"', source, re.MULTILINE))
        added = re.findall(r"^(\w+)\.add_acts\((.*?)\)$", source, re.MULTILINE | re.DOTALL)
        for group, given in added:
            for verb, step in re.findall(r"(\w+)=(\w+)", given):
                reached = closure(step, functions)
                found[f"{groups[group]} {verb}"] = {one for name in reached for one in given_in(functions[name])}
    return found


def stated_in(asked: Iterable[acts.Field]) -> Iterator[str]:
    """The members that fields of an act set."""
    for one in asked:
        yield from (one.name, *one.target.split("."))


@once
def entered(kind: type[Event]) -> set[str]:
    """What the forms of its operation ask for, or derive from their thing."""
    write = write_of(kind)
    assert write is not None
    found = set(write.found.given)
    for staged in STAGED:
        form = staged.form
        if form.operation == write.operation:
            found |= {*stated_in((*form.fields, *form.follows)), *form.states}
            for derive in (staged.complete, staged.follows):
                if derive is not None:
                    functions = functions_in(inspect.getsource(sys.modules[derive.__module__]))
                    first = derive.__name__ if derive.__name__ in functions else ""
                    reached = closure(first, functions) if first else ()
                    found |= {one for name in reached for one in given_in(functions[name])}
                    found |= set(re.findall(r"['\"](\w+)['\"]:", inspect.getsource(derive)))
    return found


def in_visible(field: Field) -> bool:
    """In the table of its event, whole or with the packed list that it is in."""
    dotted = ".".join(re.sub(r"_+(\w)", lambda found: found[1].upper(), part.rstrip("_")) for part in field.path)
    return any(dotted == one or dotted.startswith(one + ".") for one in visible()[field.kind.__name__])


@functools.cache
def visible() -> Mapping[str, Mapping[str, str]]:
    """By event, what VISIBLE.md says of each field."""
    found = defaultdict[str, dict[str, str]](dict)
    for name, table in re.findall(r"^\*\*(\w+)\*\*\n(.*?)(?=^\*\*|^#|\Z)", text("ledger/VISIBLE.md"), re.M | re.S):
        found[name] = dict(re.findall(r"^\| `([\w.]+)` \|.*\| (.+) \|$", table, re.M))
    return found


def translated(field: Field) -> bool:
    words = json.loads(text("services/portal/catalogue/visible.zh.json"))
    return in_visible(field) and all(said in words for said in visible()[field.kind.__name__].values())


def in_bundle(field: Field) -> bool:
    """In the row of its event, or in that of the struct that has it or the list that it is in."""
    parts = text("ledger/BUNDLE.md").partition("| kind | data |")[2].partition("## Heads")[0]
    owners = [_STRUCTS_OF_LISTS.get(part, part) for part in field.path[:-1]] or [field.kind.__name__]
    said = re.findall(rf"^\|[^|]*\b(?:{'|'.join(owners)})\b[^|]*\|(.*)\|$", parts, re.M)
    members = {member.strip() for one in said for member in re.sub(r"\([^)]*\)", "", one).split(",")}
    return any(" ".join(name.strip("_").split("_")) in members for name in field.names)


_STRUCTS_OF_LISTS = {"inputs": "input", "components": "input", "outputs": "output"}


def in_the_abi(field: Field) -> bool:
    found = next((one for one in load_abi(field.kind.contract) if one.get("name") == field.kind.__name__), {})
    members = found.get("inputs", [])
    for part in field.path:
        named = [one for one in members if snake_case(one["name"]) == part.rstrip("_")]
        if not named:
            return False
        members = named[0].get("components") or [{"name": name} for name in field.path]  # a packed list is one word
    return True


@once
def shown(kind: type[Event]) -> set[str]:
    """The attributes that the pages of its thing name, and the macros that these call."""
    found = set[str]()
    for thing in things_of(kind):
        said = text(
            *(f"services/portal/{'' if page.endswith('.py') else 'templates/'}{page}" for page in thing.pages.split())
        )
        said += "".join(macros().get(name, "") for name in re.findall(r"\bm\.(\w+)\(", said))
        found |= set(re.findall(rf"{thing.called}\.(\w+)\b", said))
    return found


@functools.cache
def macros() -> Mapping[str, str]:
    return dict(re.findall(r"{% macro (\w+)(.*?){%-? endmacro", text("services/portal/templates/macros.html"), re.S))


def is_certificate(field: Field) -> bool:
    return sys.modules[field.kind.__module__] is certificates and rows.CertificateRow in rows_of(field.kind)


def credentials() -> dict[str, Place]:
    """The documents of other standards that are made of a certificate: credentials."""
    found = {}
    for path in sorted((ROOT / "services" / "interop").rglob("*.py")):
        source = path.read_text("utf-8")
        if f"facts: {CertificateFacts.__name__}" in source:
            place = f"{path.parent.relative_to(ROOT).as_posix()}: in what is made of a certificate"
            said = frozenset(re.findall(r"facts\.(\w+)", source))
            found[place] = Place(functools.partial(_is_said, said), is_certificate)
    return found


def _is_said(said: Collection[str], field: Field) -> bool:
    return any(name in said for name in field.names)


def is_stored(field: Field) -> bool:
    columns = {name for row in rows_of(field.kind) for name in migrated()[TABLES[row].name]}
    return any(name in columns for name in {*field.names} & columns_of(field.kind))


@functools.cache
def migrated() -> Mapping[str, set[str]]:
    """By table, the columns with which migrations create it."""
    found = defaultdict[str, set[str]](set)
    for path in sorted(ROOT.glob("ledger/store/migrations/versions/*.py")):
        for node in ast.walk(parsed(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "create_table":
                table, columns = (ast.literal_eval(one) for one in node.args[:2])
                found[table] |= {one.partition(":")[0] for one in columns.split()}
    return found


@dataclass(frozen=True, slots=True)
class Place:
    """A place that must know a field."""

    knows: Callable[[Field], bool]
    concerns: Callable[[Field], bool] = lambda _: True


def has(names: Callable[[type[Event]], Collection[str]], where: Callable[[Field], bool] = lambda _: True) -> Place:
    return Place(lambda field: any(name in names(field.kind) for name in field.names), where)


def takes(names: Callable[[type[Event]], Collection[str]]) -> Place:
    """As a caller gives it: of a document, itself in place of its root."""

    def knows(field: Field) -> bool:
        given = names(field.kind)
        return any(name in given or name.removesuffix("_root") in given for name in field.names)

    return Place(knows, lambda field: write_of(field.kind) is not None)


PLACES: dict[str, Place] = {
    "contracts/src/interfaces, scripts/compile_contracts: in the event, or in its struct": Place(in_the_abi),
    "ledger/records: in the call": Place(in_the_call),
    "ledger/store/rows.py, ledger/store/migrations/versions/0001_ledger.py: a column": Place(is_stored),
    "ledger/index/projections: read, or copied to the column": has(projected),
    "ledger/verify: read by the rule": has(judged, lambda field: field.kind in RULES),
    "ledger/BUNDLE.md: in the tables of events and structs": Place(in_bundle, lambda field: field.kind.in_histories),
    "ledger/VISIBLE.md: what it shows and says": Place(in_visible),
    "services/portal/catalogue/visible.zh.json: the same in Chinese": Place(translated),
    "ledger/provenance/answers.py: in an answer": has(answered),
    "services/portal/templates: shown, with its label in catalogue/en.json and catalogue/zh.json": has(shown),
    "services/gateway/recording: in the body": takes(asked),
    "services/commands/acts: an option, or what follows from one": takes(commanded),
    "services/portal/acting: in the form, or what follows from its thing": takes(entered),
    **credentials(),
}
"""What a field needs where, and how it is seen to be there. EVENTS.md says what is derived from these."""

OTHER_NAMES: Mapping[str, str] = {
    "*.gates.*": "gates",
    "*.items.*": "items lot lots",
    "*.consignment": "lots lot",
    "ModelWithdrawn.defective_since": "since",
    "*.identifier_hash": "identifier subject",
    "OpeningDemanded.deadline": "opening_deadline",
    "CustodyOffered.to": "counterparty to_participant",
    "ReturnOffered.to": "counterparty to_participant",
    "CustodyReclaimed.from_": "custodian from_participant",
    "NoteRecorded.kind_": "note_kind",
    "NameKeySet.name_key_hash": "hash",
    "RecoveryProposed.proposed": "key",
    "KeyProposed.proposed": "key",
    "NoteRecorded.about": "corrected_by about",
    "ParticipantAdmitted.admitted": "participant number",
    "RolesSet.changed": "participant",
    "ParticipantSuspended.suspended": "participant",
    "ParticipantReinstated.reinstated": "participant",
    "TrusteeNamed.absent": "participant",
    "Recovery*.recovered": "participant",
    "KeyChanged.changed": "key address",
    "KeyRevoked.revoked": "key address",
}
"""What a field is called where its own name would not say enough."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why places lack fields, both as patterns."""

    because: str
    places: str
    fields: str

    def covers(self, field: Field, place: str) -> bool:
        of_place = any(place.partition(":")[0].startswith(one) for one in self.places.split())
        return of_place and any(fnmatchcase(field.label, one) for one in self.fields.split())


_TAKING = ("services/gateway/recording", "services/commands", "services/portal/acting")
_ASKING = "services/gateway/recording services/commands services/portal/acting"
_INDEX = "ledger/store/rows.py ledger/index/projections"
_SHOWING = "ledger/provenance/answers.py services/portal/templates"
_CREDENTIALS = "services/interop/credentials"
LEFT_OUT: tuple[Reason, ...] = (
    Reason(
        "the contract finds it out",
        f"ledger/records {_ASKING}",
        "RevisionAccepted.awaited AssignmentProposed.owner AssignmentStarted.stream_size LotCommissioned.assignment "
        "LotReworked.assignment LotAllocated.assignment CustodyReclaimed.from_ LotsUnpacked.custodian "
        "GateWaived.certificate "
        "CertificateIssued.anchor_* CertificateUpheld.executed CertificateRefuted.executed OpeningDemanded.deadline "
        "Recovery*.effective_at OwnershipAccepted.previous ModelPublished.digest ModelPublished.code "
        "ParticipantAdmitted.admitted LotDeallocated.order OrderDelivered.count OrderDelivered.quantity "
        "OrderDelivered.lots_digest",
    ),
    Reason("the key has what was proposed for it", "ledger/records", "KeyAdded.*"),
    Reason("the proposal has them", "services/gateway/recording services/portal/acting", "RevisionAccepted.terms.*"),
    Reason(
        "the index knows the order of a lot",
        _ASKING,
        "*Custody.consignment *Custody.lot *Custody.order "
        "QuarantineLot.order ReleaseLot.order WaiveGate.order LotReworked.rework.order",
    ),
    Reason(
        "found by the event that is chosen",
        "services/commands services/portal/acting",
        "*.leaf_* *.statement.stream AssignmentFinished.stream",
    ),
    Reason(
        "a record is corrected by its number, in the API and on the command line",
        "services/portal",
        "NoteRecorded.about",
    ),
    Reason("orders have a page of their own (portal/ordering.py)", "services/portal/acting", "*Place*.*"),
    Reason(
        "recorded on the command line, where its files and its names are",
        "services/portal/acting",
        "Model*.digest Model*.card_root PublishModel.* MachineRegistered.* StreamAnchored.* StreamOpened.claims_root "
        "CustodyReclaimed.reason_root",
    ),
    Reason(
        "the model's file says it, and the command's name",
        "services/commands",
        "ModelRegistered.digest ModelOpened.open",
    ),
    Reason("written on a page", "services/commands", "ModelApproved.* ModelRetired.* ModelWithdrawn.*"),
    Reason("the reason stands in the proposal", "services/commands", "OrderEnded.claims_root"),
    Reason("components are taken whole", "services/portal/acting", "LotReworked.rework.components.*"),
    Reason("the record has the document's root, and is found by its number", _INDEX, "*.claims_root *.reason_root"),
    Reason("the row of the record has it", _INDEX, "OrderDelivered.* LotScrapped.*"),
    Reason("a proposal changes nothing until it is accepted", _INDEX, "RevisionProposed.* *.proposal *.awaited"),
    Reason(
        "nothing about keys before they sign, or about the owner",
        _INDEX,
        "KeyProposed.* *.first_key Ownership* Closed.*",
    ),
    Reason(
        "by its number the row is found",
        "ledger/store/rows.py",
        "Assignment*.assignment Model*.model MachineRetired.machine Certificate*.certificate "
        "OpeningDemanded.certificate *.changed *.reinstated *.absent",
    ),
    Reason(
        "the row that it names has it already",
        "ledger/index/projections",
        "Assignment*.operation AssignmentFinished.stream LotAllocated.assignment Custody*.offer LotDeallocated.order "
        "CustodyReclaimed.from_",
    ),
    Reason("shown documents are compared with their roots", "ledger/verify", "*.claims_root *.reason_root"),
    Reason("nothing depends on it", "ledger/verify", "*.terms.due_at"),
    Reason("a bundle lacks the order's other lots", "ledger/verify", "OrderDelivered.count *.lots_digest"),
    Reason("compared where the evidence is shown", "ledger/verify", "*.leaf_hash"),
    Reason(
        "in the `fields` of its record alone",
        "ledger/provenance/answers.py",
        "*_root *.proposal *.awaited *.count *.lots_digest *.stream_size *.disposition *.rework.operation "
        "*.transformation.operation",
    ),
    Reason("pages show documents in place of roots", "services/portal/templates", "*_root"),
    Reason(
        "for programs and proofs; people need the answer alone",
        "services/portal/templates",
        "*.leaf_hash *.anchor_size *.stream_size *.inputs.component *.components.component *.yield_* *.loss "
        "*.output_unit *.awaited *.disposition *.lots_digest *.proposal *.offer Assignment*.assignment "
        "Lot*.assignment LotsUnpacked.custodian Assignment*.stream Assignment*.leaf_index *.rework.operation "
        "*.transformation.operation",
    ),
    Reason(
        "the story of the lot or order tells it, in statements",
        "services/portal/templates",
        "GateWaived.inspector OrderDelivered.count NoteRecorded.kind_ CustodyReclaimed.from_ *.transformation.kind",
    ),
    Reason(
        "the list of participants shows who may sign now",
        _SHOWING,
        "KeyProposed.* *.first_key TrusteeNamed.* *.compromised_since Recovery*.effective_at",
    ),
    Reason(
        "what the registry's owner does is read from the contract",
        _SHOWING,
        "Ownership* Closed.* Published.* NameKeySet.*",
    ),
    Reason(
        "one says what was certified; whether it still holds, the status list does",
        _CREDENTIALS,
        "CertificateRevoked.* CertificateUpheld.* CertificateRefuted.* OpeningDemanded.*",
    ),
    Reason(
        "of the evidence, it has the digest of the inference",
        _CREDENTIALS,
        "CertificateIssued.statement.stream CertificateIssued.statement.leaf_* CertificateIssued.anchor_*",
    ),
)
"""What places do without. A place is named by the beginning of its first file."""


def lacking(field: Field) -> Iterator[str]:
    """The places that lack the field, whether or not there is a reason."""
    for place, it in PLACES.items():
        if field.of_call and not place.startswith(_TAKING):
            continue
        if it.concerns(field) and not it.knows(field):
            yield place


@functools.cache
def gaps() -> tuple[tuple[Field, str], ...]:
    return tuple((field, place) for kind in EVENTS for field in fields_of(kind) for place in lacking(field))


def missing(found: Iterable[tuple[Field, str]]) -> list[str]:
    return [f"{one.label}: {place}" for one, place in found if not any(why.covers(one, place) for why in LEFT_OUT)]


def test_every_field_is_handled_everywhere() -> None:
    told = missing(gaps())
    assert not told, "\n".join(["not handled (see ledger/EVENTS.md; or give a reason in LEFT_OUT):", *told])


def test_reasons_are_for_what_lacks() -> None:
    """Of each reason every place and every pattern of fields is needed."""
    parts = [replace(reason, places=one) for reason in LEFT_OUT for one in reason.places.split()]
    parts += [replace(reason, fields=one) for reason in LEFT_OUT for one in reason.fields.split()]
    assert [part for part in parts if not any(part.covers(*gap) for gap in gaps())] == []


def test_other_names_are_of_fields_that_there_are() -> None:
    labels = [field.label for kind in EVENTS for field in fields_of(kind)]
    assert [one for one in OTHER_NAMES if not any(fnmatchcase(label, one) for label in labels)] == []


COMMON = "quantity unit machine operation kind due_at component number name label size owner value until"


@pytest.mark.parametrize("path", [(), ("statement",)])
@pytest.mark.parametrize("name", ["humidity_ppm", *COMMON.split()])
def test_a_field_that_is_only_declared_is_named_with_every_place(path: tuple[str, ...], name: str) -> None:
    """Also one whose name stands in many files, for something else."""
    field = Field(certificates.CertificateIssued, (*path, name))
    assert missing((field, place) for place in lacking(field)) == [f"{field.label}: {place}" for place in PLACES]


@pytest.mark.parametrize("kind", EVENTS)
def test_each_event_is_about_things_whose_rows_its_projection_touches(kind: type[Event]) -> None:
    told = [row.__name__ for row in rows_of(kind)]
    touched = {name for name in said_by(PROJECTIONS[kind]) if name.endswith("Row")}
    assert things_of(kind), f"{kind.__name__}: add it to THINGS"
    assert not touched or touched & {*told}, f"{kind.__name__}: {told} in THINGS, its projection has {touched}"


def test_the_page_names_every_place() -> None:
    page = text("ledger/EVENTS.md").partition("# Adding a field")[2]
    for place in PLACES:
        for file in place.partition(":")[0].split(", "):
            assert file in page, file
