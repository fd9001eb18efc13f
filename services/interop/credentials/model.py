"""Rules of the data model for credentials (W3C VC Data Model 2.0 section 4).

They are checked on the JSON itself, without JSON-LD processing. Types and terms that no context maps are refused if all
contexts of the document are known: the base context, and context objects inside the document. If it names another one,
nothing can be said about them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final, cast

from millmark.ledger.canonical import Json
from millmark.services.interop.contexts.w3c import build_credentials_context
from millmark.services.interop.credentials.keys import is_timestamp, parse_timestamp
from millmark.services.interop.errors import CredentialError

# Finds terms and types of a JSON-LD document that none of its contexts maps (JSON-LD 1.1, sections 4.1 and 9.15).
#
# A JSON-LD processor drops such a member without a word, so a reader that relies on JSON-LD would not see what the
# signature covers. Contexts are read only as far as that question needs: which terms are defined where.

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
    UnknownContextError, and CredentialError for more than 64 levels."""
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
    return [one for one in as_list(value) if isinstance(one, str)]


BASE_CONTEXT: Final = "https://www.w3.org/ns/credentials/v2"
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:[^\s<>\"{}|\\^`]+")
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+\-]+/[A-Za-z0-9!#$&^_.+\-]+(?:\s*;.*)?")
_SRI = re.compile(r"(?:sha256|sha384|sha512)-[A-Za-z0-9+/]+={0,2}(?:\s+(?:sha256|sha384|sha512)-[A-Za-z0-9+/]+={0,2})*")
_BASE: Final = build_credentials_context()
_PROTECTED: Final = frozenset(cast("dict[str, Json]", _BASE["@context"])) - {"@protected"}
"""Terms of the base context, all of which it protects: no other context may redefine them."""


def check_credential(value: Json) -> None:
    """Checks that a value is a verifiable credential. Raises CredentialError, which names the broken rule.

    Not established: that its proof holds, or that it is currently valid."""
    document = _document(value, "VerifiableCredential")
    if "issuer" not in document:
        raise _broken("issuer", "is missing")
    _check_named("issuer", document["issuer"])
    _check_subjects(document.get("credentialSubject"))
    _check_validity(document)
    for name in ("name", "description"):
        if name in document:
            _check_language(name, document[name])
    for name, check in _LINKED.items():
        for item in as_list(document.get(name, [])):
            check(name, item)
    _check_related(document.get("relatedResource", []))


def is_url(value: Json) -> bool:
    """Tells whether `value` is an absolute URL: a scheme, a colon, and something after it."""
    return isinstance(value, str) and _URL.fullmatch(value) is not None


def as_list(value: Json) -> list[Json]:
    """A JSON array as a list; any other value as a list of one."""
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _broken(name: str, what: str, hint: str = "") -> CredentialError:
    return CredentialError(f"{name} {what}", hint=hint)


def _document(value: Json, kind: str) -> Mapping[str, Json]:
    if not isinstance(value, dict):
        raise CredentialError("the credential is not a JSON object")
    contexts = value.get("@context")
    if not isinstance(contexts, list) or not contexts or contexts[0] != BASE_CONTEXT:
        raise _broken("@context", f"is not a list that begins with {BASE_CONTEXT}")
    if any(not is_url(one) and not (isinstance(one, dict) and one) for one in contexts):
        raise _broken("@context", "contains a value that is neither a URL nor an object")
    if moved := sorted({name for one in contexts if isinstance(one, dict) for name in one} & _PROTECTED):
        raise _broken("@context", f"redefines {moved[0]!a}", "do not redefine terms of the base context")
    if "id" in value and not is_url(value["id"]):
        raise _broken("id", "is not a URL")
    _check_types(value.get("type"), kind)
    with suppress(UnknownContextError):  # a context that we do not have may map anything
        for name in find_unmapped(value, {BASE_CONTEXT: _BASE}):
            raise _broken(f"{name[:120]!a}", "is not mapped by any context", "declare it in @context")
    return value


def _check_types(value: Json, kind: str) -> None:
    types = as_list(value)
    if not types or not all(isinstance(one, str) and one for one in types):
        raise _broken("type", "is neither a string nor a list of strings")
    if kind not in types:
        raise _broken("type", f"does not include {kind}")


def _check_named(name: str, value: Json) -> None:
    """Checks for a URL, or an object whose id is one."""
    if isinstance(value, dict):
        for part in ("name", "description"):
            if part in value:
                _check_language(f"{name}.{part}", value[part])
        value = value.get("id")
    if not is_url(value):
        raise _broken(name, "is neither a URL nor an object with one as its id")


def _check_subjects(value: Json) -> None:
    subjects = as_list(value)
    if not subjects or not all(isinstance(one, dict) and one for one in subjects):
        raise _broken("credentialSubject", "is missing, empty or not an object")
    for subject in subjects:
        if isinstance(subject, dict) and "id" in subject and not is_url(subject["id"]):
            raise _broken("credentialSubject.id", "is not a URL")


def _check_validity(document: Mapping[str, Json]) -> None:
    for name in ("validFrom", "validUntil"):
        if name in document and not is_timestamp(document[name]):
            raise _broken(name, "is not a time with an offset", "write it like 2027-12-31T00:00:00Z")
    if "validFrom" in document and "validUntil" in document:
        first, last = (parse_timestamp(str(document[name])) for name in ("validFrom", "validUntil"))
        if last < first:
            raise _broken("validUntil", "is before validFrom")


def _check_language(name: str, value: Json) -> None:
    """Checks for a string, or one or more strings with languages (section 11.1)."""
    for item in as_list(value):
        # A plain string may stand alone; in a list every item states its language.
        if isinstance(item, str) and not isinstance(value, list):
            continue
        if not isinstance(item, dict) or not isinstance(item.get("@value"), str):
            raise _broken(name, "is neither a string nor an object with @value")
        if item.keys() - {"@value", "@language", "@direction"}:
            raise _broken(name, "has members other than @value, @language and @direction")
        if not isinstance(item.get("@language", ""), str) or item.get("@direction", "ltr") not in ("ltr", "rtl", None):
            raise _broken(name, "has an invalid language or direction")


def _check_typed(name: str, item: Json) -> None:
    """Checks for an object with a type, and a URL as its id if it has one."""
    if not isinstance(item, dict):
        raise _broken(name, "is not an object")
    types = as_list(item.get("type"))
    if not types or not all(isinstance(one, str) and one for one in types):
        raise _broken(name, "has no type")
    if "id" in item and not is_url(item["id"]):
        raise _broken(f"{name}.id", "is not a URL")


def _check_schema(name: str, item: Json) -> None:
    _check_typed(name, item)
    if isinstance(item, dict) and "id" not in item:
        raise _broken(name, "has no id")


_LINKED: Final[Mapping[str, Callable[[str, Json], None]]] = {
    "credentialStatus": _check_typed,
    "credentialSchema": _check_schema,
    "refreshService": _check_typed,
    "termsOfUse": _check_typed,
    "evidence": _check_typed,
    "proof": _check_typed,
}


def _check_related(value: Json) -> None:
    seen = set()
    for item in as_list(value):
        if not isinstance(item, dict) or not is_url(item.get("id")):
            raise _broken("relatedResource", "has no URL as its id")
        if item["id"] in seen:
            raise _broken("relatedResource", "lists a resource twice")
        seen.add(item["id"])
        sri, multibase = item.get("digestSRI"), item.get("digestMultibase")
        if not (isinstance(sri, str) and _SRI.fullmatch(sri)) and not (isinstance(multibase, str) and multibase):
            raise _broken("relatedResource", "has no digest")
        if "mediaType" in item and not (
            isinstance(item["mediaType"], str) and _MEDIA_TYPE.fullmatch(item["mediaType"])
        ):
            raise _broken("relatedResource", "has an invalid mediaType")
