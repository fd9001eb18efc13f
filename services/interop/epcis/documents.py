"""Bounded parsing of EPCIS documents: JSON-LD (capture document, query document, single event) and XML.

XML is EPCIS 2.0, and 1.2 as far as its elements are the same. Its parser is the expat of Python's standard library, and
document type declarations are refused: no entity is ever expanded, and nothing outside the document is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.parsers import expat

from millmark.ledger.canonical import Json
from millmark.ledger.errors import InputError
from millmark.ledger.event_json import parse_value
from millmark.services.interop.epcis import vocabulary as words
from millmark.services.interop.epcis.event_hash import event_hash, hash_of
from millmark.services.interop.epcis.plain_events import read_plain
from millmark.services.interop.epcis.terms import build_terms
from millmark.services.interop.epcis.tree import LINKED, Namespaces, Node, json_event, namespaces_of, text_of

_MAX_DEPTH = 64
_TRANSPARENT: Final = {"extension", "baseExtension"}
"""Elements of EPCIS 1.x that only wrap the fields of newer versions."""
_INSTANCE: Final = "{http://www.w3.org/2001/XMLSchema-instance}"
_COMMENTS: Final = {"comment"}
_NAMESPACES: Final[Namespaces] = {"cbv": words.CBV, "gs1": words.GS1, "epcis": words.EPCIS}


def xml_events(data: bytes) -> list[Node]:
    """The events of the first EventList in the document. Raises InputError if it is malformed or has none."""
    found = _find(_Builder().read(data), "EventList")
    if found is None:
        raise InputError("the XML has no EventList", hint="give an EPCIS document or query document")
    return [_event(node) for node in found.children if node.name not in _COMMENTS]


class _Builder:
    """Builds nodes from elements: attributes become children, texts are not normalised yet."""

    def __init__(self) -> None:
        self._open: list[tuple[str, list[Node], list[str], list[Node]]] = [("", [], [], [])]
        """Stack of the open elements, each with name, attributes, texts, children."""

    def read(self, data: bytes) -> Node:
        parser = expat.ParserCreate(namespace_separator="}")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        try:
            parser.Parse(data, True)
        except expat.ExpatError as error:
            raise InputError(f"not XML: {expat.ErrorString(error.code)} in line {error.lineno}") from None
        return self._open[0][3][0]

    def _doctype(self, *_: object) -> None:
        raise InputError("the XML declares a document type", hint="remove the DOCTYPE")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._open) > _MAX_DEPTH:  # the functions below recurse into children
            raise InputError(f"the XML is nested deeper than {_MAX_DEPTH} elements")
        attributed = [Node(_name(key), value, []) for key, value in attributes.items()]
        attributed = [node for node in attributed if not node.name.startswith(_INSTANCE)]
        self._open.append((_name(name), attributed, [], []))

    def _text(self, text: str) -> None:
        _, _, texts, children = self._open[-1]
        if not children:  # text after a child element has no meaning in EPCIS
            texts.append(text)

    def _end(self, _: str) -> None:
        name, attributes, texts, children = self._open.pop()
        around = self._open[-1][3]
        if name in _TRANSPARENT:
            around.extend(children)
        else:
            around.append(Node(name, "".join(texts).strip(), attributes + children))


def _name(name: str) -> str:
    return "{" + name if "}" in name else name


def _find(node: Node, name: str) -> Node | None:
    waiting = [node]
    while waiting:
        node = waiting.pop(0)
        if node.name == name:
            return node
        waiting.extend(node.children)
    return None


def _event(node: Node) -> Node:
    return Node(node.name, "", sorted(_canonical(child, "") for child in node.children))


def _canonical(node: Node, owner: str) -> Node:
    if node.name in LINKED:
        owner = node.name
    text = text_of(node.text, owner=owner, name=node.name, namespaces=_NAMESPACES) if node.text else ""
    return Node(node.name, text, sorted(_canonical(child, node.name) for child in node.children))


MAX_BYTES: Final = 64 << 20
MAX_DEPTH: Final = 64
_BOM: Final = b"\xef\xbb\xbf"
_LISTS: Final = (("eventList",), ("queryResults", "resultsBody", "eventList"))


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a document, not validated."""

    pointer: str
    """JSON pointer (RFC 6901) to the event in its document."""
    value: Json
    namespaces: Namespaces
    """Prefixes that the document declares for it."""
    plain: bool = False
    """Whether the document was parsed as plain JSON (millmark.ledger.event_json), which can be written canonically
    faster."""

    def read(self) -> tuple[str, list[tuple[str, str]]]:
        """The event hash, and the terms by which queries find the event (see `build_terms`), which must be valid.

        Raises InputError if it is not a JSON object.
        """
        # The fast path first; it returns None for an event that only the general path can read.
        if isinstance(self.value, dict) and isinstance(self.value.get("type"), str):
            plain = read_plain(self.value, self.all_namespaces())
            if plain is not None:
                return hash_of(plain[0]), plain[1]
        tree = self.tree()
        return event_hash(tree), build_terms(tree)

    def tree(self) -> Node:
        """The event as the tree that the event hash is computed from. Raises InputError if it is not a JSON object."""
        if not isinstance(self.value, dict):
            raise InputError(f"{self.pointer or 'the document'} is not an event", hint="give a JSON object")
        return json_event(self.value, self.all_namespaces())

    def all_namespaces(self) -> Namespaces:
        """The prefixes that apply inside the event, including those of its own context."""
        context = self.value.get("@context") if isinstance(self.value, dict) else None
        return self.namespaces if context is None else {**self.namespaces, **namespaces_of(context)}

    def hash(self) -> str:
        """The event hash (see `event_hash`). Raises InputError if the event is not a JSON object."""
        return self.read()[0]


