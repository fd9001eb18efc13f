"""Declares documented routes, one row each: path, operation id, summary, response, permission rule, and examples.

routes = Routes(table, "provenance", PROBLEMS_400_404)

@routes.get("/v1/recall", "recall", "Find what a bad lot affected", Recall, rule=Rule(Scope.PROVENANCE), examples=...)
def recall(principal: CurrentPrincipal) -> Response: ...

Before that is what they are declared with: schemas, responses, pages and filters of lists.
"""

from __future__ import annotations

import ast
import base64
import binascii
import enum
import hashlib
import inspect
import itertools
import json
import secrets
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from functools import cache
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    Required,
    TypeAlias,
    TypedDict,
    TypeVar,
    Union,
    Unpack,
    get_args,
    get_origin,
    get_type_hints,
)

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from fastapi import Depends, Header, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, create_model

from millmark.ledger import ids, provenance
from millmark.ledger.events import HISTORY_EVENTS, ArrayOf, Event, PackedOf, Struct, Type, struct_of
from millmark.ledger.provenance.answers import Printable
from millmark.ledger.store import Store
from millmark.services.access.rules import Rule
from millmark.services.gateway.http import example_values, repository
from millmark.services.gateway.http.authentication import CurrentPrincipal
from millmark.services.gateway.http.problems import CursorError, PreconditionError, Problem
from millmark.services.gateway.http.route_table import Examples, Route, RouteTable
from millmark.services.serving.requests import WholeNumber

# Response schemas derived from the view classes, so that the two cannot differ.

_Hex = Annotated[str, Field(pattern="^0x[0-9a-f]*$")]
_PLAIN = (bool, int, str, datetime, type(None))


@cache
def model_of(view: type) -> type[BaseModel]:
    """The pydantic model of what `Printable.to_json` returns for a frozen dataclass: bytes as 0x-hex, times as
    date-time, enumerations as lower-case words, tuples as arrays, events as one of their kinds. Descriptions are the
    docstrings in the dataclass's source. Raises TypeError for a field whose type has no JSON form."""
    hints, docs = get_type_hints(view), _attribute_docs(view)
    members: dict[str, Any] = {
        # A trailing underscore (`from_`) avoids Python's keywords, and is not part of the JSON name.
        field.name.rstrip("_"): (_as_json(hints[field.name]), Field(description=docs.get(field.name)))
        for field in fields(view)
    }
    return create_model(view.__name__, __doc__=inspect.getdoc(view) if has_docstring(view) else None, **members)


def _as_json(hint: Any) -> Any:
    """The type annotation of a field's JSON form."""
    arguments = get_args(hint)
    if get_origin(hint) in (Union, types.UnionType):
        return Union[tuple(_as_json(one) for one in arguments)]  # noqa: UP007  # the members are known only now
    if get_origin(hint) is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return list[_as_json(arguments[0])]  # type: ignore[misc]  # as above
    if get_origin(hint) is Mapping and arguments[0] is str:
        return dict[str, _as_json(arguments[1])]  # type: ignore[misc]  # as above
    return _scalar(hint)


def _scalar(hint: Any) -> Any:
    if hint is bytes:
        return _Hex
    if hint is Event:
        kinds: list[type] = list(HISTORY_EVENTS.values())
        return Union[tuple(_fields_of(kind) for kind in kinds)]  # noqa: UP007  # as above
    if isinstance(hint, type) and is_dataclass(hint):
        return model_of(hint)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return Literal[tuple(member.name.lower() for member in hint)]
    if hint is object:
        return Any
    if hint in _PLAIN:
        return hint
    raise TypeError(f"{hint} has no JSON form")


@cache
def _fields_of(kind: type) -> type[BaseModel]:
    """The pydantic model of what `Event.to_json` returns for an event or a struct in it. Enumerations are numbers."""
    members: dict[str, Any] = {name.rstrip("_"): (_as_field(member), ...) for name, member in struct_of(kind).members}
    return create_model(f"{kind.__name__}Fields", __config__=ConfigDict(extra="forbid"), **members)


