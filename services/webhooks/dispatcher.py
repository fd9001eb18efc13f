"""The thread that delivers records to webhooks: one delivery at a time per subscription, subscriptions concurrently.

    1 read the records that follow the subscription's cursor
    2 send one
    3 once the receiver has accepted it, advance the cursor on disk, then send the next

After a crash between 2 and 3 the record is sent again, under the same id. A failed delivery is retried later
(`DeliveryPolicy.retry_waits_s`) and delays no other subscription. After the last retry the subscription is parked, and
continues at the same record when somebody resumes it. So no record is skipped, and none is delivered out of order.

Nothing is delivered while the index may lack a suspension (services/gateway/ACCESS.md).

Several gateways may share a database: each subscription is claimed by one process at a time, which renews its claim
with every delivery.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, TypeVar

from structlog.typing import FilteringBoundLogger

from millmark.ledger.errors import MillmarkError
from millmark.ledger.store import Connection, Feed, Position, Rows, Store, process_identity
from millmark.ledger.store.rows import ParticipantRow
from millmark.services.access import Scope, repository, rules
from millmark.services.access.people.repository import PeopleRepository
from millmark.services.serving.loop import FailureLog, Loop, Looped
from millmark.services.webhooks import http_post
from millmark.services.webhooks.http_post import DeliveryResult, WebhookGround, sign
from millmark.services.webhooks.repository import WebhookRepository, WebhookRow
from millmark.services.webhooks.subscriptions import PERSON, FeedEntry, Filter, RecordFeed, State, signing_secrets

_AT_ONCE: Final = 100
"""Records read per query."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request to a receiver."""

    headers: Mapping[str, str]
    body: bytes
    sign: Callable[[int], Mapping[str, str]]
    """Returns the headers that sign it at a time in milliseconds since 1970."""
    cursor: Mapping[str, int]
    """Columns of the subscription once the receiver has accepted it."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The next deliveries, in order."""

    deliveries: Sequence[Delivery]
    cursor: Mapping[str, int]
    """Columns of the subscription once all were accepted: they move past what is not for this receiver."""


def _read_next(feed: RecordFeed, row: WebhookRow) -> Batch | None:
    """The records that follow the subscription's cursor, as CloudEvents; None if there are none."""
    position = Position(row.registry_sequence, row.ledger_sequence)
    wanted = Filter(frozenset(row.kinds.split()), frozenset(map(bytes.fromhex, row.subjects.split())))
    entries, end = feed.after(position, _AT_ONCE, None if row.owner else row.participant, wanted)
    return None if end == position else Batch([_deliver(row, entry) for entry in entries], _cursor(end))


