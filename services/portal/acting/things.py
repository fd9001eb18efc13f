"""What an act is about: one thing, as the index has it, with the facts from which a form was made."""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeAlias, cast
from urllib.parse import parse_qsl

from fastapi import Depends, Request
from pydantic import BaseModel

from millmark.ledger import canonical, errors, records
from millmark.ledger.provenance.permissions import Limits
from millmark.ledger.provenance.reader import Reader, unit
from millmark.ledger.store import Connection
from millmark.ledger.store.rows import AssignmentRow, CertificateRow, LotRow, MachineRow, ModelRow, OrderRow
from millmark.quality.errors import QualityError
from millmark.quality.inference import unpack_window
from millmark.services.access import Principal
from millmark.services.acts import About
from millmark.services.setpoints.inbox import describe_value
from millmark.services.setpoints.repository import SetpointRow
from millmark.services.views import RecordStatus

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

# What the portal needs of the gateway that records for the company. millmark.services.gateway.recording.service
# supplies it: the portal does not import the gateway.

Asked = Mapping[str, str | int]
"""Parameters of an operation's path: `subject`, 0x-hex, and `id`."""


class FormUsedError(errors.InputError):
    """The form was sent before, with other entries."""

    code = "form-used"


@dataclass(frozen=True, slots=True)
class Wish:
    """A record that a person asks for with a form."""

    operation: str
    """Operation id of the API."""
    key: str
    """The form's own: however often it is sent, one record is made."""
    asked: Asked
    body: BaseModel


@dataclass(frozen=True, slots=True)
class Preview:
    """A record that is not queued yet, and what stays behind it."""

    record: records.Record
    identifiers: tuple[str, ...]
    """Identifiers of new things; they are stored in the company's own book."""
    documents: tuple[canonical.Json, ...]
    """Documents of which the record has only the root."""


class FormRecorder(Protocol):
    """Records for the company that runs the gateway, as its API does: same bodies, rules, checks and outbox."""

    def may(self, principal: Principal, operation: str) -> bool:
        """Whether the caller may record this: by the rule of the API's route, at a gateway that has a key."""

    def body(self, operation: str) -> type[BaseModel]:
        """The model of the operation's body. Raises KeyError for an operation that does not exist."""

    def parameters(self, operation: str) -> tuple[str, ...]:
        """The parameters in the operation's path: `subject`, `id`, both or none."""

    def company(self, principal: Principal) -> int | None:
        """The participant for which is recorded; None if there is none."""

    def preview(self, wish: Wish, principal: Principal) -> Preview:
        """What would be recorded. Raises InputError, NotFoundError or a subclass for what the API would refuse."""

    def find(self, wish: Wish, principal: Principal) -> int | None:
        """Number of the record that this form led to already, if any."""

    def used(self, operation: str, key: str, principal: Principal) -> int | None:
        """Number of the record that a form with this key led to, whatever its entries were."""

    def record(self, wish: Wish, principal: Principal) -> int:
        """Queues the record and returns its number. A form that was sent before leads to the same record. Raises as
        `preview`, and FormUsedError for a form that was sent with other entries."""

    def seal(self, key: str, principal: Principal, write: Callable[[Connection], records.Record]) -> int:
        """Queues the record that `write` returns, in the transaction in which that writes what the record is about;
        returns its number. A form that was sent before leads to the same record, and nothing is written. Raises what
        `write` raises, and NoSignerError, OutboxOlderError or TryLaterError before anything is written."""

    def status(self, number: int) -> RecordStatus:
        """Raises NotFoundError."""


Row: TypeAlias = "OrderRow | LotRow | AssignmentRow | CertificateRow | MachineRow | ModelRow | SetpointRow"
Filled: TypeAlias = "Mapping[str, Sequence[str]]"
"""What was sent: values by the names of the fields."""
MAX_SEEN = 1024
"""Most characters of the facts that a form carries."""
_MOST_NUMBER = 2**40


