"""Finds terms and types of a JSON-LD document that none of its contexts maps (JSON-LD 1.1, sections 4.1 and 9.15).

A JSON-LD processor drops such a member without a word, so a reader that relies on JSON-LD would not see what the
signature covers. Contexts are read only as far as that question needs: which terms are defined where.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from millmark.ledger.canonical import Json
from millmark.services.interop.errors import CredentialError

_KEYWORDS: Final = frozenset(
    (
        *("@context", "@direction", "@graph", "@id", "@included", "@index", "@json", "@language"),
        *("@list", "@nest", "@none", "@reverse", "@set", "@type", "@value"),
    )
)
_MAPS: Final = frozenset(("@language", "@index", "@id", "@type"))
"""Containers whose keys are data, not terms."""
_MAX_DEPTH: Final = 64


class UnknownContextError(Exception):
    """A context is named by a URL that the caller does not have, or uses what is not read here (@import, @propagate):
    nothing can be said about the terms."""


@dataclass(frozen=True, slots=True)
class _Active:
    """The terms that count at one place."""

    known: Mapping[str, Json]
    """Context documents by URL."""
    terms: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    """Definitions by name, with `@id` resolved where they stand: a keyword, an IRI or null."""
    vocabulary: bool = False
    """Whether a default vocabulary maps every term that is not defined."""

    def extended(self, context: Json) -> _Active:
        """These terms and those of a local context. Raises UnknownContextError."""
        active = self
        for one in context if isinstance(context, list) else [context]:
            if one is None:
                active = _Active(self.known)
            elif isinstance(one, str):
                if one not in self.known:
                    raise UnknownContextError(one)
                loaded = self.known[one]
                active = active.extended(loaded.get("@context") if isinstance(loaded, dict) else None)
            elif isinstance(one, dict):
                active = active._with(one)
        return active

    def _with(self, context: Mapping[str, Json]) -> _Active:
        if found := context.keys() & {"@import", "@propagate"}:
            raise UnknownContextError(min(found))
        vocabulary = isinstance(context["@vocab"], str) if "@vocab" in context else self.vocabulary
        own = {name: value for name, value in context.items() if not name.startswith("@")}
        targets = self._resolve(own, vocabulary)
        terms = {name: {**_members(value), "@id": targets[name]} for name, value in own.items()}
        return replace(self, terms={**self.terms, **terms}, vocabulary=vocabulary)

    def _resolve(self, own: Mapping[str, Json], vocabulary: bool) -> dict[str, str | None]:
        """What each term of one context stands for. A later context changes none of it: removing a default vocabulary
        leaves the terms that it has mapped."""
        found: dict[str, str | None] = {}
        for first in own:
            path, name = {first: None}, first
            while name not in found:
                target = _members(own[name]).get("@id", name)
                if isinstance(target, str) and target in own and target not in path:
                    path[target] = None
                    name = target
                else:
                    found[name] = self._expand(target, own, vocabulary)
            found.update(dict.fromkeys(path, found[name]))
        return found

    def _expand(self, target: Json, own: Mapping[str, Json], vocabulary: bool) -> str | None:
        """A keyword, an IRI (a default vocabulary's part of it left out), or None."""
        if not isinstance(target, str):
            return None
        if target in _KEYWORDS:
            return target
        if target in self.terms and target not in own:
            earlier = self.terms[target]["@id"]
            return earlier if isinstance(earlier, str) else None
        return target if vocabulary or ":" in target else None

    def maps(self, name: str) -> bool:
        """Whether a term, keyword, compact IRI or IRI has a meaning here."""
        if name in _KEYWORDS:
            return True
        if name in self.terms:
            return self.terms[name]["@id"] is not None
        prefix, colon, rest = name.partition(":")
        if colon:
            # Without a definition of the prefix it is an absolute IRI, which means itself.
            return bool(prefix) and bool(rest)
        return self.vocabulary

    def keyword(self, name: str) -> str:
        """The keyword for which a name stands, or the name."""
        target = self.definition(name).get("@id")
        return target if isinstance(target, str) and target in _KEYWORDS else name

    def definition(self, name: str) -> Mapping[str, Json]:
        """The members of a term's definition; none if there is none."""
        return self.terms.get(name, {})


def _members(value: Json) -> Mapping[str, Json]:
    """The members of a term's definition as a context writes it: an IRI, null, or an object."""
    if not isinstance(value, dict):
        return {"@id": value}
    return {**value, "@id": value["@reverse"]} if "@reverse" in value and "@id" not in value else value


def find_unmapped(document: Json, known: Mapping[str, Json]) -> Iterator[str]:
    """Yields the path of every member, and of every type, that no context maps, such as `credentialSubject.grade`.

    `known` has context documents by URL. Values of the type @json are data and are not searched. Raises
    UnknownContextError, and CredentialError for more than 64 levels.
    """
    yield from _search(document, _Active(known), "", _MAX_DEPTH)


def _search(value: Json, active: _Active, path: str, depth: int) -> Iterator[str]:
    if not depth:
        raise CredentialError(f"the credential has more than {_MAX_DEPTH} levels", hint="nest it less deeply")
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _search(item, active, path, depth - 1)
    elif isinstance(value, dict):
        yield from _search_node(value, active, path, depth)


def _search_node(node: Mapping[str, Json], active: _Active, path: str, depth: int) -> Iterator[str]:
    if "@context" in node:
        active = active.extended(node["@context"])
    types = [one for name in node if active.keyword(name) == "@type" for one in _texts(node[name])]
    # Terms that a type defines count in its own node only; the nodes inside it start from what counted before.
    own = active
    for one in sorted(types):
        if "@context" in active.definition(one):
            own = own.extended(active.definition(one)["@context"])
    yield from (f"{path}type {one}" for one in types if not active.maps(one))
    for name, value in node.items():
        if not own.maps(name):
            yield path + name
        elif own.keyword(name) not in ("@context", "@value", "@type", "@id"):
            yield from _search_member(value, own.definition(name), active, f"{path}{name}.", depth)


def _search_member(
    value: Json, definition: Mapping[str, Json], active: _Active, path: str, depth: int
) -> Iterator[str]:
    if definition.get("@type") == "@json":
        return
    if "@context" in definition:
        active = active.extended(definition["@context"])
    if isinstance(value, dict) and _MAPS & set(_texts(definition.get("@container"))):
        value = list(value.values())
    yield from _search(value, active, path, depth - 1)


def _texts(value: Json) -> list[str]:
    return [one for one in (value if isinstance(value, (list, tuple)) else [value]) if isinstance(one, str)]
