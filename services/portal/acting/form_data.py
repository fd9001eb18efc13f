"""Reads what a form sends, within limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends, Request

from millmark.ledger.errors import InputError
from millmark.services.portal.acting.fields import Filled

__all__ = ["Sent", "read_query"]

_URLENCODED = "application/x-www-form-urlencoded"
_MAX_FIELDS = 1200
"""Most values of a form: as many lots move together at most, and some more."""


async def _read_form(request: Request) -> Filled:
    """The fields of an urlencoded form; its length is limited by the route's rule. Raises InputError."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _URLENCODED:
        raise InputError("the form is not urlencoded", hint="send it from the page")
    return _collect((await request.body()).decode("utf-8", "replace"))


def read_query(request: Request) -> Filled:
    """Entries that a link gives to a form. Raises InputError."""
    return _collect(request.url.query)


def _collect(text: str) -> Filled:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise InputError("the form has too many fields", hint="send fewer") from None
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


Sent = Annotated[Mapping[str, list[str]], Depends(_read_form)]
"""Parameter type for routes that take a form."""
