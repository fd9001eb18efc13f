"""Keyset pagination: each page starts after the last item of the previous one, whatever was inserted in between.

    def lots(paging: Paging) -> Response:
        found, last = service.lots(after=paging.after, limit=paging.limit)
        return paging.answer(found, last)

A cursor holds the position of the next page. It is encrypted and bound to the list, its filters and the caller, so it
reveals nothing and cannot be forged. It stays valid after a restart. A page may be shorter than its limit, or empty,
and still have a successor: only the last page has no cursor.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from fastapi import Depends, Query, Request, Response
from pydantic import BaseModel, Field, create_model

from millmark.ledger.provenance.answers import Printable
from millmark.ledger.store import Store
from millmark.services.gateway.http.authentication import CurrentPrincipal
from millmark.services.gateway.http.errors import CursorError
from millmark.services.gateway.http.repository import SecretRepository
from millmark.services.gateway.http.schemas import model_of
from millmark.services.serving.requests import WholeNumber

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
        plain = json.dumps([_plain(part) for part in key]).encode()
        return base64.urlsafe_b64encode(nonce + self._secret().encrypt(nonce, plain, scope.encode())).decode()

    def open(self, scope: str, cursor: str) -> Key:
        """The position in a cursor. Raises CursorError unless `seal` returned the cursor for the same scope."""
        try:
            sealed = base64.b64decode(cursor.encode(), altchars=b"-_", validate=True)
            plain = self._secret().decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], scope.encode())
        # One error for all causes: which part of a forged cursor is wrong must not be revealed.
        except (InvalidTag, ValueError, binascii.Error):
            raise CursorError("the cursor was not issued for this list", hint="start with the first page") from None
        return tuple(_part(value) for value in json.loads(plain))

    def _secret(self) -> AESGCM:
        # Created at first use, because it may need a write transaction.
        if self._cipher is None:
            with self._store.transaction() as connection:
                self._cipher = AESGCM(SecretRepository(connection).secret(_KEPT_AS))
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


@cache
def page_of(view: type) -> type[BaseModel]:
    """The schema of a page of these views."""
    members: dict[str, Any] = {
        "items": (list[model_of(view)], Field(description="In the order of the list.")),  # type: ignore[misc]  # known only now
        "next": (str | None, Field(description="Cursor of the next page; null on the last one.")),
    }
    return create_model(f"PageOf{view.__name__}", __doc__="A page of a list.", **members)


def _plain(part: int | str | bytes) -> int | str | dict[str, str]:
    return {"hex": part.hex()} if isinstance(part, bytes) else part


def _part(value: int | str | dict[str, str]) -> int | str | bytes:
    return bytes.fromhex(value["hex"]) if isinstance(value, dict) else value