def _as_field(member: Type) -> Any:
    if isinstance(member, Struct):
        return _fields_of(member.kind)
    if isinstance(member, (ArrayOf, PackedOf)):
        return list[_as_field(member.item)]  # type: ignore[misc]  # the item is known only now
    if member.abi == "bool":
        return bool
    return int if member.abi.startswith("uint") else _Hex


def has_docstring(view: type) -> bool:
    """Whether the class has a docstring. `dataclass` sets the signature as docstring of a class that has none."""
    return not (view.__doc__ or "").startswith(f"{view.__name__}(")


def _attribute_docs(view: type) -> Mapping[str, str]:
    """The docstring under each field, by field name; empty if the source is not available."""
    return _docs_of(view.__module__).get(view.__qualname__, {})


@cache
def _docs_of(module: str) -> Mapping[str, Mapping[str, str]]:
    """The docstrings under fields of each class of a module's top level, by names; empty if the source is not
    available. A module is parsed once: `inspect.getsource` would do so for every class in it."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except OSError:
        return {}
    # The texts alone are kept: the trees of all modules have four megabytes.
    return {one.name: _docs_in(one.body) for one in tree.body if isinstance(one, ast.ClassDef)}


def _docs_in(body: list[ast.stmt]) -> dict[str, str]:
    return {
        field.target.id: inspect.cleandoc(doc.value.value)
        for field, doc in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(doc, ast.Expr)
        and isinstance(doc.value, ast.Constant)
        and isinstance(doc.value.value, str)
    }


# Responses from views, with ETags and preconditions; parameters and problems shared by many routes.

ETAG_EXAMPLE = '"9f86d081884c7d659a2feaa0c55ad015"'
MAX_SEQUENCE = 2**40 - 1
"""The largest `uint40`, the type of sequences in the contracts."""


def refer_to(view: type, prefix: str = "") -> dict[str, str]:
    """Refers to the model of a view, or to a model, by name: for the class, FastAPI would compile a validator per
    response and route, a third of the gateway's start-up time. The model is made, and its schema added, when the
    OpenAPI document is completed."""
    return {"$ref": f"#/components/schemas/{prefix}{view.__name__}"}


PROBLEM: dict[str, Any] = {"content": {"application/json": {"schema": refer_to(Problem)}}}
Problems: TypeAlias = "dict[int | str, dict[str, Any]]"
"""Problems of a route in the OpenAPI document, by status."""
PROBLEMS_422: Problems = {422: PROBLEM, "default": PROBLEM}
PROBLEMS_404: Problems = {404: PROBLEM, **PROBLEMS_422}
PROBLEMS_400: Problems = {400: PROBLEM, **PROBLEMS_422}
PROBLEMS_400_404: Problems = {400: PROBLEM, **PROBLEMS_404}

IfNoneMatch = Annotated[
    str | None,
    Header(alias="If-None-Match", description="ETag of a response that you already have.", examples=[ETAG_EXAMPLE]),
]
IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        description="ETag of the resource as you know it. 412 if it has changed since.",
        examples=[ETAG_EXAMPLE],
    ),
]
Subject = Annotated[
    str,
    Path(
        pattern="^0x[0-9a-f]{64}$",
        description="Subject: the hash under which the ledger knows the thing.",
        examples=["0x" + "1a" * 32],
    ),
]
Number = Annotated[
    WholeNumber,
    Path(alias="id", ge=1, le=MAX_SEQUENCE, description="Sequence of the record that created it.", examples=[412]),
]


def reply(view: Printable, status: int = 200, **headers: str) -> Response:
    return Response(view.encode(), status, headers, media_type="application/json")


def reply_with_etag(view: Printable, if_none_match: str | None) -> Response:
    """Responds with the view, or with 304 if the caller has it already. The ETag covers the whole response, because
    names from the private book are part of it: the index's digest would not change with them."""
    return with_etag(reply(view), if_none_match)


def with_etag(
    response: Response, if_none_match: str | None, *, cache: str = "private, no-cache", weak: bytes | None = None
) -> Response:
    """The response with an ETag of its body, or 304 if the caller has that body already. By default caches may store
    it, but have to revalidate it each time. With `weak`, a digest of what matters in the body, the ETag is a weak one
    (RFC 9110, section 8.8.1) of that."""
    etag = _etag(response) if weak is None else f'W/"{weak.hex()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": cache}
    # RFC 9110, section 15.4.5: a 304 repeats the headers that a 200 would have.
    if if_none_match is not None and etag_matches(if_none_match, etag):
        return Response(status_code=304, headers=headers)
    response.headers.update(headers)
    return response