STATES: Mapping[type, type[enum.IntEnum]] = {
    OrderRow: records.OrderState,
    LotRow: records.LotState,
    AssignmentRow: records.AssignmentState,
    CertificateRow: records.CertificateState,
    ModelRow: records.ModelState,
}
_ROWS: Mapping[About, type[Row]] = {
    About.ORDER: OrderRow,
    About.LOT: LotRow,
    About.ASSIGNMENT: AssignmentRow,
    About.CERTIFICATE: CertificateRow,
    About.MACHINE: MachineRow,
    About.MODEL: ModelRow,
    About.SETPOINT: SetpointRow,
}
_FACTS: Mapping[type, tuple[str, ...]] = {
    OrderRow: ("finished", "live", "coordinator", "due_at", "quantity", "claims_root"),
    LotRow: ("quantity", "custodian", "counterparty", "offer", "order", "parent", "certificate", "reworked"),
    AssignmentRow: ("machine", "stream", "leaf_index"),
    CertificateRow: ("opening_deadline", "revoked_at"),
    MachineRow: ("retired_at",),
    ModelRow: ("open",),
    SetpointRow: ("until",),
}
"""What of a row can change and bears on what somebody decides about it, besides its state."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A fact that is no longer what it was when the form was made."""

    name: str
    before: str
    now: str


@dataclass(frozen=True)
class Thing:
    """`row` is None if the act is about nothing that exists yet."""

    about: About
    row: Row | None
    proposal: int | None = None
    """The proposal that an act agrees to, 0 if there is none now; None for acts that agree to none."""

    @property
    def subject(self) -> bytes | None:
        return self.row.subject if isinstance(self.row, OrderRow | LotRow | MachineRow) else None

    @property
    def key(self) -> str:
        """The name of the thing in addresses of pages."""
        if self.row is None:
            return ""
        if isinstance(self.row, OrderRow | LotRow):
            return self.row.subject.hex()
        return str(self.row.number if isinstance(self.row, MachineRow | ModelRow | SetpointRow) else self.row.sequence)

    @property
    def path(self) -> str:
        """Its page; that of the order for an assignment."""
        if self.about is About.ASSIGNMENT and isinstance(self.row, AssignmentRow):
            return f"/portal/orders/{self.row.order.hex()}"
        if isinstance(self.row, SetpointRow):
            return f"/portal/process?machine={self.row.machine}"
        return "/portal" if self.row is None else f"/portal/{self.about.value}/{self.key}"

    @property
    def query(self) -> dict[str, str]:
        """The parameter that names it in the address of a form."""
        return {} if self.row is None else {self.about.parameter: self.key}

    @cached_property
    def facts(self) -> dict[str, str]:
        """What bears on a decision about it, by name."""
        if self.row is None:
            return {}
        kind = STATES.get(type(self.row))
        facts = {} if kind is None else {"state": kind(self.row.state).name}  # type: ignore[union-attr]  # those rows have a state
        for name in _FACTS[type(self.row)]:
            value = getattr(self.row, name)
            facts[name] = value.hex() if isinstance(value, bytes) else "" if value is None else str(int(value))
        # Agreeing to another proposal than the one that was shown must not be possible.
        return facts if self.proposal is None else {**facts, "proposal": str(self.proposal)}

    @property
    def seen(self) -> str:
        """The facts, as a form carries them."""
        return json.dumps(self.facts, separators=(",", ":"))

    def changes(self, seen: str) -> tuple[Changed, ...]:
        """What is no longer as a form has it; with an empty name if the form does not say."""
        before = parse_seen(seen)
        if before is None or before.keys() != self.facts.keys():
            return (Changed("", "", ""),)
        return tuple(Changed(name, before[name], value) for name, value in self.facts.items() if before[name] != value)

    def asked(self, seen: str | None) -> int:
        """The proposal that a form agrees to: the one that it was made from; the present one for a new form."""
        before = None if seen is None else parse_seen(seen)
        said = None if before is None else _number(before.get("proposal", ""))
        return (self.proposal or 0) if said is None else said


@dataclass(frozen=True, slots=True)
class Scene:
    """What a form is made from."""

    reader: Reader
    thing: Thing
    company: int
    """The participant that records; 0 if there is none."""
    filled: Filled = field(default_factory=dict)
    """What the form has: what was sent; of a new one, what its link says."""


def parse_seen(seen: str) -> dict[str, str] | None:
    """None for what no form of this portal has."""
    try:
        found = json.loads(seen) if len(seen) <= MAX_SEEN else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not all(isinstance(one, str) for one in found.values()):
        return None
    return found


def find_thing(reader: Reader, about: About, subject: str, number: str) -> Thing:
    """Raises NotFoundError for what the index does not have."""
    if about is About.NOTHING:
        return Thing(about, None)
    key = _subject(subject) if about.is_subject else _number(number)
    row = None if key is None else reader.rows.get(_ROWS[about], key)
    if row is None:
        raise errors.NotFoundError(f"the gateway's index has no {about.name.lower()} {(subject or number)[:80]!a}")
    return Thing(about, row)