def _deliver(row: WebhookRow, entry: FeedEntry) -> Delivery:
    headers, body = http_post.build_request(entry.event, http_post.Mode(row.mode))

    def sign_at(now_ms: int) -> Mapping[str, str]:
        return sign(signing_secrets(row, now_ms), f"{row.id}-{entry.id}", now_ms // 1000, body)

    return Delivery(headers, body, sign_at, _cursor(entry.position))


def _cursor(position: Position) -> dict[str, int]:
    return {"registry_sequence": position.registry, "ledger_sequence": position.ledger}


R = TypeVar("R")

_MAX_SIDE_BY_SIDE: Final = 64
_DATABASE_THREADS: Final = 4
_RETRY_S: Final = 2.0
_MAX_STOP_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class DeliveryPolicy:
    """Timeouts and retries of deliveries, and which receivers are allowed."""

    loopback: bool = False
    """Whether receivers on this machine are allowed."""
    timeout_s: float = 10.0
    """Longest time from name look-up to the end of the response's head."""
    retry_waits_s: tuple[float, ...] = (1, 5, 30, 120, 600, 1800, 3600, 3 * 3600)
    """Wait before each retry of a failed delivery; after the last one, the subscription is parked."""
    interval_s: float = 0.5
    """How often new records are looked for."""
    resolve: http_post.Resolve = http_post.resolve_host
    tls: ssl.SSLContext = field(default_factory=ssl.create_default_context)


class Dispatcher(Looped):
    """Delivers until stopped, despite failures of receivers or the database. A delivery that is being sent then is
    cancelled, and is sent again after the next start."""

    def __init__(
        self,
        store: Store,
        delivery_policy: DeliveryPolicy,
        logger: FilteringBoundLogger,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        is_fresh: Callable[[], bool] = lambda: True,
    ) -> None:
        """`is_fresh` tells whether the index has the latest suspensions; nothing is delivered while it has not."""
        self._is_fresh = is_fresh
        self._store, self._policy, self._logger, self._clock_ms = store, delivery_policy, logger, clock_ms
        self._feed = RecordFeed(store)
        self._holder = process_identity.describe_process(os.getpid())
        self._not_read = FailureLog(logger, "webhooks not read")
        self._not_served = FailureLog(logger, "webhook not served")
        self._pause_s = delivery_policy.interval_s
        """Until the next look, unless something wakes the thread."""
        self.loop = Loop(
            "millmark-webhooks",
            self._run,
            logger,
            failed="webhooks failed",
            retry_s=_RETRY_S,
            stop_s=_MAX_STOP_S,
            late_s=None,
        )

    def _run(self) -> float:
        """The loop's only step: it lasts until the thread has to stop."""
        with ThreadPoolExecutor(_DATABASE_THREADS, "millmark-webhooks-database") as self._database:
            asyncio.run(self._serve())
        return 0.0

    async def _in_database(self, work: Callable[..., R], *arguments: object) -> R:
        """Runs blocking database work on its own threads. The loop's default threads resolve names, which can block for
        long."""
        return await asyncio.get_running_loop().run_in_executor(self._database, work, *arguments)

    async def _serve(self) -> None:
        """Runs one task per subscription that is due; a slow receiver delays only its own task."""
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_MAX_SIDE_BY_SIDE, "millmark-look-up"))
        busy: dict[str, asyncio.Task[None]] = {}
        woken, loop = asyncio.Event(), asyncio.get_running_loop()

        def tell() -> None:
            with contextlib.suppress(RuntimeError):  # the event loop is closed: the step is over
                loop.call_soon_threadsafe(woken.set)

        self.loop.on_wake = tell
        while not self.loop.is_stopping:
            woken.clear()  # before the look, so that what is written during it is not missed
            busy = {id_: task for id_, task in busy.items() if not task.done()}
            for row in await self._due():
                if row.id not in busy and len(busy) < _MAX_SIDE_BY_SIDE:
                    busy[row.id] = asyncio.create_task(self._deliver_all(row.id))
            self.loop.recover()  # the step does not end, so that nothing else says that an earlier failure is over
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(woken.wait(), self._policy.interval_s if busy else self._pause_s)
        # A cancelled delivery may have been accepted already; its cursor has not moved, so it is sent again.
        for task in busy.values():
            task.cancel()
        await asyncio.gather(*busy.values(), return_exceptions=True)

    async def _due(self) -> list[WebhookRow]:
        self._pause_s = self._policy.interval_s
        if not self._is_fresh():
            return []
        try:
            found = await self._in_database(self._read_due)
        except Exception as error:  # tasks that run already go on
            self._not_read.note(error)
            return []
        self._not_read.clear()
        return found

    def _read_due(self) -> list[WebhookRow]:
        now_ms = self._clock_ms()
        with self._store.reading() as connection:
            # Read without a claim: whether the subscription is really free is decided in `_claim`, in one transaction.
            rows, retry_ms = (webhooks := WebhookRepository(connection)).due(now_ms), webhooks.next_try_ms(now_ms)
            end = Feed(connection).end()
        behind = [row for row in rows if row.registry_sequence < end.registry or row.ledger_sequence < end.ledger]
        if not behind:
            until_s = math.inf if retry_ms is None else (retry_ms - now_ms) / 1000
            self._pause_s = min(self.loop.idle(self._pause_s), until_s)
        return [row for row in behind if self._may_claim(row)]

    def _may_claim(self, row: WebhookRow) -> bool:
        # A claim ends when it expires, or at once if its process is known to be dead (after a crash).
        free = not row.holder or row.held_until_ms <= self._clock_ms()
        return free or row.holder == self._holder or process_identity.is_gone(row.holder)

    async def _deliver_all(self, id_: str) -> None:
        """Delivers to one receiver until no record is left, or a delivery fails."""
        try:
            while not self.loop.is_stopping:
                found = await self._in_database(self._claim_next, id_)
                if found is None:
                    return
                row, batch = found
                for delivery in batch.deliveries:
                    if not self._is_fresh():
                        return  # a backlog may last longer than the index is fresh
                    result = await self._send(row, delivery)
                    if not await self._in_database(self._record_result, row, delivery, result):
                        return
                if not await self._in_database(self._advance, row, batch.cursor):
                    return
        except Exception as error:  # the subscription stays due, and the loop tries again
            self._not_served.note(error)

    def _claim_next(self, id_: str) -> tuple[WebhookRow, Batch] | None:
        """Claims a subscription and reads its next deliveries. None if there are none, or it cannot be claimed."""
        row = self._claim(id_)
        batch = None if row is None else _read_next(self._feed, row)
        return None if row is None or batch is None else (row, batch)

    def _claim(self, id_: str) -> WebhookRow | None:
        with self._store.transaction() as connection:
            webhooks = WebhookRepository(connection)
            row = webhooks.get(id_)
            if row is None or row.state != State.ACTIVE or not self._may_claim(row):
                return None
            participant = Rows(connection).get(ParticipantRow, row.participant)
            if row.participant and participant is None:
                # While the index is rebuilt, participants are missing for a while. Parking would need a person to undo.
                return None
            # Access is checked before every batch, since nobody is there to authenticate.
            is_suspended = participant is not None and participant.suspended
            ended = WebhookGround.PARTICIPANT_SUSPENDED.write() if is_suspended else ""
            if ended or (ended := self._access_ended(connection, row)):
                webhooks.change(id_, state=State.PARKED.value, reason=ended)
                return None
            webhooks.change(id_, holder=self._holder, held_until_ms=self._held_until())
            return row

    def _access_ended(self, connection: Connection, row: WebhookRow) -> str:
        """Why the API key or the person that the subscription is bound to has no access any more; empty while it has,
        or if it is bound to neither."""
        if not row.credential:
            return ""
        if row.credential.startswith(PERSON):
            person = PeopleRepository(connection).person(int(row.credential.removeprefix(PERSON)))
            may = person is not None and Scope.EVENTS in rules.PersonRole(person.role).scopes
            return "" if may else WebhookGround.PERSON_GONE.write()
        found = repository.AccessRepository(connection).credential(row.credential)
        if found is None or found.revoked_at or self._clock_ms() >= found.expires_at * 1000:
            return WebhookGround.KEY_ENDED.write(key=row.credential)
        return ""

    def _held_until(self) -> int:
        # Twice the longest delivery and a second: a live process renews its claim before another may take over.
        return self._clock_ms() + int(2000 * self._policy.timeout_s) + 1000

    async def _send(self, row: WebhookRow, delivery: Delivery) -> DeliveryResult:
        signed = delivery.sign(self._clock_ms())
        try:
            # Checked again, since the operator may have changed what is allowed after the subscription was made.
            target = http_post.parse_target(row.url, loopback=self._policy.loopback)
        except MillmarkError as error:
            return DeliveryResult(0, error.cause)
        return await http_post.post(
            target,
            {**delivery.headers, **signed, "user-agent": "millmark"},
            delivery.body,
            resolve=self._policy.resolve,
            loopback=self._policy.loopback,
            timeout_s=self._policy.timeout_s,
            tls=self._policy.tls,
        )

    def _record_result(self, row: WebhookRow, delivery: Delivery, result: DeliveryResult) -> bool:
        """Stores the result of a delivery. Returns whether the next one may follow at once."""
        with self._store.transaction() as connection:
            webhooks = WebhookRepository(connection)
            if result.is_accepted:
                now_ms = self._clock_ms()
                goes_on = self._move(webhooks, row.id, delivery.cursor, delivered_ms=now_ms, attempts=0, reason="")
                # The API key may have ended during the delivery.
                return goes_on and not self._access_ended(connection, row)
            found = self._held(webhooks, row.id)
            if found is None:
                return False
            attempts = found.attempts + 1
            waits = self._policy.retry_waits_s
            if result.ends_subscription or attempts > len(waits):
                webhooks.change(row.id, state=State.PARKED.value, attempts=attempts, reason=result.reason)
                self._logger.warning("webhook parked", webhook=row.id, reason=result.reason)
                return False
            next_ms = self._clock_ms() + int(waits[attempts - 1] * 1000)
            webhooks.change(row.id, attempts=attempts, reason=result.reason, next_try_ms=next_ms)
            return False

    def _advance(self, row: WebhookRow, cursor: Mapping[str, int]) -> bool:
        """Moves the cursor past what is not for this receiver. Returns whether to continue."""
        with self._store.transaction() as connection:
            return self._move(WebhookRepository(connection), row.id, cursor)

    def _move(self, webhooks: WebhookRepository, id_: str, cursor: Mapping[str, int], **values: object) -> bool:
        """Sets the cursor and renews the claim. False if the subscription was removed, parked or claimed by another
        process in the meantime."""
        row = self._held(webhooks, id_)
        if row is None:
            return False
        webhooks.change(id_, **cursor, held_until_ms=self._held_until(), **values)
        return row.state == State.ACTIVE

    def _held(self, webhooks: WebhookRepository, id_: str) -> WebhookRow | None:
        """The subscription, if it still exists and is claimed by this process. One that was suspended beyond the end of
        its claim must not change it any more."""
        row = webhooks.get(id_)
        return row if row is not None and row.holder == self._holder else None