def build_precondition(if_match: str | None) -> Callable[[Printable], None] | None:
    """A check that raises PreconditionError for a view whose ETag is not among the expected ones. Uses strong
    comparison (RFC 9110, section 13.1.1), so weak ETags match nothing. None if nothing is expected."""
    if if_match is None:
        return None
    expected = [one.strip() for one in if_match.split(",")]

    def verify(view: Printable) -> None:
        # The view is encoded again, since an ETag is the hash of what a GET would return now.
        if expected != ["*"] and _etag(reply(view)) not in expected:
            raise PreconditionError("the ETag in If-Match is not current", hint="read it again, then decide")

    return verify


def etag_matches(if_none_match: str, etag: str) -> bool:
    """Tells whether If-None-Match lists the ETag, by weak comparison, or is `*` (RFC 9110, section 13.1.2)."""
    known = [one.strip().removeprefix("W/") for one in if_none_match.split(",")]
    return if_none_match.strip() == "*" or etag.removeprefix("W/") in known


def _etag(response: Response) -> str:
    return f'"{hashlib.sha256(bytes(response.body)).hexdigest()[:32]}"'


# Keyset pagination: each page starts after the last item of the previous one, whatever was inserted in between.
#
#     def lots(paging: Paging) -> Response:
#         found, last = service.lots(after=paging.after, limit=paging.limit)
#         return paging.answer(found, last)
#
# A cursor holds the position of the next page. It is encrypted and bound to the list, its filters and the caller, so it
# reveals nothing and cannot be forged. It stays valid after a restart. A page may be shorter than its limit, or empty,
# and still have a successor: only the last page has no cursor.

MAX_ITEMS = 200
_MAX_CURSOR = 512
_NONCE_BYTES = 12
_KEPT_AS = "cursors"
"""Name under which the key that encrypts cursors is stored."""

Key: TypeAlias = "tuple[int | str | bytes, ...]"
"""A position in a list: the values of the columns that order it."""
_Limit = Annotated[
    WholeNumber, Query(ge=1, le=MAX_ITEMS, description="Maximum number of items in the page.", examples=[50])
]
_Cursor = Annotated[
    str | None,
    Query(
        max_length=_MAX_CURSOR,
        description="`next` of the previous page. The filters have to be the same.",
        examples=["Zp1yT0c0b2pVbmx5T3BhcXVl"],
    ),
]


