"""Public vocabularies for reading our documents offline: JSON-LD contexts, and the GS1 dictionary in use."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cache
from typing import Annotated, Any, Final

from fastapi import Path, Response

from millmark.ledger.errors import NotFoundError
from millmark.ledger.ids.dictionary import EDITION, LICENCE, ROWS, SOURCE
from millmark.ledger.provenance.answers import Printable
from millmark.services.access.rules import PUBLIC
from millmark.services.gateway.http.responses import PROBLEM, PROBLEMS_404, IfNoneMatch, reply, with_etag
from millmark.services.gateway.http.route_table import RouteTable
from millmark.services.gateway.http.routes import Routes
from millmark.services.interop.contexts.published import CONTEXT_MEDIA, CONTEXTS_PATH, published_contexts
from millmark.services.interop.credentials.certificate import build_certificate_context

_PUBLIC: Final = "public, max-age=86400"
"""Contents change only with a new version of the program, and then under new names."""
ContextName = Annotated[
    str,
    Path(
        pattern=r"^[a-z0-9-]{1,40}\.jsonld$",
        description="Name of a context, as listed.",
        examples=["epcis-v2.jsonld"],
    ),
]


@dataclass(frozen=True, slots=True)
class Context(Printable):
    """A JSON-LD context."""

    url: str
    """The URL by which documents refer to it. The same content is available here at `path`."""
    path: str
    """Path on this gateway."""
    source: str
    """Publisher of the terms, and what is left out."""
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Contexts(Printable):
    """All contexts that documents of this gateway refer to."""

    contexts: tuple[Context, ...]


@dataclass(frozen=True, slots=True)
class ApplicationIdentifier(Printable):
    """The dictionary's entry for one application identifier, or for a range of them that have the same entry."""

    ai: str
    title: str
    value: str
    """Components in order, in the notation of the dictionary: character set, length, checks."""
    attribute: bool
    """Whether it may be in the query of a Digital Link."""
    key: bool
    """Whether it may be the primary key of a Digital Link."""
    qualifiers: tuple[tuple[str, ...], ...]
    """For a primary key: the alternative sequences of qualifiers."""
    requires: tuple[tuple[str, ...], ...]
    """Alternative sets of identifiers; all of at least one set are required on the item. "n" stands for any digit."""
    excludes: tuple[str, ...]
    """Identifiers that must not be on the same item."""


@dataclass(frozen=True, slots=True)
class Dictionary(Printable):
    """The GS1 application identifiers against which Digital Links are validated here."""

    edition: str
    """Year and month of the source's publication."""
    source: str
    licence: str
    """Licence of the source."""
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
    """Adds public routes. Their content depends only on the version of the program, not on the company."""
    routes = Routes(table, "vocabularies", {"default": PROBLEM})
    _add_lists(routes)
    _add_context(routes)


def _add_lists(routes: Routes) -> None:
    @routes.get(
        CONTEXTS_PATH,
        "listContexts",
        "List JSON-LD contexts",
        Contexts,
        rule=PUBLIC,
        examples={"all": list_contexts},
    )
    def contexts(if_none_match: IfNoneMatch = None) -> Response:
        """Lists every context that documents of this gateway refer to. Readers without internet access can map each
        `url` to the `path` on this gateway."""
        return with_etag(reply(list_contexts()), if_none_match, cache=_PUBLIC)

    @routes.get(
        "/v1/application-identifiers",
        "getApplicationIdentifiers",
        "Get the GS1 dictionary in use",
        Dictionary,
        rule=PUBLIC,
        examples={"few": _few_identifiers},
    )
    def dictionary(if_none_match: IfNoneMatch = None) -> Response:
        """Returns edition and content of the data against which identifiers are validated here."""
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
        "Get a JSON-LD context",
        rule=PUBLIC,
        examples={"certificate": build_certificate_context},
        response_class=Response,
        responses=answers,
    )
    def context(name: ContextName, if_none_match: IfNoneMatch = None) -> Response:
        """Returns a context. The content under a name never changes; a later edition has a new name."""
        found = published_contexts().get(name)
        if found is None:
            raise NotFoundError("no context has this name", hint=f"see {CONTEXTS_PATH} for the names")
        return with_etag(Response(found.document, media_type=CONTEXT_MEDIA), if_none_match, cache=_PUBLIC)