@dataclass(frozen=True, slots=True)
class Document:
    """A JSON-LD document and its events."""

    value: Mapping[str, Json]
    events: Sequence[Event]


def read_bytes(path: Path) -> bytes:
    """The content of a file. Raises InputError if it cannot be read or is longer than MAX_BYTES."""
    try:
        with path.open("rb") as file:
            # One byte more than allowed, which shows that a file is too large without reading all of it.
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise InputError(f"{path} is longer than {MAX_BYTES >> 20} MiB", hint="split it into several documents")
    return data


def is_xml(data: bytes) -> bool:
    """Tells whether a document is XML, by its first character."""
    return data.removeprefix(_BOM).lstrip().startswith(b"<")


def hash_events(data: bytes) -> list[str]:
    """The hashes of a document's events, in order. Raises InputError if it contains no events."""
    if is_xml(data):
        return [event_hash(node) for node in xml_events(data)]
    return [event.hash() for event in parse_document(data).events]


def parse_document(data: bytes) -> Document:
    """Splits a JSON-LD document into its events; the rest of the document is not validated. Raises InputError.

    A leading byte order mark is ignored, as RFC 8259 section 8.1 allows.
    """
    value, plain = parse_value(data.removeprefix(_BOM), max_bytes=MAX_BYTES, max_depth=MAX_DEPTH)
    if not isinstance(value, dict):
        raise InputError("an EPCIS document is a JSON object", hint="give a document or a single event")
    namespaces = namespaces_of(value.get("@context"))
    # A single event may come without a document around it, as `POST /events` takes it.
    if "epcisBody" not in value and value.get("type") not in ("EPCISDocument", "EPCISQueryDocument"):
        if not isinstance(value.get("type"), str):
            raise InputError("the JSON is neither an EPCIS document nor an event", hint="give it a `type`")
        return Document(value, [Event("", value, namespaces, plain)])
    return Document(value, _events(value.get("epcisBody"), namespaces, plain))


def _events(body: Json, namespaces: Namespaces, plain: bool) -> list[Event]:
    if isinstance(body, dict) and isinstance(body.get("event"), dict):
        return [Event("/epcisBody/event", body["event"], namespaces, plain)]
    for path in _LISTS:
        found: Json = body
        for step in path:
            found = found.get(step) if isinstance(found, dict) else None
        if isinstance(found, list):
            start = "/epcisBody/" + "/".join(path)
            return [Event(f"{start}/{number}", event, namespaces, plain) for number, event in enumerate(found)]
    raise InputError("the document has no event list", hint="put the events into epcisBody.eventList")
