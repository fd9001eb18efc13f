"""Events as trees of names, texts and children, which are the same for JSON-LD and XML.

JSON omits the names of list members (`epcList` holds strings), and XML puts some values into attributes; the tree has
the XML names for both. Standard names are bare, all others are `{namespace}local`. Texts are normalised as for the
event hash.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from millmark.ledger.canonical import Json
from millmark.services.interop.epcis import vocabulary as words
from millmark.services.interop.epcis.values import canonical_time, canonical_value

LINKED: Final = {"bizTransaction", "source", "destination"}
"""Members that consist of an identifier and a type."""

_STANDARD: Final = {
    "cbv": words.CBV,
    "cbvmda": "urn:epcglobal:cbv:mda",
    "epcis": words.EPCIS,
    "gs1": words.GS1,
}
_TIMES: Final = {"eventTime", "time", "startTime", "endTime"}
_MEMBERS: Final = {
    "inputEPC": "epc",
    "outputEPC": "epc",
    "quantity": "quantityElement",
    "inputQuantity": "quantityElement",
    "outputQuantity": "quantityElement",
    "childQuantity": "quantityElement",
}
"""Names of list members derived from JSON, and their names in XML. A plain number is not a member."""
_COMMENTS: Final = {"comment", "rdfs:comment", "@context"}


def _expansions(start: str, known: Sequence[str]) -> dict[str, str]:
    return {word: start + word for word in known}


_DISPOSITIONS = _expansions(words.CBV + "Disp-", words.DISPOSITIONS)
_PARTIES = _expansions(words.CBV + "SDT-", words.PARTY_TYPES)
_BARE: Final[Mapping[str, Mapping[str, str]]] = {
    "bizStep": _expansions(words.CBV + "BizStep-", words.BIZ_STEPS),
    "disposition": _DISPOSITIONS,
    "set": _DISPOSITIONS,
    "unset": _DISPOSITIONS,
    "bizTransaction": _expansions(words.CBV + "BTT-", words.BIZ_TRANSACTION_TYPES),
    "source": _PARTIES,
    "destination": _PARTIES,
    "sensorReport": _expansions(words.GS1, words.MEASUREMENTS),
    "exception": _expansions(words.GS1, words.SENSOR_ALERTS),
    "component": _expansions(words.CBV + "Comp-", words.COMPONENTS),
}
"""For each field, or for the owner of a field "type": its bare words and their URIs."""


class Node(NamedTuple):
    """An element of the tree. Nodes are ordered by name, text, children."""

    name: str
    text: str
    children: list[Node]


Namespaces = Mapping[str, str]
"""Namespaces by prefix."""


def namespaces_of(context: Json) -> Namespaces:
    """The prefixes that a JSON-LD context declares, and the standard ones. A context cannot redefine `gs1`."""
    found = {}
    for part in context if isinstance(context, list) else [context]:
        if isinstance(part, dict):
            found.update({key: value for key, value in part.items() if isinstance(value, str)})
    return {**_STANDARD, **found, "gs1": words.GS1}


def text_of(value: str, *, owner: str, name: str, namespaces: Namespaces) -> str:
    """Normalises one value. `name` is its field, `owner` the object that the field belongs to."""
    if name in _TIMES:
        return canonical_time(value)
    if ":" in value:
        prefix, _, local = value.partition(":")
        space = namespaces.get(prefix)
        if space is not None and space.startswith(("https://ref.gs1.org", "https://gs1.org")):
            value = space + local
        return canonical_value(value)
    known = _BARE.get(owner if name == "type" else name)
    return (known and known.get(value)) or canonical_value(value)


def json_event(event: Mapping[str, Json], namespaces: Namespaces) -> Node:
    """The tree of a JSON-LD event; the root's name is the event's type."""
    kind = event.get("type")
    return Node(kind if isinstance(kind, str) else "", "", _members(event, "", namespaces))


def _members(value: Mapping[str, Json], owner: str, namespaces: Namespaces) -> list[Node]:
    # JSON that was converted from XML may declare prefixes like this, anywhere.
    if any(key.startswith("@xmlns") for key in value):
        declared = {key[7:]: item for key, item in value.items() if key.startswith("@xmlns") and isinstance(item, str)}
        namespaces = {**namespaces, **declared}
    nodes: list[Node] = []
    for key, item in value.items():
        if key not in _COMMENTS and key != "#text" and not key.startswith("@xmlns"):
            name = _expanded(key, namespaces) if ":" in key else key
            nodes.extend(_field(name, item, owner, namespaces))
    return sorted(nodes)  # the order of members has no meaning in JSON


def _field(name: str, item: Json, owner: str, namespaces: Namespaces) -> list[Node]:
    """The nodes of one JSON member: one for each item of an array; none for null or an empty array."""
    if name == "childEPCs" or name.endswith("List"):
        member = "epc" if name == "childEPCs" else name.removesuffix("List")
        inside = _nodes(member, item, owner, namespaces)
        return [Node(name, "", sorted(inside))] if inside else []
    return _nodes(name, item, owner, namespaces)


def _nodes(name: str, item: Json, owner: str, namespaces: Namespaces) -> list[Node]:
    if isinstance(item, (list, tuple)):
        return [node for part in item for node in _nodes(name, part, owner, namespaces)]
    if item is None:
        return []
    if isinstance(item, dict):
        return [_object(name, item, namespaces)]
    text = ("true" if item else "false") if isinstance(item, bool) else str(item)
    return [Node(_MEMBERS.get(name, name) if name.endswith("EPC") else name, _text(text, owner, name, namespaces), [])]


def _object(name: str, item: Mapping[str, Json], namespaces: Namespaces) -> Node:
    if name in LINKED:
        linked, kind = item.get(name), item.get("type")
        types = [Node("type", _text(kind, name, "type", namespaces), [])] if isinstance(kind, str) else []
        return Node(name, _text(linked, name, name, namespaces) if isinstance(linked, str) else "", types)
    text = item.get("#text")
    return Node(
        _MEMBERS.get(name, name),
        _text(text, "", name, namespaces) if isinstance(text, str) else "",
        _members(item, name, namespaces),
    )


def _text(value: str, owner: str, name: str, namespaces: Namespaces) -> str:
    return text_of(value, owner=owner, name=name, namespaces=namespaces)


def _expanded(key: str, namespaces: Namespaces) -> str:
    prefix, _, local = key.partition(":")
    return f"{{{namespaces[prefix]}}}{local}" if prefix in namespaces else key
