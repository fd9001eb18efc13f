"""Webhook subscriptions: creation, listing, resumption, rotation of secrets, removal. Participants manage their own.

What they receive is the feed of records, which comes first.
"""

from __future__ import annotations

import enum
import hashlib
import json
import re
import secrets as random
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from millmark.ledger import ids, records
from millmark.ledger.canonical import Json, to_hex
from millmark.ledger.errors import InputError, NotFoundError
from millmark.ledger.provenance.answers import Printable, moment
from millmark.ledger.provenance.permissions import Visibility
from millmark.ledger.store import Book, Connection, Feed, Lineage, Position, Rows, Store
from millmark.ledger.store.rows import ChainIdentityRow, RecordRow
from millmark.services.access import CredentialKind
from millmark.services.access.repository import AccessRepository
from millmark.services.webhooks.http_post import Mode, WebhookGround, new_secret, parse_target
from millmark.services.webhooks.repository import WebhookRepository, WebhookRow

# Records as CloudEvents 1.0, limited to those visible to the subscriber.
#
# The company that runs the gateway sees every record. Another participant sees its own records, those in the history of
# an order or lot visible to it, and from the registry those that everybody needs (participants, keys, models) and its
# own machines. Visibility is judged at the time of delivery, not of recording.
#
# A position in the feed is written `R.L`: the sequences of the last registry record and the last ledger record before
# it. Both sequences are dense.

_PLACE: Final = re.compile(r"(0|[1-9][0-9]{0,12})\.(0|[1-9][0-9]{0,12})")
_KIND: Final = re.compile(r"[A-Z][A-Za-z]{2,39}")
_SUBJECT: Final = re.compile(r"0x[0-9a-f]{64}")
_MAX_WORDS: Final = 50


@dataclass(frozen=True, slots=True)
class Filter:
    """Which records a subscriber wants; an empty set stands for all."""

    kinds: frozenset[str] = frozenset()
    subjects: frozenset[bytes] = frozenset()
    """Orders and lots: records whose subject is one of them, or that enter the history of one."""

    def matches(self, row: RecordRow, touched: Collection[bytes]) -> bool:
        if self.kinds and row.kind not in self.kinds:
            return False
        return not self.subjects or row.subject in self.subjects or not self.subjects.isdisjoint(touched)


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """One record, as delivered."""

    position: Position
    """The position after this record."""
    event: dict[str, Json]
    """The CloudEvent."""

    @property
    def id(self) -> str:
        """The record's CloudEvents id, the same for every subscriber."""
        return str(self.event["id"])


