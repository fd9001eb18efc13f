"""Parses events in EPCIS XML (2.0, and 1.2 as far as its elements are the same) into trees for the event hash.

The parser is the expat of Python's standard library, and document type declarations are refused: no entity is ever
expanded, and nothing outside the document is read.
"""

from __future__ import annotations

from typing import Final
from xml.parsers import expat

from ledger.errors import InputError
from services.interop.epcis import vocabulary as words
from services.interop.epcis.tree import LINKED, Namespaces, Node, text_of

__all__ = ["xml_events"]

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
