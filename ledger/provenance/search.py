"""Finds what a text names: an order, lot, machine, stream, company, model, certificate or other record.

The text is an identifier in any spelling, its last part (`A0006R`), what a code holds or a label prints, a subject, a
number, or a company's name. It is the one resolver of names, for the portal's search, the API and commands.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass

from millmark.ledger.canonical import to_hex
from millmark.ledger.errors import IdentifierError
from millmark.ledger.ids import canonical_name
from millmark.ledger.provenance import listings
from millmark.ledger.provenance.answers import Printable
from millmark.ledger.provenance.consortium import participants
from millmark.ledger.store import Store

MAX_FOUND = 50
"""Most things that one search returns."""
MAX_TEXT = 4096
_SUBJECT = re.compile(r"(?<![0-9A-Fa-f])(?:0x)?([0-9a-fA-F]{64})(?![0-9A-Fa-f])")
_NUMBER = re.compile(r"#?([0-9]{1,13})")
_PRINTED = re.compile(r"(\([0-9]{2,4}\)[^()]+)+")
"""What labels print below a code: application identifiers in brackets, each before its value."""
_LEAST_NAME = 2


class FoundKind(enum.Enum):
    """Kinds of things that can be found."""

    ORDER = "order"
    LOT = "lot"
    MACHINE = "machine"
    STREAM = "stream"
    PARTICIPANT = "participant"
    MODEL = "model"
    CERTIFICATE = "certificate"


@dataclass(frozen=True, slots=True)
class Found(Printable):
    """Something that a text names."""

    kind: FoundKind
    key: str
    """What its page and its route of the API are called by: a subject as 0x-hex, or a number."""
    name: str | None
    """Its identifier, or the name of a company; null if the gateway does not know it."""
    number: int
    """Sequence of the record that created it; of a participant, its number."""


@dataclass(frozen=True, slots=True)
class FoundThings(Printable):
    """What a text names, as far as it exists for the viewer."""

    found: tuple[Found, ...]
    """Empty if there is nothing."""
    truncated: bool
    """Whether there may be more than are listed."""


def search(store: Store, text: str, viewer: int | None) -> tuple[Found, ...]:
    """What a text names, as far as it exists for the viewer (None sees everything); at most MAX_FOUND things. Raises
    IdentifierError if the text can name nothing. Raises NotFoundError if nothing is indexed yet."""
    text = text.strip()
    if not text or len(text) > MAX_TEXT or not text.isprintable():
        raise IdentifierError(
            "nothing can have this name", hint=f"write at most {MAX_TEXT} printable characters: a name or a number"
        )
    subject = _SUBJECT.search(text)
    found = [] if subject is None else [*_by_subject(store, bytes.fromhex(subject[1]), viewer)]
    found = found or [*_named(store, text, viewer), *_companies(store, text), *_numbered(store, text, viewer)]
    unique = {(one.kind, one.key): one for one in found}
    return tuple(unique.values())[:MAX_FOUND]


def _named(store: Store, text: str, viewer: int | None) -> Iterator[Found]:
    """Orders, lots, machines and streams by identifier."""
    try:
        name = canonical_name(_as_link(text))
    except IdentifierError:
        return  # a company's name has spaces, which no identifier has
    for order in listings.orders(store, viewer, None, MAX_FOUND, {}, name).items:
        yield Found(FoundKind.ORDER, _key(order.subject), order.identifier, order.sequence)
    for lot in listings.lots(store, viewer, None, MAX_FOUND, {}, name).items:
        yield Found(FoundKind.LOT, _key(lot.subject), lot.identifier, lot.sequence)
    for machine in listings.machines(store, viewer, None, MAX_FOUND, {}, name).items:
        yield Found(FoundKind.MACHINE, str(machine.machine), machine.identifier, machine.machine)
    for stream in listings.streams(store, viewer, None, MAX_FOUND, {}, name).items:
        yield Found(FoundKind.STREAM, _key(stream.subject), stream.identifier, stream.sequence)


def _as_link(text: str) -> str:
    """The Digital Link of what is printed below a code, such as `(01)09506000134352(21)A0006`; other text as it is."""
    if not _PRINTED.fullmatch(text):
        return text
    return "https://id.gs1.org/" + text[1:].translate(str.maketrans("()", "//"))


def _companies(store: Store, text: str) -> Iterator[Found]:
    """Participants by name, or by a part of it."""
    wanted = " ".join(text.split()).casefold()
    if len(wanted) < _LEAST_NAME:
        return
    for one in participants(store):
        if wanted in (one.name or "").casefold():
            yield Found(FoundKind.PARTICIPANT, str(one.participant), one.name, one.participant)


def _numbered(store: Store, text: str, viewer: int | None) -> Iterator[Found]:
    """What has a number: a participant, or what the record with that number created."""
    match = _NUMBER.fullmatch(text)
    if match is None or not 1 <= (number := int(match[1])) < 2**40:
        return
    yield from (
        Found(FoundKind.PARTICIPANT, str(number), one.name, number)
        for one in participants(store)
        if one.participant == number
    )
    yield from _created(store, number, viewer)


def _created(store: Store, number: int, viewer: int | None) -> Iterator[Found]:
    """What the ledger's record with this number created."""
    before = number - 1
    for order in listings.orders(store, viewer, before, 1, {"sequence": number}).items:
        yield Found(FoundKind.ORDER, _key(order.subject), order.identifier, number)
    for lot in listings.lots(store, viewer, 64 * number - 1, MAX_FOUND, {"sequence": number}).items:
        yield Found(FoundKind.LOT, _key(lot.subject), lot.identifier, number)
    for machine in listings.machines(store, viewer, before, 1, {"number": number}).items:
        yield Found(FoundKind.MACHINE, str(number), machine.identifier, number)
    for stream in listings.streams(store, viewer, before, 1, {"sequence": number}).items:
        yield Found(FoundKind.STREAM, _key(stream.subject), stream.identifier, number)
    for model in listings.models(store, before, 1, {"number": number}).items:
        yield Found(FoundKind.MODEL, str(number), None, model.model)
    for certificate in listings.certificates(store, viewer, before, 1, {"sequence": number}).items:
        yield Found(FoundKind.CERTIFICATE, str(number), certificate.identifier, number)


def _by_subject(store: Store, subject: bytes, viewer: int | None) -> Iterator[Found]:
    """An order, lot, machine or stream by its subject, or a model by its digest."""
    only: dict[str, int | bytes] = {"subject": subject}
    for order in listings.orders(store, viewer, None, 1, only).items:
        yield Found(FoundKind.ORDER, _key(subject), order.identifier, order.sequence)
    for lot in listings.lots(store, viewer, None, 1, only).items:
        yield Found(FoundKind.LOT, _key(subject), lot.identifier, lot.sequence)
    for machine in listings.machines(store, viewer, None, 1, only).items:
        yield Found(FoundKind.MACHINE, str(machine.machine), machine.identifier, machine.machine)
    for stream in listings.streams(store, viewer, None, 1, only).items:
        yield Found(FoundKind.STREAM, _key(subject), stream.identifier, stream.sequence)
    for model in listings.models(store, None, MAX_FOUND, {"digest": subject}).items:
        yield Found(FoundKind.MODEL, str(model.model), None, model.model)


def _key(subject: bytes) -> str:
    return to_hex(subject)