class RecordFeed:
    """All final records of a store, in the order of the chain."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def end(self) -> Position:
        """The position after the last final record."""
        with self._store.reading() as connection:
            return Feed(connection).end()

    def after(
        self, position: Position, limit: int, viewer: int | None, wanted: Filter
    ) -> tuple[list[FeedEntry], Position]:
        """Reads up to `limit` records after a position. Returns those that the viewer may see and wants, and the
        position after all that were read, which equals `position` if there are no more. A `viewer` of None sees all
        records."""
        with self._store.reading() as connection:
            feed, rows = Feed(connection), Rows(connection)
            found = feed.after(position, limit)
            if not found:
                return [], position
            touched = feed.histories(row.sequence for _, row in found if row.contract == records.Contract.LEDGER.value)
            visibility = None if viewer is None else Visibility(rows, Lineage(connection), viewer)
            seen = [
                (place, row, touched.get(row.sequence, []) if row.contract == records.Contract.LEDGER.value else [])
                for place, row in found
            ]
            seen = [one for one in seen if wanted.matches(one[1], one[2]) and _is_visible(visibility, one[1], one[2])]
            source = _source(rows)
            subjects = [row.subject for _, row, _ in seen]
            names = Book(connection).identifiers(subjects) if visibility is None else visibility.identifiers(subjects)
        entries = [
            FeedEntry(place, _event(source, place, row, touches, names.get(row.subject)))
            for place, row, touches in seen
        ]
        # The position moves past records that are filtered out: otherwise a subscriber with a narrow filter would read
        # the same records again and again.
        return entries, found[-1][0]


def _is_visible(visibility: Visibility | None, row: RecordRow, touched: Collection[bytes]) -> bool:
    # An author always sees its own records, also of lots that it has passed on and no longer sees.
    if visibility is None or row.participant == visibility.participant:
        return True
    # Machines are what is private in the registry; participants, keys and models concern everybody.
    if row.contract == records.Contract.REGISTRY.value:
        return not row.kind.startswith("Machine") or visibility.has(ids.SubjectKind.MACHINE, row.subject)
    return bool(visibility.lots(touched) or visibility.orders(touched))


def _source(rows: Rows) -> str:
    identity = rows.get(ChainIdentityRow, 1)
    if identity is None:
        raise NotFoundError("nothing is indexed yet", hint="follow the chain first")
    return f"urn:millmark:ledger:{identity.chain_id}:0x{identity.ledger.hex()}"


def _event(
    source: str, place: Position, row: RecordRow, touched: Iterable[bytes], identifier: str | None
) -> dict[str, Json]:
    return {
        "specversion": "1.0",
        "id": f"{row.contract}-{row.sequence}",
        "source": source,
        "type": f"millmark.{row.contract}.{row.kind}",
        "subject": to_hex(row.subject),
        "time": datetime.fromtimestamp(row.block_time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "datacontenttype": "application/json",
        "position": format_position(place),
        "data": {
            "contract": row.contract,
            "sequence": row.sequence,
            "kind": row.kind,
            "participant": row.participant,
            "subject": to_hex(row.subject),
            "identifier": identifier,
            "histories": [to_hex(subject) for subject in touched],
            "block_number": row.block_number,
            "block_hash": to_hex(row.block_hash),
            "transaction_hash": to_hex(row.transaction_hash),
            "fields": row.event().to_json(),
        },
    }


def format_position(position: Position) -> str:
    return f"{position.registry}.{position.ledger}"


def parse_position(text: str) -> Position:
    """Parses `R.L`. Raises InputError for anything else, including leading zeros."""
    match = _PLACE.fullmatch(text)
    if match is None:
        raise InputError(
            "not a feed position; expected REGISTRY.LEDGER, such as 12.340",
            hint="pass the `position` of an event, or 0.0 to start at the first record",
        )
    return Position(int(match[1]), int(match[2]))


def parse_filter(kinds: Iterable[str], subjects: Iterable[str]) -> Filter:
    """Parses a filter. Raises InputError for malformed kinds or subjects, or too many of them. Not established: that
    they exist."""
    kinds, subjects = list(kinds), list(subjects)
    if len(kinds) > _MAX_WORDS or len(subjects) > _MAX_WORDS:
        raise InputError(
            WebhookGround.LONG_FILTER.write(most=_MAX_WORDS), hint="omit the filter to receive all records"
        )
    for kind in kinds:
        if not _KIND.fullmatch(kind):
            raise InputError(WebhookGround.NO_KIND.write(text=ascii(kind[:60])), hint="use a kind such as LotReceived")
    for subject in subjects:
        if not _SUBJECT.fullmatch(subject):
            raise InputError(f"{subject[:80]!a} is not a subject", hint="give 0x and 64 lower-case hex digits")
    return Filter(frozenset(kinds), frozenset(bytes.fromhex(one[2:]) for one in subjects))


MAX_WEBHOOKS: Final = 20
"""Most subscriptions per participant."""
OLD_SECRET_LIFE_S: Final = 86_400
"""How long a secret still signs, beside its replacement, after a rotation."""


PERSON = "person-"
"""Begins the holder of a subscription that a person has, before the person's number."""


class State(enum.StrEnum):
    ACTIVE = "active"
    PARKED = "parked"
    """Deliveries stopped: after too many attempts, because the receiver answered 410, or because the subscriber lost
    access. Once resumed, they continue at the same position, so nothing is lost."""


@dataclass(frozen=True, slots=True)
class Subscriber:
    """The participant and the credential with which a subscription is managed."""

    participant: int
    """0 for the operator, without a credential."""
    owner: bool
    credential: str = ""
    """Public part of the credential; empty for the operator."""

    @property
    def viewer(self) -> int | None:
        """The participant whose subscriptions are visible; None for all participants."""
        return None if self.owner else self.participant


@dataclass(frozen=True, slots=True)
class Webhook(Printable):
    """A subscription, without its secret."""

    id: str
    participant: int
    """0 for one that the gateway's operator created without a credential."""
    url: str
    mode: str
    """Content mode of CloudEvents over HTTP, `structured` or `binary`."""
    kinds: tuple[str, ...]
    """Kinds of record that are sent; all if empty."""
    subjects: tuple[str, ...]
    """Orders and lots whose records are sent; all if empty."""
    state: str
    """`active` or `parked`."""
    reason: str | None
    """Why the last attempt failed, or why deliveries stopped; null after a success."""
    attempts: int
    """Failed attempts at the next delivery."""
    position: str
    """Position in the feed up to which records were delivered."""
    api_key: str | None
    """Public part of the API key that created or last resumed it; deliveries end when that key does. Null if a person
    or the company's own key did it."""
    created_at: datetime | None
    delivered_at: datetime | None
    """Time of the last successful delivery."""
    person: int | None = None
    """Number of the person of the company who created or last resumed it; deliveries end when that person is removed,
    or may no longer receive records. Null if nobody who signed in did it."""


@dataclass(frozen=True, slots=True)
class NewWebhook(Printable):
    """A subscription and its secret, which is not shown again."""

    secret: str
    """Signing secret of Standard Webhooks: `whsec_` and 32 bytes in base64."""
    webhook: Webhook


