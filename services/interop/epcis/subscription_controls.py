"""The body with which a client subscribes to an EPCIS query (EPCIS 2.0 REST bindings, `QuerySubscription`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from millmark.ledger.canonical import Json, canonical_json, parse_json
from millmark.ledger.errors import CanonicalError, InputError
from millmark.services.interop.epcis.named_queries import Definition, SubscriptionError
from millmark.services.interop.epcis.query_parameters import COUNTS
from millmark.services.interop.epcis.schedules import Schedule, parse_schedule
from millmark.services.interop.epcis.terms import millis_of

_MAX_BYTES: Final = 8 << 10
_MEMBERS: Final = ("dest", "signatureToken", "stream", "schedule", "reportIfEmpty", "initialRecordTime")
_TOKEN: Final = re.compile(r"[\x21-\x7e]{16,256}")


@dataclass(frozen=True, slots=True)
class Controls:
    """When a query is executed, and what is considered."""

    schedule: Schedule | None
    """None for a stream: events are sent as soon as they are recorded."""
    report_if_empty: bool
    initial_record_ms: int | None
    """Events recorded before it are not considered; None for the time of the subscription."""
    given: Mapping[str, Json]
    """The members as received, without receiver and token."""

    def to_text(self) -> str:
        """As JSON, for `read_controls`."""
        return canonical_json(dict(self.given)).decode()


@dataclass(frozen=True, slots=True)
class Wanted:
    """A parsed body."""

    dest: str
    token: str
    """Key of the signatures; empty for deliveries that are not signed."""
    controls: Controls


def parse_subscription(body: bytes, now_ms: int) -> Wanted:
    """Parses a body. Raises SubscriptionError, and InputError if it is not JSON. Not established: that `dest` may be
    called."""
    try:
        value = parse_json(body, max_bytes=_MAX_BYTES, max_depth=4)
    except CanonicalError as error:
        raise InputError(error.cause, hint="send JSON") from None
    if not isinstance(value, dict) or not value.keys() <= set(_MEMBERS):
        raise SubscriptionError(
            "a subscription is an object with no other members than " + ", ".join(_MEMBERS), hint="leave others out"
        )
    dest, token = value.get("dest"), value.get("signatureToken", "")
    if not isinstance(dest, str) or dest.lower().startswith(("ws:", "wss:")):
        raise SubscriptionError(
            "dest is not the URL of a webhook; subscriptions over WebSocket are not supported",
            hint="give the https:// URL that receives the events",
        )
    if not isinstance(token, str) or (token and not _TOKEN.fullmatch(token)):
        raise SubscriptionError(
            "signatureToken is not 16 to 256 visible ASCII characters", hint="generate a random token of 32 characters"
        )
    return Wanted(dest, token, read_controls(value, now_ms))


def read_controls(value: Mapping[str, Json], now_ms: int) -> Controls:
    """Reads the members that say when. Raises SubscriptionError."""
    stream, schedule, report = value.get("stream"), value.get("schedule"), value.get("reportIfEmpty", False)
    if (stream is not None and stream is not True) or (stream is None) == (schedule is None):
        raise SubscriptionError(
            "a subscription has either stream: true or a schedule",
            hint='send "stream": true, or a schedule such as {"minute": "5"}',
        )
    if not isinstance(report, bool) or (report and stream):
        raise SubscriptionError(
            "reportIfEmpty is not true or false, or there is no schedule",
            hint="leave it out, or give a schedule: a stream reports when there is an event",
        )
    initial = _moment(value.get("initialRecordTime"))
    if initial is not None and initial > now_ms:
        raise SubscriptionError("initialRecordTime is in the future", hint="leave it out to start now")
    given = {name: one for name, one in value.items() if name not in ("dest", "signatureToken")}
    return Controls(None if schedule is None else parse_schedule(schedule, now_ms), report, initial, given)


def verify_subscribable(definition: Definition) -> None:
    """Checks that a query can be subscribed to. Raises SubscriptionError if it limits or orders its results."""
    limits = [name for name in COUNTS if name in definition.query]
    ordered = (definition.query.get("orderBy", "recordTime"), definition.query.get("orderDirection", "ASC"))
    if limits or ordered != ("recordTime", "ASC"):
        raise SubscriptionError(
            f"{definition.name} limits its results or orders them in another way than by recordTime ascending",
            hint="subscribe to a query without eventCountLimit, maxEventCount, orderBy and orderDirection",
        )


def _moment(value: Json) -> int | None:
    if value is None:
        return None
    try:
        if not isinstance(value, str) or len(value) > 40 or "T" not in value.upper():
            raise ValueError
        return millis_of(value)
    except (ValueError, TypeError):
        raise SubscriptionError(
            "initialRecordTime is not a time with an offset", hint="write it like 2026-03-02T09:30:00Z"
        ) from None
