"""Subscriptions: made, listed, taken up again, given new secrets, removed, each by the participant whose they are."""

from __future__ import annotations

import enum
import json
import secrets as random
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from ledger.errors import InputError, NotFoundError
from ledger.provenance.jsonform import Printable, moment
from ledger.store import Feed, Position, Store
from services.access import CredentialKind
from services.access.repository import AccessRepository
from services.webhooks.delivery import Mode
from services.webhooks.feed import format_position, parse_filter
from services.webhooks.repository import WebhookRepository
from services.webhooks.signatures import new_secret
from services.webhooks.tables import WebhookRow
from services.webhooks.targets import parse_target

__all__ = [
    "MOST_WEBHOOKS",
    "OLD_SECRET_LIFE_S",
    "NewWebhook",
    "State",
    "Subscriber",
    "Subscriptions",
    "Webhook",
    "keys_of",
]

MOST_WEBHOOKS: Final = 20
"""Of one participant."""
OLD_SECRET_LIFE_S: Final = 86_400
"""For which a secret goes on signing beside the one that replaces it."""


class State(enum.StrEnum):
    ACTIVE = "active"
    PARKED = "parked"
    """Given up after too many tries, or by its receiver (410), until it is resumed. Nothing is lost: it goes on from
    where it was."""


@dataclass(frozen=True, slots=True)
class Subscriber:
    """In whose name a subscription is."""

    participant: int
    """0 for whoever runs a gateway that is open on the loopback."""
    owner: bool
    credential: str = ""
    """Public part of what was shown; empty for the operator on this machine."""

    @property
    def sees(self) -> int | None:
        """Whose subscriptions are there; None for all."""
        return None if self.owner else self.participant


@dataclass(frozen=True, slots=True)
class Webhook(Printable):
    """A subscription, without its secret."""

    id: str
    participant: int
    """0 for whoever runs a gateway that is open on the loopback."""
    url: str
    mode: str
    """`structured` or `binary`, of CloudEvents over HTTP."""
    kinds: tuple[str, ...]
    """Kinds of record that are sent; none for all."""
    subjects: tuple[str, ...]
    """Orders and lots whose records are sent; none for all."""
    state: str
    """`active` or `parked`."""
    reason: str | None
    """Why the last try did not go through; null when it did."""
    attempts: int
    """Tries of the next delivery that did not go through."""
    position: str
    """How far its receiver was told."""
    api_key: str | None
    """Public part of the API key that it was made or resumed with, and ends with; null when a person did."""
    created_at: datetime | None
    delivered_at: datetime | None
    """Last delivery that was taken."""


@dataclass(frozen=True, slots=True)
class NewWebhook(Printable):
    """A subscription and its secret, which is shown this once."""

    secret: str
    """Of Standard Webhooks: `whsec_` and 32 bytes in base64."""
    webhook: Webhook