class Subscriptions:
    """Manages the subscriptions in a store. `loopback` allows receivers on this machine."""

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
        seed: bytes | None = None,
        within: Connection | None = None,
    ) -> NewWebhook:
        """Adds a subscription that starts at `after`, by default at the next record. `seed`: 32 bytes that become the
        secret; by default they are random. `within`: a transaction of the caller's to do it in. Raises InputError and
        TargetRefusedError."""
        parse_target(url, loopback=self._loopback)
        wanted = parse_filter(kinds, subjects)
        secret = new_secret(seed)
        with self._store.joining(within) as connection:
            webhooks = WebhookRepository(connection)
            # Counted in the transaction that adds, so that concurrent requests cannot exceed the limit.
            if len(webhooks.all(subscriber.participant)) >= MAX_WEBHOOKS:
                raise InputError(WebhookGround.MANY_WEBHOOKS.write(most=MAX_WEBHOOKS), hint="remove one")
            start = after or Feed(connection).end()
            row = WebhookRow(
                id=random.token_hex(8) if seed is None else _id_of(seed),
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
                credential=holder_of(AccessRepository(connection), subscriber),
            )
            webhooks.add(row)
        return NewWebhook(secret, describe(row))

    def find_made(self, subscriber: Subscriber, seed: bytes) -> str:
        """The secret of the subscription that was added with a seed, if it is there and has not got another since;
        otherwise an empty text."""
        secret = new_secret(seed)
        with self._store.reading() as connection:
            rows = WebhookRepository(connection).all(subscriber.viewer)
        is_there = any(row.id == _id_of(seed) and json.loads(row.secrets)[0][0] == secret for row in rows)
        return secret if is_there else ""

    def list(self, subscriber: Subscriber) -> list[Webhook]:
        with self._store.reading() as connection:
            return [describe(row) for row in WebhookRepository(connection).all(subscriber.viewer)]

    def get(self, subscriber: Subscriber, id_: str) -> Webhook:
        """A subscription of the subscriber. Raises NotFoundError."""
        with self._store.reading() as connection:
            return describe(_find(WebhookRepository(connection), subscriber, id_))

    def resume(self, subscriber: Subscriber, id_: str) -> Webhook:
        """Makes the next attempt due at once and resets the count of attempts. The subscription is then bound to the
        API key that resumed it, or to none if a person did. Idempotent. Raises NotFoundError."""
        with self._store.transaction() as connection:
            webhooks = WebhookRepository(connection)
            _find(webhooks, subscriber, id_)
            # The earlier key may have ended, which would park the subscription again at the next delivery.
            holder = holder_of(AccessRepository(connection), subscriber)
            webhooks.change(id_, state=State.ACTIVE.value, attempts=0, next_try_ms=0, reason="", credential=holder)
            return describe(_find(webhooks, subscriber, id_))

    def rotate(self, subscriber: Subscriber, id_: str, *, now_ms: int) -> NewWebhook:
        """Creates a new secret. The previous one signs for another day; older ones stop at once. Raises
        NotFoundError."""
        secret = new_secret()
        with self._store.transaction() as connection:
            webhooks = WebhookRepository(connection)
            row = _find(webhooks, subscriber, id_)
            # Only the newest secret lives on for a day: a second rotation ends the oldest one at once, in case it
            # leaked.
            newest = json.loads(row.secrets)[0][0]
            webhooks.change(id_, secrets=_secrets([(secret, 0), (newest, now_ms + OLD_SECRET_LIFE_S * 1000)]))
        return NewWebhook(secret, describe(row))

    def remove(self, subscriber: Subscriber, id_: str) -> None:
        """Removes a subscription for good. Raises NotFoundError."""
        with self._store.transaction() as connection:
            webhooks = WebhookRepository(connection)
            _find(webhooks, subscriber, id_)
            webhooks.remove(id_)


def signing_secrets(row: WebhookRow, now_ms: int) -> list[str]:
    """The secrets that are valid now, the newest first."""
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
        api_key=None if row.credential.startswith(PERSON) else row.credential or None,
        created_at=moment(row.created_ms // 1000),
        delivered_at=moment(row.delivered_ms // 1000),
        person=int(row.credential.removeprefix(PERSON)) if row.credential.startswith(PERSON) else None,
    )


def _id_of(seed: bytes) -> str:
    return hashlib.sha256(b"millmark.webhook-id.v1\0" + seed).hexdigest()[:16]


def _find(webhooks: WebhookRepository, subscriber: Subscriber, id_: str) -> WebhookRow:
    row = webhooks.get(id_)
    if row is None or subscriber.viewer not in (None, row.participant):
        # The same answer for another participant's webhook: its existence is not disclosed.
        raise NotFoundError(f"webhook {id_[:40]!a} not found", hint="list the webhooks to see their ids")
    return row


def holder_of(access: AccessRepository, subscriber: Subscriber) -> str:
    """To what a subscription is bound: an API key, by its public part, or a person, as `person-NUMBER`; empty for a
    company's own key, whose sessions expire within minutes."""
    found = access.credential(subscriber.credential)
    if found is not None and found.kind == CredentialKind.API_KEY:
        return found.id
    person = access.person_of(subscriber.credential)
    return f"{PERSON}{person}" if person else ""


def _secrets(pairs: list[tuple[str, int]]) -> str:
    return json.dumps(pairs)
