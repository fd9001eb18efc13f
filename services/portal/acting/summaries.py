"""What a record will show to everybody, field by field, before it is made."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from millmark.ledger.canonical import Json
from millmark.ledger.provenance.reader import Reader, unit
from millmark.ledger.records import Gate, Inference, Input, Issued, Item, NoteKind, Output, Record, Verdict
from millmark.ledger.store.rows import LotRow, MachineRow
from millmark.quality.errors import QualityError
from millmark.quality.inputs import unpack_window
from millmark.services.portal.acting.desk import Preview

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["Line", "Summary", "Value", "build_summary", "machine_value", "named"]

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
    private = [pair for document in preview.documents for pair in _facts(document, "")]
    cut = max(len(lines), len(private)) > _MAX_LINES
    return Summary(tuple(lines[:_MAX_LINES]), preview.identifiers, tuple(private[:_MAX_LINES]), cut)


def _lines(reader: Reader, record: object) -> Iterator[Line]:
    for field in fields(cast("DataclassInstance", record)):
        value = getattr(record, field.name)
        if isinstance(value, Issued):
            continue  # the certificate's record says it already
        if isinstance(value, Inference):
            yield from _opened(value)
        elif isinstance(record, Record) and is_dataclass(value) and not isinstance(value, type):
            yield from _lines(reader, value)  # terms, transformation, rework, statement
        elif is_dataclass(value) and not isinstance(value, type):
            continue  # an opening: what it proves is stated by the record's other fields
        elif isinstance(value, tuple):
            yield Line(field.name, tuple(_each(reader, field.name, one) for one in _packed(reader, value)))
        else:
            yield Line(field.name, _values(reader, field.name, value))


def _packed(reader: Reader, values: Sequence[object]) -> Iterator[object]:
    """The values that are shown; of lots that move together, each that is packed in another as the row that says so."""
    shown = values[:_MAX_VALUES]
    lots = {one.lot for one in shown if isinstance(one, Item)}
    rows = {row.subject: row for row in reader.rows.among(LotRow, "subject", lots)}
    for one in shown:
        row = rows.get(one.lot) if isinstance(one, Item) else None
        yield one if row is None or row.parent not in lots else row


def _opened(inference: Inference) -> Iterator[Line]:
    """What opening an inference publishes. A window that cannot be unpacked is shown as empty."""
    try:
        window = tuple(unpack_window(inference.window))
    except QualityError:
        window = ()
    yield Line("window", (Value("values", window),))
    yield Line("logits", tuple(Value("number", one) for one in inference.logits[:_MAX_VALUES]))
    yield Line("verdict", (Value("word", Verdict(inference.verdict)),))
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
    if isinstance(value, Item):
        return Value("thing", named(reader, value.lot))
    if isinstance(value, Input):
        return Value("amount", (value.quantity, named(reader, value.lot)))
    if isinstance(value, Output):
        return Value("quantity", (value.quantity, unit(value.unit)))
    if isinstance(value, Gate):
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
    if name == "kind" and value in NoteKind.__members__.values():
        return (Value("word", NoteKind(cast(int, value))),)
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


def _facts(value: Json, path: str) -> Iterator[tuple[str, str]]:
    """Each leaf of a document, with its path."""
    if isinstance(value, Mapping):
        for name, one in value.items():
            yield from _facts(one, f"{path}.{name}" if path else name)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for place, one in enumerate(value):
            yield from _facts(one, f"{path}.{place + 1}" if path else str(place + 1))
    else:
        text = str(value)
        yield path, text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + " …"
