"""Values of an event in the one form in which the event hash takes them (CBV 2.0 section 8.9, EPCIS event hash)."""

from __future__ import annotations

import datetime
import re
from decimal import Decimal, InvalidOperation, localcontext
from functools import lru_cache

from ledger.errors import IdentifierError
from ledger.ids import link_uri, parse_epc, split_digital_link
from services.interop.epcis.vocabulary import expand_urn

__all__ = ["canonical_time", "canonical_value"]

_TIME = re.compile(r"(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}:\d{2})(?:\.(\d+))?(Z|[+-]\d{2}:?\d{2})", re.ASCII | re.IGNORECASE)
_NUMBERED = re.compile(r"(urn:epc:id:[a-z]+:[0-9.]+\.|https://.+/21/)([0-9A-Za-z_-]{1,20})", re.ASCII)
"""What perhaps names a thing by a serial number in which nothing is escaped."""
_FINE: dict[str, set[str]] = {
    "01": {"10", "21", "235"},
    "414": {"254"},
    "8006": {"10", "21"},
    "8010": {"8011"},
    **{key: set() for key in ("00", "253", "255", "401", "402", "417", "8003", "8004", "8017", "8018")},
}
"""Keys that the hash knows, with the qualifiers that name something finer (rule 18)."""
_MAX_REMEMBERED = 200
"""Characters of a value that is worth remembering."""
_MAX_EXPONENT = 400
"""Beyond what a double holds nobody wrote a number; writing it out would take memory without bound."""


def canonical_value(text: str) -> str:
    """A value without white space around it: CBV URNs as web URIs, numbers without needless zeros, GS1 keys as links.

    What is none of these is kept. Digits are never rounded.
    """
    if len(text) > _MAX_REMEMBERED:
        return _canonical(text)
    numbered = _NUMBERED.fullmatch(text) if text.startswith(("urn:epc:id:", "https://")) else None
    stem = numbered and _stem(numbered[1])
    return stem + numbered[2] if numbered and stem else _remembered(text)


def _canonical(text: str) -> str:
    text = expand_urn(text.strip())
    return _key(text) if ":" in text else _number(text)


_remembered = lru_cache(maxsize=4096)(_canonical)
"""Events of one batch name the same places, kinds and steps."""


@lru_cache(maxsize=4096)
def _stem(head: str) -> str | None:
    """What stands before every serial number that is written as it is, where only that follows a head; else None.
    Things of one kind are many, and each comes once."""
    one, other = (_canonical(f"{head}{serial}") for serial in "AB")
    stem = one[:-1]
    return stem if (one, other) == (f"{stem}A", f"{stem}B") and stem.endswith("/21/") else None


@lru_cache(maxsize=1024)
def canonical_time(text: str) -> str:
    """A timestamp in UTC with milliseconds, half of one rounded up; what is no timestamp with an offset is kept."""
    match = _TIME.fullmatch(text.strip())
    if match is None:
        return text.strip()
    date, clock, fraction, offset = match.groups()
    millis = int((fraction or "0")[:3].ljust(3, "0")) + (len(fraction or "") > 3 and fraction[3] >= "5")
    try:
        moment = datetime.datetime.fromisoformat(f"{date}T{clock}{offset.upper().replace('Z', '+00:00')}")
        moment = moment.astimezone(datetime.UTC) + datetime.timedelta(milliseconds=millis)
    except (ValueError, OverflowError):
        return text.strip()
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _number(text: str) -> str:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    if not number.is_finite() or abs(number.adjusted()) > max(_MAX_EXPONENT, len(text)):
        return text
    if number == number.to_integral_value():
        return str(number.to_integral_value())
    with localcontext() as context:
        context.prec = max(28, len(text))  # `normalize` rounds to it
        return format(number.normalize(), "f")


def _key(text: str) -> str:
    """A GS1 key as the canonical link of the finest thing it names: without variant, and without lot beside a serial.

    Check digits are not judged here: an event is hashed as it is, also one with a wrong number in it.
    """
    try:
        if text.startswith("urn:epc:"):
            elements = parse_epc(text).elements
        elif text.startswith(("https://", "http://")):
            elements = split_digital_link(text)
        else:
            return text
    except IdentifierError:
        return text
    named = {ai: value for ai, value in elements if ai != "22"}
    if "21" in named:
        named.pop("10", None)
    key, *qualifiers = named
    return link_uri(named.items()) if set(qualifiers) <= _FINE.get(key, set()) else text
