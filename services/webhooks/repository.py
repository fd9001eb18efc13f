"""Reads and writes webhook subscriptions."""

from __future__ import annotations

from sqlalchemy import Connection, Row, delete, select, update

from ledger.store import Rows
from services.webhooks.tables import WebhookRow, webhooks

__all__ = ["WebhookRepository"]


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

    def change(self, id_: str, **values: object) -> bool:
        """Sets columns of a subscription; False if it is gone."""
        statement = update(webhooks).where(webhooks.c.id == id_).values(**values)
        return self._connection.execute(statement).rowcount == 1

    def remove(self, id_: str) -> bool:
        """Removes a subscription. Returns False if there was none."""
        return self._connection.execute(delete(webhooks).where(webhooks.c.id == id_)).rowcount == 1


def _row(row: Row[tuple[object, ...]]) -> WebhookRow:
    return WebhookRow(**row._mapping)
