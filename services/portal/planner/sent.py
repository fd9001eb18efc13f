"""Reads what the forms of planning send."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, datetime

from millmark.ledger.canonical import parse_hex32
from millmark.ledger.errors import CanonicalError, InputError, NotFoundError
from millmark.services.planning.grounds import PlanningGround
from millmark.services.portal.acting.fields import Filled
from millmark.services.portal.forms import FormRefusedError

__all__ = ["form_key", "moment_of", "number_of", "numbers_of", "one", "subject_of", "subjects_of"]

_KEY = re.compile(r"[A-Za-z0-9_-]{16,64}")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?Z?")
_MOST_DIGITS = 12


def one(sent: Filled, name: str) -> str:
    return next(iter(sent.get(name, ())), "").strip()


def form_key(sent: Filled) -> str:
    """Raises FormRefusedError."""
    key = one(sent, "key")
    if not _KEY.fullmatch(key):
        raise FormRefusedError("the form has no key of its own", hint="load the form again")
    return key


def number_of(sent: Filled, name: str, least: int, most: int) -> int:
    """Raises InputError."""
    text = one(sent, name)
    found = int(text) if text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS else -1
    if not least <= found <= most:
        raise InputError(PlanningGround.NO_NUMBER.write(field=name, least=least, most=most))
    return found


def numbers_of(sent: Filled, name: str, known: Collection[int]) -> list[int]:
    """The chosen ones, ascending. Raises InputError for one that the form did not offer."""
    chosen = {text for text in sent.get(name, ()) if text}
    found = sorted(number for number in known if str(number) in chosen)
    if len(found) != len(chosen):
        raise InputError(PlanningGround.NO_CHOICE.write(field=name), hint="load the page again")
    return found


def subject_of(text: str) -> bytes:
    """32 bytes in hex. Raises NotFoundError."""
    try:
        return parse_hex32(f"0x{text.removeprefix('0x')}")
    except CanonicalError:
        raise NotFoundError("nothing is known under that name") from None


def subjects_of(sent: Filled, name: str) -> list[bytes]:
    """The chosen ones, ascending. Raises NotFoundError."""
    return sorted({subject_of(text) for text in sent.get(name, ()) if text})


def moment_of(sent: Filled, name: str) -> int:
    """Unix seconds of a time in UTC. Raises InputError."""
    text = one(sent, name)
    try:
        # `fromisoformat` reads other forms, too.
        moment = datetime.fromisoformat(text.removesuffix("Z") if _MOMENT.fullmatch(text) else "")
        return int(moment.replace(tzinfo=UTC).timestamp())
    except ValueError:
        cause = PlanningGround.NO_TIME.write(field=name)
        raise InputError(cause, hint="write it like 2026-12-01T12:00, in UTC") from None
