"""Webhook subscriptions and the progress of their deliveries: their table, and all access to it.

Times are milliseconds since 1970; 0 means "never".
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, Row, delete, func, select, update

from millmark.ledger.store import Rows, schema_of


@dataclass(slots=True)
class WebhookRow:
    """A subscription. `registry_sequence` and `ledger_sequence` are its cursor: the last record of each contract that
    the receiver accepted or that was not meant for it."""

    id: str
    participant: int
    """The participant whose permissions apply; 0 for one that the operator created without a credential."""
    owner: bool
    """Whether it was created for the company that runs the gateway, and so receives every record."""
    url: str
    mode: str
    kinds: str
    """Words separated by spaces; empty for all."""
    subjects: str
    """Hex separated by spaces; empty for all."""
    secrets: str
    """JSON: pairs of a secret and when it expires (milliseconds since 1970, 0 for never), the newest first. Stored in
    plain text, because signing needs them."""
    created_ms: int
    registry_sequence: int
    ledger_sequence: int
    state: str
    reason: str
    """Why the last attempt failed; empty after a success."""
    attempts: int
    """Failed attempts at the next delivery."""
    next_try_ms: int
    delivered_ms: int
    holder: str
    """The process that delivers; empty for none."""
    held_until_ms: int
    credential: str
    """Public part of the API key, or `person-NUMBER` of the person, to which it is bound; empty for none."""


_SCHEMA = schema_of("millmark.services")
webhooks = _SCHEMA.table("webhooks", WebhookRow, "id", "participant", "state next_try_ms")


class WebhookRepository:
    """Reads and writes subscriptions in the caller's transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows = Rows(connection)

    def add(self, row: WebhookRow) -> None:
        self._rows.insert([row])

    def get(self, id_: str) -> WebhookRow | None:
        return self._rows.get(WebhookRow, id_)

    def all(self, participant: int | None = None) -> list[WebhookRow]:
        """The subscriptions of one participant, or of all if None; oldest first."""
        query = select(webhooks).order_by(webhooks.c.created_ms, webhooks.c.id)
        if participant is not None:
            query = query.where(webhooks.c.participant == participant)
        return [_row(one) for one in self._connection.execute(query)]

    def due(self, now_ms: int) -> list[WebhookRow]:
        """Active subscriptions whose next delivery attempt is due."""
        query = select(webhooks).where(webhooks.c.state == "active", webhooks.c.next_try_ms <= now_ms)
        # The longest overdue first: the dispatcher serves a limited number at once, and none must wait forever.
        return [_row(one) for one in self._connection.execute(query.order_by(webhooks.c.next_try_ms, webhooks.c.id))]

    def next_try_ms(self, now_ms: int) -> int | None:
        """When the first of the active subscriptions that are not due yet is; None if there is none."""
        later = select(func.min(webhooks.c.next_try_ms)).where(
            webhooks.c.state == "active", webhooks.c.next_try_ms > now_ms
        )
        return self._connection.execute(later).scalar()

    def change(self, id_: str, **values: object) -> bool:
        """Sets columns of a subscription; False if it is gone."""
        statement = update(webhooks).where(webhooks.c.id == id_).values(**values)
        return self._connection.execute(statement).rowcount == 1

    def remove(self, id_: str) -> bool:
        """Removes a subscription. Returns False if there was none."""
        return self._connection.execute(delete(webhooks).where(webhooks.c.id == id_)).rowcount == 1


def _row(row: Row[tuple[object, ...]]) -> WebhookRow:
    return WebhookRow(**row._mapping)