def _subject(text: str) -> bytes | None:
    try:
        found = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        return None
    return found if len(found) == 32 else None


def _number(text: str) -> int | None:
    if not (text.isascii() and text.isdecimal() and len(text) <= 13):
        return None
    return int(text) if int(text) < _MOST_NUMBER else None


# What a person may choose from.


@dataclass(frozen=True, slots=True)
class Option:
    """One of several values to choose from."""

    value: str
    text: str = ""
    """Shown as it is, such as the name of a thing."""
    key: str = ""
    """Catalogue key, instead of `text`."""
    values: Mapping[str, object] = field(default_factory=dict)
    """Values of the key's placeholders."""
    chosen: bool = False
    """Whether it is chosen in a form that nobody has filled in."""


# Reads what a form sends, within limits.

_URLENCODED = "application/x-www-form-urlencoded"
_MAX_FIELDS = 1200
"""Most values of a form: as many lots move together at most, and some more."""


async def _read_form(request: Request) -> Filled:
    """The fields of an urlencoded form; its length is limited by the route's rule. Raises InputError."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _URLENCODED:
        raise errors.InputError("the form is not urlencoded", hint="send it from the page")
    return _collect((await request.body()).decode("utf-8", "replace"))


def read_query(request: Request) -> Filled:
    """Entries that a link gives to a form. Raises InputError."""
    return _collect(request.url.query)


def _collect(text: str) -> Filled:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise errors.InputError("the form has too many fields", hint="send fewer") from None
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


Sent = Annotated[Mapping[str, list[str]], Depends(_read_form)]
"""Parameter type for routes that take a form."""


# What a record will show to everybody, field by field, before it is made.

_PARTIES = ("coordinator", "inspector", "to", "participant")
_THINGS = ("lot", "lots", "order", "parent", "stream", "subject", "subjects")
_MAX_LINES, _MAX_VALUES, _MAX_TEXT = 80, 100, 2000


@dataclass(frozen=True, slots=True)
class Value:
    """One value, with how it is shown: party, thing, machine, moment, word, unit, number, amount, quantity, gate,
    packed (a thing, and the one in which it is packed), judged (a lot with its verdict), hash, yes (or no), names (in
    several languages), option (two of them), values (a row of numbers), written (perhaps one of the product's own
    sentences), said (a key of the catalogue), text, none (template act_values.html)."""

    shown: str
    of: object


@dataclass(frozen=True, slots=True)
class Line:
    """A field of the record, by name: `act.record.NAME` in the catalogue."""

    name: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """What will stand on the ledger, and what stays with the company."""

    public: tuple[Line, ...]
    identifiers: tuple[str, ...]
    private: tuple[tuple[str, str], ...]
    """Path and value of each field of the documents; only their fingerprint is recorded."""
    cut: bool
    """Whether there are more lines than are shown."""


def build_summary(reader: Reader, preview: Preview) -> Summary:
    """`reader` names things and companies."""
    lines = [line for line in _lines(reader, preview.record) if line.values]
    private = [pair for document in preview.documents for pair in facts(document)]
    cut = max(len(lines), len(private)) > _MAX_LINES
    return Summary(tuple(lines[:_MAX_LINES]), preview.identifiers, tuple(private[:_MAX_LINES]), cut)


def _lines(reader: Reader, record: object) -> Iterator[Line]:
    for member in fields(cast("DataclassInstance", record)):
        value = getattr(record, member.name)
        if isinstance(value, records.Issued):
            continue  # the certificate's record says it already
        if isinstance(value, records.Inference):
            yield from _opened(value)
        elif isinstance(record, records.Record) and is_dataclass(value) and not isinstance(value, type):
            yield from _lines(reader, value)  # terms, transformation, rework, statement
        elif is_dataclass(value) and not isinstance(value, type):
            continue  # an opening: what it proves is stated by the record's other fields
        elif isinstance(value, tuple):
            yield Line(member.name, tuple(_each(reader, member.name, one) for one in _packed(reader, value)))
        else:
            yield Line(member.name, _values(reader, member.name, value))


def _packed(reader: Reader, values: Sequence[object]) -> Iterator[object]:
    """The values that are shown; of lots that move together, each that is packed in another as the row that says so."""
    shown = values[:_MAX_VALUES]
    lots = {one.lot for one in shown if isinstance(one, records.Item)}
    rows = {row.subject: row for row in reader.rows.among(LotRow, "subject", lots)}
    for one in shown:
        row = rows.get(one.lot) if isinstance(one, records.Item) else None
        yield one if row is None or row.parent not in lots else row


def _opened(inference: records.Inference) -> Iterator[Line]:
    """What opening an inference publishes. A window that cannot be unpacked is shown as empty."""
    try:
        window = tuple(unpack_window(inference.window))
    except QualityError:
        window = ()
    yield Line("window", (Value("values", window),))
    yield Line("logits", tuple(Value("number", one) for one in inference.logits[:_MAX_VALUES]))
    yield Line("verdict", (Value("word", records.Verdict(inference.verdict)),))
    yield Line("salt", (Value("hash", inference.salt),))


def named(reader: Reader, subject: bytes) -> tuple[bytes, str | None]:
    """A subject, and its identifier if the book has it."""
    reader.name([subject])
    return subject, reader.identifier(subject)


def machine_value(reader: Reader, number: int) -> Value:
    """A machine; by its number alone if the index does not have it yet."""
    return (
        Value("number", number)
        if reader.rows.get(MachineRow, number) is None
        else Value("machine", reader.machine(number))
    )


def _each(reader: Reader, name: str, value: object) -> Value:
    """One of several values."""
    if isinstance(value, LotRow):
        return Value("packed", (named(reader, value.subject), named(reader, value.parent or b"")))
    if isinstance(value, records.Item):
        return Value("thing", named(reader, value.lot))
    if isinstance(value, records.Input):
        return Value("amount", (value.quantity, named(reader, value.lot)))
    if isinstance(value, records.Output):
        return Value("quantity", (value.quantity, unit(value.unit)))
    if isinstance(value, records.Gate):
        return Value("gate", (reader.party(value.inspector), value.model))
    found = _values(reader, name, value)
    return found[0] if found else Value("none", None)


def _values(reader: Reader, name: str, value: object) -> tuple[Value, ...]:
    """A value as it is shown; nothing for one that means that there is none."""
    if isinstance(value, bytes):
        return _of_bytes(reader, name, value)
    if isinstance(value, enum.Enum):
        return (Value("word", value),)
    if isinstance(value, bool):
        return (Value("yes", value),)
    if name == "kind" and value in records.NoteKind.__members__.values():
        return (Value("word", records.NoteKind(cast(int, value))),)
    return _of_number(reader, name, cast(int, value))


def _of_number(reader: Reader, name: str, value: int) -> tuple[Value, ...]:
    if name.endswith(("_at", "_since")):
        return (Value("moment", datetime.fromtimestamp(value, UTC)),) if value else ()
    if name in _PARTIES:
        return (Value("party", reader.party(value)),) if value else ()
    if name == "operation":
        return (Value("number", value + 1),)
    if name in ("machine", "model") and not value:
        return ()
    if name == "machine":
        return (machine_value(reader, value),)
    return (Value("number", value),)


def _of_bytes(reader: Reader, name: str, value: bytes) -> tuple[Value, ...]:
    if not any(value):
        return ()
    if len(value) == 3:
        return (Value("unit", unit(value)),)
    if name in _THINGS:
        return (Value("thing", named(reader, value)),)
    return (Value("hash", value),)


def facts(value: canonical.Json, path: str = "", *, with_none: bool = True) -> Iterator[tuple[str, str]]:
    """Each leaf of a document, with its path. What another company wrote is bounded."""
    if isinstance(value, Mapping):
        for name, one in value.items():
            yield from facts(one, f"{path}.{name}" if path else name, with_none=with_none)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for place, one in enumerate(value):
            yield from facts(one, f"{path}.{place + 1}" if path else str(place + 1), with_none=with_none)
    elif with_none or value is not None:
        text = str(value)
        yield path, text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + " …"


# What a form says of the thing that it is about, and of what changed about it.

_INSIDE = Limits(depth=64, lots=100)
_PARTY_NAMES = ("coordinator", "custodian", "counterparty")
_MOMENTS = ("due_at", "opening_deadline", "revoked_at", "retired_at", "until")


def describe(reader: Reader, thing: Thing) -> tuple[Line, ...]:
    """The facts by which a person knows the thing."""
    if thing.row is None:
        return ()
    told: Callable[[Reader, Any], dict[str, Value | None]] = _TOLD[type(thing.row)]
    lines = tuple(Line(name, (value,)) for name, value in told(reader, thing.row).items() if value is not None)
    return (*lines, *_inside(reader, thing.row)) if isinstance(thing.row, LotRow) else lines


def _inside(reader: Reader, row: LotRow) -> tuple[Line, ...]:
    """What is packed in a lot, each with its verdict."""
    if not row.contents:
        return ()
    found, _ = reader.nearest("contents", reader.lineage.contents, [row.subject], _INSIDE)
    lots = sorted(reader.related(found), key=lambda one: one.identifier or "")
    return (Line("inside", tuple(Value("judged", one) for one in lots)),)


def describe_change(reader: Reader, thing: Thing, changed: Changed) -> tuple[Value, Value]:
    """The fact before and now. What a form claims is shown as text if the fact has no such value."""
    return _value(reader, thing, changed.name, changed.before), _value(reader, thing, changed.name, changed.now)


def _order(reader: Reader, row: OrderRow) -> dict[str, Value | None]:
    return {
        "order": Value("thing", named(reader, row.subject)),
        "state": Value("word", records.OrderState(row.state)),
        "buyer": Value("party", reader.party(row.buyer)),
        "coordinator": Value("party", reader.party(row.coordinator)),
        "quantity": Value("quantity", (row.quantity, unit(row.unit))) if row.quantity else None,
        "due_at": _moment(row.due_at),
    }


def _lot(reader: Reader, row: LotRow) -> dict[str, Value | None]:
    return {
        "lot": Value("thing", named(reader, row.subject)),
        "state": Value("word", records.LotState(row.state)),
        "quantity": Value("quantity", (row.quantity, unit(row.unit))),
        "custodian": Value("party", reader.party(row.custodian)) if row.custodian else None,
        "order": None if row.order is None else Value("thing", named(reader, row.order)),
    }


def _assignment(reader: Reader, row: AssignmentRow) -> dict[str, Value | None]:
    order = reader.rows.get(OrderRow, row.order)
    return {
        "order": Value("thing", named(reader, row.order)),
        "operation": Value("number", row.operation + 1),
        "machine": machine_value(reader, row.machine),
        "state": Value("word", records.AssignmentState(row.state)),
        "due_at": None if order is None else _moment(order.due_at),
    }


def _certificate(reader: Reader, row: CertificateRow) -> dict[str, Value | None]:
    return {
        "certificate": Value("number", row.sequence),
        "lot": Value("thing", named(reader, row.lot)),
        "verdict": Value("word", records.Verdict(row.verdict)),
        "state": Value("word", records.CertificateState(row.state)),
        "issuer": Value("party", reader.party(row.issuer)),
        "opening_deadline": _moment(row.opening_deadline),
    }


def _machine(reader: Reader, row: MachineRow) -> dict[str, Value | None]:
    return {"machine": machine_value(reader, row.number), "owner": Value("party", reader.party(row.owner))}


def _model(reader: Reader, row: ModelRow) -> dict[str, Value | None]:
    return {
        "model": Value("number", row.number),
        "state": Value("word", records.ModelState(row.state)),
        "inspector": Value("party", reader.party(row.inspector)),
    }


def _setpoint(reader: Reader, row: SetpointRow) -> dict[str, Value | None]:
    document = row.parse()
    return {
        "machine": machine_value(reader, row.machine),
        "settings": Value("text", "; ".join(describe_value(one) for one in document.values)),
        "cost": Value("text", f"{document.kept.cost} → {document.expected.cost} {document.unit}"),
        "cause": Value("written", document.cause) if document.cause else None,
        "until": _moment(row.until),
    }


_TOLD: Mapping[type, Callable[..., dict[str, Value | None]]] = {
    OrderRow: _order,
    LotRow: _lot,
    AssignmentRow: _assignment,
    CertificateRow: _certificate,
    MachineRow: _machine,
    ModelRow: _model,
    SetpointRow: _setpoint,
}


def _moment(seconds: int) -> Value | None:
    return Value("moment", datetime.fromtimestamp(seconds, UTC)) if seconds else None


def _value(reader: Reader, thing: Thing, name: str, text: str) -> Value:
    if name == "state":
        kind = STATES.get(type(thing.row))
        return Value("word", kind[text]) if kind is not None and text in kind.__members__ else Value("text", text)
    if not text or text == "0":
        return Value("none", None)
    if not (text.isascii() and text.isdecimal() and len(text) <= 10):
        return Value("text", text[:16])
    if name in _PARTY_NAMES:
        return Value("party", reader.party(int(text)))
    if name in _MOMENTS:
        return Value("moment", datetime.fromtimestamp(int(text), UTC))
    return Value("number", int(text))