class Subscriptions:
    """Of one store."""

    def __init__(self, store: Store, *, loopback: bool = False) -> None:
        self._store, self._loopback = store, loopback

    def add(
        self,
        subscriber: Subscriber,
        url: str,
        *,
        mode: Mode = Mode.STRUCTURED,
        kinds: Iterable[str] = (),
        subjects: Iterable[str] = (),
        after: Position | None = None,
        now_ms: int,
    ) -> NewWebhook:
        """One that begins behind `after`, or with the next record. Raises InputError and TargetRefusedError."""
        parse_target(url, loopback=self._loopback)
        wanted = parse_filter(kinds, subjects)
        secret = new_secret()
        with self._store.transaction() as connection:
            desk = WebhookRepository(connection)
            if len(desk.all(subscriber.participant)) >= MOST_WEBHOOKS:
                raise InputError(f"there are {MOST_WEBHOOKS} webhooks already", hint="remove one")
            start = after or Feed(connection).end()
            row = WebhookRow(
                id=random.token_hex(8),
                participant=subscriber.participant,
                owner=subscriber.owner,
                url=url,
                mode=mode.value,
                kinds=" ".join(sorted(wanted.kinds)),
                subjects=" ".join(sorted(one.hex() for one in wanted.subjects)),
                secrets=_secrets([(secret, 0)]),
                created_ms=now_ms,
                registry_sequence=start.registry,
                ledger_sequence=start.ledger,
                state=State.ACTIVE.value,
                reason="",
                attempts=0,
                next_try_ms=0,
                delivered_ms=0,
                holder="",
                held_until_ms=0,
                credential=_api_key(AccessRepository(connection), subscriber),
            )
            desk.add(row)
        return NewWebhook(secret, describe(row))

    def list(self, subscriber: Subscriber) -> list[Webhook]:
        with self._store.reading() as connection:
            return [describe(row) for row in WebhookRepository(connection).all(subscriber.sees)]

    def get(self, subscriber: Subscriber, id_: str) -> Webhook:
        """Raises NotFoundError."""
        with self._store.reading() as connection:
            return describe(_find(WebhookRepository(connection), subscriber, id_))

    def resume(self, subscriber: Subscriber, id_: str) -> Webhook:
        """Tries again at once, with all tries ahead; from now on it ends with the key that resumed it, if that was a
        key. Raises NotFoundError."""
        with self._store.transaction() as connection:
            desk = WebhookRepository(connection)
            _find(desk, subscriber, id_)
            key = _api_key(AccessRepository(connection), subscriber)
            desk.change(id_, state=State.ACTIVE.value, attempts=0, next_try_ms=0, reason="", credential=key)
            return describe(_find(desk, subscriber, id_))

    def rotate(self, subscriber: Subscriber, id_: str, *, now_ms: int) -> NewWebhook:
        """A new secret; the one before signs for another day, and any older one no more. Raises NotFoundError."""
        secret = new_secret()
        with self._store.transaction() as connection:
            desk = WebhookRepository(connection)
            row = _find(desk, subscriber, id_)
            newest = json.loads(row.secrets)[0][0]
            desk.change(id_, secrets=_secrets([(secret, 0), (newest, now_ms + OLD_SECRET_LIFE_S * 1000)]))
        return NewWebhook(secret, describe(row))

    def remove(self, subscriber: Subscriber, id_: str) -> None:
        """Raises NotFoundError."""
        with self._store.transaction() as connection:
            desk = WebhookRepository(connection)
            _find(desk, subscriber, id_)
            desk.remove(id_)


def keys_of(row: WebhookRow, now_ms: int) -> list[str]:
    """The secrets that sign now, the newest first."""
    return [secret for secret, until_ms in json.loads(row.secrets) if not until_ms or now_ms < until_ms]


def describe(row: WebhookRow) -> Webhook:
    return Webhook(
        id=row.id,
        participant=row.participant,
        url=row.url,
        mode=row.mode,
        kinds=tuple(row.kinds.split()),
        subjects=tuple("0x" + one for one in row.subjects.split()),
        state=row.state,
        reason=row.reason or None,
        attempts=row.attempts,
        position=format_position(Position(row.registry_sequence, row.ledger_sequence)),
        api_key=row.credential or None,
        created_at=moment(row.created_ms // 1000),
        delivered_at=moment(row.delivered_ms // 1000),
    )


def _find(desk: WebhookRepository, subscriber: Subscriber, id_: str) -> WebhookRow:
    row = desk.get(id_)
    if row is None or subscriber.sees not in (None, row.participant):
        raise NotFoundError(f"there is no webhook {id_[:40]!a}", hint="see the list of webhooks")
    return row


def _api_key(access: AccessRepository, subscriber: Subscriber) -> str:
    """What a subscription ends with: a person's session is over in minutes, and is none."""
    found = access.credential(subscriber.credential)
    return found.id if found is not None and found.kind == CredentialKind.API_KEY else ""


def _secrets(pairs: list[tuple[str, int]]) -> str:
    return json.dumps(pairs)
