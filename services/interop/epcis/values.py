"""Normalisation of an event's values for the event hash (CBV 2.0 section 8.9, EPCIS event hash)."""

from __future__ import annotations

import datetime
import re
from decimal import Decimal, InvalidOperation, localcontext
from functools import lru_cache

from millmark.ledger.errors import IdentifierError
from millmark.ledger.ids import link_uri, parse_epc, split_digital_link
from millmark.services.interop.epcis.vocabulary import expand_urn

_TIME = re.compile(r"(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}:\d{2})(?:\.(\d+))?(Z|[+-]\d{2}:?\d{2})", re.ASCII | re.IGNORECASE)
_NUMBERED = re.compile(r"(urn:epc:id:[a-z]+:[0-9.]+\.|https://.+/21/)([0-9A-Za-z_-]{1,20})", re.ASCII)
"""Candidates for identifiers whose serial number needs no escaping."""
_FINE: dict[str, set[str]] = {
    "01": {"10", "21", "235"},
    "414": {"254"},
    "8006": {"10", "21"},
    "8010": {"8011"},
    **{key: set() for key in ("00", "253", "255", "401", "402", "417", "8003", "8004", "8017", "8018")},
}
"""Keys that the hash normalises, with the qualifiers that identify something finer (rule 18)."""
_MAX_REMEMBERED = 200
"""Length above which values are not cached."""
_MAX_EXPONENT = 400
"""Exponents above the range of a double are left alone: writing such a number out would take unbounded memory."""


def canonical_value(text: str) -> str:
    """A value in the form in which it is hashed, without surrounding white space.

    URNs of the CBV become web URIs, GS1 keys become Digital Links, and numbers lose redundant zeros; no digit is
    rounded. All other values are unchanged.
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
"""Cached, because the events of one batch name the same places, kinds and steps."""


@lru_cache(maxsize=4096)
def _stem(head: str) -> str | None:
    """The normalised text before a serial number that follows `head`; None if serial numbers are not simply appended.

    A fast path: things of one kind are many, and each occurs once, so caching whole values would not help.
    """
    one, other = (_canonical(f"{head}{serial}") for serial in "AB")
    stem = one[:-1]
    return stem if (one, other) == (f"{stem}A", f"{stem}B") and stem.endswith("/21/") else None


@lru_cache(maxsize=1024)
def canonical_time(text: str) -> str:
    """A timestamp in UTC with milliseconds, rounded half up. Any other text is returned unchanged."""
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
    """A GS1 key as the canonical link of the finest thing it identifies: without variant, and without lot if a serial
    number is present.

    Check digits are not validated: an event is hashed as it is, even with an invalid key.
    """
    try:
        if text.startswith("urn:epc:"):
            elements = parse_epc(text).elements
        elif text.startswith(("https://", "http://")):
            elements = split_digital_link(text, named=True)
        else:
            return text
    except IdentifierError:
        return text
    named = {ai: value for ai, value in elements if ai != "22"}
    if "21" in named:
        named.pop("10", None)
    key, *qualifiers = named
    return link_uri(named.items()) if set(qualifiers) <= _FINE.get(key, set()) else text