class Pager:
    """Encrypts and decrypts cursors."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._cipher: AESGCM | None = None

    def seal(self, scope: str, key: Key) -> str:
        """A cursor for the list that `scope` identifies."""
        # The scope is authenticated with the position: a cursor of another list, filter or caller does not decrypt.
        nonce = secrets.token_bytes(_NONCE_BYTES)
        plain = json.dumps([{"hex": part.hex()} if isinstance(part, bytes) else part for part in key]).encode()
        return base64.urlsafe_b64encode(nonce + self._secret().encrypt(nonce, plain, scope.encode())).decode()

    def open(self, scope: str, cursor: str) -> Key:
        """The position in a cursor. Raises CursorError unless `seal` returned the cursor for the same scope."""
        try:
            sealed = base64.b64decode(cursor.encode(), altchars=b"-_", validate=True)
            plain = self._secret().decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], scope.encode())
        # One error for all causes: which part of a forged cursor is wrong must not be revealed.
        except (InvalidTag, ValueError, binascii.Error):
            raise CursorError("the cursor was not issued for this list", hint="start with the first page") from None
        return tuple(bytes.fromhex(one["hex"]) if isinstance(one, dict) else one for one in json.loads(plain))

    def _secret(self) -> AESGCM:
        # Created at first use, because it may need a write transaction.
        if self._cipher is None:
            with self._store.transaction() as connection:
                self._cipher = AESGCM(repository.SecretRepository(connection).secret(_KEPT_AS))
        return self._cipher


@dataclass(frozen=True, slots=True)
class _Paging:
    """The position and length of a page."""

    pager: Pager
    scope: str
    limit: int
    after: Key | None
    """Position of the last item of the previous page; None for the first page."""

    @property
    def number(self) -> int | None:
        """The position `after` as a number, for a list that is ordered by a single number."""
        if self.after is None:
            return None
        (number,) = self.after
        return int(number)

    def answer(self, items: Sequence[Printable], last: Key | None) -> Response:
        """The page as a response. `last` is the position of its last item; None if this is the last page."""
        cursor = None if last is None else self.pager.seal(self.scope, last)
        body = {"items": [item.to_json() for item in items], "next": cursor}
        return Response(json.dumps(body, separators=(",", ":")), media_type="application/json")


def _paging(request: Request, principal: CurrentPrincipal, limit: _Limit = 50, cursor: _Cursor = None) -> _Paging:
    pager: Pager = request.app.state.pager
    scope = _describe(request, principal.participant)
    return _Paging(pager, scope, limit, None if cursor is None else pager.open(scope, cursor))


def _describe(request: Request, caller: int | None) -> str:
    """A hash of the list, its filters and the caller."""
    # The limit may differ from page to page; everything else identifies the list.
    filters = sorted((name, value) for name, value in request.query_params.multi_items() if name not in _OWN)
    parts = json.dumps([request.scope["path"], filters, caller])
    return hashlib.sha256(parts.encode()).hexdigest()


_OWN = ("limit", "cursor")
Paging = Annotated[_Paging, Depends(_paging)]
"""Parameter type for routes that return a list."""


_PAGE = "PageOf"


@cache
def page_of(view: type) -> type[BaseModel]:
    """The schema of a page of these views."""
    members: dict[str, Any] = {
        "items": (list[model_of(view)], Field(description="In the order of the list.")),  # type: ignore[misc]  # known only now
        "next": (str | None, Field(description="Cursor of the next page; null on the last one.")),
    }
    return create_model(f"{_PAGE}{view.__name__}", __doc__="A page of a list.", **members)


V = TypeVar("V", bound=Printable)
_MAX_PARTICIPANT: Final = 2**32 - 1
_Filters: TypeAlias = "dict[str, int | bytes]"

ParticipantNumber = Annotated[
    WholeNumber, Path(ge=1, le=_MAX_PARTICIPANT, description="Number of a participant.", examples=[5])
]
OfOrder = Annotated[
    str | None,
    Query(pattern="^0x[0-9a-f]{64}$", description="Only those of this order (subject).", examples=["0x" + "2b" * 32]),
]
OfLot = Annotated[
    str | None,
    Query(pattern="^0x[0-9a-f]{64}$", description="Only those of this lot (subject).", examples=["0x" + "1a" * 32]),
]
OfParticipant = Annotated[
    WholeNumber | None, Query(ge=1, le=_MAX_PARTICIPANT, description="Only those of this participant.", examples=[5])
]
OfMachine = Annotated[
    WholeNumber | None, Query(ge=1, le=MAX_SEQUENCE, description="Only those of this machine (number).", examples=[17])
]
OfAssignment = Annotated[
    WholeNumber | None,
    Query(ge=1, le=MAX_SEQUENCE, description="Only those of this assignment (number).", examples=[131]),
]
OfModel = Annotated[
    WholeNumber | None,
    Query(ge=1, le=MAX_SEQUENCE, description="Only those based on this model (number).", examples=[9]),
]
Called = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=ids.MAX_IDENTIFIER_LENGTH,
        description="Only those with this identifier, in any spelling, or whose identifier has it as its last part, "
        "such as A0001. Use it to look up a subject.",
        examples=[example_values.IDENTIFIER],
    ),
]


def build_filters(**values: int | bytes | None) -> _Filters:
    """The filters that are set."""
    return {name: value for name, value in values.items() if value is not None}


def state_value(states: type[enum.IntEnum], word: str | None) -> int | None:
    return None if word is None else states[word.upper()].value


def parse_subject(text: str) -> bytes:
    """The 32 bytes of a parameter that its pattern has validated."""
    return bytes.fromhex(text[2:])


def reply_page(paging: Paging, page: provenance.listings.Page[V]) -> Response:
    return paging.answer(page.items, None if page.after is None else (page.after,))


F = TypeVar("F", bound=Callable[..., Any])
View: TypeAlias = "type | types.UnionType | None"
"""The view that is returned, or a union of views; None if it is not a view."""
_NO_EXAMPLES: Examples = {}


class Options(TypedDict, total=False):
    """The keyword members of a row. `rule` is required."""

    rule: Required[Rule]
    examples: Examples
    body_example: object
    """Example of the request body, as JSON."""
    responses: Problems
    """Problems, in place of those common to the group."""
    response_model: type[BaseModel] | None
    """Pydantic model of a response that is not a view; None for none."""
    response_class: type[Response]
    status_code: int
    description: str
    """Description, in place of the endpoint's docstring."""
    openapi_extra: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Routes:
    """Routes with the same tag. `problems` are listed for every route that does not set `responses`."""

    table: RouteTable
    tag: str
    problems: Problems

    def page(self, path: str, operation: str, summary: str, view: type, **row: Unpack[Options]) -> Callable[[F], F]:
        """Declares a GET route of a paged list, which answers 400 to a cursor of another list."""
        listed: Options = {"responses": PROBLEMS_400, **row}
        return self._declare("GET", path, operation, summary, view, paged=True, **listed)

    def one(self, path: str, operation: str, summary: str, view: type, **row: Unpack[Options]) -> Callable[[F], F]:
        """Declares a GET route of one resource, which answers 404 if there is none."""
        found: Options = {"responses": PROBLEMS_404, **row}
        return self.get(path, operation, summary, view, **found)

    def get(
        self, path: str, operation: str, summary: str, view: View = None, **row: Unpack[Options]
    ) -> Callable[[F], F]:
        return self._declare("GET", path, operation, summary, view, **row)

    def post(
        self, path: str, operation: str, summary: str, view: View = None, **row: Unpack[Options]
    ) -> Callable[[F], F]:
        return self._declare("POST", path, operation, summary, view, **row)

    def put(
        self, path: str, operation: str, summary: str, view: View = None, **row: Unpack[Options]
    ) -> Callable[[F], F]:
        return self._declare("PUT", path, operation, summary, view, **row)

    def patch(
        self, path: str, operation: str, summary: str, view: View = None, **row: Unpack[Options]
    ) -> Callable[[F], F]:
        return self._declare("PATCH", path, operation, summary, view, **row)

    def delete(
        self, path: str, operation: str, summary: str, view: View = None, **row: Unpack[Options]
    ) -> Callable[[F], F]:
        return self._declare("DELETE", path, operation, summary, view, **row)

    def _declare(
        self,
        method: str,
        path: str,
        operation: str,
        summary: str,
        view: View,
        *,
        rule: Rule,
        paged: bool = False,
        examples: Examples = _NO_EXAMPLES,
        body_example: object = None,
        response_model: type[BaseModel] | None = None,
        responses: Problems | None = None,
        **documented: Any,
    ) -> Callable[[F], F]:
        views = (get_args(view) or (view,)) if response_model is None else (response_model,)
        views = tuple(one for one in views if one is not None)
        problems = self.problems if responses is None else responses
        # The model is not FastAPI's business: endpoints return complete responses, which it does not validate.
        documented |= {"responses": {**_success(views, paged, documented), **problems}, "response_model": None}

        def register(endpoint: F) -> F:
            route = Route(method, path, rule, operation, examples, body_example, views, paged)
            self.table.add(route, endpoint, summary=summary, tags=[self.tag], **documented)
            return endpoint

        return register


def models_of(route: Route) -> Iterator[type[BaseModel]]:
    """The models of a route's successful response, to which the document refers by name."""
    make = page_of if route.paged else model_of
    for one in route.views:
        yield one if issubclass(one, BaseModel) else make(one)  # type: ignore[arg-type]  # judged by its instances' hash


def _success(views: Sequence[type], paged: bool, documented: Mapping[str, Any]) -> Problems:
    """The successful response, if it has one of these views."""
    references = [refer_to(one, _PAGE if paged else "") for one in views]
    if not references:
        return {}
    schema = references[0] if len(references) == 1 else {"anyOf": references}
    return {documented.get("status_code", 200): {"content": {"application/json": {"schema": schema}}}}
