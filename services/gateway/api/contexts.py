"""What others need to read our documents without another network: JSON-LD contexts, and the GS1 dictionary in use."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cache
from typing import Annotated, Any, Final

from fastapi import Path, Response

from ledger.errors import NotFoundError
from ledger.ids.dictionary import EDITION, LICENCE, ROWS, SOURCE
from ledger.provenance.jsonform import Printable
from services.access.rules import PUBLIC
from services.gateway.http.responses import PROBLEM, PROBLEMS_404, IfNoneMatch, reply, with_etag
from services.gateway.http.route_table import RouteTable
from services.gateway.http.routes import Routes
from services.interop.contexts.published import published_contexts
from services.interop.credentials.certificate import build_certificate_context

__all__ = [
    "CONTEXTS_PATH",
    "CONTEXT_MEDIA",
    "Contexts",
    "Dictionary",
    "add_contexts",
    "list_contexts",
    "read_dictionary",
]

CONTEXTS_PATH: Final = "/v1/contexts"
CONTEXT_MEDIA: Final = "application/ld+json"
_PUBLIC: Final = "public, max-age=86400"
"""They change with the program, and under other names."""
ContextName = Annotated[
    str,
    Path(
        pattern=r"^[a-z0-9-]{1,40}\.jsonld$",
        description="As the list of contexts has it.",
        examples=["epcis-v2.jsonld"],
    ),
]


@dataclass(frozen=True, slots=True)
class Context(Printable):
    """A JSON-LD context."""

    url: str
    """As documents name it: where a reader would fetch it, it is the one at `path`."""
    path: str
    """Here."""
    source: str
    """Whose terms they are, and what is left out."""
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Contexts(Printable):
    """All contexts that documents of this gateway name."""

    contexts: tuple[Context, ...]


@dataclass(frozen=True, slots=True)
class ApplicationIdentifier(Printable):
    """What the dictionary says of one identifier, or of a range that shares what is said."""

    ai: str
    title: str
    value: str
    """Components in order, as the dictionary writes them: characters, length, checks."""
    attribute: bool
    """Whether it may stand in the query of a Digital Link."""
    key: bool
    """Whether a Digital Link may begin with it."""
    qualifiers: tuple[tuple[str, ...], ...]
    """Of a key: alternatives, each in the order in which they follow."""
    requires: tuple[tuple[str, ...], ...]
    """Alternatives, of one of which all must be on the item; "n" is any digit."""
    excludes: tuple[str, ...]
    """None of these may be on the item."""


@dataclass(frozen=True, slots=True)
class Dictionary(Printable):
    """The GS1 application identifiers by which Digital Links are judged here."""

    edition: str
    """Year and month of the source."""
    source: str
    licence: str
    """Of the source."""
    identifiers: tuple[ApplicationIdentifier, ...]


def list_contexts() -> Contexts:
    return Contexts(
        tuple(
            Context(one.url, f"{CONTEXTS_PATH}/{one.name}", one.source, hashlib.sha256(one.document).digest())
            for one in published_contexts().values()
        )
    )


@cache
def read_dictionary() -> Dictionary:
    return Dictionary(EDITION, SOURCE, LICENCE, _identifiers())


def _identifiers() -> tuple[ApplicationIdentifier, ...]:
    return tuple(
        ApplicationIdentifier(
            ai=codes,
            title=title,
            value=value,
            attribute=where == "query",
            key=bool(qualifiers),
            qualifiers=tuple(_split(way, ",") for way in _split(qualifiers.removeprefix("-"), "|")),
            requires=tuple(_split(way, "+") for way in _split(requires, ",")),
            excludes=_split(excludes, ","),
        )
        for codes, where, value, qualifiers, requires, excludes, title in ROWS
    )


def _split(text: str, by: str) -> tuple[str, ...]:
    return tuple(text.split(by)) if text else ()


def add_contexts(table: RouteTable) -> None:
    """Public: they say nothing about anybody, and are the same at every gateway of one version."""
    routes = Routes(table, "vocabularies", {"default": PROBLEM})
    _add_lists(routes)
    _add_context(routes)


def _add_lists(routes: Routes) -> None:
    @routes.get(
        CONTEXTS_PATH, "listContexts", "JSON-LD contexts", Contexts, rule=PUBLIC, examples={"all": list_contexts}
    )
    def contexts(if_none_match: IfNoneMatch = None) -> Response:
        """Every context that a document of this gateway names, with where it is here: who may reach no other network
        maps its `url` to its `path`."""
        return with_etag(reply(list_contexts()), if_none_match, cache=_PUBLIC)

    @routes.get(
        "/v1/application-identifiers",
        "getApplicationIdentifiers",
        "The GS1 dictionary in use",
        Dictionary,
        rule=PUBLIC,
        examples={"few": _few_identifiers},
    )
    def dictionary(if_none_match: IfNoneMatch = None) -> Response:
        """Edition and content of the data by which identifiers are judged here."""
        return with_etag(reply(read_dictionary()), if_none_match, cache=_PUBLIC)


def _few_identifiers() -> Dictionary:
    whole = read_dictionary()
    return replace(whole, identifiers=whole.identifiers[:3])


def _add_context(routes: Routes) -> None:
    answers: dict[int | str, dict[str, Any]] = {
        200: {"content": {CONTEXT_MEDIA: {"schema": {"type": "object", "description": "A JSON-LD context."}}}},
        **PROBLEMS_404,
    }

    @routes.get(
        CONTEXTS_PATH + "/{name}",
        "getContext",
        "One JSON-LD context",
        rule=PUBLIC,
        examples={"certificate": build_certificate_context},
        response_class=Response,
        responses=answers,
    )
    def context(name: ContextName, if_none_match: IfNoneMatch = None) -> Response:
        """It keeps its name and its content; a later edition gets another name."""
        found = published_contexts().get(name)
        if found is None:
            raise NotFoundError("there is no context of that name", hint=f"see {CONTEXTS_PATH}")
        return with_etag(Response(found.document, media_type=CONTEXT_MEDIA), if_none_match, cache=_PUBLIC)
