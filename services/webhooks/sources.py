"""What a subscription delivers: the dispatcher asks its source for the next deliveries, and stores the cursor that
comes with each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from millmark.ledger.store import Connection, Feed, Position, Store
from millmark.services.access import Scope
from millmark.services.webhooks.feed import FeedEntry, Filter, RecordFeed
from millmark.services.webhooks.http_post import Mode, build_request
from millmark.services.webhooks.repository import WebhookRow
from millmark.services.webhooks.signatures import sign
from millmark.services.webhooks.subscriptions import signing_secrets

_AT_ONCE: Final = 100
"""Records read per query."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request to a receiver."""

    headers: Mapping[str, str]
    body: bytes
    sign: Callable[[int], Mapping[str, str]]
    """Returns the headers that sign it at a time in milliseconds since 1970; empty if it is not signed."""
    cursor: Mapping[str, int]
    """Columns of the subscription once the receiver has accepted it."""
    size: int = 1
    """How many events it has: with more than one, it can be sent in smaller parts."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The next deliveries, in order."""

    deliveries: Sequence[Delivery]
    cursor: Mapping[str, int]
    """Columns of the subscription once all were accepted: they move past what is not for this receiver."""


class Source(Protocol):
    """Where the deliveries of a kind of subscription come from."""

    scope: Scope
    """Without it, a credential receives nothing."""

    def behind(self, connection: Connection, rows: Sequence[WebhookRow], now_ms: int) -> list[WebhookRow]:
        """The subscriptions, out of `rows`, for which there may be something to deliver."""
        ...

    def next(self, row: WebhookRow, now_ms: int) -> Batch | None:
        """What follows the subscription's cursor; None if there is nothing."""
        ...


class RecordSource:
    """The ledger's final records, as CloudEvents."""

    scope = Scope.EVENTS

    def __init__(self, store: Store) -> None:
        self._feed = RecordFeed(store)

    def behind(self, connection: Connection, rows: Sequence[WebhookRow], now_ms: int) -> list[WebhookRow]:  # noqa: ARG002 - the protocol's; records are due at once
        end = Feed(connection).end()
        return [row for row in rows if row.registry_sequence < end.registry or row.ledger_sequence < end.ledger]

    def next(self, row: WebhookRow, now_ms: int) -> Batch | None:  # noqa: ARG002 - the protocol's; records are due at once
        position = Position(row.registry_sequence, row.ledger_sequence)
        wanted = Filter(frozenset(row.kinds.split()), frozenset(map(bytes.fromhex, row.subjects.split())))
        entries, end = self._feed.after(position, _AT_ONCE, None if row.owner else row.participant, wanted)
        return None if end == position else Batch([_deliver(row, entry) for entry in entries], _cursor(end))


def _deliver(row: WebhookRow, entry: FeedEntry) -> Delivery:
    headers, body = build_request(entry.event, Mode(row.mode))

    def sign_at(now_ms: int) -> Mapping[str, str]:
        return sign(signing_secrets(row, now_ms), f"{row.id}-{entry.id}", now_ms // 1000, body)

    return Delivery(headers, body, sign_at, _cursor(entry.position))


def _cursor(position: Position) -> dict[str, int]:
    return {"registry_sequence": position.registry, "ledger_sequence": position.ledger}
