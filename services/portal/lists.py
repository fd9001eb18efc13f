"""Pages of lists: newest first, with a filter, and links to the pages before and after."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias
from urllib.parse import urlencode

from fastapi import Request
from starlette.responses import Response

from millmark.ledger.errors import InputError
from millmark.ledger.provenance.listings import Page
from millmark.services.access import Principal
from millmark.services.portal.forms import Forms
from millmark.services.portal.pages import Pages

__all__ = ["PAGE_ITEMS", "Filter", "Find", "Lists", "principal_of"]

PAGE_ITEMS = 25
_OLDER, _NEWER = "older", "newer"


class CursorMaker(Protocol):
    """The part of millmark.services.gateway.http.paging.Pager that is used here; the portal does not import the
    gateway."""

    def seal(self, scope: str, key: tuple[int | str | bytes, ...]) -> str: ...
    def open(self, scope: str, cursor: str) -> tuple[int | str | bytes, ...]: ...


Filters: TypeAlias = "dict[str, int | bytes]"
Find: TypeAlias = "Callable[[int | None, int | None, Filters, bool], Page[Any]]"
"""Finds a page of items for a viewer, after a number, that match the filters, newest first or not."""

Describe: TypeAlias = "Callable[[Sequence[Any]], dict[str, Any]]"
"""What else the template needs for the items."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter that readers choose from a list of values."""

    name: str
    """Name of the column, and of the parameter in the address."""
    values: tuple[enum.Enum, ...]

    def chosen(self, request: Request) -> enum.Enum | None:
        """Raises InputError for a value that there is not."""
        text = request.query_params.get(self.name, "")
        found = {one.name.lower(): one for one in self.values}
        if text and text not in found:
            raise InputError(f"{text[:40]!a} is not a value of {self.name}", hint=f"choose one of {', '.join(found)}")
        return found.get(text)


@dataclass(frozen=True, slots=True)
class Turn:
    """Addresses of other pages of a list; None where there are none."""

    first: str | None
    newer: str | None
    older: str | None


@dataclass(frozen=True, slots=True)
class Lists:
    """Shows pages of lists."""

    pages: Pages
    forms: Forms

    def show(
        self,
        request: Request,
        template: str,
        find: Find,
        by: Filter | None = None,
        describe: Describe = lambda _: {},
        *,
        kept: Mapping[str, str] | None = None,
        status: int = 200,
        **values: Any,
    ) -> Response:
        """The page of a list that the request's cursor names, or its first. `kept`: other parameters that the list
        depends on. Raises CursorError for a cursor of another list or caller, InputError for an unknown value of the
        filter."""
        principal, chosen = principal_of(request), None if by is None else by.chosen(request)
        kept = {name: value for name, value in (kept or {}).items() if value}
        kept |= {} if by is None or chosen is None else {by.name: chosen.name.lower()}
        place = _Place(request, kept)
        filters: Filters = {} if by is None or chosen is None else {by.name: int(chosen.value)}
        after, backwards = place.start
        found = find(principal.viewer, after, filters, not backwards)
        items = found.items[::-1] if backwards else found.items
        shown: dict[str, Any] = {
            "items": items,
            "turn": place.turn(found),
            "filter": by,
            "chosen": chosen,
        }
        return self.pages.render(request, template, status, forms=self.forms, **shown, **describe(items), **values)


class _Place:
    """The place in a list at which a page begins, and the links from there. A cursor holds a number, and whether the
    page is of older or of newer items than that."""

    def __init__(self, request: Request, kept: Mapping[str, str]) -> None:
        self._path, self._kept = request.url.path, kept
        self._pager: CursorMaker = request.app.state.pager
        listed = f"{self._path} {principal_of(request).participant} {urlencode(sorted(kept.items()))}"
        self._scope = hashlib.sha256(listed.encode()).hexdigest()
        cursor = request.query_params.get("cursor", "")
        key = self._pager.open(self._scope, cursor) if cursor else (0, _OLDER)
        self.start: tuple[int | None, bool] = (int(key[0]) if cursor else None, key[1] == _NEWER)
        """The number after which it begins, and whether it is read backwards, towards the newer."""

    def turn(self, found: Page[Any]) -> Turn:
        start, backwards = self.start
        if not backwards:
            newer = None if start is None or found.first is None else self._link(found.first, _NEWER)
            older = None if found.after is None else self._link(found.after, _OLDER)
            return Turn(None if start is None else self._first(), newer, older)
        # Backwards the items come oldest first, and the list continues towards the newer.
        newer = None if found.after is None else self._link(found.after, _NEWER)
        older = self._first() if found.first is None else self._link(found.first, _OLDER)
        return Turn(self._first(), newer, older)

    def _first(self) -> str:
        return f"{self._path}?{urlencode(self._kept)}" if self._kept else self._path

    def _link(self, number: int, where: str) -> str:
        return f"{self._path}?{urlencode({**self._kept, 'cursor': self._pager.seal(self._scope, (number, where))})}"


def principal_of(request: Request) -> Principal:
    found: Principal = request.state.principal
    return found
